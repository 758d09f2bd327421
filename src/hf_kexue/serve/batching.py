"""Requests that come together share a batch: what arrives while a batch is computed makes the next one.

No request waits for others that may come. Requests of different settings do not share a batch, and one that fails does
not take the others of its batch with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Executor
from typing import Any, NamedTuple

from ..inference.corpus_tasks import split_on_failure


class Busy(RuntimeError):
    """Too many requests are waiting."""


class _Request(NamedTuple):
    item: Any
    settings: Hashable
    size: int
    future: asyncio.Future[Any]


class Batcher:
    """Collects items and computes them in batches. For one event loop.

    Args:
        compute: (items, settings) -> a result for each item, in their order; runs in a thread.
        executor: of that thread; share one of a single thread between all batchers of a machine without a GPU.
        max_items: of a batch.
        max_size: sum of the sizes of a batch, unless one item alone is larger.
        max_waiting: requests; further ones are refused.
    """

    def __init__(
        self, compute: Callable[[list[Any], Any], list[Any]], executor: Executor, max_items: int = 32,
        max_size: int = 20_000, max_waiting: int = 256,
    ) -> None:  # fmt: skip
        self._compute, self._executor = compute, executor
        self._max_items, self._max_size, self._max_waiting = max_items, max_size, max_waiting
        self._requests: deque[_Request] = deque()
        self._runner: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Requests that no batch holds yet, without those that were given up."""
        return sum(not request.future.done() for request in self._requests)

    async def submit(self, item: Any, settings: Hashable = None, size: int = 1) -> Any:
        """The result of an item.

        Raises:
            Busy: if too many are waiting.
            Exception: that `compute` raises for this item alone.
        """
        if len(self._requests) >= self._max_waiting:
            self._requests = deque(request for request in self._requests if not request.future.done())
            if len(self._requests) >= self._max_waiting:
                raise Busy(f"{len(self._requests)} requests are waiting.")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._requests.append(_Request(item, settings, size, future))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while batch := self._next_batch():
            items, settings = [request.item for request in batch], batch[0].settings
            try:
                results = await asyncio.get_running_loop().run_in_executor(
                    self._executor, split_on_failure, lambda some, s=settings: self._compute(some, s), items
                )
            except Exception as error:  # not of one item: all of them get it
                results = [error] * len(batch)
            for request, result in zip(batch, results):
                if request.future.done():  # its client has given up
                    continue
                if isinstance(result, Exception):
                    request.future.set_exception(result)
                else:
                    request.future.set_result(result)

    def _next_batch(self) -> list[_Request]:
        """The first request and those of its settings that fit; requests that were given up are dropped."""
        batch: list[_Request] = []
        kept: list[_Request] = []
        size = 0
        while self._requests and len(batch) < self._max_items:
            request = self._requests.popleft()
            if request.future.done():
                continue
            if batch and (request.settings != batch[0].settings or size + request.size > self._max_size):
                kept.append(request)
                continue
            batch.append(request)
            size += request.size
        self._requests.extendleft(reversed(kept))
        return batch
