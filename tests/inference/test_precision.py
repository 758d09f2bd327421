"""The dtype "auto"."""

import warnings

import pytest
import torch
from PIL import Image
from tiny_models import save_pipeline, save_reader
from typer.testing import CliRunner

from hf_kexue.cli.main import app
from hf_kexue.inference import precision
from hf_kexue.inference.precision import chosen_dtype
from hf_kexue.inference.saved_models import load_pipeline
from hf_kexue.simple_diffusion import kernels_uvit


@pytest.mark.parametrize(("units", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bf16_where_the_processor_has_units_for_it(units, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "has_bf16_units", lambda: units)
    assert chosen_dtype("auto", "cpu") == expected
    save_pipeline(tmp_path)
    loaded = {name: load_pipeline(str(tmp_path), device="cpu", dtype=name).unet.dtype for name in ("auto", None)}
    assert loaded == {"auto": getattr(torch, expected), None: torch.float32}


@pytest.mark.parametrize("units", [True, False])
def test_the_command_draws_in_what_the_processor_is_fast_in(units, monkeypatch, tmp_path):
    """And in float32 where that is asked for, whatever the processor."""
    monkeypatch.setattr(precision, "has_bf16_units", lambda: units)
    save_pipeline(tmp_path / "model")

    def pixels(*options):
        common = ["generate", tmp_path / "model", "-o", tmp_path / "a.png", "--steps", 3, "--device", "cpu"]
        result = CliRunner().invoke(app, [str(word) for word in [*common, *options]])
        assert result.exit_code == 0, result.output
        return Image.open(tmp_path / "a.png").tobytes()

    exact, rounded = (pixels("--dtype", name) for name in ("float32", "bfloat16"))
    assert exact != rounded
    assert pixels() == (rounded if units else exact)


def test_what_is_named_stays():
    assert [chosen_dtype(name, "cpu") for name in ("float32", "bfloat16", "float16", None)] == [
        "float32", "bfloat16", "float16", None,
    ]  # fmt: skip
    assert chosen_dtype("auto", "meta") == "float32"  # a device that nothing is known of


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_library_warns_of_how_a_dtype_is_asked_for(dtype, tmp_path):
    save_pipeline(tmp_path / "images")
    save_reader(tmp_path / "reader")
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        load_pipeline(str(tmp_path / "images"), device="cpu", dtype=dtype)
        load_pipeline(str(tmp_path / "reader"), device="cpu", dtype=dtype)


def test_families_see_the_same_units():
    """Read from the processor by two files, since a family that travels alone imports nothing."""
    assert precision.has_bf16_units() == kernels_uvit.has_bf16_units()
