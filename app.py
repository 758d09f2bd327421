"""A page to try the published models, in the shape of a Gradio Space: pictures from prompts, images with class and
guidance, pictures edited by hand, questions over a passage, triples as a graph, and interpolations of a GAN.

    make page                                # or: python app.py --port 7860

The models are those of model_cards/ beside this file; with HF_KEXUE_MODELS=OWNER they are that owner's repositories
on the Hub. The backend is `hf_kexue.demo.page`; this file is only the user interface.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import wraps
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if find_spec("hf_kexue") is None:  # in a Space the package is next to this file, not installed
    sys.path.insert(0, str(HERE / "src"))

import gradio as gr  # noqa: E402

from hf_kexue.demo.editing import WAYS  # noqa: E402
from hf_kexue.demo.page import ALL_STYLES, MODELS, MOST_IMAGES, NO_CLASS, Page  # noqa: E402
from hf_kexue.demo.prompts import LANGUAGES, STYLES  # noqa: E402
from hf_kexue.demo.questions import BRIDGE, QUESTIONS  # noqa: E402
from hf_kexue.demo.triples import SENTENCES  # noqa: E402

HOUR = 3600  # seconds: so often pictures of visitors that are older than a day are removed from the disk
CLOTHING, EMOJI = "clothing, by class", "emoji, by prompt"
STYLE = """
.message { border-left: 4px solid #b42318; background: #fef3f2; color: #7a1a12; padding: .6rem .9rem; margin: 0;
  border-radius: 4px; }
mark { background: #ffe08a; color: #1f2328; padding: 0 .1em; border-radius: 2px; }
.found blockquote { border-left: 3px solid #8c959f; margin: .8rem 0; padding: .2rem .9rem; line-height: 1.9;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.found .answer { font-size: 1.5rem; margin: 0 0 .5rem; }
.found .graph { overflow-x: auto; margin: 0 0 .5rem; }
.found table, .found tr { border: 0 !important; border-collapse: collapse; }
.found th, .found td { text-align: left; padding: .3rem 1.4rem .3rem 0 !important; border: 0 !important;
  border-bottom: 1px solid #8c959f80 !important; }
.crisp img { image-rendering: pixelated; }
.crisp .grid-wrap { max-height: none !important; min-height: 0 !important; }
"""


def guarded(work: Callable[..., Any], outputs: int) -> Callable[..., Any]:
    """Wrap the callback of a button: its results and an empty message, or no results and the error message."""

    @wraps(work)  # with the names of its arguments, which programs see
    def run(*values: Any) -> Any:
        try:
            results = work(*values)
        except (ValueError, OSError) as error:
            return (*[None] * outputs, _message(str(error)))
        return (*(results if outputs > 1 else [results]), gr.update(value="", visible=False))

    return run


def _message(text: str) -> Any:
    return gr.update(value=_alert(text), visible=True)


def _alert(text: str) -> str:
    return f'<p class="message" role="alert">{escape(text)}</p>' if text else ""


def build(page: Page) -> gr.Blocks:
    """The six tabs."""
    with gr.Blocks(title="hf_kexue", analytics_enabled=False, delete_cache=(HOUR, 24 * HOUR)) as blocks:
        gr.Markdown(
            "# hf_kexue\nModels after the articles of [kexue.fm](https://kexue.fm), small enough for a CPU. "
            "Tab leads from field to field, Enter chooses tabs and presses buttons, the arrow keys move sliders."
        )
        for key, fill in (
            ("prompts", _prompts),
            ("images", _images),
            ("editing", _editing),
            ("questions", _questions),
            ("triples", _triples),
            ("gan", _gan),
        ):
            with gr.Tab(MODELS[key].tab if key in MODELS else "Edit"):
                fill(page)
    return blocks


def _place_of_messages(page: Page, key: str) -> gr.HTML:
    """The place for the errors of a tab; shows at once if its model is missing."""
    return gr.HTML(_alert(page.absence(key)), visible=bool(page.absence(key)))


def _prompts(page: Page) -> None:
    words = next(iter(LANGUAGES.values()))
    language = gr.Radio(list(LANGUAGES), value=next(iter(LANGUAGES)), label="Language", container=False)
    about = gr.Markdown(words["about"])
    with gr.Row():
        with gr.Column(scale=1):
            prompt = gr.Textbox(words["prompts"][0], label=words["prompt"], lines=1)
            style = gr.Dropdown(_styles(words), value=ALL_STYLES, label=words["style"])
            guidance = gr.Slider(
                1, 8, value=page.guidance("prompts"), step=0.5, label=words["guidance"], info=words["guidance_info"]
            )
            count = gr.Slider(1, MOST_IMAGES, value=1, step=1, label=words["count"])
            steps = gr.Slider(1, 64, value=page.steps("prompts"), step=1, label=words["steps"])
            seed = gr.Number(0, label=words["seed"], precision=0)
            draw = gr.Button(words["draw"], variant="primary")
        with gr.Column(scale=2):
            message = _place_of_messages(page, "prompts")
            gallery = gr.Gallery(
                label="Pictures", show_label=False, columns=3, height="auto", elem_classes="crisp", format="png"
            )
    examples = gr.Dataset(components=[prompt], samples=_samples(words), label=words["examples"], type="values")
    examples.click(lambda sample: sample[0], examples, prompt, api_visibility="private")

    def translate(name: str, prompt: str) -> list[Any]:
        words, first = LANGUAGES[name], [one["prompts"][0] for one in LANGUAGES.values()]
        typed = {"value": words["prompts"][0]} if prompt in first else {}  # what a visitor typed stays
        return [
            words["about"], gr.update(label=words["prompt"], **typed),
            gr.update(label=words["style"], choices=_styles(words)),
            gr.update(label=words["guidance"], info=words["guidance_info"]),
            *(gr.update(label=words[key]) for key in ("count", "steps", "seed")), gr.update(value=words["draw"]),
            gr.update(samples=_samples(words), label=words["examples"]),
        ]  # fmt: skip

    shown = [about, prompt, style, guidance, count, steps, seed, draw, examples]
    language.change(translate, [language, prompt], shown, show_progress="hidden", api_visibility="private")
    gr.on(
        [draw.click, prompt.submit], guarded(page.prompted, 1), [prompt, style, guidance, count, steps, seed],
        [gallery, message], api_name="prompts",
    )  # fmt: skip


def _styles(words: dict[str, Any]) -> list[tuple[str, str]]:
    """Choices: what is shown, and the value."""
    return [(words["all"], ALL_STYLES), *((one, one) for one in STYLES)]


def _samples(words: dict[str, Any]) -> list[list[str]]:
    return [[prompt] for prompt in words["prompts"]]


def _images(page: Page) -> None:
    gr.Markdown(
        "Simple diffusion: noise becomes photographs of clothing, 64 x 64 pixels, in a chosen number of steps."
    )
    with gr.Row():
        with gr.Column(scale=1):
            names = page.classes("images")
            label = gr.Dropdown([*names, NO_CLASS], value=names[0] if names else NO_CLASS, label="Class")
            guidance = gr.Slider(
                1, 8, value=page.guidance(), step=0.5, label="Guidance", info="1 is off; more is more typical"
            )
            count = gr.Slider(1, MOST_IMAGES, value=4, step=1, label="Images")
            steps = gr.Slider(1, 64, value=page.steps(), step=1, label="Steps")
            seed = gr.Number(0, label="Seed", precision=0)
            draw = gr.Button("Draw", variant="primary")
        with gr.Column(scale=2):
            message = _place_of_messages(page, "images")
            gallery = gr.Gallery(
                label="Samples", show_label=False, columns=4, height="auto", elem_classes="crisp", format="png"
            )
    draw.click(guarded(page.images, 1), [label, guidance, count, steps, seed], [gallery, message], api_name="images")


def _editing(page: Page) -> None:
    gr.Markdown(
        "Drop a picture, paint over a part of it and let simple diffusion fill it; the rest stays, bit for bit. "
        "Or continue, enlarge or redraw it. Pictures are scaled to the 64 pixels that the model was trained at."
    )
    with gr.Row():
        with gr.Column(scale=1):
            editor = gr.ImageEditor(
                label="Picture", type="pil", format="png", transforms=(), height=420,
                brush=gr.Brush(colors=["#ffffff"], color_mode="fixed", default_size=24),
            )  # fmt: skip
            way = gr.Radio(list(WAYS), value=WAYS[0], label="What to do")
            model = gr.Radio([CLOTHING, EMOJI], value=CLOTHING, label="Model")
            names = page.classes("images")
            label = gr.Dropdown([*names, NO_CLASS], value=NO_CLASS, label="Class")
            prompt = gr.Textbox("", label="Prompt", placeholder="noto: 猫脸", lines=1, visible=False)
            strength = gr.Slider(0, 1, value=0.6, step=0.05, label="Strength", info="of drawing anew; 0 keeps it")
            guidance = gr.Slider(1, 8, value=1, step=0.5, label="Guidance", info="1 is off; more is more typical")
            steps = gr.Slider(1, 64, value=page.steps(), step=1, label="Steps")
            seed = gr.Number(0, label="Seed", precision=0)
            draw = gr.Button("Edit", variant="primary")
        with gr.Column(scale=1):
            message = _place_of_messages(page, "images")
            edited = gr.Image(
                format="png", height=420, show_label=False, interactive=False, elem_classes="crisp",
                alt_text="the edited picture",
            )  # fmt: skip

    def fields(model: str) -> tuple[Any, Any]:
        return gr.update(visible=model == CLOTHING), gr.update(visible=model == EMOJI)

    def edit(
        model: str, prompt: str, editor: Any, way: str, strength: float, label: str, guidance: float, steps: int,
        seed: int,
    ) -> Any:  # fmt: skip
        told = prompt if model == EMOJI else None
        return page.edited(editor, way, strength, label, guidance, steps, seed, told)

    model.change(fields, model, [label, prompt], show_progress="hidden", api_visibility="private")
    inputs = [model, prompt, editor, way, strength, label, guidance, steps, seed]
    draw.click(guarded(edit, 1), inputs, [edited, message], api_name="edit")


def _questions(page: Page) -> None:
    gr.Markdown("The reader extracts the answer to a Chinese question from a text. Its score only ranks answers.")
    with gr.Row():
        with gr.Column():
            question = gr.Textbox(QUESTIONS[0][2], label="Question", lines=1)
            text = gr.Textbox(BRIDGE, label="Text", lines=7, max_lines=14)
            impossible = gr.Checkbox(False, label="There may be no answer")
            top_k = gr.Slider(1, 10, value=3, step=1, label="Answers")
            ask = gr.Button("Ask", variant="primary")
        with gr.Column():
            message = _place_of_messages(page, "questions")
            found = gr.HTML(label="Answer", elem_classes="found")
    examples = [[text, others["context"]] for *_, text, others in QUESTIONS if "context" in others]
    gr.Examples(examples, [question, text], label="Examples")
    gr.on(
        [ask.click, question.submit], guarded(page.answer, 1), [question, text, impossible, top_k], [found, message],
        api_name="ask",
    )  # fmt: skip


def _triples(page: Page) -> None:
    gr.Markdown("Subjects (blue), predicates and objects (orange) of a Chinese text, as a graph.")
    text = gr.Textbox(SENTENCES[1], label="Text", lines=3, max_lines=14)
    extract = gr.Button("Extract", variant="primary")
    message = _place_of_messages(page, "triples")
    found = gr.HTML(label="Triples", elem_classes="found")
    gr.Examples([[sentence] for sentence in SENTENCES], [text], label="Examples")
    extract.click(guarded(page.triples, 1), [text], [found, message], api_name="extract")


def _gan(page: Page) -> None:
    gr.Markdown(
        "A relativistic GAN draws an image in one pass. Its images interpolate between the latents of two seeds."
    )
    with gr.Row():
        with gr.Column(scale=1):
            names = page.classes("gan")
            label = gr.Dropdown(names, value=names[0] if names else None, label="Class")
            first, last = gr.Number(0, label="First seed", precision=0), gr.Number(1, label="Last seed", precision=0)
            place = gr.Slider(0, 1, value=0.5, step=0.01, label="Between the two", info="0 is the first, 1 the last")
            truncation = gr.Slider(0.1, 1, value=0.8, step=0.05, label="Truncation", info="less is more typical")
            walk = gr.Button("Draw", variant="primary")
        with gr.Column(scale=2):
            message = _place_of_messages(page, "gan")
            shown: dict[str, Any] = {"show_label": False, "interactive": False}
            picture = gr.Image(format="png", height=400, alt_text="image between the two seeds", **shown)
            strip = gr.Image(format="png", height=90, buttons=[], alt_text="the interpolation", **shown)

    def both(label: str, first: int, last: int, place: float, truncation: float) -> tuple[Any, Any]:
        strip = page.interpolation(label, first, last, truncation)
        return page.between(label, first, last, place, truncation), strip

    inputs = [label, first, last, place, truncation]
    walk.click(guarded(both, 2), inputs, [picture, strip, message], api_name="walk")
    place.change(
        guarded(page.between, 1), inputs, [picture, message], show_progress="hidden", trigger_mode="always_last",
        api_name="between",
    )  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A page to try the published models of hf_kexue.")
    parser.add_argument("--port", type=int, default=None, help="default: 7860, or the next free one")
    parser.add_argument("--models", default=os.environ.get("HF_KEXUE_MODELS", str(HERE / "model_cards")),
                        help="folder of the models' folders, or their owner on the Hub")  # fmt: skip
    args = parser.parse_args(argv)
    build(Page(args.models)).queue().launch(server_port=args.port, css=STYLE)


if __name__ == "__main__":
    main()
