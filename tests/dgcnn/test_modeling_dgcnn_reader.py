"""The reader of DGCNN: its two forms of input, its two forms of labels, and what it says when something is missing."""

import math

import pytest
import torch
from reader_shapes import READER_SHAPES
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.losses_dgcnn import MASKED_LOGIT
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForQuestionAnswering

SHAPES = READER_SHAPES | {"attentive": READER_SHAPES["attentive"] | {"word_embedding_size": 12}}
QUESTIONS, PASSAGES = (6, 4), (8, 11)  # characters in each row
FLOAT32 = {"rtol": 1e-5, "atol": 2e-6}  # sums of some hundred products in another order


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


def make_model(shape, perturbed=True, **options):
    torch.manual_seed(0)
    config = DGCNNConfig(**({"vocab_size": 60, "hidden_size": 16, "dilations": (1, 2)} | shape | options))
    model = DGCNNForQuestionAnswering(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * perturbed * torch.randn(parameter.shape))
    return model


def random_rows(lengths, seed):
    random = torch.Generator().manual_seed(seed)
    return [
        {
            "input_ids": torch.randint(4, 60, (length,), generator=random),
            "word_input_ids": torch.randint(2, 20, (length,), generator=random),
            "match_features": torch.rand(length, 8, generator=random),
            "attention_mask": torch.ones(length, dtype=torch.long),
        }
        for length in lengths
    ]


def batched(rows, side="right"):
    return {
        key: torch.nn.utils.rnn.pad_sequence([row[key] for row in rows], batch_first=True, padding_side=side)
        for key in rows[0]
    }


def pair_inputs(side="right"):
    rows = []
    for question, passage in zip(random_rows(QUESTIONS, 1), random_rows(PASSAGES, 2)):
        row = {key: torch.cat([question[key], passage[key]]) for key in passage}
        row["match_features"][: len(question["input_ids"])] = 0
        row["token_type_ids"] = torch.cat([0 * question["attention_mask"], passage["attention_mask"]])
        rows.append(row)
    return batched(rows, side)


def question_inputs(model):
    question = batched(random_rows(QUESTIONS, 1))
    states, mask = model.encode_question(question["input_ids"], question["attention_mask"], question["word_input_ids"])
    return {"question_states": states, "question_mask": mask}


def passages_of(tensor, side="right"):
    """Rows of the pair form cut to their passages."""
    for row, (question, passage) in enumerate(zip(QUESTIONS, PASSAGES)):
        start = question + (tensor.shape[1] - question - passage if side == "left" else 0)
        yield tensor[row, start : start + passage]


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_pair_in_one_row_is_scored_as_question_and_passage_apart(shape, side):
    model = make_model(shape)
    pair = model(**pair_inputs(side))
    apart = model(**batched(random_rows(PASSAGES, 2)), **question_inputs(model))
    for name in ("start_logits", "end_logits"):
        for row, ours in enumerate(passages_of(pair[name], side)):
            assert_close(ours, apart[name][row, : PASSAGES[row]], **FLOAT32)
    assert_close(pair.answerability_logits, apart.answerability_logits, **FLOAT32)


def test_padding_of_the_question_does_not_matter(shape):
    model, passages = make_model(shape), batched(random_rows(PASSAGES, 2))
    question = question_inputs(model)
    longer = {key: torch.nn.functional.pad(x, (0, 0, 0, 3) if x.dim() == 3 else (0, 3)) for key, x in question.items()}
    longer["question_states"][:, -3:] = 5.0
    expected = model(**passages, **question)
    assert_close(model(**passages, **longer).to_tuple(), expected.to_tuple(), **FLOAT32)
    row = {key: value[1:, : QUESTIONS[1]] for key, value in question.items()}
    alone = model(**{key: value[1:] for key, value in passages.items()}, **row)
    assert_close(alone.start_logits, expected.start_logits[1:], **FLOAT32)


def test_a_question_changes_the_scores(shape):
    model, passages = make_model(shape), batched(random_rows(PASSAGES, 2))
    question = question_inputs(model)
    other = {key: value.flip(0) for key, value in question.items()}
    difference = model(**passages, **question).start_logits - model(**passages, **other).start_logits
    assert difference[:, : min(PASSAGES)].abs().min() > 1e-4


def test_a_question_of_300_characters_is_read_to_its_end_in_bfloat16():
    """Lengths above 256 are no longer whole numbers in bfloat16."""
    model = make_model({"question_dilations": (1,)}).bfloat16()
    ids = torch.randint(4, 60, (1, 321), generator=torch.Generator().manual_seed(1))
    types = (torch.arange(321) >= 301).long()[None]
    changed = ids.clone()
    changed[0, 300] = 4 + (ids[0, 300] - 3) % 56
    with torch.no_grad():
        model.question_pooler.score.weight.zero_()  # the mean: each character counts alike
        states = [model.encode_question(x[:, :301])[0].float() for x in (ids, changed)]
        seen = []
        model.question_pooler.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
        for x in (ids, changed):
            model(x, token_type_ids=types)
    assert seen[0].shape == (1, 16, 301)
    assert_close(seen[1].float().transpose(1, 2), states[1], rtol=0.02, atol=0.02)
    assert (seen[0] - seen[1])[0, :, 300].abs().max() > 0.05


def test_outside_the_passage_stands_a_finite_no(shape):
    model, inputs = make_model(shape), pair_inputs()
    output = model(**inputs)
    outside = inputs["token_type_ids"] == 0
    for logits in (output.start_logits, output.end_logits):
        assert (logits[outside] == MASKED_LOGIT).all()
        assert (logits[~outside] > -100).all()
    assert torch.tensor(MASKED_LOGIT, dtype=torch.float16).isfinite()
    for probability in model.span_probabilities(output):
        assert (probability[outside] == 0).all()


def test_span_probabilities_multiply_to_the_score(shape):
    model = make_model(shape)
    output = model(**pair_inputs())
    start, end = model.span_probabilities(output)
    whole = output.answerability_logits.double().sigmoid()
    if shape.get("output") == "span":
        assert model.span_scoring == "softmax"
        apart = [x.double().exp() / x.double().exp().sum(1, keepdim=True) for x in output.to_tuple()[:2]]
        expected = apart[0][:, :, None] * apart[1][:, None] * whole[:, None, None]
    else:
        assert model.span_scoring == "sigmoid"
        apart = [1 / (1 + (-x.double()).exp()) for x in output.to_tuple()[:2]]
        expected = apart[0][:, :, None] * apart[1][:, None]
        assert (start <= whole[:, None] + 1e-6).all()  # p_global times something below 1
    assert_close((start[:, :, None] * end[:, None]).double(), expected, rtol=1e-5, atol=1e-9)


def positions(first, last):
    return {"start_positions": torch.tensor(first), "end_positions": torch.tensor(last)}


def labels(first, last, length):
    """One-hot rows; None is a row of zeros."""
    rows = [[[int(i == place) for i in range(length)] for place in places] for places in (first, last)]
    return {"start_labels": torch.tensor(rows[0]), "end_labels": torch.tensor(rows[1])}


@pytest.mark.parametrize(
    ("first", "last", "same_as"),
    [
        ([7, 8], [9, 8], ([7, 8], [9, 8])),
        ([7, -1], [9, -1], ([7, None], [9, None])),
        ([7, 99], [9, 99], ([7, None], [9, None])),
        ([7, 2], [9, 3], ([7, None], [9, None])),  # inside the question
        ([13, 7], [15, 9], ([None, 7], [None, 9])),  # the answer runs out of the first passage into its padding
        ([7, 3], [9, 5], ([7, None], [9, None])),  # it begins before the second passage
        ([-1, -1], [-1, -1], ([None, None], [None, None])),
    ],
)
def test_positions_are_labels_and_outside_the_passage_no_answer(shape, first, last, same_as):
    model, inputs = make_model(shape), pair_inputs()
    ours = model(**inputs, **positions(first, last)).loss
    assert_close(ours, model(**inputs, **labels(*same_as, length=15)).loss, rtol=1e-6, atol=0)
    assert 0 < ours < 50


def test_labels_outside_the_passage_count_for_nothing(shape):
    model, inputs = make_model(shape), pair_inputs()
    given = labels([7, 8], [9, 8], length=15)
    expected = model(**inputs, **given).loss
    for x in given.values():
        x[inputs["token_type_ids"] == 0] = 1
    assert_close(model(**inputs, **given).loss, expected, rtol=0, atol=0)


def test_the_first_loss_of_the_span_head_is_that_of_guessing():
    model = make_model(SHAPES["attentive"], perturbed=False)
    passages = batched(random_rows((40, 40), 2))
    loss = model(**passages, **question_inputs(model), **positions([3, 30], [5, 39])).loss
    assert loss.item() == pytest.approx(2 * math.log(40) + math.log(2), abs=0.25)


@pytest.mark.parametrize("unanswerable", [[False, True], [True, True]])
def test_the_loss_of_windows_without_an_answer_is_small_where_the_model_knows(shape, unanswerable):
    """A global no costs nothing: sigmoid(-20) leaves nothing to lose."""
    model, inputs = make_model(shape), pair_inputs()
    with torch.no_grad():
        model.answerability.weight.zero_()
        model.answerability.bias.fill_(-20.0)
    places = positions(*([[-1 if no else p for no, p in zip(unanswerable, pair)] for pair in ([7, 8], [9, 8])]))
    loss = model(**inputs, **places).loss
    assert loss < 1e-6 if all(unanswerable) else loss > 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token_type_ids": None}, "token_type_ids"),
        ({"question_states": torch.zeros(2, 3, 16)}, "question_mask"),
        ({"question_mask": torch.ones(2, 3)}, "question_mask"),
        ({"start_positions": torch.tensor([7, 8])}, "pairs"),
        ({"end_positions": torch.tensor([7, 8])}, "pairs"),
        ({"start_labels": torch.zeros(2, 15)}, "pairs"),
        ({"match_features": None}, "match_features"),
        ({"word_input_ids": None}, "word_input_ids"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_missing_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        make_model(SHAPES["attentive"])(**(pair_inputs() | change))


def test_positions_of_another_head_are_refused():
    with pytest.raises(ValueError, match='"none" or "sinusoidal"'):
        make_model({"position_embedding": "learned"})
