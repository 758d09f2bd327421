"""What the visitors of page_load.py call wrong."""

import numpy as np
import pytest
from PIL import Image

page_load = pytest.importorskip("page_load", reason="benchmarks/ belongs to the repository, not to the package")
Request, fault = page_load.Request, page_load.fault
RED, BLUE = (Image.new("RGB", (3, 2), colour) for colour in ("red", "blue"))
SILENT = {"__type__": "update", "value": "", "visible": False}
PAIR = Request("walk", (1,), [np.asarray(RED), np.asarray(BLUE)])


@pytest.fixture
def saved(tmp_path):
    """A function that saves pictures as Gradio's client does, and returns their places."""

    def save(*pictures):
        paths = [tmp_path / f"{number}.png" for number in range(len(pictures))]
        for path, picture in zip(paths, pictures):
            picture.save(path)
        return [str(path) for path in paths]

    return save


def test_equal_pictures_are_right_and_do_not_stay_on_disk(saved, tmp_path):
    assert fault(PAIR, (*saved(RED, BLUE), SILENT)) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_gallery_is_read_in_its_order(saved):
    gallery = [{"image": path, "caption": "noto"} for path in saved(RED, BLUE)]
    assert fault(PAIR._replace(tab="prompts"), (gallery, "")) == ""


@pytest.mark.parametrize("pictures", [(BLUE, RED), (RED,), (RED, BLUE, BLUE), (RED, RED.resize((4, 2)))])
def test_other_pictures_are_wrong(saved, pictures):
    assert fault(PAIR, (*saved(*pictures), SILENT)) == "walk: other pictures for (1,)"


def test_texts_must_be_equal_and_messages_absent():
    asked = Request("ask", ("?",), "<p>1</p>")
    assert fault(asked, ("<p>1</p>", SILENT)) == ""
    assert fault(asked, ("<p>2</p>", SILENT)) == "ask: ['<p>2</p>']"
    assert fault(asked, ("<p>1</p>", {"value": "<p>No model.</p>"})) == "ask: said '<p>No model.</p>'"


def test_what_is_refused_must_be_told_in_the_same_words():
    refused = Request("extract", ("",), ValueError("Type a text first."))
    assert fault(refused, (None, {"value": '<p class="message">Type a text first.</p>'})) == ""
    assert fault(refused, ("<p>graph</p>", SILENT)) == "extract: said '' and not Type a text first."
    quoted = Request("extract", ("",), ValueError("No 'style' here."))
    assert fault(quoted, (None, "<p>No &#x27;style&#x27; here.</p>")) == ""
    assert fault(refused, (None, "<p>Another.</p>")) == "extract: said 'Another.' and not Type a text first."
