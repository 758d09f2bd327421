"""Every command of the READMEs and the pages of docs/ that takes own data, run as printed on plain files and, where it
says `--init_from`, from the published model.

Only steps, batch, tracker and, without a model to start from, the sizes of an image network are appended.
"""

import json
import re

import pytest
import torch

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")
pytest.importorskip("nltk", reason="the extra hf-kexue[metrics] is not installed")

from safetensors.torch import load_file
from whole_runs import TRAINING, load_script

if not TRAINING.is_dir():
    pytest.skip("training/ and docs/ belong to the repository, not to the package", allow_module_level=True)

from documented import DOCUMENTS, TINY, Runs, names_own_data, own_data_commands, write_data, write_lines
from documents import ROOT, commands

COMMANDS = own_data_commands()
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("commands"))


def case(command):
    """What trains on pictures or triples, or samples a hundred pictures, is slow."""
    trains = command.script or command.needs
    is_slow = "--overfit" in command.words or (trains and command.kind != "questions")
    return pytest.param(command, id=command.name, marks=[pytest.mark.slow] if is_slow else [])


def require_weights(*cards):
    for card in cards:
        if not any((ROOT / card).rglob("*.safetensors")):
            pytest.skip(f"the weights of {card} are not in this checkout")


@pytest.mark.parametrize("command", [case(command) for command in COMMANDS])
def test_command_runs_as_printed(command, runs):
    for needed in (command, *command.needs):
        require_weights(*(word for word in needed.words if word.startswith("model_cards/")))
    place, printed = runs(command)
    if command.script:
        results = json.loads((place / command.output / "results.json").read_text(encoding="utf-8"))
        assert results["steps"] == 2
        assert any((place / command.output).glob("*/**/*.safetensors"))
        return
    name = command.arguments[0]
    if "--to" in command.words:
        assert list((place / command.words[command.words.index("--to") + 1]).glob("part-*"))
    elif name == "ask" and "--json" in command.words:
        assert all(0 <= answer["score"] <= 1 for answer in json.loads(printed))
    elif name == "ask":
        assert all(re.match(r"\d\.\d{4}  \S", line) for line in printed.splitlines())
    elif name == "evaluate":
        assert re.search(r" \d+\.\d{4}$", printed, re.M)
    elif name == "extract" and "html" in command.words:
        assert "</html>" in printed
    assert printed.strip()
    if "--page" in command.words:
        assert (place / command.words[command.words.index("--page") + 1]).stat().st_size


def test_every_command_is_understood():
    assert {command.line: command.fault() for command in COMMANDS if command.fault()} == {}


def test_every_line_with_own_data_is_run():
    """Whatever program stands first in a line of a shell block."""
    lines = {command.line for command in COMMANDS}
    left = {line for document in DOCUMENTS for line in commands(document) if names_own_data(line.split())} - lines
    assert left == set()
    assert len(lines) > 20


# ---- what the pages say about published models as a start


def start_from(script, card, folder, *options):
    """Results of a run of one step in a folder, and the folder of its model."""
    require_weights(f"model_cards/{card}")
    argv = ["--init_from", str(ROOT / "model_cards" / card), "--output_dir", str(folder), *TINY]
    results = load_script(script).main([*argv, "--max_train_steps", "1", *map(str, options)])
    assert json.loads((folder / "results.json").read_text(encoding="utf-8"))["steps"] == 1
    return results, folder / ("pipeline" if script == "train_simple_diffusion" else "model")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "validation", "options"),
    [(5, False, []), (5, True, []), (5, True, ["--find_known", "True"]), (63, True, []), (75, True, [])],
)
def test_published_triples_start_any_schema(tmp_path, count, validation, options):
    """Fewer predicates than those of the model, as many, or more; its memorised triples do not come along."""
    rows = [
        {"text": f"甲{i}的关系{i % count}是乙{i}。",
         "spo_list": [{"subject": f"甲{i}", "predicate": f"关系{i % count}", "object": f"乙{i}"}]}
        for i in range(2 * count)
    ]  # fmt: skip
    write_lines(tmp_path / "own.jsonl", rows)
    options = [*options, *(["--validation", tmp_path / "own.jsonl"] if validation else [])]
    train = ["--train", tmp_path / "own.jsonl", *options]
    results, model = start_from("train_dgcnn_triples", "dgcnn-triples-zh", tmp_path / "run", *train)
    assert results["predicates"] == count
    assert ("validation/f1" in results) == validation
    known = model / "triple_prior.txt"
    assert known.exists() == ("--find_known" in options)
    if known.exists():
        assert len(known.read_text(encoding="utf-8").splitlines()) == 2 * count


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["auto", "none"])
def test_published_pictures_start_other_classes(tmp_path, labels):
    """Without a learning rate all but the rows of new classes stay as they are, also that of no class."""
    write_data(tmp_path / "data", "pictures")
    options = ["--dataset", tmp_path / "data" / "pictures", "--label_column", labels, "--learning_rate", "0"]
    card = "simple-diffusion-clothing-64"
    options += ["--resolution", "64", "--sample_steps", "0", "--validation_share", "0.1"]
    results, model = start_from("train_simple_diffusion", card, tmp_path / "run", *options)
    assert results["classes"] == (["bird", "car", "flower"] if labels == "auto" else [])
    path = "unet/diffusion_pytorch_model.safetensors"
    before, after = (load_file(folder / path) for folder in (ROOT / "model_cards" / card, model))
    table = "class_embedding.weight"
    assert before.keys() - after.keys() == (set() if labels == "auto" else {table})
    if labels == "auto":
        rows, donated = after.pop(table), before[table]
        assert len(rows) == 4
        torch.testing.assert_close(rows[-1], donated[-1].to(rows))
    for key, value in after.items():
        torch.testing.assert_close(value, before[key].to(value), msg=key)


def test_a_published_reader_sees_sixty_questions_twenty_times(tmp_path):
    require_weights("model_cards/dgcnn-qa-zh")
    text = "赵州桥由隋代工匠李春主持修建。"
    answers = {"text": ["李春"], "answer_start": [8]}
    rows = [{"id": str(i), "question": f"谁修建了桥{i}？", "context": text, "answers": answers} for i in range(60)]
    write_lines(tmp_path / "own.jsonl", rows)
    manifest = load_script("train_dgcnn_qa").main(
        ["--train", str(tmp_path / "own.jsonl"), "--init_from", str(ROOT / "model_cards" / "dgcnn-qa-zh"), "--dry_run",
         "--train_batch_size", "8", "--mixed_precision", "no", "--output_dir", str(tmp_path / "run")]
    )  # fmt: skip
    assert manifest["arguments"]["max_train_steps"] == 20 * (60 // 8)
    assert manifest["arguments"]["lr_warmup_steps"] == 20 * (60 // 8) // 10
