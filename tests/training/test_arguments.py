"""Arguments: command line over preset over default, and the presets of the training scripts."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="the extra hf-kexue[train] is not installed")

import torch
import yaml

from hf_kexue.data.triples.reading import Triple, TripleExample
from hf_kexue.simple_diffusion import SimpleDiffusionUViT2DModel
from hf_kexue.simple_diffusion.complexity import count_flops, count_parameters
from hf_kexue.training.arguments import option, parse_arguments
from hf_kexue.training.diffusion_networks import preset_of_network

TRAINING = Path(__file__).resolve().parents[2] / "training"
PRESETS = TRAINING / "presets"
in_checkout = pytest.mark.skipif(
    not PRESETS.is_dir(), reason="training/ is part of the repository, not of the package"
)


@dataclass
class Arguments:
    preset: str = ""
    size: int = 64
    rate: float = 1e-3
    channels: list[int] = field(default_factory=lambda: [1, 2])
    compile: bool = False
    flip: bool = True
    label: str | None = None


@dataclass
class WithHelp:
    preset: str = option("64", "Name.")
    rate: float = option(0.5, "Speed of 100 kinds.")
    channels: list[int] = option([1, 2], "Widths.")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "64.yaml").write_text("rate: 1e-4\nchannels: [8]\n")
    (tmp_path / "128.yaml").write_text("rate: 0.5\ncompile: true\nlabel: kind\n")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    return tmp_path


def parse(folder, *argv):
    return parse_arguments(Arguments, folder, list(argv), default_preset="{size}")


def test_command_line_over_preset_over_default(folder):
    assert parse(folder) == Arguments("64", 64, 1e-4, [8])
    assert parse(folder, "--rate", "0.2", "--channels", "3", "4") == Arguments("64", 64, 0.2, [3, 4])
    assert parse(folder, "--preset", "empty") == Arguments("empty")


def test_the_default_preset_follows_the_other_arguments(folder):
    assert parse(folder, "--size", "128") == Arguments("128", 128, 0.5, [1, 2], True, True, "kind")
    assert parse(folder, "--size", "128", "--preset", "64").rate == 1e-4


def test_switches_of_a_preset_can_be_turned_back(folder):
    assert parse(folder, "--size", "128", "--compile", "False").compile is False
    assert parse(folder, "--no_flip").flip is False


def test_a_number_without_a_point_is_a_number(folder):
    """YAML 1.1 reads 1e-4 as text; the argument's type decides."""
    assert yaml.safe_load("1e-4") == "1e-4"
    assert parse(folder).rate == 1e-4


def test_a_preset_may_be_a_file(folder, tmp_path):
    mine = tmp_path / "mine.yml"
    mine.write_text("size: 32\n")
    assert parse(folder, "--preset", str(mine)) == Arguments(str(mine), 32)


def test_the_default_list_is_not_shared(folder):
    parse(folder, "--preset", "empty").channels.append(99)
    assert parse(folder, "--preset", "empty").channels == [1, 2]


def test_options_have_a_default_of_their_own_and_a_help_text(folder, capsys):
    one, other = WithHelp(), WithHelp()
    assert (one.rate, one.channels) == (0.5, [1, 2])
    one.channels.append(99)
    assert other.channels == WithHelp().channels == [1, 2]
    assert parse_arguments(WithHelp, folder, []) == WithHelp("64", 1e-4, [8])
    with pytest.raises(SystemExit):
        parse_arguments(WithHelp, folder, ["--help"])
    assert "Speed of 100 kinds." in capsys.readouterr().out


def test_presets_of_other_scripts_are_not_named(folder, capsys):
    (folder / "reader-a.yaml").write_text("rate: 2\n")
    with pytest.raises(SystemExit):
        parse_arguments(Arguments, folder, ["--preset", "rader"], pattern="reader*")
    assert "'rader'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--preset", "65"], "'65'; the presets are 128, 64, empty"),
        (["--size", "48"], "'48'"),
        (["--preset", "nowhere.yaml"], "'nowhere.yaml'"),
        (["--speed", "3"], "speed"),
        (["--rat", "3"], "--rat"),  # no abbreviations: a new argument would change their meaning
        (["--size", "many"], "'many'"),
    ],
    ids=["unknown preset", "no preset of that size", "no such file", "unknown argument", "abbreviation", "wrong type"],
)
def test_bad_arguments_exit_with_a_message(folder, capsys, argv, message):
    with pytest.raises(SystemExit) as stopped:
        parse(folder, *argv)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate: 1\nlearning_rat: 2\nzzz: 1\n", "['learning_rat', 'zzz']"),
        ("preset: other\n", "bad.yaml has unknown keys ['preset']"),
        ("size: many\n", "'many'"),
    ],
    ids=["unknown keys", "a preset inside a preset", "wrong type"],
)
def test_a_bad_preset_exits_with_a_message(folder, capsys, text, message):
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(SystemExit) as stopped:
        parse(folder, "--preset", "bad")
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


# ---- the presets of training/


@pytest.fixture
def script():
    pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
    from whole_runs import load_script

    return load_script("train_simple_diffusion")


def names():
    """Those of the diffusion models without prompts; the others have names, not numbers."""
    return sorted((path.stem for path in PRESETS.glob("*.yaml") if path.stem.isdigit()), key=int)


@in_checkout
def test_there_is_a_preset_for_each_resolution():
    assert names() == ["64", "128", "256", "512", "1024"]


@in_checkout
@pytest.mark.parametrize("name", names() or ["64"])
def test_presets_parse_and_build(script, name):
    args = parse_arguments(script.Arguments, PRESETS, ["--resolution", name])
    assert (args.preset, args.resolution) == (name, name)
    resolution = int(name)
    for key, value in yaml.safe_load((PRESETS / f"{name}.yaml").read_text()).items():
        assert getattr(args, key) == value, key
    with torch.device("meta"):
        model = script.build_model(args, 17)
    script.build_scheduler(args)
    side = resolution // model.total_stride
    assert resolution % model.total_stride == 0
    assert side in (8, 16)
    parameters = count_parameters(model)
    if resolution >= 256:
        assert 1.8e9 < parameters < 2.0e9
        assert model.config.skip == "concat"
    else:
        assert 6e6 < parameters < 7e6


@in_checkout
def test_resolution_128_alone_does_the_right_thing(script):
    args = parse_arguments(script.Arguments, PRESETS, ["--resolution", "128"])
    assert args.patch_size == 4
    assert args.base_size == [64]
    small = parse_arguments(script.Arguments, PRESETS, [])
    assert (small.preset, small.resolution, small.patch_size) == ("64", "64", 2)
    scheduler, unshifted = script.build_scheduler(args), script.build_scheduler(small)
    # The schedule at 128 pixels is the one of 64, shifted by 2 log(64 / 128): as much noise at half the frequency.
    u = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    torch.testing.assert_close(scheduler.logsnr(u), unshifted.logsnr(u) + 2 * torch.tensor(0.5).double().log())


@in_checkout
def test_arithmetic_grows_little_where_only_the_patch_grows(script):
    flops = {}
    for resolution in ("64", "128"):
        args = parse_arguments(script.Arguments, PRESETS, ["--resolution", resolution])
        with torch.device("meta"):
            flops[resolution] = count_flops(script.build_model(args, None))
    assert flops["64"] < flops["128"] < 1.1 * flops["64"]


@in_checkout
def test_every_preset_has_the_classes_own_name():
    """The model builds from a saved config alone, so a preset names nothing that is not in it."""
    known = set(SimpleDiffusionUViT2DModel().config)
    for name in names():
        keys = set(yaml.safe_load((PRESETS / f"{name}.yaml").read_text()))
        assert {"patch_size", "block_out_channels", "hidden_size", "skip"} <= keys & known


@in_checkout
@pytest.mark.parametrize(("name", "tokens", "millions"), [
    ("jit-64", 64, (7, 8)), ("jit-128", 64, (7, 8.5)), ("jit-256", 256, (130, 134)), ("jit-512", 256, (132, 137)),
])  # fmt: skip
def test_presets_of_the_vit_parse_and_build(script, name, tokens, millions):
    """JiT-B has 131 million weights at patches of 16 pixels and 133 at 32, with 1000 classes (arXiv 2511.13720)."""
    args = parse_arguments(script.Arguments, PRESETS, ["--preset", name], preset_of_network)
    for key, value in yaml.safe_load((PRESETS / f"{name}.yaml").read_text()).items():
        assert getattr(args, key) == value, key
    size = int(name.removeprefix("jit-"))
    with torch.device("meta"):
        model = script.build_model(args, 1000 if size >= 256 else 17)
    assert model.config.sample_size == size
    assert (size // model.config.patch_size) ** 2 == tokens
    assert millions[0] * 1e6 < count_parameters(model) < millions[1] * 1e6
    scheduler = script.build_scheduler(args)
    assert scheduler.config.network_prediction_type == model.config.prediction_type == "sample"
    assert scheduler.shift == {64: 1, 128: 2, 256: 1, 512: 2}[size]


@in_checkout
def test_the_network_chooses_the_preset(script):
    args = parse_arguments(script.Arguments, PRESETS, ["--network", "vit", "--resolution", "128"], preset_of_network)
    assert (args.preset, args.patch_size, args.weighting) == ("jit-128", 16, "flow")
    args = parse_arguments(script.Arguments, PRESETS, ["--preset", "jit-64"], preset_of_network)
    assert (args.network, args.patch_size) == ("vit", 8)


# ---- the readers


@pytest.fixture
def reader():
    pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
    from whole_runs import load_script

    return load_script("train_dgcnn_qa")


@in_checkout
def test_presets_of_the_reader():
    assert sorted(path.stem for path in PRESETS.glob("reader*.yaml")) == [
        "reader", "reader-2018", "reader-2019", "reader-fast", "reader-wide",
    ]  # fmt: skip


@in_checkout
@pytest.mark.parametrize("name", ["reader", "reader-2018", "reader-2019", "reader-fast", "reader-wide"])
def test_reader_presets_parse_and_build(reader, name):
    """Every key is known and reaches the arguments, and the network where it is one of its."""
    args = parse_arguments(reader.Arguments, PRESETS, ["--preset", name])
    values = yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    for key, value in values.items():
        assert getattr(args, key) == value, key
    tokenizer = reader.build_tokenizer(args, ["谁发现了镭？居里夫妇。"] * 3)
    config = reader.build_model(args, tokenizer).config
    for key in values.keys() & set(config.to_dict()):
        assert getattr(config, key) == values[key], key
    assert config.num_match_features == 8 * (name != "reader-2019")
    assert tokenizer.match_features == (name != "reader-2019")
    assert (config.output == "span") == (name in ("reader", "reader-fast", "reader-wide"))
    assert (config.position_embedding == "sinusoidal") == (config.gate_noise > 0) == (name == "reader-2018")


@in_checkout
def test_the_default_preset_of_the_reader(reader):
    assert parse_arguments(reader.Arguments, PRESETS, []) == parse_arguments(
        reader.Arguments, PRESETS, ["--preset", "reader"]
    )


# ---- triples


@pytest.fixture
def triples():
    pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
    from whole_runs import load_script

    return load_script("train_dgcnn_triples")


TRIPLES = ["triples", "triples-2019", "triples-fast", "triples-wide"]


@in_checkout
def test_presets_of_triples():
    assert sorted(path.stem for path in PRESETS.glob("triples*.yaml")) == TRIPLES


@in_checkout
@pytest.mark.parametrize("name", TRIPLES)
def test_presets_of_triples_parse_and_build(triples, name):
    """Every key is known and reaches the arguments, and the network where it is one of its."""
    args = parse_arguments(triples.Arguments, PRESETS, ["--preset", name])
    values = yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    for key, value in values.items():
        assert getattr(args, key) == value, key
    schema = [{"predicate": "作者", "subject_types": ["图书"], "object_types": ["人物"]}]
    example = TripleExample("0", "《三体》的作者是刘慈欣。", [Triple("三体", "作者", "刘慈欣")])
    tokenizer = triples.build_tokenizer(args, [example] * 3, schema)
    model = triples.build_model(args, tokenizer, schema)
    for key in values.keys() & set(model.config.to_dict()):
        assert getattr(model.config, key) == values[key], key
    assert (args.sampling == "one") == (not args.all_occurrences) == (name in ("triples-2019", "triples-fast"))
    assert (args.swap_mentions == 0.5) == (name != "triples")
    assert (model.head.recurrence is not None) == (len(args.dilations) == 12) == (name == "triples-2019")


@in_checkout
def test_the_default_preset_of_triples(triples):
    default = parse_arguments(triples.Arguments, PRESETS, [])
    assert default == parse_arguments(triples.Arguments, PRESETS, ["--preset", "triples"])
