"""What all pipelines share in how they are called: one item, a list, or a stream; from one thread or several.

Imports no torch: the runtimes without it are called alike.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from torch import nn

CHUNK_CHARACTERS = 100_000  # of a stream are read ahead, or
CHUNK_BATCHES = 16  # as many items as fill so many batches: within a chunk items of like lengths share a batch

Item = TypeVar("Item")

_lock = Lock()
_calls: "WeakKeyDictionary[nn.Module, tuple[int, list[nn.Module]]]" = WeakKeyDictionary()


def is_stream(inputs: Any) -> bool:
    """Whether inputs are read lazily, as transformers' pipelines do: iterators, data sets of torch, and what has no
    length. Lists, tuples, arrays and columns are not."""
    if isinstance(inputs, str | bytes | Mapping):
        return False
    indexed = hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__")
    of_torch = any(f"{kind.__module__}.".startswith("torch.utils.data.") for kind in type(inputs).__mro__)
    if isinstance(inputs, Iterator) or of_torch or (indexed and not hasattr(inputs, "__iter__")):
        return True
    return isinstance(inputs, Iterable) and not hasattr(inputs, "__len__")


class StreamResults:
    """Results of a data set, one for each item, in order: computed while they are iterated, anew each time."""

    def __init__(self, results: Callable[[], Iterator[Any]], count: int) -> None:
        self._results, self._count = results, count

    def __iter__(self) -> Iterator[Any]:
        return self._results()

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        """Equal to a list of the same results."""
        return list(self) == (list(other) if isinstance(other, StreamResults) else other)

    __hash__ = None  # type: ignore[assignment]


def stream(
    inputs: Any,
    read: Callable[[int, Any], Item],
    size: Callable[[Item], int],
    compute: Callable[[list[Item]], list[Any]],
    batch_size: int,
) -> Any:
    """Results of a stream, of which only a chunk is in memory at a time.

    Args:
        inputs: for which `is_stream` holds.
        read: (number, input) -> item, or an exception.
        size: characters of an item.
        compute: the results of some items.
        batch_size: of `compute`.

    Returns:
        An iterator for an iterator and for what has no length, else `StreamResults`.
    """

    def results() -> Iterator[Any]:
        source = inputs if hasattr(inputs, "__iter__") else (inputs[number] for number in range(len(inputs)))
        chunk: list[Item] = []
        characters = 0
        for number, value in enumerate(source):
            chunk.append(read(number, value))
            characters += size(chunk[-1])
            if characters >= CHUNK_CHARACTERS or len(chunk) >= CHUNK_BATCHES * batch_size:
                yield from compute(chunk)
                chunk, characters = [], 0
        if chunk:
            yield from compute(chunk)

    if isinstance(inputs, Iterator) or not hasattr(inputs, "__len__"):
        return results()
    return StreamResults(results, len(inputs))


@contextmanager
def evaluating(model: "nn.Module") -> Iterator[None]:
    """Evaluation mode while any thread is in here; nothing is written to a model that has it already.

    The first that finds modules in training mode switches them, the last puts them back: a thread that ends early
    leaves no dropout to the others.
    """
    with _lock:
        count, switched = _calls.get(model, (0, []))
        training = [module for module in model.modules() if module.training]
        for module in training:
            module.training = False
        _calls[model] = count + 1, [*switched, *training]
    try:
        yield
    finally:
        with _lock:
            count, switched = _calls.pop(model)
            if count > 1:
                _calls[model] = count - 1, switched
            else:
                for module in switched:
                    module.training = True
