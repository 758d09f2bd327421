"""One prompt in six styles and two languages: the strip of the demonstration, and the words of the page's tab."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..inference import kinds
from ..inference.drawing import draw_by_diffusion
from ..inference.grids import image_grid
from ..inference.saved_models import load_pipeline
from .html import Section, picture

EMOJI = Path("model_cards") / kinds.TEXT_TO_IMAGE.published
STYLES = ("noto", "fluent 3d", "fluent flat", "openmoji", "twemoji", "blob")
CAT = ("cat face", "猫脸")  # one emoji in both languages
STRIP_STEPS = 16  # of DPM-Solver++

# What the tab says in each language; prompts of both may be typed in either.
LANGUAGES: dict[str, dict[str, Any]] = {
    "English": {
        "about": "An emoji from a prompt, 64 x 64 pixels, straight in pixel space. A small model: faces, "
        "hearts, cars, colours and outlines mostly answer to the words, fine details and rarer things often do not. "
        "Prompts are in English or Chinese; one that begins with a style, as in `twemoji: green heart`, keeps it.",
        "prompt": "Prompt", "style": "Style", "all": "all six", "guidance": "Guidance", "steps": "Steps",
        "count": "Images of each style", "seed": "Seed", "draw": "Draw", "examples": "Examples",
        "guidance_info": "1 is off; more follows the words more closely",
        "prompts": ("cat face", "green heart", "red apple", "globe showing Asia-Australia"),
    },
    "中文": {
        "about": "用一句提示词画一个 emoji：64 x 64 像素，直接在像素空间生成。这是一个小模型：脸、心形、汽车、颜色"
        "和轮廓大多与文字相符，细节和少见的东西常常不符。"
        "提示词可以用中文或英文；自带风格的，例如 `twemoji: 绿心`，就按所写的风格画。",
        "prompt": "提示词", "style": "风格", "all": "六种都画", "guidance": "引导强度", "steps": "步数",
        "count": "每种风格的张数", "seed": "随机种子", "draw": "画", "examples": "示例",
        "guidance_info": "1 表示不引导；越大越贴近文字",
        "prompts": ("猫脸", "绿心", "红苹果", "地球上的亚洲澳洲"),
    },
}  # fmt: skip


def in_styles(text: str, styles: Sequence[str]) -> list[str]:
    """Prompts of the emoji models: the text behind each style and a colon, or as it is if it begins with a style.

    Args:
        text: of a visitor.
        styles: of `STYLES`.

    Raises:
        ValueError: for a text without words, or an unknown style.
    """
    words = " ".join((text or "").replace("：", ": ").split())
    style, colon, rest = words.partition(":")
    own = style.strip().lower() if colon and style.strip().lower() in STYLES else ""
    if not (rest if own else words).strip():
        raise ValueError("Type a prompt first.")
    if unknown := [one for one in styles if one not in STYLES]:
        raise ValueError(f"The style must be one of {', '.join(STYLES)}; got {', '.join(unknown)}.")
    return [f"{own}: {rest.strip()}"] if own else [f"{one}: {words}" for one in styles]


def draw_styles(pipeline: Any, text: str, seed: int = 0) -> list[Image.Image]:
    """A picture of the text in each of `STYLES`, by DPM-Solver++."""
    generator = torch.Generator().manual_seed(seed)
    images: list[Image.Image] = draw_by_diffusion(
        pipeline, in_styles(text, STYLES), steps=STRIP_STEPS, sampler="dpm", generator=generator, progress=False
    )
    return images


def styles_strip(pipeline: Any, scale: int = 2) -> Image.Image:
    """`CAT` in each style, a row for each language, from seed 0, enlarged without smoothing."""
    grid = image_grid([image for words in CAT for image in draw_styles(pipeline, words)], len(STYLES))
    return grid.resize((scale * grid.width, scale * grid.height), Image.Resampling.NEAREST)


def strip(repository: Path, output: Path) -> Section:
    """One prompt in six styles, in both languages, or a note if the model is not published."""
    title = "Pictures from prompts · 用文字画图"
    if not (repository / EMOJI).is_dir():
        return title, f"{EMOJI} is not published yet, so there is nothing to show here.", ""
    started = time.perf_counter()
    pipeline = load_pipeline(str(repository / EMOJI), kinds.TEXT_TO_IMAGE)
    styles_strip(pipeline).save(output / "prompts.png")
    english, chinese = CAT
    chinese_text = (
        f"同一条提示词的六种风格，都从种子 0 画起，没有挑选：从左到右是 {'、'.join(STYLES)}；"
        f"上一行写作 noto: {english}，下一行写作 noto: {chinese}，其余类推。"
    )
    return (
        title,
        f"{EMOJI.name}, a small model: one prompt in six styles, drawn here in "
        f"{time.perf_counter() - started:.0f} s from seed 0, nothing selected. Columns: {', '.join(STYLES)}. Rows: "
        f"noto: {english} and so on in English, noto: {chinese} and so on in Chinese.",
        f"<p lang='zh'>{html.escape(chinese_text)}</p>" + picture("prompts.png", "a cat's face in six styles, twice"),
    )
