"""Metrics of a model's answers. Shares are 0 to 1, intervals are 95 %."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.measure.scores import Scores

BINS = 15
# False rejection rates at which the OOD rejection rates of models are compared.
OPERATING_POINTS = (0.005, 0.01, 0.03)
_Z95 = 1.959964


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """95 % confidence interval of a share (Wilson 1927)."""
    if trials == 0:
        return math.nan, math.nan
    share, z2 = successes / trials, _Z95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    return max(0.0, centre - half), min(1.0, centre + half)


def reliability(scores: Scores) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean confidence, accuracy and photos in each of BINS equal bins of confidence; nan where a bin is empty."""
    rows = scores.labelled
    confidence = scores.probabilities[rows].max(axis=1)
    right = scores.predicted[rows] == scores.targets[rows]
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(bins, confidence, BINS) / counts
        accuracy = np.bincount(bins, right, BINS) / counts
    return mean_confidence, accuracy, counts


def expected_calibration_error(scores: Scores) -> float:
    """Mean difference between confidence and accuracy (Naeini et al. 2015; Guo et al. 2017)."""
    confidence, accuracy, counts = reliability(scores)
    return float(np.nansum(np.abs(confidence - accuracy) * counts) / counts.sum())


def bootstrap_ece(scores: Scores, rounds: int = 200) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the expected calibration error."""
    random = np.random.default_rng(0)
    rows = np.flatnonzero(scores.labelled)
    draws = []
    for _ in range(rounds):
        some = random.choice(rows, len(rows))
        drawn = dataclasses.replace(
            scores, targets=scores.targets[some], probabilities=scores.probabilities[some]
        )
        draws.append(expected_calibration_error(drawn))
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def confusion(scores: Scores) -> NDArray[np.int64]:
    """Counts of photos by true class (rows; the last is none) and answer (columns; the last is unrecognized)."""
    answer = np.where(scores.accepted, scores.predicted, len(scores.labels))
    matrix = np.zeros((len(scores.labels) + 1,) * 2, dtype=np.int64)
    np.add.at(matrix, (scores.targets, answer), 1)
    return matrix


def auroc(own: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Share of pairs (photo of a label, photo of none) in which the former scores higher; ties count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, own, "left")
    ties = np.searchsorted(ordered, own, "right") - below
    return float((below + ties / 2).mean() / len(others))


def rejected_at(own: NDArray[np.float64], others: NDArray[np.float64], false_rejections: float) -> float:
    """OOD rejection rate at the threshold that rejects the share `false_rejections` of `own`."""
    threshold = np.sort(own)[int(false_rejections * len(own))]
    return float((others < threshold).mean())


def operating_curve(
    own: NDArray[np.float64], others: NDArray[np.float64], points: int = 200
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False rejection rates, evenly spaced on a logarithmic scale, and the OOD rejection rate at each."""
    rates = np.geomspace(1 / len(own), 0.5, points)
    return rates, np.array([rejected_at(own, others, rate) for rate in rates])


def measure(scores: Scores) -> dict[str, Any]:
    """Every metric of the model card that follows from the answers."""
    rows = scores.labelled
    targets, predicted = scores.targets[rows], scores.predicted[rows]
    right = int((predicted == targets).sum())
    rejected = int((~scores.accepted[rows]).sum())
    likelihood = scores.probabilities[rows][np.arange(len(targets)), targets]
    figures: dict[str, Any] = {
        "photos": int(rows.sum()),
        "accuracy": right / len(targets),
        "accuracy_interval": wilson(right, len(targets)),
        "expected_calibration_error": expected_calibration_error(scores),
        "expected_calibration_error_interval": bootstrap_ece(scores),
        "negative_log_likelihood": float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        "wrongly_unrecognized": rejected / len(targets),
        "wrongly_unrecognized_interval": wilson(rejected, len(targets)),
        "per_class": {
            label: {
                "precision": float((targets[predicted == k] == k).mean()) if (predicted == k).any() else 0.0,
                "recall": float((predicted[targets == k] == k).mean()) if (targets == k).any() else None,
                "photos": int((targets == k).sum()),
            }
            for k, label in enumerate(scores.labels)
        },
        "skipped": len(scores.skipped),
    }
    if (~rows).any():
        figures |= _neither(scores)
    return figures


def measure_all(scores: Scores) -> dict[str, Any]:
    """The metrics of `measure`, and by source, by kind, and over the kinds of photos of none, if there are several."""
    figures = measure(scores)
    kinds = by_kind(scores)
    for name, found in (("by_source", by_source(scores)), ("over_kinds", over_kinds(kinds))):
        if found:
            figures[name] = found
    return figures | {"by_kind": kinds}


def _neither(scores: Scores) -> dict[str, Any]:
    own, others = scores.recognized[scores.labelled], scores.recognized[~scores.labelled]
    rejected = int((others < scores.threshold).sum())
    return {
        "neither_photos": len(others),
        "neither_unrecognized": rejected / len(others),
        "neither_unrecognized_interval": wilson(rejected, len(others)),
        "neither_auroc": auroc(own, others),
        "neither_unrecognized_at": {
            f"{share:g}": rejected_at(own, others, share)
            for share in OPERATING_POINTS
            if share * len(own) >= 1  # with fewer photos, not even one may be rejected
        },
    }


def by_source(scores: Scores) -> list[dict[str, Any]]:
    """Figures of the labels' photos from each source, their kind, the least accurate first; empty for one source."""
    kinds = np.array(scores.kinds or ("",) * len(scores.targets))
    lines = []
    for source in np.unique(kinds[scores.labelled]):
        some = scores.take(np.flatnonzero(scores.labelled & (kinds == source)).tolist())
        names = (
            "photos",
            "accuracy",
            "accuracy_interval",
            "wrongly_unrecognized",
            "expected_calibration_error",
        )
        figures = measure(some)
        lines.append({"source": str(source)} | {name: figures[name] for name in names})
    return sorted(lines, key=lambda line: float(line["accuracy"])) if len(lines) > 1 else []


def over_kinds(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean OOD rejection rate over the kinds of `by_kind`, the lowest one, and its kind."""
    rates = {line["kind"]: line["unrecognized"] for line in lines if line["class"] == "none" and line["kind"]}
    if len(rates) < 2:
        return {}
    worst = min(rates, key=lambda kind: float(rates[kind]))
    mean = float(np.mean(list(rates.values())))
    return {"kinds": len(rates), "mean": mean, "worst": rates[worst], "worst_kind": worst}


def by_kind(scores: Scores) -> list[dict[str, Any]]:
    """For each class and kind of photo: how many photos, how many correct, how many unrecognized; the worst first.

    Photos of none of the labels are correct when they are not recognized.
    """
    names = (*scores.labels, "none")
    kinds = scores.kinds or ("",) * len(scores.targets)
    groups: dict[tuple[int, str], list[int]] = {}
    for i, (target, kind) in enumerate(zip(scores.targets.tolist(), kinds, strict=True)):
        groups.setdefault((target, kind), []).append(i)
    lines = []
    for (target, kind), members in groups.items():
        some = np.array(members)
        unrecognized = float((~scores.accepted[some]).mean())
        own = target < len(scores.labels)
        right = float((scores.predicted[some] == target).mean()) if own else unrecognized
        lines.append(
            {
                "class": names[target],
                "kind": kind,
                "photos": len(some),
                "right": right,
                "unrecognized": unrecognized,
            }
        )
    return sorted(lines, key=lambda line: (line["class"] == "none", line["right"]))


def confused(scores: Scores, most: int = 8) -> Sequence[tuple[str, str, int]]:
    """The most frequent confusions of labels: true label, answer, photos."""
    matrix = np.zeros((len(scores.labels),) * 2, dtype=np.int64)
    rows = scores.labelled
    np.add.at(matrix, (scores.targets[rows], scores.predicted[rows]), 1)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(matrix, axis=None, kind="stable")[::-1][:most]
    pairs = [divmod(int(i), len(scores.labels)) for i in order]
    return [(scores.labels[a], scores.labels[b], int(matrix[a, b])) for a, b in pairs if matrix[a, b]]
