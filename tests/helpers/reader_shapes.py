"""Configurations of DGCNN readers that the tests of the network share."""

READER_SHAPES = {
    "2019": {},
    "2018": {
        "position_embedding": "sinusoidal", "num_match_features": 8, "pointer_hidden_size": 12, "loss": "bce",
        "gate_noise": 0.1,
    },
    "patches": {"patch_dilations": (1, 2), "patch_size": 3, "patch_hidden_size": 12, "output": "span"},
    "attentive": {
        "context_dilations": (1, 2), "question_attention": True, "second_dilations": (2,), "num_attention_heads": 4,
        "conditional_end": True, "output": "span", "word_vocab_size": 20, "num_match_features": 8,
    },
}  # fmt: skip
