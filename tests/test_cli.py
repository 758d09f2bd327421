"""`hf-kexue` in a terminal: help, pictures from a saved pipeline, and mistakes as one sentence with exit code 2."""

import json
import sys

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hf_kexue.cli import app, main
from hf_kexue.simple_diffusion import ShiftedCosineScheduler, SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel
from hf_kexue.simple_diffusion.complexity import count_flops, count_parameters

COMMANDS = sorted(command.callback.__name__ for command in app.registered_commands)


def save_pipeline(folder, labels=None):
    torch.manual_seed(0)
    unet = SimpleDiffusionUViT2DModel(
        sample_size=16, block_out_channels=(8,), layers_per_block=1, hidden_size=32, num_transformer_layers=1,
        num_attention_heads=2, num_class_embeds=len(labels) if labels else None,
    )  # fmt: skip
    torch.nn.init.normal_(unet.conv_out.weight, std=0.1)  # its last layer starts at zero: give the pictures content
    if labels:
        # The modulations start at zero too, so that classes would change nothing.
        torch.nn.init.normal_(unet.transformer_modulation.weight, std=0.5)
        torch.nn.init.normal_(unet.class_embedding.weight)
    scheduler = ShiftedCosineScheduler(sample_size=16)
    SimpleDiffusionPipeline(unet, scheduler, dict(enumerate(labels)) if labels else None).save_pretrained(folder)
    return unet


@pytest.fixture(scope="module")
def clothes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothes")
    save_pipeline(folder, ["Dress", "T-Shirt", "Hat"])
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    save_pipeline(folder)
    return folder


def invoke(*argv):
    return CliRunner().invoke(app, [str(argument) for argument in argv])


def test_help_names_every_command():
    result = invoke("--help")
    assert result.exit_code == 0
    assert COMMANDS
    for command in COMMANDS:
        assert command in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_generate_draws_a_row_for_each_class(clothes, tmp_path):
    output = tmp_path / "new folder" / "all.png"
    result = invoke("generate", clothes, "-o", output, "--steps", 2, "--per-class", 2)
    assert result.exit_code == 0, result.output
    assert "6 images" in result.output
    assert "rows: Dress, T-Shirt, Hat" in result.output
    assert Image.open(output).size == (2 * 16, 3 * 16)


def test_generate_some_classes(clothes, tmp_path):
    output = tmp_path / "some.png"
    result = invoke(
        "generate", clothes, "-o", output, "--steps", 2, "--per-class", 3, "--classes", "hat, Dress", "--size", 32
    )
    assert result.exit_code == 0, result.output
    assert Image.open(output).size == (3 * 32, 2 * 32)


def test_generate_without_classes(plain, tmp_path):
    output = tmp_path / "plain.png"
    result = invoke("generate", plain, "-o", output, "--steps", 2, "--per-class", 3)
    assert result.exit_code == 0, result.output
    assert Image.open(output).size == (3 * 16, 16)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm"])
def test_the_seed_decides(clothes, tmp_path, sampler):
    def pixels(seed):
        output = tmp_path / "picture.png"
        result = invoke(
            "generate", clothes, "-o", output, "--steps", 3, "--per-class", 1, "--sampler", sampler, "--seed", seed
        )
        assert result.exit_code == 0, result.output
        return Image.open(output).tobytes()

    first = pixels(0)
    assert first == pixels(0)
    assert first != pixels(1)


def test_info_for_people(clothes):
    result = invoke("info", clothes)
    assert result.exit_code == 0, result.output
    assert "16 x 16 pixels" in result.output
    assert "parameters" in result.output


def test_info_for_programs(clothes):
    result = invoke("info", clothes, "--json")
    assert result.exit_code == 0, result.output
    unet = SimpleDiffusionUViT2DModel.from_pretrained(clothes, subfolder="unet")
    assert json.loads(result.stdout) == {
        "model": clothes.name,
        "sample_size": 16,
        "parameters": count_parameters(unet),
        "flops": count_flops(unet),
    }


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["generate", "{empty}"], "is not the folder of a saved pipeline: it has no model_index.json"),
        (["info", "{empty}"], "is not the folder of a saved pipeline: it has no model_index.json"),
        (["info", "{empty}/nowhere"], "is not the folder of a saved pipeline: it has no model_index.json"),
        (["generate", "{clothes}", "--classes", "Dress,Sock"], "Unknown class 'Sock'"),
        (["generate", "{clothes}", "--sampler", "euler"], "sampler must be one of ancestral, ddim, dpm; got 'euler'"),
        (["generate", "{clothes}", "--size", "17"], "17"),
        (["generate", "{plain}", "--classes", "Dress"], "this one has no classes"),
        (["generate", "{clothes}", "--steps", "0"], "--steps"),
        (["generate"], "Missing argument"),
        (["paint"], "No such command"),
    ],
    ids=[
        "generate: empty folder", "info: empty folder", "info: no folder", "unknown class", "unknown sampler",
        "impossible size", "classes of a model without", "no steps", "no folder given", "unknown command",
    ],
)  # fmt: skip
def test_mistakes_end_in_a_sentence(argv, sentence, clothes, plain, tmp_path, monkeypatch, capsys):
    places = {"empty": tmp_path, "clothes": clothes, "plain": plain}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hf-kexue", *(argument.format(**places) for argument in argv)])
    monkeypatch.setenv("COLUMNS", "400")  # boxes of the help do not break the sentence
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []
