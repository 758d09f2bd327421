"""The configuration of DGCNN: defaults of 2019, JSON round trip, and errors for wrong values."""

import json

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from hf_kexue.dgcnn.configuration_dgcnn import DGCNNConfig

OWN = {
    "vocab_size": 77,
    "hidden_size": 24,
    "dilations": [1, 3],
    "patch_dilations": [1, 3],
    "patch_size": 3,
    "patch_hidden_size": 5,
    "kernel_size": 5,
    "gate_dropout": 0.2,
    "gate_noise": 0.05,
    "hidden_dropout": 0.3,
    "position_embedding": "sinusoidal",
    "word_vocab_size": 9,
    "word_embedding_size": 11,
    "freeze_word_embeddings": True,
    "max_position_embeddings": 99,
    "triple_schema": [{"predicate": "作者", "subject_types": ["图书作品"], "object_types": []}],
    "typed_subjects": True,
    "subject_encoder": "gru",
    "num_attention_heads": 6,
    "predicate_gate": True,
    "character_gate": True,
    "subject_power": 2,
    "object_power": 4,
    "triple_prior": True,
    "known_triple_scores": [0.7],
    "object_dilations": [2],
    "max_relative_position": 7,
    "triple_thresholds": [0.1, 0.2, 0.3, 0.4],
    "question_dilations": [2, 1, 1],
    "context_dilations": [2],
    "question_attention": True,
    "second_dilations": [1, 4],
    "conditional_end": True,
    "num_match_features": 8,
    "feature_dropout": 0.4,
    "pointer_hidden_size": 7,
    "output": "span",
    "loss": "bce",
    "focal_alpha": 0.5,
    "focal_gamma": 1.0,
    "max_answer_len": 45.5,
    "no_answer_threshold": 0.25,
    "score_calibration": [0.75, -0.5],
    "pooler_layers": 2,
    "pooler_size": 33,
    "sparse_prediction": True,
    "initializer_range": 0.1,
    "pad_token_id": 5,
    "mask_token_id": 6,
    "tie_word_embeddings": False,
}

# Wrong values -> what the message says is allowed.
WRONG_VALUES = {
    "vocab_size": [(0, "at least 1"), (-5, "at least 1")],
    "hidden_size": [(0, "at least 1")],
    "word_embedding_size": [(0, "at least 1")],
    "word_vocab_size": [(-1, "0 (none) or a size")],
    "pointer_hidden_size": [(-1, "0 (none) or a size")],
    "pooler_layers": [(-1, "0 (none) or a size")],
    "pooler_size": [(-1, "0 (none) or a size"), (8, "needs pooler_layers")],
    "kernel_size": [(0, "must be odd"), (2, "must be odd"), (-1, "must be odd")],
    "dilations": [((1, 0), "at least 1"), ([-2], "at least 1")],
    "question_dilations": [((0,), "at least 1")],
    "second_dilations": [((1, 0), "at least 1")],
    "patch_dilations": [((1, 0), "at least 1")],
    "patch_size": [(0, "at least 1")],
    "patch_hidden_size": [(-1, "0 (none) or a size")],
    "conditional_end": [(True, 'is for output="span"')],
    "context_dilations": [((0,), "at least 1"), ((2,), "must begin with"), ((1, 2, 1, 1), "must begin with")],
    "gate_dropout": [(1, "[0, 1)"), (-0.1, "[0, 1)")],
    "feature_dropout": [(1.0, "[0, 1)"), (-0.1, "[0, 1)")],
    "hidden_dropout": [(1.0, "[0, 1)"), (-0.1, "[0, 1)")],
    "gate_noise": [(-0.1, "[0, 1]"), (1.5, "[0, 1]")],
    "max_answer_len": [(0, "must be positive"), (-1.0, "must be positive")],
    "no_answer_threshold": [(0.0, "no_answer_threshold"), (1.0, "no_answer_threshold")],
    "score_calibration": [([1.0], "score_calibration"), ([0.0, 1.0], "score_calibration")],
    "focal_alpha": [(-0.1, "[0, 1]"), (1.1, "[0, 1]")],
    "focal_gamma": [(-1.0, "not be negative")],
    "initializer_range": [(-0.02, "not be negative")],
    "pad_token_id": [(8000, "below vocab_size"), (-1, "below vocab_size")],
    "num_match_features": [(4, "0 or 8")],
    "position_embedding": [("rotary", "none, sinusoidal, learned")],
    "output": [("pointer", "tagging, span")],
    "loss": [("hinge", "focal, bce")],
}
WRONG_TYPES = {
    "vocab_size": "8000",
    "hidden_size": 12.5,
    "dilations": 3,
    "question_dilations": ["1"],
    "gate_dropout": "0.1",
    "question_attention": "yes",
    "output": None,
    "focal_gamma": [2],
}


def test_the_defaults_are_the_reader_of_2019():
    config = DGCNNConfig()
    assert (config.dilations, config.question_dilations) == ((1, 2, 4, 8, 16, 1), (1, 2, 1))  # archives/6906
    assert (config.hidden_size, config.kernel_size, config.gate_dropout, config.hidden_dropout) == (128, 3, 0.1, 0.1)
    assert (config.output, config.loss, config.focal_alpha, config.focal_gamma) == ("tagging", "focal", 0.25, 2.0)
    assert (config.position_embedding, config.num_match_features, config.gate_noise) == ("none", 0, 0)
    assert (config.context_dilations, config.question_attention) == ((), False)


def test_every_key_survives_json(tmp_path):
    config = DGCNNConfig(**OWN)
    config.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    loaded = DGCNNConfig.from_pretrained(tmp_path)
    assert {key: saved[key] for key in OWN} == OWN
    assert {key: getattr(loaded, key) for key in OWN} == OWN
    assert loaded.to_dict() == config.to_dict()
    own_fields = {key for key in vars(DGCNNConfig)["__annotations__"] if key != "model_type"}
    assert own_fields == set(OWN), "a new key belongs into OWN"


def test_the_default_survives_json_too(tmp_path):
    DGCNNConfig().save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["model_type"] == "dgcnn"
    assert list(DGCNNConfig.from_pretrained(tmp_path).dilations) == list(DGCNNConfig().dilations)


def test_json_text_is_read_back_as_equal():
    config = DGCNNConfig(**OWN)
    assert DGCNNConfig.from_dict(json.loads(config.to_json_string())).to_dict() == config.to_dict()


def test_the_auto_class_finds_it_once_registered(tmp_path):
    AutoConfig.register("dgcnn", DGCNNConfig, exist_ok=True)
    DGCNNConfig(**OWN).save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is DGCNNConfig
    assert loaded.hidden_size == OWN["hidden_size"]


@pytest.mark.parametrize(
    ("name", "value", "word"), [(n, *case) for n, cases in WRONG_VALUES.items() for case in cases]
)
def test_a_wrong_value_raises(name, value, word):
    with pytest.raises(StrictDataclassError) as error:
        DGCNNConfig(**{name: value})
    message = str(error.value.__cause__)
    given = str(list(value) if isinstance(value, tuple) else value)
    assert isinstance(error.value.__cause__, ValueError)
    assert name in message
    assert word in message
    assert given in message
    assert message.endswith(".")


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES.items())
def test_a_wrong_type_names_the_key(name, value):
    with pytest.raises(StrictDataclassError, match=name):
        DGCNNConfig(**{name: value})
    with pytest.raises(StrictDataclassError, match=name):
        setattr(DGCNNConfig(), name, value)


@pytest.mark.parametrize(
    "options",
    [
        {"dilations": [1, 2]},
        {"dilations": ()},
        {"kernel_size": 1},
        {"gate_noise": 1},
        {"gate_dropout": 0, "hidden_dropout": 0},
        {"focal_alpha": 1, "focal_gamma": 0},
        {"context_dilations": (1, 2, 1), "question_dilations": [1, 2, 1]},
        {"pad_token_id": None, "mask_token_id": None},
        {"vocab_size": 1},
    ],
)
def test_the_edges_are_allowed(options):
    config = DGCNNConfig(**options)
    assert {name: getattr(config, name) for name in options} == options
