"""Folders that must not load; the same from the Hub: test_life_on_the_hub.py."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_clients import tiny_gan, tiny_images
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForQuestionAnswering, AutoTokenizer

import hf_kexue
from hf_kexue import (
    DGCNNConfig,
    DGCNNForMaskedLM,
    DGCNNForQuestionAnswering,
    DGCNNTokenizer,
    RSGANGenerator,
    RSGANPipeline,
    SimpleDiffusionPipeline,
    SimpleDiffusionUViT2DModel,
)

PACKAGE = Path(hf_kexue.__file__).parent
WEIGHTS = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "generator": "generator/diffusion_pytorch_model.safetensors",
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A pipeline of each kind, and a masked LM."""
    root = tmp_path_factory.mktemp("saved")
    tiny_images().save_pretrained(root / "unet")
    tiny_gan().save_pretrained(root / "generator")
    torch.manual_seed(0)
    DGCNNForMaskedLM(DGCNNConfig(vocab_size=9, hidden_size=4)).save_pretrained(root / "lm")
    return root


LOADERS = {
    "unet": {
        "pipeline": SimpleDiffusionPipeline.from_pretrained,
        "alone": lambda folder: SimpleDiffusionUViT2DModel.from_pretrained(folder, subfolder="unet"),
    },
    "generator": {
        "pipeline": RSGANPipeline.from_pretrained,
        "alone": lambda folder: RSGANGenerator.from_pretrained(folder, subfolder="generator"),
    },
    "lm": {"own": DGCNNForMaskedLM.from_pretrained, "Auto": AutoModelForMaskedLM.from_pretrained},
}


def rewrite(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def as_pickle(path):
    name = "pytorch_model.bin" if path.name.startswith("model.") else path.name.replace(".safetensors", ".bin")
    torch.save(load_file(path), path.with_name(name))
    path.unlink()


def larger(tensors):
    name = min(tensors)
    tensors[name] = torch.zeros([size + 1 for size in tensors[name].shape])


def add_field(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"number_of_moons": 2}))


BAD_WEIGHTS = {
    "pickled": (as_pickle, OSError, "pickled"),
    "gone": (Path.unlink, OSError, "safetensors"),
    "without their end": (lambda p: p.write_bytes(p.read_bytes()[:-9]), ValueError, "cut off or damaged"),
    "without their header": (lambda p: p.write_bytes(p.read_bytes()[:5]), ValueError, "cut off or damaged"),
    "of another shape": (lambda p: rewrite(p, larger), ValueError, r"shape: \S+ is \[[\d, ]+\], not \["),
    "without one of them": (lambda p: rewrite(p, lambda t: t.pop(min(t))), ValueError, "missing: "),
    "with one more": (
        lambda p: rewrite(p, lambda t: t.update(moon=torch.ones(1))), ValueError, "moon",
    ),
}  # fmt: skip
CASES = [(kind, way) for kind, ways in LOADERS.items() for way in ways]


@pytest.mark.parametrize(("kind", "way"), CASES)
@pytest.mark.parametrize("damage", BAD_WEIGHTS)
def test_bad_weights(saved, tmp_path, kind, way, damage):
    folder = shutil.copytree(saved / kind, tmp_path / kind)
    change, error, words = BAD_WEIGHTS[damage]
    change(folder / WEIGHTS.get(kind, "model.safetensors"))
    with pytest.raises(error, match=words):
        LOADERS[kind][way](folder)


@pytest.mark.parametrize(("kind", "way"), CASES)
def test_unknown_fields(saved, tmp_path, kind, way):
    folder = shutil.copytree(saved / kind, tmp_path / kind)
    add_field(folder / ("config.json" if kind == "lm" else f"{kind}/config.json"))
    with pytest.raises(ValueError, match=r"\['number_of_moons'\]"):
        LOADERS[kind][way](folder)


@pytest.mark.parametrize("file", ["model_index.json", "scheduler/scheduler_config.json"])
def test_unknown_fields_of_a_pipeline(saved, tmp_path, file):
    folder = shutil.copytree(saved / "unet", tmp_path / "copy")
    add_field(folder / file)
    with pytest.raises(ValueError, match="unknown fields"):
        SimpleDiffusionPipeline.from_pretrained(folder)


@pytest.mark.parametrize("value", [{}, [], ["unet"], [1, 2], [None, "UNet"], "unet", None])
def test_a_component_named_otherwise_raises(saved, tmp_path, value):
    folder = shutil.copytree(saved / "unet", tmp_path / "copy")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"guidance_unet": value}))
    with pytest.raises(ValueError, match="guidance_unet of SimpleDiffusionPipeline"):
        SimpleDiffusionPipeline.from_pretrained(folder)


def test_a_component_named_by_a_path_raises(saved, tmp_path):
    """It would be read from outside the folder."""
    folder = shutil.copytree(saved / "unet", tmp_path / "copy")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"../unet": index["unet"]}))
    with pytest.raises(ValueError, match=r"\['\.\./unet'\]"):
        SimpleDiffusionPipeline.from_pretrained(folder)


@pytest.mark.parametrize("load", [DGCNNTokenizer.from_pretrained, AutoTokenizer.from_pretrained])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_text(path.read_text()[:100]), "no whole JSON"),
        (Path.unlink, "tokenizer.json is missing"),
        (lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | {"decoder": []})), "are damaged"),
        (lambda path: path.write_text(path.read_text().replace("added_tokens", "tokens")), "are damaged"),
        (lambda path: path.write_text("null"), "are damaged"),
    ],
    ids=["cut off", "gone", "of another form", "without a key", "null"],
)
def test_a_tokenizer_without_its_file(tmp_path, load, damage, words):
    """It would come back with the four special tokens alone."""
    DGCNNTokenizer.from_texts(["居里夫妇"], 1, segmenter="none").save_pretrained(tmp_path)
    damage(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match=words):
        load(tmp_path)


def test_use_safetensors_false_raises(saved):
    for load in (DGCNNForMaskedLM.from_pretrained, RSGANPipeline.from_pretrained):
        with pytest.raises(ValueError, match="use_safetensors=False"):
            load(saved / "lm", use_safetensors=False)


def test_without_accelerate_nothing_is_said(saved):
    """It belongs to the extra for training; diffusers would recommend it with every network that loads."""
    code = f"""
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "accelerate" else find(name, *rest)
import hf_kexue
hf_kexue.SimpleDiffusionPipeline.from_pretrained({str(saved / "unet")!r})
hf_kexue.RSGANPipeline.from_pretrained({str(saved / "generator")!r})
print("loaded")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "loaded\n", done.stderr
    assert "accelerate" not in done.stderr


def test_other_heads_and_shapes_on_request(saved, tmp_path):
    """Another head on the same trunk, and `ignore_mismatched_sizes`."""
    reader = AutoModelForQuestionAnswering.from_pretrained(saved / "lm")
    assert type(reader) is DGCNNForQuestionAnswering
    AutoModel.from_pretrained(saved / "lm")
    folder = shutil.copytree(saved / "lm", tmp_path / "lm")
    rewrite(folder / "model.safetensors", larger)
    _, info = DGCNNForMaskedLM.from_pretrained(folder, ignore_mismatched_sizes=True, output_loading_info=True)
    assert len(info["mismatched_keys"]) == 1


@pytest.mark.parametrize(("make", "name"), [(tiny_images, "unet"), (tiny_gan, "generator")])
def test_a_pipeline_hands_variant_and_shard_size_to_its_network(tmp_path, make, name):
    pipeline = make()
    pipeline.save_pretrained(tmp_path, variant="ema", max_shard_size="4KB")
    files = [path.name for path in (tmp_path / name).glob("*.safetensors")]
    assert len(files) > 1
    assert all(".ema" in file for file in files)
    loaded = type(pipeline).from_pretrained(tmp_path, variant="ema")
    expected, found = (dict(getattr(each, name).state_dict()) for each in (pipeline, loaded))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "families"),
    [
        ("strict_loading.py", ["dgcnn", "rsgan", "simple_diffusion"]),
        ("saving_from_hub.py", ["rsgan", "simple_diffusion"]),
        ("modeling_from_hub.py", ["rsgan", "simple_diffusion"]),
        ("pipeline_from_hub.py", ["rsgan", "simple_diffusion"]),
        ("typed_config.py", ["rsgan", "simple_diffusion"]),
    ],
)
def test_the_copies_in_the_families_are_equal(name, families):
    assert sorted(path.parent.name for path in PACKAGE.glob(f"*/{name}")) == families
    assert len({path.read_text() for path in PACKAGE.glob(f"*/{name}")}) == 1
