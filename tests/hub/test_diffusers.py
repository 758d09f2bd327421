"""Repositories of diffusers pipelines: one merged file for each class, and files that cannot be merged."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel
from hub_clients import drawn, tiny_gan, tiny_images
from safetensors.torch import load_file, save_file
from tiny_prompts import tiny_prompt_pipeline

import hf_kexue
from hf_kexue import (
    ShiftedFlowScheduler,
    SimpleDiffusionInpaintPipeline,
    SimpleDiffusionPipeline,
    SimpleDiffusionViT2DModel,
)
from hf_kexue.hub import export_repository
from hf_kexue.hub.diffusers import one_file
from hf_kexue.hub.repository import store_as_float16

FAMILY = Path(hf_kexue.__file__).parent / "simple_diffusion"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_repository(tiny_images(), tmp_path_factory.mktemp("hub") / "images")


def test_each_file_stands_alone(folder):
    files = list(folder.rglob("*.py"))
    assert len(files) == 3
    for path in files:
        tree = ast.parse(path.read_text())
        imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not [node for node in imported if node.level]
        assert not [node for node in imported if (node.module or "").startswith("hf_kexue")]
        names = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
        assert len(names) == len(set(names))
        assert max(map(len, path.read_text().splitlines())) <= 119


@pytest.mark.parametrize("name", ["pipeline_inpaint", "pipeline_upscale", "pipeline_image_to_image"])
def test_editing_pipelines_can_be_merged_too(name):
    """Their names do not clash, and what they share is merged once."""
    merged = one_file(FAMILY / f"{name}.py")
    tree = ast.parse(merged)
    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert len(names) == len(set(names))
    assert {"DrawingPipeline", "SamplingLoop"} <= set(names)
    assert max(map(len, merged.splitlines())) <= 119


WITHOUT_THE_PACKAGE = """
import sys
sys.modules["hf_kexue"] = None
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file

pipe = DiffusionPipeline.from_pretrained("model", trust_remote_code=True)
drawn = pipe(
    **load_file("given.safetensors"), prompt="noto: 戴墨镜的猫", negative_prompt="blob: blue car",
    num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="pt",
).images
save_file({"drawn": drawn}, "drawn.safetensors")
"""


def test_an_editing_pipeline_with_words_works_without_the_package(tmp_path):
    """Pipeline, network, scheduler, encoder and tokenizer from the folder; the pixels are those of the package."""
    pipe = SimpleDiffusionInpaintPipeline.from_pipe(tiny_prompt_pipeline(guidance_scale=2.0))
    export_repository(pipe, tmp_path / "model")
    generator = torch.Generator().manual_seed(1)
    given = {"image": torch.rand(3, 16, 16, generator=generator), "mask_image": torch.ones(1, 16, 16)}
    given["mask_image"][:, :8] = 0
    save_file(given, tmp_path / "given.safetensors")
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PACKAGE], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    expected = pipe(
        **given, prompt="noto: 戴墨镜的猫", negative_prompt="blob: blue car", num_inference_steps=2,
        generator=torch.Generator().manual_seed(0), output_type="pt",
    ).images  # fmt: skip
    drawn = load_file(tmp_path / "drawn.safetensors")["drawn"]
    torch.testing.assert_close(drawn, expected, rtol=0, atol=1e-5)  # another process may sum in another order
    assert torch.equal(drawn[:, :, :8], given["image"][None, :, :8])


def test_no_local_path_is_saved(folder, tmp_path):
    again = export_repository(SimpleDiffusionPipeline.from_pretrained(folder), tmp_path / "again")
    for path in sorted(folder.rglob("*.*")):
        assert (again / path.relative_to(folder)).read_bytes() == path.read_bytes()


def test_a_scheduler_of_diffusers_stays_one(tmp_path):
    pipe = tiny_images()
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    folder = export_repository(pipe, tmp_path / "images")
    index = json.loads((folder / "model_index.json").read_text())
    assert index["scheduler"] == ["diffusers", "DPMSolverMultistepScheduler"]
    assert [path.name for path in (folder / "scheduler").iterdir()] == ["scheduler_config.json"]
    loaded = SimpleDiffusionPipeline.from_pretrained(folder)
    assert type(loaded.scheduler) is DPMSolverMultistepScheduler
    torch.testing.assert_close(drawn(loaded), drawn(pipe), rtol=0, atol=0)


def test_a_loaded_pipeline_is_saved_without_code(folder, tmp_path):
    SimpleDiffusionPipeline.from_pretrained(folder).save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["unet"] == ["hf_kexue.simple_diffusion.modeling_uvit", "SimpleDiffusionUViT2DModel"]
    assert index["_class_name"] == "SimpleDiffusionPipeline"


def test_float16_weights_load_as_float32(tmp_path):
    pipe = tiny_images()
    folder = export_repository(pipe, tmp_path / "images")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    bytes_before = weights.stat().st_size
    store_as_float16(folder)
    assert weights.stat().st_size < 0.6 * bytes_before  # the names of the tensors stay as long as they were
    loaded = SimpleDiffusionPipeline.from_pretrained(folder).unet.state_dict()
    for key, value in pipe.unet.state_dict().items():
        torch.testing.assert_close(loaded[key], value.half().float(), rtol=0, atol=0)


def test_a_vit_travels_with_its_own_file(tmp_path, monkeypatch):
    """The merged file, imported alone, loads the weights beside it and computes the same."""
    network = SimpleDiffusionViT2DModel(
        sample_size=16, patch_size=4, hidden_size=32, num_transformer_layers=2, num_attention_heads=2, context_start=1
    )
    torch.nn.init.normal_(network.head_out.linear.weight)
    scheduler = ShiftedFlowScheduler(sample_size=16, network_prediction_type="sample")
    folder = export_repository(SimpleDiffusionPipeline(network, scheduler), tmp_path / "vit")
    assert json.loads((folder / "model_index.json").read_text())["unet"] == [
        "modeling_vit",
        "SimpleDiffusionViT2DModel",
    ]
    spec = importlib.util.spec_from_file_location("vit_alone", folder / "unet" / "modeling_vit.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "vit_alone", module)
    spec.loader.exec_module(module)
    alone = module.SimpleDiffusionViT2DModel.from_pretrained(folder / "unet")
    assert type(alone) is not SimpleDiffusionViT2DModel
    sample, logsnr = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(2)
    with torch.no_grad():
        torch.testing.assert_close(alone(sample, logsnr).sample, network(sample, logsnr).sample, rtol=0, atol=0)
    assert type(SimpleDiffusionPipeline.from_pretrained(folder).unet) is SimpleDiffusionViT2DModel


def test_a_pipeline_of_diffusers_needs_no_code(tmp_path):
    unet = UNet2DModel(16, block_out_channels=(4,), norm_num_groups=2, down_block_types=("DownBlock2D",),
                       up_block_types=("UpBlock2D",), attention_head_dim=2)  # fmt: skip
    with pytest.raises(ValueError, match="DDPMPipeline"):
        export_repository(DDPMPipeline(unet, DDPMScheduler()), tmp_path / "ddpm")
    assert not list(tmp_path.iterdir())


def write(folder, **sources):
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    return folder / f"{name}.py"


def test_one_file_of_several(tmp_path):
    path = write(
        tmp_path,
        base='"""Base."""\nfrom __future__ import annotations\n\nimport math\nfrom os import sep\n\nTWO = 2  # why\n',
        middle="from math import pi\n\nfrom .base import TWO\n\n\ndef four() -> int:\n    return TWO * TWO\n",
        top='"""Top.\n"""\nimport math\nfrom .base import TWO\nfrom .middle import four\n\nSIX = four() + TWO\n',
    )
    names = {}
    source = one_file(path)
    exec(source, names)
    assert (names["SIX"], names["TWO"], names["pi"]) == (6, 2, names["math"].pi)
    assert names["__doc__"].startswith("Top.\n")
    assert source.index("# ---- base.py") < source.index("# ---- middle.py") < source.index("# ---- top.py")
    assert source.count("import math\n") == 1
    assert "TWO = 2  # why\n" in source


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("SIZE = 1\n", "from .first import SIZE\n\nSIZE = 2\n", "SIZE of second.py is SIZE = 1"),
        ("import json as tool\n", "import math as tool\n\nfrom .first import tool\n", "tool of second.py is .json"),
        (
            "SIZE = 1\n",
            "from .first import SIZE as LENGTH\n",
            "second.py:1",
        ),
        ("SIZE = 1\n", "def f():\n    from .first import SIZE\n", "second.py:2"),
        ("SIZE = 1\n", "from . import first\n", "second.py:1"),
    ],
    ids=["two meanings", "two modules", "another name", "in a function of its own", "the module itself"],
)
def test_files_that_cannot_be_merged_raise(tmp_path, first, second, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        one_file(write(tmp_path, first=first, second=second))


def test_a_pipeline_without_a_scheduler(tmp_path):
    folder = export_repository(tiny_gan(), tmp_path / "gan")
    torch.testing.assert_close(drawn(type(tiny_gan()).from_pretrained(folder)), drawn(tiny_gan()), rtol=0, atol=0)
