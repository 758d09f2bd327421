"""The reader's training, run whole on a dozen questions: where its loss starts, that it learns them, resumes exactly,
returns to the best weights, starts from other models, and raises errors.

Everything happens in this process, through `main(argv)`.
"""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("yaml", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")
pytest.importorskip("nltk", reason="the extra hf-kexue[metrics] is not installed")

from huggingface_hub.errors import StrictDataclassError
from whole_runs import TRAINING, copy_as_float16, history, reset

from hf_kexue import (
    DGCNNConfig,
    DGCNNForMaskedLM,
    DGCNNForQuestionAnswering,
    DGCNNTokenizer,
    ReadingComprehensionPipeline,
    cmrc2018_scores,
)
from hf_kexue.data.questions.reading import read_qa
from hf_kexue.training.arguments import parse_arguments

if not (TRAINING / "train_dgcnn_qa.py").is_file():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)

RIVERS = {
    "多瑙河": ("黑森林", "黑海"),
    "莱茵河": ("阿尔卑斯山", "北海"),
    "长江": ("唐古拉山", "东海"),
    "黄河": ("巴颜喀拉山", "渤海"),
}
# Four batches an epoch; rates and decay that change every weight visibly within seven steps.
RUN = [
    "--mixed_precision", "no", "--tracker", "none", "--train_batch_size", "3", "--max_train_steps", "7",
    "--lr_warmup_steps", "2", "--learning_rate", "1e-2", "--ema_decay", "0.5", "--logging_steps", "1",
    "--checkpointing_steps", "1", "--checkpoints_total_limit", "99", "--validation_steps", "3",
    "--max_characters", "40", "--min_count", "1",
]  # fmt: skip
SMALL = ["--hidden_size", "16"]
LEAN = ["--checkpointing_steps", "999", "--logging_steps", "999"]


def records():
    """Twelve questions on four passages, each with its answer once."""
    for river, (source, sea) in RIVERS.items():
        context = f"{river}是一条有名的河流，它发源于{source}，一路向东流去，最后注入{sea}，沿岸有许多城市。"
        for question, answer in (
            (f"{river}发源于哪里？", source),
            (f"{river}注入什么海？", sea),
            ("这是什么河？", river),
        ):
            answers = {"text": [answer], "answer_start": [context.index(answer)]}
            yield {"id": f"{river} {answer}", "question": question, "context": context, "answers": answers}


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """`train.jsonl`, `few.jsonl` with eight of its questions, and `hopeless.jsonl`, whose answers nobody finds."""
    folder = tmp_path_factory.mktemp("data")
    rows = list(records())
    write(folder / "train.jsonl", rows)
    write(folder / "few.jsonl", [row for row in rows if "发源" not in row["question"]])
    passages = [{"passage": rows[0]["context"], "answer": ["Q"]}, {"passage": rows[3]["context"], "answer": []}]
    write(folder / "hopeless.jsonl", [{"id": "0", "question": "为什么？", "passages": passages}])
    return folder


def arguments(data, output, *options):
    return [
        "--train", str(data / "train.jsonl"), "--validation", str(data / "train.jsonl"),
        "--output_dir", str(output), *RUN, *SMALL, *map(str, options),
    ]  # fmt: skip


def train(script, data, output, *options):
    """One run of the script from a fresh state."""
    reset()
    return script.main(arguments(data, output, *options))


def losses(output):
    return [line["loss"] for line in history(output) if "loss" in line]


def weights(output):
    return load_file(output / "model" / "model.safetensors")


def assert_same_run(resumed, whole):
    """Bit for bit: averaged weights and every logged figure."""
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=0)
    assert history(resumed) == history(whole)


def stop_after(output, step):
    """What lies there when a run dies right after a checkpoint: nothing that came later, but lines of the history."""
    for checkpoint in (output / "checkpoints").iterdir():
        if int(checkpoint.name.partition("-")[2]) > step:
            shutil.rmtree(checkpoint)
    shutil.rmtree(output / "model")
    (output / "results.json").unlink()


# Everything that draws: dropout, noise, zeroed ids, cuts, joined passages, made-up questions.
CHANCE = ["--zero_ids", "0.2", "--gate_noise", "0.1", "--concatenate", "0.4", "--cloze_share", "0.3"]


@pytest.fixture(scope="module")
def finished(script, data, tmp_path_factory):
    """A run of seven steps and what it returned."""
    output = tmp_path_factory.mktemp("finished") / "run"
    return output, train(script, data, output, *CHANCE)


# ---- a whole run


def test_what_a_run_leaves(script, data, finished):
    output, results = finished
    assert {path.name for path in output.iterdir()} == {
        "checkpoints", "history.jsonl", "manifest.json", "model", "results.json",
    }  # fmt: skip
    assert json.loads((output / "results.json").read_text()) == results
    assert (results["steps"], results["questions"], results["questions_seen"]) == (7, 12, 21)
    assert (results["texts"], results["validation_questions"]) == (4, 12)
    assert results["cpu_seconds"] > 0
    assert results["seconds"] > 0
    lines = history(output)
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6, 7]
    assert [line["samples"] for line in lines if "loss" in line] == [3, 6, 9, 12, 15, 18, 21]
    assert [line["step"] for line in lines if "validation/f1" in line] == [3, 6, 7]
    assert {key: lines[-1][key] for key in lines[-1] if key != "step"}.items() <= results.items()
    # Two steps of warm-up, then a half cosine down to zero at the last step.
    curve = [0.5, 1.0] + [0.5 * (1 + math.cos(math.pi * k / 5)) for k in range(1, 6)]
    rates = [line["learning_rate"] for line in lines if "loss" in line]
    assert rates == pytest.approx([1e-2 * factor for factor in curve], abs=1e-12)


def test_what_the_manifest_says(script, data, finished):
    output, results = finished
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest.items() <= results.items()
    given = parse_arguments(script.Arguments, TRAINING / "presets", arguments(data, output, *CHANCE))
    assert script.Arguments(**manifest["arguments"]) == given
    model = DGCNNForQuestionAnswering.from_pretrained(output / "model")
    assert manifest["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    tables = model.dgcnn.embeddings.characters.weight.numel() + model.dgcnn.embeddings.words.weight.numel()
    assert manifest["parameters_without_embeddings"] == manifest["parameters"] - tables


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
    assert [set(line) & {"loss", "samples"} for line in history(tmp_path)] == [{"loss", "samples"}] * 2


def test_the_scores_are_those_of_the_saved_model(script, data, finished, learned):
    """Read from the folder, run one by one, with the context in place of passages."""
    for output, results in (finished, learned["reader"]):
        qa = ReadingComprehensionPipeline(
            model=DGCNNForQuestionAnswering.from_pretrained(output / "model"),
            tokenizer=DGCNNTokenizer.from_pretrained(output / "model"),
        )
        examples = read_qa(results["arguments"]["validation"])
        found = {e.id: qa(question=e.question, context=e.passages[0])["answer"] for e in examples}
        scores = cmrc2018_scores(found, {e.id: e.answers[0] for e in examples})
        assert (scores["total"], scores["missing"]) == (len(examples), 0)
        for key in ("exact_match", "f1"):
            assert results[f"validation/{key}"] == pytest.approx(scores[key], rel=1e-12)


# ---- the loss: where it starts, and that it falls

STILL = ["--zero_ids", "0", "--gate_dropout", "0", "--hidden_dropout", "0", "--initializer_range", "0.001"]
FIRST = [*STILL, "--train_batch_size", "12", "--max_train_steps", "1", "--max_characters", "999"]
P = 0.25  # two sigmoids of zero


@pytest.mark.parametrize(
    ("options", "positive", "negative"),
    [
        (["--output", "tagging"], 0.25 * (1 - P) ** 2 * -math.log(P), 0.75 * P**2 * -math.log(1 - P)),
        (["--output", "tagging", "--loss", "bce"], -math.log(P), -math.log(1 - P)),
    ],
    ids=["focal", "bce"],
)
def test_the_tagging_loss_starts_where_it_must(script, data, tmp_path, options, positive, negative):
    """Without vectors of any size, each character is a start with 1/4, and an end with 1/4."""
    train(script, data, tmp_path, "--preset", "reader-2019", *FIRST, *options)
    size = sum(len(row["context"]) for row in records())
    expected = 2 * (12 * positive + (size - 12) * negative) / size
    assert losses(tmp_path)[0] == pytest.approx(expected, rel=0.01)


def test_the_span_loss_starts_where_it_must(script, data, tmp_path):
    """Start and end anywhere in the passage, answerable or not: 2 log L + log 2."""
    train(script, data, tmp_path, "--preset", "reader", *FIRST)
    mean = sum(math.log(len(row["context"])) for row in records()) / 12
    assert losses(tmp_path)[0] == pytest.approx(2 * mean + math.log(2), rel=0.01)


LEARN = [
    *LEAN, "--train_batch_size", "8", "--zero_ids", "0", "--lr_scheduler", "constant_with_warmup", "--drop_after",
    "0", "--validation_steps", "999", "--ema_decay", "0.9", "--hidden_size", "32", "--without_answer", "0",
    "--learning_rate", "3e-3",
]  # fmt: skip


@pytest.fixture(scope="module")
def learned(script, data, tmp_path_factory):
    """Each preset with enough steps to know eight questions by heart, two on each passage.

    With the four about sources in place of those about names, reader-2019 stays where both places of a passage have
    a probability near 1 and the answerability splits the difference: sigmoids that are 1 pass no gradient on.
    """
    few = ["--train", data / "few.jsonl", "--validation", data / "few.jsonl"]
    runs = {}
    for preset, steps in (("reader", 60), ("reader-2019", 150)):
        output = tmp_path_factory.mktemp("learned") / preset
        options = ["--preset", preset, *few, *LEARN, "--max_train_steps", steps]
        runs[preset] = output, train(script, data, output, *options)
    return runs


@pytest.mark.parametrize("preset", ["reader", "reader-2019"])
def test_eight_questions_are_learned_by_heart(learned, preset):
    _, results = learned[preset]
    assert results["validation/exact_match"] == 100
    assert results["validation/f1"] == 100


# ---- resuming


@pytest.mark.parametrize("stop", [2, 4, 5], ids=["within epoch 0", "between the epochs", "within epoch 1"])
def test_a_stopped_run_resumes_exactly(script, data, finished, tmp_path, stop):
    """Order of the questions, cuts, zeroed ids, dropout, noise, optimizer, schedule and average go on."""
    output = tmp_path / "run"
    shutil.copytree(finished[0], output)
    stop_after(output, stop)
    results = train(script, data, output, *CHANCE)
    assert_same_run(output, finished[0])
    assert results["questions_seen"] == 21


def test_a_resumed_run_uses_the_new_learning_rate(script, data, tmp_path):
    """The message about a loss that is not finite says: lower --learning_rate and run again."""
    options = ["--lr_scheduler", "constant", "--validation_steps", "999"]
    train(script, data, tmp_path, *options, "--max_train_steps", "2")
    before = load_file(tmp_path / "checkpoints" / "checkpoint-2" / "model.safetensors")
    train(script, data, tmp_path, *options, "--max_train_steps", "3", "--learning_rate", "1e-30")
    rates = [line["learning_rate"] for line in history(tmp_path) if "loss" in line]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-30], abs=0)
    after = load_file(tmp_path / "checkpoints" / "checkpoint-3" / "model.safetensors")
    torch.testing.assert_close(after, before, rtol=0, atol=0)


# ---- the best weights

DROPS = ["--drop_after", "2", "--validation_steps", "1", "--lr_scheduler", "constant", "--weight_decay", "0"]


@pytest.fixture(scope="module")
def dropped(script, data, tmp_path_factory):
    """Validations that all score 0, so that the first is the best: back after the third and after the fifth."""
    output = tmp_path_factory.mktemp("dropped") / "run"
    return output, train(script, data, output, *DROPS, "--validation", data / "hopeless.jsonl")


def test_the_best_weights_return_and_the_second_time_the_run_ends(dropped):
    output, results = dropped
    assert results["steps"] == 5
    assert results["validation/f1"] == 0
    best = load_file(output / "best.safetensors")
    torch.testing.assert_close(weights(output), best, rtol=0, atol=0)
    first = load_file(output / "checkpoints" / "checkpoint-1" / "model.safetensors")
    last = load_file(output / "checkpoints" / "checkpoint-2" / "model.safetensors")
    assert all((best[key] - first[key]).norm() < (best[key] - last[key]).norm() for key in best)


def test_after_the_return_steps_are_a_tenth(dropped):
    """Adam's first step moves each weight by the rate, up to a gradient near its epsilon."""
    output, _ = dropped
    rates = [line["learning_rate"] for line in history(output) if "loss" in line]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-2, 1e-3, 1e-3])
    best = load_file(output / "best.safetensors")
    after = load_file(output / "checkpoints" / "checkpoint-4" / "model.safetensors")
    largest = max(float((after[key] - best[key]).abs().max()) for key in best)
    assert largest == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_run_that_went_back_resumes_exactly(script, data, dropped, tmp_path, stop):
    output = tmp_path / "run"
    shutil.copytree(dropped[0], output)
    stop_after(output, stop)
    train(script, data, output, *DROPS, "--validation", data / "hopeless.jsonl")
    assert_same_run(output, dropped[0])


# ---- starting from another model

FROZEN = ["--max_train_steps", "1", "--learning_rate", "0", "--ema_decay", "0", "--validation_steps", "999"]


def test_a_run_from_synthetic_questions(script, data, tmp_path):
    """The first stage is questions from plain text alone; the second has its weights and its tokenizer."""
    (tmp_path / "plain.txt").write_text("尼罗河从维多利亚湖流向地中海，全长六千多公里。\n" * 3, encoding="utf-8")
    first = ["--cloze_share", "1", "--texts", tmp_path / "plain.txt", "--max_train_steps", "2", *LEAN]
    results = train(script, data, tmp_path / "first", *first)
    assert results["texts"] == 1
    options = [*FROZEN, "--init_from", tmp_path / "first" / "model"]
    results = train(script, data, tmp_path / "second", *options)
    torch.testing.assert_close(weights(tmp_path / "second"), weights(tmp_path / "first"), rtol=0, atol=0)
    tokenizers = [DGCNNTokenizer.from_pretrained(tmp_path / run / "model") for run in ("first", "second")]
    assert "尼" in tokenizers[1].get_vocab()
    assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()


@pytest.mark.parametrize("preset", ["reader", "reader-2018"])
def test_a_run_from_masked_characters(script, data, tmp_path, preset):
    """Embeddings and blocks of the trunk come from there; features are the tokenizer's of the preset."""
    texts = [row["context"] for row in records()]
    tokenizer = DGCNNTokenizer.from_texts(texts, min_count=1)
    shape = {"vocab_size": len(tokenizer), "word_vocab_size": tokenizer.word_vocab_size, "hidden_size": 16}
    donor = DGCNNForMaskedLM(DGCNNConfig(**shape, dilations=[1, 2, 4, 8, 1]))
    donor.save_pretrained(tmp_path / "donor")
    tokenizer.save_pretrained(tmp_path / "donor")
    options = [*FROZEN, "--preset", preset, "--init_from", tmp_path / "donor"]
    train(script, data, tmp_path / "run", *options, "--dilations", "1", "2", "4", "8", "1")
    trunk, found = donor.dgcnn.state_dict(), weights(tmp_path / "run")
    torch.testing.assert_close({key: found[f"dgcnn.{key}"] for key in trunk}, trunk, rtol=0, atol=0)
    assert len(trunk) > 10
    saved = DGCNNTokenizer.from_pretrained(tmp_path / "run" / "model")
    assert saved.word_vocab == tokenizer.word_vocab
    assert saved.match_features


def test_weights_stored_as_float16_are_trained_in_float32(script, data, finished, tmp_path):
    copy_as_float16(finished[0] / "model", tmp_path / "donor")
    train(script, data, tmp_path / "run", *FROZEN, "--init_from", tmp_path / "donor")
    assert {value.dtype for value in weights(tmp_path / "run").values()} == {torch.float32}


# ---- learning from another model

SURE = [*STILL, "--max_train_steps", "1", "--max_characters", "999", "--preset", "reader", "--hidden_size", "32"]


def test_a_student_begins_with_the_embeddings_of_its_teacher(script, data, learned, tmp_path):
    teacher = learned["reader"][0] / "model"  # 32 wide
    train(script, data, tmp_path / "run", *FROZEN, "--preset", "reader-fast", "--teacher", teacher)
    student = DGCNNForQuestionAnswering.from_pretrained(tmp_path / "run" / "model")
    assert student.config.hidden_size == 16
    of_teacher = DGCNNForQuestionAnswering.from_pretrained(teacher).dgcnn.embeddings
    mine = student.dgcnn.embeddings
    torch.testing.assert_close(mine.words.weight, of_teacher.words.weight, rtol=0, atol=0)
    everything = torch.cat([of_teacher.characters.weight, of_teacher.word_projection(of_teacher.words.weight)])
    kept = torch.cat([mine.characters.weight, mine.word_projection(mine.words.weight)])
    assert 0.5 < float((kept.square().sum() / everything.square().sum()).detach()) < 1
    saved = DGCNNTokenizer.from_pretrained(tmp_path / "run" / "model")
    assert saved.get_vocab() == DGCNNTokenizer.from_pretrained(teacher).get_vocab()


def test_the_scores_of_the_teacher_are_the_labels(script, data, learned, tmp_path):
    """A network that is its own teacher has nothing to learn from it, and something from the data."""
    teacher = learned["reader"][0] / "model"
    norms = {}
    for share in ("0", "0.5", "1"):
        options = [*SURE, "--init_from", teacher, "--teacher", teacher, "--distillation", share]
        train(script, data, tmp_path / share, *options)
        (norms[share],) = [line["gradient_norm"] for line in history(tmp_path / share) if "loss" in line]
    assert norms["1"] < 1e-4 * norms["0"]
    assert norms["0.5"] == pytest.approx(0.5 * norms["0"], rel=1e-3)
    options = [*SURE, "--init_from", teacher, "--teacher", teacher, "--distillation", "1", "--r_drop", "1"]
    train(script, data, tmp_path / "both", *options)
    assert losses(tmp_path / "both")[0] == pytest.approx(losses(tmp_path / "1")[0], rel=1e-4)


def test_a_teacher_that_cannot_teach_raises(script, data, learned, finished, tmp_path):
    teacher, tagging = learned["reader"][0] / "model", learned["reader-2019"][0] / "model"
    cases = [
        (["--distillation", "0.5"], r"--distillation .*0\.5"),
        (["--teacher", teacher, "--distillation", "1.5"], r"--distillation .*1\.5"),
        (["--teacher", tagging], "--output span"),
        (["--preset", "reader-2019", "--teacher", teacher], "--output span"),
        (["--teacher", teacher, "--hidden_size", "64"], "64 .*32"),
        (["--teacher", teacher, "--init_from", finished[0] / "model"], "--teacher .*--init_from"),
        (["--teacher", teacher, "--word_vectors", "v.txt"], "--word_vectors"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            train(script, data, tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_a_run_from_triples_and_clauses(script, data, tmp_path):
    """The tokenizer knows the sentences of the triples; all synthetic questions may come from them."""
    triple = {"subject": "尼罗河", "predicate": "长度", "object": "六千多公里"}
    write(tmp_path / "triples.jsonl", [{"text": "尼罗河全长六千多公里。", "spo_list": [triple]}])
    options = ["--cloze_share", "1", "--clauses", "0.5", "--triples", tmp_path / "triples.jsonl", *LEAN]
    for share in (0.5, 1):
        folder = tmp_path / str(share)
        results = train(script, data, folder, *options, "--triple_share", share, "--max_train_steps", "2")
        assert results["steps"] == 2
        assert "尼" in DGCNNTokenizer.from_pretrained(folder / "model").get_vocab()


def test_r_drop_is_nothing_between_equal_halves(script):
    class Output:
        start_logits = torch.tensor([[0.0, 1.0, -1e4], [0.0, 1.0, -1e4]])
        end_logits = torch.tensor([[2.0, 0.0, -1e4], [0.0, 2.0, -1e4]])

    one, two = Output.end_logits[:, :2].softmax(-1)
    expected = ((one - two) * (one / two).log()).sum() / 2
    torch.testing.assert_close(script.consistency(Output), expected)
    Output.end_logits = Output.start_logits
    assert script.consistency(Output) == 0


@pytest.mark.parametrize("wide", ["8", "32"])
def test_a_model_of_another_width_raises(script, data, finished, tmp_path, wide):
    with pytest.raises(ValueError, match=rf"16, .*{wide}.*--hidden_size 16"):
        train(script, data, tmp_path, "--init_from", finished[0] / "model", "--hidden_size", wide)


def messages(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_reader_that_goes_on_is_scored_before_it_learns(script, data, learned, tmp_path, caplog):
    """With a warning if all questions have an answer."""
    caplog.set_level("INFO")
    output, results = learned["reader"]
    options = [*FROZEN, "--init_from", output / "model", "--preset", "reader", "--hidden_size", "32"]
    few = data / "few.jsonl"
    train(script, data, tmp_path, *options, "--validation", few)
    before = history(tmp_path)[0]
    assert before["step"] == 0
    assert before["validation/f1"] == pytest.approx(results["validation/f1"])
    assert any("--keep_unanswerable" in message for message in messages(caplog))


def test_a_run_has_the_shape_of_the_reader_that_it_begins_with(script, data, finished, learned, tmp_path, caplog):
    """Where the command line does not say otherwise; a preset on it is refused."""
    caplog.set_level("INFO")
    donor = learned["reader-2019"][0] / "model"
    argv = arguments(data, tmp_path / "run", *FROZEN, "--init_from", donor)
    place = argv.index("--hidden_size")
    reset()
    script.main(argv[:place] + argv[place + 2 :])
    torch.testing.assert_close(weights(tmp_path / "run"), weights(donor.parent), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"--preset reader .*question_attention"):
        train(script, data, tmp_path / "other", "--init_from", donor, "--preset", "reader", "--hidden_size", "32")
    caplog.clear()
    options = ["--hidden_size", "32", "--dilations", "1", "2", "4"]
    train(script, data, tmp_path / "third", *FROZEN, "--init_from", donor, *options)
    config = DGCNNForQuestionAnswering.from_pretrained(tmp_path / "third" / "model").config
    assert config.dilations == [1, 2, 4]
    assert config.output == "tagging"


# ---- other ways to run


def test_worker_processes_make_the_same_run(script, data, finished, tmp_path):
    """They see the epochs change."""
    train(script, data, tmp_path, *CHANCE, "--dataloader_num_workers", "2")
    assert_same_run(tmp_path, finished[0])


@pytest.mark.parametrize(("limit", "clock"), [("--max_seconds", "seconds"), ("--max_cpu_seconds", "cpu_seconds")])
def test_a_time_limit_ends_the_run_and_its_schedule(script, data, tmp_path, limit, clock):
    results = train(script, data, tmp_path, *LEAN, "--max_train_steps", "100000", limit, "0.5")
    last = history(tmp_path)[-2]  # before the scores
    assert results["steps"] < 5000
    assert last["step"] == results["steps"]
    assert 0 <= last["learning_rate"] < 0.2 * 1e-2
    assert (tmp_path / "checkpoints" / f"checkpoint-{results['steps']}").is_dir()
    assert results[clock] < 5


def test_embeddings_may_learn_more_slowly(script, data, finished, tmp_path):
    """At a rate of 0 they stay, and nothing else does."""
    options = [*FROZEN, "--init_from", finished[0] / "model"]
    train(script, data, tmp_path / "start", *options)
    train(script, data, tmp_path / "run", *LEAN, "--init_from", finished[0] / "model", "--embedding_rate", "0")
    before, after = weights(tmp_path / "start"), weights(tmp_path / "run")
    tables = {"dgcnn.embeddings.characters.weight", "dgcnn.embeddings.words.weight"}
    assert {key for key in before if torch.equal(before[key], after[key])} == tables


@pytest.mark.parametrize(
    "options",
    [
        ["--preset", "reader-2018", "--train_batch_size", "3"],
        ["--mixed_embedding", "False", "--mixed_precision", "bf16"],
        ["--validation_questions", "1", "--validation_steps", "1"],
        ["--tracker", "tensorboard"],
        ["--preset", "reader-wide", "--num_attention_heads", "4", "--r_drop", "0.5"],
    ],
    ids=["2018", "characters in bf16", "one question scored", "tensorboard", "wide with R-Drop"],
)
def test_options(script, data, tmp_path, options):
    if "tensorboard" in options:
        pytest.importorskip("tensorboard", reason="the extra hf-kexue[train] is not installed")
    results = train(script, data, tmp_path, "--max_train_steps", "2", *options)
    assert results["steps"] == 2
    assert all(map(math.isfinite, losses(tmp_path)))
    assert (tmp_path / "logs").exists() == ("tensorboard" in options)


def test_questions_without_an_answer(script, data, tmp_path):
    """Dropped from training unless requested, and never scored."""
    rows = list(records())
    nothing = {
        "id": "x",
        "question": "谁？",
        "context": rows[0]["context"],
        "answers": {"text": [], "answer_start": []},
    }
    mixed = write(tmp_path / "mixed.jsonl", [*rows, nothing])
    options = ["--train", mixed, "--validation", mixed, "--max_train_steps", "1"]
    assert train(script, data, tmp_path / "without", *options)["questions"] == 12
    results = train(script, data, tmp_path / "with", *options, "--keep_unanswerable", "True")
    assert (results["questions"], results["validation_questions"]) == (13, 12)

    only = write(tmp_path / "only.jsonl", [nothing])
    for name, message in (("--train", "--keep_unanswerable True"), ("--validation", "--validation")):
        with pytest.raises(ValueError, match=message):
            train(script, data, tmp_path / "none", name, only)
    assert not (tmp_path / "none").exists()


# ---- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--train_batch_size", "13"], "12 questions .*--train_batch_size"),
        (["--train", "nowhere.jsonl"], r"nowhere\.jsonl"),
        (["--validation", "nowhere.jsonl"], r"nowhere\.jsonl"),
        (["--cloze_share", "1.5"], r"from_source .*1\.5"),
        (["--zero_ids", "-1"], "zero_ids .*-1"),
        (["--max_characters", "0"], "max_characters .*0"),
        (["--output", "tags"], "output"),
        (["--lr_scheduler", "steep"], "steep"),
        (["--init_from", "nowhere", "--word_vectors", "v.txt"], "--word_vectors"),
    ],
)
def test_bad_arguments_raise(script, data, tmp_path, options, message):
    with pytest.raises((ValueError, FileNotFoundError, StrictDataclassError), match=message):
        train(script, data, tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


def test_no_questions(script, tmp_path):
    with pytest.raises(ValueError, match="--train"):
        script.main(["--output_dir", str(tmp_path / "run"), *RUN])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "reader-2020"], "'reader-2020'"),
        (["--preset", "64"], "64.yaml"),
    ],
    ids=["preset", "preset of another script"],
)
def test_unknown_presets_are_usage_messages(script, data, tmp_path, options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        train(script, data, tmp_path / "run", *options)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("output", ["tagging", "span"])
def test_accumulated_gradients_are_those_of_one_batch(script, data, tmp_path, output):
    """Four micro batches with unequal numbers of characters and answered windows in a group of five, which the end of
    the epoch cuts, against all twelve questions at once. At a rate of 0 and without dropout both see one network."""
    still = ["--max_train_steps", 2, "--learning_rate", 0, "--gate_dropout", 0, "--hidden_dropout", 0, "--zero_ids", 0]
    crop = ["--max_characters", 16, "--without_answer", 0.6, "--output", output]
    options = [*still, *crop, "--gate_noise", 0, "--max_grad_norm", 1e9, "--lr_warmup_steps", 0]
    train(script, data, tmp_path / "many", *options, "--gradient_accumulation_steps", 5)
    train(script, data, tmp_path / "one", *options, "--train_batch_size", 12)
    many, one = ([line for line in history(tmp_path / name) if "loss" in line] for name in ("many", "one"))
    assert [line["samples"] for line in many] == [line["samples"] for line in one] == [12, 24]
    for key in ("loss", "gradient_norm"):
        assert [line[key] for line in many] == pytest.approx([line[key] for line in one], rel=1e-5)
