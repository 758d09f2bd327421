"""Turn a finished run into a published model: its Hub folder, its figures, its card.

    python training/publish_simple_diffusion.py --name simple-diffusion-clothing-64 \\
        --runs outputs/clothing-32 outputs/clothing-64
    python benchmarks/sample_quality.py
    python benchmarks/class_recognition.py
    python training/publish_simple_diffusion.py --name simple-diffusion-clothing-64

`--runs` are the output folders of the training in their order; the last one's pipeline is published. The call without
them leaves the weights as they are: it draws the samples of the card anew and adds what the two benchmarks measured on
the published folder. `--guide` is a saved pipeline whose weaker network goes along as guidance_unet, `--guide_results`
the results file that its card was made from.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from measured_tables import recognition_table

from hf_kexue.hub import export_repository
from hf_kexue.hub.cards import write_cards
from hf_kexue.hub.repository import store_as_float16
from hf_kexue.inference.drawing import draw_classes
from hf_kexue.simple_diffusion import SimpleDiffusionPipeline, SimpleDiffusionUViT2DModel
from hf_kexue.training.environment import portable_command

HERE = Path(__file__).resolve().parent
CARDS = HERE.parent / "model_cards"
MEASURED = HERE.parent / "benchmarks" / "results"


def stage(run: Path) -> dict[str, Any]:
    """What the card tells of one run."""
    results = json.loads((run / "results.json").read_text())
    arguments = portable_command(shlex.split(results["environment"]["command"]))
    arguments = arguments.replace(f"--output_dir {run.name}", f"--output_dir outputs/{run.name}")
    if results["arguments"]["init_from"]:
        donor = Path(results["arguments"]["init_from"])
        arguments = arguments.replace(
            f"--init_from {donor.name}", f"--init_from outputs/{donor.parent.name}/{donor.name}"
        )
    return {
        "what": f"{results['arguments']['resolution']} pixels",
        "command": f"accelerate launch training/{arguments}",
        "images_seen": results["images_seen"],
        "steps": results["steps"],
        "minutes": round(results["seconds"] / 60),
        "validation_loss": round(results["validation_loss"], 5),
    }


def of_training(runs: list[Path], guide: Path | None) -> dict[str, Any]:
    """What the card tells of how the model came about."""
    last = json.loads((runs[-1] / "results.json").read_text())
    stages = [stage(run) for run in runs]
    environment = last["environment"]
    device = environment["device"] + (f", {environment['threads']} threads" if environment["threads"] else "")
    versions = ", ".join(f"{name} {environment[name]}" for name in ("torch", "diffusers", "accelerate"))
    before = json.loads(guide.read_text()) if guide else None
    return {
        "guide": before and {key: before[key] for key in ("images_seen", "stages", "training", "evaluation")},
        "parameters": last["parameters"],
        "classes": last["classes"],
        "images_seen": sum(row["images_seen"] for row in stages),
        "training": [
            {"what": "parameters", "value": last["parameters"]},
            {"what": "photographs", "value": last["images"]},
            {"what": "device", "value": device},
            {"what": "precision", "value": "float32" if last["precision"] == "no" else last["precision"]},
            {"what": "minutes in training steps", "value": sum(row["minutes"] for row in stages)},
            {"what": "seed", "value": last["arguments"]["seed"]},
            {"what": "versions", "value": versions},
        ],
        "counted": "images",
        "stages": stages,
    }


def of_samples(name: str, measured: Path) -> dict[str, Any]:
    """What the card tells of the samples, from the results of the two benchmarks in a folder."""
    quality = json.loads((measured / "sample_quality.json").read_text())
    table = []
    for row in quality["rows"]:
        what = row["what"]
        if what == "samples":
            what = f"samples, {row['sampler']}, {row['steps']} steps, guidance {row['guidance_scale']:g}"
        table.append([what, row["kid_efflite0"], row["standard_error"]])
    best = min((row for row in quality["rows"] if row["what"] == "samples"), key=lambda row: row["kid_efflite0"])
    recognition = json.loads((measured / "class_recognition.json").read_text())
    return {
        "samples": quality["samples"],
        "recognition": recognition["setting"],
        "evaluation": [
            {"metric": "KID-EffLite0", "value": best["kid_efflite0"], "dataset": "clothing-64", "split": "validation"},
        ],
        "tables": [
            {
                "columns": ["", "KID-EffLite0", "standard error"],
                "rows": table,
                "command": f"python benchmarks/{quality['environment']['command']}",
            },
            recognition_table(recognition, name),
        ],
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    parser.add_argument("--guide", type=Path, help="saved pipeline whose network becomes the guidance_unet")
    parser.add_argument("--guide_share", type=float, default=0.2, help="its guidance_unet_share, from 0 to 1")
    parser.add_argument("--guidance_scale", type=float, help="saved with the model in place of the run's own")
    parser.add_argument("--float16", action="store_true", help="store both networks so")
    parser.add_argument("--guide_results", type=Path, help="results file of the card of --guide")
    parser.add_argument("--cards", type=Path, default=CARDS, help="folder of the cards")
    parser.add_argument("--measured", type=Path, default=MEASURED, help="folder with the results of the benchmarks")
    args = parser.parse_args(argv)
    folder, path = args.cards / args.name, args.cards / "results" / f"{args.name}.json"
    if args.runs:
        weaker = SimpleDiffusionUViT2DModel.from_pretrained(args.guide, subfolder="unet") if args.guide else None
        made = {"guidance_unet": weaker, "guidance_unet_share": args.guide_share if weaker else 1.0}
        if args.guidance_scale is not None:
            made["guidance_scale"] = args.guidance_scale
        pipeline = SimpleDiffusionPipeline.from_pretrained(args.runs[-1] / "pipeline", **made)
        export_repository(pipeline, folder, with_code=False)
        if args.float16:
            store_as_float16(folder)
        found = of_training(args.runs, args.guide_results)
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{folder}: now measure it, then call this script without --runs.")
        return
    if not path.is_file():
        raise ValueError(f"{args.name} is not published yet: give its --runs.")
    draw_classes(SimpleDiffusionPipeline.from_pretrained(folder), folder / "samples.png", per_class=6)
    found = json.loads(path.read_text(encoding="utf-8")) | of_samples(args.name, args.measured)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(*write_cards(args.cards), sep="\n")


if __name__ == "__main__":
    main()
