"""The card of a run that nobody has written about yet: what it was, what it measured, how to use what came of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from .cards import card_metadata
from .transformers import TASK, auto_class_of

CARD = """# {title}

Trained by `{script}` of hf_kexue and published as it was at the end of the run. Nobody has looked at it yet: what it
is for, its limits, and the licences of weights and data are for you to write here.

## Use

```python
{snippet}```

Where hf_kexue is not installed, the code in this repository serves; read it before you trust it:

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
IMAGES = """pipe = {name}.from_pretrained("{repo_id}"{options})
pipe().images[0].save("sample.png")
"""
TEXTS = """pipe = pipeline("{task}", model="{repo_id}"{options})
print(pipe({call}))
"""
CALLS = {
    "question-answering": 'question="镭由谁发现？", context="1898年，居里夫妇发现了镭。"',
    "triple-extraction": '"1898年，居里夫妇发现了镭。"',
}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
REMOTE = ", trust_remote_code=True"


def run_card(pipeline: Any, repo_id: str, results: dict[str, Any]) -> str:
    """The card as text.

    Args:
        pipeline: of diffusers or transformers, of this package.
        repo_id: where it will lie.
        results: what the script writes to results.json: `arguments`, `environment`, and figures.
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
    told = {key: value for key, value in numbers.items() if key not in figures}
    told |= {key: environment[key] for key in ("device", "torch", "diffusers", "transformers", "accelerate")}
    script = environment["command"].split(" ")[0]
    body = CARD.format(
        title=title,
        script=script,
        snippet=snippet,
        remote_snippet=remote_snippet,
        command=f"accelerate launch training/{environment['command']}",
        training=_table(told | {"seed": arguments["seed"], "precision": results["precision"]}),
        figures=_table(figures) if figures else "None: the run measured nothing on validation data.",
    )
    return f"---\n{head.to_yaml()}\n---\n\n{body}"


def usage(pipeline: Any, repo_id: str) -> tuple[str, str, str, str]:
    """Library, task of the Hub, and the lines that use the pipeline from there: with the package, and without it."""
    name = type(pipeline).__name__
    if hasattr(pipeline, "components"):  # of diffusers
        own = f"from hf_kexue import {name}\n\n" + IMAGES.format(name=name, repo_id=repo_id, options="")
        remote = IMAGES.format(name="DiffusionPipeline", repo_id=repo_id, options=REMOTE)
        remote = f"from diffusers import DiffusionPipeline\n\n{remote}"
        return "diffusers", "unconditional-image-generation", own, remote
    task = TASK[auto_class_of(pipeline.model).__name__]
    head = "from transformers import pipeline\n\n"
    own = TEXTS.format(task=f"kexue-{task}", repo_id=repo_id, options="", call=CALLS[task])
    remote = TEXTS.format(task=task, repo_id=repo_id, options=REMOTE, call=CALLS[task])
    tag = task if task == "question-answering" else "token-classification"
    return "transformers", tag, f"import hf_kexue\n{head}{own}", f"{head}{remote}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _table(rows: dict[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])
