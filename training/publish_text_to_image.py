"""Turn finished runs into a published text-to-image model: its Hub folder, its figures, its card.

    python training/publish_text_to_image.py --name simple-diffusion-emoji-64 \\
        --encoder outputs/text-encoder --runs outputs/emoji-64
    python benchmarks/text_alignment.py --dataset data/emoji-128 --model model_cards/simple-diffusion-emoji-64
    python training/publish_text_to_image.py --name simple-diffusion-emoji-64

`--continues` are the figures of the card of the model that the first run started from, such as
model_cards/results/simple-diffusion-emoji-64.json: its stages stand first. A network that began anew beside the text
encoder of a published model has that model's figures as its `--encoder`. Without runs the weights are unchanged: the
samples of the card are redrawn, and the results of the benchmark added.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import run_figures
import torch

from hf_kexue import SimpleDiffusionTextToImagePipeline
from hf_kexue.demo.prompts import STYLES
from hf_kexue.hub import export_repository
from hf_kexue.hub.repository import store_as_float16
from hf_kexue.inference.drawing import draw_by_diffusion
from hf_kexue.inference.grids import image_grid

NAMES = ("red apple", "猫脸", "red heart", "太阳", "grinning face", "汽车", "globe showing Asia-Australia", "玫瑰")
STEPS = 16  # of DPM-Solver++, for the samples of the card
WORDS, OF_THEM = "the text encoder alone", "of them the text encoder"


def encoder_figures(encoder: Path) -> tuple[dict[str, Any], int]:
    """The stage of a text encoder and its parameters, from its run, or from the figures of a published model."""
    if encoder.suffix == ".json":
        published = json.loads(encoder.read_text(encoding="utf-8"))
        stage = [stage for stage in published["stages"] if stage["what"] == WORDS][-1]
        return stage, next(row["value"] for row in published["training"] if row["what"] == OF_THEM)
    words = run_figures.run_results(encoder, "pictures")
    stage = run_figures.stage_figures(encoder, words | {"images_seen": words["pictures_seen"]}, WORDS, "images")
    shares = {key.partition("/")[2]: round(value, 4) for key, value in words.items() if key.startswith("validation/")}
    return stage | shares, words["parameters"]


def training_figures(encoder: Path, runs: list[Path]) -> dict[str, Any]:
    """Figures of the card about the training of the encoder, and the runs on pictures in their order.

    Args:
        encoder: run of pretrain_text_encoder.py, or a file of figures.
        runs: of train_simple_diffusion.py.
    """
    stage, encoder_parameters = encoder_figures(encoder)
    stages, seen = [stage], 0
    for run in runs:
        pictures = run_figures.run_results(run, "images")
        going_on = bool(seen or pictures["arguments"]["init_from"])
        what = f"{pictures['arguments']['resolution']} pixels" + (", from those weights" if going_on else "")
        stage = run_figures.stage_figures(run, pictures, what, "images")
        stages.append(stage | {"validation_loss": round(pictures["validation_loss"], 5)})
        seen += pictures["images_seen"]
    counts = {"parameters": pictures["parameters"], OF_THEM: encoder_parameters}
    counts |= {"pictures": pictures["images"]}
    return {
        "parameters": pictures["parameters"],
        "images_seen": seen,
        "training": run_figures.training_rows(
            counts, pictures, sum(stage["minutes"] for stage in stages), "diffusers"
        ),
        "counted": "images",
        "stages": stages,
    }


def sample_figures(measured: Path) -> dict[str, Any]:
    """Figures of the card about samples, from the results of the benchmark in a folder."""
    results = run_figures.benchmark_results(measured, ["text_alignment"], required=True)["text_alignment"]
    keys = ("split", "what", "rows", "top_1", "top_1_standard_error", "top_5", "kid_efflite0")
    rows = [[row.get(key, "") for key in keys] for row in results["rows"]]
    columns = ["split", "", "pictures", "top-1", "standard error", "top-5", "KID-EffLite0"]
    drawn = {row["what"]: row for row in results["rows"] if row["split"] == "unseen_pair"}
    scores = {f"top-1 among 100, {name}": drawn[f"drawn from {name}"]["top_1"] for name in ("name_en", "name_zh")}
    evaluation = [row | {"split": "unseen_pair"} for row in run_figures.evaluation_rows(scores, "emoji-128")]
    return {
        "setting": results["setting"],
        "top_1": list(scores.values()),
        "evaluation": evaluation,
        "tables": [run_figures.table(columns, rows, results)],
    }


def draw_styles(folder: Path) -> None:
    """A row for each style of the same eight names, from seed 0."""
    pipeline = SimpleDiffusionTextToImagePipeline.from_pretrained(folder)
    prompts: list[Any] = [f"{style}: {name}" for style in STYLES for name in NAMES]
    generator = torch.Generator().manual_seed(0)
    images = draw_by_diffusion(pipeline, prompts, steps=STEPS, sampler="dpm", generator=generator)
    image_grid(images, len(NAMES)).save(folder / "samples.png")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--encoder", type=Path, help="run of pretrain_text_encoder.py, or figures of its model")
    parser.add_argument("--runs", nargs="+", type=Path, default=[], help="of train_simple_diffusion.py, in order")
    parser.add_argument(
        "--continues", type=Path, help="figures of the card of the model that the first run started from"
    )
    parser.add_argument("--guidance_scale", type=float, help="saved with the model instead of that of the run")
    parser.add_argument("--cards", type=Path, default=run_figures.CARDS, help="folder of the cards")
    parser.add_argument(
        "--measured", type=Path, default=run_figures.MEASURED, help="folder with the results of the benchmark"
    )
    args = parser.parse_args(argv)
    folder = args.cards / args.name
    if args.runs and args.encoder:
        made = {} if args.guidance_scale is None else {"guidance_scale": args.guidance_scale}
        pipeline = SimpleDiffusionTextToImagePipeline.from_pretrained(args.runs[-1] / "pipeline", **made)
        export_repository(pipeline, folder, with_code=False)
        store_as_float16(folder)
        figures = training_figures(args.encoder, args.runs)
        if args.continues:
            figures = run_figures.gone_on(json.loads(args.continues.read_text(encoding="utf-8")), figures)
        run_figures.write_figures(args.cards, args.name, figures)
        print(f"{folder}: now measure it, then call this script without runs.")
        return
    before = run_figures.published_figures(args.cards, args.name)
    draw_styles(folder)
    figures = before | sample_figures(args.measured) | {"styles": list(STYLES), "names": list(NAMES), "steps": STEPS}
    run_figures.write_card(args.cards, args.name, figures)


if __name__ == "__main__":
    main()
