"""The HTTP service: /ask, /extract and /generate for the models that are given, /health, and OpenAPI at /docs.

    app = create_app({"reader": reader, "triples": extractor}, collection=PassageCollection.load("index"))

Bad input is answered with 4xx and a reason: 413 for a body that is too large, 422 for anything else that is wrong with
it. 503: too many requests are waiting; 504: the answer took too long. One thread computes, in batches, see `batching`;
torch may use several threads in it.
"""

# Annotations are evaluated: FastAPI looks for the classes below where they are defined, in a function, since its
# import waits until a service is made.
import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ..inference.extraction import check_text, is_blank
from ..inference.kinds import kind_of, named
from .batching import Batcher, Busy

ROUTES = {"reader": "/ask", "triples": "/extract", "images": "/generate"}


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Args:
        body: bytes of a body.
        characters: of all texts of a request.
        texts: passages or texts of a request.
        images: that one request draws.
        steps: network evaluations per image.
        pixels: width and height of an image.
        seconds: until the answer.
        waiting: requests of each kind that wait.
    """

    body: int = 2_000_000
    characters: int = 200_000
    texts: int = 256
    images: int = 16
    steps: int = 100
    pixels: int = 256
    seconds: float = 60.0
    waiting: int = 256

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}.")


def create_app(models: dict[str, Any], collection: Any = None, limits: Limits | None = None) -> Any:
    """Make the service.

    Args:
        models: loaded pipelines by "reader", "triples" and "images"; each serves its route, see `ROUTES`.
        collection: `PassageCollection` for questions without a text; with a reader.
        limits: of a request.

    Returns:
        `fastapi.FastAPI`.

    Raises:
        ImportError: if fastapi is not installed (extra `serve`).
        ValueError: for no model, an unknown name, and a collection without a reader.
    """
    if not models or models.keys() - ROUTES.keys():
        raise ValueError(f"Models must be given by {', '.join(ROUTES)}; got {', '.join(models) or 'none'}.")
    if collection is not None and "reader" not in models:
        raise ValueError("A collection needs a reader.")
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise ImportError(
            'The service needs fastapi, which is not installed: `pip install "hf-kexue[serve]"`.'
        ) from error
    limits = limits or Limits()
    executor = ThreadPoolExecutor(1, thread_name_prefix="models")
    batchers: dict[str, Batcher] = {}

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        executor.shutdown(wait=True, cancel_futures=True)

    app = FastAPI(
        title="hf_kexue", summary="Answers, triples and images of small models.", max_body_size=limits.body,
        lifespan=lifespan,
    )  # fmt: skip
    _add_error_handlers(app)

    async def computed(name: str, item: Any, settings: Any, size: int) -> Any:
        return await asyncio.wait_for(batchers[name].submit(item, settings, size), limits.seconds)

    adders: dict[str, Callable[..., Batcher]] = {"reader": _add_ask, "triples": _add_extract, "images": _add_generate}
    for name, model in models.items():
        batchers[name] = adders[name](app, model, collection, limits, executor, computed)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether the service runs, what it serves, and how many requests wait."""
        routes = {ROUTES[name]: kind_of(model).class_name for name, model in models.items()}
        waiting = {ROUTES[name]: batcher.waiting for name, batcher in batchers.items()}
        return {"status": "ok", "routes": routes, "waiting": waiting,
                "passages": None if collection is None else len(collection)}  # fmt: skip

    return app


def _add_error_handlers(app: Any) -> None:
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse

    def handler(status: int, headers: dict[str, str] | None = None) -> Callable[[Any, Exception], Any]:
        async def handle(_: Any, error: Exception) -> Any:
            text = str(error).encode("utf-8", "replace").decode("utf-8") or "The answer took too long."
            return JSONResponse({"detail": text}, status, headers)

        return handle

    async def invalid(_: Any, error: Exception) -> Any:
        """Without the input itself: NaN and half a surrogate pair cannot be written as JSON."""
        assert isinstance(error, RequestValidationError)
        faults = [{key: fault[key] for key in ("type", "loc", "msg")} for fault in error.errors()]
        content = json.loads(json.dumps(faults, default=str).encode("ascii", "replace"))
        return JSONResponse({"detail": content}, 422)

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ValueError, handler(422))
    app.add_exception_handler(Busy, handler(503, {"Retry-After": "1"}))
    app.add_exception_handler(TimeoutError, handler(504))


def _check_texts(texts: dict[str, str], limits: Limits) -> int:
    """The characters of all texts of a request, or a ValueError."""
    if len(texts) > limits.texts + 1:
        raise ValueError(f"There may be at most {limits.texts} texts, got {len(texts)}.")
    for name, text in texts.items():
        check_text(text, name)
        if is_blank(text):
            raise ValueError(f"{name} is empty or only white space.")
    size = sum(map(len, texts.values()))
    if size > limits.characters:
        raise ValueError(f"The texts may have at most {limits.characters} characters, got {size}.")
    return size


def _add_ask(app: Any, reader: Any, collection: Any, limits: Limits, executor: Any, computed: Any) -> Batcher:
    from pydantic import BaseModel, ConfigDict, Field

    class Question(BaseModel):
        """A question, and the text or the passages that may answer it; neither: the collection of the service."""

        model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
        question: str
        context: str | None = None
        passages: list[str] | None = None
        top_k: int = Field(1, ge=1, le=20)
        impossible: bool = False

    class Answer(BaseModel):
        """`passage`: its number (from 0) among the passages given, or its id in the collection. `probability`: of an
        answer from a context by a calibrated reader."""

        answer: str
        score: float
        probability: float | None = None
        start: int
        end: int
        passage: int | str | None = None

    @app.post("/ask", response_model=list[Answer])
    async def ask(body: Question) -> Any:
        """Answer a question; positions count characters from 0."""
        if (body.context is not None) + (body.passages is not None) > 1:
            raise ValueError("Give either context or passages.")
        texts = {"question": body.question}
        if body.context is not None:
            texts["context"] = body.context
        elif body.passages is not None:
            if not body.passages:
                raise ValueError("passages is empty.")
            texts |= {f"passage {number}": text for number, text in enumerate(body.passages)}
        elif collection is None:
            raise ValueError("Give a context or passages: this service has no collection.")
        size = _check_texts(texts, limits)
        record = body.model_dump(include={"question", "context", "passages"}, exclude_none=True)
        return await computed("reader", record, (body.top_k, body.impossible, len(texts) == 1), size)

    def compute(records: list[dict[str, Any]], settings: tuple[int, bool, bool]) -> list[Any]:
        top_k, impossible, of_collection = settings
        options = {"top_k": top_k, "handle_impossible_answer": impossible, "progress": False}
        if of_collection:
            return list(collection.ask(reader, [record["question"] for record in records], **options))
        return [found if isinstance(found, list) else [found] for found in reader(records, **options)]

    return Batcher(compute, executor, max_waiting=limits.waiting)


def _add_extract(app: Any, extractor: Any, _: Any, limits: Limits, executor: Any, computed: Any) -> Batcher:
    from pydantic import BaseModel, ConfigDict, Field

    class Texts(BaseModel):
        """Texts to extract from; `predicates`: only these."""

        model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
        texts: list[str] = Field(min_length=1)
        predicates: list[str] | None = None

    class Mention(BaseModel):
        text: str
        start: int
        end: int
        type: str | None = None

    class Triple(BaseModel):
        subject: Mention
        predicate: str
        object: Mention
        score: float

    known = {entry["predicate"] for entry in extractor.model.schema}

    @app.post("/extract", response_model=list[list[Triple]])
    async def extract(body: Texts) -> Any:
        """The triples of each text; positions count characters from 0."""
        size = _check_texts({f"text {number}": text for number, text in enumerate(body.texts)}, limits)
        unknown = [name for name in body.predicates or [] if name not in known]
        if unknown:
            raise ValueError(f"The model does not know the predicate {unknown[0]!r}.")
        predicates = None if body.predicates is None else tuple(sorted({*body.predicates}))
        return await computed("triples", body.texts, predicates, size)

    def compute(requests: list[list[str]], predicates: tuple[str, ...] | None) -> list[Any]:
        texts = [text for request in requests for text in request]
        found = iter(extractor(texts, predicates=predicates, progress=False))
        return [[next(found) for _ in request] for request in requests]

    return Batcher(compute, executor, max_waiting=limits.waiting)


def _add_generate(app: Any, pipeline: Any, _: Any, limits: Limits, executor: Any, computed: Any) -> Batcher:
    from fastapi import Response
    from pydantic import BaseModel, ConfigDict, Field

    from ..inference.drawing import class_rows

    kind = kind_of(pipeline)
    options = {option.name: option for option in kind.generate_options}

    class Picture(BaseModel):
        """`classes`: names; default: each once. `options`: those of `hf-kexue generate` for this model."""

        model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
        classes: list[str] = Field(default_factory=list)
        per_class: int = Field(1, ge=1)
        seed: int = Field(0, ge=0, le=2**63 - 1)
        options: dict[str, bool | int | float | str] = Field(default_factory=dict)

    @app.post("/generate", response_class=Response, responses={200: {"content": {"image/png": {}}}})
    async def generate(body: Picture) -> Any:
        """A grid of samples as PNG, a row for each class."""
        rows = class_rows(pipeline, body.classes)
        if len(rows) * body.per_class > limits.images:
            raise ValueError(f"At most {limits.images} images a request, got {len(rows) * body.per_class}.")
        values = kind.chosen(kind.generate_options, body.options)
        for name, value in values.items():
            option = options[name]
            if value is None:
                continue
            if type(value) not in ((int, float) if option.type is float else (option.type,)):
                raise ValueError(f"{name} must be of type {option.type.__name__}, got {value!r}.")
            if option.least is not None and value < option.least:
                raise ValueError(f"{name} must be at least {option.least}, got {value!r}.")
        for name, most in (("steps", limits.steps), ("size", limits.pixels)):
            if (values.get(name) or 0) > most:
                raise ValueError(f"{name} may be at most {most}, got {values[name]}.")
        item = (rows, body.per_class, body.seed, values)
        return Response(await computed("images", item, None, 1), media_type="image/png")

    def compute(items: list[Any], _: Any) -> list[bytes]:
        import torch

        from ..inference.grids import image_grid

        (item,) = items
        rows, per_class, seed, values = item
        generator = torch.Generator().manual_seed(seed)
        images = named(str(kind.draw))(pipeline, rows, per_class, generator=generator, **values)
        content = io.BytesIO()
        image_grid(images, per_class).save(content, "PNG")
        return [content.getvalue()]

    return Batcher(compute, executor, max_items=1, max_waiting=limits.waiting)
