"""From a folder of photos to a run: found, checked, shown to the body, a head fitted, calibrated, assembled, measured.

Result: five flowers, 100 photos each, in 15 seconds of CPU time: 91 % of the test photos, 95 % of photos of other
things unrecognized (`python -m benchmarks own-classes`).
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api._image import decode
from api._registry import Model
from export import check, provenance, run
from export import head as heads
from export.body import body as bodies
from export.body.body import Body
from export.body.extract import MAX_PIXELS, Cache, Features, extract
from export.errors import ExportError
from export.files import printable
from export.graph.assemble import assemble
from export.head import Head
from export.measure import calibration, metrics, mistakes, scores
from export.measure.scores import Scores
from export.photos import sheet
from export.photos.find import SPLITS, Found, Photos, find, find_neither
from export.recipe import Recipe

log = logging.getLogger(__name__)

BODIES = Path(__file__).parent.parent / "model" / "bodies"
OPSET = 18
# Temperature and threshold are chosen on val alone if it has so many photos; else on the out-of-fold answers as well.
ENOUGH_VAL = 400
# So many doubtful labels are drawn.
MOST_DOUBTFUL = 24


@dataclass
class Summary:
    """What the user should know about the photos, a line each, in the order it was found out."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Say a line now and keep it for the run."""
        if line:
            self.lines.append(line)
            log.info("- %s", line)


@dataclass(frozen=True)
class Fitted:
    """A head with what was chosen for it, and the out-of-fold answers it was chosen on."""

    head: Head
    temperature: float
    threshold: float
    chosen_on: str
    oof: NDArray[np.float64]
    oof_negatives: NDArray[np.float64]


def train(
    root: Path,
    out: Path,
    recipe: Recipe,
    neither: Path | None = None,
    cache: Path | None = None,
    command: str = "",
    resume: bool = False,
    devices: int | str = "auto",
) -> run.Run:
    """Train by the recipe on the photos in `root`; return the finished run in `out`.

    `neither` is a folder of photos that show none of the classes, beside those that the body knows. `cache` is where
    features are kept, if anywhere. Raises ExportError with a sentence that says what to do.
    """
    started, cpu = time.perf_counter(), time.process_time()
    _prepare(out)
    summary = Summary()
    found = find(root)
    others = find_neither(neither, found.labels) if neither else Found(found.labels, {})
    for line in (*found.remarks, *others.remarks):
        summary.add(line)
    _show(found, others)
    body = _body(recipe, found, others, out, command, resume, devices, summary)
    store = Cache(cache, body)
    try:
        splits = _features(body, found, others, recipe, store, summary)
    finally:
        store.close()
    summary.add(store.problem)
    fitted = fit(splits, body, recipe, summary)
    graph = assemble(body, fitted.head, fitted.temperature)
    metadata = _describe(found, body, recipe, fitted, graph, command)
    model = run.as_model(graph, metadata, out)
    _measure(model, body, metadata, found, others, splits, fitted, out, summary)
    metadata["training"] |= {
        "photos": len(splits["train"].photos),
        "summary": summary.lines,
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }
    run.save(out, graph, metadata, body, fitted.head, _some_pixels(splits["train"].photos, body.input_size))
    finished = run.load(out)
    log.info("the served graph differs from the fitted head by %.1g at most", run.parity(finished))
    return finished


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"{printable(out)} cannot be the run's folder: {error.strerror}. Choose another --out."
        ) from error


def _show(found: Found, others: Found) -> None:
    """A table of classes and splits, so that a missing folder is seen before anything takes time."""
    names = [*found.labels, "none of them"]
    rows = [
        [
            *(
                found.splits[s].count(k) if k < len(found.labels) else len(others.splits.get(s, ()))
                for s in SPLITS
            )
        ]
        for k in range(len(names))
    ]
    if not any(rows[-1]):
        del rows[-1]
    width = max(len(name) for name in names)
    shown = list(zip(names, rows, strict=False))
    if len(shown) > 40:
        log.info("%d classes; the smallest 20:", len(found.labels))
        shown = sorted(shown, key=lambda each: each[1][0])[:20]
    log.info("%s %s", "class".ljust(width), " ".join(f"{split:>7}" for split in SPLITS))
    for name, counts in shown:
        log.info("%s %s", printable(name).ljust(width), " ".join(f"{count:>7,}" for count in counts))


def _body(
    recipe: Recipe, found: Found, others: Found, out: Path, command: str, resume: bool, devices: int | str,
    summary: Summary,
) -> Body:  # fmt: skip
    if not recipe.finetune:
        return bodies.load(BODIES / recipe.body)
    try:
        from export.finetune.train import train_body
    except ImportError as error:
        raise ExportError(
            f"The recipe {recipe.name} trains a network, which needs PyTorch: pip install -r "
            f"export/requirements-finetune.txt ({error})"
        ) from error
    return train_body(recipe, found, others, out, command, resume, devices, summary.add)


def _features(
    body: Body, found: Found, others: Found, recipe: Recipe, cache: Cache, summary: Summary
) -> dict[str, Features]:
    """Features of train, val, and of the user's photos of none of the classes ("others")."""
    todo = len(found.splits["train"]) * len(recipe.views) + len(found.splits["val"])
    log.info("computing the features of %s photos; those that are known already take no time", f"{todo:,}")
    splits = {
        "train": extract(body, found.splits["train"], cache, recipe.views, "train"),
        "val": extract(body, found.splits["val"], cache, title="val"),
        "others": extract(
            body, others.splits.get("train", Photos(found.labels)), cache, title="none of them"
        ),
    }
    for line in [line for features in splits.values() for line in features.skipped][:10]:
        summary.add(f"skipped {line}")
    if (skipped := sum(len(features.skipped) for features in splits.values())) > 10:
        summary.add(f"{skipped} photos in all could not be read")
    counts = [int((splits["train"].targets == k).sum()) for k in range(len(found.labels))]
    if min(counts) == 0:
        label = found.labels[counts.index(0)]
        raise ExportError(f"None of the training photos of {label} can be read, so it cannot be learned.")
    summary.add(check.lopsided(found.labels, counts))
    splits["val"] = _without_copies(splits["train"], splits["val"], summary)
    return splits


def _without_copies(train: Features, val: Features, summary: Summary) -> Features:
    """Val less the photos that train has as well: they would make every choice look better than it is."""
    copies = check.find_copies(*_together(train, val))
    for first, second in copies.between_classes[:5]:
        paths = (*train.photos.paths, *val.photos.paths)
        summary.add(
            f"the same photo in two classes: {printable(paths[first])} and {printable(paths[second])}"
        )
    if len(copies.between_classes) > 5:
        summary.add(
            f"{len(copies.between_classes)} pairs of photos in all are the same and lie in two classes"
        )
    doubled = {second - len(train.photos) for _, second in copies.between_splits}
    if not doubled:
        return val
    summary.add(f"{len(doubled)} photos of val are copies of training photos and were left out")
    return val.take([i for i in range(len(val.photos)) if i not in doubled])


def _together(train: Features, other: Features) -> tuple[Features, NDArray[np.int64]]:
    """The first view of both, and which of them each photo is from: 0 train, 1 the other."""
    both = Features(
        train.photos + other.photos,
        np.concatenate([train.values[:, :1], other.values[:, :1]])
        if len(other.photos)
        else train.values[:, :1],
        np.concatenate([train.hashes, other.hashes]),
        train.digests + other.digests,
    )
    return both, np.repeat([0, 1], [len(train.photos), len(other.photos)])


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
    oof, oof_negatives = heads.out_of_fold(
        own.values, own.targets, everything, labels, recipe.folds, recipe.c
    )
    head = heads.fit_views(own.values, own.targets, everything, labels, recipe.c)
    # A class of one photo has no out-of-fold answer: the head that judges it has never seen its class.
    judged = np.bincount(own.targets, minlength=labels)[own.targets] > 1
    logits, targets = oof[judged], own.targets[judged]
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
    return Fitted(head, temperature, threshold, chosen_on, oof, oof_negatives)


def _describe(
    found: Found, body: Body, recipe: Recipe, fitted: Fitted, graph: bytes, command: str
) -> dict[str, Any]:
    source = body.metadata
    return {
        "name": "purrdict",
        "architecture": f"{source['architecture']}, and a fitted head",
        "labels": list(found.labels),
        "input_size": body.input_size,
        "thresholds": {"recognized": fitted.threshold},
        "temperature": fitted.temperature,
        "chosen_on": fitted.chosen_on,
        "weights": {
            "file": run.MODEL, "sha256": hashlib.sha256(graph).hexdigest(), "bytes": len(graph),
            "precision": "int8", "opset": OPSET,
        },
        "parameters": int(source["parameters"]) + fitted.head.weights.size + fitted.head.bias.size,
        "body": {key: source[key] for key in ("name", "source", "licence") if key in source}
        | {"sha256": source["weights"]["sha256"]},
        "training": {
            "command": command,
            "commit": provenance.commit(),
            "hardware": provenance.hardware(),
            "finished": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "recipe": {
                "name": recipe.name, "body": recipe.body, "views": list(recipe.views), "c": recipe.c,
                "folds": recipe.folds, "finetune": recipe.finetune,
            },
            "classes": {
                label: {split: found.splits[split].count(k) for split in SPLITS}
                for k, label in enumerate(found.labels)
            },
        },
        "metrics": {},
    }  # fmt: skip


def _measure(
    model: Model, body: Body, metadata: dict[str, Any], found: Found, others: Found, splits: dict[str, Features],
    fitted: Fitted, out: Path, summary: Summary,
) -> None:  # fmt: skip
    """The figures: on test through the code that serves, and by cross-validation; plots and contact sheets."""
    own = splits["train"].photos
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
    found = check.find_copies(*_together(train, suspects))
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
        f"{len(rows)} training photos have a label that is probably wrong; the worst are in "
        f"{printable(out / 'doubtful.png')}"
    )


def _some_pixels(photos: Photos, size: int) -> NDArray[np.uint8]:
    rows = np.linspace(0, len(photos) - 1, min(run.PARITY_PHOTOS, len(photos))).astype(int)
    return np.stack([decode(photos.paths[i].read_bytes(), size, MAX_PIXELS).pixels for i in rows])
