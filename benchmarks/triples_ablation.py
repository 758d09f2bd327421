"""Ablation of the triple extraction: the same short training with one part changed at a time.

    python benchmarks/triples_ablation.py --train DUIE2 DUIE1 --validation DUIE2 --init_from outputs/reader/model

Every row is trained by `training/train_dgcnn_triples.py` with the same seed and number of sentences, at half the width
of the published model and on far fewer sentences: only differences between the rows are meaningful. A part that preset
`triples` has is removed, one that it lacks is added. `--init_from` is a reader of preset `reader`,
whose trunk the network begins with; what cannot begin with it is compared with the row without it. The article's own
presets run without it too. `--pseudo` are sentences of training/pseudo_label_triples.py, for the row with them; it is
left out without. Existing rows are not trained again. Writes
benchmarks/results/triples_ablation.json.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import yaml
from results import rows_before, write_results
from scripts import PRESETS, run_script

DATA = {"--train": "duie2", "--validation": "duie2"}
PRESET = PRESETS / "triples.yaml"
SELF_TRAINING = "with self-training, without pre-trained trunk"
KEYS = ("precision", "recall", "f1", "f1_of_crossed_thresholds", "f1_of_default_thresholds")


def switch(name: str, is_on: bool, on: list[str], off: list[str]) -> tuple[str, list[str]]:
    """The row with a part of the preset toggled."""
    return (f"without {name}", off) if is_on else (f"with {name}", on)


def variants(preset: dict[str, Any]) -> dict[str, tuple[list[str], bool]]:
    """Rows by name: arguments beside those of the preset, and whether the trunk may come from elsewhere."""
    powers = preset.get("subject_power", 1) > 1 or preset.get("object_power", 1) > 1
    gates = preset.get("predicate_gate", False) or preset.get("character_gate", False)
    rows = [
        switch("powers of the sigmoids", powers, ["--subject_power", "2", "--object_power", "4"],
               ["--subject_power", "1", "--object_power", "1"]),
        switch("gates", gates, ["--predicate_gate", "True", "--character_gate", "True"],
               ["--predicate_gate", "False", "--character_gate", "False"]),
        switch("self-attention beside the convolutions", preset.get("num_attention_heads", 0) > 0,
               ["--num_attention_heads", "8"], ["--num_attention_heads", "0"]),
        switch("the prior of known triples", preset.get("prior", False), ["--prior", "True"], ["--prior", "False"]),
        switch("the GRU over the subject", preset.get("subject_encoder") == "gru", ["--subject_encoder", "gru"],
               ["--subject_encoder", "ends"]),
        switch("types of subjects", preset.get("typed_subjects", False), ["--typed_subjects", "True"],
               ["--typed_subjects", "False"]),
        switch("mentions swapped between sentences", preset.get("swap_mentions", 0) > 0, ["--swap_mentions", "0.5"],
               ["--swap_mentions", "0"]),
        ("first occurrence of a mention labelled, not all", ["--all_occurrences", "False"])
        if preset.get("all_occurrences", True)
        else ("all occurrences of a mention labelled, not the first", ["--all_occurrences", "True"]),
        switch("built-in negatives", preset.get("negatives", True), ["--negatives", "True"],
               ["--negatives", "False"]),
        ("one random subject of a sentence a step, not all", ["--sampling", "one"])
        if preset.get("sampling", "all") == "all"
        else ("all subjects of a sentence a step, not one", ["--sampling", "all"]),
    ]  # fmt: skip
    alone = ["--drop_after", "0", "--lr_scheduler", "cosine", "--ema_decay", "0.998", "--lr_warmup_steps", "100"]
    return {
        "preset triples": ([], True),
        **{name: (options, True) for name, options in rows},
        "without pre-trained trunk": ([], False),
        "characters without words, without pre-trained trunk": (["--mixed_embedding", "False"], False),
        SELF_TRAINING: ([], False),
        "preset triples-fast, without pre-trained trunk": (["--preset", "triples-fast", *alone], False),
        "preset triples-2019, without pre-trained trunk": (["--preset", "triples-2019", *alone], False),
    }


def train(folder: Path, arguments: list[str], steps: int) -> dict[str, Any]:
    """One row; its results."""
    options = ["--train_batch_size", "16", "--validation_steps", str(steps), *arguments]
    return run_script("train_dgcnn_triples", folder, options, steps)


def main() -> None:
    preset = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    names = variants(preset)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--init_from", help="folder of a reader of preset `reader`")
    parser.add_argument("--pseudo", help="sentences labelled by networks")
    parser.add_argument("--steps", type=int, default=1500, help="of each row, 16 sentences each")
    parser.add_argument("--rows", nargs="+", choices=list(names), default=list(names))
    parser.add_argument("--output_dir", type=Path, default=Path("outputs/triples-ablation"))
    args = parser.parse_args()
    if args.pseudo is None and SELF_TRAINING in args.rows:
        args.rows.remove(SELF_TRAINING)
    setting = {"steps": args.steps, "sentences_per_step": 16, "pre_trained_trunk": bool(args.init_from)}
    rows = rows_before("triples_ablation", setting)
    done = {row["what"] for row in rows}
    for what in [name for name in args.rows if name not in done]:
        options, trunk = names[what]
        folder = args.output_dir / what.replace(" ", "-").replace(",", "")
        shutil.rmtree(folder, ignore_errors=True)
        further = [args.pseudo] if what == SELF_TRAINING else []
        options = [*options, "--train", *args.train, *further, "--validation", args.validation]
        if trunk and args.init_from:
            options += ["--init_from", args.init_from]
        results = train(folder, options, args.steps)
        scores = {key: round(results[f"validation/{key}"], 4) for key in KEYS}
        rows.append({"what": what, **scores, "cpu_seconds": results["cpu_seconds"]})
        write_results("triples_ablation", {**setting, "rows": rows})
    write_results("triples_ablation", {**setting, "rows": rows})


if __name__ == "__main__":
    main()
