"""Temperature and threshold: what turns a head's logits into honest probabilities and into "none of these"."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# Temperatures that are tried.
LOWEST, HIGHEST = 0.2, 5.0
# The threshold rejects this share of photos of none of the labels, unless that would reject more than the share SPARE
# of the labels' own photos.
REFUSE, SPARE = 0.985, 0.02


def temperature(logits: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """The temperature that makes the labels of photos most likely, given logits [N, K] (Guo et al. 2017).

    Where all photos are right, the likelihood alone would ask for ever more confidence. As in Platt's scaling (1999),
    N photos are not taken as proof of more than N + 1 in N + 2.
    """
    count, labels = logits.shape
    sure = (count + 1) / (count + 2)
    wanted = np.full(logits.shape, (1 - sure) / (labels - 1))
    wanted[np.arange(count), targets] = sure

    def loss(t: float) -> float:
        scaled = logits / t
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        return float((np.log(np.exp(scaled).sum(axis=1)) - (wanted * scaled).sum(axis=1)).mean())

    grid = np.exp(np.linspace(np.log(LOWEST), np.log(HIGHEST), 200))
    return float(min(grid, key=loss))


def at_the_edge(found: float) -> bool:
    """Whether a temperature is the lowest or the highest that is tried: then it says nothing."""
    return not LOWEST * 1.01 < found < HIGHEST * 0.99


def recognized(logits: NDArray[np.float64], at: float = 1.0) -> NDArray[np.float64]:
    """How much photos look like any of the labels, float64 [N], from logits [N, K]; the logit of none is zero."""
    scaled = logits / at
    most = scaled.max(axis=1)
    any_label = most + np.log(np.exp(scaled - most[:, None]).sum(axis=1))
    return np.asarray(1 / (1 + np.exp(-any_label)))


def threshold(
    own: NDArray[np.float64], *others: NDArray[np.float64], refuse: float = REFUSE, spare: float = SPARE
) -> float:
    """The lowest score at which the share `refuse` of each group of `others` is rejected, as long as no more than the
    share `spare` of `own` is; that bound decides where there are no others.

    It has six digits, rounded down: rounded up, it would reject the photo that it was taken from.
    """
    ordered = np.sort(own)
    bound = float(ordered[int(spare * len(ordered))])
    wanted = [float(np.sort(some)[math.ceil(refuse * len(some)) - 1]) + 2e-6 for some in others if len(some)]
    return math.floor(min(bound, max(wanted, default=bound)) * 1e6) / 1e6
