"""Turn a finished run into a published model: its Hub folder, its figures, its card.

    python training/publish_simple_diffusion.py --name simple-diffusion-clothing-64 \\
        --runs outputs/clothing-32 outputs/clothing-64
    python benchmarks/sample_quality.py
    python benchmarks/class_recognition.py
    python training/publish_simple_diffusion.py --name simple-diffusion-clothing-64

`--runs` are the output folders of the training stages in order; the pipeline of the last one is published. Without
them the weights are unchanged: the samples of the card are redrawn, and the results of the two benchmarks are added.
`--continues` are the figures of the card of the model that the first run started from: its stages stand first. A
student of distill_simple_diffusion.py is measured by benchmarks/distillation.py instead, which `--distilled` says.
`--guide` is a saved pipeline whose weaker network becomes the guidance_unet, `--guide_results` the results file of its
card.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import run_figures

from hf_kexue.hub import export_repository
from hf_kexue.hub.repository import store_as_float16
from hf_kexue.inference.drawing import draw_classes
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel


def stage(run: Path) -> dict[str, Any]:
    """One run as a stage of the training."""
    results = run_figures.run_results(run, "images")
    figures = run_figures.stage_figures(run, results, f"{results['arguments']['resolution']} pixels", "images")
    return figures | {"validation_loss": round(results["validation_loss"], 5)}


def training_figures(runs: list[Path], guide: Path | None) -> dict[str, Any]:
    """Figures of the card about the training."""
    last, stages = run_figures.run_results(runs[-1], "images"), [stage(run) for run in runs]
    before = json.loads(guide.read_text(encoding="utf-8")) if guide else None
    counts = {"parameters": last["parameters"], "photographs": last["images"]}
    return {
        "guide": before and {key: before[key] for key in ("images_seen", "stages", "training", "evaluation")},
        "parameters": last["parameters"],
        "classes": last["classes"],
        "images_seen": sum(row["images_seen"] for row in stages),
        "training": run_figures.training_rows(counts, last, sum(row["minutes"] for row in stages), "diffusers"),
        "counted": "images",
        "stages": stages,
    }


def sample_figures(name: str, measured: Path) -> dict[str, Any]:
    """Figures of the card about samples, from the results of the two benchmarks in a folder."""
    results = run_figures.benchmark_results(measured, ("sample_quality", "class_recognition"), required=True)
    quality, recognition = results["sample_quality"], results["class_recognition"]
    rows = []
    for row in quality["rows"]:
        what = row["what"]
        if what == "samples":
            what = f"samples, {row['sampler']}, {row['steps']} steps, guidance {row['guidance_scale']:g}"
        rows.append([what, row["kid_efflite0"], row["standard_error"]])
    best = min(row["kid_efflite0"] for row in quality["rows"] if row["what"] == "samples")
    return {
        "samples": quality["samples"],
        "recognition": recognition["setting"],
        "evaluation": run_figures.evaluation_rows({"KID-EffLite0": best}, "clothing-64"),
        "tables": [
            run_figures.table(["", "KID-EffLite0", "standard error"], rows, quality),
            run_figures.recognition_table(recognition, name),
        ],
    }


def distilled_figures(measured: Path) -> dict[str, Any]:
    """Figures of a student's card about samples, beside its teacher and the GAN."""
    results = run_figures.benchmark_results(measured, ["distillation"], required=True)["distillation"]
    keys = ("model", "steps", "calls_per_image", "images_per_second", "seeds", "kid_efflite0", "recognised")
    errors = {key: f"{key}_standard_error" for key in ("kid_efflite0", "recognised")}

    def cell(row: dict[str, Any], key: str) -> Any:
        value, error = row[key], row.get(errors.get(key, ""))
        return "not measured" if value is None else value if error is None else f"{value} ± {error}"

    rows = [[cell(row, key) for key in keys] for row in results["summary"]]
    saved = next(row for row in results["summary"] if row["model"] == "student" and row["steps"] == results["saved"])
    columns = ["model", "steps", "network calls", "images/s", "seeds", "KID-EffLite0", "share recognised"]
    return {
        "samples": results["samples"],
        "saved": saved,
        "evaluation": run_figures.evaluation_rows({"KID-EffLite0": saved["kid_efflite0"]}, "clothing-64"),
        "speed": {line["row"]: line["images_per_second"] for line in results["speed"]},
        "tables": [run_figures.table(columns, rows) | {"command": "python benchmarks/distillation.py"}],
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    parser.add_argument("--guide", type=Path, help="saved pipeline whose network becomes the guidance_unet")
    parser.add_argument("--guide_share", type=float, default=0.2, help="its guidance_unet_share, from 0 to 1")
    parser.add_argument(
        "--continues", type=Path, help="figures of the card of the model that the first run started from"
    )
    parser.add_argument("--guidance_scale", type=float, help="saved with the model instead of that of the run")
    parser.add_argument("--distilled", action="store_true", help="the measured figures are those of a student")
    parser.add_argument("--float16", action="store_true", help="store both networks as float16")
    parser.add_argument("--guide_results", type=Path, help="results file of the card of --guide")
    parser.add_argument("--cards", type=Path, default=run_figures.CARDS, help="folder of the cards")
    parser.add_argument(
        "--measured", type=Path, default=run_figures.MEASURED, help="folder with the results of the benchmarks"
    )
    args = parser.parse_args(argv)
    folder = args.cards / args.name
    if args.runs:
        weaker = SimpleDiffusionUViT2DModel.from_pretrained(args.guide, subfolder="unet") if args.guide else None
        made = {"guidance_unet": weaker, "guidance_unet_share": args.guide_share if weaker else 1.0}
        if args.guidance_scale is not None:
            made["guidance_scale"] = args.guidance_scale
        pipeline = SimpleDiffusionPipeline.from_pretrained(args.runs[-1] / "pipeline", **made)
        export_repository(pipeline, folder, with_code=False)
        if args.float16:
            store_as_float16(folder)
        figures = training_figures(args.runs, args.guide_results)
        if args.continues:
            figures = run_figures.gone_on(json.loads(args.continues.read_text(encoding="utf-8")), figures)
        run_figures.write_figures(args.cards, args.name, figures)
        print(f"{folder}: now measure it, then call this script without --runs.")
        return
    before = run_figures.published_figures(args.cards, args.name)
    draw_classes(SimpleDiffusionPipeline.from_pretrained(folder), folder / "samples.png", per_class=6)
    measured = distilled_figures(args.measured) if args.distilled else sample_figures(args.name, args.measured)
    run_figures.write_card(args.cards, args.name, before | measured)


if __name__ == "__main__":
    main()
