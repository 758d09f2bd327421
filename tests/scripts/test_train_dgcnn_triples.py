"""The training of triple extraction, run whole on nine sentences: where its loss starts, that it learns them, resumes
exactly, starts from other models, and raises errors.

Everything happens in this process, through `main(argv)`.
"""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("yaml", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")

from huggingface_hub.errors import StrictDataclassError
from whole_runs import TRAINING, copy_as_float16, history, load_script, reset

from hf_kexue import (
    DGCNNConfig,
    DGCNNForMaskedLM,
    DGCNNForTripleExtraction,
    DGCNNTokenizer,
    TripleExtractionPipeline,
    TriplePrior,
)
from hf_kexue.data.triples.folds import fold_of
from hf_kexue.data.triples.known import known_triple_scores, memorised_triples
from hf_kexue.data.triples.reading import read_triples
from hf_kexue.metrics import triple_scores
from hf_kexue.training.arguments import parse_arguments

if not (TRAINING / "train_dgcnn_triples.py").is_file():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)

RIVERS = {"多瑙河": ("黑森林", "黑海"), "莱茵河": ("阿尔卑斯山", "北海"), "长江": ("唐古拉山", "东海")}
COUPLES = {"居里": "玛丽", "鲁迅": "许广平", "钱钟书": "杨绛"}
# Three batches an epoch; rates and decay that change every weight visibly within seven steps.
RUN = [
    "--preset", "triples-fast", "--mixed_precision", "no", "--tracker", "none", "--train_batch_size", "3",
    "--max_train_steps", "7", "--lr_warmup_steps", "2", "--lr_scheduler", "cosine", "--learning_rate", "1e-2",
    "--ema_decay", "0.5", "--logging_steps", "1", "--checkpointing_steps", "1", "--checkpoints_total_limit", "99",
    "--validation_steps", "3", "--drop_after", "0", "--min_count", "1", "--hidden_size", "16",
]  # fmt: skip
LEAN = ["--checkpointing_steps", "999", "--logging_steps", "999"]


def records():
    """Nine sentences with twelve triples of three predicates."""
    for river, (source, sea) in RIVERS.items():
        both = [("发源于", source, "山脉"), ("注入", sea, "海洋")]
        for text, rows in (
            (f"{river}发源于{source}，最后注入{sea}。", both),
            (f"有名的{river}一路向东流去，注入{sea}，沿岸有许多城市。", both[1:]),
        ):
            triples = [
                {"subject": river, "predicate": p, "object": o, "subject_type": "河流", "object_type": kind}
                for p, o, kind in rows
            ]
            yield {"text": text, "spo_list": triples}
    for husband, wife in COUPLES.items():
        triple = {"subject": husband, "predicate": "妻子", "object": wife}
        yield {"text": f"{husband}的妻子是{wife}。", "spo_list": [triple | dict.fromkeys(KINDS, "人物")]}


KINDS = ("subject_type", "object_type")


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "train.jsonl", records())


def arguments(data, output, *options):
    return ["--train", str(data), "--validation", str(data), "--output_dir", str(output), *RUN, *map(str, options)]


def train(script, data, output, *options):
    """One run of the script from a fresh state."""
    reset()
    return script.main(arguments(data, output, *options))


def losses(output):
    return [line["loss"] for line in history(output) if "loss" in line]


def weights(output):
    return load_file(output / "model" / "model.safetensors")


def saved(output):
    return DGCNNForTripleExtraction.from_pretrained(output / "model")


# Everything that draws: dropout, zeroed ids, swapped mentions, sampled subjects.
CHANCE = ["--zero_ids", "0.2", "--gate_dropout", "0.3", "--swap_mentions", "0.7", "--sampling", "one"]


@pytest.fixture(scope="module")
def finished(script, data, tmp_path_factory):
    """A run of seven steps and what it returned."""
    output = tmp_path_factory.mktemp("finished") / "run"
    return output, train(script, data, output, *CHANCE)


# ---- a whole run


def test_what_a_run_leaves(finished):
    output, results = finished
    names = {"checkpoints", "history.jsonl", "manifest.json", "model", "results.json"}
    assert {path.name for path in output.iterdir()} == names
    assert json.loads((output / "results.json").read_text()) == results
    assert (results["steps"], results["sentences"], results["sentences_seen"]) == (7, 9, 21)
    assert (results["triples"], results["predicates"], results["validation_sentences"]) == (12, 3, 9)
    assert results["cpu_seconds"] > 0
    assert results["seconds"] > 0
    lines = history(output)
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6, 7]
    assert [line["samples"] for line in lines if "loss" in line] == [3, 6, 9, 12, 15, 18, 21]
    assert [line["step"] for line in lines if "validation/f1" in line] == [3, 6, 7]
    assert {key: lines[-1][key] for key in lines[-1] if key != "step"}.items() <= results.items()


def test_what_the_manifest_says(script, data, finished):
    output, results = finished
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest.items() <= results.items()
    given = parse_arguments(script.Arguments, TRAINING / "presets", arguments(data, output, *CHANCE))
    assert script.Arguments(**manifest["arguments"]) == given
    model = saved(output)
    assert manifest["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert model.schema == [
        {"predicate": "注入", "subject_types": ["河流"], "object_types": ["海洋"]},
        {"predicate": "发源于", "subject_types": ["河流"], "object_types": ["山脉"]},
        {"predicate": "妻子", "subject_types": ["人物"], "object_types": ["人物"]},
    ]
    assert list(model.config.triple_thresholds) == results["thresholds"]


def test_the_model_holds_averaged_weights(finished):
    last = load_file(finished[0] / "checkpoints" / "checkpoint-7" / "model.safetensors")
    averaged = weights(finished[0])
    assert last.keys() == averaged.keys()
    assert all(not torch.equal(last[key], averaged[key]) for key in last)


def test_without_validation(script, data, tmp_path):
    argv = arguments(data, tmp_path, "--max_train_steps", 2)
    place = argv.index("--validation")
    results = script.main(argv[:place] + argv[place + 2 :])
    assert "validation/f1" not in results
    assert list(saved(tmp_path).config.triple_thresholds) == [0.5, 0.4, 0.5, 0.4]


# ---- the loss: where it starts, and that it falls


@pytest.mark.parametrize(
    ("options", "subject", "object_"),
    [
        (["--predicate_gate", "False", "--character_gate", "False"], 0.5, 0.5),
        (["--predicate_gate", "True", "--character_gate", "False"], 0.5, 0.25),
        (["--predicate_gate", "True", "--character_gate", "True"], 0.25, 0.0625),
        (["--predicate_gate", "False", "--character_gate", "False", "--subject_power", "2", "--object_power", "4"],
         0.25, 0.0625),
    ],
    ids=["plain", "predicate gate", "both gates", "powers"],
)  # fmt: skip
def test_the_loss_starts_where_it_must(script, data, tmp_path, options, subject, object_):
    """Without vectors of any size every sigmoid is 1/2; sums over columns and predicates, means over characters."""
    still = ["--zero_ids", "0", "--gate_dropout", "0", "--hidden_dropout", "0", "--initializer_range", "1e-4"]
    whole = ["--train_batch_size", "9", "--max_train_steps", "1", "--sampling", "all", "--negatives", "False"]
    train(script, data, tmp_path, *still, *whole, "--swap_mentions", "0", *options)
    rows = list(records())
    length = sum(len(row["text"]) for row in rows)
    # One subject a sentence, once in its text: two labels of subjects, two for each triple.
    expected = bce(subject, 2 * len(rows), 2 * length) / length + bce(object_, 2 * 12, 6 * length) / length
    assert losses(tmp_path)[0] == pytest.approx(expected, rel=0.02)


def bce(p, positives, count):
    return -positives * math.log(p) - (count - positives) * math.log(1 - p)


LEARN = [
    *LEAN, "--train_batch_size", "9", "--zero_ids", "0", "--lr_scheduler", "constant_with_warmup",
    "--validation_steps", "999", "--ema_decay", "0.9", "--hidden_size", "32", "--learning_rate", "5e-3",
    "--swap_mentions", "0", "--hidden_dropout", "0", "--gate_dropout", "0",
]  # fmt: skip


@pytest.fixture(scope="module")
def learned(script, data, tmp_path_factory):
    """Each preset with enough steps to know the sentences by heart."""
    runs = {}
    for preset, options in (
        ("triples", ["--sampling", "all", "--prior", "True", "--find_known", "True", "--typed_subjects", "True"]),
        ("triples-fast", ["--sampling", "all", "--subject_power", "2", "--object_power", "4"]),
        ("triples-2019", []),
    ):
        output = tmp_path_factory.mktemp("learned") / preset
        runs[preset] = output, train(script, data, output, "--preset", preset, *LEARN, "--max_train_steps", 80,
                                     *options)  # fmt: skip
    return runs


@pytest.mark.parametrize("preset", ["triples", "triples-fast", "triples-2019"])
def test_the_sentences_are_learned_by_heart(learned, preset):
    _, results = learned[preset]
    assert {results[f"validation/{key}"] for key in ("precision", "recall", "f1")} == {1.0}
    assert results["validation/f1_of_crossed_thresholds"] > 0.9
    counts = {name: row["gold"] for name, row in results["validation/per_predicate"].items()}
    assert counts == {"注入": 6, "发源于": 3, "妻子": 3}


def test_the_scores_are_those_of_the_saved_model(data, finished, learned):
    """Read from the folder, run one by one, with the thresholds of its configuration."""
    for output, results in (finished, *learned.values()):
        pipe = TripleExtractionPipeline(
            model=saved(output), tokenizer=DGCNNTokenizer.from_pretrained(output / "model")
        )
        examples = read_triples(data)
        found = [
            (e.text, [(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in pipe(e.text)])
            for e in examples
        ]
        right = [(e.text, [(t.subject, t.predicate, t.object) for t in e.triples]) for e in examples]
        assert results["validation/f1"] == pytest.approx(triple_scores(found, right)["f1"], rel=1e-12)


def test_memorised_triples_without_training(script, data, finished, tmp_path):
    """A model of which nothing changes but that it finds them."""
    options = ["--init_from", finished[0] / "model", "--max_train_steps", "0", "--find_known", "True"]
    results = train(script, data, tmp_path, *options)
    torch.testing.assert_close(weights(tmp_path), weights(finished[0]), rtol=0, atol=0)
    model, tokenizer = saved(tmp_path), DGCNNTokenizer.from_pretrained(tmp_path / "model")
    assert not model.config.triple_prior
    examples = read_triples(data)
    assert list(model.config.known_triple_scores) == known_triple_scores(
        examples, model.schema, TriplePrior(tokenizer.triple_prior, 3)
    )
    assert tokenizer.triple_prior == memorised_triples(examples, model.schema)
    pipe = TripleExtractionPipeline(model=model, tokenizer=tokenizer)
    found = [
        (e.text, [(t["subject"]["text"], t["predicate"], t["object"]["text"]) for t in pipe(e.text)]) for e in examples
    ]
    right = [(e.text, [(t.subject, t.predicate, t.object) for t in e.triples]) for e in examples]
    assert results["validation/f1"] == pytest.approx(triple_scores(found, right)["f1"], rel=1e-12)
    assert results["validation/f1"] > finished[1]["validation/f1"]


def test_the_prior_is_saved_with_the_model(learned):
    tokenizer = DGCNNTokenizer.from_pretrained(learned["triples"][0] / "model")
    assert len(tokenizer.triple_prior) == 12
    assert ("居里", 2, "玛丽") in map(tuple, tokenizer.triple_prior)
    assert DGCNNTokenizer.from_pretrained(learned["triples-fast"][0] / "model").triple_prior is None


# ---- resuming


@pytest.mark.parametrize("stop", [2, 3, 5], ids=["within epoch 0", "between the epochs", "within epoch 1"])
def test_a_stopped_run_resumes_exactly(script, data, finished, tmp_path, stop):
    """Order of the sentences, sampled subjects, swapped mentions, dropout, optimizer, schedule and average go on."""
    output = tmp_path / "run"
    shutil.copytree(finished[0], output)
    for checkpoint in (output / "checkpoints").iterdir():
        if int(checkpoint.name.partition("-")[2]) > stop:
            shutil.rmtree(checkpoint)
    shutil.rmtree(output / "model")
    (output / "results.json").unlink()
    results = train(script, data, output, *CHANCE)
    torch.testing.assert_close(weights(output), weights(finished[0]), rtol=0, atol=0)
    assert history(output) == history(finished[0])
    assert results["sentences_seen"] == 21


# ---- starting from another model

FROZEN = ["--max_train_steps", "1", "--learning_rate", "0", "--ema_decay", "0", "--validation_steps", "999"]


def test_a_run_from_masked_characters(script, data, tmp_path):
    """Embeddings and blocks of the trunk come from there, and the tokenizer; the head is new."""
    tokenizer = DGCNNTokenizer.from_texts([row["text"] for row in records()], min_count=1)
    shape = {"vocab_size": len(tokenizer), "word_vocab_size": tokenizer.word_vocab_size, "hidden_size": 16}
    donor = DGCNNForMaskedLM(DGCNNConfig(**shape, word_embedding_size=24, dilations=[1, 2, 5, 1, 2, 5]))
    donor.save_pretrained(tmp_path / "donor")
    tokenizer.save_pretrained(tmp_path / "donor")
    train(script, data, tmp_path / "run", *FROZEN, "--init_from", tmp_path / "donor", "--prior", "True")
    trunk, found = donor.dgcnn.state_dict(), weights(tmp_path / "run")
    torch.testing.assert_close({key: found[f"dgcnn.{key}"] for key in trunk}, trunk, rtol=0, atol=0)
    assert len(trunk) > 10
    now = DGCNNTokenizer.from_pretrained(tmp_path / "run" / "model")
    assert now.get_vocab() == tokenizer.get_vocab()
    assert now.word_vocab == tokenizer.word_vocab
    assert len(now.triple_prior) == 12


def test_a_run_from_triples_of_another_schema(script, data, learned, tmp_path):
    """A schema of one's own: what depends on the predicates is new, all else comes along."""
    rows = [{"text": "淮河流经河南。", "spo_list": [{"subject": "淮河", "predicate": "流经", "object": "河南"}]}] * 3
    mine = write(tmp_path / "mine.jsonl", rows)
    donor = learned["triples-fast"][0]
    options = [*FROZEN, "--hidden_size", "32", "--init_from", donor / "model", "--object_power", "4"]
    train(script, mine, tmp_path / "run", *options)
    model = saved(tmp_path / "run")
    assert [entry["predicate"] for entry in model.schema] == ["流经"]
    before, after = weights(donor), weights(tmp_path / "run")
    changed = {key for key in before if before[key].shape != after[key].shape}
    assert {key.split(".")[1] for key in changed} == {"object_pointer", "predicate_gate"}
    for key in before.keys() - changed:
        torch.testing.assert_close(after[key], before[key], rtol=0, atol=0)


def test_a_run_that_adds_a_prior_to_its_donor(script, data, learned, tmp_path):
    """Its network answers as that of the donor, and hears the known triples with weights of zero."""
    donor = learned["triples-fast"][0]
    options = [*FROZEN, "--preset", "triples-fast", "--hidden_size", "32", "--init_from", donor / "model"]
    train(script, data, tmp_path / "run", *options, "--prior", "True")
    before, after = weights(donor), weights(tmp_path / "run")
    for key in ("head.subject_hidden.weight", "head.object_hidden.weight"):
        heard = before[key].shape[1]
        assert after[key][:, heard:].numel() > 0
        assert not after[key][:, heard:].any()
        after[key] = after[key][:, :heard]
    torch.testing.assert_close(after, before, rtol=0, atol=0)


OWN = ("流经", "妻子")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A schema of two predicates, one of them the donor's last."""
    rows = [
        {"text": text, "spo_list": [{"subject": subject, "predicate": predicate, "object": object_}]}
        for text, subject, predicate, object_ in (
            ("淮河流经河南。", "淮河", "流经", "河南"),
            ("淮河流经安徽。", "淮河", "流经", "安徽"),
            ("沈从文的妻子是张兆和。", "沈从文", "妻子", "张兆和"),
            ("朱自清的妻子是陈竹隐。", "朱自清", "妻子", "陈竹隐"),
        )
    ]
    return write(tmp_path_factory.mktemp("own") / "own.jsonl", rows)


@pytest.mark.parametrize("options", [[], ["--prior", "True"], ["--find_known", "True"]], ids=str)
def test_memorised_triples_keep_their_schema(script, own, learned, tmp_path, options, caplog):
    """The donor has 12 for three predicates; it may have more predicates than the run or fewer."""
    caplog.set_level("INFO")
    donor = learned["triples"][0] / "model"
    assert len(DGCNNTokenizer.from_pretrained(donor).triple_prior) == 12
    argv = ["--preset", "triples", "--hidden_size", "32", "--typed_subjects", "False", "--init_from", donor, *options]
    results = train(script, own, tmp_path / "run", *FROZEN, *argv, "--validation", own)
    known = DGCNNTokenizer.from_pretrained(tmp_path / "run" / "model").triple_prior
    mine = sorted(predicate["predicate"] for predicate in saved(tmp_path / "run").schema)
    assert mine == sorted(OWN)
    if options:
        assert sorted(subject for subject, _, _ in known) == ["朱自清", "沈从文", "淮河", "淮河"]
        assert results["validation/known_share"] == 1
    else:
        assert known is None
        assert "validation/known_share" not in results
    assert any("12 memorised triples" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("prior", ["True", "False"])
def test_columns_of_a_prior_go_by_the_name_of_the_predicate(script, own, learned, tmp_path, prior):
    """Subjects have two, objects a start and an end for each predicate after those two; the states' stay."""
    donor = learned["triples"][0]
    argv = ["--preset", "triples", "--hidden_size", "32", "--typed_subjects", "False", "--prior", prior]
    train(script, own, tmp_path, *FROZEN, *argv, "--init_from", donor / "model", "--validation", own)
    before, after = weights(donor), weights(tmp_path)
    old, new = ([entry["predicate"] for entry in saved(run).schema] for run in (donor, tmp_path))
    for name, places in (("subject", 1), ("object", 1 + len(old))):
        layer = f"head.{name}_hidden.weight"
        states = before[layer].shape[1] - 2 * places
        torch.testing.assert_close(after[layer][:, :states], before[layer][:, :states], rtol=0, atol=0)
        if prior == "False":
            assert after[layer].shape[1] == states
            continue
        mine, its = after[layer][:, states:], before[layer][:, states:]
        torch.testing.assert_close(mine[:, :2], its[:, :2], rtol=0, atol=0)
        for number, predicate in enumerate(new if name == "object" else ()):
            for end in (0, 1):
                column = mine[:, 2 + end * len(new) + number]
                if predicate in old:
                    expected = its[:, 2 + end * len(old) + old.index(predicate)]
                    assert expected.any()
                    torch.testing.assert_close(column, expected, rtol=0, atol=0)
                else:
                    assert not column.any()


def test_weights_stored_as_float16_are_trained_in_float32(script, data, finished, tmp_path):
    copy_as_float16(finished[0] / "model", tmp_path / "donor")
    train(script, data, tmp_path / "run", *FROZEN, "--init_from", tmp_path / "donor")
    assert {value.dtype for value in weights(tmp_path / "run").values()} == {torch.float32}


# ---- other ways to run


@pytest.mark.parametrize(
    "options",
    [
        ["--mixed_embedding", "False", "--mixed_precision", "bf16"],
        ["--validation_sentences", "1", "--validation_steps", "1", "--drop_after", "1"],
        ["--sampling", "all", "--typed_subjects", "True", "--object_dilations", "1", "2"],
        ["--max_characters", "12"],
    ],
    ids=["characters in bf16", "one sentence scored", "types and object blocks", "cut"],
)
def test_options(script, data, tmp_path, options):
    results = train(script, data, tmp_path, "--max_train_steps", "2", *options)
    assert results["steps"] == 2
    assert all(map(math.isfinite, losses(tmp_path)))


def test_inverses_and_shares_of_the_data(script, data, tmp_path):
    dry = ["--dry_run"]
    assert train(script, data, tmp_path, *dry)["triples"] == 12
    results = train(script, data, tmp_path, *dry, "--inverse", "妻子=丈夫")
    assert (results["triples"], results["predicates"]) == (15, 4)
    assert train(script, data, tmp_path, *dry, "--symmetric", "妻子")["triples"] == 15
    half = train(script, data, tmp_path, *dry, "--train_share", "0.5")
    assert (half["sentences"], half["validation_sentences"]) == (4, 9)
    folds = [fold_of(example.text, 2) for example in read_triples(data)]
    for fold in (0, 1):
        other = train(script, data, tmp_path, *dry, "--without_fold", f"{fold}/2", "--train_batch_size", "1")
        assert other["sentences"] == folds.count(1 - fold) > 0
        assert other["arguments"]["without_fold"] == f"{fold}/2"


def test_a_schema_of_a_file(script, data, tmp_path, caplog):
    """Triples of other predicates are logged and dropped; scores count them."""
    entry = {"predicate": "妻子", "subject_type": "人物", "object_type": "人物"}
    schema = write(tmp_path / "schema.json", [entry])
    results = train(script, data, tmp_path / "run", *LEARN, "--max_train_steps", 80, "--schema", schema)
    assert [entry["predicate"] for entry in saved(tmp_path / "run").schema] == ["妻子"]
    assert "注入" in caplog.text
    assert results["validation/per_predicate"]["妻子"]["f1"] == 1
    assert results["validation/recall"] == pytest.approx(3 / 12)


# ---- training/publish_dgcnn_triples.py


@pytest.fixture
def publisher():
    pytest.importorskip("jinja2", reason="the extra hf-kexue[train] is not installed")
    publish_dgcnn_triples = load_script("publish_dgcnn_triples")

    return publish_dgcnn_triples


@pytest.fixture
def cards(tmp_path):
    """A folder of cards with the template and the text of the checkout, and none of its models."""
    source = TRAINING.parent / "model_cards"
    (tmp_path / "cards" / "texts").mkdir(parents=True)
    (tmp_path / "cards" / "results").mkdir()
    shutil.copy(source / "_template.md", tmp_path / "cards")
    shutil.copy(source / "texts" / "dgcnn-triples-zh.yaml", tmp_path / "cards" / "texts")
    return tmp_path / "cards"


def measurements(folder):
    """What the benchmarks leave, with figures that the card must quote."""
    folder.mkdir()
    row = {
        "model": "BERT",
        "what": "row",
        "precision": 0.1234,
        "recall": 0.2,
        "f1": 0.3,
        "sentences": 77,
        "triples": 88,
    }
    row |= {"parameters": 99, "sentences_per_second": 12.5, "ours_over_this": 6.25}
    common = {"rows": [row], "environment": {"command": "triples.py --x"}, "steps": 1717, "sentences_per_step": 16}
    speed = {"batch": 32, "threads": 1, "precision": "float32", "rounds": 4242, "characters_per_sentence": 60.5}
    for name in ("speed", "against_bert", "ablation", "data_size"):
        write(folder / f"triples_{name}.json", [common | speed | {"cpu_seconds": 5432.1}])
    (folder / "triples_data_size.png").write_bytes(b"png")
    return folder


def test_publishing(publisher, learned, cards, tmp_path):
    run = learned["triples"][0]
    folder = publisher.publish("dgcnn-triples-zh", [run], measured=tmp_path / "none", cards=cards)
    first = (folder / "README.md").read_text(encoding="utf-8")
    assert "5,432" not in first
    measured, own = measurements(tmp_path / "measured"), learned["triples-fast"][0]
    publisher.publish("dgcnn-triples-zh", [run], own, measured=measured, cards=cards)
    card = (folder / "README.md").read_text(encoding="utf-8")
    for figure in ("5,432", "0.1234", "1717", "4242", "60.5", "data_size.png", "9 sentences", "| 注入 | 1.00 |"):
        assert figure in card, figure
    command = card.split("Stage 1:")[1].split("```")[1]
    assert "accelerate launch training/" in command
    assert (folder / "data_size.png").is_file()
    saved_model = DGCNNForTripleExtraction.from_pretrained(folder)
    torch.testing.assert_close(saved_model.state_dict(), saved(run).state_dict(), rtol=0, atol=0)
    pipe = TripleExtractionPipeline(model=saved_model, tokenizer=DGCNNTokenizer.from_pretrained(folder))
    (triple,) = pipe("居里的妻子是玛丽。")
    assert (triple["subject"]["text"], triple["predicate"], triple["object"]["text"]) == ("居里", "妻子", "玛丽")
    results = json.loads((cards / "results" / "dgcnn-triples-zh.json").read_text(encoding="utf-8"))
    assert results["data_options"]["sampling"] == "all"
    assert results["stages"][0]["cpu_seconds"] > 0


def test_publishing_what_continues_a_published_model(script, publisher, data, learned, cards, tmp_path):
    """Its stages and figures come before; known triples travel as fingerprints and are found as before."""
    first, published = learned["triples-fast"][0], cards / "results" / "dgcnn-triples-zh.json"
    publisher.publish("dgcnn-triples-zh", [first], first, measured=tmp_path, cards=cards)
    continued = json.loads(published.read_text(encoding="utf-8"))
    shutil.copytree(first / "model", cards / "dgcnn-triples-zh", dirs_exist_ok=True)
    donor = cards / "dgcnn-triples-zh"
    train(script, data, tmp_path / "run", "--hidden_size", "32", "--init_from", donor, "--prior", "True")
    edited = json.loads((tmp_path / "run" / "results.json").read_text())
    edited["environment"]["command"] = f"train_dgcnn_triples.py --init_from {donor} --prior True"
    write(tmp_path / "run" / "results.json", [edited])
    options = {"measured": tmp_path, "cards": cards, "continued": continued, "fingerprints": True}
    folder = publisher.publish("dgcnn-triples-zh", [tmp_path / "run"], **options)
    results = json.loads(published.read_text(encoding="utf-8"))
    assert len(results["stages"]) == 2
    assert results["stages"][0] == continued["stages"][0]
    assert f"--init_from outputs/{first.name}/model --prior" in results["stages"][1]["command"]
    assert results["own_schema"] == continued["own_schema"]
    rows = results["tables"][0]["rows"]
    assert [row[0] for row in rows] == ["this model", "after stage 1"]
    words, prints = (DGCNNTokenizer.from_pretrained(place) for place in (tmp_path / "run" / "model", folder))
    assert "玛丽" not in (folder / "triple_prior.txt").read_text(encoding="utf-8")
    one, other = (TriplePrior(tokenizer.triple_prior, 3) for tokenizer in (words, prints))
    for row in records():
        assert one.spans(row["text"]) == other.spans(row["text"]) != []


def test_the_reader_that_a_run_began_with_is_checked(script, publisher, data, finished, cards, monkeypatch, tmp_path):
    monkeypatch.setattr(publisher, "CARDS", cards)
    train(script, data, tmp_path / "run", *FROZEN, "--init_from", finished[0] / "model")
    shutil.copytree(finished[0] / "model", cards / "donor")
    folder = publisher.publish("dgcnn-triples-zh", [tmp_path / "run"], reader="donor", measured=tmp_path, cards=cards)
    results = json.loads((cards / "results" / "dgcnn-triples-zh.json").read_text(encoding="utf-8"))
    assert results["reader"] == "donor"
    assert "../donor/README.md" in (folder / "README.md").read_text(encoding="utf-8")
    shutil.rmtree(folder)
    shutil.copy(tmp_path / "run" / "model" / "model.safetensors", cards / "donor")
    last = load_file(cards / "donor" / "model.safetensors")
    save_file({key: value + 1 for key, value in last.items()}, cards / "donor" / "model.safetensors")
    with pytest.raises(ValueError, match=r"cards.donor"):
        publisher.publish("dgcnn-triples-zh", [tmp_path / "run"], reader="donor", measured=tmp_path, cards=cards)
    assert not folder.exists()


def test_what_is_not_published(publisher, finished, cards, tmp_path):
    with pytest.raises(ValueError, match=r"other\.yaml"):
        publisher.publish("other", [finished[0]], cards=cards)
    run = shutil.copytree(finished[0], tmp_path / "run")
    results = json.loads((run / "results.json").read_text())
    for name, message in (("validation/f1", "--validation"), ("sentences_seen", "sentences_seen")):
        (run / "results.json").write_text(json.dumps({k: v for k, v in results.items() if k != name}))
        with pytest.raises(ValueError, match=message):
            publisher.publish("dgcnn-triples-zh", [run], cards=cards)
    shutil.rmtree(run / "model")
    with pytest.raises(ValueError, match="no weights"):
        publisher.publish("dgcnn-triples-zh", [run], cards=cards)
    assert not (cards / "dgcnn-triples-zh").exists()


# ---- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--train_batch_size", "13"], "9 sentences .*--train_batch_size"),
        (["--train", "nowhere.jsonl"], r"nowhere\.jsonl"),
        (["--validation", "nowhere.jsonl"], r"nowhere\.jsonl"),
        (["--schema", "nowhere.json"], r"nowhere\.json"),
        (["--swap_mentions", "1.5"], r"swap_mentions .*1\.5"),
        (["--train_share", "0"], "--train_share .*0"),
        (["--without_fold", "2/2"], "k/K"),
        (["--inverse", "丈夫"], "--inverse .*got 丈夫"),
        (["--symmetric", "朋友"], "'朋友'"),
        (["--subject_encoder", "lstm"], "subject_encoder"),
        (["--num_attention_heads", "3"], "num_attention_heads"),
    ],
)
def test_bad_arguments_raise(script, data, tmp_path, options, message):
    with pytest.raises((ValueError, FileNotFoundError, StrictDataclassError), match=message):
        train(script, data, tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_no_sentences(script, tmp_path):
    with pytest.raises(ValueError, match="--train"):
        script.main(["--output_dir", str(tmp_path / "run"), *RUN])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--preset", "triples-2020"],
            "'triples-2020'",
        ),
        (["--preset", "reader"], "reader.yaml"),
        (["--sampling", "two"], "'two'"),
    ],
    ids=["preset", "preset of another script", "choice"],
)
def test_unknown_names_are_usage_messages(script, data, tmp_path, options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        train(script, data, tmp_path / "run", *options)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("sampling", ["one", "all"])
def test_accumulated_gradients_are_those_of_one_batch(script, data, tmp_path, sampling):
    """Three micro batches of unequal texts and numbers of subjects in a group of four, which the end of the epoch
    cuts, against all nine sentences at once. At a rate of 0 and without dropout both see one network."""
    still = ["--max_train_steps", 2, "--learning_rate", 0, "--gate_dropout", 0, "--hidden_dropout", 0, "--zero_ids", 0]
    options = [*still, "--sampling", sampling, "--max_grad_norm", 1e9, "--lr_warmup_steps", 0]
    train(script, data, tmp_path / "many", *options, "--gradient_accumulation_steps", 4)
    train(script, data, tmp_path / "one", *options, "--train_batch_size", 9)
    many, one = ([line for line in history(tmp_path / name) if "loss" in line] for name in ("many", "one"))
    assert [line["samples"] for line in many] == [line["samples"] for line in one] == [9, 18]
    for key in ("loss", "gradient_norm"):
        assert [line[key] for line in many] == pytest.approx([line[key] for line in one], rel=1e-5)
