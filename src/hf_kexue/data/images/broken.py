"""Images that cannot be decoded: counted, named, and the rule when to give up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

FEW = 3  # broken images that any data set of known size may have
CERTAINTY = math.log(1e6)  # odds against stopping a training whose data keep to the limit


@dataclass
class BrokenImages:
    """Count of images that could not be decoded, and the rule when to give up.

    With the size of the data set known, that is as soon as more than `limit` of it is broken, whatever the order, and
    more than `FEW` images: one broken file among sixty is skipped.
    Without, as with a stream, as soon as the images seen so far could hardly come from data that keep to the limit:
    by Chernoff's bound on the binomial distribution, with odds of 1 to a million.

    Args:
        limit: share of broken images above which `update` raises.
        total: images of the data set; None: not known. Of several processes each counts what it has read itself.
    """

    limit: float = 0.01
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
            too_many = counted > max(self.limit * self.total, FEW)
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
        """One sentence that counts and names the broken images."""
        if not self.names:
            return "All images could be decoded."
        shown = sorted(self.names)
        more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
        return f"{len(shown)} broken image(s) skipped: {', '.join(shown[:20])}{more}."
