"""`hf-kexue edit` in a terminal: what it writes, and user errors with one line and exit code 2."""

import sys

import numpy as np
import pytest
from PIL import Image
from tiny_models import save_gan, save_pipeline
from tiny_prompts import WORDS, save_prompt_pipeline
from typer.testing import CliRunner

from hf_kexue import SimpleDiffusionInpaintPipeline
from hf_kexue.cli.main import app, main


@pytest.fixture(scope="module")
def clothes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothes")
    save_pipeline(folder, ["Dress", "Hat"])
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A model of prompts, saved by a pipeline that edits."""
    folder = tmp_path_factory.mktemp("words")
    save_prompt_pipeline(folder / "drawing")
    SimpleDiffusionInpaintPipeline.from_pretrained(folder / "drawing").save_pretrained(folder / "editing")
    return folder / "editing"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A picture, a mask, and others that do not fit."""
    folder = tmp_path_factory.mktemp("files")
    picture().save(folder / "picture.png")
    hole(16, 16).save(folder / "mask.png")
    hole(64, 64).save(folder / "large-mask.png")
    hole(16, 32).save(folder / "long-mask.png")
    picture(30, 20).save(folder / "photo.png")
    Image.new("RGBA", (16, 16)).save(folder / "clear-mask.png")
    (folder / "text.png").write_text("no picture")
    (folder / "cut.png").write_bytes((folder / "picture.png").read_bytes()[:300])
    return folder


def picture(width=16, height=16):
    levels = np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def hole(width, height):
    image = Image.new("L", (width, height), 0)
    image.paste(255, (width // 4, height // 2, width, height))
    return image


def edit(model, source, output, *argv):
    command = ["edit", model, source, "-o", output, "--steps", 3, *argv]
    result = CliRunner().invoke(app, [str(one) for one in command])
    assert result.exit_code == 0, result.output
    return Image.open(output), result


def pixels(image):
    return np.asarray(image.convert("RGB"), dtype=int)


def test_a_mask_of_a_picture_whose_proportions_the_network_changes(clothes, tmp_path):
    """42 x 16 become 20 x 8 under a stride of 4, of other proportions; the mask goes the same way."""
    picture(42, 16).save(tmp_path / "picture.png")
    hole(42, 16).save(tmp_path / "mask.png")
    argv = ["--mask", tmp_path / "mask.png", "--size", 8]
    edited, result = edit(clothes, tmp_path / "picture.png", tmp_path / "edited.png", *argv)
    kept = np.asarray(hole(42, 16).resize(edited.size, Image.Resampling.NEAREST)) == 0
    small = picture(42, 16).resize(edited.size, Image.Resampling.LANCZOS)
    assert edited.size == (20, 8)
    assert (pixels(edited)[kept] == pixels(small)[kept]).all()
    assert "scaled" not in result.stderr


@pytest.mark.parametrize("name", ["mask.png", "large-mask.png"])
def test_behind_a_mask(clothes, files, tmp_path, name):
    output = tmp_path / "new folder" / "edited.png"
    edited, result = edit(clothes, files / "picture.png", output, "--mask", files / name, "--class", "hat")
    assert ("scaled" in result.stderr) == (name == "large-mask.png")
    kept = np.asarray(hole(16, 16)) == 0
    assert (pixels(edited)[kept] == pixels(picture())[kept]).all()
    assert (pixels(edited)[~kept] != pixels(picture())[~kept]).mean() > 0.5


def test_around_a_picture(clothes, files, tmp_path):
    edited, result = edit(clothes, files / "picture.png", tmp_path / "a.png", "--outpaint", "8,0,4,4", "--count", 2)
    assert edited.size == (2 * 28, 20)
    assert "2 of 28 x 20 pixels" in result.output
    for left in (8, 28 + 8):
        assert (pixels(edited.crop((left, 0, left + 16, 16))) == pixels(picture())).all()


def test_a_prompt_says_what_is_drawn(words, files, tmp_path):
    kept = np.asarray(hole(16, 16)) == 0
    argv, drawn = ["--mask", files / "mask.png"], []
    for more in ([], ["--prompt", WORDS[0]], ["--prompt", WORDS[1]], ["--prompt", WORDS[1], "--negative-prompt", "a"]):
        edited, _ = edit(words, files / "picture.png", tmp_path / "a.png", *argv, *more)
        assert (pixels(edited)[kept] == pixels(picture())[kept]).all()
        drawn.append(edited.tobytes())
    assert len(set(drawn)) == 4
    again, _ = edit(words, files / "picture.png", tmp_path / "a.png", *argv, "--prompt", WORDS[0], "--count", 2)
    assert again.size == (32, 16)


def test_a_folder_saved_by_an_editing_pipeline_serves_the_other_commands(words, tmp_path):
    result = CliRunner().invoke(app, ["info", str(words)])
    assert "16 x 16 pixels" in result.output
    assert "a prompt of 16 characters" in result.output
    argv = ["generate", words, "-o", tmp_path / "a.png", "--prompt", WORDS[0], "--steps", 2, "--per-class", 1]
    drawn = []
    for model in (words, words.parent / "drawing"):
        argv[1] = model
        assert CliRunner().invoke(app, [str(one) for one in argv]).exit_code == 0
        drawn.append((tmp_path / "a.png").read_bytes())
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("method", ["replacement", "projection", "gradient"])
def test_larger(clothes, files, tmp_path, method):
    edited, _ = edit(clothes, files / "picture.png", tmp_path / "a.png", "--upscale", 2, "--method", method)
    assert edited.size == (32, 32)
    assert (pixels(edited).reshape(16, 2, 16, 2, 3).sum((1, 3)) == 4 * pixels(picture())).all()


def test_from_its_noise(clothes, files, tmp_path):
    source = files / "picture.png"
    same, _ = edit(clothes, source, tmp_path / "a.png", "--strength", 0)
    assert (pixels(same) == pixels(picture())).all()
    drawn = [edit(clothes, source, tmp_path / "a.png", "--strength", 0.7, "--seed", seed)[0] for seed in (0, 0, 1)]
    assert drawn[0].tobytes() == drawn[1].tobytes() != drawn[2].tobytes()
    solved, _ = edit(clothes, source, tmp_path / "a.png", "--strength", 0.7, "--sampler", "dpm")
    assert solved.tobytes() != drawn[0].tobytes()


def test_a_photograph_is_scaled_where_that_is_asked_for(clothes, files, tmp_path):
    edited, _ = edit(clothes, files / "photo.png", tmp_path / "a.png", "--strength", 0, "--size", 16)
    assert edited.size == (24, 16)
    wanted = pixels(picture(30, 20).resize((24, 16), Image.Resampling.LANCZOS))
    assert (pixels(edited) == wanted).all()
    picture(80, 80).save(tmp_path / "large.png")
    _, result = edit(clothes, tmp_path / "large.png", tmp_path / "a.png", "--strength", 0.1)
    assert "--size 16" in result.stderr


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "I;16", "CMYK", "1"])
def test_pictures_of_every_mode(clothes, tmp_path, mode):
    """The grey ones keep their grey, to the rounding of 16 bits."""
    grey = picture().convert("L")
    if mode == "I;16":
        source = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "RGBA":
        source = picture().convert("RGBA")
        source.putalpha(Image.new("L", (16, 16), 0))
    else:
        source = picture().convert(mode)
    assert source.mode == mode
    suffix = "tif" if mode in ("CMYK", "I;16") else "png"
    source.save(tmp_path / f"picture.{suffix}")
    edited, _ = edit(clothes, tmp_path / f"picture.{suffix}", tmp_path / "a.png", "--strength", 0)
    wanted = {"RGBA": Image.new("RGB", (16, 16), "white"), "I;16": grey}.get(mode) or source
    assert (pixels(edited) == pixels(wanted)).all()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["{files}/picture.png"], "Give one of --mask, --outpaint, --upscale, --strength"),
        (["{files}/picture.png", "--strength", "0.5", "--upscale", "2"], "--upscale, --strength"),
        (["{files}/picture.png", "--strength", "1.5"], "--strength"),
        (["{files}/picture.png", "--strength", "nan"], "--strength"),
        (["{files}/picture.png", "--strength", "0.5", "--method", "gradient"], "method"),
        (["{files}/picture.png", "--mask", "{files}/long-mask.png"], "16 x 32"),
        (["{files}/picture.png", "--mask", "{files}/clear-mask.png"], "transparent in parts"),
        (["{files}/picture.png", "--mask", "{files}/nowhere.png"], "nowhere.png"),
        (["{files}/picture.png", "--mask", "{files}/text.png"], "text.png is no picture"),
        (["{files}/text.png", "--strength", "0.5"], "text.png is no picture"),
        (["{files}/cut.png", "--strength", "0.5"], "cut.png is no picture"),
        (["{files}", "--strength", "0.5"], "There is no file"),
        (["{files}/photo.png", "--strength", "0.5"], "multiples of 4"),
        (["{files}/picture.png", "--outpaint", "8,8"], "8,8"),
        (["{files}/picture.png", "--outpaint", "0,0,0,0"], "border"),
        (["{files}/picture.png", "--outpaint", "3,0,0,0"], "multiples of 4"),
        (["{files}/picture.png", "--upscale", "1"], "--upscale"),
        (["{files}/picture.png", "--strength", "0.5", "--class", "Shoe"], "'Shoe'; this model knows Dress, Hat"),
        (["{files}/picture.png", "--strength", "0.5", "--prompt", "a hat"], "use --class"),
        (["{files}/picture.png", "--strength", "0.5", "--negative-prompt", "a hat"], "use --class"),
        (["{files}/picture.png", "--strength", "0.5", "-o", "a.doc"], "--output"),
        (["{files}/picture.png", "--strength", "0.5", "--sampler", "fast"], "'fast'"),
    ],
)
def test_user_errors_exit_with_one_line(argv, expected, clothes, files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["hf-kexue", "edit", str(clothes), *(one.format(files=files) for one in argv)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert expected in " ".join(message.replace("│", " ").split())
    assert "Traceback" not in message
    assert not list(tmp_path.iterdir())


def test_a_model_of_prompts_has_no_classes(words, files):
    argv = ["edit", str(words), str(files / "picture.png"), "--strength", "0.5", "--class", "Hat"]
    assert "use --prompt" in str(CliRunner().invoke(app, argv).exception)
    argv = ["generate", str(words), "--classes", "Hat"]
    assert "use --prompt" in str(CliRunner().invoke(app, argv).exception)


def test_a_gan_cannot_edit(files, tmp_path):
    save_gan(tmp_path / "gan")
    result = CliRunner().invoke(app, ["edit", str(tmp_path / "gan"), str(files / "picture.png"), "--upscale", "2"])
    assert "RSGANPipeline" in str(result.exception)
