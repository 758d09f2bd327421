"""Turn the finished run of a triple extraction into a published model: its Hub folder, its figures, its card.

    python training/publish_dgcnn_triples.py --name dgcnn-triples-zh --runs outputs/triples
    python benchmarks/triples_speed.py --validation DUIE2        # and the other benchmarks/triples_*.py
    python training/publish_dgcnn_triples.py --name dgcnn-triples-zh --runs outputs/triples \\
        --own_schema outputs/triples-plant --reader dgcnn-qa-zh-wide

`--runs` are the output folders of the training in their order; the last one's model is published. The first call gives
the benchmarks a model to measure; the last one writes the same model again, and the card with what they left in
benchmarks/results. `--own_schema` is the run on other data that the card tells of. `--reader` is the published reader
whose trunk the run began with; the card names it in place of the folder where it lay. `--continues` are the figures of
the card, model_cards/results/NAME.json, of the published model that the first run began with: its stages come before
the runs. `--fingerprints` is for a model with a prior whose training data may not be passed on.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from publish_dgcnn_qa import CARDS, command, load, model_place
from safetensors.torch import load_file

from hf_kexue import DGCNNForTripleExtraction, DGCNNTokenizer, TripleExtractionPipeline
from hf_kexue.dgcnn.prior_dgcnn import fingerprinted
from hf_kexue.hub import export_repository
from hf_kexue.hub.cards import write_cards
from hf_kexue.hub.repository import store_as_float16

MEASURED = CARDS.parent / "benchmarks" / "results"
BENCHMARKS = ("triples_speed", "triples_against_bert", "triples_ablation", "triples_data_size")
KEYS = ("precision", "recall", "f1", "f1_of_crossed_thresholds", "f1_of_default_thresholds")
OPTIONS = (
    "sampling", "negatives", "all_occurrences", "swap_mentions", "max_characters", "zero_ids", "inverse", "symmetric",
)  # fmt: skip


def stage(run: Path, reader: str | None) -> dict[str, Any]:
    """What the card tells of one run."""
    results = json.loads((run / "results.json").read_text())
    if "sentences_seen" not in results:
        raise ValueError(f"{run} is no run of train_dgcnn_triples.py.")
    told = command(run, results)
    if reader and results["arguments"]["init_from"]:
        donor = Path(results["arguments"]["init_from"])
        check_same_trunk(donor, CARDS / reader)
        told = told.replace(f"--init_from {model_place(donor)}", f"--init_from model_cards/{reader}")
    what = "sentences with triples" + (", known triples heard" if results["arguments"]["prior"] else "")
    return {
        "what": what if results["steps"] else "known triples beside the network, without training",
        "command": told,
        "sentences_seen": results["sentences_seen"],
        "steps": results["steps"],
        "minutes": round(results["seconds"] / 60),
        "cpu_seconds": results["cpu_seconds"],
        "leaves": f"outputs/{run.name}/model",
    }


def check_same_trunk(donor: Path, published: Path) -> None:
    """Refuse to name a published model that the run did not begin with."""
    if donor.resolve() == published.resolve():
        return
    if not (donor / "model.safetensors").is_file():
        raise ValueError(f"{donor}, which the run began with, is gone: it cannot be compared with {published}.")
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (donor, published))
    if ours.keys() != theirs.keys() or any(not torch.equal(ours[key], theirs[key]) for key in ours):
        raise ValueError(f"The run began with {donor}, whose weights are not those of {published}.")


def stages(runs: list[Path], reader: str | None, continued: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Of the model that the first run began with, and of the runs."""
    found = [stage(run, reader) for run in runs]
    if not continued:
        return found
    donor = Path(json.loads((runs[0] / "results.json").read_text())["arguments"]["init_from"])
    told, left = (f"--init_from {place}" for place in (model_place(donor), continued["stages"][-1]["leaves"]))
    found[0]["command"] = found[0]["command"].replace(told, left)
    return continued["stages"] + found


def tables(
    results: dict[str, Any],
    measured: dict[str, Any],
    own: dict[str, Any] | None,
    continued: dict[str, Any] | None,
) -> list[dict[str, Any]]:
    """The tables of the card; of the benchmarks those that have been run."""
    rows = [["this model", *(f"{results[f'validation/{key}']:.4f}" for key in KEYS)]]
    if continued:
        number = len(continued["stages"])
        rows.append([f"after stage {number}", *(f"{continued['validation'][key]:.4f}" for key in KEYS)])
    found: list[dict[str, Any]] = [
        {
            "columns": [
                f"duie2, validation: {results['validation_sentences']} sentences", "precision", "recall", "F1",
                "F1, thresholds of the other half", "F1, thresholds of the article",
            ],
            "rows": rows,
            "command": None,
        }
    ]  # fmt: skip
    if own:
        what = f"another schema: {own['sentences']} training sentences, {own['predicates']} predicates"
        rows = [["this script, that file", *(f"{own[key]:.4f}" for key in KEYS[:4])]]
        found.append({"columns": [what, "precision", "recall", "F1", "F1, thresholds of the other half"],
                      "rows": rows, "command": None})  # fmt: skip
    shapes = {
        "triples_against_bert": ("the same data and CPU time", ("model", "precision", "recall", "f1")),
        "triples_speed": (
            "encoder and decoding", ("model", "parameters", "sentences_per_second", "ours_over_this"),
        ),
        "triples_ablation": ("one part changed, short training", ("what", "precision", "recall", "f1")),
        "triples_data_size": ("less data, short training", ("sentences", "triples", "precision", "recall", "f1")),
    }  # fmt: skip
    for name, (title, keys) in shapes.items():
        if name in measured:
            columns = [f"{title}: {keys[0]}", *(key.replace("_", " ") for key in keys[1:])]
            rows = [[row[key] for key in keys] for row in measured[name]["rows"]]
            told = f"python benchmarks/{measured[name]['environment']['command']}"
            found.append({"columns": columns, "rows": rows, "command": told})
    rows = [
        [name, *(f"{row[key]:.2f}" for key in KEYS[:3]), row["gold"]]
        for name, row in results["validation/per_predicate"].items()
    ]
    found.append({"columns": ["predicate", "precision", "recall", "F1", "triples"], "rows": rows, "command": None})
    return found


def own_figures(run: Path) -> dict[str, Any]:
    """What the card tells of a run on other data."""
    results = json.loads((run / "results.json").read_text())
    return {
        "sentences": results["sentences"],
        "predicates": results["predicates"],
        "validation_sentences": results["validation_sentences"],
        **{key: round(results[f"validation/{key}"], 4) for key in KEYS},
    }


def figures(
    runs: list[Path],
    measured: dict[str, Any],
    own_schema: Path | None,
    reader: str | None,
    continued: dict[str, Any] | None,
) -> dict[str, Any]:
    """Everything that the card quotes."""
    last = json.loads((runs[-1] / "results.json").read_text())
    if "validation/f1" not in last:
        raise ValueError(f"{runs[-1]} has no scores: run its training with --validation.")
    own = own_figures(own_schema) if own_schema else (continued or {}).get("own_schema")
    told = stages(runs, reader, continued)
    environment, threads = last["environment"], last["environment"]["threads"]
    scores = {key: round(last[f"validation/{key}"], 4) for key in KEYS}
    versions = ", ".join(f"{name} {environment[name]}" for name in ("torch", "transformers", "accelerate"))
    dataset = {"dataset": "duie2", "split": "validation"}
    trained = [
        {"what": "parameters", "value": last["parameters"]},
        {"what": "of them not in embeddings", "value": last["parameters_without_embeddings"]},
        {"what": "sentences", "value": last["sentences"]},
        {"what": "triples", "value": last["triples"]},
        {"what": "predicates", "value": last["predicates"]},
        {"what": "device", "value": environment["device"] + (f", threads: {threads}" if threads else "")},
        {"what": "precision", "value": "float32" if last["precision"] == "no" else last["precision"]},
        {"what": "minutes in training steps", "value": sum(row["minutes"] for row in told)},
        {"what": "seed", "value": last["arguments"]["seed"]},
        {"what": "versions", "value": versions},
    ]
    return {
        "parameters": last["parameters"],
        "parameters_without_embeddings": last["parameters_without_embeddings"],
        "sentences": last["sentences"],
        "triples": last["triples"],
        "predicates": last["predicates"],
        "training": continued["training"] if continued and not last["steps"] else trained,
        "counted": "sentences",
        "stages": told,
        "reader": reader,
        "hears_known": last["arguments"]["prior"],
        "finds_known": last["arguments"]["find_known"],
        "known_share": last.get("validation/known_share"),
        "data_options": {key: last["arguments"][key] for key in OPTIONS},
        "thresholds": last["thresholds"],
        "validation": {**scores, "sentences": last["validation_sentences"]},
        "per_predicate": last["validation/per_predicate"],
        "own_schema": own,
        "measured": measured,
        "evaluation": [
            {"metric": name, "value": scores[name.lower()], **dataset} for name in ("Precision", "Recall", "F1")
        ],
        "tables": tables(last, measured, own, continued),
    }


def publish(
    name: str,
    runs: list[Path],
    own_schema: Path | None = None,
    reader: str | None = None,
    measured: Path = MEASURED,
    cards: Path = CARDS,
    continued: dict[str, Any] | None = None,
    fingerprints: bool = False,
) -> Path:
    """Write folder, figures and card of a model.

    Args:
        name: of the model; `texts/<name>.yaml` of the cards must be there.
        runs: output folders of the training in their order.
        own_schema: output folder of a run on other data.
        reader: published model that the run began with.
        measured: folder with the results of the benchmarks; those that are not there are left out.
        cards: the folder of all cards.
        continued: figures of the card of the published model that the first run began with.
        fingerprints: known triples of the prior as fingerprints, not as words.

    Returns:
        The model's folder.

    Raises:
        ValueError: no text for the card, no weights or more than 25 MB, a last run without scores, or one that began
            with another model than `reader`; nothing has been written then.
    """
    saved, folder = runs[-1] / "model", cards / name
    if not (text := cards / "texts" / f"{name}.yaml").is_file():
        raise ValueError(f"There is no {text}: write what the card of {name} says first.")
    model, is_large = load(DGCNNForTripleExtraction, saved)
    paths = {benchmark: measured / f"{benchmark}.json" for benchmark in BENCHMARKS}
    results = {benchmark: json.loads(path.read_text()) for benchmark, path in paths.items() if path.is_file()}
    found = figures(runs, results, own_schema, reader, continued)
    tokenizer = DGCNNTokenizer.from_pretrained(saved)
    found["known_triples"] = len(set(tokenizer.triple_prior or []))
    if fingerprints:
        tokenizer = DGCNNTokenizer.from_pretrained(saved, triple_prior=fingerprinted(tokenizer.triple_prior or []))
    shutil.rmtree(folder, ignore_errors=True)  # no file of an older version stays
    export_repository(TripleExtractionPipeline(model=model, tokenizer=tokenizer), folder, with_code=False)
    if is_large:
        store_as_float16(folder)
    if (picture := measured / "triples_data_size.png").is_file() and "triples_data_size" in results:
        shutil.copy(picture, folder / "data_size.png")
    path = cards / "results" / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(*write_cards(cards), sep="\n")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--runs", required=True, nargs="+", type=Path)
    parser.add_argument("--own_schema", type=Path, help="output folder of a run on other data")
    parser.add_argument("--reader", help="name of the published reader that the run began with")
    parser.add_argument(
        "--continues", type=Path, help="figures of the card of the model that the first run began with"
    )
    parser.add_argument("--fingerprints", action="store_true", help="of known triples in place of their words")
    args = parser.parse_args()
    continued = json.loads(args.continues.read_text()) if args.continues else None
    publish(
        args.name, args.runs, args.own_schema, args.reader, continued=continued, fingerprints=args.fingerprints
    )  # fmt: skip


if __name__ == "__main__":
    main()
