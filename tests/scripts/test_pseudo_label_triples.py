"""training/pseudo_label_triples.py: which triples are sure, what is kept out, and labels of the published network."""

import hashlib
import json

import pytest

pytest.importorskip("yaml", reason="PyYAML is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")

from whole_runs import TRAINING, load_script

from hf_kexue.data.texts.reading import read_texts
from hf_kexue.data.triples.folds import fold_of
from hf_kexue.data.triples.reading import Triple, TripleExample, read_triples

if not (TRAINING / "pseudo_label_triples.py").is_file():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)

PUBLISHED = str(TRAINING.parent / "model_cards" / "dgcnn-triples-zh")
SHARED = TRAINING.parents[1] / "shared" / "data"
NOVEL = "《邪少兵王》是冰火未央写的网络小说，连载于旗峰天下。"
WRITER = ("邪少兵王", "作者", "冰火未央")
SILENT = "今天的天气很好，他们一直走到天黑才回来。"


@pytest.fixture(scope="module")
def script():
    return load_script("pseudo_label_triples")


@pytest.fixture(scope="module")
def network(script):
    return script.Network(PUBLISHED, 0.4)


def test_what_is_sure_and_what_is_doubtful(script):
    a, b, c, d, e = (("甲", "作者", name) for name in "abcde")
    one = {a: (0.9, True), b: (0.7, True), c: (0.9, False), d: (0.3, True)}
    two = {a: (0.5, True), c: (0.8, True), d: (0.2, True), e: (0.8, True)}
    assert script.judged([one, two], set(), 0.6) == ([a], [b, c, d, e])
    assert script.judged([one, two], {b, c}, 0.6) == ([a, b, c], [d, e])  # known ones lack a voice
    assert script.judged([one, two], {d}, 0.2) == ([a, d], [b, c, e])
    assert script.judged([one], {c}, 0.6) == ([a, b], [c, d])  # a lone network must find it
    assert script.judged([{}, {}], {a}, 0.6) == ([], [])


def test_what_is_measured_is_kept_out(script):
    long = "周星驰主演的喜剧之王由李力持执导，于一九九九年上映。"
    excluded = script.Excluded([long, "海子，原名查海生"], [("华为", "任正非")])
    held = ["他说" + long[2:22], long, long[3:12], "诗人海子，原名查海生，生于安徽。", "任正非说，华为不会上市。"]
    assert [excluded.holds(text) for text in held] == [True] * 5
    free = ["他说" + long[2:21] + "啊", "海子，原名查", "任正非说，他不会去。", "任正非、中兴"]
    assert [excluded.holds(text) for text in free] == [False, True, False, False]  # the second lies in a text
    text = f"{NOVEL}{long}{SILENT}短句。{SILENT}" + "很" * 129 + "。"
    assert script.sentences_of([text], excluded) == [NOVEL, SILENT]


def test_labels_of_a_network(script, network):
    """All triples are sure at a probability that the network gives, and not all above it."""
    found = network.read([NOVEL, SILENT])
    assert WRITER in found[0]
    assert found[1] == {}
    scores = network.pipeline(NOVEL, known_threshold=1.0)
    for given in scores:
        key = (given["subject"]["text"], given["predicate"], given["object"]["text"])
        assert found[0][key] == (pytest.approx(given["score"], abs=1e-5), True)
    arguments = [network], [NOVEL, SILENT], set()
    lowest = min(score for score, _ in found[0].values())
    labelled = script.label_texts(*arguments, lowest - 0.01, 1.0, 0)
    assert [example.text for example in labelled] == [NOVEL, SILENT]
    keys = {(t.subject, t.predicate, t.object) for t in labelled[0].triples}
    assert keys == found[0].keys()
    assert labelled[1].triples == []
    assert [e.text for e in script.label_texts(*arguments, lowest - 0.01, 0.0, 0)] == [NOVEL]
    assert script.label_texts(*arguments, lowest + 0.01, 1.0, 0) == []  # one doubtful triple leaves the sentence out


def test_the_command_writes_training_data(script, tmp_path):
    texts, output = tmp_path / "texts.txt", tmp_path / "pseudo.jsonl"
    measured = "鲁迅的本名是周树人，他出生在浙江绍兴的一个家庭。"
    texts.write_text(f"{NOVEL}{measured}\n{SILENT}\n", encoding="utf-8")
    exclude = tmp_path / "exclude.txt"
    exclude.write_text(measured + "\n", encoding="utf-8")
    options = ["--texts", str(texts), "--exclude", str(exclude), "--probability", "0.1", "--empty", "1"]
    script.main(["--models", PUBLISHED, PUBLISHED, *options, "--output", str(output)])
    examples = read_triples(output)
    assert [example.text for example in examples] == [NOVEL, SILENT]
    assert WRITER in {(t.subject, t.predicate, t.object) for t in examples[0].triples}
    assert examples[1].triples == []


def test_no_label_of_a_fold_comes_from_a_network_that_learned_it(script, network, tmp_path):
    """The network of one fold finds nothing, so that sentences of this fold gain nothing."""
    deaf = script.Network(PUBLISHED, 1.0)
    deaf.low = deaf.own = {"subject_threshold": 1.0, "object_threshold": 1.0}
    known = Triple("邪少兵王", "连载网站", "旗峰天下")
    examples = [TripleExample(str(n), NOVEL.replace("《", f"第{n}本是《", 1), [known]) for n in range(12)]
    folds = [fold_of(example.text, 2) for example in examples]
    assert set(folds) == {0, 1}
    for fold, networks in enumerate(([network, deaf], [deaf, network])):
        completed = script.cross_fitted(networks, examples, 0.3)
        assert [(one.id, one.text, one.triples[0]) for one in completed] == [(e.id, e.text, known) for e in examples]
        gained = [example for example in completed if len(example.triples) > 1]
        assert {example.id for example in gained} == {str(n) for n, own in enumerate(folds) if own == fold}
        for example in gained:
            new = {(t.subject, t.predicate, t.object) for t in example.triples[1:]}
            assert WRITER in new
            assert ("邪少兵王", "连载网站", "旗峰天下") not in new


def test_folds_are_those_of_the_runs(script, tmp_path):
    folders = [tmp_path / name / "model" for name in "ab"]
    for folder, fold in zip(folders, ("0/2", "1/2")):
        folder.mkdir(parents=True)
        results = {"arguments": {"without_fold": fold}}
        (folder.parent / "results.json").write_text(json.dumps(results), encoding="utf-8")
    script.check_folds(list(map(str, folders)))
    with pytest.raises(ValueError, match="--without_fold 0/2"):
        script.check_folds(list(map(str, folders[::-1])))
    with pytest.raises(ValueError, match="at least two"):
        script.check_folds([str(folders[0])])
    (folders[1].parent / "results.json").unlink()
    with pytest.raises(ValueError, match=r"results\.json"):
        script.check_folds(list(map(str, folders)))
    options = ["--cross_fit", "x.jsonl", "--output", str(tmp_path / "out.jsonl")]
    with pytest.raises(ValueError, match="--fold_models"):
        script.main(options)
    with pytest.raises(ValueError, match="--texts"):
        script.main(["--models", PUBLISHED, *options])
    with pytest.raises(ValueError, match="--cross_fit"):
        script.main(["--models", PUBLISHED, "--texts", "x.txt", "--fold_models", "a", "b", *options[2:]])
    with pytest.raises(ValueError, match=f"{tmp_path.name} is a folder"):
        script.main(["--models", PUBLISHED, "--texts", "x.txt", "--output", str(tmp_path)])


def test_a_fold_begins_with_no_network_that_learned_it(script, tmp_path):
    """A reader may be what it begins with, or an earlier stage without the fold; not a network of all sentences."""

    def run(name, fold, **arguments):
        folder = tmp_path / name / "model"
        folder.mkdir(parents=True)
        results = {"arguments": {"without_fold": fold, "init_from": None, "blend_with": None, **arguments}}
        (folder.parent / "results.json").write_text(json.dumps(results), encoding="utf-8")
        (folder / "config.json").write_text('{"architectures": ["DGCNNForTripleExtraction"]}', encoding="utf-8")
        return str(folder)

    reader = str(TRAINING.parent / "model_cards" / "dgcnn-qa-zh-wide")
    whole, first = run("whole", "", init_from=reader), run("first", "0/2", init_from=reader)
    good, other = run("good", "0/2", init_from=first), run("other", "1/2", init_from=reader)
    script.check_folds([good, other])
    for name, arguments in {"from": {"init_from": whole}, "mean": {"init_from": first, "blend_with": whole}}.items():
        with pytest.raises(ValueError, match="whole/model must be trained with --without_fold 0/2"):
            script.check_folds([run(name, "0/2", **arguments), other])


def test_a_predicate_of_one_network_alone(script, network, monkeypatch):
    """A known triple may lack the voice of a network whose schema has no such predicate."""
    lone = ("甲", "only here", "乙")
    other = script.Network(PUBLISHED, 0.4)
    other.schema = [*network.schema, {"predicate": "only here", "subject_types": ["人物"], "object_types": ["a", "b"]}]
    monkeypatch.setattr(network, "read", lambda sentences: [{}])
    monkeypatch.setattr(other, "read", lambda sentences: [{lone: (0.9, True)}])
    (labelled,) = script.label_texts([network, other], ["甲乙"], {lone}, 0.5, 0.0, 0)
    assert labelled.triples == [Triple(*lone, "人物", "")]


def test_simplified_texts_of_the_evaluation_are_kept_out(script, tmp_path, monkeypatch):
    pytest.importorskip("opencc", reason="opencc is not installed")
    measured = "這條鐵路從臺北開往東邊的海岸，沿線的車站都很古老。"
    texts, output = tmp_path / "texts.txt", tmp_path / "pseudo.jsonl"
    texts.write_text(f"{measured}\n{SILENT}\n", encoding="utf-8")
    (tmp_path / "exclude.txt").write_text(measured + "\n", encoding="utf-8")
    options = ["--exclude", str(tmp_path / "exclude.txt"), "--simplify", "--empty", "1", "--probability", "0.1"]
    seen = []
    monkeypatch.setattr(
        script.Network, "read", lambda self, sentences: seen.extend(sentences) or [{} for _ in sentences]
    )
    script.main(["--models", PUBLISHED, "--texts", str(texts), *options, "--output", str(output)])
    assert seen == [SILENT]


def test_no_measured_text_is_read(script):
    """By hashes, where the data sets are at hand: no passage and no sentence of the validation splits of CMRC 2018 and
    DuIE 2.0, nor a plain sentence, is among the sentences to be labelled."""
    sources = [SHARED / "cmrc2018", SHARED / "duie2"]
    plain = [script.PLAIN / name for name in ("test.jsonl", "mentioned.jsonl")]
    if not all(source.is_dir() for source in sources):
        pytest.skip("DuIE and CMRC 2018 are not at hand")
    measured = [text for source in sources for text in read_texts(source, "validation")]
    measured += [text for path in plain for text in read_texts(path)]
    parts = script.sentences_of(measured, script.Excluded([]))

    def hashes(texts):
        return {hashlib.sha256(text.strip().encode()).digest() for text in texts}

    kept = script.sentences_of(read_texts(sources[0] / "trial.jsonl.gz") + measured[:50], script.Excluded(measured))
    assert len(kept) > 2900
    assert hashes(kept).isdisjoint(hashes(measured) | hashes(parts))
    assert len(hashes(parts)) > 10_000
