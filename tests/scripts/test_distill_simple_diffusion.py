"""What is the distillation's own: the student at step 0, the pipeline that is saved, classes, and pictures of others.

What all training scripts do alike stands in test_contract.py.
"""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

from whole_runs import TRAINING, load_script, reset

if not (TRAINING.parent / "benchmarks" / "tiny_runs.py").is_file():
    pytest.skip("training/ and benchmarks/ belong to the repository, not to the package", allow_module_level=True)

import tiny_runs as tiny

from hf_kexue import ShiftedCosineScheduler, SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel

pytestmark = pytest.mark.usefixtures("own_cache")
NAME = "distill_simple_diffusion"
NO_SCALE = ["--guidance_scales", "3"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    tiny.write_data(folder)
    return folder


def distil(data, output, *options, steps=2):
    reset()
    argv = tiny.arguments(NAME, data, output, 8, steps, 1)
    return load_script(NAME).main([*argv, *map(str, options)])


def saved(output):
    return SimpleDiffusionPipeline.from_pretrained(output / "pipeline")


def inputs(classes=2):
    generator = torch.Generator().manual_seed(1)
    labels = None if classes is None else torch.arange(4) % classes
    return torch.randn(4, 3, 32, 32, generator=generator), torch.linspace(-6, 6, 4), labels


@pytest.mark.parametrize("scales", [["1", "3"], ["3"]])
def test_at_step_0_the_student_is_the_teacher(data, tmp_path, scales):
    """At every scale, since the embedding of the scale starts at zero."""
    distil(data, tmp_path, "--guidance_scales", *scales, "--learning_rate", 0)
    student, (x, logsnr, labels) = saved(tmp_path).unet, inputs()
    teacher = SimpleDiffusionPipeline.from_pretrained(data / "teacher").unet
    assert student.config.guidance_embedding == (len(scales) > 1)
    with torch.no_grad():
        expected = teacher(x, logsnr, labels).sample
        for scale in (1.0, 7.0) if len(scales) > 1 else (None,):
            assert_close(student(x, logsnr, labels, guidance_scale=scale).sample, expected)


@pytest.mark.parametrize(("scales", "saved_scale"), [(["1", "3"], 3.0), (["3"], 1.0)])
def test_the_saved_pipeline_draws_in_its_steps_with_one_call_each(data, tmp_path, scales, saved_scale):
    results = distil(data, tmp_path, "--guidance_scales", *scales)
    pipeline, calls = saved(tmp_path), []
    assert pipeline.config.num_inference_steps == 2
    assert pipeline.config.guidance_scale == saved_scale
    pipeline.unet.register_forward_pre_hook(lambda *_: calls.append(1))
    pipeline(class_labels="hat", generator=torch.Generator().manual_seed(0))
    assert len(calls) == 2
    assert {"validation_loss", "image_error", "validation_loss/step_2", "images_seen"} <= results.keys()


def test_the_student_reaches_images_of_the_teacher(data, tmp_path):
    """Sixty steps on few paths bring the last image nearer to the teacher's, and the loss down, on held-out ones."""
    options = ["--adversarial_weight", 0, "--learning_rate", 3e-3, "--ema_decay", 0.9, "--shards", 9]
    results = distil(data, tmp_path, *NO_SCALE, *options, "--checkpointing_steps", 60, steps=60)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    first = next(line for line in lines if line["step"] == 0)
    assert results["validation_loss"] < 0.9 * first["validation_loss"]


def test_classes_of_the_pictures_are_found_by_name(data, tmp_path):
    """The pictures have them in another order, and one that the teacher lacks is an error."""
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for name in ("hat", "dress"):
        (tmp_path / "pictures" / "train" / name).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(pixels).save(tmp_path / "pictures" / "train" / name / f"{number}.png")
    network = SimpleDiffusionPipeline.from_pretrained(data / "teacher").unet
    teacher = SimpleDiffusionPipeline(network, ShiftedCosineScheduler(sample_size=32), {0: "hat", 1: "dress"})
    teacher.save_pretrained(tmp_path / "teacher")
    distil(data, tmp_path / "out", "--dataset", tmp_path / "pictures", "--teacher", tmp_path / "teacher")
    assert saved(tmp_path / "out").class_names == ["hat", "dress"]
    (tmp_path / "pictures" / "train" / "hat").rename(tmp_path / "pictures" / "train" / "shoe")
    with pytest.raises(ValueError, match="shoe"):
        distil(data, tmp_path / "other", "--dataset", tmp_path / "pictures", "--teacher", tmp_path / "teacher")


def test_a_teacher_without_classes(data, tmp_path):
    network = SimpleDiffusionUViT2DModel(
        sample_size=32, block_out_channels=(8,), layers_per_block=1, hidden_size=32, num_transformer_layers=1,
        num_attention_heads=2,
    )  # fmt: skip
    SimpleDiffusionPipeline(network, ShiftedCosineScheduler(sample_size=32)).save_pretrained(tmp_path / "teacher")
    distil(data, tmp_path / "out", "--teacher", tmp_path / "teacher", "--guidance_scales", 1)
    assert saved(tmp_path / "out").unet.config.num_class_embeds is None


def test_a_student_goes_on_from_another_one(data, tmp_path):
    distil(data, tmp_path / "first", *NO_SCALE)
    distil(data, tmp_path / "second", *NO_SCALE, "--init_from", tmp_path / "first" / "pipeline", "--learning_rate", 0)
    (x, logsnr, labels) = inputs()
    with torch.no_grad():
        first, second = (saved(tmp_path / run).unet(x, logsnr, labels).sample for run in ("first", "second"))
    assert_close(second, first)


def test_classes_farther_from_the_null_class(data, tmp_path):
    distil(data, tmp_path, *NO_SCALE, "--class_factor", 2, "--learning_rate", 0)
    before, after = (
        pipeline.unet.class_embedding.weight.detach()
        for pipeline in (SimpleDiffusionPipeline.from_pretrained(data / "teacher"), saved(tmp_path))
    )
    assert_close(after[:-1], 2 * before[:-1] - before[-1])
    assert_close(after[-1], before[-1])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--shards", 1], "--shards"),
        (["--mixed_precision", "bf16"], "--mixed_precision"),
        (["--teacher", ""], "--teacher"),
        (["--teacher_steps", 5], "teacher_steps"),
    ],
)
def test_arguments_that_cannot_be(data, tmp_path, options, named):
    with pytest.raises(ValueError, match=named):
        distil(data, tmp_path / "out", *options)
    assert not (tmp_path / "out" / "checkpoints").exists()
