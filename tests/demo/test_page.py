"""Backend of the page: the published text models, tiny image models, and invalid input."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from PIL import Image
from tiny_models import save_gan, save_pipeline
from tiny_prompts import save_prompt_pipeline

from hf_kexue.demo.editing import CONTINUE, ENLARGE, FILL, REDRAW
from hf_kexue.demo.page import ALL_STYLES, INTERPOLATION_STEPS, MOST_CHARACTERS, NO_CLASS, Page
from hf_kexue.demo.prompts import STYLES
from hf_kexue.inference.saved_models import load_pipeline
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline

CARDS = Path(__file__).resolve().parents[2] / "model_cards"
TEXT = "赵州桥由隋代工匠李春主持修建。"
SONG = "《月亮代表我的心》由孙仪作词，翁清溪作曲，邓丽君演唱。"


class Read(HTMLParser):
    """Text of all, and of the elements of some tags; every element must be closed in its order."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.found = [], "", {"mark": [], "blockquote": [], "td": [], "title": []}
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag in self.found:
            self.found[tag].append("")

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        for tag in self.open:
            if tag in self.found:
                self.found[tag][-1] += data


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_pipeline(folder / "images", ["Dress", "Hat"])
    save_gan(folder / "gan", ["Dress", "Hat"])
    save_prompt_pipeline(folder / "prompts")
    return Page(str(CARDS), {key: str(folder / key) for key in ("images", "gan", "prompts")})


def pixels(picture):
    return np.asarray(picture, dtype=int)


def photograph(width=48, height=32):
    return Image.fromarray(np.random.default_rng(0).integers(256, size=(height, width, 3), dtype=np.uint8))


def strokes(width=48, height=32):
    layer = Image.new("RGBA", (width, height))
    layer.paste((255, 255, 255, 255), (20, 10, 30, 20))
    return layer


def test_a_picture_is_filled_where_it_is_painted(page):
    editor = {"background": photograph(), "layers": [strokes()], "composite": None}
    edited = page.edited(editor, FILL, 0.6, "Hat", 1.0, 3, 0)
    small = photograph().resize((24, 16), Image.Resampling.LANCZOS)
    assert edited.size == (384, 256)
    back = edited.resize(small.size, Image.Resampling.NEAREST)
    changed = (pixels(back) != pixels(small)).any(-1)
    assert changed[5:10, 10:15].mean() > 0.9
    changed[5:10, 10:15] = False
    assert not changed.any()
    again = page.edited(editor, FILL, 0.6, "Hat", 1.0, 3, 0)
    assert again.tobytes() == edited.tobytes()
    for way, size in ((CONTINUE, (32, 16)), (ENLARGE, (24, 16)), (REDRAW, (24, 16))):
        drawn = page.edited(editor, way, 0.6, NO_CLASS, 1.0, 3, 0)
        assert drawn.width * size[1] == drawn.height * size[0]


def test_a_picture_is_filled_with_what_a_prompt_says(page):
    editor = {"background": photograph(), "layers": [strokes()], "composite": None}
    small = photograph().resize((24, 16), Image.Resampling.LANCZOS)
    drawn = []
    for prompt in ("", "noto: red apple", "noto: 戴墨镜的猫"):
        edited = page.edited(editor, FILL, 0.6, "Hat", 2.0, 3, 0, prompt=prompt)
        back = pixels(edited.resize(small.size, Image.Resampling.NEAREST))
        back[5:10, 10:15] = pixels(small)[5:10, 10:15]
        assert (back == pixels(small)).all()
        drawn.append(edited.tobytes())
    assert len(set(drawn)) == 3
    with pytest.raises(ValueError, match="the model reads 20"):
        page.edited(editor, FILL, 0.6, "Hat", 2.0, 3, 0, prompt="cat" * 10)


def test_a_prompt_is_drawn_in_one_style_or_in_all(page):
    everything = page.prompted("red apple", ALL_STYLES, 2.0, 2, 3, 0)
    assert [style for _, style in everything] == [style for style in STYLES for _ in range(2)]
    assert [image.size for image, _ in everything] == [(16, 16)] * 12
    pipeline, generator = page.model("prompts"), torch.Generator().manual_seed(0)
    pipeline.scheduler, kept = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config), pipeline.scheduler
    expected = pipeline("noto: red apple", guidance_scale=2.0, num_inference_steps=3, generator=generator).images
    pipeline.scheduler = kept
    ((found, style),) = page.prompted("red apple", "noto", 2.0, 1, 3, 0)
    assert style == "noto"
    assert found.tobytes() == expected[0].tobytes()
    ((typed, style),) = page.prompted(" Noto：red  apple ", "blob", 2.0, 1, 3, 0)
    assert (typed.tobytes(), style) == (found.tobytes(), "noto")
    others = (("red apple", "blob", 2.0, 0), ("blue car", "noto", 2.0, 0), ("red apple", "noto", 4.0, 0),
              ("red apple", "noto", 2.0, 1))  # fmt: skip
    for text, style, guidance, seed in others:
        assert page.prompted(text, style, guidance, 1, 3, seed)[0][0].tobytes() != found.tobytes()


@pytest.mark.parametrize(
    ("editor", "options", "message"),
    [
        (None, {}, "picture first"),
        ({"background": None, "layers": []}, {}, "picture first"),
        ({"background": photograph(), "layers": [Image.new("RGBA", (48, 32))]}, {}, "Paint over"),
        ({"background": photograph(200, 20), "layers": [strokes(200, 20)]}, {}, "too long"),
        ({"background": photograph(), "layers": [strokes()]}, {"way": "paint"}, "way to edit"),
        ({"background": photograph(), "layers": [strokes()]}, {"strength": 2}, "strength"),
        ({"background": photograph(), "layers": [strokes()]}, {"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_edited(page, editor, options, message):
    chosen = {"way": FILL, "strength": 0.6, "label": "Hat", "guidance": 1.0, "steps": 3, "seed": 0} | options
    with pytest.raises(ValueError, match=message):
        page.edited(editor, **chosen)


def test_the_slider_begins_at_the_guidance_that_was_saved(page, tmp_path):
    assert page.guidance() == 2.0
    assert Page(str(tmp_path)).guidance() == 1.0


def save_few_steps(page, folder):
    """The page's model of images with a sampler and a number of steps of its own."""
    pipeline = page.model("images")
    few = SimpleDiffusionPipeline(
        pipeline.unet, DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False),
        pipeline.config.id2label, num_inference_steps=3,
    )  # fmt: skip
    few.save_pretrained(folder)
    return few


def test_steps_and_sampler_are_those_that_were_saved(page, tmp_path):
    """DPM-Solver++ for a model that says nothing, the saved sampler for one of few steps."""
    assert page.steps() == Page(str(tmp_path)).steps() == 20
    few = save_few_steps(page, tmp_path / "few")
    other = Page(str(tmp_path), {"images": str(tmp_path / "few")})
    assert other.steps() == 3
    drawn, generator = other.images("Hat", 1.0, 1, 3, 0), torch.Generator().manual_seed(0)
    assert drawn[0].tobytes() == few(class_labels="Hat", generator=generator).images[0].tobytes()


def test_visitors_at_once_get_what_each_would_get_alone(page, tmp_path):
    """The tabs for images and editing share a model; a scheduler counts its steps, so that each call needs its own."""
    save_few_steps(page, tmp_path / "few")
    editor = {"background": photograph(), "layers": [strokes()], "composite": None}
    names = {"images": str(tmp_path / "few")}

    def draw(page, number):
        if number % 2:
            return page.images("Hat", 1.0, 2, 5 + number, 0)[0].tobytes()
        return page.edited(editor, FILL, 0.6, "Hat", 1.0, 5 + number, 0).tobytes()

    alone, together = Page(str(tmp_path), names), Page(str(tmp_path), names)
    expected = [draw(alone, number) for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda number: draw(together, number), range(12))) == expected


def test_a_model_is_loaded_once_however_many_ask(page, tmp_path, monkeypatch):
    loaded = []

    def slowly(*arguments, **options):
        loaded.append(arguments)
        time.sleep(0.2)
        return load_pipeline(*arguments, **options)

    monkeypatch.setattr("hf_kexue.demo.page.load_pipeline", slowly)
    fresh = Page(str(tmp_path), page.names)
    with ThreadPoolExecutor(4) as threads:
        models = list(threads.map(fresh.model, ["gan", "images"] * 4))
    assert len(loaded) == len({id(model) for model in models}) == 2


def test_images_depend_on_class_guidance_and_seed(page):
    def draw(label="Hat", guidance=2.0, seed=0):
        images = page.images(label, guidance, 2, 3, seed)
        assert [image.size for image in images] == [(16, 16)] * 2
        return np.stack([pixels(image) for image in images])

    first = draw()
    assert (first == draw()).all()
    for other in (draw(label="Dress"), draw(guidance=4.0), draw(seed=1), draw(label=NO_CLASS)):
        assert (first != other).any()


def test_the_answer_is_marked_in_its_text(page):
    found = Read(page.answer("赵州桥是谁主持修建的？", TEXT, False, 2)).found
    assert found["blockquote"] == [TEXT]
    assert len(found["mark"]) == 2  # the answer itself, and in its text
    assert found["mark"][0] == found["mark"][1] == found["td"][0]
    assert "李春" in found["td"][0]
    assert len(found["td"]) == 4


def test_there_may_be_no_answer(page):
    read = Read(page.answer("京杭大运河全长多少公里？", "大熊猫吃竹子。" * 4, True, 1))
    assert "The text does not say." in read.text
    assert read.found["mark"] == []


def test_triples_are_drawn_marked_and_listed(page):
    read = Read(page.triples(SONG))
    assert read.found["blockquote"] == [SONG]
    rows = [tuple(read.found["td"][i : i + 3]) for i in range(0, len(read.found["td"]), 4)]
    assert ("月亮代表我的心", "作词", "孙仪") in rows
    assert {"月亮代表我的心", "孙仪"} <= set(read.found["mark"])
    assert "; ".join(" ".join(row) for row in rows) == read.found["title"][0]


def test_a_text_without_triples(page):
    assert re.search(r"No triples found\. The model knows \d+ predicates, such as ", Read(page.triples("今天。")).text)


def test_text_of_a_visitor_is_escaped(page):
    text = "<script>alert(1)</script>《长江》的作者是<b>张三</b>。"
    for shown in (page.answer("<i>谁？", text, False, 3), page.triples(text)):
        assert not re.search("<script|<b>|<i>", shown)
        Read(shown)


def test_interpolation_between_two_seeds(page):
    strip = page.interpolation("Hat", 0, 1, 1.0)
    side = strip.width // INTERPOLATION_STEPS
    assert strip.size == (INTERPOLATION_STEPS * side, side)
    assert side == 2 * 32
    ends = [page.between("Hat", 0, 1, place, 1.0) for place in (0, 1)]
    assert [end.size for end in ends] == [(384, 384)] * 2
    for end, column in zip(ends, (0, INTERPOLATION_STEPS - 1)):
        small = end.resize((side, side), Image.Resampling.NEAREST)
        shown = strip.crop((column * side, 0, column * side + side, side))
        # a batch and a single image may differ by rounding
        assert np.abs(pixels(small) - pixels(shown)).max() <= 1
    middle = page.between("Hat", 0, 1, 0.5, 1.0)
    assert all((pixels(middle) != pixels(end)).any() for end in ends)
    assert (pixels(middle) != pixels(page.between("Hat", 0, 1, 0.5, 0.3))).any()
    assert page.classes("gan") == ["Dress", "Hat"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("prompted", " ", "noto", 2, 1, 2, 0), "Type a prompt first."),
        (("prompted", None, "noto", 2, 1, 2, 0), "Type a prompt first."),
        (("prompted", "noto:", "noto", 2, 1, 2, 0), "Type a prompt first."),
        (("prompted", "cat", "oil", 2, 1, 2, 0), "must be one of noto, fluent 3d"),
        (("prompted", "cat " * 10, "noto", 2, 1, 2, 0), "the model reads 20"),
        (("prompted", "cat", ALL_STYLES, 2, 3, 2, 0), "images must be a whole number from 1 to 2, got 3"),
        (("prompted", "cat", "noto", 2, 1, 2, -1), "seed"),
        (("images", "Sock", 2, 1, 2, 0), "'Sock'"),
        (("images", "Hat", 2, 17, 2, 0), "images must be a whole number from 1 to 16, got 17"),
        (("images", "Hat", 2, 1, 0, 0), "steps must be a whole number from 1 to 256, got 0"),
        (("images", "Hat", 21, 1, 2, 0), "guidance scale must be a number from 0 to 20, got 21"),
        (("images", "Hat", 2, 1, 2, -1), "seed"),
        (("images", "Hat", 2, 1, 2, None), "seed"),
        (("answer", " ", TEXT, False, 1), "question"),
        (("answer", "谁？", "", False, 1), "text"),
        (("answer", "谁？", "长" * (MOST_CHARACTERS + 1), False, 1), "20000"),
        (("answer", "谁？", TEXT, False, 11), "answers must be a whole number from 1 to 10, got 11"),
        (("triples", "\n"), "text"),
        (("interpolation", "Hat", 0, 0.5, 1), "seed"),
        (("interpolation", "Hat", 0, 1, 0), "truncation must be a number from 0.05 to 1, got 0"),
        (("between", "Hat", 0, 1, 1.5, 1), "must be a number from 0 to 1, got 1.5"),
        (("between", "Sock", 0, 1, 0.5, 1), "'Sock'"),
    ],
)
def test_bad_input_raises(page, call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(page, call[0])(*call[1:])


def test_a_model_that_is_not_published_yet(tmp_path):
    page = Page(str(tmp_path))
    for call in (("interpolation", "", 0, 1, 1), ("triples", SONG), ("images", "", 2, 1, 2, 0)):
        with pytest.raises(ValueError, match=r"\S+-(zh|64) is not published"):
            getattr(page, call[0])(*call[1:])
    assert page.classes("gan") == []
    assert Page("user").where("triples") == "user/dgcnn-triples-zh"
