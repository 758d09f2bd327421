"""training/template_sentences.py: what it writes, and what it keeps out; the plain sentences of the benchmark."""

import hashlib
import json
import re

import pytest

pytest.importorskip("yaml", reason="PyYAML is not installed")

from whole_runs import TRAINING, load_script

from hf_kexue.data.triples.reading import Triple, TripleExample, read_triples
from hf_kexue.data.triples.schemas import build_schema
from hf_kexue.inference.triple_constraints import learn_constraints

if not (TRAINING / "template_sentences.py").is_file():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)

MENTIONS = TRAINING / "data" / "mention-templates-zh.yaml"
FOLDER = TRAINING / "data" / "plain-triples-zh"
SHARED = TRAINING.parents[1] / "shared" / "data"
TYPES = {
    "创始人": ("企业", "人物"), "校长": ("学校", "人物"), "导演": ("影视作品", "人物"), "歌手": ("歌曲", "人物"),
    "作者": ("图书作品", "人物"), "成立日期": ("机构", "Date"), "首都": ("国家", "城市"),
}  # fmt: skip


@pytest.fixture(scope="module")
def script():
    return load_script("template_sentences")


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Triples with the mentions that fill the templates, among them some of the plain sentences."""
    names = {
        "人物": ["张三", "李四", "王小五", "赵六", "任正非", "蔡元培", "余华"],
        "企业": ["甲公司", "华为", "乙集团", "丙影视公司", "丁文化传媒"],
        "学校": ["北京大学", "戊大学", "己中学"],
        "影视作品": ["活着", "庚传", "辛记"],
        "歌曲": ["壬歌", "癸曲"],
        "图书作品": ["子书", "丑书"],
        "机构": ["寅会"],
        "Date": ["1990年"],
        "国家": ["法国"],
        "城市": ["巴黎"],
    }
    spo = [
        {"subject": one, "predicate": name, "object": two, "subject_type": kinds[0], "object_type": kinds[1]}
        for name, kinds in TYPES.items()
        for one in names[kinds[0]]
        for two in names[kinds[1]]
    ]
    path = tmp_path_factory.mktemp("train") / "train.jsonl"
    path.write_text(json.dumps({"text": "一句话", "spo_list": spo}, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def written(script, train):
    output = train.with_name("templates.jsonl")
    script.main(["--train", str(train), "--sentences", "600", "--output", str(output)])
    return read_triples(output)


def test_sentences_are_training_data(written):
    assert len({example.text for example in written}) == 600
    assert not any(mark in example.text for example in written for mark in "{}[]|")
    assert all(mention in e.text for e in written for t in e.triples for mention in (t.subject, t.object))
    counts = {name: sum(t.predicate == name for e in written for t in e.triples) for name in ("首都", "校长", "海拔")}
    assert min(counts.values()) >= 5
    assert sum(not example.triples for example in written) >= 30  # only mentioned together


def test_the_seed_decides(script, train, written, tmp_path):
    for seed, same in ((0, True), (1, False)):
        output = tmp_path / f"{seed}.jsonl"
        script.main(["--train", str(train), "--sentences", "600", "--seed", str(seed), "--output", str(output)])
        assert ([e.text for e in read_triples(output)] == [e.text for e in written]) is same


def test_what_is_measured_is_not_trained(script, written):
    """No sentence, subject, pair or wording of the plain sentences, no wording of the generated ones."""
    plain = read_triples(FOLDER / "test.jsonl")
    pairs = {(t.subject, t.object) for example in plain for t in example.triples}
    assert len(pairs) > 80
    for example in written:
        assert not [pair for pair in pairs if pair[0] in example.text and pair[1] in example.text]
        assert pairs.isdisjoint((t.subject, t.object) for t in example.triples)
    texts = {example.text for example in [*plain, *read_triples(FOLDER / "mentioned.jsonl")]}
    assert texts.isdisjoint(example.text for example in written)
    assert {script.wording(example) for example in plain}.isdisjoint(map(script.wording, written))
    source = script.yaml.safe_load(script.TEMPLATES.read_text(encoding="utf-8"))
    facts = {tuple(row.split()[:2]) for rows in source["facts"].values() for row in rows}
    assert pairs.isdisjoint(facts)
    frames = {
        re.sub(r"\{\w+\}", "", t.text) for some in script.read_templates(script.TEMPLATES).values() for t in some
    }
    mentioned = script.yaml.safe_load((FOLDER / "mentioned.yaml").read_text(encoding="utf-8"))["wordings"]
    assert frames.isdisjoint(re.sub(r"\{\w+\}", "", wording) for wording in mentioned)


@pytest.fixture(scope="module")
def mentions(script, train):
    """Sentences that only mention things together, as for the published model."""
    output = train.with_name("mentions.jsonl")
    options = ["--templates", str(MENTIONS), "--exclude_names", str(FOLDER / "mentioned.yaml")]
    script.main(["--train", str(train), *options, "--sentences", "900", "--output", str(output)])
    return read_triples(output)


def test_mentions_are_sentences_without_triples(mentions):
    assert len({example.text for example in mentions}) == 900
    assert not any(example.triples for example in mentions)
    assert not any(mark in example.text for example in mentions for mark in "{}[]|")


def test_mentions_are_not_those_of_the_evaluation(script, mentions):
    """By hashes of texts; and no name and no wording of mentioned.yaml is in a sentence."""
    measured = [e.text for name in ("mentioned.jsonl", "test.jsonl") for e in read_triples(FOLDER / name)]
    hashes = [{hashlib.sha256(text.encode()).digest() for text in texts}
              for texts in (measured, [example.text for example in mentions])]  # fmt: skip
    assert len(hashes[0]) == 582
    assert hashes[0].isdisjoint(hashes[1])
    source = script.yaml.safe_load((FOLDER / "mentioned.yaml").read_text(encoding="utf-8"))
    names = {name for text in source["names"].values() for name in text.split()}
    assert len(names) > 150
    assert not [name for example in mentions for name in names if name in example.text]
    wordings = [re.sub(r"\\{\w+\\}", "[^，。？]+", re.escape(wording)) for wording in source["wordings"]]
    assert all(any(re.fullmatch(wording, text) for wording in wordings) for text in measured[:500])
    assert not [e.text for e in mentions if any(re.fullmatch(wording, e.text) for wording in wordings)]


def test_mentions_leave_room_for_names(script, train, tmp_path):
    """Names that all templates need cannot all be kept out."""
    names = tmp_path / "names.yaml"
    names.write_text("names:\n  marks: 。 ？ ，\n", encoding="utf-8")
    options = ["--templates", str(MENTIONS), "--exclude_names", str(names), "--sentences", "9"]
    with pytest.raises(ValueError, match="--exclude_names"):
        script.main(["--train", str(train), *options, "--output", str(tmp_path / "out.jsonl")])


@pytest.mark.parametrize(
    ("templates", "expected"),
    [
        ("[第一|第二]天下雨。", "'a' gives no new sentence after 2"),
        ("{school}和{school2}、{school3}、{school4}。", "too few mentions of type 学校 for the slot 'school'"),
    ],
)
def test_templates_of_few_sentences_end_with_an_error(script, train, tmp_path, templates, expected):
    """Whatever cannot be drawn: it does not try forever."""
    path = tmp_path / "templates.yaml"
    path.write_text(f'templates:\n  a:\n  - triples: ""\n    texts: ["{templates}"]\n', encoding="utf-8")
    options = ["--templates", str(path), "--sentences", "3", "--output", str(tmp_path / "out.jsonl")]
    with pytest.raises(ValueError, match=expected):
        script.main(["--train", str(train), *options])
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("templates", "names:\n  a: b\n"), ("templates", "templates:\n  a:\n  - texts: [雨]\n"), ("templates", ""),
        ("templates", "templates: {}\n"), ("templates", "templates: ["),
        ("names", "a: b\n"), ("names", "names: [a]\n"),
    ],
)  # fmt: skip
def test_files_of_another_form_are_named(script, train, tmp_path, option, text):
    path = tmp_path / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    option = {"templates": "--templates", "names": "--exclude_names"}[option]
    with pytest.raises(ValueError, match=r"odd\.yaml must hold"):
        script.main(["--train", str(train), option, str(path), "--output", str(tmp_path / "out.jsonl")])


def test_validation_texts_are_in_no_training(written, script):
    """By hashes, where the data sets are at hand."""
    sources = [SHARED / name for name in ("duie2", "cmrc2018", "duie1")]
    if not all(source.is_dir() for source in sources):
        pytest.skip("DuIE and CMRC 2018 are not at hand")
    hashes = [
        {hashlib.sha256(text.strip().encode()).digest() for text in texts}
        for texts in (
            [e.text for e in read_triples(sources[0], "validation")],
            [e.text for source in (sources[0], sources[2]) for e in read_triples(source, "train")],
            [e.text for e in written],
            [e.text for e in read_triples(FOLDER / "test.jsonl")],
        )
    ]
    assert hashes[0].isdisjoint(hashes[1] | hashes[2])
    assert hashes[3].isdisjoint(hashes[1] | hashes[2])


def test_generated_sentences_come_from_their_script(tmp_path):
    records = [json.loads(line) for line in (FOLDER / "mentioned.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({record["text"] for record in records}) == len(records) == 500
    assert all(record["spo_list"] == [] for record in records)
    for name in ("write_mentioned.py", "mentioned.yaml"):
        (tmp_path / name).write_text((FOLDER / name).read_text(encoding="utf-8"), encoding="utf-8")
    space = {"__file__": str(tmp_path / "write_mentioned.py"), "__name__": "written_again"}
    exec(compile((tmp_path / "write_mentioned.py").read_text(encoding="utf-8"), "write_mentioned.py", "exec"), space)
    space["main"]()
    assert (tmp_path / "mentioned.jsonl").read_bytes() == (FOLDER / "mentioned.jsonl").read_bytes()


def test_plain_sentences_hold_what_they_ask_for():
    for line in (FOLDER / "test.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        for triple in [*record["spo_list"], *record.get("also", ())]:
            assert triple["subject"] in record["text"]
            assert triple["object"] in record["text"]


def test_constraints_are_what_nearly_all_sentences_keep_to():
    def example(number, *triples):
        return TripleExample(str(number), "", [Triple(*triple) for triple in triples])

    examples = [
        example(
            n, ("甲", "妻子", "乙"), ("乙", "丈夫", "甲"), ("会", "成立日期", f"19{n}年"), ("剧", "主演", "丁"),
            ("剧", "主演", "戊"), ("山", "海拔", f"{n}.5米"), ("书", "作者", "己、庚"),
        )
        for n in range(50, 100)
    ]  # fmt: skip
    schema = [{"predicate": "妻子", "cardinality": "many"}, *build_schema(examples)]
    learned = {entry["predicate"]: entry for entry in reversed(learn_constraints(schema, examples))}
    keys = ("cardinality", "inverse_of", "object_format", "object_lists")
    assert {name: [entry.get(key) for key in keys] for name, entry in learned.items()} == {
        "妻子": ["many", "丈夫", None, False],  # what an entry says stays
        "丈夫": ["one", "妻子", None, False],
        "成立日期": ["one", None, "date", False],
        "主演": [None, None, None, False],
        "海拔": ["one", None, "quantity", False],
        "作者": ["one", None, None, None],
    }
    assert learn_constraints(build_schema(examples), examples[:9])[0].keys() == build_schema(examples)[0].keys()
    with pytest.raises(ValueError, match=r"share"):
        learn_constraints(schema, examples, 0)
