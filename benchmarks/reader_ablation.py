"""Ablation of the reader: the same short training with one part changed at a time.

    python benchmarks/reader_ablation.py --train CMRC2018 --validation CMRC2018

Every row is trained by `training/train_dgcnn_qa.py` in two stages, on synthetic questions from plain text and then on
real ones, with the same seed and number of questions, at half the width of the published model and on far fewer
questions: only differences between the rows are meaningful. The presets of the articles also run without the first
stage, as in the articles. Existing rows are not trained again. Writes
benchmarks/results/reader_ablation.json.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from results import rows_before, write_results
from scripts import run_script

DATA = {"--train": "cmrc2018", "--validation": "cmrc2018"}
VARIANTS: dict[str, tuple[list[str], bool]] = {  # arguments, whether there is a first stage
    "preset reader": ([], True),
    "without questions made of plain text": ([], False),
    "without ids set to zero": (["--zero_ids", "0"], True),
    "with passages joined and cut": (["--concatenate", "0.3"], True),
    "characters without words": (["--mixed_embedding", "False"], True),
    "without the eight match features of 2018": (["--match_features", "False"], True),
    "with those features left out of half of the questions": (["--feature_dropout", "0.5"], True),
    "without attention to the question": (["--question_attention", "False"], True),
    "sigmoids and focal loss in place of the softmax": (["--output", "tagging"], True),
    "preset reader-2018": (["--preset", "reader-2018"], True),
    "preset reader-2018, real questions alone": (["--preset", "reader-2018"], False),
    "preset reader-2019": (["--preset", "reader-2019"], True),
    "preset reader-2019, real questions alone": (["--preset", "reader-2019"], False),
}


def train(folder: Path, arguments: list[str], steps: int) -> dict[str, float]:
    """One stage of one row; its results."""
    recipe = ["--train_batch_size", "16", "--drop_after", "0", "--lr_scheduler", "cosine", "--ema_decay", "0.998"]
    return run_script("train_dgcnn_qa", folder, [*recipe, "--validation_steps", str(steps), *arguments], steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument(
        "--steps", nargs=2, type=int, default=[1000, 1000], help="of the two stages, 16 questions each"
    )
    parser.add_argument("--rows", nargs="+", choices=sorted(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/reader-ablation"))
    args = parser.parse_args()
    setting = {"steps": args.steps, "questions_per_step": 16}
    rows = rows_before("reader_ablation", setting)
    done = {row["what"] for row in rows}
    for what in [name for name in args.rows if name not in done]:
        options, first_stage = VARIANTS[what]
        folder = args.output_dir / what.replace(" ", "-").replace(",", "")
        shutil.rmtree(folder, ignore_errors=True)
        options = [*options, "--train", *args.train]
        if first_stage:
            train(folder / "cloze", [*options, "--cloze_share", "1", "--max_characters", "128"], args.steps[0])
            options += ["--init_from", str(folder / "cloze" / "model")]
        results = train(folder / "questions", [*options, "--validation", args.validation], args.steps[1])
        scores = {key: round(results[f"validation/{key}"], 2) for key in ("exact_match", "f1")}
        rows.append({"what": what, **scores})
        write_results("reader_ablation", {**setting, "rows": rows})


if __name__ == "__main__":
    main()
