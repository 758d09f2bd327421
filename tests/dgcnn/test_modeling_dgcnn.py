"""Contracts of transformers' kind, once for the three models of DGCNN and the three shapes of configuration."""

import copy

import pytest
import torch
from reader_shapes import READER_SHAPES
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.layers_dgcnn import DGCNNBlock
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForMaskedLM, DGCNNForQuestionAnswering, DGCNNModel

TINY = {"vocab_size": 60, "hidden_size": 16, "dilations": (1, 2), "word_embedding_size": 12}
CLASSES = [DGCNNModel, DGCNNForMaskedLM, DGCNNForQuestionAnswering]
FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}  # sums of some hundred products in another order


SHAPES = READER_SHAPES | {"perceptrons": {"pooler_layers": 1, "pooler_size": 20}}


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


@pytest.fixture(params=CLASSES, ids=lambda model_class: model_class.__name__)
def model_class(request):
    return request.param


def make_model(model_class, shape, seed=0, perturbed=True, **options):
    """A tiny model; perturbed so that no weight is left at zero or the identity."""
    torch.manual_seed(seed)
    model = model_class(DGCNNConfig(**(TINY | shape | options))).eval()
    if perturbed:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


def make_inputs(model_class, lengths=(14, 9), question=5, seed=1, labels=False):
    """A padded batch. The reader's rows hold a question of `question` characters first."""
    random = torch.Generator().manual_seed(seed)
    batch, length = len(lengths), max(lengths)
    mask = (torch.arange(length) < torch.tensor(lengths)[:, None]).long()
    inputs = {
        "input_ids": torch.randint(4, 60, (batch, length), generator=random) * mask,
        "attention_mask": mask,
        "word_input_ids": torch.randint(2, 20, (batch, length), generator=random) * mask,
    }
    if model_class is DGCNNForQuestionAnswering:
        inputs["token_type_ids"] = (torch.arange(length) >= question).long() * mask
        inputs["match_features"] = torch.rand(batch, length, 8, generator=random) * mask[:, :, None]
        if labels:
            inputs |= {
                "start_positions": torch.tensor([7, -1])[:batch],
                "end_positions": torch.tensor([8, -1])[:batch],
            }
    if model_class is DGCNNForMaskedLM and labels:
        inputs["labels"] = inputs["input_ids"].masked_fill(mask == 0, -100)
    return inputs


def scalar(model_class, model, inputs):
    """The loss, or for the trunk a sum over both outputs with weights that differ from place to place."""
    output = model(**inputs)
    if model_class is not DGCNNModel:
        return output.loss
    random = torch.Generator().manual_seed(3)
    return sum((x * torch.randn(x.shape, generator=random)).sum() for x in output.to_tuple())


def gradients(model):
    return {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


def test_save_and_load_are_bit_equal(model_class, shape, tmp_path):
    model = make_model(model_class, shape)
    model.save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path)
    assert not loaded.training
    assert_close(dict(loaded.state_dict()), dict(model.state_dict()), rtol=0, atol=0)
    inputs = make_inputs(model_class, labels=True)
    loaded = copy.deepcopy(loaded)  # out of the mapped file: tensors that are aligned otherwise are summed otherwise
    assert_close(loaded(**inputs).to_tuple(), model(**inputs).to_tuple(), rtol=0, atol=0)


def test_loading_onto_one_another_leaves_nothing_uninitialised(model_class, shape, tmp_path):
    """Weights are made on the meta device; torch fills what nobody initialises with NaN when asked to."""
    fresh = dict(make_model(model_class, shape, perturbed=False).named_parameters())
    for saved_class in CLASSES:
        saved = make_model(saved_class, shape)
        saved.save_pretrained(tmp_path / saved_class.__name__)
        torch.use_deterministic_algorithms(True)  # turns filling on
        try:
            loaded, info = model_class.from_pretrained(tmp_path / saved_class.__name__, output_loading_info=True)
        finally:
            torch.use_deterministic_algorithms(False)
        trunk, saved_trunk = (getattr(model, "dgcnn", model).state_dict() for model in (loaded, saved))
        common = trunk.keys() & saved_trunk.keys()  # the masked LM pools nothing, and the reader has no perceptrons
        other = {name.split(".")[0] for name in trunk.keys() ^ common | saved_trunk.keys() ^ common}
        assert other <= {"pooler", "vector_blocks"}
        assert_close({name: trunk[name] for name in common}, {n: saved_trunk[n] for n in common}, rtol=0, atol=0)
        for name in info["missing_keys"]:
            parameter = loaded.get_parameter(name)
            assert parameter.isfinite().all(), name
            assert_close(parameter.std(correction=0), fresh[name].std(correction=0), rtol=0.5, atol=0)
        prefix = "" if model_class is DGCNNModel else "dgcnn."
        expected = set() if model_class is saved_class else set(fresh) - {prefix + name for name in common}
        assert set(info["missing_keys"]) == expected


def test_a_tuple_holds_the_same_as_the_dict(model_class, shape):
    model, inputs = make_model(model_class, shape), make_inputs(model_class, labels=True)
    output = model(**inputs)
    expected = [value for value in output.values() if value is not None]
    assert_close(model(**inputs, return_dict=False), tuple(expected), rtol=0, atol=0)
    model.config.return_dict = False
    assert_close(model(**inputs), tuple(expected), rtol=0, atol=0)


def test_gradient_reaches_every_parameter_that_counts(model_class, shape):
    model = make_model(model_class, shape).double()  # a gradient that is zero shows as 1e-17
    scalar(model_class, model, make_inputs(model_class, labels=True)).backward()
    silent = {n for n, g in gradients(model).items() if g is None or g.abs().max() < 1e-9}
    assert silent == set()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_gradient_checkpointing_changes_no_gradient(model_class, shape):
    inputs = make_inputs(model_class, labels=True)
    runs, calls = [], []
    for checkpointing in (False, True):
        model = make_model(model_class, shape).train()  # dropout and noise are on: the second pass repeats them
        if checkpointing:
            enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
            enable()
        seen = []
        for block in model.modules():
            if isinstance(block, DGCNNBlock):
                block.convolution.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        torch.manual_seed(5)
        scalar(model_class, model, inputs).backward()
        runs.append(gradients(model))
        calls.append(len(seen))
    assert calls[1] == 2 * calls[0], "each block runs again in the backward pass"
    assert_close(runs[1], runs[0], rtol=0, atol=0)


@pytest.mark.parametrize("autocast", [False, True], ids=["bfloat16", "autocast"])
def test_bfloat16_stays_near_float32(model_class, shape, autocast):
    model, inputs = make_model(model_class, shape), make_inputs(model_class, labels=True)
    expected = model(**inputs).to_tuple()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        output = (model if autocast else model.bfloat16())(**inputs)
    for ours, reference in zip(output.to_tuple(), expected):
        assert_close(ours.float(), reference, rtol=0.05, atol=0.05 * min(reference.abs().max().item(), 4))  # 8 bits
    if "loss" in output:
        assert output.loss.dtype == torch.float32
        output.loss.backward()


def test_evaluation_repeats_itself_and_training_follows_the_seed(model_class, shape):
    model, inputs = make_model(model_class, shape), make_inputs(model_class)
    assert_close(model(**inputs).to_tuple(), model(**inputs).to_tuple(), rtol=0, atol=0)
    model.train()
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(model(**inputs)[0])
    assert_close(results[0], results[1], rtol=0, atol=0)
    assert (results[0] - results[2]).abs().max() > 1e-4


def test_neither_padding_nor_the_rest_of_the_batch_matters(model_class, shape):
    model, inputs = make_model(model_class, shape), make_inputs(model_class, lengths=(14, 9, 11))
    together = model(**inputs)
    padding = inputs["attention_mask"] == 0
    garbage = inputs | {key: inputs[key].masked_fill(padding, 13) for key in ("input_ids", "word_input_ids")}
    if "match_features" in inputs:
        garbage["match_features"] = inputs["match_features"].masked_fill(padding[:, :, None], 7.0)
        garbage["token_type_ids"] = inputs["token_type_ids"].masked_fill(padding, 1)
    for row, length in enumerate((14, 9, 11)):
        alone = model(**{key: value[row : row + 1, :length] for key, value in inputs.items()})
        for name, value in alone.items():
            ours = together[name][row : row + 1]
            assert_close(ours[:, :length] if ours.dim() > 1 and name != "pooler_output" else ours, value, **FLOAT32)
    if model_class is not DGCNNForMaskedLM:  # whose scores at padding are those of a zero vector
        assert_close(model(**garbage).to_tuple(), together.to_tuple(), rtol=0, atol=0)
    else:
        assert_close(model(**garbage).logits[~padding], together.logits[~padding], rtol=0, atol=0)


def test_token_embeddings_grow(model_class, shape, tmp_path):
    model, inputs = make_model(model_class, shape), make_inputs(model_class)
    expected = model(**inputs)[0]
    model.resize_token_embeddings(64)
    assert model.config.vocab_size == model.get_input_embeddings().num_embeddings == 64
    ours = model(**inputs)[0]
    assert_close(ours[..., :60] if model_class is DGCNNForMaskedLM else ours, expected, **FLOAT32)
    assert ours.shape[-1] == 64 or model_class is not DGCNNForMaskedLM
    model.save_pretrained(tmp_path)
    new = inputs | {"input_ids": inputs["input_ids"].masked_fill(inputs["attention_mask"] == 1, 63)}
    assert_close(model_class.from_pretrained(tmp_path)(**new)[0], model(**new)[0], **FLOAT32)


def test_frozen_word_vectors_stay(model_class, tmp_path):
    shape = READER_SHAPES["attentive"]
    saved = make_model(model_class, shape, freeze_word_embeddings=True)
    saved.save_pretrained(tmp_path)
    model = model_class.from_pretrained(tmp_path).train()
    words = model.base_model.embeddings.words.weight
    assert not words.requires_grad
    assert not saved.base_model.embeddings.words.weight.requires_grad
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == {
        n for n, p in model.named_parameters() if p is words
    }
    before = words.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.1)
    scalar(model_class, model, make_inputs(model_class, labels=True)).backward()
    optimizer.step()
    assert_close(words, before, rtol=0, atol=0)
    free = make_model(model_class, shape, freeze_word_embeddings=False)
    assert free.base_model.embeddings.words.weight.requires_grad
