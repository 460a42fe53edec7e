"""Which labels a photo shows: the likeliest, and any other that a second look at its own place confirms.

The network answers with probabilities that sum to one, so a cat beside a dog is called one of them, and often with
confidence. Each label's class activation map says where its evidence is: what is there is cut out and asked about
again.

    first look    the other label has some probability, and its evidence lies apart from the likeliest label's
    second look   of the cut-out the network says that label, and recognizes it

The page decides the same way on the device (web/local/present.js). `python -m benchmarks.both PHOTOS` measures the rule
on composites of a folder's photos, and what other numbers would do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Top, left, bottom, right: pixels of the square that the network sees.
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Rule:
    """When a label beside the likeliest is present, too."""

    # How warm a cell must be to count as evidence; 1 is the hottest cell of the label's own map.
    warm: float = 0.5
    # Photos of one animal seldom give the other label so much: those are not looked at again.
    least_probability: float = 0.01
    # At most this share of the label's warm cells may be warm for the likeliest label, too.
    most_overlap: float = 0.34
    # So much is added around the warm cells, as a share of the whole: the head alone is hard to tell.
    margin: float = 0.08
    # What the second look must say.
    least_second_look: float = 0.8


RULE = Rule()


def places(
    probabilities: Sequence[float], maps: NDArray[np.float32], size: int, rule: Rule = RULE
) -> list[tuple[int, Box]]:
    """Labels beside the likeliest that deserve a second look, and where.

    Args:
        probabilities: one for each label.
        maps: float32 [labels, rows, columns], each label's class activation map, 0 to 1.
        size: side of the square that the network sees, in pixels.
    """
    order = sorted(range(len(probabilities)), key=lambda i: -probabilities[i])
    first = maps[order[0]] >= rule.warm
    found = []
    for i in order[1:]:
        if probabilities[i] < rule.least_probability:
            break
        warm = maps[i] >= rule.warm
        if warm.any() and (warm & first).sum() <= rule.most_overlap * warm.sum():
            found.append((i, _around(warm, size, rule.margin)))
    return found


def confirmed(probability: float, recognized: bool, rule: Rule = RULE) -> bool:
    """Whether the second look, at its own place, says the label."""
    return recognized and probability >= rule.least_second_look


def _around(warm: NDArray[np.bool_], size: int, margin: float) -> Box:
    rows, columns = warm.shape
    down, across = np.flatnonzero(warm.any(axis=1)), np.flatnonzero(warm.any(axis=0))
    low = [
        int(max(0.0, first / count - margin) * size)
        for first, count in ((down[0], rows), (across[0], columns))
    ]
    high = [
        int(min(1.0, (last + 1) / count + margin) * size)
        for last, count in ((down[-1], rows), (across[-1], columns))
    ]
    return low[0], low[1], high[0], high[1]
