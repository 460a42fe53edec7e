"""A checkpoint to a published model: export, quantize, calibrate, measure, describe; then move it into place whole.

Everything is built in a folder beside the registry's versions, loaded once through the code that serves, and renamed.
`latest` moves last. Killed at any point, or on a full disk, the model that was published stays as it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from api import _registry
from api._registry import Model
from export import card, data, evaluate, plots
from export.network import ARCHITECTURES, normalise, parameter_count, with_neither
from export.quantize import quantize
from export.to_onnx import OPSET, export
from export.train import LAST, METRICS, Checkpoint, load_checkpoint, load_mean, read_metrics

log = logging.getLogger(__name__)

WEIGHTS = "model.onnx"
# Calibration sees this many training photos, evenly spaced over the classes.
CALIBRATION_PHOTOS = 512
VERSION = re.compile(r"\d+\.\d+\.\d+([-.][0-9A-Za-z.]+)?")


class PublishError(Exception):
    """Nothing was published; the message says why."""


def publish(
    runs: Sequence[Path],
    version: str,
    models: Path,
    photos_root: Path,
    neither_root: Path | None,
    command: str,
    cache: Path | None = None,
    replace: bool = False,
    latest: bool = True,
    seeds: Sequence[Path] = (),
    sizes: Sequence[int] = (),
    note: str = "",
) -> Model:
    """Publish the averaged network of the run's last checkpoint; return the model as the service will load it.

    Of several runs the mean of their weights is published, and the last of them is described.
    """
    if not VERSION.fullmatch(version):
        raise PublishError(f"{version!r} is no version; use three numbers, like 1.0.0.")
    if (models / "versions" / version).exists() and not replace:
        raise PublishError(f"{version} is published already. Choose another version, or add --replace.")
    checkpoint = load_mean([run / LAST for run in runs])
    splits = {split: find(photos_root, neither_root, split, checkpoint.labels) for split in data.SPLITS}
    with staging(models, version) as folder:
        model, float_model = _build(checkpoint, sizes, splits, folder, version, cache)
        metadata = _describe(checkpoint, model, photos_root, neither_root, command, seeds)
        metadata["training"] |= {"note": note, "mean_of": [run.name for run in runs]}
        _measure(metadata, model, float_model, splits, folder)
        if lines := _metrics(runs):
            (folder / METRICS).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
            plots.learning_curves(lines, folder / "learning.png")
        (folder / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")
        (folder / "README.md").write_text(card.write(metadata, folder))
        _move(models, version, folder, latest)
    return _registry.load(models, version)


def _metrics(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """What the runs wrote after each epoch, with the run's name: its own, or those behind a restored model."""
    return [
        {"run": run.name} | line for run in runs if (run / METRICS).exists() for line in read_metrics(run)
    ]


def find(root: Path, neither_root: Path | None, split: str, labels: tuple[str, ...]) -> data.Photos:
    """A split's photos of the labels and, if there is a folder of them, of neither."""
    photos = data.find(root, split, labels)
    return photos + data.find_neither(neither_root, split, labels) if neither_root else photos


@contextmanager
def staging(models: Path, version: str) -> Iterator[Path]:
    """A folder beside the published versions, on the same disk, that vanishes unless it is moved into place."""
    root = models / f".staging-{os.getpid()}"
    folder = root / "versions" / version
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise PublishError(
            f"{version} was not published: {error}. What was published before is untouched."
        ) from error
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _choose_size(checkpoint: Checkpoint, sizes: Sequence[int], val: data.Photos, cache: Path | None) -> int:
    """The size with the least loss on val. Random crops make animals look larger in training than in whole photos, so
    a size above the last one trained at is often best (Touvron et al. 2019, arXiv:1906.06423).
    """
    sizes = sizes or [checkpoint.recipe.input_size]
    if len(sizes) == 1:
        return sizes[0]
    losses: dict[int, float] = {}
    for size in sizes:
        pixels = data.load(val, size, cache)
        targets = torch.from_numpy(pixels.targets)
        answers = []
        with torch.inference_mode():
            for some in np.array_split(pixels.array, max(1, len(pixels.array) // 32)):
                photos = normalise(torch.from_numpy(some).permute(0, 3, 1, 2))
                answers.append(with_neither(checkpoint.network(photos)))
        logits = torch.cat(answers)
        losses[size] = functional.cross_entropy(logits, targets).item()
        labelled = targets < len(checkpoint.labels)
        accuracy = (logits[labelled, :-1].argmax(1) == targets[labelled]).float().mean().item()
        log.info("at %s pixels: loss on val %.4f, accuracy %.4f", size, losses[size], accuracy)
    return min(losses, key=lambda size: losses[size])


def _build(
    checkpoint: Checkpoint,
    sizes: Sequence[int],
    splits: dict[str, data.Photos],
    folder: Path,
    version: str,
    cache: Path | None,
) -> tuple[Model, Model]:
    """The int8 model, written to `folder`, and its float32 original; temperature and threshold chosen on val."""
    size = _choose_size(checkpoint, sizes, splits["val"], cache)
    train = splits["train"]
    rows = np.linspace(0, len(train) - 1, min(CALIBRATION_PHOTOS, len(train))).astype(int)
    some = data.Photos(
        train.labels, tuple(train.paths[i] for i in rows), tuple(train.targets[i] for i in rows)
    )
    typical = data.load(some, size, cache).array
    float_path, weights_path = folder / "float32.onnx", folder / WEIGHTS
    plain = Model(version, folder, b"", checkpoint.labels, size, 0.5, {})
    difference = export(checkpoint.network, size, float_path)
    log.info("float32 graph differs from PyTorch by at most %.2g", difference)
    quantize(float_path, weights_path, typical)
    scores = evaluate.score(
        dataclasses.replace(plain, weights=weights_path.read_bytes()), splits["val"], title="val"
    )
    logits = evaluate.logits_of(scores)[scores.labelled]
    temperature = evaluate.temperature(logits, scores.targets[scores.labelled].tolist())
    log.info("temperature %.3f", temperature)
    export(checkpoint.network, size, float_path, temperature)
    quantize(float_path, weights_path, typical)
    plain = dataclasses.replace(plain, metadata={"temperature": temperature})
    model = dataclasses.replace(plain, weights=weights_path.read_bytes())
    scores = evaluate.score(model, splits["val"], title="val")
    model = dataclasses.replace(model, recognized_threshold=evaluate.recognized_threshold(scores))
    log.info("recognized from %.4f", model.recognized_threshold)
    float_model = dataclasses.replace(model, weights=float_path.read_bytes())
    float_path.unlink()
    return model, float_model


def _describe(
    checkpoint: Checkpoint,
    model: Model,
    root: Path,
    neither: Path | None,
    command: str,
    seeds: Sequence[Path],
) -> dict[str, Any]:
    recipe = dataclasses.asdict(checkpoint.recipe)
    return {
        "version": model.version,
        "name": "purrdict",
        "architecture": str(ARCHITECTURES[checkpoint.recipe.network]),
        "labels": list(checkpoint.labels),
        "input_size": model.input_size,
        "thresholds": {"recognized": model.recognized_threshold},
        "temperature": model.metadata["temperature"],
        "weights": {
            "file": WEIGHTS, "sha256": hashlib.sha256(model.weights).hexdigest(), "bytes": len(model.weights),
            "precision": "int8", "opset": OPSET,
        },
        "parameters": parameter_count(checkpoint.network),
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "training": {
            "data": f"{root.name} (split train){f', {neither.name} (split train)' if neither else ''}",
            "photos": checkpoint.photos,
            "epochs": f"{checkpoint.epoch} of {checkpoint.recipe.epochs}",
            "commit": checkpoint.commit,
            "command": checkpoint.command,
            "publish_command": command,
            "hours": round(checkpoint.seconds / 3600, 2),
            "hardware": checkpoint.hardware,
            "recipe": recipe,
        },
        "seeds": [_seed(path) for path in seeds],
    }  # fmt: skip


def _seed(run: Path) -> dict[str, Any]:
    """Seed, schedule and last val figures of a run."""
    checkpoint = load_checkpoint(run / LAST)
    last = read_metrics(run)[-1]
    figures = {name: last[name] for name in ("val_accuracy", "val_neither") if name in last}
    return {
        "seed": checkpoint.recipe.seed,
        "sizes": checkpoint.recipe.sizes,
        "command": checkpoint.command,
        **figures,
    }


def _measure(
    metadata: dict[str, Any], model: Model, float_model: Model, splits: dict[str, data.Photos], folder: Path
) -> None:
    metadata["metrics"] = {}
    for split in ("val", "test"):
        scores = evaluate.score(model, splits[split], title=split)
        figures = evaluate.measure(scores)
        float_scores = evaluate.score(float_model, splits[split], title=f"{split}, float32")
        figures["float_accuracy"] = evaluate.measure(float_scores)["accuracy"]
        metadata["metrics"][split] = figures
    metadata["metrics"]["test"]["latency_ms"] = round(evaluate.latency_ms(model), 2)
    metadata["robustness"] = evaluate.robustness(model, splits["test"])
    metadata["masking"] = evaluate.masking(model, splits["val"])
    plots.draw_all(scores, metadata["robustness"], folder)


def _move(models: Path, version: str, folder: Path, latest: bool) -> None:
    """Check the staged model as the service would, then rename it into place and move `latest`."""
    _registry.load(folder.parent.parent, version)
    final = models / "versions" / version
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        os.rename(final, folder.parent / "replaced")
    os.rename(folder, final)
    if latest:
        beside = models / ".latest.part"
        beside.write_text(f"{version}\n")
        os.replace(beside, models / "latest")
