"""Effect of the data size: preset `triples`, trained on 25, 50 and 100 % of the sentences for the same time.

    python benchmarks/triples_data_size.py --train DUIE2 DUIE1 --validation DUIE2 --init_from outputs/reader/model

Every row is trained by `training/train_dgcnn_triples.py` with the same seed and number of steps, so a smaller share is
seen more often; the larger shares include the smaller ones. Existing rows are not trained again. Writes
benchmarks/results/triples_data_size.json and .png.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import matplotlib as mpl
from results import FOLDER, rows_before, write_results
from triples_ablation import KEYS, train

mpl.use("agg")
DATA = {"--train": "duie2", "--validation": "duie2"}
SHARES = (0.25, 0.5, 1.0)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """F1 over the number of sentences, on a scale that makes doubling one step."""
    import matplotlib.pyplot as plt

    rows = sorted(rows, key=lambda row: row["sentences"])
    figure, axes = plt.subplots(figsize=(5.5, 3.5), layout="constrained")
    sizes = [row["sentences"] for row in rows]
    axes.plot(sizes, [row["f1"] for row in rows], "o-", label="F1")
    axes.plot(sizes, [row["precision"] for row in rows], "^:", color="0.5", label="precision")
    axes.plot(sizes, [row["recall"] for row in rows], "v:", color="0.5", label="recall")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("training sentences")
    axes.set_ylabel("validation score")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--init_from", help="folder of a reader of preset `reader`")
    parser.add_argument("--steps", type=int, default=4000, help="of each row, 16 sentences each")
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/triples-data-size"))
    args = parser.parse_args()
    setting = {"steps": args.steps, "sentences_per_step": 16, "pre_trained_trunk": bool(args.init_from)}
    rows = rows_before("triples_data_size", setting)
    for share in [share for share in SHARES if share not in {row["share"] for row in rows}]:
        folder = args.output_dir / f"share-{share}"
        shutil.rmtree(folder, ignore_errors=True)
        options = ["--train", *args.train, "--train_share", str(share), "--validation", args.validation]
        if args.init_from:
            options += ["--init_from", args.init_from]
        results = train(folder, options, args.steps)
        scores = {key: round(results[f"validation/{key}"], 4) for key in KEYS}
        counts = {key: results[key] for key in ("sentences", "triples", "predicates")}
        rows.append({"share": share, **counts, **scores})
        write_results("triples_data_size", {**setting, "rows": rows})
        plot(rows, FOLDER / "triples_data_size.png")


if __name__ == "__main__":
    main()
