"""One prompt in six styles: what a visitor types becomes, the strip of the demonstration, and both languages."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_prompts import save_prompt_pipeline

from hf_kexue import SimpleDiffusionTextToImagePipeline
from hf_kexue.demo.html import page_html
from hf_kexue.demo.prompts import CAT, EMOJI, LANGUAGES, STRIP_STEPS, STYLES, in_styles, strip
from hf_kexue.simple_diffusion.samplers import with_sampler


@pytest.mark.parametrize(
    ("text", "styles", "prompts"),
    [
        ("cat face", ["noto", "blob"], ["noto: cat face", "blob: cat face"]),
        ("  戴墨镜的\n 猫 ", ["fluent 3d"], ["fluent 3d: 戴墨镜的 猫"]),
        ("Fluent 3D：猫脸", ["noto"], ["fluent 3d: 猫脸"]),
        ("clock: 12:30", ["noto"], ["noto: clock: 12:30"]),
    ],
)
def test_a_style_stands_before_the_words_once(text, styles, prompts):
    assert in_styles(text, styles) == prompts


def test_the_strip_has_a_row_for_each_language(tmp_path):
    """Each picture is the one that the pipeline draws for its prompt in a batch of six."""
    save_prompt_pipeline(tmp_path / EMOJI)
    title, text, shown = strip(tmp_path, tmp_path)
    assert "文字" in title
    assert all(style in text and style in shown for style in STYLES)
    assert all(f"noto: {words}" in text for words in CAT)
    assert "<p lang='zh'>" in shown
    sheet = Image.open(tmp_path / "prompts.png")
    assert sheet.size == (6 * 32, 2 * 32)
    pipeline, _ = with_sampler(SimpleDiffusionTextToImagePipeline.from_pretrained(tmp_path / EMOJI), "dpm")
    pipeline.set_progress_bar_config(disable=True)
    for row, words in enumerate(CAT):
        prompts = [f"{style}: {words}" for style in STYLES]
        generator = torch.Generator().manual_seed(0)
        for column, image in enumerate(pipeline(prompts, num_inference_steps=STRIP_STEPS, generator=generator).images):
            found = sheet.crop((32 * column, 32 * row, 32 * column + 32, 32 * row + 32)).reduce(2)
            assert np.array_equal(np.asarray(found), np.asarray(image)), (row, column)


def test_without_a_published_model_the_page_says_so(tmp_path):
    section = strip(tmp_path, tmp_path)
    assert section[1:] == (f"{EMOJI} is not published yet, so there is nothing to show here.", "")
    assert section[1] in page_html([section])


def test_both_languages_say_the_same():
    """The same words to fill in, and as many examples."""
    first, *others = LANGUAGES.values()
    for words in others:
        assert words.keys() == first.keys()
        assert len(words["prompts"]) == len(first["prompts"])
        assert all(value for value in words.values())


def test_styles_are_those_of_the_data():
    """All but the two that the embedded part leaves out for its licences."""
    parquet = pytest.importorskip("pyarrow.parquet")
    data = Path(__file__).resolve().parents[2] / "training" / "data" / "emoji"
    files = sorted(data.rglob("*.parquet"))
    if not files:
        pytest.skip("training/data/ is part of the repository, not of the package")
    found = {style for file in files for style in parquet.read_table(file, columns=["style"])["style"].to_pylist()}
    assert found == set(STYLES) - {"openmoji", "twemoji"}
