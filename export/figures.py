"""The figures of a run: on test through the code that serves, and by cross-validation; plots and contact sheets."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from api._registry import Model
from export import check
from export.body.body import Body
from export.body.extract import Cache, Features, extract
from export.files import printable
from export.fitting import Fitted
from export.measure import metrics, mistakes, scores
from export.measure.scores import Scores
from export.photos import sheet
from export.photos.find import Found, Photos
from export.summary import Summary

log = logging.getLogger(__name__)

# So many doubtful labels are drawn.
MOST_DOUBTFUL = 24


def measure(
    model: Model, body: Body, metadata: dict[str, Any], found: Found, others: Found, splits: dict[str, Features],
    fitted: Fitted, out: Path, summary: Summary,
) -> None:  # fmt: skip
    """The figures: on test through the code that serves, and by cross-validation; plots and contact sheets."""
    own = fitted.crossed
    unseen = Photos(
        own.labels, (Path("negative"),) * len(fitted.oof_negatives), (len(own.labels),) * len(fitted.oof_negatives),
        ("",) * len(fitted.oof_negatives),
    )  # fmt: skip
    crossed = scores.from_logits(
        own.labels, own + unseen, np.concatenate([fitted.oof, fitted.oof_negatives]), fitted.temperature,
        fitted.threshold,
    )  # fmt: skip
    metadata["metrics"]["cross_validation"] = metrics.measure(crossed)
    _doubtful(crossed, own, out, summary)
    shown = _on_test(model, body, found, others, splits["train"], summary) or crossed
    if shown is not crossed:
        metadata["metrics"]["test"] = metrics.measure(shown)
        if kinds := [line for line in metrics.by_kind(shown) if line["kind"]]:
            metadata["metrics"]["test"]["by_kind"] = kinds
    metadata["confused"] = metrics.confused(shown)
    metadata["latency_ms"] = round(scores.latency_ms(model), 2)
    from export.measure import plots

    plots.draw_all(shown, out)
    if shown is crossed:  # the negatives are features of photos that nobody here has
        shown = crossed.take(range(len(own)))
    if count := mistakes.draw(shown, out / "mistakes.png"):
        log.info("%d mistakes, the surest of them in %s", count, printable(out / "mistakes.png"))


def _on_test(
    model: Model, body: Body, found: Found, others: Found, train: Features, summary: Summary
) -> Scores | None:
    """The answers about test, through the code that serves, less copies of training photos; None without a test."""
    if not len(found.splits["test"]):
        summary.add("there is no test split: the figures are those of the cross-validation")
        return None
    shown = scores.score(
        model, found.splits["test"] + others.splits.get("test", Photos(found.labels)), title="test"
    )
    for line in shown.skipped[:10]:
        summary.add(f"skipped {line}")
    if copied := _copies(body, train, shown):
        summary.add(f"{len(copied)} photos of test are copies of training photos and were left out")
        shown = shown.take([i for i in range(len(shown.targets)) if i not in copied])
    return shown if shown.labelled.any() else None


def _copies(body: Body, train: Features, shown: Scores) -> set[int]:
    """Rows of photos that train has as well. Only those that look like copies need features to be sure."""
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


def _doubtful(crossed: Scores, own: Photos, out: Path, summary: Summary) -> None:
    count = len(own)
    rows = check.doubtful(crossed.probabilities[:count], crossed.targets[:count])
    (out / "doubtful.png").unlink(missing_ok=True)
    if not len(rows):
        return
    cells = []
    for i in rows[:MOST_DOUBTFUL].tolist():
        best = int(crossed.probabilities[i].argmax())
        lines = (
            f"is it {own.labels[best]}?", f"labelled {own.labels[own.targets[i]]}", own.paths[i].name,
        )  # fmt: skip
        cells.append((own.paths[i], lines))
    sheet.draw(cells, out / "doubtful.png")
    summary.add(
        f"{len(rows)} training photos have a label that the other photos contradict; the most doubtful are in "
        f"{printable(out / 'doubtful.png')}"
    )
