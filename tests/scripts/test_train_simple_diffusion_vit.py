"""The training script with a ViT: what it leaves, read-out heads in its loss, exact resume, clear errors."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

from whole_runs import TRAINING, history, load_script, reset

from hf_kexue.simple_diffusion import SimpleDiffusionPipeline, SimpleDiffusionViT2DModel

if not (TRAINING / "train_simple_diffusion.py").is_file():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)
pytestmark = pytest.mark.usefixtures("own_cache")

RUN = [
    "--network", "vit", "--preset", "jit-64", "--resolution", "16", "--patch_size", "4", "--bottleneck_dim", "8",
    "--hidden_size", "32", "--num_transformer_layers", "3", "--num_attention_heads", "2", "--context_start", "1",
    "--mixed_precision", "no", "--tracker", "none", "--train_batch_size", "4", "--max_train_steps", "4",
    "--lr_warmup_steps", "1", "--learning_rate", "1e-2", "--ema_decay", "0.5", "--logging_steps", "1",
    "--checkpointing_steps", "1", "--checkpoints_total_limit", "99", "--validation_split", "none",
    "--sample_steps", "0",
]  # fmt: skip


@pytest.fixture(scope="module")
def script():
    """That of two files of tests: the U-ViT's are in another."""
    return load_script("train_simple_diffusion")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two classes of eight pictures."""
    root, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name in ("dress", "hat"):
        (root / "train" / name).mkdir(parents=True)
        for n in range(8):
            Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(
                root / "train" / name / f"{n}.png"
            )
    return root


def train(script, dataset, output, *options):
    reset()
    return script.main(["--dataset", str(dataset), "--output_dir", str(output), *RUN, *options])


@pytest.mark.parametrize("readouts", [[], ["--readout_sizes", "8", "4"]], ids=["plain", "readouts"])
def test_a_run_leaves_a_pipeline_and_resumes_exactly(script, pictures, tmp_path, readouts):
    train(script, pictures, tmp_path / "whole", *readouts)
    pipeline = SimpleDiffusionPipeline.from_pretrained(tmp_path / "whole" / "pipeline")
    assert type(pipeline.unet) is SimpleDiffusionViT2DModel
    assert pipeline.unet.config.prediction_type == pipeline.scheduler.config.network_prediction_type == "sample"
    assert len(pipeline.unet.readout_heads) == max(0, len(readouts) - 1)
    trained = [head.linear.weight.abs().sum() > 0 for head in [pipeline.unet.head_out, *pipeline.unet.readout_heads]]
    assert all(trained)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(class_labels=["hat"], num_inference_steps=2, output_type="pt").images
    assert images.isfinite().all()

    shutil.copytree(tmp_path / "whole", tmp_path / "resumed")
    for checkpoint in ("checkpoints/checkpoint-3", "checkpoints/checkpoint-4", "pipeline"):
        shutil.rmtree(tmp_path / "resumed" / checkpoint)
    (tmp_path / "resumed" / "results.json").unlink()
    train(script, pictures, tmp_path / "resumed", *readouts)
    file = "pipeline/unet/diffusion_pytorch_model.safetensors"
    whole, resumed = (load_file(tmp_path / name / file) for name in ("whole", "resumed"))
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)
    assert history(tmp_path / "resumed") == history(tmp_path / "whole")
    assert json.loads((tmp_path / "resumed" / "results.json").read_text())["images_seen"] == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "cnn"], "--network must be"),
        (["--resolution", "18"], "multiples of 4"),
        (["--readout_sizes", "8", "--multiscale", "True"], "--readout_sizes is for"),
        (["--readout_sizes", "8", "--network", "uvit"], "--readout_sizes is for"),
        (["--readout_sizes", "5"], "readout_sizes must be"),
        (["--prediction_type", "noise"], "prediction_type is 'noise'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments_raise(script, pictures, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(script, pictures, tmp_path, *options)
