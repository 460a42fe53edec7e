"""A head for some photos: fitted, and its temperature and threshold chosen on photos that it has not seen."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export import head as heads
from export.body.body import Body
from export.body.extract import Features
from export.errors import ExportError
from export.head import Head
from export.measure import calibration
from export.photos.find import Photos
from export.recipe import Recipe
from export.summary import Summary

log = logging.getLogger(__name__)

# Temperature and threshold are chosen on val alone if it has so many photos; else on the out-of-fold answers as well.
ENOUGH_VAL = 400
# Of more photos than this an even part is cross-validated.
MOST_CROSSED = 20_000


@dataclass(frozen=True)
class Fitted:
    """A head with what was chosen for it, and the out-of-fold logits of the photos `crossed` and of the negatives."""

    head: Head
    temperature: float
    threshold: float
    chosen_on: str
    crossed: Photos
    oof: NDArray[np.float64]
    oof_negatives: NDArray[np.float64]


def fit(splits: dict[str, Features], body: Body, recipe: Recipe, summary: Summary) -> Fitted:
    """Fit the head; choose temperature and threshold on photos that it has not seen."""
    own, val = splits["train"], splits["val"]
    labels = len(own.photos.labels)
    negatives = body.negatives
    if len(negatives):
        shown = heads.show_a_class(negatives, own.values[:, 0], own.targets)
        negatives = negatives[~shown]
        summary.add(
            f"{len(negatives):,} photos of all kinds of things, known to the body, teach what is none of the classes"
            + (f"; {shown.sum()} that look like one of them were left out" if shown.any() else "")
        )
    given = splits["others"].values[:, 0]
    everything = heads.Negatives(np.concatenate([negatives, given]), len(given))
    log.info("fitting the head, and %d more for the cross-validation", recipe.folds)
    crossed = own
    if len(own.photos) > MOST_CROSSED:
        crossed = own.take(np.linspace(0, len(own.photos) - 1, MOST_CROSSED).astype(int))
        summary.add(f"cross-validation on {MOST_CROSSED:,} of the {len(own.photos):,} photos, evenly chosen")
    oof, oof_negatives = heads.out_of_fold(
        crossed.values, crossed.targets, everything, labels, recipe.folds, recipe.c
    )
    head = heads.fit_views(own.values, own.targets, everything, labels, recipe.c)
    # A class of one photo has no out-of-fold answer: the head that judges it has never seen its class.
    judged = np.bincount(crossed.targets, minlength=labels)[crossed.targets] > 1
    logits, targets = oof[judged], crossed.targets[judged]
    chosen_on = f"{recipe.folds}-fold cross-validation"
    if len(val.photos):
        on_val = head.logits(val.values[:, 0])
        # A network that was trained here has seen all the photos of the folds.
        if len(val.photos) >= ENOUGH_VAL or recipe.finetune:
            logits, targets, chosen_on = on_val, val.targets, "val"
        else:
            logits, targets = np.concatenate([logits, on_val]), np.concatenate([targets, val.targets])
            chosen_on += " and val"
    if not len(logits):
        raise ExportError(
            "Every class has a single photo: nothing can be held back to test with. Add photos."
        )
    temperature = calibration.temperature(logits, targets)
    scores_of_negatives = calibration.recognized(oof_negatives, temperature)
    groups = np.split(scores_of_negatives, [len(negatives)])
    if recipe.finetune:
        groups = []  # a network that has seen them, or whose pretrained features they are, rejects them too easily
    threshold = calibration.threshold(calibration.recognized(logits, temperature), *groups)
    log.info("temperature %.3f and threshold %.4f, chosen on %s", temperature, threshold, chosen_on)
    return Fitted(head, temperature, threshold, chosen_on, crossed.photos, oof, oof_negatives)
