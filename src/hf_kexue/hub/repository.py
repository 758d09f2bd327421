"""A model as a Hub repository: a folder that works with the package and without it, and its way to the Hub.

    export_repository(ReadingComprehensionPipeline(model=model, tokenizer=tokenizer), "my-reader")
    export_repository(SimpleDiffusionPipeline(unet, scheduler), "my-images")
    publish("my-images", "user/my-images")

    config.json or model_index.json    configuration; which class in which file stands behind `Auto*` and pipelines
    *.safetensors                      weights, of a diffusers pipeline in a folder for each component
    tokenizer.json, ...                of a pipeline of transformers: its tokenizer
    *.py                               the code of the classes; `publish` adds it where the folder lacks it

With `import hf_kexue` its own classes load such a folder, and the code in it is not looked at. Elsewhere
`from_pretrained`, `pipeline` and `DiffusionPipeline` take the code in the folder, if `trust_remote_code=True` allows
it.
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

REPLACED = ("*.safetensors", "*.json", "*.py")  # what a repository no longer has when the folder no longer has it


def export_repository(source: Any, folder: str | Path, *, with_code: bool = True) -> Path:
    """Write a pipeline or a model as a Hub repository, with the code that loads it where the package is not installed.

    A pipeline of transformers is found there under the name of its task: `pipeline("question-answering", model=folder,
    trust_remote_code=True)` for a reader, `"triple-extraction"` for a model that extracts triples; one of diffusers by
    `DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)`. All is written beside the folder first: when
    that fails, what the folder held before is still whole.

    Args:
        source: `transformers.Pipeline` with a model of this package, a `PreTrainedModel` of this package, or one of
            its diffusers pipelines.
        folder: where to; made if it is not there. Files of the same names are overwritten, others stay.
        with_code: without, the configurations name the code all the same, and `publish` adds it.

    Returns:
        The folder.

    Raises:
        TypeError: for anything else.
        ValueError: for a model of a class that no `Auto` class of transformers knows, a pipeline around a model
            without a task, a pipeline that is none of this package, or a folder that is a file.
    """
    from diffusers import DiffusionPipeline
    from transformers import Pipeline, PreTrainedModel

    folder = Path(folder)
    if folder.is_file():
        raise ValueError(f"A repository is a folder, and {folder} is a file.")
    if isinstance(source, DiffusionPipeline):
        from .diffusers import save_with_code as save
    elif isinstance(source, Pipeline | PreTrainedModel):
        from .transformers import save_with_code as save
    else:
        raise TypeError(f"A repository is made of a pipeline or a model of transformers, got {type(source).__name__}.")
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
    """Copy a saved model and write the code beside it that its configurations name, as the package has it.

    Args:
        folder: of a saved model, without its code or with it.
        output: where to; what was there is replaced.

    Returns:
        The output folder.

    Raises:
        ValueError: for a folder that cannot be published (see `check_repository`), or an output within it.
    """
    folder, output = Path(folder), Path(output)
    paths = check_repository(folder)
    if output.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(output.resolve()):
        raise ValueError(f"The copy of {folder} cannot lie in it or around it, got {output}.")
    if output.exists() and not (output.is_dir() and (is_saved_model(output) or not any(output.iterdir()))):
        raise ValueError(
            f"{output} is there and holds no saved model: it is not replaced. Remove it, or name another."
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
    """Store the weights of an exported repository in half the bytes. They load as float32 still: a configuration of
    transformers says so, and diffusers takes that for granted.

    Args:
        folder: as `export_repository` left it.
    """
    from safetensors.torch import load_file, save_file

    for path in sorted(Path(folder).rglob("*.safetensors")):
        tensors = {key: value.half() if value.is_floating_point() else value for key, value in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})


def publish(folder: str | Path, repo_id: str, *, private: bool = False, revision: str | None = None) -> str:
    """Put a folder onto the Hub, as one commit.

    The folder is looked through first, and what cannot be loaded is not sent. Large files go up before the commit,
    with a progress bar; a publication that is cut off at any point leaves the repository as it was, and the same call
    again sends only what is missing. Code that the configurations name and the folder does not hold is added from this
    package. Weights, configurations and code that the folder no longer holds leave the repository with the same
    commit; other files stay. A card that speaks of `model_cards/<name of the folder>` or `outputs/models/<name of the
    folder>` speaks of `repo_id` on the Hub.

    Args:
        folder: as `export_repository` or `save_pretrained` leave it, with or without a card (README.md).
        repo_id: `"user/name"`, or a name alone for the user of the token; made if it is not there.
        private: whether only its owner sees it. One that is there already must be private then.
        revision: branch; made from the main one if it is not there. Default: the main one.

    Returns:
        The address of the commit.

    Raises:
        ValueError: if the folder is no repository (see `hub.checks.check_repository`), the id cannot be one, or the
            repository is public and shall be private.
        PermissionError: if the Hub does not know the token or does not let it write there.
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
        there = filter_repo_objects(api.list_repo_files(repo_id, revision=revision), allow_patterns=list(REPLACED))
        gone = sorted(set(there) - {path.as_posix() for path in paths} - code.keys())
        # Not upload_folder: where Xet is installed, it commits a folder in several parts.
        commit = api.create_commit(
            repo_id,
            [*added, *(CommitOperationDelete(path_in_repo=path, is_folder=False) for path in gone)],
            commit_message=f"Publish {folder.resolve().name}",
            revision=revision,
        )
    except HfHubHTTPError as error:
        raise _refused(error, repo_id) from error
    return commit.commit_url


def card_on_the_hub(card: str, name: str, repo_id: str) -> str:
    """A card as it reads on the Hub.

    Args:
        card: text of README.md in a checkout.
        name: of the model's folder there.
        repo_id: what stands in place of its paths; `model_cards/<name>-wide` is another model's, and stays.
    """
    return re.sub(rf"(?<![\w./-])(?:model_cards|outputs/models)/{re.escape(name)}(?![\w-])", repo_id, card)


def reserve(repo_id: str, *, private: bool = False) -> None:
    """Make a repository where there is none, so that a refusal comes before the work and not after it.

    Args:
        repo_id: `"user/name"`, or a name alone for the user of the token.
        private: whether only its owner sees it.

    Raises:
        ValueError: if the id cannot be one, or the repository is there, public, and shall be private.
        PermissionError: if the Hub does not know the token or does not let it write there.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi()
    try:
        made = api.create_repo(repo_id, private=private, exist_ok=True)
        if private and not api.repo_info(made.repo_id).private:
            raise ValueError(
                f"{made.repo_id} is there already and public: choose another name, or make it private first."
            )
    except HfHubHTTPError as error:
        raise _refused(error, repo_id) from error


def _refused(error: Any, repo_id: str) -> Exception:
    """A refusal as a sentence; any other trouble of the connection as it is."""
    if error.response is not None and error.response.status_code in (401, 403):
        return PermissionError(
            f"The Hub does not let you write to {repo_id} ({error.server_message or 'it does not say why'}): log in "
            "with `hf auth login`, or set HF_TOKEN."
        )
    return error
