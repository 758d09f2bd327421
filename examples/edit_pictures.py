"""Held-out photographs edited by the published model: filled, continued, enlarged, and drawn anew as another class.

Rows: two photographs; each with a hole, and three ways to fill it; each continued to the left and right; each at a
quarter of its size, and enlarged again twice; each drawn from its noise, as a dress, at rising strength.

    python examples/edit_pictures.py --output examples/pictures/edited.png

Sources: see `hf_kexue/simple_diffusion/editing_simple_diffusion.py`.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from hf_kexue import (
    SimpleDiffusionImageToImagePipeline,
    SimpleDiffusionInpaintPipeline,
    SimpleDiffusionUpscalePipeline,
)
from hf_kexue.data.images import load_images
from hf_kexue.inference.evaluation import photographs
from hf_kexue.simple_diffusion.pictures_simple_diffusion import with_border

ROOT = Path(__file__).resolve().parent.parent
MODEL, DATA = ROOT / "model_cards" / "simple-diffusion-clothing-64", ROOT / "training" / "data" / "clothing-64"
PLACES = (4, 5)  # of the photographs in the validation split
GAP = 4  # pixels between pictures
SCALE = 2  # of the sheet


def sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """Rows of pictures of any size on white."""
    width = max(sum(one.width + GAP for one in row) for row in rows)
    height = sum(max(one.height for one in row) + GAP for row in rows)
    page, top = Image.new("RGB", (width - GAP, height - GAP), "white"), 0
    for row in rows:
        left = 0
        for one in row:
            page.paste(one, (left, top))
            left += one.width + GAP
        top += max(one.height for one in row) + GAP
    return page.resize((SCALE * page.width, SCALE * page.height), Image.Resampling.NEAREST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/edited.png"))
    parser.add_argument("--steps", type=int, default=24)
    args = parser.parse_args()
    inpaint = SimpleDiffusionInpaintPipeline.from_pretrained(MODEL)
    upscale = SimpleDiffusionUpscalePipeline.from_pipe(inpaint)
    again = SimpleDiffusionImageToImagePipeline.from_pipe(inpaint)
    found = photographs(load_images(str(DATA), split="validation", label_column="auto"), 64, max(PLACES) + 1)
    originals, labels = [found.images[place] for place in PLACES], [found.labels[place] for place in PLACES]
    options: dict[str, Any] = {"num_inference_steps": args.steps, "guidance_scale": 2.0}

    def drawn(pipeline: Any, *given: Any, seed: int = 0, **more: Any) -> list[Image.Image]:
        generator = torch.Generator().manual_seed(seed)
        images: list[Image.Image] = pipeline(
            *given, generator=generator, **{"class_labels": labels} | options | more
        ).images
        return images

    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 24, 48, 56))
    holes = [Image.composite(Image.new("RGB", one.size, "grey"), one, mask) for one in originals]
    filled = [drawn(inpaint, originals, mask, seed=seed, iterations=3) for seed in range(3)]
    wider = [with_border(one, left=24, right=24) for one in originals]
    continued = drawn(inpaint, [one for one, _ in wider], wider[0][1], iterations=3)
    small = [one.reduce(4) for one in originals]
    enlarged = [drawn(upscale, small, factor=4, seed=seed, iterations=3) for seed in range(2)]
    dresses = [drawn(again, originals, strength=strength, class_labels="Dress") for strength in (0.4, 0.6, 0.8)]
    rows = [
        part
        for number in range(len(originals))
        for part in (
            [originals[number], holes[number], *(one[number] for one in filled)],
            [continued[number], small[number].resize((64, 64), Image.Resampling.NEAREST),
             *(one[number] for one in enlarged)],
            [originals[number], *(one[number] for one in dresses)],
        )
    ]  # fmt: skip
    args.output.parent.mkdir(parents=True, exist_ok=True)
    sheet(rows).save(args.output)
    print(f"Saved {args.output}.")


if __name__ == "__main__":
    main()
