"""The public names are for type checkers and editors what they are at run time, and wrong arguments are errors."""

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import hf_kexue
from hf_kexue.dgcnn.inputs_dgcnn_qa import QAOptions, QASettings
from hf_kexue.dgcnn.inputs_dgcnn_triples import TripleOptions, TripleSettings

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(hf_kexue.__file__).parent
PUBLIC = [name for name in hf_kexue.__all__ if name != "__version__"]
MODELS = [name for name in PUBLIC if hasattr(getattr(hf_kexue, name), "from_pretrained")]


@pytest.mark.parametrize("package", ["hf_kexue", "hf_kexue.dgcnn"])
def test_three_lists_name_the_same(package):
    """`__all__`, the imports of type checkers, and what is imported at first use."""
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imported = {alias.name: node.module for node in checked.body for alias in node.names}
    assert imported == module._MODULE_OF
    assert sorted([*imported, "__version__"] if package == "hf_kexue" else imported) == sorted(module.__all__)
    (literal,) = [node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    assert ast.literal_eval(literal.value) == module.__all__
    assert all(getattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError):
        module.no_such_name  # noqa: B018


@pytest.mark.parametrize(("options", "settings"), [(QAOptions, QASettings), (TripleOptions, TripleSettings)])
def test_options_of_a_call_are_its_settings(options, settings):
    assert set(options.__annotations__) == {field.name for field in fields(settings)}


WRONG = {
    "a name that is none": "hf_kexue.DGCNNModell",
    "configuration": 'hf_kexue.DGCNNConfig(hidden_size="wide")',
    "model of transformers": 'hf_kexue.DGCNNForMaskedLM("config")',
    "tokenizer": 'hf_kexue.DGCNNTokenizer(match_features="yes")',
    "pipeline without a model": "hf_kexue.ReadingComprehensionPipeline()",
    "question": 'READER(question=1, context="x")',
    "setting of a reader": 'READER(question="x", context="x", topk=3)',
    "texts": "EXTRACT(3)",
    "setting of an extraction": 'EXTRACT("x", max_seq_len="long")',
    "prior": "hf_kexue.TriplePrior([], num_predicate=1)",
    "network of diffusers": "hf_kexue.SimpleDiffusionUViT2DModel(sample_sise=64)",
    "the other network": 'hf_kexue.SimpleDiffusionViT2DModel(conditioning="time")',
    "converter": "hf_kexue.convert_jit(3)",
    "pipeline of diffusers": "hf_kexue.SimpleDiffusionPipeline(3, None)",
    "guidance": 'IMAGES(guidance_scale="strong")',
    "scheduler": 'hf_kexue.ShiftedCosineScheduler(prediction_type="noise")',
    "loss": 'hf_kexue.simple_diffusion_loss(T, T, T, T, weighting="mine")',
    "generator": 'hf_kexue.RSGANGenerator(latent_dim="x")',
    "discriminator": 'hf_kexue.RSGANDiscriminator(sample_size="x")',
    "truncation": 'GAN(truncation="x")',
    "loss of a GAN": 'hf_kexue.relativistic_loss(T, T, kind="mine")',
    "penalty": 'hf_kexue.zero_centered_gradient_penalty("x", T)',
    "metric of texts": "hf_kexue.cmrc2018_scores(1, {})",
    "metric of triples": 'hf_kexue.triple_scores([], [], match="x")',
    "metric of images": "hf_kexue.kernel_distance(T, 3)",
    "numerics": 'hf_kexue.numerics.erf_feynman(T, num_nodes="many")',
    "hub": 'hf_kexue.hub.publish("folder")',
    "what was loaded": 'hf_kexue.RSGANPipeline.from_pretrained("x")(truncation="x")',
}
HEAD = """import torch

import hf_kexue
import hf_kexue.hub
import hf_kexue.numerics

T: torch.Tensor
READER: hf_kexue.ReadingComprehensionPipeline
EXTRACT: hf_kexue.TripleExtractionPipeline
IMAGES: hf_kexue.SimpleDiffusionPipeline
GAN: hf_kexue.RSGANPipeline
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """What mypy says about each line below the head: name or expression -> its messages."""
    pytest.importorskip("mypy", reason="the extra hf-kexue[dev] is not installed")
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("the settings of mypy belong to the repository, not to the package")
    names = {name: f"reveal_type(hf_kexue.{name})" for name in PUBLIC}
    loaded = {f"{name}.from_pretrained": f'reveal_type(hf_kexue.{name}.from_pretrained("x"))' for name in MODELS}
    lines = names | loaded | WRONG
    file = tmp_path_factory.mktemp("typed") / "use.py"
    file.write_text(HEAD + "\n".join(lines.values()) + "\n", encoding="utf-8")
    finished = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--cache-dir", ".mypy_cache", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "MYPYPATH": str(PACKAGE.parent)},
    )  # fmt: skip
    assert finished.returncode in (0, 1), finished.stdout + finished.stderr
    messages = {key: [] for key in lines}
    first, keys = HEAD.count("\n") + 1, list(lines)
    for number, message in re.findall(r"use\.py:(\d+): (.*)", finished.stdout):
        messages[keys[int(number) - first]].append(message)
    assert not re.findall(r"^src/.*: error: .*", finished.stdout, re.M), finished.stdout
    return messages


def error_free(messages):
    return not [message for message in messages if message.startswith("error")]


@pytest.mark.slow
def test_every_public_name_has_its_type(checked):
    for name in PUBLIC:
        revealed = " ".join(checked[name])
        public = getattr(hf_kexue, name)
        assert error_free(checked[name]), revealed
        if inspect.isclass(public):
            assert re.search(rf'def \((?!\*args: Any, \*\*).*\) -> {re.escape(public.__module__)}\.{name}"', revealed)
        else:
            for argument in inspect.signature(public).parameters:
                assert f"{argument}: " in revealed
            assert not re.search(r'-> Any"', revealed)


@pytest.mark.slow
def test_what_is_loaded_has_its_type(checked):
    inherited = {"ReadingComprehensionPipeline", "TripleExtractionPipeline"}
    assert not inherited & set(MODELS)
    for name in MODELS:
        assert f'"{getattr(hf_kexue, name).__module__}.{name}"' in " ".join(checked[f"{name}.from_pretrained"])


@pytest.mark.slow
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_an_error(checked, what):
    assert not error_free(checked[what])
