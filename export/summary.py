"""Remarks on the photos: printed at once, and kept for the run."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from export.files import printable
from export.photos.find import SPLITS, Found

log = logging.getLogger(__name__)


@dataclass
class Summary:
    """Remarks on the photos, one line each, in the order of their discovery."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Print a line and keep it for the run."""
        if line and line not in self.lines:
            self.lines.append(line)
            log.info("- %s", line)


def counted(count: int, noun: str) -> str:
    """`1 photo`, `2 photos`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def show_classes(found: Found, others: Found) -> None:
    """A table of classes and splits, so that a missing folder is noticed before anything takes time."""
    names = [*found.labels, "none of them"]
    rows = [
        [
            *(
                found.splits[s].count(k) if k < len(found.labels) else len(others.splits.get(s, ()))
                for s in SPLITS
            )
        ]
        for k in range(len(names))
    ]
    if not any(rows[-1]):
        del rows[-1]
    width = max(len(name) for name in names)
    shown = list(zip(names, rows, strict=False))
    if len(shown) > 40:
        log.info("%d classes; the smallest 20:", len(found.labels))
        shown = sorted(shown, key=lambda each: each[1][0])[:20]
    log.info("%s %s", "class".ljust(width), " ".join(f"{split:>7}" for split in SPLITS))
    for name, counts in shown:
        log.info("%s %s", printable(name).ljust(width), " ".join(f"{count:>7,}" for count in counts))
