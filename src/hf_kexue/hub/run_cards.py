"""Generate a model card from the results of a run: its command, its figures, and snippets that use the model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..inference.kinds import kind_of
from .cards import card_metadata

CARD = """# {title}

Trained by `{script}` of hf_kexue and published at the end of the run. This card was generated: describe the intended
use, the limits, and the licences of weights and data here.

## Use

```python
{snippet}```

Without hf_kexue installed, use the code in this repository; read it before you trust it:

```python
{remote_snippet}```

## Training

```bash
{command}
```

{training}

## Evaluation

{figures}
"""
OF_DIFFUSERS = """from {module} import {name}

pipe = {name}.from_pretrained("{repo_id}"{options})
{call}
"""
OF_TRANSFORMERS = """{first}from transformers import pipeline

pipe = pipeline("{task}", model="{repo_id}"{options})
print({call})
"""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
REMOTE = ", trust_remote_code=True"


def run_card(pipeline: Any, repo_id: str, results: dict[str, Any]) -> str:
    """The card as text.

    Args:
        pipeline: diffusers or transformers pipeline of this package.
        repo_id: target repository.
        results: content of the run's results.json: `arguments`, `environment`, and figures.
    """
    library, task, snippet, remote_snippet = usage(pipeline, repo_id)
    arguments, environment = results["arguments"], results["environment"]
    sources = [arguments["dataset"]] if "dataset" in arguments else arguments["train"]
    data = ", ".join(str(source).rstrip("/").rpartition("/")[2] for source in sources)
    numbers = {key: value for key, value in results.items() if _is_number(value)}
    figures = {key: numbers[key] for key in numbers if key.startswith(("validation/", "validation_loss", "kid"))}
    evaluation = [
        {
            "metric": key,
            "type": key.removeprefix("validation/"),
            "value": value,
            "dataset": data,
            "split": "validation",
        }
        for key, value in figures.items()
        if "/" not in key.removeprefix("validation/") and not key.endswith("standard_error")
    ]
    title = repo_id.rpartition("/")[2]
    metadata = {
        "library_name": library,
        "pipeline_tag": task,
        "license": arguments.get("hub_license"),
        "datasets": [source for source in sources if HUB_ID.fullmatch(source) and not Path(source).exists()] or None,
        "language": "zh" if library == "transformers" else None,
        "tags": ["kexue", library],
    }
    head = card_metadata(title, metadata, evaluation)
    training = {key: value for key, value in numbers.items() if key not in figures}
    training |= {key: environment[key] for key in ("device", "torch", "diffusers", "transformers", "accelerate")}
    script = environment["command"].split(" ")[0]
    body = CARD.format(
        title=title,
        script=script,
        snippet=snippet,
        remote_snippet=remote_snippet,
        command=f"accelerate launch training/{environment['command']}",
        training=_table(training | {"seed": arguments["seed"], "precision": results["precision"]}),
        figures=_table(figures) if figures else "None: the run had no validation data.",
    )
    return f"---\n{head.to_yaml()}\n---\n\n{body}"


def usage(pipeline: Any, repo_id: str) -> tuple[str, str, str, str]:
    """Library, task on the Hub, and the snippets that use the pipeline with and without the package."""
    kind = kind_of(pipeline)
    if kind.library == "transformers":
        values = {"repo_id": repo_id, "call": kind.call}
        local = OF_TRANSFORMERS.format(first="import hf_kexue\n", task=f"kexue-{kind.task}", options="", **values)
        remote = OF_TRANSFORMERS.format(first="", task=kind.task, options=REMOTE, **values)
        return kind.library, kind.tag, local, remote
    names = ("hf_kexue", kind.class_name, ""), ("diffusers", "DiffusionPipeline", REMOTE)
    local, remote = (
        OF_DIFFUSERS.format(module=module, name=name, repo_id=repo_id, options=options, call=kind.call)
        for module, name, options in names
    )
    return kind.library, kind.tag, local, remote


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _table(rows: dict[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])
