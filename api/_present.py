"""Which labels a photo shows: the likeliest, and any other that a second look at its own place confirms.

The network answers with probabilities that sum to one, so a cat beside a dog is called one of them, and often with
confidence. Each label's class activation map says where its evidence is: what is there is cut out and asked about
again.

    first look    the other label has some probability, and in one half of the photo more of its evidence than the
                  likeliest label has there of its own
    second look   of that half the network says the label, and recognizes it

Cutting out just what is warm in the label's map found fewer: 62 instead of 78 % of photos of both, at 1 % of photos of
one (EfficientNet-Lite0; `python -m benchmarks.both`, 250 pairs and 500 singles of val).

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

    # Photos of one animal seldom give the other label so much: those are not looked at again.
    least_probability: float = 0.001
    # So much more of its evidence than the likeliest label of its own the label must have in a half, as shares of 1.
    least_advantage: float = 0.2
    # What the second look must say.
    least_second_look: float = 0.95


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
    found = []
    for i in order[1:]:
        if probabilities[i] < rule.least_probability:
            break
        advantage, box = best_half(maps[i], maps[order[0]], size)
        if advantage >= rule.least_advantage:
            found.append((i, box))
    return found


def best_half(other: NDArray[np.float32], first: NDArray[np.float32], size: int) -> tuple[float, Box]:
    """How much more of its evidence `other` has than `first` in the half where that is most, and the half."""
    half = size // 2
    boxes = [
        (0, 0, size, half),
        (0, size - half, size, size),
        (0, 0, half, size),
        (size - half, 0, size, size),
    ]
    advantages = [one - two for one, two in zip(_shares(other), _shares(first), strict=True)]
    best = max(range(len(boxes)), key=advantages.__getitem__)
    return advantages[best], boxes[best]


def confirmed(probability: float, recognized: bool, rule: Rule = RULE) -> bool:
    """Whether the second look, at its own place, says the label."""
    return recognized and probability >= rule.least_second_look


def _shares(evidence: NDArray[np.float32]) -> list[float]:
    """The share of a map that lies in its left, right, upper and lower half; an odd row in the middle is in both."""
    cells = evidence.astype(np.float64)
    across, down = cells.sum(axis=0), cells.sum(axis=1)
    halves = [
        part for each in (across, down) for part in (each[: (len(each) + 1) // 2], each[len(each) // 2 :])
    ]
    return [float(half.sum() / max(cells.sum(), 1e-9)) for half in halves]
