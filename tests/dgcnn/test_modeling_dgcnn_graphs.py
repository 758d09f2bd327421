"""DGCNN as a graph: exported for any batch and length, compiled whole. The trunk is in both heads."""

import pytest
import torch
from reader_shapes import READER_SHAPES
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForMaskedLM, DGCNNForQuestionAnswering

TINY = {"vocab_size": 60, "hidden_size": 16, "dilations": (1, 2)}
SHAPES = READER_SHAPES | {"2018": {**READER_SHAPES["2018"], "gate_noise": 0.0}}  # noise cannot be compared
FLOAT32 = {"rtol": 1e-5, "atol": 2e-6}  # sums of some hundred products in another order


def make_model(model_class, name):
    torch.manual_seed(0)
    return model_class(DGCNNConfig(**(TINY | SHAPES[name]))).eval()


def make_inputs(model, form, lengths, question):
    """A padded batch; form `pair` holds a question first, form `states` has it encoded apart."""
    random = torch.Generator().manual_seed(1)
    batch, length = len(lengths), max(lengths)
    mask = (torch.arange(length) < torch.tensor(lengths)[:, None]).long()
    inputs = {
        "input_ids": torch.randint(4, 60, (batch, length), generator=random) * mask,
        "attention_mask": mask,
        "word_input_ids": torch.randint(2, 20, (batch, length), generator=random) * mask,
    }
    if form == "masked_lm":
        return inputs
    inputs["match_features"] = torch.rand(batch, length, 8, generator=random)
    if form == "pair":
        return inputs | {"token_type_ids": (torch.arange(length) >= question).long() * mask}
    ids, words = torch.arange(4, 4 + question).repeat(batch, 1), torch.full((batch, question), 3)
    states, states_mask = model.encode_question(ids, None, words)
    return inputs | {"question_states": states.detach(), "question_mask": states_mask}


@pytest.mark.parametrize(
    ("model_class", "form", "name"),
    [
        (DGCNNForMaskedLM, "masked_lm", "attentive"),
        (DGCNNForQuestionAnswering, "pair", "2018"),
        (DGCNNForQuestionAnswering, "pair", "attentive"),
        (DGCNNForQuestionAnswering, "states", "attentive"),
        (DGCNNForQuestionAnswering, "pair", "patches"),
        (DGCNNForQuestionAnswering, "states", "patches"),
    ],
)
def test_export_with_dynamic_batch_and_length(model_class, form, name):
    model = make_model(model_class, name)
    example = make_inputs(model, form, (15, 9), 5)
    batch, length, question = (torch.export.Dim(name, min=2, max=512) for name in ("batch", "length", "question"))
    if name == "patches":
        length = 3 * length
    dynamic = {key: {0: batch, 1: question if key.startswith("question") else length} for key in example}
    program = torch.export.export(model, (), example, dynamic_shapes=dynamic, strict=False).module()
    for inputs in (example, make_inputs(model, form, (24, 8, 17), 7)):
        assert_close(program(**inputs).to_tuple(), model(**inputs).to_tuple(), **FLOAT32)


@pytest.mark.parametrize(
    ("model_class", "form", "name"),
    [
        (DGCNNForMaskedLM, "masked_lm", "2019"),
        (DGCNNForQuestionAnswering, "pair", "attentive"),
        (DGCNNForQuestionAnswering, "pair", "patches"),
    ],
)
def test_compiles_into_one_graph(model_class, form, name):
    model = make_model(model_class, name)
    inputs = make_inputs(model, form, (14, 9), 5)
    if form == "masked_lm":
        inputs["labels"] = inputs["input_ids"]
    else:
        inputs |= {"start_positions": torch.tensor([7, -1]), "end_positions": torch.tensor([8, -1])}
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert_close(compiled(**inputs).to_tuple(), model(**inputs).to_tuple(), **FLOAT32)
