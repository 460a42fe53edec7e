"""Checks of a set of photos before training: copies, imbalanced classes, wrong labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.body.extract import Features
from export.files import printable
from export.summary import Summary, counted

# Two photos are near copies when their difference hashes differ in at most this many of the 64 bits ...
MOST_BITS = 4
# ... and their features have at least this cosine similarity. Different photos of one series stay below it.
LEAST_SIMILARITY = 0.97
# A photo with this many copies is not compared with further photos.
MOST_PARTNERS = 8
# The largest class may have this many times the photos of the smallest before the user is told.
LOPSIDED = 3.0
# A label is doubtful when the heads of the other folds give it less than the first share and another label more than
# the second.
DOUBTED, PREFERRED = 0.1, 0.7


@dataclass(frozen=True)
class Copies:
    """Pairs of rows whose photos are copies of each other.

    Attributes:
        between_splits: the first row lies in train, the second, its copy, in val or test.
        between_classes: the same photo under two labels.
        doubles: rows of train that are copies of an earlier row of the same class.
    """

    between_splits: tuple[tuple[int, int], ...]
    between_classes: tuple[tuple[int, int], ...]
    doubles: tuple[int, ...]


def find_copies(train: Features, other: Features) -> Copies:
    """Copies within train and between train and `other`: the same file, or nearly the same picture.

    Rows of `other` are numbered after those of train.
    """
    both = _Both(train, other)
    count = len(train.photos)
    between_splits, between_classes, doubles = [], [], set()
    for first, second in _pairs(np.concatenate([train.hashes, other.hashes])):
        if first >= count or not both.similar(first, second):
            continue
        if both.target(first) != both.target(second):
            between_classes.append((first, second))
        elif second >= count:
            between_splits.append((first, second))
        else:
            doubles.add(second)
    return Copies(tuple(between_splits), tuple(between_classes), tuple(sorted(doubles)))


@dataclass(frozen=True)
class _Both:
    """Two sets of features with common row numbers. They are not concatenated, which might not fit into memory."""

    train: Features
    other: Features

    def place(self, row: int) -> tuple[Features, int]:
        """The set that a row belongs to, and its row there."""
        count = len(self.train.photos)
        return (self.train, row) if row < count else (self.other, row - count)

    def target(self, row: int) -> int:
        features, row = self.place(row)
        return features.photos.targets[row]

    def digest(self, row: int) -> bytes:
        features, row = self.place(row)
        return features.digests[row]

    def path(self, row: int) -> Path:
        features, row = self.place(row)
        return features.photos.paths[row]

    def similar(self, first: int, second: int) -> bool:
        """Whether two rows are the same file, or have nearly the same features."""
        if self.digest(first) == self.digest(second):
            return True
        a, b = (features.values[row, 0] for features, row in (self.place(first), self.place(second)))
        return float(a @ b) >= LEAST_SIMILARITY * float(np.linalg.norm(a) * np.linalg.norm(b))


def may_be_copies(hashes: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Rows of `others` whose difference hash is near one of `hashes`, so that their features have to be compared."""
    near = [i for i, other in enumerate(others) if (np.bitwise_count(hashes ^ other) <= MOST_BITS).any()]
    return np.array(near, dtype=np.intp)


def _pairs(hashes: NDArray[np.uint64]) -> Iterator[tuple[int, int]]:
    """Pairs of rows whose hashes are near. Those that differ in few bits agree in at least one of five parts, so that
    only photos which share a part need to be compared: a million photos take minutes, not days.

    If a photo has many copies, each is paired with the first few only, which is enough to find it.
    """
    seen: set[tuple[int, int]] = set()
    for shift, bits in ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12)):
        parts = hashes >> np.uint64(shift) & np.uint64((1 << bits) - 1)
        order = np.argsort(parts, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(parts[order])) + 1):
            compared = np.zeros(len(group), dtype=np.int64)
            for place in range(len(group) - 1):
                if compared[place] >= MOST_PARTNERS:
                    continue
                near = np.bitwise_count(hashes[group[place + 1 :]] ^ hashes[group[place]]) <= MOST_BITS
                compared[place + 1 :] += near
                for second in group[place + 1 :][near]:
                    pair = (int(min(group[place], second)), int(max(group[place], second)))
                    if pair not in seen:
                        seen.add(pair)
                        yield pair


def without_copies(train: Features, val: Features, summary: Summary) -> tuple[Features, Features]:
    """Train with each photo once, and val without the photos that are also in train.

    Copies make every figure look better than it is: a model easily recognizes a photo when it has seen its copy.
    """
    copies, both = find_copies(train, val), _Both(train, val)
    for first, second in copies.between_classes[:5]:
        paths = f"{printable(both.path(first))} and {printable(both.path(second))}"
        summary.add(f"the same photo in two classes: {paths}")
    if len(twice := {second for _, second in copies.between_classes}) > 5:
        summary.add(f"{len(twice):,} photos in all lie in another class as well")
    if copies.doubles:
        summary.add(
            f"{counted(len(copies.doubles), 'photo')} of train left out: copies of others of their class"
        )
        train = train.without(copies.doubles)
    if doubled := {second - len(both.train.photos) for _, second in copies.between_splits}:
        summary.add(f"{counted(len(doubled), 'photo')} of val left out: copies of training photos")
        val = val.without(doubled)
    return train, val


def none_without_copies(train: Features, others: Features, summary: Summary) -> Features:
    """Photos of none of the classes, without those that are also in train."""
    both = {second - len(train.photos) for _, second in find_copies(train, others).between_classes}
    if shown := {row for row in both if row >= 0}:
        summary.add(f"{counted(len(shown), 'photo')} of none left out: they are photos of a class")
    return others.without(shown)


def lopsided(labels: Sequence[str], counts: Sequence[int]) -> str:
    """A line about classes of very different size; empty if there is nothing to say."""
    small, large = int(np.argmin(counts)), int(np.argmax(counts))
    if counts[large] < LOPSIDED * counts[small]:
        return ""
    return (
        f"{labels[large]} has {counts[large]:,} photos and {labels[small]} {counts[small]:,}: photos of small classes "
        "count more, but more of them would help more"
    )


def doubtful(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> NDArray[np.intp]:
    """Rows whose label the other photos contradict, the most doubtful first.

    After Northcutt et al. 2019, arXiv:1911.00068.

    `probabilities` [N, K] are out-of-fold: each comes from a head that was fitted without the photo.
    """
    own = probabilities[np.arange(len(targets)), targets]
    best = probabilities.max(axis=1)
    rows = np.flatnonzero((own < DOUBTED) & (best > PREFERRED))
    return rows[np.argsort(own[rows] - best[rows], kind="stable")]
