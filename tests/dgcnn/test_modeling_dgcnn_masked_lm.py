"""What the masked LM of DGCNN has of its own: the shared decoder and sparse prediction."""

import pytest
import torch
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForMaskedLM

FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}  # sums of some hundred products in another order


def make_model(**options):
    torch.manual_seed(0)
    config = DGCNNConfig(vocab_size=60, hidden_size=16, dilations=(1, 2), **options)
    model = DGCNNForMaskedLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


def make_inputs():
    ids = torch.randint(4, 60, (2, 14), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.mark.parametrize("tied", [True, False])
def test_the_decoder_shares_the_character_vectors(tied, tmp_path):
    make_model(tie_word_embeddings=tied).save_pretrained(tmp_path)
    model = DGCNNForMaskedLM.from_pretrained(tmp_path)
    assert (model.decoder.weight is model.dgcnn.embeddings.characters.weight) == tied
    model.resize_token_embeddings(64)
    assert (model.decoder.weight is model.dgcnn.embeddings.characters.weight) == tied
    assert model.decoder.bias.shape == (64,)


def test_sparse_prediction_scores_the_labelled_characters_alone():
    inputs = make_inputs()
    chosen = torch.zeros(2, 14, dtype=torch.bool)
    chosen[0, [2, 3, 11]] = chosen[1, 5] = True
    inputs["labels"] = inputs["input_ids"].masked_fill(~chosen, -100)
    model = make_model()
    dense = model(**inputs)
    model.config.sparse_prediction = True
    sparse = model(**inputs)
    assert sparse.logits.shape == (4, 60)
    assert_close(sparse.logits, dense.logits[chosen], **FLOAT32)
    assert_close(sparse.loss, dense.loss, **FLOAT32)
    rows = dense.logits.double().log_softmax(-1)[chosen]
    assert_close(dense.loss.double(), -rows[range(4), inputs["input_ids"][chosen]].mean(), rtol=1e-5, atol=0)
    del inputs["labels"]  # nothing to be sparse about
    assert model(**inputs).logits.shape == (2, 14, 60)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_loss_of_bfloat16_weights_is_summed_in_float32(sparse):
    model, inputs = make_model(sparse_prediction=sparse).bfloat16(), make_inputs()
    output = model(**inputs, labels=inputs["input_ids"])
    rows = output.logits.double().flatten(0, -2).log_softmax(-1)
    expected = -rows[range(28), inputs["input_ids"].flatten()].mean()
    assert_close(output.loss.double(), expected, rtol=1e-5, atol=0)


def test_accumulated_batches_have_the_gradient_of_one():
    """With the number of all labelled characters, as a `Trainer` counts them."""
    model, inputs = make_model(), make_inputs()
    labels = inputs["input_ids"].clone()
    labels[0, 3:] = -100  # 3 of the first row, 14 of the second
    model(**inputs, labels=labels).loss.backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    for row in (slice(0, 1), slice(1, 2)):
        part = {name: value[row] for name, value in inputs.items()}
        model(**part, labels=labels[row], num_items_in_batch=torch.tensor(17)).loss.backward()
    assert_close([parameter.grad for parameter in model.parameters()], expected, **FLOAT32)
