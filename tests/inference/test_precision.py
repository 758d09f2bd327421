"""The dtype "auto"."""

import pytest
import torch
from tiny_models import save_pipeline

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


def test_what_is_named_stays():
    assert [chosen_dtype(name, "cpu") for name in ("float32", "bfloat16", "float16", None)] == [
        "float32", "bfloat16", "float16", None,
    ]  # fmt: skip
    assert chosen_dtype("auto", "meta") == "float32"  # a device that nothing is known of


def test_families_see_the_same_units():
    """Read from the processor by two files, since a family that travels alone imports nothing."""
    assert precision.has_bf16_units() == kernels_uvit.has_bf16_units()
