"""The training script, run whole on sixteen tiny pictures: what it leaves, that it resumes exactly, how it stops.

Everything happens in this process, through `main(argv)`.
"""

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, set_seed
from whole_runs import TRAINING, InForward, history, load_script, reset

from hf_kexue.data.images import image_loader, load_images
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel
from hf_kexue.training.arguments import parse_arguments
from hf_kexue.training.fine_tuning import copy_image_weights
from hf_kexue.training.state import step_seed

if not (TRAINING / "train_simple_diffusion.py").is_file():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)
pytestmark = pytest.mark.usefixtures("own_cache")

CLASSES = ["dress", "hat"]
NETWORK = [
    "--preset", "64", "--resolution", "16", "--block_out_channels", "8", "--layers_per_block", "1",
    "--hidden_size", "32", "--num_transformer_layers", "1", "--num_attention_heads", "2", "--embedding_dim", "32",
    "--dropout", "0.2",
]  # fmt: skip
# Four batches an epoch; rates and decay that change every weight visibly within seven steps.
RUN = [
    "--mixed_precision", "no", "--tracker", "none", "--train_batch_size", "4", "--max_train_steps", "7",
    "--lr_warmup_steps", "2", "--learning_rate", "1e-2", "--ema_decay", "0.5", "--logging_steps", "1",
    "--checkpointing_steps", "1", "--checkpoints_total_limit", "99",
]  # fmt: skip
QUIET = ["--validation_split", "none", "--sample_steps", "0"]


def save_pictures(root):
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("validation", 3)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                pixels = generator.integers(0, 256, (20, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{n}.png")
    return root


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two classes of eight pictures, and of three for validation."""
    return save_pictures(tmp_path_factory.mktemp("pictures"))


def arguments(dataset, output, *options):
    return ["--dataset", str(dataset), "--output_dir", str(output), *NETWORK, *RUN, *map(str, options)]


def train(script, dataset, output, *options):
    """One run of the script from a fresh state."""
    reset()
    return script.main(arguments(dataset, output, *options))


def weights(output):
    return load_file(output / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors")


def assert_same_run(resumed, whole):
    """Bit for bit: averaged weights and every logged figure."""
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=0)
    assert history(resumed) == history(whole)


def stop_after(output, step):
    """What lies there when a run dies right after a checkpoint: nothing that came later."""
    for checkpoint in (output / "checkpoints").iterdir():
        if int(checkpoint.name.partition("-")[2]) > step:
            shutil.rmtree(checkpoint)
    shutil.rmtree(output / "pipeline")
    (output / "results.json").unlink()


# ---- a whole run

WHOLE = ["--sample_steps", "4", "--sample_inference_steps", "2", "--validation_steps", "3"]


@pytest.fixture(scope="module")
def finished(script, pictures, tmp_path_factory):
    """A run of seven steps and what it returned."""
    output = tmp_path_factory.mktemp("finished")
    return output, train(script, pictures, output, *WHOLE)


def test_a_run_leaves_a_pipeline_that_samples(finished):
    output, _ = finished
    pipeline = SimpleDiffusionPipeline.from_pretrained(output / "pipeline")
    assert pipeline.class_names == CLASSES
    assert pipeline.scheduler.config.sample_size == 16
    images = pipeline(
        class_labels=["hat", "dress"], guidance_scale=2.0, num_inference_steps=2, output_type="pt",
        generator=torch.Generator().manual_seed(0),
    ).images  # fmt: skip
    assert images.shape == (2, 3, 16, 16)
    assert images.isfinite().all()
    assert not pipeline.unet.training


def test_a_run_leaves_its_manifest(script, finished):
    output, _ = finished
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["arguments"]["learning_rate"] == 1e-2
    assert manifest["arguments"]["seed"] == 0
    assert manifest["classes"] == CLASSES
    assert manifest["images"] == 16
    unet = SimpleDiffusionUViT2DModel.from_pretrained(output / "pipeline", subfolder="unet")
    assert manifest["parameters"] == sum(parameter.numel() for parameter in unet.parameters())
    assert {"torch", "diffusers", "accelerate", "device", "python", "command"} <= manifest["environment"].keys()
    assert script.Arguments(**manifest["arguments"]) == parse_arguments(
        script.Arguments, TRAINING / "presets", arguments(manifest["arguments"]["dataset"], output, *WHOLE)
    )


def test_a_run_leaves_its_results(finished):
    output, results = finished
    saved = json.loads((output / "results.json").read_text())
    assert saved == json.loads(json.dumps(results))
    assert (saved["steps"], saved["images_seen"]) == (7, 28)
    assert saved["validation_loss"] > 0
    bins = {key: value for key, value in saved.items() if key.startswith("validation_loss/logsnr_")}
    assert bins
    assert min(bins.values()) <= saved["validation_loss"] <= max(bins.values())


def test_a_run_leaves_its_history(finished):
    lines = history(finished[0])
    losses = [line for line in lines if "loss" in line]
    assert [line["step"] for line in losses] == [1, 2, 3, 4, 5, 6, 7]
    assert [line["images"] for line in losses] == [4, 8, 12, 16, 20, 24, 28]
    assert [line["step"] for line in lines if "validation_loss" in line] == [3, 6, 7]
    # Two steps of warm-up, then a half cosine down to zero at the last step.
    curve = [0.5, 1.0] + [0.5 * (1 + float(np.cos(np.pi * k / 5))) for k in range(1, 6)]
    np.testing.assert_allclose([line["learning_rate"] for line in losses], 1e-2 * np.array(curve), atol=1e-12)
    assert all(np.isfinite(line["gradient_norm"]) for line in losses)


def test_a_run_leaves_sample_grids(finished):
    samples = finished[0] / "samples"
    assert sorted(path.name for path in samples.iterdir()) == ["final.png", "step-4.png"]
    assert Image.open(samples / "final.png").size == (8 * 16, 2 * 16)  # eight pictures of each class


def test_the_pipeline_holds_averaged_weights(finished):
    output, _ = finished
    last = load_file(output / "checkpoints" / "checkpoint-7" / "model.safetensors")
    averaged = weights(output)
    assert last.keys() == averaged.keys()
    assert any(not torch.equal(last[key], averaged[key]) for key in last)


def test_worker_processes_change_no_figure(script, pictures, finished, tmp_path):
    train(script, pictures, tmp_path, *WHOLE, "--dataloader_num_workers", "2")
    assert_same_run(tmp_path, finished[0])


# ---- resuming


@pytest.mark.parametrize("stop", [3, 4, 5], ids=["within epoch 0", "between the epochs", "within epoch 1"])
def test_a_stopped_run_resumes_exactly(script, pictures, finished, tmp_path, stop):
    """Order of the pictures, flips, noise, dropout, optimizer, schedule and average go on as if nothing had been."""
    output = tmp_path / "run"
    shutil.copytree(finished[0], output)
    stop_after(output, stop)
    train(script, pictures, output, *WHOLE)
    assert_same_run(output, finished[0])


def test_a_finished_run_stays_as_it_is(script, pictures, finished, tmp_path):
    output = tmp_path / "run"
    shutil.copytree(finished[0], output)
    results = train(script, pictures, output, *WHOLE)
    torch.testing.assert_close(weights(output), weights(finished[0]), rtol=0, atol=0)
    assert results["validation_loss"] == finished[1]["validation_loss"]


@pytest.mark.parametrize(
    ("options", "forwards"),
    [
        (["--checkpointing_steps", "3"], 5),  # one step after the checkpoint, within epoch 1
        (["--checkpointing_steps", "3", "--gradient_accumulation_steps", "2"], 10),  # within a step
        (["--checkpointing_steps", "3", "--streaming", "True"], 5),
    ],
    ids=["folder", "gradient accumulation", "stream"],
)
def test_a_run_that_dies_within_a_step_resumes_exactly(script, pictures, tmp_path, options, forwards):

    def die():
        raise OSError("no space left on device")

    options = [*QUIET, *options]
    train(script, pictures, tmp_path / "whole", *options)
    with pytest.raises(OSError, match="no space"), InForward(forwards, die, SimpleDiffusionUViT2DModel):
        train(script, pictures, tmp_path / "run", *options)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["checkpoint-3"]
    assert history(tmp_path / "run")[-1]["step"] == 4  # logged, but lost with the weights
    assert not (tmp_path / "run" / "pipeline").exists()
    train(script, pictures, tmp_path / "run", *options)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_resumed_run_uses_the_new_learning_rate(script, pictures, tmp_path):
    """The message about a loss that is not finite says: lower --learning_rate and run again."""
    options = [*QUIET, "--lr_scheduler", "constant", "--lr_warmup_steps", "0"]
    train(script, pictures, tmp_path, *options, "--max_train_steps", "2")
    train(script, pictures, tmp_path, *options, "--max_train_steps", "4", "--learning_rate", "1e-4")
    rates = [line["learning_rate"] for line in history(tmp_path) if "loss" in line]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-4, 1e-4])


def test_max_seconds_ends_the_run_with_its_schedule_done(script, pictures, tmp_path):
    options = ["--max_train_steps", 10**6, "--max_seconds", 1, "--lr_warmup_steps", 2]
    results = train(script, pictures, tmp_path, *QUIET, *options, "--lr_scheduler", "linear")
    rates = [line["learning_rate"] for line in history(tmp_path) if "learning_rate" in line]
    assert 2 < results["steps"] < 10**6
    assert (tmp_path / "checkpoints" / f"checkpoint-{results['steps']}").is_dir()
    assert rates[0] < rates[1]  # the warm-up counts steps
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 0.5 * rates[1]


def test_old_checkpoints_go(script, pictures, tmp_path):
    train(script, pictures, tmp_path, *QUIET, "--checkpoints_total_limit", "2", "--checkpointing_steps", "3")
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["checkpoint-6", "checkpoint-7"]


# ---- other ways to run


def test_accumulated_gradients_are_the_mean_over_the_micro_batches(script, pictures, tmp_path):
    """2 x 4 pictures against 8: the same pictures and the same step, but other noise, which is drawn per micro batch.

    So the gradient is compared with the mean of two computed here, from the noise of those micro batches.
    """
    micro = [*QUIET, "--max_train_steps", "1", "--gradient_accumulation_steps", "2", "--max_grad_norm", "1e9"]
    train(script, pictures, tmp_path / "accumulated", *micro)
    (line,) = [line for line in history(tmp_path / "accumulated") if "loss" in line]
    assert line["images"] == 8

    reset()
    args = parse_arguments(
        script.Arguments, TRAINING / "presets", arguments(pictures, tmp_path, *micro, "--label_column", "label")
    )
    accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True))
    set_seed(args.seed)
    source = load_images(str(pictures), label_column="label")
    model = script.build_model(args, len(CLASSES)).to(memory_format=torch.channels_last)
    loader = accelerator.prepare(image_loader(source, 16, 4, train=True, random_flip=True, seed=args.seed))
    losses = []
    for place, batch in zip(range(2), loader):
        generator = torch.Generator().manual_seed(step_seed(args.seed, 0, place))
        set_seed(step_seed(args.seed, 0, place, 0) % 2**32)  # of dropout
        scheduler = script.build_scheduler(args)
        loss, _ = script.diffusion_loss(model, batch, scheduler, args, generator, args.class_dropout, len(CLASSES))
        losses.append(loss.mean())
    (sum(losses) / 2).backward()
    norm = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
    # The same sums in another order, in float32.
    assert line["loss"] == pytest.approx(sum(losses).item() / 2, rel=1e-5)
    assert line["gradient_norm"] == pytest.approx(float(norm), rel=1e-5)

    train(script, pictures, tmp_path / "together", *QUIET, "--max_train_steps", "1", "--train_batch_size", "8")
    (together,) = [line for line in history(tmp_path / "together") if "loss" in line]
    assert (together["images"], together["learning_rate"]) == (line["images"], line["learning_rate"])
    # At step 0 the network predicts zero, so that both losses estimate the same mean; eight pictures and times that
    # are spread evenly leave some ten percent.
    assert together["loss"] == pytest.approx(line["loss"], rel=0.5)


def test_a_short_last_group_of_an_epoch_is_a_mean_too(script, pictures, tmp_path):
    """Three micro batches a step, four an epoch: the fourth makes a step of its own, whose gradient is as large as
    that of one micro batch, not a third of it. At a rate of 0 nothing else tells the two runs apart."""
    still = [*QUIET, "--learning_rate", "0", "--max_grad_norm", "1e9"]
    results = train(
        script, pictures, tmp_path / "3", *still, "--max_train_steps", 4, "--gradient_accumulation_steps", 3
    )
    assert results["steps"] == 4
    lines = [line for line in history(tmp_path / "3") if "loss" in line]
    assert [line["images"] for line in lines] == [12, 16, 28, 32]
    train(script, pictures, tmp_path / "1", *still, "--max_train_steps", 8)
    alone = [line for line in history(tmp_path / "1") if "loss" in line]
    for line, same in ((lines[1], alone[3]), (lines[3], alone[7])):
        assert line["gradient_norm"] == pytest.approx(same["gradient_norm"], rel=1e-5)
        assert line["loss"] == pytest.approx(same["loss"], rel=1e-6)
    assert lines[0]["loss"] == pytest.approx(sum(line["loss"] for line in alone[:3]) / 3, rel=1e-6)


def plain(folder, classes=("blue", "red"), count=8):
    """Class folders with random pictures, and nothing else."""
    generator = np.random.default_rng(1)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_a_plain_folder_trains_without_a_validation_loss_and_logs_it(script, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    options = ["--sample_steps", "0", "--max_train_steps", "1"]
    results = train(script, plain(tmp_path / "pictures"), tmp_path / "run", *options)
    assert (results["images"], results["classes"]) == (16, ["blue", "red"])
    assert "validation_loss" not in results
    assert any("--validation_share" in record.getMessage() for record in caplog.records)


def test_a_share_of_a_plain_folder_is_held_out(script, tmp_path):
    """The same ones each time, and none of those that are trained on."""
    folder = plain(tmp_path / "pictures")
    options = ["--sample_steps", "0", "--max_train_steps", "1", "--validation_share", "0.25"]
    results = train(script, folder, tmp_path / "run", *options)
    assert results["images"] == 12
    assert results["validation_loss"] > 0
    args = parse_arguments(script.Arguments, TRAINING / "presets", arguments(folder, tmp_path, *options))
    parts = [
        [row["image"]["bytes"] or row["image"]["path"] for row in part.rows]
        for _ in range(2) for part in script.open_images(args, script.EMBEDDED)
    ]  # fmt: skip
    assert parts[:2] == parts[2:]
    assert [len(part) for part in parts[:2]] == [12, 4]
    assert not set(parts[0]) & set(parts[1])


@pytest.mark.parametrize(("options", "level"), [([], 255), (["--background", "black"], 0)], ids=str)
def test_transparent_pictures_lie_on_a_background(script, tmp_path, options, level):
    (tmp_path / "pictures").mkdir()
    Image.new("RGBA", (16, 16), (200, 100, 50, 0)).save(tmp_path / "pictures" / "1.png")
    argv = arguments(tmp_path / "pictures", tmp_path, *options)
    source, _ = script.open_images(parse_arguments(script.Arguments, TRAINING / "presets", argv), script.EMBEDDED)
    (batch,) = image_loader(source, 16, 1, train=False)
    assert ((batch["pixel_values"] + 1) * 127.5).round().unique().tolist() == [level]


def test_the_sample_grid_of_many_classes_is_drawn_in_parts(script, tmp_path):
    """Some of the classes, so many pictures at once at most as are drawn together, twice for guidance."""
    folder = plain(tmp_path / "pictures", [f"class {number:02}" for number in range(40)], 1)
    sizes = []

    def watch(module, inputs, *_):
        if isinstance(module, SimpleDiffusionUViT2DModel) and not module.training:
            sizes.append(len(inputs[0]))

    handle = torch.nn.modules.module.register_module_forward_pre_hook(watch)
    try:
        options = ["--max_train_steps", "1", "--sample_inference_steps", "1"]
        train(script, folder, tmp_path / "run", *options)
    finally:
        handle.remove()
    assert max(sizes) == 64
    assert Image.open(tmp_path / "run" / "samples" / "final.png").size == (8 * 16, 14 * 16)  # every third of 40


def test_sample_grids_in_tensorboard(script, pictures, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(script, pictures, tmp_path, "--max_train_steps", "1", "--sample_inference_steps", "1", "--tracker",
          "tensorboard")  # fmt: skip
    logs = [events.EventAccumulator(str(log)).Reload() for log in (tmp_path / "logs").rglob("events.out*")]
    (shown,) = [image for log in logs if "samples" in log.Tags()["images"] for image in log.Images("samples")]
    assert (shown.step, shown.width, shown.height) == (1, 8 * 16, 2 * 16)


def test_epochs_in_the_place_of_steps(script, pictures, tmp_path):
    """Four batches an epoch."""
    argv = arguments(pictures, tmp_path, *QUIET, "--num_train_epochs", "1.5")
    reset()
    results = script.main(argv)
    assert (results["steps"], results["arguments"]["max_train_steps"]) == (6, 6)


def test_a_stream(script, pictures, tmp_path):
    results = train(script, pictures, tmp_path, "--sample_steps", "0", "--streaming", "True", "--max_train_steps", "6")
    assert results["images"] is None
    assert results["images_seen"] == 24
    assert results["validation_loss"] > 0
    assert SimpleDiffusionPipeline.from_pretrained(tmp_path / "pipeline").class_names == CLASSES


def test_without_labels(script, pictures, tmp_path):
    options = ["--label_column", "none", "--max_train_steps", "2", "--sample_inference_steps", "1"]
    results = train(script, pictures, tmp_path, *options)
    assert results["classes"] == []
    pipeline = SimpleDiffusionPipeline.from_pretrained(tmp_path / "pipeline")
    assert pipeline.unet.config.num_class_embeds is None
    assert pipeline.class_names == []
    assert pipeline(batch_size=2, num_inference_steps=1, output_type="pt").images.shape == (2, 3, 16, 16)
    assert Image.open(tmp_path / "samples" / "final.png").size == (8 * 16, 4 * 16)


@pytest.mark.parametrize(
    "options",
    [
        ["--gradient_checkpointing", "True"],
        ["--mixed_precision", "bf16"],
        ["--prediction_type", "epsilon", "--weighting", "min_snr", "--base_size", "64", "32"],
        ["--resolution", "64", "--patch_size", "8", "--multiscale", "True"],
        ["--patch_size", "4", "--input_transform", "dwt", "--skip", "concat"],
        [
            "--schedule",
            "flow",
            "--prediction_type",
            "flow_prediction",
            "--weighting",
            "sample",
            "--time_distribution",
            "logit_normal",
            "--time_mean",
            "0.8",
        ],
        ["--time_distribution", "slope", "--prediction_type", "sample", "--weighting", "flow"],
    ],
    ids=["gradient checkpointing", "bf16", "interpolated shift", "multiscale", "wavelet", "flow", "even in logSNR"],
)
def test_options(script, pictures, tmp_path, options):
    results = train(script, pictures, tmp_path, *QUIET, "--max_train_steps", "2", *options)
    assert results["steps"] == 2
    assert all(np.isfinite(line["loss"]) for line in history(tmp_path) if "loss" in line)


@pytest.mark.parametrize("schedule", ["cosine", "flow"])
def test_pictures_that_are_not_square(script, pictures, tmp_path, schedule):
    """The shift of 16 x 36 pixels is that of a square of 24, the preset that of the nearest size."""
    options = ["--resolution", "16x36", "--schedule", schedule, "--sample_steps", "2", "--sample_inference_steps", "2"]
    train(script, pictures, tmp_path, *options, "--max_train_steps", "2")
    pipeline = SimpleDiffusionPipeline.from_pretrained(tmp_path / "pipeline")
    assert pipeline.scheduler.config.sample_size == pipeline.unet.config.sample_size == 24
    assert Image.open(tmp_path / "samples" / "final.png").size == (8 * 36, 2 * 16)
    reset()
    args = parse_arguments(
        script.Arguments, TRAINING / "presets", ["--resolution", "96x160"], script.preset_of_network
    )
    assert args.preset == "128"


def test_buckets(script, pictures, tmp_path):
    """Pictures of 20 x 16 pixels go to 20 x 16, each batch is shifted by its number of pixels, and a run resumes."""
    seen = set()

    def loss(model, batch, scheduler, args, *rest, **options):
        size = batch["pixel_values"].shape[-2:]
        moved = script.schedule_for(scheduler, *size)
        difference = moved.logsnr(0.5) - scheduler.logsnr(0.5)
        seen.add((*size, round(float(difference), 6)))
        return diffusion_loss(model, batch, scheduler, args, *rest, **options)

    diffusion_loss = script.diffusion_loss
    options = [*QUIET, "--buckets", "16x16", "20x16", "--max_train_steps", "3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "diffusion_loss", loss)
        train(script, pictures, tmp_path / "whole", *options)
    assert seen == {(20, 16, round(-float(np.log(20 / 16)), 6))}
    shutil.copytree(tmp_path / "whole", tmp_path / "resumed")
    stop_after(tmp_path / "resumed", 1)
    train(script, pictures, tmp_path / "resumed", *options)
    assert_same_run(tmp_path / "resumed", tmp_path / "whole")


def test_gradient_checkpointing_changes_no_figure(script, pictures, tmp_path):
    options = [*QUIET, "--max_train_steps", "3", "--dropout", "0"]
    train(script, pictures, tmp_path / "off", *options)
    train(script, pictures, tmp_path / "on", *options, "--gradient_checkpointing", "True")
    for off, on in zip(history(tmp_path / "off"), history(tmp_path / "on"), strict=True):
        assert on == pytest.approx(off, rel=1e-5)


# ---- starting from another model


def build(script, *options):
    args = parse_arguments(script.Arguments, TRAINING / "presets", arguments("none", "none", *options))
    model = script.build_model(args, len(CLASSES))
    if args.init_from:
        copy_image_weights(model, args.init_from, [])
    return model


@pytest.mark.parametrize(
    ("options", "fresh"),
    [
        (["--resolution", "32"], set()),
        (["--resolution", "32", "--patch_size", "4"], {"conv_in", "conv_out"}),
    ],
    ids=["another resolution", "another patch"],
)
def test_init_from(script, finished, options, fresh):
    donor = weights(finished[0])
    model = build(script, *options, "--init_from", finished[0] / "pipeline")
    assert model.config.sample_size == 32
    for key, value in model.state_dict().items():
        if key.partition(".")[0] in fresh and key != "conv_in.bias":
            assert value.shape != donor[key].shape
        else:
            torch.testing.assert_close(value, donor[key], rtol=0, atol=0)
    if fresh:
        assert not model.conv_out.weight.any()  # starts at zero as any other network does


def test_a_run_from_another_model(script, pictures, finished, tmp_path):
    options = [*QUIET, "--max_train_steps", "1", "--learning_rate", "0", "--ema_decay", "0"]
    train(script, pictures, tmp_path, *options, "--init_from", finished[0] / "pipeline")
    torch.testing.assert_close(weights(tmp_path), weights(finished[0]), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["hat", "shoe", "dress"], {0: 1, 2: 0, 3: 2}),
        (["dress", "shoe"], {0: 0, 2: 2}),
        (["a", "b"], {2: 2}),
        ([], {}),
    ],
    ids=["more", "one other", "all other", "none"],
)
def test_init_from_with_other_classes(script, finished, names, kept):
    """Rows of the class table go by the name of the class; the last is that of no class. All else comes along."""
    donor = weights(finished[0])
    args = parse_arguments(
        script.Arguments, TRAINING / "presets", arguments("none", "none", "--init_from", finished[0] / "pipeline")
    )
    torch.manual_seed(1)
    model = script.build_model(args, len(names) or None)
    assert copy_image_weights(model, args.init_from, names) == (["class_embedding"] if names else [])
    state = model.state_dict()
    rows = state.pop("class_embedding.weight", torch.empty(0))
    table = donor.pop("class_embedding.weight")
    torch.testing.assert_close(dict(state), donor, rtol=0, atol=0)
    assert len(rows) == (len(names) + 1 if names else 0)
    for row, values in enumerate(rows):
        if row in kept:
            torch.testing.assert_close(values, table[kept[row]], rtol=0, atol=0)
        else:
            assert not any(torch.equal(values, other) for other in table)


@pytest.mark.parametrize(
    "options",
    [
        ["--hidden_size", "64"],
        ["--num_transformer_layers", "2"],
        ["--block_out_channels", "8", "8", "--layers_per_block", "1", "1"],
        ["--skip", "concat"],
    ],
    ids=["width", "more blocks", "more levels", "other skips"],
)
def test_init_from_another_network_raises(script, finished, options):
    with pytest.raises(ValueError, match="--init_from"):
        build(script, *options, "--init_from", finished[0] / "pipeline")


def test_init_from_a_larger_network_raises(script, tmp_path):
    """It holds all of our weights, and more."""
    larger = build(script, "--num_transformer_layers", "2")
    larger.save_pretrained(tmp_path / "unet")
    with pytest.raises(ValueError, match=r"transformer_blocks\.1"):
        build(script, "--init_from", tmp_path)


# ---- adapters

LORA = ["--lora_rank", "4", "--lora_alpha", "8", "--dropout", "0"]


@pytest.fixture(scope="module")
def adapted(script, pictures, finished, tmp_path_factory):
    """A run of adapters on the finished one, from its start to its end, and the network with adapters as it ended."""
    output, last = tmp_path_factory.mktemp("adapted"), {}
    with pytest.MonkeyPatch.context() as patch:
        save = script.Adapters.save
        patch.setattr(script.Adapters, "save", lambda self, *args: (last.update(kept(self._model)), save(self, *args)))
        train(script, pictures, output, *LORA, "--init_from", finished[0] / "pipeline", "--sample_steps", "0")
    return output, last


def kept(network):
    """Weights, and what the network predicts, with the adapters switched on."""
    with torch.no_grad():
        return {"state": {k: v.clone() for k, v in network.state_dict().items()}, "output": network(*inputs()).sample}


def inputs():
    drawn = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 16, 16, generator=drawn), torch.tensor([-6.0, -2, 2, 6]), torch.tensor([0, 1, 2, 0])


def test_adapters_are_merged_into_a_plain_pipeline(finished, adapted):
    """What is saved has the weights of a network without adapters, and predicts what the adapted one did."""
    donor, merged = weights(finished[0]), weights(adapted[0])
    assert merged.keys() == donor.keys()
    network = SimpleDiffusionPipeline.from_pretrained(adapted[0] / "pipeline").unet
    with torch.no_grad():
        predicted, of_donor = (one(*inputs()).sample for one in (
            network, SimpleDiffusionPipeline.from_pretrained(finished[0] / "pipeline").unet
        ))  # fmt: skip
    torch.testing.assert_close(predicted, adapted[1]["output"], rtol=1e-4, atol=1e-5)  # W + BA against W x + BA x
    assert (predicted - of_donor).abs().max() > 0.01


def test_adapters_change_attention_mlp_and_residual_blocks_alone(finished, adapted):
    """W' - W is alpha / rank B A, of the saved adapters; all else is the donor's, bit for bit."""
    donor, merged = weights(finished[0]), weights(adapted[0])
    saved = load_file(adapted[0] / "lora" / "adapter_model.safetensors")
    changed = set()
    for key, value in donor.items():
        name = f"base_model.model.{key.removesuffix('.weight')}"
        if f"{name}.lora_A.weight" not in saved:
            torch.testing.assert_close(merged[key], value, rtol=0, atol=0)
            continue
        down, up = saved[f"{name}.lora_A.weight"], saved[f"{name}.lora_B.weight"]
        assert len(down) == up.shape[1] == 4
        change = 8 / 4 * (up.flatten(1) @ down.flatten(1)).view_as(value)
        torch.testing.assert_close(merged[key], value + change, rtol=1e-5, atol=1e-6)
        changed.add(key)
    assert len(saved) == 2 * len(changed)
    block, level = "transformer_blocks.0", "{}_blocks.0.resnets.0.conv{}.weight"
    assert changed == {
        *(f"{block}.attn.{name}.weight" for name in ("to_q", "to_kv", "to_out")),
        *(f"{block}.linear_{n}.weight" for n in (1, 2)),
        *(level.format(way, n) for way in ("down", "up") for n in (1, 2)),
    }
    manifest = json.loads((adapted[0] / "manifest.json").read_text())
    assert manifest["trained_parameters"] == sum(value.numel() for value in saved.values())


def test_adapters_load_with_peft_onto_the_donor(finished, adapted):
    peft = pytest.importorskip("peft")
    network = SimpleDiffusionPipeline.from_pretrained(finished[0] / "pipeline").unet
    loaded = peft.PeftModel.from_pretrained(network, adapted[0] / "lora").eval()
    with torch.no_grad():
        # not channels last: the same sums in another order
        torch.testing.assert_close(loaded(*inputs()).sample, adapted[1]["output"], rtol=1e-4, atol=1e-5)


def test_adapters_resume_exactly(script, pictures, finished, adapted, tmp_path):
    shutil.copytree(adapted[0], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "lora")
    stop_after(tmp_path / "run", 3)
    options = [*LORA, "--init_from", finished[0] / "pipeline", "--sample_steps", "0"]
    train(script, pictures, tmp_path / "run", *options)
    assert_same_run(tmp_path / "run", adapted[0])
    before, after = (load_file(o / "lora" / "adapter_model.safetensors") for o in (adapted[0], tmp_path / "run"))
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_adapters_average_what_is_trained_alone(adapted):
    saved = load_file(adapted[0] / "checkpoints" / "checkpoint-7" / "run.safetensors")
    averages = [value.numel() for key, value in saved.items() if key.startswith("ema.shadow_params")]
    assert sum(averages) == json.loads((adapted[0] / "manifest.json").read_text())["trained_parameters"]


def test_the_table_of_other_classes_is_trained_in_full(script, finished, tmp_path):
    root = save_pictures(tmp_path / "pictures")
    for split in ("train", "validation"):
        (root / split / "hat").rename(root / split / "shoe")
    train(script, root, tmp_path / "run", *LORA, *QUIET, "--init_from", finished[0] / "pipeline")
    table, donor = (weights(output)["class_embedding.weight"] for output in (tmp_path / "run", finished[0]))
    assert table.shape == donor.shape
    assert all(not torch.equal(row, its) for row, its in zip(table, donor))
    assert SimpleDiffusionPipeline.from_pretrained(tmp_path / "run" / "pipeline").class_names == ["dress", "shoe"]
    saved = load_file(tmp_path / "run" / "lora" / "adapter_model.safetensors")
    torch.testing.assert_close(saved["base_model.model.class_embedding.weight"], table, rtol=0, atol=0)


def test_a_score_before_the_first_step(adapted):
    first = history(adapted[0])[0]
    assert first["step"] == 0
    assert first["validation_loss"] > 0


@pytest.mark.parametrize(
    "options",
    [
        ["--lora_rank", "-1"],
        ["--lora_rank", "4"],
        ["--lora_alpha", "4"],
        [*LORA, "--init_from", "x", "--compile", "1"],
    ],
    ids=["negative", "donor", "rank", "compile"],
)
def test_adapters_that_cannot_be(script, pictures, tmp_path, options):
    with pytest.raises(ValueError, match="--lora_"):
        train(script, pictures, tmp_path / "run", *QUIET, *options)
    assert not (tmp_path / "run").exists()


def test_adapters_are_refused_where_weights_are_split(script, finished):
    args = parse_arguments(
        script.Arguments, TRAINING / "presets", arguments("a", "b", *LORA, "--init_from", finished[0] / "pipeline")
    )
    for kind in ("FSDP", "DEEPSPEED"):
        with pytest.raises(ValueError, match=kind):
            script.check_adapter_arguments(args, SimpleNamespace(distributed_type=f"DistributedType.{kind}"))


# ---- what goes wrong


@pytest.fixture
def with_broken(tmp_path):
    root = save_pictures(tmp_path / "pictures")
    (root / "train" / "hat" / "5.png").write_bytes(b"this is no picture")
    return root


@pytest.mark.parametrize("batch_size", [4, 1], ids=["part of a batch", "a whole batch"])
def test_a_broken_picture_is_skipped_and_named(script, with_broken, tmp_path, caplog, batch_size):
    caplog.set_level(logging.INFO)
    steps = 16 // batch_size
    results = train(
        script, with_broken, tmp_path / "run", *QUIET, "--train_batch_size", batch_size, "--max_train_steps", steps
    )
    assert results["images_seen"] == 15
    (summary,) = [record.getMessage() for record in caplog.records if "skipped" in record.getMessage()]
    assert summary.startswith("1 broken image(s) skipped: ")
    assert str(Path("hat", "5.png")) in summary


@pytest.mark.parametrize("broken", [3, 4])
def test_more_than_three_broken_pictures_of_few_stop_the_run(script, with_broken, tmp_path, broken):
    """However often they come: 20 epochs see 3 of 16 as well as 4 of 16."""
    for number in range(broken - 1):
        (with_broken / "train" / "dress" / f"{number}.png").write_bytes(b"this is no picture")
    options = [*QUIET, "--max_train_steps", "80", "--checkpointing_steps", "80"]
    if broken == 3:
        assert train(script, with_broken, tmp_path / "run", *options)["images_seen"] == 20 * 13
        return
    with pytest.raises(RuntimeError, match=r"4 of the 16 images.*5\.png"):
        train(script, with_broken, tmp_path / "run", *options)


# ---- pictures without a label, and transparent ones


def save_table(root, missing):
    """Eight pictures with the labels 0, 1, and of them four without one."""
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageFeature

    labels = [0, 1, missing, missing] * 2
    features = Features({"image": ImageFeature(), "label": ClassLabel(names=CLASSES)})
    chance = np.random.default_rng(0)
    for split in ("train", "validation"):
        images = [Image.fromarray(chance.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in labels]
        table = Dataset.from_dict({"image": images, "label": labels}, features=features)
        (root / "data").mkdir(parents=True, exist_ok=True)
        table.to_parquet(root / "data" / f"{split}-00000-of-00001.parquet")
    return root


@pytest.mark.parametrize("missing", [-1, None], ids=["-1", "null"])
@pytest.mark.parametrize("dropout", ["0", "0.5"])
def test_pictures_without_a_label_belong_to_no_class(script, tmp_path, missing, dropout, monkeypatch):
    seen, loss = [], script.diffusion_loss

    def spied(model, batch, *rest, **more):
        seen.append(batch["class_labels"].tolist())
        return loss(model, batch, *rest, **more)

    monkeypatch.setattr(script, "diffusion_loss", spied)
    root = save_table(tmp_path / "data", missing)
    options = ["--max_train_steps", "2", "--sample_steps", "0", "--class_dropout", dropout]
    results = train(script, root, tmp_path / "run", *options)
    assert sorted(seen[0] + seen[1]) == [0, 0, 1, 1, 2, 2, 2, 2]
    assert np.isfinite(results["validation_loss"])
    pipeline = SimpleDiffusionPipeline.from_pretrained(tmp_path / "run" / "pipeline")
    assert (pipeline.class_names, pipeline.unet.config.num_class_embeds) == (CLASSES, 2)


def test_transparent_pictures_lie_on_the_background(script, tmp_path):
    """The run on transparent pictures is that on opaque ones of the same colour."""
    chance = np.random.default_rng(0)
    for number in range(8):
        picture = Image.fromarray(chance.integers(0, 256, (16, 16, 4), dtype=np.uint8))
        ground = Image.new("RGBA", (16, 16), "#204060")
        for name, image in (("clear", picture), ("opaque", Image.alpha_composite(ground, picture).convert("RGB"))):
            (tmp_path / name).mkdir(exist_ok=True)
            image.save(tmp_path / name / f"{number}.png")
    options = [*QUIET, "--max_train_steps", "2"]
    for name, more in (("clear", ["--background", "#204060"]), ("opaque", [])):
        train(script, tmp_path / name, tmp_path / f"run-{name}", *options, *more)
    assert_same_run(tmp_path / "run-clear", tmp_path / "run-opaque")
    with pytest.raises(ValueError, match="octarine"):
        train(script, tmp_path / "clear", tmp_path / "run", *options, "--background", "octarine")


@pytest.mark.parametrize("streaming", ["False", "True"], ids=["folder", "stream"])
def test_fewer_pictures_than_a_batch(script, pictures, tmp_path, streaming):
    options = [*QUIET, "--streaming", streaming, "--max_train_steps", "1", "--train_batch_size", "17"]
    if streaming == "True":  # a stream has a short batch
        assert train(script, pictures, tmp_path, *options)["images_seen"] == 16
        return
    with pytest.raises(ValueError, match=r"16 images.*--train_batch_size"):
        train(script, pictures, tmp_path, *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "test"], r"'test'.*\['train', 'validation'\]"),
        (["--validation_split", "dev"], r"'dev'"),
        (["--label_column", "kind"], r"'kind'"),
        (["--resolution", "18"], r"--resolution .*multiples of 4"),
        (["--buckets", "16x18"], r"--buckets .*multiples of 4"),
        (["--buckets", "16:20"], r"HEIGHTxWIDTH"),
        (["--buckets", "16x16", "--streaming", "True"], r"--streaming"),
        (["--schedule", "linear"], r"--schedule"),
        (["--prediction_type", "flow_prediction"], r"prediction_type"),
        (["--time_distribution", "normal"], r"distribution"),
        (["--validation_share", "1.5"], r"--validation_share .*1\.5"),
        (["--validation_share", "0.01"], r"--validation_share 0\.01 of 16 images"),
        (["--validation_share", "0.5", "--streaming", "True"], r"--streaming"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments_raise(script, pictures, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(script, pictures, tmp_path / "run", *options)


# ---- training/publish_simple_diffusion.py


def test_publishing(script, finished, tmp_path):
    """First the folder, with a weaker network and in half the bytes; then its card, which quotes the benchmarks."""
    pytest.importorskip("jinja2", reason="the extra hf-kexue[train] is not installed")
    publish_simple_diffusion = load_script("publish_simple_diffusion")

    source, cards, name = TRAINING.parent / "model_cards", tmp_path / "cards", "simple-diffusion-clothing-64"
    for folder in ("texts", "results"):
        (cards / folder).mkdir(parents=True)
    shutil.copy(source / "_template.md", cards)
    shutil.copy(source / "texts" / f"{name}.yaml", cards / "texts")
    samples = {"what": "samples", "sampler": "dpm", "steps": 20, "guidance_scale": 2.5, "standard_error": 0.001}
    rows = [{"what": "blurred", "kid_efflite0": 0.0011, "standard_error": 0.002}]
    rows += [samples | {"kid_efflite0": value} for value in (0.4242, 0.3131)]
    quality = {"samples": 432, "rows": rows, "environment": {"command": "sample_quality.py --a b"}}
    keys = ("photographs held out", name, f"{name}, among three guesses")
    recognition = {
        "setting": {"per_class": 29, "guidance": 2.5, "steps": 20},
        "rows": [{"class": "hat", "training_photographs": 8, **dict(zip(keys, (0.91, 0.62, 0.73)))}],
        "means": {key: {"as_photographs_are_distributed": value} for key, value in zip(keys, (0.81, 0.52, 0.63))},
        "environment": {"command": "class_recognition.py --c d"},
    }
    for benchmark, figures in (("sample_quality", quality), ("class_recognition", recognition)):
        (tmp_path / f"{benchmark}.json").write_text(json.dumps(figures))
    options = ["--name", name, "--cards", str(cards), "--measured", str(tmp_path)]
    with pytest.raises(ValueError, match="--runs"):
        publish_simple_diffusion.main(options)
    publish_simple_diffusion.main([
        *options, "--runs", str(finished[0]), "--guide", str(finished[0] / "pipeline"), "--float16",
        "--guidance_scale", "4", "--guide_results", str(source / "results" / f"{name}.json"),
    ])  # fmt: skip
    pipeline = SimpleDiffusionPipeline.from_pretrained(cards / name)
    assert (pipeline.config.guidance_scale, pipeline.config.guidance_unet_share) == (4.0, 0.2)
    assert pipeline.guidance_unet is not None
    torch.testing.assert_close(
        pipeline.unet.state_dict(), {key: value.half().float() for key, value in weights(finished[0]).items()}
    )
    publish_simple_diffusion.main(options)
    card = (cards / name / "README.md").read_text(encoding="utf-8")
    for words in (
        "value: 0.3131", "| samples, dpm, 20 steps, guidance 2.5 | 0.4242 | 0.001 |", "| blurred | 0.0011 | 0.002 |",
        "| hat | 8 | 0.91 | 0.62 | 0.73 |", "| 0.81 | 0.52 | 0.63 |", "432 samples", "29 samples",
        "python benchmarks/sample_quality.py --a b\n", "python benchmarks/class_recognition.py --c d\n",
    ):  # fmt: skip
        assert words in card, words
    with Image.open(cards / name / "samples.png") as sheet:
        assert sheet.size == (2 * 6 * 16 + 16, 16)
