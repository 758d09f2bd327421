"""Count images that cannot be decoded, and stop when there are too many."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

FEW = 3  # broken images that are always accepted in a data set of known size
CERTAINTY = math.log(1e6)  # log odds against stopping a run whose data are within the limit
LIMIT = 0.01  # share of broken images that is tolerated


def are_too_many(broken: int, total: int, limit: float = LIMIT) -> bool:
    """Whether more than a share `limit` of `total` images, and more than `FEW` of them, are broken."""
    return broken > max(FEW, limit * total)


@dataclass
class BrokenImages:
    """Count images that could not be decoded, and raise when there are too many.

    If the size of the data set is known, `update` raises as soon as more than `limit` of it and more than `FEW` images
    are broken, in any order: one broken file among sixty is skipped.
    For a stream it raises as soon as the images seen so far are implausible for data within the limit: by Chernoff's
    bound on the binomial distribution, with probability below one in a million.

    Args:
        limit: share of broken images above which `update` raises.
        total: size of the data set; None if unknown. Every process counts only the images that it has read.
    """

    limit: float = LIMIT
    total: int | None = None
    seen: int = 0
    names: set[str] = field(default_factory=set)
    failures: int = 0

    def update(self, batch: dict[str, Any]) -> None:
        """Count a batch of `collate_images`.

        Raises:
            RuntimeError: when too many of the images are broken.
        """
        self.seen += len(batch["pixel_values"]) + len(batch["broken"])
        self.failures += len(batch["broken"])
        self.names.update(batch["broken"])
        if self.total is None:
            counted, of, too_many = self.failures, f"the {self.seen} images read so far", self._is_above_limit()
        else:
            counted, of = len(self.names), f"the {self.total} images"
            too_many = are_too_many(counted, self.total, self.limit)
        if too_many:
            raise RuntimeError(
                f"{counted} of {of} are broken, more than {self.limit:.0%}. `hf-kexue check-data images` lists all of "
                f"them. {self.summary()}"
            )

    def _is_above_limit(self) -> bool:
        """P(so many failures or more | share = limit) <= exp(-n KL(failures / n || limit)) < one in a million."""
        share = self.failures / max(self.seen, 1)
        if share <= self.limit:
            return False
        rest = (1 - share) * math.log((1 - share) / (1 - self.limit)) if share < 1 else 0.0
        return self.seen * (share * math.log(share / self.limit) + rest) > CERTAINTY

    def summary(self) -> str:
        """Number and names of the broken images, as one line."""
        if not self.names:
            return "All images could be decoded."
        shown = sorted(self.names)
        more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
        return f"{len(shown)} broken image(s) skipped: {', '.join(shown[:20])}{more}."
