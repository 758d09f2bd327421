"""`hf-kexue calibrate`: a saved reader learns when not to answer, and how sure it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..inference.kinds import READER
from ..inference.saved_models import saved_kind
from .options import MODEL_HELP, Device, Dtype


def calibrate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help=MODEL_HELP.format("a reader, e.g. model_cards/dgcnn-qa-zh"))
    ],
    data: Annotated[str, typer.Argument(metavar="DATA", help="File or folder of questions; or a Hub id.")],
    output: Annotated[Path | None, typer.Option(help="Folder for the calibrated model; none: only print.")] = None,
    split: Annotated[str, typer.Option(help="Of a folder or Hub id.")] = "validation",
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first questions.")] = None,
    wrong_passages: Annotated[
        bool | None,
        typer.Option(help="Ask each question of a wrong passage, too; default: where all have an answer."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of told and true shares, such as plot.png.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows that run together.")] = 32,
    device: Device = None,
    dtype: Dtype = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit the score below which a reader refuses, and the probabilities of its answers, to held-out questions.

    Questions without an answer belong to the data, or are made: each question is then asked of a passage of another
    one, too. The model in --output refuses by the new threshold wherever "no answer" is allowed, and tells with each
    answer from a text the probability that it is right.
    """
    from ..data.questions.reading import read_qa
    from ..inference.reader_calibration import calibration_records, reliability_plot

    kind = saved_kind(model, READER)
    if output is not None and output.resolve() == Path(model).resolve():
        raise ValueError("--output is the folder of the model itself; choose another one.")
    records = calibration_records(read_qa(data, split)[:limit], wrong_passages)
    reader = kind.load(model, device, dtype)
    found = reader.calibrate(records, batch_size=batch_size)
    if output is not None:
        reader.save_pretrained(output)
    if plot is not None:
        plot.parent.mkdir(parents=True, exist_ok=True)
        reliability_plot(found, plot, Path(model).name)
    figures = found._asdict()
    bins = figures.pop("bins")
    if as_json:
        typer.echo(json.dumps({"model": model, "data": data, **figures, "bins": [row._asdict() for row in bins]}))
        return
    for name, value in figures.items():
        typer.echo(f"{name:15} {value:.4f}" if isinstance(value, float) else f"{name:15} {value}")
