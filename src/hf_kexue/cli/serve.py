"""`hf-kexue serve`: an HTTP service for saved models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..inference.kinds import READER, TRIPLES
from ..inference.saved_models import saved_kind
from .options import MODEL_HELP, Device, Dtype


def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help=MODEL_HELP.format("saved models, one of each kind at most"))
    ],
    index: Annotated[Path | None, typer.Option(help="Collection for questions without a text.")] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 for other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8000,
    seconds: Annotated[float, typer.Option(help="Until an answer; then 504.")] = 60.0,
    characters: Annotated[int, typer.Option(min=1, help="Of the texts of a request.")] = 200_000,
    body: Annotated[int, typer.Option(min=1, help="Bytes of a request; more: 413.")] = 2_000_000,
    waiting: Annotated[int, typer.Option(min=1, help="Requests of each kind that wait; more: 503.")] = 256,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Serve readers at /ask, models for triples at /extract and image pipelines at /generate, over HTTP.

    Requests that come together share a batch. /docs describes the service, /health says whether it runs.
    """
    chosen: dict[str, str] = {}
    kinds = {}
    for model in models:
        kind = saved_kind(model)
        name = "reader" if kind is READER else "triples" if kind is TRIPLES else "images"
        if name in chosen:
            raise ValueError(f"{chosen[name]} and {model} would serve the same route: give one of them.")
        chosen[name], kinds[name] = model, kind
    from ..serve import Limits, create_app

    limits = Limits(body=body, characters=characters, seconds=seconds, waiting=waiting)
    collection = None
    if index is not None:
        from ..collections import PassageCollection

        collection = PassageCollection.load(index)
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError('The service needs uvicorn: `pip install "hf-kexue[serve]"`.') from error
    app = create_app({name: kinds[name].load(chosen[name], device, dtype) for name in chosen}, collection, limits)
    uvicorn.run(app, host=host, port=port, log_level="info", access_log=False)
