"""Exports of every kind of model, against torch called as users call it, at other sizes than the export checks itself.

One export takes seconds to a minute, so that most of these tests are slow.
"""

import numpy as np
import pytest
import torch
from reader_shapes import READER_SHAPES
from tiny_models import save_extractor, save_gan, save_pipeline, save_reader
from torch.testing import assert_close
from typer.testing import CliRunner

from hf_kexue import (
    DGCNNConfig,
    DGCNNForMaskedLM,
    DGCNNForQuestionAnswering,
    DGCNNForTripleExtraction,
    RSGANGenerator,
    SimpleDiffusionUViT2DModel,
)
from hf_kexue.cli.main import app
from hf_kexue.onnx import export_onnx
from hf_kexue.onnx.export import check
from hf_kexue.onnx.networks import networks_of
from hf_kexue.onnx.operators import accurate_operators

ort = pytest.importorskip("onnxruntime", reason="the extra hf-kexue[onnx] is not installed")
pytest.importorskip("onnxscript", reason="the extra hf-kexue[onnx] is not installed")

SCHEMA = [
    {"predicate": "作者", "subject_types": ["图书作品", "歌曲"], "object_types": ["人物"]},
    {"predicate": "首都", "subject_types": ["国家"], "object_types": ["城市"]},
]
FULL = {
    "word_vocab_size": 20, "subject_encoder": "gru", "num_attention_heads": 4, "predicate_gate": True,
    "character_gate": True, "triple_prior": True, "position_embedding": "learned", "max_position_embeddings": 40,
    "subject_power": 2, "object_power": 4, "object_dilations": (1,), "typed_subjects": True,
}  # fmt: skip
GENERATOR = {"sample_size": 32, "latent_dim": 4, "block_out_channels": (4, 4, 4, 4), "group_size": 4}
TINY = {"vocab_size": 60, "hidden_size": 16, "dilations": (1, 2)}


def perturbed(model):
    """No weight is at its start: what is added as zero would hide faults."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def run(folder, name, **inputs):
    session = ort.InferenceSession(folder / "onnx" / f"{name}.onnx", providers=["CPUExecutionProvider"])
    wanted = {node.name: inputs[node.name].numpy() for node in session.get_inputs()}
    return dict(zip([node.name for node in session.get_outputs()], session.run(None, wanted)))


def ids(below, *shape):
    return torch.randint(4, below, shape, generator=torch.Generator().manual_seed(sum(shape)))


def close(found, expected):
    assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "shape", [pytest.param(shape, marks=[pytest.mark.slow] * (shape != "patches")) for shape in READER_SHAPES]
)
def test_reader(shape, tmp_path):
    """In torch the question goes before the passage in one row; in the network it has inputs of its own."""
    model = perturbed(DGCNNForQuestionAnswering(DGCNNConfig(**TINY, **READER_SHAPES[shape])))
    state = model.state_dict()
    (path,) = export_onnx(model.train(), tmp_path)
    assert path == tmp_path / "onnx" / "model.onnx"
    assert model.training
    model.eval()
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in state.items())
    question, passage = ids(60, 4, 6), ids(60, 4, 23)
    features = torch.rand(4, 29, 8)
    row = torch.cat([question, passage], dim=1)
    sides = torch.cat([torch.zeros_like(question), torch.ones_like(passage)], dim=1)
    words = row % 20
    with torch.no_grad():
        expected = model(row, token_type_ids=sides, word_input_ids=words, match_features=features)
    found = run(
        tmp_path, "model", question_input_ids=question, question_attention_mask=torch.ones_like(question),
        question_word_input_ids=words[:, :6], input_ids=passage, attention_mask=torch.ones_like(passage),
        word_input_ids=words[:, 6:], match_features=features[:, 6:],
    )  # fmt: skip
    close(found["start_logits"], expected.start_logits[:, 6:])
    close(found["end_logits"], expected.end_logits[:, 6:])
    close(found["answerability_logits"], expected.answerability_logits)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, FULL], ids=["plain", "full"])
def test_triples(options, tmp_path):
    model = perturbed(DGCNNForTripleExtraction(DGCNNConfig(**TINY, triple_schema=SCHEMA, **options)))
    assert [path.name for path in export_onnx(model, tmp_path)] == ["model.onnx", "objects.onnx"]
    row = ids(60, 5, 37)
    inputs = {"input_ids": row, "attention_mask": torch.ones_like(row)}
    inputs["attention_mask"][1, 9:] = 0
    prior = (torch.rand(5, 37, 6) < 0.2).float()
    subjects = torch.tensor([[0, 0, 0], [1, 2, 8], [4, 30, 36]])
    columns = inputs | {"word_input_ids": row % 20, "prior": prior}
    with torch.no_grad():
        expected = model(**columns, subjects=subjects)
    states = run(tmp_path, "model", **columns)
    close(states["subject_logits"], expected.subject_logits)
    objects = run(
        tmp_path, "objects", **inputs, subjects=subjects, **{k: torch.from_numpy(v) for k, v in states.items()}
    )
    close(objects["object_logits"], expected.object_logits)


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    {"num_class_embeds": 3},
    {"input_transform": "dwt", "cross_attention_dim": 5, "pooled_projection_dim": 6},
])  # fmt: skip
def test_uvit_at_another_size(options, tmp_path):
    model = perturbed(
        SimpleDiffusionUViT2DModel(
            sample_size=16, block_out_channels=(8, 8), layers_per_block=1, hidden_size=32, num_transformer_layers=1,
            num_attention_heads=2, patch_size=2, **options,
        )
    )  # fmt: skip
    export_onnx(model, tmp_path)
    inputs = {"sample": torch.randn(4, 3, 24, 40), "logsnr": torch.tensor([-9.0, 0.0, 3.0, 12.0])}
    if "num_class_embeds" in options:
        inputs["class_labels"] = torch.tensor([0, 1, 2, 3])
    else:
        inputs |= {"encoder_hidden_states": torch.randn(4, 7, 5), "encoder_attention_mask": ids(5, 4, 7)}
        inputs["encoder_attention_mask"][2] = 0  # no text
        inputs["pooled_projections"] = torch.randn(4, 6)
    with torch.no_grad():
        expected = model(**inputs).sample
    close(run(tmp_path, "model", **inputs)["out_sample"], expected)


@pytest.mark.slow
def test_pipelines_of_images(tmp_path):
    """By component; saved models are found by their folders."""
    save_pipeline(tmp_path / "diffusion")
    generator = save_gan(tmp_path / "gan", ["Dress", "Hat"]).eval()
    (unet,) = export_onnx(tmp_path / "diffusion", tmp_path / "out")
    (gan,) = export_onnx(tmp_path / "gan", tmp_path / "gan")
    assert (unet.name, gan.name) == ("unet.onnx", "generator.onnx")
    inputs = {"latents": torch.randn(5, 16), "class_labels": torch.tensor([0, 1, 0, 1, 1])}
    with torch.no_grad():
        close(run(tmp_path / "gan", "generator", **inputs)["sample"], generator(**inputs).sample)


@pytest.mark.slow
def test_the_command_writes_int8(tmp_path):
    save_reader(tmp_path / "reader")
    done = CliRunner().invoke(
        app, ["export-onnx", str(tmp_path / "reader"), "--output", str(tmp_path / "x"), "--int8"]
    )
    assert done.exit_code == 0, done.output
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "x" / "onnx").iterdir()}
    assert sizes["model.int8.onnx"] < sizes["model.onnx"]
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "word_vocab.txt"):
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "reader" / name).read_bytes()


def test_a_wrong_export_is_refused(tmp_path):
    """The network of one model beside the weights of another."""
    generators = [RSGANGenerator(**GENERATOR).eval() for _ in range(2)]
    (path,) = export_onnx(generators[0], tmp_path)
    (own,), (other,) = map(networks_of, generators)
    assert check(own, path) < 1e-4
    with pytest.raises(RuntimeError):
        check(other, path)


@pytest.mark.parametrize(
    ("model", "output", "int8", "error"),
    [
        (lambda: DGCNNForMaskedLM(DGCNNConfig(**TINY)), "x", False, TypeError),
        (lambda: 3, "x", False, TypeError),
        (lambda: "no/such/folder", "x", False, ValueError),
        (lambda: RSGANGenerator(**GENERATOR), "x", True, ValueError),
        (lambda: DGCNNForQuestionAnswering(DGCNNConfig(**TINY)), "file", False, ValueError),
    ],
)  # fmt: skip
def test_bad_calls_write_nothing(model, output, int8, error, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(error):
        export_onnx(model(), tmp_path / output, int8=int8)
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.slow
def test_saved_models_are_left_alone_and_earlier_networks_are_not(tmp_path):
    save_extractor(tmp_path / "saved")
    before = {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}
    reader, generator = DGCNNForQuestionAnswering(DGCNNConfig(**TINY)), RSGANGenerator(**GENERATOR)
    with pytest.raises(ValueError, match="saved model"):
        export_onnx(generator, tmp_path / "saved")
    assert {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()} == before
    assert {path.name for path in export_onnx(reader, tmp_path / "x", int8=True)} == {"model.onnx", "model.int8.onnx"}
    (tmp_path / "x" / "note.txt").write_text("mine")
    export_onnx(reader, tmp_path / "x")
    assert [path.name for path in (tmp_path / "x" / "onnx").iterdir()] == ["model.onnx"]
    assert (tmp_path / "x" / "note.txt").read_text() == "mine"


def test_operators_lose_no_digits(tmp_path):
    """Where the results are small, against float64."""

    class All(torch.nn.Module):
        def forward(self, x):
            return (
                torch.log1p(x),
                torch.expm1(-x),
                torch.nn.functional.logsigmoid(x),
                torch.nn.functional.logsigmoid(-x),
            )

    x = torch.logspace(-12, 2, 200)
    path = tmp_path / "both.onnx"
    torch.onnx.export(
        All(), (x,), path, dynamo=True, verbose=False, external_data=False, opset_version=20,
        custom_translation_table=accurate_operators(),
    )  # fmt: skip
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    exact = x.double().numpy()
    expected = np.log1p(exact), np.expm1(-exact), -np.log1p(np.exp(-exact)), -exact - np.log1p(np.exp(-exact))
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-37)
