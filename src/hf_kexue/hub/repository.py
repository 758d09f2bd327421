"""Export models as Hub repositories that load with and without the package, and publish them.

    export_repository(ReadingComprehensionPipeline(model=model, tokenizer=tokenizer), "my-reader")
    export_repository(SimpleDiffusionPipeline(unet, scheduler), "my-images")
    publish("my-images", "user/my-images")

    config.json or model_index.json    configuration, with the classes and files behind `Auto*` and pipelines
    *.safetensors                      weights; a diffusers pipeline has a folder for each component
    tokenizer.json, ...                tokenizer of a transformers pipeline
    *.py                               code of the classes; `publish` adds it where the folder lacks it

After `import hf_kexue` the package's own classes load such a folder and its code is ignored. Without the package
`from_pretrained`, `pipeline` and `DiffusionPipeline` use the code in the folder, given `trust_remote_code=True`.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .checks import check_repository
from .remote_code import is_saved_model, missing_code, refresh_code

REPLACED = (
    "*.safetensors",
    "*.onnx",
    "*.json",
    "*.py",
)  # deleted from a repository when the folder no longer has them


def export_repository(source: Any, folder: str | Path, *, with_code: bool = True) -> Path:
    """Export a pipeline or a model as a Hub repository, with the code that loads it without the package.

    Without the package a transformers pipeline loads by its task, `pipeline("question-answering", model=folder,
    trust_remote_code=True)` or `"triple-extraction"`; a diffusers pipeline by
    `DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)`. Files are written to a temporary folder first,
    so a failed export leaves the folder as it was.

    Args:
        source: `transformers.Pipeline` with a model of this package, a `PreTrainedModel` of this package, or one of
            its diffusers pipelines.
        folder: target, created if needed. Files of the same names are overwritten, others stay.
        with_code: write the code files; if not, the configurations still name them, and `publish` adds them.

    Returns:
        The folder.

    Raises:
        TypeError: for another object.
        ValueError: for a model class that is not registered with an `Auto` class, a pipeline whose model has no task,
            a pipeline of another package, or a folder that is a file.
    """
    from diffusers import DiffusionPipeline
    from transformers import Pipeline, PreTrainedModel

    folder = Path(folder)
    if folder.is_file():
        raise ValueError(f"folder must be a folder, and {folder} is a file.")
    if isinstance(source, DiffusionPipeline):
        from .diffusers import save_with_code as save
    elif isinstance(source, Pipeline | PreTrainedModel):
        from .transformers import save_with_code as save
    else:
        raise TypeError(f"source must be a pipeline or a model of transformers, got {type(source).__name__}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as beside:
        written = Path(beside) / folder.name
        save(source, written)
        for path in sorted(written.rglob("*")):
            target = folder / path.relative_to(written)
            if path.is_file() and (with_code or path.suffix != ".py"):
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
    return folder


def build_repository(folder: str | Path, output: str | Path) -> Path:
    """Copy a saved model and add the code that its configurations name.

    Args:
        folder: of a saved model, with or without its code.
        output: target; a saved model that is there is replaced.

    Returns:
        The output folder.

    Raises:
        ValueError: for a folder that cannot be published (see `check_repository`), or an output within it.
    """
    folder, output = Path(folder), Path(output)
    paths = check_repository(folder)
    if output.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(output.resolve()):
        raise ValueError(f"The output must lie outside {folder} and not contain it, got {output}.")
    if output.exists() and not (output.is_dir() and (is_saved_model(output) or not any(output.iterdir()))):
        raise ValueError(
            f"{output} exists and holds no saved model, so it is not replaced: remove it, or choose another output."
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=output.parent) as beside:
        built = Path(beside) / output.name
        for path in paths:
            (built / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / path, built / path)
        refresh_code(built)
        if output.exists():
            shutil.rmtree(output)
        os.replace(built, output)
    return output


def store_as_float16(folder: str | Path) -> None:
    """Store the weights of an exported repository as float16. They still load as float32: transformers reads the dtype
    from the configuration, and float32 is the default of diffusers.

    Args:
        folder: written by `export_repository`.
    """
    from safetensors.torch import load_file, save_file

    for path in sorted(Path(folder).rglob("*.safetensors")):
        tensors = {key: value.half() if value.is_floating_point() else value for key, value in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})


def publish(folder: str | Path, repo_id: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload a folder to the Hub, as one commit.

    The folder is checked first. Large files are uploaded before the commit, with a progress bar; an interrupted upload
    leaves the repository as it was, and the same call again sends only what is missing. Code that the configurations
    name and the folder lacks is added from this package. Weights, configurations and code that the folder no longer
    holds are deleted in the same commit; other files stay. In the card, `model_cards/<name of the folder>` and
    `outputs/models/<name of the folder>` become `repo_id`.

    Args:
        folder: written by `export_repository` or `save_pretrained`, with or without a card (README.md).
        repo_id: `"user/name"`, or `"name"` for the user of the token; created if needed.
        private: make it private; a repository that exists must be private already.
        revision: branch, created from the main one if needed. Default: the main one.

    Returns:
        The address of the commit.

    Raises:
        ValueError: if the folder fails `hub.checks.check_repository`, the id is invalid, or `private` is asked for an
            existing public repository.
        PermissionError: if the token is missing or may not write there.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import filter_repo_objects

    folder, paths = Path(folder), check_repository(folder)
    reserve(repo_id, private=private)
    api = HfApi()
    if "/" not in repo_id:
        repo_id = f"{api.whoami()['name']}/{repo_id}"
    added: list[Any] = []
    for path in paths:
        content: Any = folder / path
        if path == Path("README.md"):
            content = card_on_the_hub(content.read_text(encoding="utf-8"), folder.resolve().name, repo_id).encode()
        added.append(CommitOperationAdd(path_in_repo=path.as_posix(), path_or_fileobj=content))
    code = {path.as_posix(): source.encode() for path, source in missing_code(folder).items()}
    added += [CommitOperationAdd(path_in_repo=path, path_or_fileobj=source) for path, source in code.items()]
    try:
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        remote = filter_repo_objects(api.list_repo_files(repo_id, revision=revision), allow_patterns=list(REPLACED))
        deleted = sorted(set(remote) - {path.as_posix() for path in paths} - code.keys())
        # Not upload_folder: with Xet installed it splits a folder into several commits.
        commit = api.create_commit(
            repo_id,
            [*added, *(CommitOperationDelete(path_in_repo=path, is_folder=False) for path in deleted)],
            commit_message=f"Publish {folder.resolve().name}",
            revision=revision,
        )
    except HfHubHTTPError as error:
        raise _refused(error, repo_id) from error
    return commit.commit_url


def card_on_the_hub(card: str, name: str, repo_id: str) -> str:
    """Replace the paths of a checkout in a card by the repository id.

    Args:
        card: text of README.md in a checkout.
        name: of the model's folder there.
        repo_id: replaces its paths; those of other models, such as `model_cards/<name>-wide`, stay.
    """
    return re.sub(rf"(?<![\w./-])(?:model_cards|outputs/models)/{re.escape(name)}(?![\w-])", repo_id, card)


def reserve(repo_id: str, *, private: bool = False) -> None:
    """Create a repository if needed, so that a wrong name or token shows before the work and not after it.

    Args:
        repo_id: `"user/name"`, or `"name"` for the user of the token.
        private: make it private.

    Raises:
        ValueError: if the id is invalid, or `private` is asked for an existing public repository.
        PermissionError: if the token is missing or may not write there.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        made = api.create_repo(repo_id, private=private, exist_ok=True)
        if private and not api.repo_info(made.repo_id).private:
            raise ValueError(f"{made.repo_id} exists and is public: choose another name, or make it private first.")
    except HfHubHTTPError as error:
        raise _refused(error, repo_id) from error


def _refused(error: Any, repo_id: str) -> Exception:
    """A `PermissionError` for a refused token; any other error unchanged."""
    if error.response is not None and error.response.status_code in (401, 403):
        return PermissionError(
            f"The Hub does not let you write to {repo_id} ({error.server_message or 'no reason given'}): log in "
            "with `hf auth login`, or set HF_TOKEN."
        )
    return error
