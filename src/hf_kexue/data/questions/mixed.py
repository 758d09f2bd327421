"""Several sources of made-up questions as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .samples import ReadingSample, SampleSource


class MixedQuestions:
    """Draws each question from one of several sources.

    Args:
        sources: at least one.
        weights: how often each is drawn from, relative to the others; not all 0.
    """

    def __init__(self, sources: Sequence[SampleSource], weights: Sequence[float]) -> None:
        self.sources = list(sources)
        self.chances = np.asarray(weights, dtype=np.float64) / sum(weights)

    def make(self, generator: np.random.Generator) -> ReadingSample:
        """One question; all chance comes from the generator."""
        return self.sources[int(generator.choice(len(self.sources), p=self.chances))].make(generator)
