"""`hf-kexue convert-jit`: a folder that samples from a checkpoint of JiT, and clear errors."""

import argparse
import sys

import pytest
import torch
from jit_weights import START, jit_state
from typer.testing import CliRunner

from hf_kexue.cli.main import app, main
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline


@pytest.fixture
def checkpoint(tmp_path):
    weights = {f"net.{name}": value for name, value in jit_state().items()}
    torch.save({"model_ema1": weights, "args": argparse.Namespace(noise_scale=2.0, cfg=1.5)}, tmp_path / "last.pth")
    return tmp_path / "last.pth"


def test_a_checkpoint_becomes_a_folder_that_samples(checkpoint, tmp_path):
    argv = ["convert-jit", str(checkpoint), "--output", str(tmp_path / "jit"), "--context-start", str(START)]
    result = CliRunner().invoke(app, [*argv, "--guidance-scale", "3"])
    assert result.exit_code == 0, result.output
    assert "16 x 16 pixels, patches of 4, 3 blocks of width 32, 3 classes" in " ".join(result.output.split())
    pipeline = SimpleDiffusionPipeline.from_pretrained(tmp_path / "jit")
    assert (pipeline.config.guidance_scale, pipeline.scheduler.shift) == (3.0, 2.0)
    pipeline.set_progress_bar_config(disable=True)
    (image,) = pipeline(class_labels=[1], num_inference_steps=1).images
    assert image.size == (16, 16)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["{file}.gone"], "is no file"),
        (["{file}"], "say at which the class tokens join"),
        (["{file}", "--weights", "model"], "the file has model_ema1"),
    ],
)
def test_user_errors_exit_with_one_line(checkpoint, tmp_path, argv, message, monkeypatch, capsys):
    output = ["--output", str(tmp_path / "jit")]
    monkeypatch.setattr(sys, "argv", ["hf-kexue", "convert-jit", *(a.format(file=checkpoint) for a in argv), *output])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "jit").exists()
