"""Training on captions, run whole on embedded emoji: the text encoder first, then the pictures; resumed exactly."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("accelerate", reason="the extra hf-kexue[train] is not installed")
pytest.importorskip("datasets", reason="the extra hf-kexue[train] is not installed")

from whole_runs import TRAINING, history, load_script, reset

from hf_kexue import DGCNNModel, DGCNNTokenizer, SimpleDiffusionTextToImagePipeline

EMOJI = TRAINING / "data" / "emoji"
if not (EMOJI / "data").is_dir():
    pytest.skip("training/ belongs to the repository, not to the package", allow_module_level=True)
pytestmark = pytest.mark.usefixtures("own_cache")

DATA = ["--dataset", str(EMOJI), "--caption_column", "name_en", "name_zh", "tags_en", "--caption_prefix", "style"]
RUN = [
    "--mixed_precision", "no", "--tracker", "none", "--lr_warmup_steps", "1", "--learning_rate", "1e-2",
    "--ema_decay", "0.5", "--logging_steps", "1", "--checkpointing_steps", "1", "--checkpoints_total_limit", "99",
    "--max_train_steps", "4",
]  # fmt: skip
ENCODER = [*DATA, *RUN, "--split", "train[:16]", "--validation_split", "unseen_pair", "--hidden_size", "16",
           "--dilations", "1", "2", "--train_batch_size", "8", "--gate_dropout", "0.1", "--validation_steps", "2",
           "--max_prompt_tokens", "20", "--pooler_layers", "1", "--pooler_size", "12",
           "--picture_steps", "200"]  # fmt: skip
NETWORK = [
    "--preset", "64-emoji", "--resolution", "16", "--patch_size", "2", "--block_out_channels", "8",
    "--layers_per_block", "1", "--hidden_size", "16", "--num_transformer_layers", "1", "--num_attention_heads", "2",
    "--embedding_dim", "16",
]  # fmt: skip
PICTURES = [*DATA, *RUN, *NETWORK, "--split", "train[:8]", "--train_batch_size", "4", "--sample_inference_steps", "2"]
QUIET = ["--validation_split", "none", "--sample_steps", "0"]


def train(script, output, *options):
    reset()
    return load_script(script).main(["--output_dir", str(output), *map(str, options)])


def cut_off(output, target, step):
    """A copy of a run that died right after a checkpoint."""
    shutil.copytree(output, target)
    for checkpoint in (target / "checkpoints").iterdir():
        if int(checkpoint.name.partition("-")[2]) > step:
            shutil.rmtree(checkpoint)
    (target / "results.json").unlink()
    return target


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    output = tmp_path_factory.mktemp("encoder") / "run"
    train("pretrain_text_encoder", output, *ENCODER)
    return output


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Four steps with a new encoder, trained along, and cross-attention."""
    output = tmp_path_factory.mktemp("pictures") / "run"
    options = ["--text_encoder", "new", "--cross_attention", "True", "--validation_split", "unseen_pair"]
    train("train_simple_diffusion", output, *PICTURES, *options)
    return output


def history_rows(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def weights(folder):
    return {path.name + str(path.parent.name): load_file(path) for path in sorted(folder.rglob("*.safetensors"))}


def test_an_encoder_is_left_with_its_tokenizer_and_figures(encoder):
    tokenizer = DGCNNTokenizer.from_pretrained(encoder / "model")
    model = DGCNNModel.from_pretrained(encoder / "model")
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.model_max_length == 20
    results = json.loads((encoder / "results.json").read_text())
    for name in ("caption_to_picture", "second_to_picture", "second_to_first"):
        assert 0 <= results[f"validation/{name}"] <= 1
    assert results["pictures_seen"] == 32
    assert 0 < results["picture_loss"] < 1
    assert "sketch" not in "".join(model.state_dict())
    assert model(torch.tensor([[5, 6]])).pooler_output.shape == (1, 12)


def test_an_encoder_resumes_bit_for_bit(encoder, tmp_path):
    resumed = cut_off(encoder, tmp_path / "resumed", 2)
    train("pretrain_text_encoder", resumed, *ENCODER)
    assert history(resumed) == history(encoder)
    torch.testing.assert_close(weights(resumed / "model"), weights(encoder / "model"), rtol=0, atol=0)


def test_an_encoder_that_died_after_its_last_step_learns_the_same_pictures(encoder, tmp_path):
    """Upright ones, though the run mirrors half of them in each epoch; and the time it takes counts."""
    resumed = cut_off(encoder, tmp_path / "resumed", 4)
    train("pretrain_text_encoder", resumed, *ENCODER)
    torch.testing.assert_close(weights(resumed / "model"), weights(encoder / "model"), rtol=0, atol=0)
    upright = tmp_path / "upright"
    train("pretrain_text_encoder", upright, *ENCODER, "--random_flip", "False", "--learning_rate", "0")
    mirrored = tmp_path / "mirrored"
    train("pretrain_text_encoder", mirrored, *ENCODER, "--random_flip", "True", "--learning_rate", "0")
    torch.testing.assert_close(weights(mirrored / "model"), weights(upright / "model"), rtol=0, atol=0)
    results = json.loads((encoder / "results.json").read_text())
    assert results["seconds"] > max(row.get("seconds", 0) for row in history_rows(encoder)) + 0.05


@pytest.mark.parametrize("steps", ["0", "1", "2", "10"])
def test_few_picture_steps(tmp_path, steps):
    if steps == "0":
        with pytest.raises(ValueError, match=r"--picture_steps .*-1"):
            train("pretrain_text_encoder", tmp_path, *ENCODER, "--picture_steps", "-1")
    train("pretrain_text_encoder", tmp_path, *ENCODER, "--picture_steps", steps, "--max_train_steps", "1")
    assert ("picture_loss" in json.loads((tmp_path / "results.json").read_text())) is (steps != "0")


def test_a_pipeline_of_prompts_is_left_with_its_samples(trained):
    pipeline = SimpleDiffusionTextToImagePipeline.from_pretrained(trained / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.config.guidance_scale == 3.0
    assert pipeline.unet.config.cross_attention_dim == 256
    images = pipeline(["noto: cat", "noto: 猫"], num_inference_steps=2).images
    assert [image.size for image in images] == [(16, 16)] * 2
    assert (trained / "samples" / "final.png").is_file()
    assert "validation_loss" in json.loads((trained / "results.json").read_text())


def test_a_run_with_a_new_encoder_resumes_bit_for_bit(trained, tmp_path):
    """Captions and their dropout are drawn by the place in the run; the encoder's weights and averages are kept."""
    resumed = cut_off(trained, tmp_path / "resumed", 2)
    options = ["--text_encoder", "new", "--cross_attention", "True", "--validation_split", "unseen_pair"]
    train("train_simple_diffusion", resumed, *PICTURES, *options)
    assert history(resumed) == history(trained)
    torch.testing.assert_close(weights(resumed / "pipeline"), weights(trained / "pipeline"), rtol=0, atol=0)


@pytest.mark.parametrize("along", [False, True])
def test_a_trained_encoder_stays_or_learns(encoder, tmp_path, along):
    options = ["--text_encoder", encoder / "model", "--train_text_encoder", along, *QUIET]
    train("train_simple_diffusion", tmp_path / "run", *PICTURES, *options)
    before = load_file(encoder / "model" / "model.safetensors")
    after = load_file(tmp_path / "run" / "pipeline" / "text_encoder" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before) is not along
    again = train(  # a pipeline's folder has an encoder too
        "train_simple_diffusion", tmp_path / "again", *PICTURES, "--text_encoder", tmp_path / "run" / "pipeline",
        "--init_from", tmp_path / "run" / "pipeline", *QUIET,
    )  # fmt: skip
    assert again["steps"] == 4


def test_pictures_of_before_learn_from_an_encoder_of_another_width(trained, encoder, tmp_path):
    """The parts of the network that read the vector of a prompt begin anew, its others do not."""
    before = load_file(trained / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors")
    options = ["--text_encoder", encoder / "model", "--init_from", trained / "pipeline", *QUIET]
    options += ["--cross_attention", "True", "--learning_rate", "0"]
    with pytest.raises(ValueError, match=r"other blocks|another architecture"):  # its states are of another width
        train("train_simple_diffusion", tmp_path / "states", *PICTURES, *options)
    without = tmp_path / "without"
    train("train_simple_diffusion", without, *PICTURES, "--text_encoder", encoder / "model", *QUIET)
    options = ["--text_encoder", "new", "--init_from", without / "pipeline", *QUIET, "--learning_rate", "0"]
    train("train_simple_diffusion", tmp_path / "wider", *PICTURES, *options)
    old, new = (
        load_file(run / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors")
        for run in (without, tmp_path / "wider")
    )
    assert new.keys() == old.keys() < before.keys()
    changed = {name for name in new if old[name].shape != new[name].shape}
    assert {"pooled_text.linear_1.weight", "pooled_text.to_waves.weight"} <= changed
    assert all(name.startswith("pooled_text.") for name in changed)
    assert all(torch.equal(old[name], new[name]) for name in new.keys() - changed)


def test_a_stream_with_a_trained_encoder(encoder, tmp_path):
    options = ["--text_encoder", encoder / "model", "--streaming", "True", "--split", "train", *QUIET]
    assert train("train_simple_diffusion", tmp_path / "run", *PICTURES, *options)["steps"] == 4


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ([], "go together"),
        (["--text_encoder", "new", "--caption_dropout", "1"], "caption_dropout"),
        (["--text_encoder", "new", "--label_column", "group"], "label_column"),
        (["--text_encoder", "no/such/folder"], "no such file"),
        (["--text_encoder", "new", "--caption_column", "nothing"], "'nothing'"),
        (["--text_encoder", "new", "--lora_rank", "2", "--init_from", str(EMOJI)], "lora_rank"),
        (["--text_encoder", "new", "--streaming", "True", "--split", "train"], "streaming"),
    ],
)
def test_what_cannot_be_a_run_is_refused_first(tmp_path, options, match):
    with pytest.raises(ValueError, match=match):
        train("train_simple_diffusion", tmp_path / "run", *PICTURES, *QUIET, *options)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_an_encoder_without_captions_is_refused(tmp_path):
    with pytest.raises(ValueError, match="go together"):
        train(
            "train_simple_diffusion", tmp_path / "run", "--dataset", EMOJI, *RUN, *NETWORK, "--text_encoder", "new"
        )  # fmt: skip


def test_a_folder_without_an_encoder_is_named(tmp_path):
    with pytest.raises(ValueError, match="no encoder"):
        train("train_simple_diffusion", tmp_path / "run", *PICTURES, *QUIET, "--text_encoder", EMOJI)


def test_a_dry_run_writes_nothing(tmp_path):
    train("train_simple_diffusion", tmp_path / "run", *PICTURES, *QUIET, "--text_encoder", "new", "--dry_run")
    assert not (tmp_path / "run").exists()
