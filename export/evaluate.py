"""Measures a published model through the code that serves it: the photo's bytes go in, the API's answer comes out."""

from __future__ import annotations

import dataclasses
import io
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from api._classifier import Classifier
from api._image import ImageError, decode
from api._registry import Model
from export.data import DataError, Photos

BINS = 15
JPEG_QUALITIES = (95, 75, 50, 30, 15, 8)
UPLOAD_SIDES = (240, 160, 112, 80, 56, 40)
# Robustness is measured on this many photos of the labels, evenly spaced.
ROBUSTNESS_PHOTOS = 500
_Z95 = 1.959964


@dataclass(frozen=True)
class Scores:
    """A model's answers: `probabilities` float64 [N, K], `recognized` float64 [N], `targets` int [N] (K: neither)."""

    labels: tuple[str, ...]
    threshold: float
    paths: tuple[Path, ...]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    recognized: NDArray[np.float64]
    skipped: tuple[str, ...]

    @property
    def labelled(self) -> NDArray[np.bool_]:
        return self.targets < len(self.labels)

    @property
    def predicted(self) -> NDArray[np.int64]:
        return self.probabilities.argmax(axis=1)


def score(
    model: Model, photos: Photos, change: Callable[[bytes], bytes] | None = None, title: str = "score"
) -> Scores:
    """Ask the model about every photo; `change` may re-encode the bytes first. Unreadable photos are skipped."""
    classifier = Classifier(model)
    rows, skipped = [], []
    for i, path in enumerate(tqdm(photos.paths, title, unit=" photos", mininterval=1.0)):
        try:
            data = path.read_bytes()
            pixels = decode(change(data) if change else data, model.input_size).pixels
        except (ImageError, OSError) as error:
            skipped.append(f"{path}: {error}")
            continue
        prediction = classifier.predict(pixels[None])[0]
        rows.append(
            (i, [prediction.probabilities[label] for label in model.labels], prediction.recognized_score)
        )
    if not rows:
        raise DataError(f"None of the {len(photos)} photos can be read. {skipped[0] if skipped else ''}")
    kept = [i for i, _, _ in rows]
    return Scores(
        model.labels, model.recognized_threshold, tuple(photos.paths[i] for i in kept),
        np.asarray(photos.targets)[kept], np.asarray([p for _, p, _ in rows], dtype=np.float64),
        np.asarray([r for _, _, r in rows], dtype=np.float64), tuple(skipped),
    )  # fmt: skip


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
    """How far confidence and accuracy lie apart, on average (Naeini et al. 2015; Guo et al. 2017)."""
    confidence, accuracy, counts = reliability(scores)
    return float(np.nansum(np.abs(confidence - accuracy) * counts) / counts.sum())


def bootstrap_ece(scores: Scores, rounds: int = 500) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the expected calibration error."""
    random = np.random.default_rng(0)
    rows = np.flatnonzero(scores.labelled)
    draws = []
    for _ in range(rounds):
        some = random.choice(rows, len(rows))
        draws.append(
            expected_calibration_error(
                dataclasses.replace(
                    scores, targets=scores.targets[some], probabilities=scores.probabilities[some]
                )
            )
        )
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def confusion(scores: Scores) -> NDArray[np.int64]:
    """Photos by true class (rows; the last is neither) and answer (columns; the last is unrecognized)."""
    answer = np.where(scores.recognized >= scores.threshold, scores.predicted, len(scores.labels))
    matrix = np.zeros((len(scores.labels) + 1,) * 2, dtype=np.int64)
    np.add.at(matrix, (scores.targets, answer), 1)
    return matrix


def measure(scores: Scores) -> dict[str, Any]:
    """Every figure of the model card that follows from the answers; shares are 0 to 1, intervals 95 %."""
    rows = scores.labelled
    targets, predicted = scores.targets[rows], scores.predicted[rows]
    right = int((predicted == targets).sum())
    unrecognized = int((scores.recognized[rows] < scores.threshold).sum())
    likelihood = scores.probabilities[rows][np.arange(len(targets)), targets]
    figures: dict[str, Any] = {
        "photos": int(rows.sum()),
        "accuracy": right / len(targets),
        "accuracy_interval": wilson(right, len(targets)),
        "expected_calibration_error": expected_calibration_error(scores),
        "expected_calibration_error_interval": bootstrap_ece(scores),
        "negative_log_likelihood": float(-np.log(np.maximum(likelihood, 1e-12)).mean()),
        "wrongly_unrecognized": unrecognized / len(targets),
        "wrongly_unrecognized_interval": wilson(unrecognized, len(targets)),
        "per_class": {
            label: {
                "precision": float((targets[predicted == k] == k).mean()) if (predicted == k).any() else 0.0,
                "recall": float((predicted[targets == k] == k).mean()) if (targets == k).any() else math.nan,
                "photos": int((targets == k).sum()),
            }
            for k, label in enumerate(scores.labels)
        },
        "skipped": len(scores.skipped),
    }
    neither = ~rows
    if neither.any():
        refused = int((scores.recognized[neither] < scores.threshold).sum())
        figures["neither_photos"] = int(neither.sum())
        figures["neither_unrecognized"] = refused / int(neither.sum())
        figures["neither_unrecognized_interval"] = wilson(refused, int(neither.sum()))
    return figures


def latency_ms(model: Model, runs: int = 100) -> float:
    """Median milliseconds of one prediction, resized pixels to answer, on one thread."""
    classifier = Classifier(model, threads=1)
    pixels = np.zeros((1, model.input_size, model.input_size, 3), dtype=np.uint8)
    times = []
    for _ in range(runs + 5):
        started = time.perf_counter()
        classifier.predict(pixels)
        times.append((time.perf_counter() - started) * 1e3)
    return float(np.median(times[5:]))


def robustness(model: Model, photos: Photos) -> dict[str, dict[int, float]]:
    """Accuracy when photos are uploaded as JPEG of some quality, or with some short side in pixels."""
    rows = [i for i, target in enumerate(photos.targets) if target < len(photos.labels)]
    rows = [rows[round(i)] for i in np.linspace(0, len(rows) - 1, min(ROBUSTNESS_PHOTOS, len(rows)))]
    some = Photos(photos.labels, tuple(photos.paths[i] for i in rows), tuple(photos.targets[i] for i in rows))

    def accuracy(change: Callable[[bytes], bytes], title: str) -> float:
        scores = score(model, some, change, title)
        return float((scores.predicted == scores.targets).mean())

    return {
        "jpeg_quality": {
            q: accuracy(lambda b, q=q: _reencode(b, quality=q), f"quality {q}") for q in JPEG_QUALITIES
        },
        "short_side": {s: accuracy(lambda b, s=s: _reencode(b, side=s), f"{s} px") for s in UPLOAD_SIDES},
    }  # type: ignore[misc]


def masking(
    model: Model, photos: Photos, most: int = 300, share: float = 0.25
) -> dict[str, dict[str, float]]:
    """What happens to right answers when the hottest or the coldest quarter of the heatmap is painted over.

    For "hot" and "cold": `changed`, the share of photos whose label changes or that are no longer recognized, and
    `confidence`, the mean probability left to the true label. The paint is the photo's mean colour.
    """
    classifier = Classifier(model)
    kept: dict[str, list[tuple[bool, float]]] = {"hot": [], "cold": []}
    rows = [i for i, target in enumerate(photos.targets) if target < len(photos.labels)]
    for i in np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int):
        row = rows[i]
        pixels = decode(photos.paths[row].read_bytes(), model.input_size).pixels
        before = classifier.predict(pixels[None], explain=True)[0]
        label = photos.labels[photos.targets[row]]
        if before.label != label or not before.recognized or before.heatmap is None:
            continue
        heat = np.asarray(
            Image.fromarray(before.heatmap).resize((model.input_size,) * 2, Image.Resampling.BILINEAR)
        )
        for name, area in (("hot", heat >= np.quantile(heat, 1 - share)), ("cold", _coldest(heat, share))):
            painted = pixels.copy()
            painted[area] = pixels.mean(axis=(0, 1)).round()
            after = classifier.predict(painted[None])[0]
            kept[name].append((after.label != label or not after.recognized, after.probabilities[label]))
    return {
        name: {
            "changed": float(np.mean([c for c, _ in some])),
            "confidence": float(np.mean([p for _, p in some])),
        }
        for name, some in kept.items()
        if some
    }


def _coldest(heat: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    # Many cells are exactly zero: a quantile would take them all, so count off the share instead.
    order = np.argsort(heat, axis=None, kind="stable")
    area = np.zeros(heat.size, dtype=bool)
    area[order[: round(share * heat.size)]] = True
    return area.reshape(heat.shape)


def _reencode(data: bytes, quality: int = 90, side: int | None = None) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        photo = image.convert("RGB")
    if side and side < min(photo.size):
        factor = side / min(photo.size)
        photo = photo.resize((max(1, round(photo.width * factor)), max(1, round(photo.height * factor))))
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=quality)
    return out.getvalue()


def table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table; the same in the terminal and in the model card."""

    def share(name: str) -> str:
        if name not in figures:
            return "not measured"
        text = f"{figures[name]:.2%}"
        interval = figures.get(f"{name}_interval")
        return f"{text} ({interval[0]:.2%} to {interval[1]:.2%})" if interval else text

    rows = [
        ("photos of the labels", f"{figures['photos']:,}"),
        ("accuracy", share("accuracy")),
        ("accuracy of the float32 graph", share("float_accuracy")),
        ("expected calibration error, 15 bins", share("expected_calibration_error")),
        ("photos of the labels wrongly unrecognized", share("wrongly_unrecognized")),
        ("photos of neither", f"{figures.get('neither_photos', 0):,}"),
        ("photos of neither unrecognized", share("neither_unrecognized")),
    ]
    for label, values in figures["per_class"].items():
        rows.append((f"{label}: precision, recall", f"{values['precision']:.2%}, {values['recall']:.2%}"))
    if "latency_ms" in figures:
        rows.append(("one photo on one thread", f"{figures['latency_ms']:.1f} ms"))
    rows = [(name, value) for name, value in rows if value != "not measured"]
    width = max(len(name) for name, _ in rows)
    lines = [f"| {'figure':<{width}} | value (95 % interval) |", f"| {'-' * width} | --- |"]
    return "\n".join(lines + [f"| {name:<{width}} | {value} |" for name, value in rows])


def contact_sheet(scores: Scores, path: Path, columns: int = 8, side: int = 160, most: int = 96) -> int:
    """Draw the mistakes, the surest first, into one image; return how many there are.

    A mistake is a wrong label, a photo of a label that is not recognized, or one of neither that is.
    """
    recognized = scores.recognized >= scores.threshold
    wrong = np.where(scores.labelled, (scores.predicted != scores.targets) | ~recognized, recognized)
    certainty = np.where(
        scores.labelled & ~recognized, 1 - scores.recognized, scores.probabilities.max(axis=1)
    )
    rows = sorted(np.flatnonzero(wrong), key=lambda i: -certainty[i])
    names = (*scores.labels, "neither")
    shown = rows[:most]
    sheet = Image.new("RGB", (columns * side, max(1, math.ceil(len(shown) / columns)) * (side + 30)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, i in enumerate(shown):
        left, top = place % columns * side, place // columns * (side + 30)
        with Image.open(scores.paths[i]) as image:
            photo = image.convert("RGB")
        photo.thumbnail((side - 4, side - 4))
        sheet.paste(photo, (left + 2, top + 2))
        said = names[scores.predicted[i]] if recognized[i] else "unrecognized"
        draw.text((left + 4, top + side), f"{names[scores.targets[i]]}, said {said}", fill="black")
        draw.text((left + 4, top + side + 12), scores.paths[i].name[:24], fill="gray")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return len(rows)


def temperature(logits: NDArray[np.float64], targets: Sequence[int]) -> float:
    """The temperature that makes the labels' logits [N, K] most likely (Guo et al. 2017, arXiv:1706.04599)."""
    logits = logits - logits.max(axis=1, keepdims=True)
    rows = np.arange(len(logits))

    def loss(t: float) -> float:
        scaled = logits / t
        return float((np.log(np.exp(scaled).sum(axis=1)) - scaled[rows, targets]).mean())

    grid = np.exp(np.linspace(np.log(0.1), np.log(10), 400))
    return float(min(grid, key=loss))


def logits_of(scores: Scores) -> NDArray[np.float64]:
    """The labels' logits [N, K] back from the probabilities of a graph: neither's logit is zero."""
    likely = np.clip(scores.recognized, 1e-12, 1 - 1e-7)
    log_sum_exp = np.log(likely / (1 - likely))
    return np.log(np.maximum(scores.probabilities, 1e-12)) + log_sum_exp[:, None]


def recognized_threshold(scores: Scores, refuse: float = 0.97, spare: float = 0.009) -> float:
    """The lowest threshold that refuses the share `refuse` of photos of neither, as long as it does not refuse more
    than the share `spare` of the labels' photos; that bound decides where there are no photos of neither.

    It has six digits, rounded down: rounded up, it would refuse the photo that it was taken from.
    """
    of_labels = np.sort(scores.recognized[scores.labelled])
    bound = float(of_labels[int(spare * len(of_labels))])
    of_neither = np.sort(scores.recognized[~scores.labelled])
    wanted = 0.5
    if len(of_neither):
        wanted = float(of_neither[math.ceil(refuse * len(of_neither)) - 1]) + 2e-6
    return math.floor(min(bound, wanted) * 1e6) / 1e6
