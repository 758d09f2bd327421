"""How many steps a run takes, the shape that it begins with, and paths that are not there."""

from dataclasses import dataclass, field

import pytest

pytest.importorskip("yaml", reason="the extra hf-kexue[train] is not installed")

import torch
from torch.utils.data import DataLoader, IterableDataset

from hf_kexue import DGCNNConfig, DGCNNForTripleExtraction
from hf_kexue.training.arguments import RunArguments, option, parse_arguments
from hf_kexue.training.checks import check_sources, fit_batch_to_data
from hf_kexue.training.fine_tuning import blend_weights, fit_steps_to_data, follow_donor


@dataclass
class Arguments(RunArguments):
    preset: str = option("mine", "Name.")
    init_from: str | None = option("donor", "Folder.")
    train: list[str] = field(default_factory=list)
    hidden_size: int = option(64, "Width.")
    dilations: list[int] = option([1, 2, 4], "Of the blocks.")


@pytest.fixture
def parse(tmp_path):
    (tmp_path / "mine.yaml").write_text("dilations: [1, 2]\n")
    return lambda *argv: parse_arguments(Arguments, tmp_path, list(argv))


class Endless(IterableDataset):
    """A stream; nothing of it is read."""

    def __iter__(self):
        return iter(())


LOADER = DataLoader(range(60), 8, drop_last=True)  # seven batches


@pytest.mark.parametrize(
    ("argv", "fine_tuning", "processes", "steps", "warmup"),
    [
        ([], 0, 1, 6000, 100),
        ([], 20, 1, 140, 14),
        ([], 100, 1, 700, 70),
        (["--lr_warmup_steps", "3"], 20, 1, 140, 3),
        (["--max_train_steps", "900"], 20, 1, 900, 100),
        (["--max_seconds", "60"], 20, 1, 6000, 100),
        (["--max_cpu_seconds", "60"], 20, 1, 6000, 100),
        (["--num_train_epochs", "2"], 0, 1, 14, 1),
        (["--num_train_epochs", "0.5"], 20, 1, 4, 0),
        (["--num_train_epochs", "2", "--gradient_accumulation_steps", "3"], 0, 1, 6, 0),
        (["--num_train_epochs", "2"], 0, 2, 6, 0),
    ],
)  # fmt: skip
def test_steps_follow_the_data(parse, argv, fine_tuning, processes, steps, warmup):
    """Each of two processes has three batches; the last group of an epoch is a step of its own."""
    args = parse(*argv)
    fit_steps_to_data(args, LOADER, processes, fine_tuning)
    assert (args.max_train_steps, args.lr_warmup_steps) == (steps, warmup)


@pytest.mark.parametrize(
    ("argv", "count", "processes", "size"),
    [
        ([], 12, 1, 12),
        ([], 13, 2, 6),
        ([], 32, 1, 32),
        ([], 99, 2, 32),
        ([], 1, 2, 32),
        (["--train_batch_size", "32"], 12, 1, 32),
    ],
)
def test_the_batch_is_no_larger_than_the_data(parse, argv, count, processes, size):
    """Unless it was asked for, which then ends the run with a clear error."""
    args = parse(*argv)
    fit_batch_to_data(args, count, processes)
    assert args.train_batch_size == size


def test_large_data_are_not_seen_more_often_than_the_steps_say(parse):
    args = parse()
    fit_steps_to_data(args, DataLoader(range(10_000), 8), 1, fine_tuning=20)
    assert args.max_train_steps == 6000


def test_a_stream_keeps_its_steps(parse):
    args = parse()
    fit_steps_to_data(args, DataLoader(Endless(), 8), 1, fine_tuning=20)
    assert args.max_train_steps == 6000
    with pytest.raises(ValueError, match="--num_train_epochs"):
        fit_steps_to_data(parse("--num_train_epochs", "2"), DataLoader(Endless(), 8), 1)


@pytest.mark.parametrize(
    ("argv", "dilations", "hidden_size"),
    [([], [1, 5], 64), (["--hidden_size", "32"], [1, 5], 32), (["--dilations", "3"], [3], 64)],
)
def test_a_run_follows_its_donor(parse, argv, dilations, hidden_size):
    args = parse(*argv)
    follow_donor(args, DGCNNConfig(hidden_size=64, dilations=[1, 5]), ("hidden_size", "dilations"))
    assert (args.dilations, args.hidden_size) == (dilations, hidden_size)


def test_a_preset_of_another_shape_is_refused(parse):
    args = parse("--preset", "mine")
    with pytest.raises(ValueError, match="dilations"):
        follow_donor(args, DGCNNConfig(hidden_size=64, dilations=[1, 5]), ("hidden_size", "dilations"))
    follow_donor(args, DGCNNConfig(hidden_size=64, dilations=[1, 2]), ("hidden_size", "dilations"))
    explicit = parse("--preset", "mine", "--dilations", "1", "2", "4")
    follow_donor(explicit, DGCNNConfig(hidden_size=64, dilations=[1, 5]), ("hidden_size", "dilations"))
    assert explicit.dilations == [1, 2, 4]


@pytest.mark.parametrize(
    "source", ["./here", "/no/where", "~/no_such_folder", "a/b/c", "pictures/", "data/train.jsonl"]
)
def test_paths_are_not_looked_up_on_the_hub(parse, source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    args = parse("--init_from", "owner/name", "--train", "squad", source)
    with pytest.raises(ValueError, match="--train"):
        check_sources(args)
    args.train = ["squad", "owner/name", "data"]
    check_sources(args)


def test_weights_between_two_models():
    def model(*predicates, hidden_size=8):
        schema = [{"predicate": name} for name in predicates]
        return DGCNNForTripleExtraction(
            DGCNNConfig(vocab_size=20, hidden_size=hidden_size, dilations=(1,), triple_schema=schema)
        )

    one, other = model("作者", "歌手"), model("作者", "歌手")
    mine = {key: value.clone() for key, value in one.state_dict().items()}
    blend_weights(one, other, 0.75)
    for key, value in one.state_dict().items():
        torch.testing.assert_close(value, 0.75 * mine[key] + 0.25 * other.state_dict()[key])
    for unlike in (model("歌手", "作者"), model("作者"), model("作者", "歌手", hidden_size=12)):
        with pytest.raises(ValueError, match="--blend_with"):
            blend_weights(one, unlike, 0.5)
    with pytest.raises(ValueError, match=r"--blend must"):
        blend_weights(one, other, 1.5)
