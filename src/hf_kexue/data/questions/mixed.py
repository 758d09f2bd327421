"""A mixture of sources of synthetic questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .samples import ReadingSample, SampleSource


class MixedQuestions:
    """Draw each question from one of several sources.

    Args:
        sources: at least one.
        weights: relative frequency of each source; not all 0.
    """

    def __init__(self, sources: Sequence[SampleSource], weights: Sequence[float]) -> None:
        self.sources = list(sources)
        self.probabilities = np.asarray(weights, dtype=np.float64) / sum(weights)

    def make(self, generator: np.random.Generator) -> ReadingSample:
        """One question; all random draws come from the generator."""
        return self.sources[int(generator.choice(len(self.sources), p=self.probabilities))].make(generator)
