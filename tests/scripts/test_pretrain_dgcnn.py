"""Pre-training, run whole on a few lines of text: what it leaves, that it learns, resumes exactly, starts a reader.

Everything happens in this process, through `main(argv)`.
"""

import json
import struct
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("yaml", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("rjieba", reason="rjieba is not installed")

import yaml
from whole_runs import TRAINING, history, reset

from hf_kexue import DGCNNConfig, DGCNNForMaskedLM, DGCNNForQuestionAnswering, DGCNNTokenizer
from hf_kexue.data.texts.masked import MaskingCollator
from hf_kexue.training.arguments import parse_arguments

if not (TRAINING / "pretrain_dgcnn.py").is_file():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)

RIVERS = ["多瑙河", "莱茵河", "长江", "黄河", "尼罗河", "亚马逊河"]
SEAS = ["黑海", "北海", "东海", "渤海", "地中海", "大西洋"]
TEXTS = [f"{river}是一条河，{river}流入{sea}；第{n}句。" for n in range(6) for river, sea in zip(RIVERS, SEAS)]

NETWORK = ["--hidden_size", "16", "--dilations", "1", "2", "--hidden_dropout", "0.2"]
# Five batches an epoch; rates and decay that change every weight visibly within eight steps.
RUN = [
    "--mixed_precision", "no", "--tracker", "none", "--max_characters", "16", "--train_batch_size", "12",
    "--max_train_steps", "8", "--lr_warmup_steps", "2", "--learning_rate", "1e-2", "--ema_decay", "0.5",
    "--logging_steps", "1", "--checkpointing_steps", "1", "--checkpoints_total_limit", "99",
    "--validation_share", "0.1", "--validation_steps", "3",
]  # fmt: skip


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def arguments(texts, output, *options):
    return ["--texts", str(texts), "--output_dir", str(output), *NETWORK, *RUN, *map(str, options)]


def train(script, texts, output, *options):
    """One run of the script from a fresh state."""
    reset()
    return script.main(arguments(texts, output, *options))


def weights(output):
    return load_file(output / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def finished(script, texts, tmp_path_factory):
    """A run of eight steps and what it returned."""
    output = tmp_path_factory.mktemp("finished") / "run"
    return output, train(script, texts, output)


# ---- a whole run


def test_what_a_run_leaves(finished):
    output, results = finished
    assert {path.name for path in output.iterdir()} == {
        "checkpoints", "history.jsonl", "manifest.json", "model", "results.json",
    }  # fmt: skip
    assert json.loads((output / "results.json").read_text()) == results
    assert (results["texts"], results["validation_texts"], results["steps"]) == (32, 4, 8)
    assert results["pieces_seen"] == 8 * 12
    lines = history(output)
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 9))
    validations = [line for line in lines if "validation/loss" in line]
    assert [line["step"] for line in validations] == [3, 6, 8]
    for line in validations:
        assert line["validation/perplexity"] == pytest.approx(np.exp(line["validation/loss"]), rel=1e-12)
    assert validations[-1]["validation/loss"] == results["validation/loss"]


def test_the_loss_falls(script, texts, tmp_path):
    """Well below the entropy of the characters, which is what knowing their frequencies alone would give."""
    steps = ["--max_train_steps", "80", "--checkpointing_steps", "999", "--validation_steps", "999"]
    results = train(script, texts, tmp_path, *steps)
    losses = [line["loss"] for line in history(tmp_path) if "loss" in line]
    shares = np.array(list(Counter("".join(TEXTS)).values())) / len("".join(TEXTS))
    entropy = float(-(shares * np.log(shares)).sum())
    assert losses[0] > entropy
    assert np.mean(losses[-10:]) < 0.5 * entropy
    assert results["validation/loss"] < 0.7 * entropy


def test_the_validation_loss_is_that_of_the_saved_model(script, texts, finished):
    """Recomputed from the folder, with the texts that a second reading of the file holds out."""
    output, results = finished
    model = DGCNNForMaskedLM.from_pretrained(output / "model").eval()
    tokenizer = DGCNNTokenizer.from_pretrained(output / "model")
    _, held_out = script.hold_out(script.read_texts(texts), 0.1, seed=0)
    dataset = script.TextWindows(held_out, 16, seed=0)
    pieces = [dataset[number] for number in range(len(dataset))]
    assert set(held_out) < set(TEXTS)
    with torch.no_grad():
        losses = [model(**MaskingCollator(tokenizer)([piece])) for piece in pieces]
        counts = [len(output.logits) for output in losses]
    mean = sum(float(output.loss) * count for output, count in zip(losses, counts)) / sum(counts)
    assert results["validation/loss"] == pytest.approx(mean, rel=1e-5)  # float32, in another order


def test_padding_stays_the_zero_vector(finished):
    table = weights(finished[0])["dgcnn.embeddings.characters.weight"]
    assert not table[0].any()
    assert table[1:].any(dim=1).all()


# ---- resuming


# ---- what comes after


def test_a_reader_starts_from_it(finished):
    """Trunk and embeddings are those of the folder, and the reader works with the tokenizer from there."""
    folder = finished[0] / "model"
    donor = DGCNNForMaskedLM.from_pretrained(folder)
    tokenizer = DGCNNTokenizer.from_pretrained(folder)
    reader, report = DGCNNForQuestionAnswering.from_pretrained(folder, output_loading_info=True)
    trunk = donor.dgcnn.state_dict()
    torch.testing.assert_close({name: reader.dgcnn.state_dict()[name] for name in trunk}, trunk, rtol=0, atol=0)
    fresh = {name for name in report["missing_keys"] if name.startswith("dgcnn.")}
    assert fresh == {name for name in report["missing_keys"] if name.startswith("dgcnn.pooler.")}
    batch = tokenizer("多瑙河流入哪里？", TEXTS[0], return_tensors="pt")
    assert torch.isfinite(reader(**batch).start_logits).all()


def test_the_preset_has_the_trunk_of_the_reader(script):
    args = parse_arguments(script.Arguments, TRAINING / "presets", [])
    preset, reader = (
        yaml.safe_load((TRAINING / "presets" / f"{name}.yaml").read_text()) for name in ("pretrain", "reader")
    )
    for key in ("dilations", "mixed_embedding"):
        assert preset[key] == getattr(args, key) == reader[key]


def test_characters_only(script, texts, tmp_path):
    train(script, texts, tmp_path, "--max_train_steps", "2", "--mixed_embedding", "False", "--validation_share", "0")
    config = DGCNNConfig.from_pretrained(tmp_path / "model")
    assert config.word_vocab_size == 0
    assert DGCNNTokenizer.from_pretrained(tmp_path / "model").word_vocab is None
    assert [line for line in history(tmp_path) if "validation/loss" in line] == []


# ---- word vectors


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
def test_word_vectors(script, texts, tmp_path, binary):
    """The file's words that the texts hold become words of the segmenter too, with the file's vectors, frozen."""
    words = ["没有的词", "流入黑海", "多瑙河", "一条河", "，"]
    vectors = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    header = b"5 6\n"
    if binary:
        rows = [word.encode() + b" " + struct.pack("<6f", *row) for word, row in zip(words, vectors)]
    else:
        rows = [" ".join([word, *map(repr, row.tolist())]).encode() for word, row in zip(words, vectors)]
    (tmp_path / "vectors").write_bytes(header + b"\n".join(rows) + b"\n")
    train(script, texts, tmp_path / "run", "--word_vectors", tmp_path / "vectors", "--max_train_steps", "3")

    tokenizer = DGCNNTokenizer.from_pretrained(tmp_path / "run" / "model")
    assert tokenizer.word_vocab == ["[PAD]", "[UNK]", *words[1:]]
    assert [word for word, _, _ in tokenizer.segment("多瑙河流入黑海。")] == ["多瑙河", "流入黑海", "。"]
    ids = tokenizer("多瑙河流入黑海。", add_special_tokens=False)["word_input_ids"]
    assert ids == [3, 3, 3, 2, 2, 2, 2, 1]
    model = DGCNNForMaskedLM.from_pretrained(tmp_path / "run" / "model")
    expected = np.concatenate([np.zeros((2, 6), dtype=np.float32), vectors[1:]])
    np.testing.assert_array_equal(model.dgcnn.embeddings.words.weight.detach().numpy(), expected)
    assert model.config.freeze_word_embeddings
    assert not model.dgcnn.embeddings.words.weight.requires_grad


# ---- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--texts", "nowhere.txt"], r"nowhere\.txt"),
        (["--validation_share", "1"], r"share .*1\.0"),
        (["--validation_share", "0.99"], r"0\.99 of 36"),
        (["--train_batch_size", "65"], "64 .*--train_batch_size"),
        (["--max_characters", "1"], "max_characters .*1"),
        (["--mask_share", "0"], "share .*0"),
        (["--word_vectors", "nowhere.bin"], r"nowhere\.bin"),
        (["--word_vectors", "nowhere.bin", "--mixed_embedding", "False"], "--word_vectors .*--mixed_embedding"),
    ],
)  # fmt: skip
def test_bad_arguments_raise(script, texts, tmp_path, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(script, texts, tmp_path / "run", *options)
    assert not (tmp_path / "run" / "model").exists()


def test_no_texts(script, tmp_path):
    with pytest.raises(ValueError, match="--texts"):
        script.main(["--output_dir", str(tmp_path / "run"), "--tracker", "none", "--mixed_precision", "no"])
    assert not (tmp_path / "run").exists()


def test_a_preset_of_another_script(script, texts, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train(script, texts, tmp_path / "run", "--preset", "reader")
    assert "reader.yaml has unknown keys" in capsys.readouterr().err


def test_accumulated_gradients_are_the_mean_over_all_masked_characters(script, texts, tmp_path):
    """Micro batches with other numbers of them, three a step and five an epoch, against the sum over the characters of
    each step by the number of them, computed here. At a rate of 0 and without dropout every step sees one network."""
    still = ["--learning_rate", "0", "--hidden_dropout", "0", "--gate_dropout", "0", "--max_grad_norm", "1e9"]
    collected = []

    def watch(module, _, inputs, output):
        if isinstance(module, DGCNNForMaskedLM) and module.training:
            collected.append(int((inputs["labels"] != -100).sum()))

    handle = torch.nn.modules.module.register_module_forward_hook(watch, with_kwargs=True)
    try:
        train(script, texts, tmp_path / "1", *still, "--max_train_steps", 5)
    finally:
        handle.remove()
    train(script, texts, tmp_path / "3", *still, "--max_train_steps", 2, "--gradient_accumulation_steps", 3)
    alone = [line["loss"] for line in history(tmp_path / "1") if "loss" in line]
    grouped = [line["loss"] for line in history(tmp_path / "3") if "loss" in line]
    assert len(set(collected)) > 1
    for loss, group in zip(grouped, (slice(0, 3), slice(3, 5)), strict=True):
        counts = collected[group]
        expected = sum(loss * count for loss, count in zip(alone[group], counts)) / sum(counts)
        assert loss == pytest.approx(expected, rel=1e-5)
