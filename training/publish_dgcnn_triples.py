"""Turn the finished run of a triple extraction into a published model: its Hub folder, its figures, its card.

    python training/publish_dgcnn_triples.py --name dgcnn-triples-zh --runs outputs/triples
    python benchmarks/triples_speed.py --validation DUIE2        # and the other benchmarks/triples_*.py
    python training/publish_dgcnn_triples.py --name dgcnn-triples-zh --runs outputs/triples \\
        --own_schema outputs/triples-plant --reader dgcnn-qa-zh-wide

`--runs` are the output folders of the training stages in order; the model of the last one is published. The first call
writes the model for the benchmarks; the last one writes the same model again, and the card with the tables of
benchmarks/results. `--own_schema` is a run on other data that the card quotes. `--reader` is the published reader
whose trunk the run started from; the card names it in place of the folder where it lay. `--continues` are the figures
of the card, model_cards/results/NAME.json, of the published model that the first run started from: its stages come
before the runs. `--fingerprints` is for a model with a prior whose training data may not be passed on.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import run_figures
import torch
from run_figures import CARDS, MEASURED
from safetensors.torch import load_file

from hf_kexue import DGCNNForTripleExtraction, DGCNNTokenizer, TripleExtractionPipeline
from hf_kexue.dgcnn.prior_dgcnn import fingerprinted
from hf_kexue.hub import export_repository
from hf_kexue.hub.repository import store_as_float16

KEYS = ("precision", "recall", "f1", "f1_of_crossed_thresholds", "f1_of_default_thresholds")
OPTIONS = (
    "sampling", "negatives", "all_occurrences", "swap_mentions", "max_characters", "zero_ids", "inverse", "symmetric",
)  # fmt: skip
SHAPES = {  # benchmark: title of its table, keys of its rows
    "plain_sentences": ("plain sentences", ("kind", "sentences", "triples", "found", "false")),
    "triples_against_bert": ("the same data and CPU time", ("model", "precision", "recall", "f1")),
    "triples_speed": ("encoder and decoding", ("model", "parameters", "sentences_per_second", "ours_over_this")),
    "triples_ablation": ("one part changed, short training", ("what", "precision", "recall", "f1")),
    "triples_data_size": ("less data, short training", ("sentences", "triples", "precision", "recall", "f1")),
}


def stage(run: Path, reader: str | None) -> dict[str, Any]:
    """One run as a stage of the training; `reader` is the published model whose trunk it started from."""
    results = run_figures.run_results(run, "sentences")
    what = "sentences with triples" + (", conditioned on memorised triples" if results["arguments"]["prior"] else "")
    if not results["steps"]:
        what = "memorised triples besides the network, without training"
    if results["arguments"].get("blend_with"):
        share = results["arguments"]["blend"]
        what = f"mean of the weights after ({share:g}) and before ({1 - share:g}) the last stage; {what}"
    found = run_figures.stage_figures(run, results, what, "sentences")
    if reader and results["arguments"]["init_from"]:
        donor = Path(results["arguments"]["init_from"])
        check_same_trunk(donor, CARDS / reader)
        found["command"] = started_from(found["command"], donor, f"model_cards/{reader}")
    return found | {"cpu_seconds": results["cpu_seconds"], "leaves": f"outputs/{run.name}/model"}


def started_from(command: str, donor: Path, place: str) -> str:
    """A command that starts from another place than the donor of the run."""
    return command.replace(f"--init_from {run_figures.model_place(donor)}", f"--init_from {place}")


def check_same_trunk(donor: Path, published: Path) -> None:
    """Raise if the run did not start from the weights of a published model."""
    if donor.resolve() == published.resolve():
        return
    if not (donor / "model.safetensors").is_file():
        raise ValueError(f"{donor}, which the run started from, is missing: it cannot be compared with {published}.")
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (donor, published))
    if ours.keys() != theirs.keys() or any(not torch.equal(ours[key], theirs[key]) for key in ours):
        raise ValueError(f"The run started from {donor}, whose weights are not those of {published}.")


def stages(runs: list[Path], reader: str | None, continued: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Stages of the model that the first run started from, and of the runs."""
    new_stages = [stage(run, reader) for run in runs]
    if not continued:
        return new_stages
    donor = Path(run_figures.run_results(runs[0])["arguments"]["init_from"])
    new_stages[0]["command"] = started_from(new_stages[0]["command"], donor, continued["stages"][-1]["leaves"])
    return continued["stages"] + new_stages


def tables(
    runs: list[dict[str, Any]],
    measured: dict[str, Any],
    own: dict[str, Any] | None,
    continued: dict[str, Any] | None,
) -> list[dict[str, Any]]:
    """The tables of the card, with those benchmarks that have been run.

    Args:
        runs: results of the runs, the published one last.
        measured, own, continued: as of `figures`.
    """
    results, number = runs[-1], len(continued["stages"]) if continued else 0
    scored = {"this model": {key: results[f"validation/{key}"] for key in KEYS}}
    for place, run in reversed([*enumerate(runs[:-1], number + 1)]):
        if "validation/f1" in run:
            scored[f"after stage {place}"] = {key: run[f"validation/{key}"] for key in KEYS}
    if continued:
        scored[f"after stage {number}"] = continued["validation"]
    rows = [[what, *(f"{row[key]:.4f}" for key in KEYS)] for what, row in scored.items()]
    scores = ("precision", "recall", "F1", "F1, thresholds of the other half", "F1, thresholds of the article")
    found = [run_figures.table([f"duie2, validation: {results['validation_sentences']} sentences", *scores], rows)]
    if own:
        what = f"another schema: {own['sentences']} training sentences, {own['predicates']} predicates"
        rows = [["this script, that file", *(f"{own[key]:.4f}" for key in KEYS[:4])]]
        found.append(run_figures.table([what, *scores[:4]], rows))
    for name, (title, keys) in SHAPES.items():
        if name in measured:
            columns = [f"{title}: {keys[0]}", *(key.replace("_", " ") for key in keys[1:])]
            found.append(run_figures.benchmark_table(measured[name], keys, columns))
    if "plain_sentences" in measured:
        keys = ("decoding", "triples", "found", "false", "false_among_mentioned_together")
        part = {**measured["plain_sentences"], "rows": measured["plain_sentences"]["decoding"]}
        columns = ["plain sentences: constraints of the decoding", *(key.replace("_", " ") for key in keys[1:])]
        found.append(run_figures.benchmark_table(part, keys, columns))
    by_predicate = results["validation/per_predicate"].items()
    rows = [[name, *(f"{row[key]:.2f}" for key in KEYS[:3]), row["gold"]] for name, row in by_predicate]
    return [*found, run_figures.table(["predicate", *scores[:3], "triples"], rows)]


def own_figures(run: Path) -> dict[str, Any]:
    """Figures of the card about a run on other data."""
    results = run_figures.run_results(run, "sentences")
    counts = {key: results[key] for key in ("sentences", "predicates", "validation_sentences")}
    return counts | {key: round(results[f"validation/{key}"], 4) for key in KEYS}


def figures(
    runs: list[Path],
    measured: dict[str, Any],
    own_schema: Path | None,
    reader: str | None,
    continued: dict[str, Any] | None,
) -> dict[str, Any]:
    """All figures of the card."""
    each = [run_figures.run_results(run, "sentences") for run in runs]
    last, trained_last = each[-1], next((run for run in reversed(each) if run["steps"]), None)
    if "validation/f1" not in last:
        raise ValueError(f"{runs[-1]} has no scores: run its training with --validation.")
    own = own_figures(own_schema) if own_schema else (continued or {}).get("own_schema")
    all_stages = stages(runs, reader, continued)
    scores = {key: round(last[f"validation/{key}"], 4) for key in KEYS}
    counts = {
        "parameters": last["parameters"],
        "of them not in embeddings": last["parameters_without_embeddings"],
        **{key: (trained_last or last)[key] for key in ("sentences", "triples", "predicates")},
    }
    minutes = sum(row["minutes"] for row in all_stages)
    trained = run_figures.training_rows(counts, trained_last or last, minutes, "transformers")
    headline = {name: scores[name.lower()] for name in ("Precision", "Recall", "F1")}
    quoted = ("parameters", "parameters_without_embeddings", "sentences", "triples", "predicates")
    return {
        **{key: last[key] for key in quoted},
        "training": continued["training"] if continued and trained_last is None else trained,
        "further_sentences": trained_last["sentences"] - last["sentences"] if trained_last else 0,
        "counted": "sentences",
        "stages": all_stages,
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
        "evaluation": run_figures.evaluation_rows(headline, "duie2"),
        "tables": tables(each, measured, own, continued),
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
        reader: published model that the run started from.
        measured: folder with the results of the benchmarks; those that are not there are left out.
        cards: the folder of all cards.
        continued: figures of the card of the published model that the first run started from.
        fingerprints: memorised triples of the prior as fingerprints, not as words.

    Returns:
        The model's folder.

    Raises:
        ValueError: no text for the card, no weights or more than 25 MB, a last run without scores, or one that began
            with another model than `reader`; nothing has been written then.
    """
    saved, folder = runs[-1] / "model", cards / name
    run_figures.require_text(cards, name)
    model, is_large = run_figures.load_model(DGCNNForTripleExtraction, saved)
    results = run_figures.benchmark_results(measured, SHAPES)
    found = figures(runs, results, own_schema, reader, continued)
    tokenizer = DGCNNTokenizer.from_pretrained(saved)
    found["known_triples"] = len(set(tokenizer.triple_prior or []))
    if fingerprints:
        tokenizer = DGCNNTokenizer.from_pretrained(saved, triple_prior=fingerprinted(tokenizer.triple_prior or []))
    shutil.rmtree(folder, ignore_errors=True)  # remove files of older versions
    export_repository(TripleExtractionPipeline(model=model, tokenizer=tokenizer), folder, with_code=False)
    if is_large:
        store_as_float16(folder)
    if (picture := measured / "triples_data_size.png").is_file() and "triples_data_size" in results:
        shutil.copy(picture, folder / "data_size.png")
    run_figures.write_card(cards, name, found)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--runs", required=True, nargs="+", type=Path)
    parser.add_argument("--own_schema", type=Path, help="output folder of a run on other data")
    parser.add_argument("--reader", help="name of the published reader that the run started from")
    parser.add_argument(
        "--continues", type=Path, help="figures of the card of the model that the first run started from"
    )
    parser.add_argument("--fingerprints", action="store_true", help="of memorised triples in place of their words")
    args = parser.parse_args()
    continued = json.loads(args.continues.read_text(encoding="utf-8")) if args.continues else None
    publish(
        args.name, args.runs, args.own_schema, args.reader, continued=continued, fingerprints=args.fingerprints
    )  # fmt: skip


if __name__ == "__main__":
    main()
