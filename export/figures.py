"""The figures of a run: on test through the code that serves, and by cross-validation; plots and contact sheets."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from api._registry import Model
from export import check
from export.body.body import Body
from export.body.extract import Cache, Features, extract
from export.errors import ExportError
from export.files import printable
from export.fitting import Fitted
from export.measure import metrics, mistakes, scores
from export.measure.scores import Scores
from export.photos import sheet
from export.photos.find import Found, Photos
from export.summary import Summary, counted

log = logging.getLogger(__name__)

# Written by the training of a network, one line for each epoch.
LEARNING = "metrics.jsonl"
# How many doubtful labels are drawn.
MOST_DOUBTFUL = 24
# With fewer test photos of a class its figures would be noise.
LEAST_TEST = 2


def measure(
    model: Model, body: Body, metadata: dict[str, Any], found: Found, others: Found, splits: dict[str, Features],
    fitted: Fitted, out: Path, summary: Summary,
) -> None:  # fmt: skip
    """The figures: on test through the code that serves, and by cross-validation; plots and contact sheets."""
    judged = fitted.judged
    trained = bool(metadata["training"]["recipe"]["finetune"])
    metadata["metrics"]["val" if trained else "cross_validation"] = (
        metrics.measure_all(judged) if trained else metrics.measure(judged)
    )
    metadata["negatives"] = dict(zip(("used", "left_out"), fitted.negatives, strict=True))
    if not trained:
        _doubtful(judged.of_labels(), out, summary)
    shown = _on_test(model, body, found, others, splits["train"], summary) or judged
    if shown is not judged:
        metadata["metrics"]["test"] = metrics.measure_all(shown)
    metadata["confused"] = metrics.confused(shown)
    metadata["latency_ms"] = round(scores.latency_ms(model), 2)
    from export.measure import plots

    plots.draw_all(shown, out)
    if trained:
        _closely(model, found, out, metadata)
    if shown is judged:  # the negatives are features; the photos are not on this machine
        shown = judged.of_labels()
    if count := mistakes.draw(shown, out / "mistakes.png"):
        log.info("%s, the surest in %s", counted(count, "mistake"), printable(out / "mistakes.png"))


def _closely(model: Model, found: Found, out: Path, metadata: dict[str, Any]) -> None:
    """Measurements that are worth their time when training took longer: robustness, masking, learning curves."""
    from export.measure import plots
    from export.measure.robustness import masking, robustness

    metadata["masking"] = masking(model, found.splits["val"])
    metadata["robustness"] = robustness(model, found.splits["val"])
    plots.robustness_curves(metadata["robustness"], out / "robustness.png")
    history = [json.loads(line) for line in (out / LEARNING).read_text(encoding="utf-8").splitlines()]
    plots.learning_curves(history, out / "learning.png")


def _on_test(
    model: Model, body: Body, found: Found, others: Found, train: Features, summary: Summary
) -> Scores | None:
    """The answers for test, without copies of training photos, through the code that serves; None without test."""
    if not len(found.splits["test"]):
        summary.add(
            "there is no test split: the figures are those of photos that were held back from training"
        )
        return None
    photos = found.splits["test"] + others.splits.get("test", Photos(found.labels))
    try:
        shown = scores.score(model, photos, title="test")
    except ExportError as error:
        summary.add(f"test is not used: {error}")
        return None
    for line in shown.skipped[:10]:
        summary.add(f"skipped {line}")
    if copied := _copies(body, train, shown):
        summary.add(f"{counted(len(copied), 'photo')} of test left out: copies of training photos")
        shown = shown.without(copied)
    counts = np.bincount(shown.targets, minlength=len(found.labels))[: len(found.labels)]
    if counts.min() < LEAST_TEST:
        label = found.labels[int(counts.argmin())]
        summary.add(
            f"test is not used: it has {counted(int(counts.min()), 'photo')} of {label}; each class needs "
            f"{LEAST_TEST} at least"
        )
        return None
    return shown


def _copies(body: Body, train: Features, shown: Scores) -> set[int]:
    """Rows of photos that are also in train. Features are computed only for those whose hashes look like copies."""
    rows = check.may_be_copies(train.hashes, np.array(shown.hashes, dtype=np.uint64))
    paths, targets = (tuple(some[i] for i in rows) for some in (shown.paths, shown.targets.tolist()))
    suspects = extract(
        body,
        Photos(shown.labels, paths, targets, ("",) * len(rows)),
        Cache(None, body),
        title="possible copies",
    )
    found = check.find_copies(train, suspects)
    pairs = (*found.between_splits, *found.between_classes)
    return {int(rows[second - len(train.photos)]) for _, second in pairs if second >= len(train.photos)}


def _doubtful(judged: Scores, out: Path, summary: Summary) -> None:
    rows = check.doubtful(judged.probabilities, judged.targets)
    if not len(rows):
        return
    cells = []
    for i in rows[:MOST_DOUBTFUL].tolist():
        best, own = judged.labels[int(judged.probabilities[i].argmax())], judged.labels[judged.targets[i]]
        cells.append((judged.paths[i], (f"is it {best}?", f"labelled {own}", judged.paths[i].name)))
    sheet.draw(cells, out / "doubtful.png")
    summary.add(
        f"{counted(len(rows), 'training photo')} at least with a label that the other photos contradict; the most "
        f"doubtful are in {printable(out / 'doubtful.png')}"
    )
