"""Contracts and truth of DGCNN for triple extraction."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError
from torch.testing import assert_close

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig
from hf_kexue.dgcnn.layers_dgcnn_triples import product_logits
from hf_kexue.dgcnn.modeling_dgcnn import DGCNNForMaskedLM
from hf_kexue.dgcnn.modeling_dgcnn_triples import DGCNNForTripleExtraction

SCHEMA = [
    {"predicate": "作者", "subject_types": ["图书作品", "歌曲"], "object_types": ["人物"]},
    {"predicate": "首都", "subject_types": ["国家"], "object_types": ["城市"]},
    {"predicate": "简称", "subject_types": ["图书作品"], "object_types": []},
]
TINY = {"vocab_size": 60, "hidden_size": 16, "dilations": (1, 2), "triple_schema": SCHEMA, "max_relative_position": 4}
SHAPES = {
    "fast": {},
    "article": {
        "word_vocab_size": 20,
        "word_embedding_size": 12,
        "subject_encoder": "gru",
        "num_attention_heads": 4,
        "predicate_gate": True,
        "character_gate": True,
        "triple_prior": True,
        "position_embedding": "learned",
        "max_position_embeddings": 20,
    },
    "typed": {
        "typed_subjects": True,
        "subject_power": 2,
        "object_power": 4,
        "object_dilations": (1,),
    },
}
FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}  # sums of some hundred products in another order


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


def make_model(shape, seed=0, perturbed=True, **options):
    torch.manual_seed(seed)
    model = DGCNNForTripleExtraction(DGCNNConfig(**(TINY | shape | options))).eval()
    if perturbed:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


def make_inputs(model, lengths=(14, 9), seed=1, labels=True):
    random = torch.Generator().manual_seed(seed)
    batch, length = len(lengths), max(lengths)
    mask = (torch.arange(length) < torch.tensor(lengths)[:, None]).long()
    types, predicates = len(model.subject_types), len(model.schema)
    subjects = torch.tensor([[0, 2, 9], [1, 3, 3], [0, 13, 13], [batch - 1, 0, 5]])
    inputs = {
        "input_ids": torch.randint(4, 60, (batch, length), generator=random) * mask,
        "attention_mask": mask,
        "word_input_ids": torch.randint(2, 20, (batch, length), generator=random) * mask,
        "prior": torch.randint(0, 2, (batch, length, 2 + 2 * predicates), generator=random).float() * mask[..., None],
        "subjects": subjects,
    }
    if labels:
        inputs["subject_labels"] = torch.randint(0, 2, (batch, length, 2 * types), generator=random) * mask[..., None]
        shape = (len(subjects), length, 2 * predicates)
        inputs["object_labels"] = torch.randint(0, 2, shape, generator=random) * mask[subjects[:, 0]][..., None]
    return inputs


def gradients(model):
    return {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}


# contracts


def test_save_and_load_are_bit_equal(shape, tmp_path):
    model = make_model(shape)
    model.save_pretrained(tmp_path)
    loaded = DGCNNForTripleExtraction.from_pretrained(tmp_path)
    assert loaded.schema == SCHEMA
    assert loaded.config.to_diff_dict() == model.config.to_diff_dict()
    assert_close(dict(loaded.state_dict()), dict(model.state_dict()), rtol=0, atol=0)
    inputs = make_inputs(model)
    loaded = copy.deepcopy(loaded)  # out of the mapped file: tensors that are aligned otherwise are summed otherwise
    assert_close(loaded(**inputs).to_tuple(), model(**inputs).to_tuple(), rtol=0, atol=0)


def test_it_starts_from_a_masked_language_model(shape, tmp_path):
    """The trunk comes along; what is new is initialised, on the meta device too."""
    fresh = dict(make_model(shape, perturbed=False).named_parameters())
    torch.manual_seed(2)
    donor = DGCNNForMaskedLM(DGCNNConfig(**(TINY | shape)))
    donor.save_pretrained(tmp_path)
    config = DGCNNConfig(**(TINY | shape))
    torch.use_deterministic_algorithms(True)  # torch fills what nobody initialises with NaN
    try:
        model, info = DGCNNForTripleExtraction.from_pretrained(tmp_path, config=config, output_loading_info=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert_close(dict(model.dgcnn.state_dict()), dict(donor.dgcnn.state_dict()), rtol=0, atol=0)
    assert set(info["missing_keys"]) == {name for name in fresh if not name.startswith("dgcnn.")}
    for name in info["missing_keys"]:
        assert_close(model.get_parameter(name).std(correction=0), fresh[name].std(correction=0), rtol=0.5, atol=0)


def test_a_tuple_holds_the_same_as_the_dict(shape):
    model = make_model(shape)
    inputs = make_inputs(model)
    assert_close(model(**inputs, return_dict=False), model(**inputs).to_tuple(), rtol=0, atol=0)


def test_gradient_reaches_every_parameter_that_counts(shape):
    model = make_model(shape).double()
    model(**make_inputs(model)).loss.backward()
    silent = {n for n, g in gradients(model).items() if g is None or g.abs().max() < 1e-12}
    assert silent == set()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_gradient_checkpointing_changes_no_gradient(shape):
    runs = []
    for checkpointing in (False, True):
        model = make_model(shape).train()
        if checkpointing:
            getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
        torch.manual_seed(5)
        model(**make_inputs(model)).loss.backward()
        runs.append(gradients(model))
    assert_close(runs[1], runs[0], rtol=0, atol=0)


@pytest.mark.parametrize("autocast", [False, True], ids=["bfloat16", "autocast"])
def test_bfloat16_stays_near_float32(shape, autocast):
    model = make_model(shape)
    inputs = make_inputs(model)
    expected = model(**inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        output = (model if autocast else model.bfloat16())(**inputs)
    assert output.loss.dtype == torch.float32
    assert_close(output.loss, expected.loss, rtol=0.05, atol=0)  # 8 bits
    for name in ("subject_logits", "object_logits"):
        assert_close(output[name].sigmoid().float(), expected[name].sigmoid(), rtol=0, atol=0.1)
    output.loss.backward()


def test_neither_padding_nor_the_rest_of_the_batch_matters(shape):
    model = make_model(shape)
    lengths = (14, 9, 11)
    inputs = make_inputs(model, lengths, labels=False)
    together = model(**inputs)
    padding = inputs["attention_mask"] == 0
    garbage = inputs | {key: inputs[key].masked_fill(padding, 13) for key in ("input_ids", "word_input_ids")}
    garbage["prior"] = inputs["prior"].masked_fill(padding[..., None], 7.0)
    assert_close(model(**garbage).to_tuple(), together.to_tuple(), rtol=0, atol=0)
    for row, length in enumerate(lengths):
        mine = inputs["subjects"][:, 0] == row
        alone = {name: inputs[name][row : row + 1, :length] for name in ("input_ids", "word_input_ids", "prior")}
        output = model(**alone, subjects=inputs["subjects"][mine] * torch.tensor([0, 1, 1]))
        assert_close(together.subject_logits[row : row + 1, :length], output.subject_logits, **FLOAT32)
        assert_close(together.object_logits[mine, :length], output.object_logits, **FLOAT32)
        assert (together.subject_logits[row, length:] < -9e3).all()
        assert (together.object_logits[mine, length:] < -9e3).all()


def test_the_two_stages_apart_are_the_forward_pass(shape):
    model = make_model(shape)
    inputs = make_inputs(model, labels=False)
    subjects = inputs.pop("subjects")
    logits, states = model.extract_subjects(**inputs)
    output = model(**inputs, subjects=subjects)
    assert_close(logits, output.subject_logits, rtol=0, atol=0)
    assert_close(model.extract_objects(states, subjects), output.object_logits, rtol=0, atol=0)
    one_by_one = torch.cat([model.extract_objects(states, subject[None]) for subject in subjects])
    assert_close(one_by_one, output.object_logits, **FLOAT32)
    assert model.extract_objects(states, subjects[:0]).shape == (0, 14, 6)
    assert model(**inputs).object_logits is None


# truth


@pytest.mark.parametrize("powers", [(1,), (2,), (4, 1, 1)])
def test_product_of_powers_against_float64(powers):
    random = torch.Generator().manual_seed(0)
    factors = [torch.randn(50, generator=random, dtype=torch.float64) * 4 for _ in powers]
    twin = math.prod(torch.sigmoid(x) ** n for x, n in zip(factors, powers))
    assert_close(product_logits(*zip(factors, powers)).sigmoid(), twin, rtol=1e-9, atol=0)
    single = product_logits(*((x.float(), n) for x, n in zip(factors, powers)))
    assert_close(single.sigmoid().double(), twin, rtol=1e-5, atol=0)


def test_product_of_powers_at_the_ends_of_float32():
    x = torch.tensor([-300.0, -100.0, 0.0, 100.0, 300.0], requires_grad=True)
    logits = product_logits((x, 4), (x.detach(), 1))
    assert logits.isfinite().all()
    assert logits[0] == -1500
    F.binary_cross_entropy_with_logits(logits, torch.ones(5), reduction="sum").backward()
    assert x.grad.isfinite().all()
    assert_close(x.grad[0].item(), -4.0)  # n times that of a sigmoid: what 7161 says of label 1


def test_loss_at_the_start_has_its_value(shape):
    """With pointers and gates that say nothing, every sigmoid is 1/2."""
    model = make_model(shape, perturbed=False)
    head, config = model.head, model.config
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if "pointer" in name or "gate" in name:
                parameter.zero_()
    inputs = make_inputs(model)
    inputs["subject_labels"][:] = 0
    inputs["object_labels"][:] = 0
    output = model(**inputs)
    gates = int(config.character_gate)
    subject = 0.5 ** (config.subject_power + gates)
    objects = 0.5 ** (config.object_power + 2 * gates + config.predicate_gate)
    assert output.subject_loss.item() == pytest.approx(-2 * len(model.subject_types) * math.log1p(-subject), rel=1e-5)
    assert output.object_loss.item() == pytest.approx(-2 * 3 * math.log1p(-objects), rel=1e-5)
    assert output.loss.item() == pytest.approx((output.subject_loss + output.object_loss).item())


def test_gates_multiply():
    """The probabilities of the article: sigmoids, multiplied one by one."""
    model = make_model(SHAPES["article"]).double()
    plain = make_model(SHAPES["article"], predicate_gate=False, character_gate=False).double()
    plain.load_state_dict(model.state_dict(), strict=False)
    inputs = make_inputs(model, lengths=(14, 14), labels=False)
    output, bare = model(**inputs), plain(**inputs)
    hidden = output.last_hidden_state.transpose(1, 2)
    pn1, pn2 = model.head.character_gate(hidden).sigmoid().unbind(dim=1)  # (B, L)
    pc = model.head.predicate_gate(hidden.amax(dim=2)).sigmoid()  # (B, C)
    start, end = bare.subject_logits.sigmoid().unbind(dim=2)
    assert_close(output.subject_logits.sigmoid(), torch.stack([start * pn1, end * pn2], dim=2))
    kept = {}
    model.head.object_gate.register_forward_hook(lambda _, args, result: kept.update(po=result.sigmoid()))
    row = inputs["subjects"][:, 0]
    ours = model(**inputs).object_logits.sigmoid()
    po = kept["po"].transpose(1, 2)  # (N, L, 1)
    start, end = bare.object_logits.sigmoid().chunk(2, dim=2)  # (N, L, C)
    expected = [side * pn[row][..., None] * po * pc[row][:, None] for side, pn in ((start, pn1), (end, pn2))]
    assert_close(ours, torch.cat(expected, dim=2))


def test_the_recurrent_code_reads_six_places():
    """Rounded places between the ends; what lies beside them is not read."""
    head = make_model(SHAPES["article"]).head
    rows = torch.randn(1, 30, 16, requires_grad=True)
    head._ends(rows, torch.tensor([0]), torch.tensor([3]), torch.tensor([21])).sum().backward()
    read = rows.grad.abs().sum(dim=2)[0].nonzero().flatten().tolist()
    assert read == [round(3 + k * 18 / 5) for k in range(6)]


def test_distances_are_embedded_up_to_their_limit():
    model = make_model({}, perturbed=False)
    with torch.no_grad():
        model.head.after_start.weight[:, 0] = torch.arange(9.0)
        model.head.after_end.weight[:, 1] = torch.arange(9.0)
    place = torch.arange(14)
    assert model.head._steps(place, torch.tensor([5]))[0].tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]


def test_subject_types_in_the_order_of_the_schema():
    assert make_model({}).subject_types == [""]
    assert make_model(SHAPES["typed"]).subject_types == ["图书作品", "歌曲", "国家"]
    untyped = [{"predicate": "a", "subject_types": [], "object_types": []}]
    assert make_model(SHAPES["typed"], triple_schema=untyped).subject_types == [""]


def test_it_learns_eight_texts():
    """Texts whose subject and object follow marks: both stages find them all."""
    torch.manual_seed(0)
    model = DGCNNForTripleExtraction(DGCNNConfig(**(TINY | {"hidden_size": 32, "initializer_range": 0.5}))).train()
    ids = torch.randint(10, 60, (8, 20))
    subjects, subject_labels, object_labels = [], torch.zeros(8, 20, 2), torch.zeros(8, 20, 6)
    for row in range(8):
        first, begin, predicate = 1 + row % 4, 9 + row % 5, row % 3
        subjects.append([row, first, first + 2])
        subject_labels[row, first, 0] = subject_labels[row, first + 2, 1] = 1
        object_labels[row, begin, predicate] = object_labels[row, begin + 3, 3 + predicate] = 1
    batch = {"input_ids": ids, "subjects": torch.tensor(subjects)}
    batch |= {"subject_labels": subject_labels, "object_labels": object_labels}
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(120):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    output = model.eval()(**batch)
    assert ((output.subject_logits > 0) == subject_labels.bool()).all()
    assert ((output.object_logits > 0) == object_labels.bool()).all()


# wrong use


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject_encoder": "mean"}, "subject_encoder"),
        ({"num_attention_heads": 3}, "multiple of num_attention_heads"),
        ({"object_power": 0}, "object_power"),
        ({"triple_thresholds": [0.5]}, "four numbers"),
        ({"known_triple_scores": [0.5]}, r"known_triple_scores .*\[0\.5\]"),
        ({"known_triple_scores": [0.5, 0.5, 1.5]}, "known_triple_scores"),
        ({"triple_schema": [{"predicate": ""}]}, "entry 0 of triple_schema"),
        ({"triple_schema": SCHEMA + SCHEMA[:1]}, "'作者' twice"),
        ({"triple_schema": [{"predicate": "a", "subject_types": "b"}]}, "subject_types of the predicate 'a'"),
    ],
)
def test_a_wrong_configuration_raises(options, message):
    with pytest.raises((StrictDataclassError, ValueError), match=message):
        DGCNNConfig(**(TINY | options))


def test_wrong_inputs_raise():
    with pytest.raises(ValueError, match="triple_schema is empty"):
        DGCNNForTripleExtraction(DGCNNConfig())
    with pytest.raises(ValueError, match='"none" or "learned"'):
        make_model({}, position_embedding="sinusoidal")
    model = make_model(SHAPES["article"])
    inputs = make_inputs(model)
    with pytest.raises(ValueError, match="wants the prior"):
        model(**(inputs | {"prior": None}))
    with pytest.raises(ValueError, match="object_labels belong to subjects"):
        model(**(inputs | {"subjects": None}))
    with pytest.raises(ValueError, match=r"\[0, 5, 4\]"):
        model(**(inputs | {"subjects": torch.tensor([[0, 5, 4]])}))
    with pytest.raises(ValueError, match=r"must be \(N, 3\)"):
        model(**(inputs | {"subjects": torch.tensor([0, 5, 4])}))
    with pytest.raises(ValueError, match="longer than max_position_embeddings"):
        model(torch.ones(1, 21, dtype=torch.long), word_input_ids=torch.ones(1, 21, dtype=torch.long))
