"""Machinery of other libraries on DGCNN: hooks, offload, adapters, hidden states, `Trainer`."""

import copy

import pytest
import torch
from accelerate import cpu_offload
from torch import nn
from torch.testing import assert_close
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from hf_kexue.dgcnn import DGCNNConfig, DGCNNForMaskedLM, DGCNNForQuestionAnswering, DGCNNForTripleExtraction

SCHEMA = [{"predicate": "作者", "subject_types": [], "object_types": []}]
READER = {"output": "span", "second_dilations": (1,), "conditional_end": True, "pointer_hidden_size": 6}
TRIPLES = {"triple_schema": SCHEMA, "character_gate": True, "position_embedding": "learned"}
KINDS = {
    "reader": (DGCNNForQuestionAnswering, {"patch_dilations": (1,), **READER}),
    "triples": (DGCNNForTripleExtraction, TRIPLES),
    "masked": (DGCNNForMaskedLM, {}),
}


def make(kind):
    torch.manual_seed(0)
    model_class, options = KINDS[kind]
    model = model_class(DGCNNConfig(vocab_size=30, hidden_size=8, dilations=(1, 4), **options)).eval()
    inputs = {"input_ids": torch.randint(4, 30, (2, 12))}
    if kind == "reader":
        inputs["token_type_ids"] = torch.tensor([[0] * 4 + [1] * 8] * 2)
    if kind == "triples":
        inputs["subjects"] = torch.tensor([[0, 1, 2], [1, 3, 3]])
    return model, inputs


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_is_called_and_can_be_offloaded(kind):
    model, inputs = make(kind)
    expected = model(**inputs).to_tuple()
    called = set()
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv1d | nn.Linear | nn.Embedding)]
    for layer in layers:
        layer.register_forward_hook(lambda layer, *_: called.add(layer))
    model(**inputs)
    assert called == set(layers)
    offloaded = cpu_offload(make(kind)[0], execution_device=torch.device("cpu"))
    assert_close(offloaded(**inputs).to_tuple(), expected, rtol=0, atol=0)


def test_a_layer_of_the_same_class_without_a_dilation_has_that_of_the_padding():
    """Adapters make one so; a kernel of one place has none."""
    model, _ = make("reader")
    for layer in (module for module in model.modules() if isinstance(module, nn.Conv1d)):
        other = type(layer)(layer.in_channels, 3, layer.kernel_size, layer.stride, layer.padding, bias=False)
        assert other.dilation == layer.dilation
        assert other(torch.zeros(1, layer.in_channels, 9)).shape == (1, 3, 9)


def test_lora_trains_and_merges():
    peft = pytest.importorskip("peft", reason="peft is not installed: pip install peft")
    model, inputs = make("reader")
    plain = model(**inputs).start_logits
    config = peft.LoraConfig(
        r=2,
        target_modules=r".*(convolution|fusion\.projection|pointer_hidden|end_pointer\.pointer)",
        init_lora_weights=False,
    )
    adapted = peft.get_peft_model(copy.deepcopy(model), config).eval()
    found = adapted(**inputs).start_logits
    assert (found - plain).abs().max() > 1e-3
    found[:, 4:].sum().backward()
    trained = [p for name, p in adapted.named_parameters() if "lora_" in name]
    assert trained
    assert all(parameter.grad is not None for parameter in trained)
    merged = adapted.merge_and_unload()
    assert_close(merged(**inputs).start_logits, found, rtol=1e-4, atol=1e-5)  # sums in another order


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_states(kind):
    model, inputs = make(kind)
    assert model(**inputs).get("hidden_states") is None
    blocks = []
    for block in [*model.dgcnn.encoder.blocks, *([model.dgcnn.encoder.patches] if kind == "reader" else [])]:
        block.register_forward_hook(lambda _, __, output: blocks.append(output.transpose(1, 2)))
    found = model(**inputs, output_hidden_states=True)
    states = found.hidden_states
    gradients = torch.autograd.grad(found.to_tuple()[-1 if kind == "reader" else 0].sum(), states, allow_unused=True)
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
    assert len(states) == len(blocks) + 1
    assert_close(states[-1], blocks[-1], rtol=0, atol=0)
    assert {state.shape for state in states} == {(2, 12, 8)}
    if kind == "triples":
        output = model(**inputs)
        assert output.logits is output.subject_logits


class Rows(Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


@pytest.mark.parametrize(("kind", "labels"), [("reader", "positions"), ("reader", "labels"), ("triples", "labels")])
def test_a_trainer_evaluates_the_loss(kind, labels, tmp_path):
    model, inputs = make(kind)
    names = None
    if kind == "triples":
        inputs |= {"subject_labels": torch.ones(2, 12, 2), "object_labels": torch.ones(2, 12, 2)}
    elif labels == "positions":
        inputs |= {"start_positions": torch.tensor([5, 6]), "end_positions": torch.tensor([7, 6])}
    else:
        names = ["start_labels", "end_labels"]
        inputs |= {name: torch.eye(12)[[5, 6]] for name in names}
    arguments = TrainingArguments(
        tmp_path, report_to=[], use_cpu=True, per_device_eval_batch_size=2, disable_tqdm=True, label_names=names,
        remove_unused_columns=False,
    )  # fmt: skip
    trainer = Trainer(model, arguments, data_collator=lambda rows: inputs, eval_dataset=Rows([0, 1]))
    assert trainer.evaluate()["eval_loss"] == pytest.approx(float(model(**inputs).loss), rel=1e-5)
    assert trainer.model_accepts_loss_kwargs is False  # it divides by the batches that it accumulates
