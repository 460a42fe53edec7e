"""Fits a head, and chooses its temperature and threshold on photos that it has not seen."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export import head as heads
from export.body.body import Body
from export.body.extract import Features
from export.errors import ExportError
from export.head import Head
from export.measure import calibration, scores
from export.measure.scores import Scores
from export.photos import evenly
from export.photos.find import Photos
from export.recipe import Recipe
from export.summary import Summary

log = logging.getLogger(__name__)

# With at least this many photos in val, temperature and threshold are chosen on val alone; else on the out-of-fold
# answers as well.
ENOUGH_VAL = 400
# With more photos than this, an evenly spaced part of them is cross-validated.
MOST_CROSSED = 20_000


@dataclass(frozen=True)
class Fitted:
    """A head, the temperature and threshold chosen for it, and its answers about photos that it has not seen.

    Attributes:
        judged: answers about the photos of the cross-validation and the negatives after them, each by a head that was
            fitted without it and a temperature and threshold chosen without it; of a network that was trained on the
            photos, answers about val and the val photos of none of the classes.
        negatives: how many of the body's were used, and how many left out.
    """

    head: Head
    temperature: float
    threshold: float
    chosen_on: str
    judged: Scores
    negatives: tuple[int, int]


def fit(splits: dict[str, Features], body: Body, recipe: Recipe, summary: Summary) -> Fitted:
    """Fit the head; choose temperature and threshold on photos that it has not seen."""
    own, val = splits["train"], splits["val"]
    labels = len(own.photos.labels)
    negatives = _negatives(own, body, summary)
    given = splits["others"].values[:, 0]
    everything = heads.Negatives(np.concatenate([negatives, given]), len(given))
    log.info(
        "fitting the head%s", "" if recipe.finetune else f", and {recipe.folds} more for the cross-validation"
    )
    head = heads.fit_views(own.values, own.targets, everything, labels, recipe.c)
    on_val = head.logits(val.values[:, 0])
    used = (len(negatives), len(body.negatives) - len(negatives))
    if recipe.finetune:
        # The network was trained on the photos of the folds and on the negatives: it would look too good on them.
        unseen = splits["others_val"]
        of_none = head.logits(unseen.values[:, 0])
        temperature, threshold = _choose(on_val, val.targets, [of_none] if len(of_none) else [])
        judged = scores.from_logits(
            val.photos.labels, val.photos + unseen.photos, np.concatenate([on_val, of_none]), temperature,
            threshold,
        )  # fmt: skip
        return Fitted(head, temperature, threshold, "val", judged, used)
    crossed = _cross_validate(own, everything, recipe, summary)
    if len(val.photos) >= ENOUGH_VAL:
        logits, targets, chosen_on = on_val, val.targets, "val"
    else:
        logits = np.concatenate([crossed.logits, on_val])
        targets = np.concatenate([crossed.photos.targets, val.photos.targets]).astype(np.int64)
        chosen_on = f"{recipe.folds}-fold cross-validation" + (" and val" if len(val.photos) else "")
    temperature, threshold = _choose(logits, targets, np.split(crossed.negatives, [len(negatives)]))
    log.info("temperature %.3f and threshold %.2g, chosen on %s", temperature, threshold, chosen_on)
    return Fitted(head, temperature, threshold, chosen_on, crossed.judge(threshold, len(negatives)), used)


def _negatives(own: Features, body: Body, summary: Summary) -> NDArray[np.float32]:
    """The body's negatives without those that show one of the classes."""
    if not len(body.negatives):
        return body.negatives
    shown = heads.show_a_class(body.negatives, own.values[:, 0], own.targets)
    shown = heads.with_their_kinds(shown, body.kinds)
    summary.add(
        f"{(~shown).sum():,} photos of all kinds of things, known to the body, teach what is none of the classes"
        + (f"; {shown.sum():,} that look like one of them were left out" if shown.any() else "")
    )
    return body.negatives[~shown]


def _choose(
    logits: NDArray[np.float64], targets: NDArray[np.int64], negatives: Sequence[NDArray[np.float64]]
) -> tuple[float, float]:
    """Temperature and threshold from logits [N, K] of photos and, by group, [M, K] of negatives."""
    temperature = calibration.temperature(logits, targets)
    own, *others = (calibration.recognized(some, temperature) for some in (logits, *negatives))
    return temperature, calibration.threshold(own, *others)


@dataclass(frozen=True)
class _Crossed:
    """Out-of-fold logits of photos [N, K] and negatives [M, K], and the fold of each."""

    photos: Photos
    logits: NDArray[np.float64]
    negatives: NDArray[np.float64]
    folds: NDArray[np.int64]

    def judge(self, threshold: float, of_body: int) -> Scores:
        """The answers, each with temperature and threshold of the other folds, moved so that `threshold` fits all."""
        count = len(self.photos)
        own, others = self.folds[:count], self.folds[count:]
        targets = np.asarray(self.photos.targets, dtype=np.int64)
        none = Photos(
            self.photos.labels, (Path("negative"),) * len(others), (len(self.photos.labels),) * len(others),
            ("",) * len(others),
        )  # fmt: skip
        logits = np.concatenate([self.logits, self.negatives])
        judged = scores.from_logits(self.photos.labels, self.photos + none, logits, 1.0, threshold)
        for number in np.unique(self.folds):
            rest = own != number
            if not rest.any():
                rest = np.ones_like(rest)
            groups = [
                group[fold != number]
                for group, fold in zip(
                    np.split(self.negatives, [of_body]), np.split(others, [of_body]), strict=True
                )
            ]
            temperature, bound = _choose(self.logits[rest], targets[rest], groups)
            rows = np.flatnonzero(self.folds == number)
            some = scores.from_logits(
                self.photos.labels, (self.photos + none).take(rows.tolist()), logits[rows], temperature, bound
            )
            judged.probabilities[rows] = some.probabilities
            # Moved so that the threshold of each fold coincides with the one that is served.
            judged.recognized[rows] = _moved(some.recognized, bound, threshold)
        return judged


def _moved(scored: NDArray[np.float64], bound: float, to: float) -> NDArray[np.float64]:
    """Scores shifted on the logit scale so that `bound` becomes `to`."""
    clipped, low, high = (np.clip(some, 1e-9, 1 - 1e-9) for some in (scored, bound, to))
    shifted = np.log(clipped / (1 - clipped)) - np.log(low / (1 - low)) + np.log(high / (1 - high))
    moved = 1 / (1 + np.exp(-shifted))
    # Rounding must not move a score to the other side of the threshold.
    return np.asarray(
        np.where(scored >= bound, np.maximum(moved, to), np.minimum(moved, np.nextafter(to, 0)))
    )


def _cross_validate(own: Features, negatives: heads.Negatives, recipe: Recipe, summary: Summary) -> _Crossed:
    part = own
    if len(own.photos) > MOST_CROSSED:
        part = own.take(evenly(len(own.photos), MOST_CROSSED))
        summary.add(f"cross-validation on {MOST_CROSSED:,} of the {len(own.photos):,} photos, evenly chosen")
    labels = len(own.photos.labels)
    logits, of_negatives, folds = heads.out_of_fold(
        part.values, part.targets, negatives, labels, recipe.folds, recipe.c
    )
    # A class with one photo has no out-of-fold answer: the head of its fold has never seen the class.
    judged = np.flatnonzero(np.bincount(part.targets, minlength=labels)[part.targets] > 1)
    if not len(judged):
        raise ExportError(
            "Every class has a single photo: nothing can be held back to test with. Add photos."
        )
    if len(judged) < len(part.photos):
        summary.add("classes of a single photo are learned, but nothing can be said of how well")
    folds = np.concatenate([folds[judged], folds[len(part.photos) :]])
    return _Crossed(part.photos.take(judged.tolist()), logits[judged], of_negatives, folds)
