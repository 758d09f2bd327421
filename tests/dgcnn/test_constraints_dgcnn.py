"""Constraints of the schema on triples that were found: right values for each of them, by hand."""

import pytest

from hf_kexue.dgcnn.constraints_dgcnn import CONSTRAINTS, DATE, QUANTITY, constrained

SCHEMA = [
    {"predicate": "创始人", "subject_types": ["企业"], "object_types": ["人物"], "object_lists": False},
    {"predicate": "成立日期", "object_types": ["Date"], "object_format": "date", "cardinality": "one"},
    {"predicate": "海拔", "object_types": ["Number"], "object_format": "quantity", "cardinality": "one"},
    {"predicate": "丈夫", "object_types": ["人物"], "inverse_of": "妻子"},
    {"predicate": "妻子", "object_types": ["人物"], "inverse_of": "丈夫"},
    {"predicate": "相邻", "inverse_of": "相邻"},
    {"predicate": "作者"},
]
NAMES = [entry["predicate"] for entry in SCHEMA]


def decoded(text, *triples, parts=CONSTRAINTS, starts=(0,)):
    """Of (subject, predicate, object[, score]) at the first places of their mentions."""
    found = {}
    for subject, name, other, *score in triples:
        places = [(text.index(mention), text.index(mention) + len(mention)) for mention in (subject, other)]
        found[places[0], NAMES.index(name), places[1]] = score[0] if score else 0.5
    kept = constrained(found, text, SCHEMA, parts, starts)
    return {(text[slice(*one)], NAMES[number], text[slice(*two)]): score for (one, number, two), score in kept.items()}


@pytest.mark.parametrize(
    ("text", "given", "right"),
    [
        # edges
        ("诗人写了《家》。", ("《家》", "作者", "诗人"), ("家", "作者", "诗人")),
        ("居里夫人生于华沙。", ("居里夫人", "作者", "华沙。"), ("居里夫人", "作者", "华沙")),
        ("小米公司由雷军创立。", ("小米公司由", "作者", "雷军"), ("小米公司", "作者", "雷军")),
        ("论自由是一本书，密尔著。", ("论自由", "作者", "密尔著"), ("论自由", "作者", "密尔著")),
        ("他（甲）写的", ("他（甲）", "作者", "（甲"), ("他（甲）", "作者", "甲")),
        # formats
        ("珠穆朗玛峰海拔8848.86米。", ("珠穆朗玛峰", "海拔", "8848"), ("珠穆朗玛峰", "海拔", "8848.86米")),
        ("甲山海拔1,234 米多", ("甲山", "海拔", "234"), ("甲山", "海拔", "1,234 米")),
        ("甲公司1999年成立", ("甲公司", "成立日期", "1999"), ("甲公司", "成立日期", "1999年")),
        ("院于1949年11月1日成立", ("院", "成立日期", "11月"), ("院", "成立日期", "1949年11月1日")),
        ("院于2019-02-05成立", ("院", "成立日期", "2019"), ("院", "成立日期", "2019-02-05")),
        ("院于一九四九年成立", ("院", "成立日期", "四九年"), ("院", "成立日期", "一九四九年")),
        ("1999年1月出版，甲写的", ("甲", "作者", "1999"), ("甲", "作者", "1999")),
    ],
)
def test_mentions_are_whole(text, given, right):
    assert decoded(text, given) == {right: 0.5}
    assert decoded(text, given, parts=()) == {given: 0.5}


def test_names_side_by_side_are_several():
    text = "比尔·盖茨、艾伦和保罗创办了微软公司"
    assert decoded(text, ("微软公司", "创始人", "比尔·盖茨、艾伦和保罗", 0.7)) == {
        ("微软公司", "创始人", name): 0.7 for name in ("比尔·盖茨", "艾伦", "保罗")
    }
    text = "微软公司由和田创办"  # one name with 和 in it
    assert decoded(text, ("微软公司", "创始人", "和田")) == {("微软公司", "创始人", "和田"): 0.5}
    text = "甲写了乙、丙传"
    assert decoded(text, ("甲", "作者", "乙、丙传")) == {("甲", "作者", "乙、丙传"): 0.5}  # nothing says it may not


def test_a_date_is_no_founder():
    text = "华为1987年成立，任正非创办"
    triples = ("华为", "创始人", "1987年"), ("华为", "创始人", "任正非")
    assert decoded(text, *triples).keys() == {triples[1]}
    assert decoded(text, ("华为", "作者", "1987年"))  # a predicate without types


@pytest.mark.parametrize("score", [0.2, 0.9])
def test_the_best_of_nested_mentions(score):
    text = "总部在广东省深圳市，甲开的"
    whole, part = ("甲", "作者", "广东省深圳市"), ("甲", "作者", "深圳市")
    assert decoded(text, (*whole, 0.5), (*part, score)) == ({whole: 0.5} if score < 0.5 else {part: score})
    other = ("甲", "相邻", "深圳市")
    assert whole in decoded(text, (*whole, 0.5), (*other, score))  # another predicate


def test_one_object_in_each_sentence():
    text = "甲1990年成立。甲1991年成立。"
    place = [(0, 1), (9, 10)]
    one, two, late = (1, 6), (10, 15), (10, 15)
    found = {(place[0], 1, one): 0.4, (place[0], 1, two): 0.6, (place[1], 1, late): 0.6}
    assert constrained(found, text, SCHEMA).keys() == found.keys() - {(place[0], 1, one)}
    assert constrained(found, text, SCHEMA, starts=[0, 9]).keys() == found.keys()
    assert constrained(found, text, SCHEMA, ["edges"]).keys() == found.keys()


def test_the_other_way_round():
    text = "钱锺书的妻子杨绛，东与西相邻"
    assert decoded(text, ("钱锺书", "妻子", "杨绛", 0.8), ("东", "相邻", "西")) == {
        ("钱锺书", "妻子", "杨绛"): 0.8,
        ("杨绛", "丈夫", "钱锺书"): 0.8,
        ("东", "相邻", "西"): 0.5,
        ("西", "相邻", "东"): 0.5,
    }
    both = ("钱锺书", "妻子", "杨绛", 0.8), ("杨绛", "丈夫", "钱锺书", 0.3)
    assert decoded(text, *both)["杨绛", "丈夫", "钱锺书"] == 0.3  # what was found keeps its score


@pytest.mark.parametrize(
    ("form", "text", "right"),
    [
        (DATE, "公元前221年统一，1949年10月，3月5日", ["公元前221年", "1949年10月", "3月5日"]),
        (DATE, "2020.1.2和2000年代，2019-02-05", ["2020.1.2", "2000年代", "2019-02-05"]),
        (QUANTITY, "长3.5公里，重12,000吨，票房56.8亿元", ["3.5公里", "12,000", "56.8亿元"]),
        (QUANTITY, "占地30余亩，226 cm，1.08亿元人民币，第16届", ["30余亩", "226 cm", "1.08亿元人民币", "16"]),
    ],
)
def test_forms_in_a_text(form, text, right):
    assert [match.group() for match in form.finditer(text)] == right


@pytest.mark.parametrize(
    ("text", "subject", "other", "right"),
    [
        ("他写了《甲》", "甲", "他写了", True),
        ("薛岳在黄埔陆军小学学习，后考入保定陆军军官学校", "薛岳", "黄埔陆军小学学习，后考入保定陆军军官学校", False),
        ("乙写了《风从远方吹来的时候，你还在那里等着我吗》", "风从远方吹来的时候，你还在那里等着我吗", "乙", True),
    ],
)
def test_a_mention_does_not_run_on(text, subject, other, right):
    assert bool(decoded(text, (subject, "作者", other))) is right


def test_a_date_that_runs_on():
    text = "丰田2000年底在华成立，2001年投产"
    assert decoded(text, ("丰田", "成立日期", "2000年底在华成立")).keys() == {("丰田", "成立日期", "2000年")}
    assert decoded(text, ("丰田", "成立日期", "2000年底")).keys() == {("丰田", "成立日期", "2000年底")}
