"""Write sentences for rare predicates from templates, as further training data for triple extraction.

    python training/template_sentences.py --train DUIE2 DUIE1 --sentences 4000 --output outputs/templates.jsonl
    accelerate launch training/train_dgcnn_triples.py --train DUIE2 DUIE1 outputs/templates.jsonl ...

Most sentences put mentions of the training data, each of a type that the predicate takes, into a template: they teach how
a relation is worded, not facts. Capitals, languages, founders and mountains are facts, from the lists of
`template_facts`. A seventh of the sentences only mention things together, and has no triples.

`--exclude` are sentences that the model will be measured on: no subject of theirs is used, and no sentence holds both
mentions of one of their triples or is worded as one of them is. The same arguments give the same sentences.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import template_facts as facts

from hf_kexue.data.triples.reading import Triple, TripleExample, read_triples

PLAIN = Path(__file__).resolve().parent / "data" / "plain-triples-zh" / "test.jsonl"
ATTEMPTS = 200  # per sentence, before --exclude is found to leave nothing
SLOT = re.compile(r"\{([a-z]+?)(s?)(\d?)\}")
CHOICE = re.compile(r"\[([^\[\]]*)\]")
NAME = re.compile(r"[\u4e00-\u9fff]{2,4}|[\u4e00-\u9fff]{2,6}(·[\u4e00-\u9fff]{1,6}){1,2}")
LONGER = re.compile(r"[\u4e00-\u9fffA-Za-z0-9·（）：]{2,24}")
POOLS = {  # slot: types in the training data, form of a mention
    "person": (("人物", "娱乐人物", "历史人物"), NAME),
    "company": (("企业",), LONGER),
    "school": (("学校",), LONGER),
    "film": (("影视作品",), LONGER),
    "song": (("歌曲",), LONGER),
    "book": (("图书作品", "网络小说"), LONGER),
}


class Template(NamedTuple):
    """A wording: `{slot}`, `{slots}` for several with conjunctions, `[a|b]` for one of several words; and its triples as
    "slot predicate slot"."""

    text: str
    triples: tuple[str, ...] = ()


def _of(triples: str, *texts: str) -> list[Template]:
    return [Template(text, tuple(triples.split("; "))) for text in texts]


# Slots with one number stand for one thing: year1 a foundation, year2 a birth, year3 a release, city1 a seat.
TEMPLATES: dict[str, list[Template]] = {
    "首都": _of(
        "country 首都 capital; country2 首都 capital2; country 官方语言 language",
        "{capital}是{country}的首都[|和最大城市|，也是该国的政治、经济中心|，人口众多]。", "{country}以{capital}为首都[|，全国通用多种语言|，国土广阔]。",
        "{country}（首都：{capital}）[是一个历史悠久的国家|国土大部分是山地|与多国接壤]。", "{country}首都{capital}[昨日举行了庆祝活动|的地铁开通了|是一座古老的城市|市中心有许多博物馆|今年迎来了大批游客]。",
        "{person}[昨天|上周|日前|]抵达{country}首都{capital}[进行访问|参加会议|，开始了他的旅行]。", "[会议|比赛|展览|论坛|峰会]将在{country}的首都{capital}[举行|召开|举办]。",
        "{country}的首都[为|定在|设在]{capital}[|，官方语言是{language}|，面积不大]。", "{country}[后来|独立后|]迁都{capital}[|，旧都逐渐衰落]。",
        "{country}的首都是{capital}，[而|]{country2}的首都是{capital2}。", "{country}的首都不是最大的城市，而是{capital}。", "{capital}，{country}首都，[位于该国北部|濒临大海|是著名的旅游城市]。",
        "[很多人以为|常有人误认为]{city}是{country}的首都，其实{country}的首都是{capital}。", "自{year}起，{capital}[一直是|成为|就是]{country}的首都。", "{country}[政府|]{year}[把|将]首都从{city}[迁往|迁至|搬到]{capital}。",
        "{country}的首都是{capital}，[官方语言是{language}|人口约百万|城中有很多古迹]。",
    ),
    "官方语言": _of(
        "country 官方语言 language; country 首都 capital",
        "{country}的官方语言[是|为]{language}[|，首都是{capital}]。", "{language}是{country}的官方语言[|，学校也用它教学]。", "{country}以{language}为官方语言。",
    ),
    "校长": _of(
        "school 校长 person; person 毕业院校 school2; person 出生日期 year2",
        "{person}[现任|时任|曾任|历任]{school}校长[|，同时担任博士生导师|、党委副书记|，主持学校工作多年]。", "{school}校长{person}[在开学典礼上致辞|出席了会议|表示，学校将扩大招生|接受了采访|向毕业生颁发了证书]。",
        "{school}的校长是{person}[|，副校长是{person2}]。", "{year}[|{month}月]，{person}[接任|就任|当选|被任命为|出任]{school}校长[|，任期四年]。", "{person}[，{job}，|]曾任{school}校长[、教授|，著有多部专著|长达十余年]。",
        "{person}自{year}[起|以来]担任{school}校长。", "{school}[首任|第一任|前任|老|新任]校长{person}[出生于{year2}|毕业于{school2}|致力于教育改革]。", "{job}{person}[出任|担任|曾任|长期担任|受聘为]{school}的校长[|多年]。",
        "{person}是{school}[的第一任|的现任|第三任|的老|的创校]校长。", "在{person}校长的[带领|主持]下，{school}[迅速发展|面貌一新]。", "{person}[辞去|卸任]{school}校长一职[|后回到家乡]。",
    ),
    "创始人": [
        *_of(
            "company 创始人 person; company 成立日期 year1; company 总部地点 city1; person 毕业院校 school; person 出生地 city2",
            "{person}[于{year1}|在{year1}|{year1}|]创办[了|]{company}[|，总部设在{city1}|，如今员工上万]。", "{company}[创始人|的创始人|创办人|的创办者]{person}[出席了发布会|宣布退休|毕业于{school}|表示公司将上市|出生在{city2}]。",
            "{company}由{person}[创办|创立|创建|一手创办|于{year1}创立|在{year1}创建]。", "{person}是{company}的[创始人|创始人之一|创办人|创始人兼董事长]。", "{year1}，{person}[离职|回国|辞去工作|毕业]后[创立|创办|成立][了|]{company}。",
            "{company}的创办人是{person}[，他还投资了多家企业|，{job}]。", "{person}[，{company}创始人|，{company}的创始人|——{company}创始人]，[曾在海外学习|热心公益|入选富豪榜]。",
            "{year1}[{month}月|]，{job}{person}[白手起家，|在{city}|]创办了{company}。", "{person}[创办的|创立的|所创办的]{company}[已在海外上市|发展迅速|今年盈利可观]。",
            "{company}成立于{year1}，创始人是{person}。", "{company}由{person}等人[于|在]{year1}[发起成立|创立|创办]。", "{year1}，{company}由{person}[在{city}|]创立。",
            "{company}，{year1}成立，创始人为{person}[|，总部在{city1}]。", "{company}由{person}[于|在]{year1}[创立|创办|成立|创建][，|，后来]成为行业龙头。",
        ),
        *_of(
            "company 创始人 persons; company 成立日期 year1",
            "{persons}[于{year1}|在{year1}|]共同[创办|创立|创建]了{company}。", "{company}由{persons}等[|几|三|四|五|六]人[|于{year1}|在{year1}][创立|创办|创建|发起成立]。", "{company}的[创始人|联合创始人]是{persons}。",
            "{year1}，{persons}[一起|合伙|]创办了{company}[|，办公室只有几十平方米]。", "{persons}是{company}的[联合创始人|共同创始人|创始人]。",
        ),
        *_of(
            "founded 创始人 founder",
            "{founder}[创办了|创立了|一手创建了]{founded}[|，后来成为首富|，改变了整个行业]。", "{founded}[创始人|的创始人]{founder}[宣布卸任|获得荣誉称号|喜欢登山|在大会上发言]。", "{founded}[由{founder}等人创办|由{founder}创立|的缔造者是{founder}]。",
            "{founder}是{founded}的[创始人|创办者]，[曾任首席执行官|后来退休|也是一位慈善家]。",
        ),
    ],
    "总部地点": _of(
        "company 总部地点 place; company 成立日期 year1",
        "{company}[的总部|总部|的全球总部|集团总部][位于|设在|设于|坐落在|在|设立在]{place}[|，在全国有多家分公司|，员工数千人|，由{person}负责]。", "{company}是一家总部[位于|设在]{place}的[企业|公司|跨国公司|高科技企业]。",
        "总部[位于|设在]{place}的{company}[今日发布财报|宣布扩大生产|主营电子产品]。", "{company}（总部：{place}）[主营汽车零部件|是行业龙头|业务遍及全球]。", "{company}总部设[在|于]{place}，[创立于{year1}|主要生产家电|产品销往海外]。",
        "{company}将[公司|]总部[从{city}|]迁[到了|至|往]{place}。", "{company}[把|将]总部设在[了|]{place}。", "{company}的总部大楼[位于|坐落于]{place}[|，高{storeys}层]。", "{company}，总部{place}，[成立于{year1}|主营食品]。",
    ),
    "出生日期": [
        *_of(
            "person 出生日期 date; person 出生地 birthplace",
            "{person}（{date}—{date2}），[{job}|{job}、{job2}|字某，{job}|男，{job}]。", "{person}生于{date}[|，{job}|，卒于{date2}]。", "{person}，[男|女]，{date}[出生|生][|，{job}]。", "{person}的[生日|出生日期]是{date}[|，属虎]。",
            "{date}，{person}[诞生|降生|出生]在一个[农民|教师|商人]家庭。", "{person}出生于{date}[|，自幼喜爱读书]。", "{person}[（{date}出生）|，{date}生]，[{job}|现为{job}]。", "{person}，{date}[出生|生]，逝世于{date2}。",
            "{person}，{date}[出生于|生于|出生在|诞生于]{birthplace}[|，{job}]。", "{person}[于|在]{date}[出生于|生于|诞生在]{birthplace}[|一个普通家庭|的一个小镇]。", "{date}，{person}[生于|诞生在|出生在]{birthplace}。",
            "{person}{date}[出生于|生于|诞生于]{birthplace}[|，自幼聪颖|，{job}]。", "{person}（{date}—{date2}），[出生于|生于]{birthplace}，{job}。", "{person}，[男|女]，{date}出生，{birthplace}人[|，{job}]。",
        ),
        *_of(
            "person 出生地 birthplace",
            "{person}[出生于|出生在|生于]{birthplace}[|，{job}|，后来移居海外]。", "{job}{person}[出生在|生于]{birthplace}。", "{person}的出生地是{birthplace}。",
        ),
    ],
    "出品公司": [
        *_of(
            "film 出品公司 studio; film 上映时间 year3; film 导演 person; film 主演 persons",
            "{film}由{studio}[出品|制作并出品|投资出品|独家出品][|，{year3}上映]。", "{film}是[由|]{studio}出品的[电视剧|动画|喜剧片|纪录片|古装剧|系列电影|爱情片]。", "[电影|电视剧|动画片|该剧|影片]{film}[的出品公司是|出品方为]{studio}。",
            "{studio}出品的{film}[今日开播|收视率很高|票房不俗]。", "{studio}出品了{film}。", "{film}，{studio}出品[的|的一部]影片。",
            "{film}由{studio}出品，{person}[导演|执导|担任导演]。", "{film}是{studio}出品、{person}执导的[电影|影片|喜剧]。", "{studio}出品、{person}执导的{film}[获得好评|已经杀青]。",
            "{film}由{studio}出品，{persons}[主演|领衔主演|等主演]。", "{studio}出品的{film}由{persons}主演。",
        ),
        *_of(
            "film 出品公司 studios; film 上映时间 year3",
            "{film}由{studios}[联合出品|共同出品|联合制作、出品]。", "[电影|电视剧|动画片]{film}[是|]由{studios}联合出品[的作品|的|，{year3}播出]。",
        ),
    ],
    "数量": [
        *_of(
            "mountain 海拔 height",
            "{mountain}的海拔[为|是|约|达]{height}[|，终年积雪|，山势险峻]。", "{mountain}[，|]海拔[高度|][约|为|达|]{height}，[是当地最高的山峰|山顶有庙宇|位于{place}]。", "{mountain}[主峰|]高达海拔{height}。",
            "海拔{height}的{mountain}[是登山者的乐园|常年云雾缭绕|是这条山脉的最高峰]。", "{mountain}位于{place}，海拔{height}。", "{county}的最高[峰|处]{mountain}海拔{height}，[常有雾|人迹罕至]。",
        ),
        *_of("peak 海拔 metres", "{peak}海拔[高|为|约|]{metres}，[是著名的山峰|吸引了许多登山者|终年积雪]。", "海拔{metres}的{peak}[十分雄伟|是当地的象征]。", "{peak}的高度为海拔{metres}[|，山顶寒冷]。"),
        *_of("county 面积 area", "{county}[总面积|面积|的总面积|的面积|土地面积|国土面积|全境面积][为|是|约|达|约为]{area}[|，辖十个乡镇|，人口众多]。", "{county}位于{province}，面积{area}。", "面积{area}的{county}[山多地少|水资源丰富]。", "{province}的[总面积|面积|土地面积][约|是]{area}，[人口稠密|山地居多]。"),
        *_of("site 占地面积 ground; site 成立日期 year1", "{site}[占地面积|占地|的占地面积][为|约|达|共|]{ground}[|，绿树成荫|，学生两千人]。", "{site}建于{year1}，占地{ground}。", "占地{ground}的{site}[已经开放|正在扩建]。"),
        *_of("person 身高 stature", "{person}[的身高|身高][是|为|有|达到|达][|]{stature}[|，是队里最高的球员|，司职中锋|，体重八十公斤]。", "[球员|模特|运动员]{person}，身高{stature}[|，来自{place}]。", "身高{stature}的{person}[司职后卫|是一名模特]。"),
        *_of("film 票房 money", "{film}[的票房|票房|的累计票房|的全球票房|总票房|上映三天票房][为|达到|达|突破|超过|已经突破]{money}[|，位居榜首|，口碑也不错]。", "{film}[收获|取得|拿下|斩获]{money}票房。", "[电影|影片]{film}票房{money}。"),
        *_of("county 人口数量 people", "{county}[人口|总人口|常住人口|的人口|现有人口|户籍人口][约|为|达|有|约有|超过]{people}[|，面积不大|，以农业为主]。", "{county}有{people}[居民|人口]。"),
        *_of("company 注册资本 capitalsum; company 成立日期 year1", "{company}[注册资本|的注册资本|注册资金][为|达|]{capitalsum}[|，成立于{year1}]。"),
    ],
    "日期": [
        *_of("film 上映时间 date; film 主演 person", "{film}[于|将于|定于|在]{date}[公映|首映|登陆全国院线|正式上映|在中国大陆上映|全国上映]。", "[影片|电影|喜剧片]{film}{date}[全国公映|正式上映|上映，由{person}主演]。", "{date}，[电影|影片|]{film}[在各大影院上映|正式公映|上映]。", "{film}的上映时间[是|为]{date}。"),
        *_of("organisation 成立日期 date; organisation 总部地点 city1", "{organisation}[创立于|正式成立于|创建于|始建于|成立于]{date}[|，总部设在{city1}|，是一所公立机构|，现有员工百人]。", "{organisation}[于|在]{date}[正式成立|挂牌成立|创立|建立]。", "{date}，{organisation}[正式成立|宣告成立|在{city}成立|挂牌]。", "{organisation}的成立[日期|时间]是{date}。"),
    ],
    "人物": [
        *_of(
            "person 妻子 person2; person2 丈夫 person; person2 毕业院校 school; person2 出生日期 year2",
            "{person}的妻子[是|叫]{person2}[|，两人育有一子]。", "{person}的[妻子|太太|夫人]{person2}[是{job}|也很有名|出生于{year2}]。", "{person}的妻子{person2}毕业于{school}，{job}。", "{job}{person}[娶了|迎娶]{person2}。",
        ),
        *_of("person 丈夫 person2; person2 妻子 person; person2 毕业院校 school", "{person}的丈夫{person2}[是{job}|毕业于{school}|也是一名演员]。", "{person}与[丈夫|老公]{person2}[结婚多年|育有一女]。"),
        *_of("person 毕业院校 school", "{person}[毕业于|曾就读于|毕业自|本科毕业于]{school}[|，{job}|，主修文学]。"),
        *_of("person2 父亲 person; person2 出生日期 year2", "{person}的[儿子|女儿|次子|小女儿|独子]{person2}[是{job}|出生于{year2}|也是{job}]。", "{person}是{person2}的[父亲|爸爸]。"),
        *_of("person 父亲 person2", "{job}{person}的父亲是{person2}。"),
        *_of("book 作者 person", "{book}[的作者是{person}|由{person}所著|，{person}著]。", "{person}[写的|创作的|所著的|的代表作]{book}[出版于{year}|是一部长篇小说|深受读者喜爱]。"),
        *_of("film 导演 person2; book 作者 person", "{film}改编自{person}的小说{book}，[{person2}执导|由{person2}导演]。"),
        *_of("film 导演 person; film 主演 persons", "{film}由{person}[执导|导演]，{persons}[主演|联袂主演|等主演]。", "{persons}主演的[电影|电视剧|]{film}[热播|即将上映|获得大奖]。"),
        *_of("song 歌手 person", "{song}是{person}演唱的歌曲[|，发行于{year}]。"),
        *_of("person 字 styled; person 号 called; person 朝代 dynasty; person 出生地 birthplace", "{person}，字{styled}，号{called}，{dynasty}[诗人|文学家|政治家|画家]。", "{dynasty}[诗人|名臣|画家]{person}，字{styled}[|，{birthplace}人]。", "{person}[号{called}|字{styled}]，{dynasty}[将领|学者|书法家]。"),
    ],
    "": [
        Template(text)
        for text in (
            "{person}[和|与|跟|同]{person2}[都是{job}|一起出席了活动|是多年的朋友|同台表演|在{city}见面|聊起了往事|曾经合作过]。", "{person}[参观了|访问了|到访|走进]{company}[|，受到热烈欢迎]。", "{person}[来到|前往|回到|游览了]{city}[|，参加一个会议|散步]。",
            "{film}和{film2}[都在热播|同日开机|都获得了好评|风格不同]。", "{person}[读过|喜欢|推荐了|看过]{book}[|，印象很深]。", "{person}[看过|谈到了|很喜欢]{film}[|好几遍]。", "{city}[到|离|距]{city2}[约三百公里|很近|有高铁|不远]。",
            "{company}[与|和]{company2}[签署了合作协议|展开竞争|都生产手机|同属一个行业]。", "{school}[与|和]{school2}[举行了足球赛|都在招生|签订协议|相距不远]。", "{year}，{company}[搬进了新大楼|推出了新产品|遭遇了危机|获得了投资]。", "{person}[给{school}捐了款|在{school}做了讲座|参观了{school}]。",
            "{country}[与|和]{country2}[建立了外交关系|接壤|互派了大使|进行了比赛]。", "{mountain}和{mountain2}[风景秀丽|遥遥相对|都适合登山]。", "{date}，{person}[发表了讲话|来到{city}|看了{film}|去世]。", "{person}在{company}[门口拍照|附近开店]。", "[他|她]听过{song}，也看过{film}。",
            "{capital}[和|与]{capital2}[的气候不同|都举办过运动会|之间有直飞航班]。", "{persons}[都来了|参加了聚会|同场竞技]。",
        )
    ],
}  # fmt: skip


class Writer:
    """Draws sentences.

    Args:
        examples: training sentences, the mentions of which fill the slots.
        excluded: sentences to keep out, see the head of the file.
        seed: of all draws.
    """

    def __init__(self, examples: Iterable[TripleExample], excluded: Sequence[TripleExample], seed: int) -> None:
        self.random = random.Random(seed)
        triples = [triple for example in excluded for triple in example.triples]
        self.pairs = {(triple.subject, triple.object) for triple in triples}
        self.wordings = {wording(example) for example in excluded}
        forbidden = {triple.subject for triple in triples}
        self.types: dict[str, tuple[str, str]] = {}
        mentions: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for triple in (triple for example in examples for triple in example.triples):
            self.types.setdefault(triple.predicate, (triple.subject_type, triple.object_type))
            for mention, kind in ((triple.subject, triple.subject_type), (triple.object, triple.object_type)):
                mentions[kind][mention] = None
        self.pools = {
            slot: [
                mention
                for mention in dict.fromkeys(mention for kind in kinds for mention in mentions[kind])
                if form.fullmatch(mention) and mention not in forbidden
            ]
            for slot, (kinds, form) in POOLS.items()
        }
        self.pools["company"] += [name for name in facts.COMPANIES * 8 if name not in forbidden]
        self.pools["studio"] = [name for name in self.pools["company"] if re.search("影|视|文化|传媒|电|娱乐", name)]
        self.facts = {
            slots: [row for row in rows if forbidden.isdisjoint(row)]
            for slots, rows in (
                (("country", "capital", "language"), facts.COUNTRIES),
                (("founded", "founder"), facts.FOUNDERS),
                (("peak", "metres"), facts.PEAKS),
            )
        }

    def sentence(self, kind: str) -> TripleExample:
        """A sentence of one kind of `TEMPLATES`.

        Raises:
            ValueError: if no sentence without excluded pairs is found.
        """
        for _ in range(ATTEMPTS):
            example = self._fill(self.random.choice(TEMPLATES[kind]))
            pair = any(subject in example.text and other in example.text for subject, other in self.pairs)
            if not pair and wording(example) not in self.wordings:
                return example
        raise ValueError(f"No sentence of the kind {kind!r} is free of the pairs of --exclude.")

    def _fill(self, template: Template) -> TripleExample:
        text = template.text
        while match := CHOICE.search(text):
            text = text[: match.start()] + self.random.choice(match[1].split("|")) + text[match.end() :]
        values: dict[str, list[str]] = {}
        for match in SLOT.finditer(text):
            slot, many, number = match.groups()
            if slot + many in facts.SINGULAR:
                slot, many = slot + many, ""
            name = slot + many + number
            if name in values:
                continue
            for slots, rows in self.facts.items():
                if slot in slots:
                    values |= {other + number: [value] for other, value in zip(slots, self.random.choice(rows))}
            if name not in values:
                used = {value for some in values.values() for value in some}
                count = self.random.choice((2, 2, 2, 3, 4)) if many else 1
                values[name] = self._draw(slot, count, used)
        triples = []
        for line in template.triples:
            subject, predicate, other = line.split()
            for one in values.get(other, ()) if subject in values else ():
                triples.append(Triple(values[subject][0], predicate, one, *self.types.get(predicate, ("", ""))))
        quoted = self.random.random() < 0.9
        text = SLOT.sub(lambda match: self._joined(values[match[0][1:-1]], match[1], quoted), text)
        return TripleExample("", text, [t for t in triples if t.subject in text and t.object in text])

    def _draw(self, slot: str, count: int, used: set[str]) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            value = self.random.choice(self.pools[slot]) if slot in self.pools else facts.draw(slot, self.random)
            if value not in used and value not in found:
                found.append(value)
        return found

    def _joined(self, values: Sequence[str], slot: str, quoted: bool) -> str:
        marks = "《{}》" if slot in ("film", "book", "song") and quoted else "{}"
        shown = [marks.format(value) for value in values]
        if len(shown) == 1:
            return shown[0]
        return "、".join(shown[:-1]) + self.random.choice("、和与和及") + shown[-1]


def wording(example: TripleExample) -> str:
    """A sentence with a mark in place of each of its mentions."""
    mentions = {mention for triple in example.triples for mention in (triple.subject, triple.object)}
    return re.sub("|".join(map(re.escape, sorted(mentions, key=len, reverse=True))) or "$^", "□", example.text)


def write_sentences(
    examples: Sequence[TripleExample], excluded: Sequence[TripleExample], sentences: int, seed: int
) -> list[TripleExample]:
    """So many different sentences, of all kinds alike.

    Raises:
        ValueError: if `--exclude` leaves nothing.
    """
    writer = Writer(examples, excluded, seed)
    found: dict[str, TripleExample] = {}
    kinds = [kind for kind in TEMPLATES if kind != "官方语言"] * 3 + ["官方语言"]
    while len(found) < sentences:
        example = writer.sentence(kinds[len(found) % len(kinds)])
        found[example.text] = example
    return list(found.values())


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", required=True, help="training sentences whose mentions are used")
    parser.add_argument("--exclude", nargs="*", default=[str(PLAIN)], help="sentences to be measured on")
    parser.add_argument("--sentences", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="file to write, JSON lines")
    args = parser.parse_args(argv)
    examples = [example for source in args.train for example in read_triples(source, "train")]
    excluded = [example for source in args.exclude for example in read_triples(source)]
    written = write_sentences(examples, excluded, args.sentences, args.seed)
    lines = [{"text": example.text, "spo_list": [vars(triple) for triple in example.triples]} for example in written]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} sentences with {sum(len(line['spo_list']) for line in lines)} triples in {args.output}")


if __name__ == "__main__":
    main()
