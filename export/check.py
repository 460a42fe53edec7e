"""What a practitioner would look for before believing in a set of photos: copies, lopsided classes, wrong labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.body.extract import Features

# Difference hashes of near copies differ in at most so many of their 64 bits ...
MOST_BITS = 4
# ... and their features have at least this cosine similarity. Different photos of one series stay below it.
LEAST_SIMILARITY = 0.97
# The largest class may have so many times the photos of the smallest before it is worth a line.
LOPSIDED = 3.0
# A label is doubtful when the other folds' heads give it less than this and another label more than that.
DOUBTED, PREFERRED = 0.1, 0.7


@dataclass(frozen=True)
class Copies:
    """Rows of photos that show the same, in pairs.

    Attributes:
        between_splits: the first row lies in train, the second, its copy, in val or test.
        between_classes: the same photo under two labels.
        exact: how many of both are the very same file.
    """

    between_splits: tuple[tuple[int, int], ...]
    between_classes: tuple[tuple[int, int], ...]
    exact: int


def find_copies(features: Features, splits: NDArray[np.int64]) -> Copies:
    """Copies among photos whose split is numbered, train being 0: the same file, or nearly the same picture."""
    between_splits, between_classes, exact = [], [], 0
    for first, second in _pairs(features):
        same = features.digests[first] == features.digests[second]
        if features.targets[first] != features.targets[second]:
            between_classes.append((first, second))
            exact += same
        elif splits[first] != splits[second] and 0 in (splits[first], splits[second]):
            inside, outside = (first, second) if splits[first] == 0 else (second, first)
            between_splits.append((inside, outside))
            exact += same
    return Copies(tuple(between_splits), tuple(between_classes), exact)


def may_be_copies(hashes: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Rows of `others` whose difference hash is near one of `hashes`: worth a look at their features."""
    near = [i for i, other in enumerate(others) if (np.bitwise_count(hashes ^ other) <= MOST_BITS).any()]
    return np.array(near, dtype=np.intp)


def _pairs(features: Features) -> Iterator[tuple[int, int]]:
    """Pairs of near copies. Hashes that differ in few bits agree in at least one of five parts, so that only photos
    which share a part need to be compared: a million photos take seconds, not days."""
    seen: set[tuple[int, int]] = set()
    for shift, bits in ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12)):
        parts = features.hashes >> np.uint64(shift) & np.uint64((1 << bits) - 1)
        order = np.argsort(parts, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(parts[order])) + 1):
            for place in range(len(group) - 1):
                first, rest = group[place], group[place + 1 :]
                near = np.bitwise_count(features.hashes[rest] ^ features.hashes[first]) <= MOST_BITS
                for second in rest[near]:
                    pair = (int(min(first, second)), int(max(first, second)))
                    if pair not in seen:
                        seen.add(pair)
                        if _similar(features, *pair):
                            yield pair


def _similar(features: Features, first: int, second: int) -> bool:
    if features.digests[first] == features.digests[second]:
        return True
    a, b = features.values[first, 0], features.values[second, 0]
    return float(a @ b) >= LEAST_SIMILARITY * float(np.linalg.norm(a) * np.linalg.norm(b))


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
    """Rows whose label is probably wrong, the most doubtful first (after Northcutt et al. 2019, arXiv:1911.00068).

    `probabilities` [N, K] are out of fold: each by a head that has not seen the photo.
    """
    own = probabilities[np.arange(len(targets)), targets]
    best = probabilities.max(axis=1)
    rows = np.flatnonzero((own < DOUBTED) & (best > PREFERRED))
    return rows[np.argsort(own[rows] - best[rows], kind="stable")]
