"""The page in a real browser without a screen: every tab used, looked at, used by keyboard, and wrongly.

Needs Gradio, Playwright and Chromium, which the ordinary environment has not: `make test-page`. The screenshots go
to the folder that SCREENSHOTS names, to be looked at.
"""

import importlib.util
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import save_gan

if importlib.util.find_spec("gradio") is None or importlib.util.find_spec("playwright") is None:
    pytest.skip("Gradio or Playwright is not installed; `make test-page` installs both.", allow_module_level=True)
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if BROWSER is None:
    pytest.skip("There is no Chromium here; Debian has it as `chromium`.", allow_module_level=True)

from playwright.sync_api import expect, sync_playwright  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = [
    "simple-diffusion-emoji-64",
    "simple-diffusion-clothing-64",
    "dgcnn-qa-zh",
    "dgcnn-triples-zh",
    "rsgan-clothing-64",
]
SECONDS = 60  # until something is there; a loaded machine draws slowly
expect.set_options(timeout=1000 * SECONDS)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Of the app in a process of its own, with a GAN of random weights where none is published."""
    models = tmp_path_factory.mktemp("models")
    for name in PUBLISHED:
        if (ROOT / "model_cards" / name).is_dir():
            (models / name).symlink_to(ROOT / "model_cards" / name)
        else:
            save_gan(models / name, ["Dress", "Hat"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    log = (tmp_path_factory.mktemp("app") / "log.txt").open("w+")
    app = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--models", str(models)],
        cwd=ROOT, env=environment, stdout=log, stderr=log,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(SECONDS):
            assert app.poll() is None, Path(log.name).read_text()
            try:
                urllib.request.urlopen(address).close()
                break
            except OSError:
                time.sleep(1)
        yield address
    finally:
        app.terminate()
        app.wait()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


@pytest.fixture
def page(browser, address):
    """The page, freshly opened; it must ask nobody but its own server, and write no error."""
    page, asked, errors = browser.new_page(viewport={"width": 1200, "height": 900}), [], []
    page.set_default_timeout(1000 * SECONDS)
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address, wait_until="domcontentloaded")
    page.get_by_role("tab", name="Images").wait_for()
    yield page
    page.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []


def look(page, name):
    """The screen as numbers (H, W, 3); kept for people if they ask."""
    picture = page.screenshot(full_page=True, animations="disabled")
    if os.environ.get("SCREENSHOTS"):
        folder = Path(os.environ["SCREENSHOTS"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes(picture)
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def pictures(page, count):
    """The visible pictures, once there are so many and all are loaded: what they show, one by one."""
    found = page.locator("[role=tabpanel] img:visible")
    expect(found).to_have_count(count)
    page.wait_for_function("[...document.images].every(image => image.complete)")
    return [np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("RGB")) for image in found.all()]


def is_picture(pixels):
    return pixels.std() > 10 and min(pixels.shape[:2]) > 50


def open_tab(page, name):
    tab, more = page.get_by_role("tab", name=name), page.locator(".overflow-menu > button")
    if more.is_visible() and not tab.is_visible():  # narrow screens keep the last tabs in a menu
        more.click()
        page.locator(".overflow-dropdown").get_by_text(name).click()
        return
    tab.click()
    expect(tab).to_have_attribute("aria-selected", "true")


def test_the_page_begins_with_a_prompt(page):
    """The first tab is open: one prompt in six styles, then another one in one style, typed and sent by Enter."""
    expect(page.get_by_role("tab").first).to_have_attribute("aria-selected", "true")
    prompt = page.get_by_role("textbox", name="Prompt")
    expect(prompt).to_have_value("cat face")
    page.get_by_role("slider", name="range slider for Steps").fill("3")
    page.get_by_role("button", name="Draw").click()
    six = pictures(page, 6)
    assert all(map(is_picture, six))
    look(page, "prompts")
    page.get_by_label("Style", exact=True).locator("visible=true").click()
    page.get_by_role("option", name="openmoji").click()
    prompt.fill("绿心")
    prompt.press("Enter")
    (one,) = pictures(page, 1)
    assert is_picture(one)


def test_the_tab_speaks_both_languages(page):
    """Labels, examples and the prompt that waits change; what a visitor has typed does not."""
    page.get_by_text("中文", exact=True).click()
    expect(page.get_by_role("button", name="画", exact=True)).to_be_visible()
    expect(page.get_by_role("textbox", name="提示词")).to_have_value("猫脸")
    look(page, "prompts-chinese")
    page.get_by_text("红苹果", exact=True).click()
    expect(page.get_by_role("textbox", name="提示词")).to_have_value("红苹果")
    page.get_by_text("English", exact=True).click()
    expect(page.get_by_role("button", name="Draw")).to_be_visible()
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("红苹果")


def test_images(page):
    open_tab(page, "Images")
    page.get_by_role("slider", name="range slider for Steps").fill("4")
    page.get_by_role("button", name="Draw").click()
    assert all(map(is_picture, pictures(page, 4)))
    look(page, "images")


@pytest.mark.parametrize("model", ["clothing, by class", "emoji, by prompt"])
def test_a_picture_is_painted_over_and_filled(page, tmp_path, model):
    """Dropped, painted over with the mouse, filled by a model of classes or of prompts: the result is there."""
    open_tab(page, "Edit")
    page.get_by_label(model).check()
    if model.startswith("emoji"):
        page.get_by_label("Prompt", exact=True).locator("visible=true").fill("noto: red apple")
        expect(page.get_by_label("Class", exact=True).locator("visible=true")).to_have_count(0)
    Image.effect_noise((256, 256), 60).convert("RGB").save(tmp_path / "picture.png")
    page.locator("[role=tabpanel] input[type=file]:visible, [role=tabpanel] input[type=file]").first.set_input_files(
        tmp_path / "picture.png"
    )
    canvas = page.locator("[role=tabpanel] canvas:visible").first
    canvas.wait_for()
    page.get_by_role("slider", name="range slider for Steps").locator("visible=true").fill("3")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] + 10, steps=8)
    page.mouse.up()
    page.get_by_role("button", name="Edit", exact=True).locator("visible=true").click()
    expect(page.get_by_alt_text("the edited picture")).to_be_visible()
    look(page, f"editing-{model.partition(',')[0]}")


def test_questions(page):
    open_tab(page, "Questions")
    page.get_by_role("button", name="Ask").click()
    answer = page.locator(".found .answer mark")
    expect(answer).to_contain_text("李春")
    expect(page.locator(".found blockquote mark")).to_have_text(answer.inner_text())
    expect(page.locator(".found tbody tr")).to_have_count(3)
    look(page, "questions")


def test_triples(page):
    open_tab(page, "Triples")
    page.get_by_role("button", name="Extract").click()
    graph = page.locator("svg.kexue-graph")
    expect(graph.locator("g.subject")).to_have_count(1)
    assert {"孙仪", "翁清溪", "邓丽君"} <= set(graph.locator("g.object > text").all_text_contents())
    box = graph.bounding_box()
    assert box["width"] > 200
    assert box["height"] > 60
    look(page, "triples")


def test_gan_and_its_slider(page):
    open_tab(page, "GAN")
    page.get_by_role("button", name="Draw").click()
    picture, strip = pictures(page, 2)
    assert is_picture(picture)
    assert is_picture(strip)
    look(page, "gan")
    slider = page.get_by_role("slider", name="range slider for Between the two")
    shown = page.locator("[role=tabpanel] img:visible").first.get_attribute("src")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("0.53")
    expect(page.locator("[role=tabpanel] img:visible").first).not_to_have_attribute("src", shown)


def test_by_keyboard_alone(page):
    """From the top: to the second tab, into the question, a new question, on to the button, and the answer."""

    def focused():
        return page.evaluate("[document.activeElement.tagName, document.activeElement.textContent.trim()]")

    def tab_to(tag, text=None):
        for _ in range(30):
            page.keyboard.press("Tab")
            now = focused()
            if now[0] == tag and (text is None or now[1] == text):
                return
        raise AssertionError(f"Tab does not lead to {tag} {text}.")

    tab_to("BUTTON", "Questions")
    page.keyboard.press("Enter")
    tab_to("TEXTAREA")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text("赵州桥距今有多少年？")
    tab_to("BUTTON", "Ask")
    look(page, "focus")
    page.keyboard.press("Enter")
    expect(page.locator(".found .answer mark")).to_contain_text("年")


@pytest.mark.parametrize(
    ("tab", "label", "value", "button", "message"),
    [
        ("Prompts", "Prompt", " ", "Draw", "Type a prompt first."),
        ("Prompts", "Prompt", "cat " * 20, "Draw", "The prompt has 66 tokens with its style; the model reads 48."),
        ("Questions", "Question", "", "Ask", "Type a question first."),
        ("Questions", "Text", " ", "Ask", "Type or paste a text first."),
        ("Triples", "Text", "", "Extract", "Type or paste a text first."),
        ("Images", "Seed", "-3", "Draw", "A seed must be a whole number from 0 to 2147483647, got -3."),
        ("Edit", "Seed", "0", "Edit", "Choose or drop a picture first."),
        ("GAN", "Last seed", "-3", "Draw", "A seed must be a whole number from 0 to 2147483647, got -3."),
    ],
)
def test_errors_are_shown(page, tab, label, value, button, message):
    open_tab(page, tab)
    page.get_by_label(label, exact=True).locator("visible=true").fill(value)
    page.get_by_role("button", name=button).locator("visible=true").click()
    expect(page.get_by_role("alert").locator("visible=true")).to_have_text(message)
    look(page, f"error-{tab.lower()}-{label.lower().replace(' ', '-')}")


def test_narrow_screens(page):
    """On a telephone nothing is wider than the screen."""
    page.set_viewport_size({"width": 390, "height": 800})
    page.get_by_role("slider", name="range slider for Steps").fill("3")
    page.get_by_role("button", name="Draw").click()
    pictures(page, 6)
    look(page, "narrow-prompts")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    open_tab(page, "Triples")
    page.get_by_role("button", name="Extract").click()
    expect(page.locator("svg.kexue-graph")).to_be_visible()
    look(page, "narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_missing_models_are_reported_from_the_start(tmp_path):
    """Before anyone presses a button; no browser is needed to see that."""
    spec = importlib.util.spec_from_file_location("app", ROOT / "app.py")
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    shown = [part["props"].get("value") or "" for part in app.build(app.Page(str(tmp_path))).config["components"]]
    for name in PUBLISHED:
        message = f"The model {name} is not published yet, so there is nothing to try here."
        assert f'<p class="message" role="alert">{message}</p>' in shown
