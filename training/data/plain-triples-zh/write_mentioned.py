"""Write `mentioned.jsonl`: 500 sentences that mention things together without relating them.

    python training/data/plain-triples-zh/write_mentioned.py

Names are those of well-known people, works, companies, schools and places, drawn at random; wordings are none of
training/template_sentences.py. The same file comes out every time.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

SENTENCES = 500
WORDS = {
    "person": "鲁迅 巴金 茅盾 冰心 沈从文 张爱玲 金庸 莫言 余华 齐白石 徐悲鸿 梅兰芳 聂耳 冼星海 华罗庚 陈景润 袁隆平 钱学森 邓稼先 姚明 李娜 刘翔 郎平 周杰伦 王菲 刘德华 张学友 梁朝伟 巩俐 章子怡 成龙 李连杰 张艺谋 陈凯歌 冯小刚 马云 马化腾 雷军 任正非 "
    "牛顿 爱因斯坦 居里夫人 达尔文 贝多芬 莫扎特 莎士比亚 托尔斯泰 雨果 毕加索 梵高 比尔·盖茨 李白 杜甫 苏轼 王安石 诸葛亮 曹操",
    "work": "《红楼梦》 《西游记》 《水浒传》 《三国演义》 《骆驼祥子》 《家》 《边城》 《围城》 《平凡的世界》 《白鹿原》 《活着》 《狂人日记》 《哈姆雷特》 《战争与和平》 《悲惨世界》 《老人与海》",
    "film": "《霸王别姬》 《红高粱》 《大话西游》 《卧虎藏龙》 《英雄》 《无间道》 《让子弹飞》 《流浪地球》 《战狼2》 《泰坦尼克号》 《阿凡达》 《阿甘正传》 《哪吒之魔童降世》 《智取威虎山》",
    "song": "《青花瓷》 《千里之外》 《忘情水》 《红豆》 《同桌的你》 《吻别》 《真心英雄》 《朋友》 《海阔天空》 《光辉岁月》",
    "company": "华为 小米 腾讯 阿里巴巴 百度 京东 微软 苹果公司 谷歌 三星电子 索尼 丰田 海尔 格力电器 比亚迪 联想集团 中国石油 顺丰速运",
    "school": "北京大学 清华大学 复旦大学 浙江大学 南京大学 南开大学 武汉大学 中山大学 四川大学 厦门大学 哈佛大学 剑桥大学",
    "city": "北京 上海 广州 深圳 成都 西安 南京 杭州 武汉 重庆 巴黎 伦敦 柏林 东京 罗马 悉尼 纽约 开罗 莫斯科 首尔",
    "country": "中国 法国 德国 日本 英国 美国 俄罗斯 巴西 埃及 澳大利亚 加拿大 印度 西班牙 意大利",
    "mountain": "泰山 华山 黄山 庐山 峨眉山 珠穆朗玛峰 富士山 乞力马扎罗山 玉龙雪山 贡嘎山",
    "day": "1998年5月12日 2003年 2008年8月 2012年3月1日 2016年 2020年10月18日 去年春天 上个星期 前天晚上",
    "star": "余华 莫言 姚明 李娜 刘翔 郎平 周杰伦 王菲 刘德华 张学友 梁朝伟 巩俐 章子怡 成龙 李连杰 张艺谋 陈凯歌 冯小刚 马云 马化腾 雷军 任正非 比尔·盖茨 郭晶晶 林丹 葛优 陈道明 那英",
    "way": "3公里 800米 2.5公里 1200米 500米",
    "price": "15元 38.5元 120元",
    "pages": "20页 200页 35页",
}
WORDINGS = """
{person}和{person}的雕像立在公园两侧。
课本里既有{person}的肖像，也有{person}的肖像。
他把{person}和{person}的照片挂在墙上。
有人把{person}比作当代的{person}。
{person}、{person}和{person}的名字都出现在这份问卷里。
问到最敬佩的人，她说是{person}，不是{person}。
这套邮票印有{person}、{person}等人物。
{star}没有见过{star}。
小王喜欢{star}，小李喜欢{star}。
许多学生以{person}和{person}为榜样。
{day}，讲座先谈{person}，再谈{person}。
{star}的名气比{star}大吗？
书架上放着{work}、{work}和{work}。
她先读了{work}，后来又读{work}。
{work}比{work}厚{pages}吗？
老师让大家在{work}和{work}里选一本。
{star}在采访中提到了{work}。
{star}说自己小时候没读完{work}。
把{work}当礼物送给{star}，是个好主意。
影院门口贴着{film}和{film}的海报。
{star}买了两张{film}的票。
昨晚他们连看了{film}和{film}。
{star}说，他更想看{film}而不是{film}。
有人说{film}好看，也有人说{film}好看。
电台里{song}和{song}轮流播放。
{star}会唱{song}吗？
散步时她哼着{song}，手里拿着{work}。
歌单里有{song}，没有{song}。
{company}和{company}的展台挨在一起。
{day}，{company}与{company}打了一场官司。
他同时买了{company}和{company}的股票。
{star}排队买了{company}的新手机。
{company}、{company}、{company}的代表坐在同一桌。
{company}的产品在{city}卖得不错。
{star}也用{company}的软件。
{company}不是{company}的对手。
{company}给{school}寄来了邀请信。
{school}和{school}都在暑假开放参观。
{star}路过{school}时停下来拍照。
他报考了{school}，却没有报考{school}。
{school}、{school}的辩论队进入了决赛。
{person}的画像挂在{school}的走廊里。
{school}图书馆收藏了{work}。
从{city}飞往{city}要多久？
{city}、{city}和{city}今天都下雨。
{city}的冬天比{city}冷。
{star}打算先去{city}，再去{city}。
{star}坐火车从{city}到{city}。
{city}的天气预报由一位年轻人播报。
导游把{city}说成了{city}。
{country}和{country}的球迷一起唱歌。
{country}队在{city}战胜了{country}队。
{country}离{country}有多远？
从{country}寄到{country}的包裹丢了。
{star}收藏了{country}和{country}的硬币。
{day}，{country}代表团到了{city}。
{mountain}和{mountain}他都爬过。
站在{city}看不见{mountain}。
{mountain}比{mountain}更难爬吗？
{star}想去{mountain}看日出。
在{mountain}脚下，他们走了{way}。
{day}，{star}在{city}的一家饭馆吃面。
{day}，{company}的员工想去{mountain}春游。
{day}，有人在{school}门口放映{film}。
{star}花了{price}买{work}。
再走{way}就到{school}了。
{company}的仓库离{city}机场{way}。
谜语的答案是{person}，谜面提到了{mountain}。
{person}、{work}、{city}，这三个词和今天的题目无关。
字幕把{person}错写成了{person}。
""".split()


def main() -> None:
    generator = random.Random(23)
    words = {kind: text.split() for kind, text in WORDS.items()}
    found: dict[str, None] = {}
    while len(found) < SENTENCES:
        used: set[str] = set()

        def fill(match: re.Match[str], used: set[str] = used) -> str:
            value = generator.choice([word for word in words[match[1]] if word not in used])
            used.add(value)
            return value

        found[re.sub(r"\{(\w+)\}", fill, WORDINGS[len(found) % len(WORDINGS)])] = None
    records = [{"kind": "只是一起提到（生成）", "text": text, "spo_list": []} for text in found]
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    Path(__file__).with_name("mentioned.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
