"""Reports of data checks: counted findings with examples, as a table or as JSON.

Each kind of data has a subclass with `findings`, `faults` and a `head` line; see `questions.check` and
`triples.check`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

EXAMPLES = 5


@dataclass
class DataReport:
    """Result of a data check.

    Args:
        settings: of the check; labels of findings may contain them.
        totals: denominators of the findings.
        counts: number of each finding.
        examples: for each finding the first five ids, for broken records their places.
        broken: one message for each broken record.
    """

    # Name of a finding -> its label in the table and the name of its total; in the order of the table.
    findings: ClassVar[Mapping[str, tuple[str, str]]]
    faults: ClassVar[tuple[str, ...]]  # findings that make the data unusable
    head: ClassVar[str]  # first line of the table, with totals and settings to fill in

    settings: dict[str, Any]
    totals: dict[str, int]
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = dict.fromkeys(self.findings, 0) | self.counts
        self.examples = {name: [] for name in self.findings} | self.examples

    @property
    def problems(self) -> list[str]:
        """Why the data are not usable; empty if they are."""
        return [f"{self.counts[name]} {self._label(name)}" for name in self.faults if self.counts[name]]

    @property
    def usable(self) -> bool:
        """Whether nothing has to be fixed before training."""
        return not self.problems

    def add(self, name: str, example: str) -> None:
        """Count a finding."""
        self.counts[name] += 1
        shown = self.examples[name]
        if len(shown) < EXAMPLES and example not in shown:
            shown.append(example)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        findings = {
            name: {"count": self.counts[name], "of": self.totals[total], "examples": self.examples[name]}
            for name, (_, total) in self.findings.items()
        }
        head = {"usable": self.usable, "problems": self.problems, "settings": self.settings, "totals": self.totals}
        return {**head, "findings": findings, "broken": self.broken}

    def __str__(self) -> str:
        rows = [("finding", "count", "of", "share", "for example")]
        for name, (_, total) in self.findings.items():
            count, of = self.counts[name], self.totals[total]
            share = f"{100 * count / max(of, 1):.1f} %"
            rows.append((self._label(name), str(count), str(of), share, ", ".join(self.examples[name][:2])))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [self.head.format(**self.totals, **self.settings), ""]
        for label, *figures, examples in rows:
            right = [figure.rjust(width) for figure, width in zip(figures, widths[1:])]
            lines.append("  ".join([label.ljust(widths[0]), *right, examples]).rstrip())
        lines += ["", "Usable." if self.usable else f"Not usable: {'; '.join(self.problems)}."]
        return "\n".join(lines)

    def _label(self, name: str) -> str:
        return self.findings[name][0].format(**self.settings)
