"""Temperature scaling, and the threshold for "none of these"."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# Temperatures that are tried.
LOWEST, HIGHEST = 0.2, 5.0
# The wanted OOD rejection rate; the threshold falls short of it where the false rejection rate would exceed SPARE.
REFUSE, SPARE = 0.985, 0.02


def temperature(logits: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """The temperature that makes the labels of photos most likely, given logits [N, K] (Guo et al. 2017).

    If all photos are classified correctly, the likelihood alone would push the confidence towards 1. As in Platt
    scaling (1999), N photos prove no more than N + 1 in N + 2.
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
    """Whether a temperature is the lowest or the highest that is tried, and so not trustworthy."""
    return not LOWEST * 1.01 < found < HIGHEST * 0.99


def recognized(logits: NDArray[np.float64], at: float = 1.0) -> NDArray[np.float64]:
    """The score "looks like one of the labels", float64 [N], from logits [N, K]; the logit of none is zero."""
    scaled = logits / at
    most = scaled.max(axis=1)
    any_label = most + np.log(np.exp(scaled - most[:, None]).sum(axis=1))
    return np.asarray(1 / (1 + np.exp(-any_label)))


def threshold(
    own: NDArray[np.float64], *others: NDArray[np.float64], refuse: float = REFUSE, spare: float = SPARE
) -> float:
    """The lowest score at which the share `refuse` of each group of `others` is rejected, as long as no more than the
    share `spare` of `own` is rejected. Without others, that bound alone determines it.

    It is rounded down to six digits: rounded up, it would reject the photo that it comes from.
    """
    ordered = np.sort(own)
    bound = float(ordered[int(spare * len(ordered))])
    wanted = [float(np.sort(some)[math.ceil(refuse * len(some)) - 1]) + 2e-6 for some in others if len(some)]
    return math.floor(min(bound, max(wanted, default=bound)) * 1e6) / 1e6
