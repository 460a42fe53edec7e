"""Figures of several runs, measured in alternation, and what follows from them."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """Measurements of one figure, in their order."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        return float(np.percentile(self.values, 99))

    @property
    def spread(self) -> float:
        """Interquartile range divided by the median: the noise of the machine, or of the program."""
        if len(self.values) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4)
        return (high - low) / self.median

    def __str__(self) -> str:
        noisy = ", noisy" if self.spread > 0.25 else ""
        return f"{self.median:.4g} (±{self.spread / 2:.0%}{noisy})"


def in_turns(runs: int, *measures: Callable[[], Any]) -> list[tuple[Any, ...]]:
    """Measures several things in alternation, so that a change of the machine's speed affects all; one warm-up each.

    Returns:
        The results of each, run by run.
    """
    turns = [tuple(measure() for measure in measures) for _ in range(runs + 1)]
    return list(zip(*turns[1:], strict=True))


def pairwise(first: Callable[[], float], second: Callable[[], float], runs: int) -> tuple[Sample, Sample]:
    """Measures two figures in alternation."""
    ours, theirs = in_turns(runs, first, second)
    return Sample(ours), Sample(theirs)


def ratio(over: Sample, under: Sample) -> float:
    """Median of the ratios run by run."""
    return statistics.median(a / b for a, b in zip(over.values, under.values, strict=True))


def difference(of: Sample, less: Sample) -> float:
    """Median of the differences run by run."""
    return statistics.median(a - b for a, b in zip(of.values, less.values, strict=True))
