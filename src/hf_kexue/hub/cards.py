"""Model cards from figures: `results/<name>.json` and `texts/<name>.yaml` through `_template.md` give
`<name>/README.md`.

    model_cards/
        _template.md            the frame of every card (jinja2)
        texts/<name>.yaml       what a person wrote: summary, snippet, limits, licence
        results/<name>.json     what commands measured: training run and evaluation
        <name>/README.md        the card, rendered; a test renders it again and compares

What a text may leave out: pictures, remote_snippet (use without the package), training (a word on the commands),
chinese (summary, measure, limits and licence once more). Results say what their stages count (`counted`: "images",
with `images_seen` in each stage) and bring their tables whole: columns, rows, and the command behind them or null.

    python -m hf_kexue.hub.cards model_cards
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def card_metadata(title: str, metadata: dict[str, Any], evaluation: Sequence[dict[str, Any]]) -> Any:
    """The YAML head of a card as `huggingface_hub.ModelCardData`.

    Args:
        title: of the card.
        metadata: keys of the Hub: pipeline_tag, and license, library_name, ... as far as there are any.
        evaluation: rows with metric, value, dataset, and split where the data set has several; `type`, where the
            metric's type is not its name in small letters.
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
        ValueError: if the template, the text or the results are missing, or the template names a figure that is not
            there.
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
            return str(self)  # raises, and names what is missing; str.format would only say that it cannot

    environment = jinja2.Environment(undefined=Missing, keep_trailing_newline=True, trim_blocks=True)
    try:
        body = environment.from_string(template).render(name=name, text=text, results=results)
        # The texts may quote figures too.
        body = environment.from_string(body).render(name=name, text=text, results=results)
        head = card_metadata(text["title"], text["metadata"], results["evaluation"]).to_yaml()
    except (jinja2.UndefinedError, KeyError) as error:
        raise ValueError(f"The card of {name} needs a figure that its results do not hold: {error}.") from error
    return f"---\n{head}\n---\n\n{body}"


def write_cards(folder: Path) -> list[Path]:
    """Render the card of every model that has results; returns the files written."""
    written = []
    for results in sorted((folder / "results").glob("*.json")):
        card = folder / results.stem / "README.md"
        card.parent.mkdir(exist_ok=True)
        card.write_text(render_card(folder, results.stem), encoding="utf-8")
        written.append(card)
    return written


if __name__ == "__main__":
    for path in write_cards(Path(sys.argv[1] if len(sys.argv) > 1 else "model_cards")):
        print(path)
