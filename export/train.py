"""From a folder of photos to a run: find and check photos, extract features, fit, calibrate, assemble, measure.

Result: five flowers, 100 photos each, in 27 seconds of CPU time on two cores of an AMD EPYC with AVX2: 90.4 % of the
test photos, 96.0 % of photos of other things unrecognized at 1.0 % false rejections; one run (`python -m benchmarks
own-classes`).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api._classifier import available_cpus
from api._photo.image import decode
from export import check, figures, provenance, run
from export.body import body as bodies
from export.body.body import Body
from export.body.extract import Cache, Features, extract
from export.errors import ExportError
from export.files import printable
from export.fitting import Fitted, fit
from export.graph.assemble import assemble
from export.photos import MAX_PIXELS, evenly
from export.photos.find import SPLITS, Found, Photos, find_all, find_neither
from export.recipe import Recipe
from export.summary import Summary, show_classes

log = logging.getLogger(__name__)


def train(
    roots: Sequence[Path],
    out: Path,
    recipe: Recipe,
    neither: Path | None = None,
    cache: Path | None = None,
    command: str = "",
    resume: bool = False,
    devices: int | str = "auto",
) -> run.Run:
    """Train by the recipe on the photos in `roots`; return the finished run in `out`.

    `neither` is a folder of photos that show none of the classes, in addition to the body's negatives. `cache` is where
    features are kept, if anywhere. Raises ExportError with a sentence that says what to do.
    """
    started, cpu = time.perf_counter(), time.process_time()
    _prepare(out, [*roots, *([neither] if neither else [])])
    summary = Summary()
    found = find_all(roots)
    others = find_neither(neither, found.labels) if neither else Found(found.labels, {})
    for line in (*found.remarks, *others.remarks):
        summary.add(line)
    show_classes(found, others)
    if recipe.finetune and not len(found.splits["val"]):
        raise ExportError(
            "A network that is trained on the photos cannot be judged on them: put a seventh of each class into val/."
        )
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
    figures.measure(model, body, metadata, found, others, splits, fitted, out, summary)
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


def _prepare(out: Path, photos: Sequence[Path]) -> None:
    """The run's folder, emptied of an earlier run. Raises ExportError if it holds other files."""
    for folder in photos:
        if out.resolve().is_relative_to(folder.resolve()):
            raise ExportError(
                f"{printable(out)} lies among the photos: the next run would learn this one's plots. Choose another "
                "--out."
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (out / run.MARK).exists():
            raise ExportError(
                f"{printable(out)} holds other files, which a run might overwrite. Choose another --out."
            )
        (out / run.MARK).touch()
        for name in (run.METADATA, *run.PLOTS, *run.SHEETS):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise ExportError(
            f"{printable(out)} cannot be the run's folder: {error.strerror}. Choose another --out."
        ) from error


def _body(
    recipe: Recipe, found: Found, others: Found, out: Path, command: str, resume: bool, devices: int | str,
    summary: Summary,
) -> Body:  # fmt: skip
    if not recipe.finetune:
        return bodies.load(bodies.BODIES / recipe.body)
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
    """Features of train, val, and of the user's photos of none of the classes ("others", "others_val")."""
    views = recipe.views_for(len(found.splits["train"]))
    todo = len(found.splits["train"]) * len(views) + len(found.splits["val"])
    log.info(
        "computing features of %s views of photos: about %s, and nothing for those that are known already",
        f"{todo:,}", _forecast(body, todo),
    )  # fmt: skip
    splits = {
        "train": extract(body, found.splits["train"], cache, views, "train"),
        "val": extract(body, found.splits["val"], cache, title="val"),
        "others": extract(
            body, others.splits.get("train", Photos(found.labels)), cache, title="none of them"
        ),
        "others_val": extract(
            body, others.splits.get("val", Photos(found.labels)), cache, title="none of them, val"
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
    splits["train"], splits["val"] = check.without_copies(splits["train"], splits["val"], summary)
    splits["others"] = check.none_without_copies(splits["train"], splits["others"], summary)
    return splits


def _forecast(body: Body, views: int) -> str:
    """A sentence on how long the body will take for this many views, from the time of one."""
    pixels = np.zeros((1, body.input_size, body.input_size, 3), dtype=np.uint8)
    session = body.session()
    started = time.perf_counter()
    for _ in range(5):
        session.run(None, {"pixels": pixels})
    # Decoding a photo takes about as long as running the body on it.
    seconds = views * 2 * (time.perf_counter() - started) / 5 / available_cpus()
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


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
            "precision": "int8", "opset": source["weights"]["opset"],
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
                "name": recipe.name, "body": recipe.body,
                "views": list(recipe.views_for(len(found.splits["train"]))), "c": recipe.c,
                "folds": recipe.folds, "finetune": recipe.finetune,
            },
            "classes": {
                label: {split: found.splits[split].count(k) for split in SPLITS}
                for k, label in enumerate(found.labels)
            },
        },
        "metrics": {},
    }  # fmt: skip


def _some_pixels(photos: Photos, size: int) -> NDArray[np.uint8]:
    rows = evenly(len(photos), run.PARITY_PHOTOS)
    return np.stack([decode(photos.paths[i].read_bytes(), size, MAX_PIXELS).pixels for i in rows])
