"""Robustness: answers for degraded photos, and when the hottest part of the heatmap is painted over."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from api._classifier import Classifier
from api._photo.image import decode
from api._registry import Model
from export.measure.scores import score
from export.photos.find import Photos

JPEG_QUALITIES = (95, 75, 50, 30, 15, 8)
UPLOAD_SIDES = (240, 160, 112, 80, 56, 40)
# Measured on this many photos of the labels, evenly spaced.
PHOTOS = 500
# How many photos of a label are shown small, and the shares of the side of the scene that they take.
SMALL_PHOTOS, PARTS = 250, (0.6, 0.45, 0.3)


def _of_labels(photos: Photos, most: int) -> Photos:
    rows = [i for i, target in enumerate(photos.targets) if target < len(photos.labels)]
    return photos.take([rows[round(i)] for i in np.linspace(0, len(rows) - 1, min(most, len(rows)))])


def robustness(model: Model, photos: Photos) -> dict[str, dict[int, float]]:
    """Accuracy when photos are uploaded as JPEG of some quality, or with some short side in pixels."""
    some = _of_labels(photos, PHOTOS)

    def accuracy(change: Callable[[bytes], bytes], title: str) -> float:
        scores = score(model, some, change, title)
        return float((scores.predicted == scores.targets).mean())

    def with_quality(quality: int) -> Callable[[bytes], bytes]:
        return lambda content: _reencode(content, quality=quality)

    def with_side(side: int) -> Callable[[bytes], bytes]:
        return lambda content: _reencode(content, side=side)

    return {
        "jpeg_quality": {q: accuracy(with_quality(q), f"quality {q}") for q in JPEG_QUALITIES},
        "short_side": {s: accuracy(with_side(s), f"{s} px") for s in UPLOAD_SIDES},
    }


def small_on_scenes(
    model: Model, photos: Photos, kinds: Sequence[str]
) -> dict[str, dict[float, dict[str, float]]]:
    """Accuracy when photos of each label are shown small in a photo of a scene.

    Accuracy and share unrecognized by label and by the part of the scene's shorter side that the photo's longer side
    takes.

    Scenes are the photos of none with these `kinds`; without any, the result is empty.
    """
    shown = zip(photos.paths, photos.targets, photos.kinds, strict=True)
    scenes = [path for path, target, kind in shown if target == len(photos.labels) and kind in kinds]
    if not scenes:
        return {}
    found: dict[str, dict[float, dict[str, float]]] = {}
    for target, label in enumerate(photos.labels):
        some = _of_labels(photos.take([i for i, t in enumerate(photos.targets) if t == target]), SMALL_PHOTOS)
        found[label] = {}
        for part in PARTS:
            scores = score(model, some, _placed(scenes, part), f"{label} at {part:g} of the side")
            found[label][part] = {
                "accuracy": float((scores.predicted == target).mean()),
                "unrecognized": float((~scores.accepted).mean()),
            }
    return found


def _placed(scenes: Sequence[Path], part: float) -> Callable[[bytes], bytes]:
    """Pastes a photo into a scene; the scene and the place depend on the bytes of the photo only."""

    def place(content: bytes) -> bytes:
        random = np.random.default_rng(list(hashlib.sha256(content).digest()))
        with Image.open(scenes[int(random.integers(len(scenes)))]) as image:
            scene = image.convert("RGB")
        with Image.open(io.BytesIO(content)) as image:
            photo = image.convert("RGB")
        factor = part * min(scene.size) / max(photo.size)
        photo = photo.resize((max(1, round(photo.width * factor)), max(1, round(photo.height * factor))))
        left, top = (
            int(random.integers(room + 1))
            for room in (scene.width - photo.width, scene.height - photo.height)
        )
        scene.paste(photo, (left, top))
        out = io.BytesIO()
        scene.save(out, "PNG")
        return out.getvalue()

    return place


def masking(
    model: Model, photos: Photos, most: int = 300, share: float = 0.25
) -> dict[str, dict[str, float]]:
    """Changes of correct answers when the hottest or the coldest quarter of the heatmap is painted over.

    For "hot" and "cold": `changed`, the share of photos whose label changes or that are no longer recognized, and
    `confidence`, the mean remaining probability of the true label. The paint is the photo's mean colour.
    """
    classifier = Classifier(model)
    kept: dict[str, list[tuple[bool, float]]] = {"hot": [], "cold": []}
    some = _of_labels(photos, most)
    for path, target in zip(some.paths, some.targets, strict=True):
        pixels = decode(path.read_bytes(), model.input_size).pixels
        before = classifier.predict(pixels[None], explain=True)[0]
        label = photos.labels[target]
        if before.label != label or not before.recognized or before.heatmap is None:
            continue
        heat = np.asarray(
            Image.fromarray(before.heatmap).resize((model.input_size,) * 2, Image.Resampling.BILINEAR)
        )
        for name, area in (("hot", _coldest(-heat, share)), ("cold", _coldest(heat, share))):
            painted = pixels.copy()
            painted[area] = pixels.mean(axis=(0, 1)).round()
            after = classifier.predict(painted[None])[0]
            kept[name].append((after.label != label or not after.recognized, after.probabilities[label]))
    return {
        name: {
            "changed": float(np.mean([changed for changed, _ in answers])),
            "confidence": float(np.mean([probability for _, probability in answers])),
        }
        for name, answers in kept.items()
        if answers
    }


def _coldest(heat: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    # Many cells are exactly zero: a quantile would take them all, so take a fixed number of cells instead.
    order = np.argsort(heat, axis=None, kind="stable")
    area = np.zeros(heat.size, dtype=bool)
    area[order[: round(share * heat.size)]] = True
    return area.reshape(heat.shape)


def _reencode(content: bytes, quality: int = 90, side: int | None = None) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        photo = image.convert("RGB")
    if side and side < min(photo.size):
        factor = side / min(photo.size)
        photo = photo.resize((max(1, round(photo.width * factor)), max(1, round(photo.height * factor))))
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=quality)
    return out.getvalue()
