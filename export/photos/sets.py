"""Photos with their classes, and a folder's photos by split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from export.errors import ExportError

SPLITS = ("train", "val", "test")


class DataError(ExportError):
    """The folder does not hold the expected photos."""


@dataclass(frozen=True)
class Photos:
    """Photos with their class: `targets[i]` indexes `labels`, or is `len(labels)` for none of them.

    `kinds[i]` is the folder that the photo lies in below its class or, for a photo of none, below its split.
    """

    labels: tuple[str, ...]
    paths: tuple[Path, ...] = ()
    targets: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def __add__(self, other: Photos) -> Photos:
        return Photos(
            self.labels, self.paths + other.paths, self.targets + other.targets, self.kinds + other.kinds
        )

    def count(self, target: int) -> int:
        """How many photos of a class there are."""
        return sum(t == target for t in self.targets)

    def take(self, rows: Sequence[int]) -> Photos:
        """Only these photos, in this order."""
        return Photos(
            self.labels,
            tuple(self.paths[i] for i in rows),
            tuple(self.targets[i] for i in rows),
            tuple(self.kinds[i] for i in rows),
        )


@dataclass(frozen=True)
class Found:
    """A folder's photos by split; a split without photos is empty. `remarks`: what was left out, one line each."""

    labels: tuple[str, ...]
    splits: dict[str, Photos]
    remarks: tuple[str, ...] = ()
