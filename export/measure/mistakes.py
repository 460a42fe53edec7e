"""A contact sheet of a model's mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.measure.scores import Scores
from export.photos import sheet

MOST = 60


def draw(scores: Scores, path: Path) -> int:
    """Draw the mistakes, the most confident first, into one image; return how many there are.

    A mistake is a wrong label, a photo of a label that is not recognized, or one of none that is.
    """
    accepted = scores.accepted
    wrong = np.where(scores.labelled, (scores.predicted != scores.targets) | ~accepted, accepted)
    certainty = np.where(scores.labelled & ~accepted, 1 - scores.recognized, scores.probabilities.max(axis=1))
    rows = sorted(np.flatnonzero(wrong).tolist(), key=lambda i: -certainty[i])
    names = (*scores.labels, "none of them")
    cells = []
    for i in rows[:MOST]:
        said = (
            f"{names[scores.predicted[i]]} {scores.probabilities[i].max():.0%}"
            if accepted[i]
            else "unrecognized"
        )
        cells.append(
            (scores.paths[i], (f"said {said}", f"is {names[scores.targets[i]]}", scores.paths[i].name))
        )
    if cells:
        sheet.draw(cells, path)
    return len(rows)
