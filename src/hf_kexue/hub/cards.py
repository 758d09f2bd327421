"""Render model cards: `_template.md` with `results/<name>.json` and `texts/<name>.yaml` gives `<name>/README.md`.

    model_cards/
        _template.md            template of every card (jinja2)
        texts/<name>.yaml       written by hand: summary, snippet, limits, licence
        results/<name>.json     measured by commands: training run and evaluation
        <name>/README.md        the card, rendered; a test renders it again and compares

Optional keys of a text: pictures, remote_snippet (use without the package), training (a note on the commands),
chinese (summary, measure, limits and licence in Chinese). In the results, `counted` names what the stages count
("images" means `images_seen` in each stage), and a table holds its columns, its rows, and the command that measured
them or null.

    python -m hf_kexue.hub.cards model_cards
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.whole_files import write_whole


def card_metadata(title: str, metadata: dict[str, Any], evaluation: Sequence[dict[str, Any]]) -> Any:
    """The YAML head of a card as `huggingface_hub.ModelCardData`.

    Args:
        title: of the card.
        metadata: keys of the Hub: pipeline_tag (required), license, library_name, ...
        evaluation: rows with metric, value, dataset, and optionally split and type; the type defaults to the metric's
            name in lower case.
    """
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=metadata["pipeline_tag"],
            dataset_type=row["dataset"],
            dataset_name=row["dataset"],
            dataset_split=row.get("split"),
            metric_type=row.get("type") or row["metric"].lower().replace(" ", "_"),
            metric_name=row["metric"],
            metric_value=row["value"],
        )
        for row in evaluation
    ]
    metrics = list(dict.fromkeys(result.metric_type for result in results))
    return ModelCardData(model_name=title, eval_results=results or None, metrics=metrics or None, **metadata)


def render_card(folder: Path, name: str) -> str:
    """The card of one model as text.

    Args:
        folder: the `model_cards` folder.
        name: of the model.

    Raises:
        ValueError: if the template, the text or the results are missing, or the template uses a figure that the
            results lack.
    """
    import jinja2
    import yaml

    sources = [folder / "_template.md", folder / "texts" / f"{name}.yaml", folder / "results" / f"{name}.json"]
    for source in sources:
        if not source.is_file():
            raise ValueError(f"The card of {name} needs {source}, which does not exist.")
    template, text_file, results_file = (source.read_text(encoding="utf-8") for source in sources)
    text, results = yaml.safe_load(text_file), json.loads(results_file)

    class Missing(jinja2.StrictUndefined):
        def __format__(self, spec: str) -> str:
            return str(self)  # raises and names the missing figure; str.format would not name it

    environment = jinja2.Environment(undefined=Missing, keep_trailing_newline=True, trim_blocks=True)
    try:
        body = environment.from_string(template).render(name=name, text=text, results=results)
        # The texts may contain figures too.
        body = environment.from_string(body).render(name=name, text=text, results=results)
        head = card_metadata(text["title"], text["metadata"], results["evaluation"]).to_yaml()
    except (jinja2.UndefinedError, KeyError) as error:
        raise ValueError(f"The card of {name} needs a figure that its results lack: {error}.") from error
    return f"---\n{head}\n---\n\n{body}"


def write_cards(folder: Path) -> list[Path]:
    """Render the card of every model that has results; returns the files written."""
    written = []
    for results in sorted((folder / "results").glob("*.json")):
        card = folder / results.stem / "README.md"
        card.parent.mkdir(exist_ok=True)
        write_whole(card, render_card(folder, results.stem))
        written.append(card)
    return written


if __name__ == "__main__":
    for path in write_cards(Path(sys.argv[1] if len(sys.argv) > 1 else "model_cards")):
        print(path)
