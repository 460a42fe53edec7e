"""The model card's plots, as images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from export.evaluate import Scores, confusion, expected_calibration_error, reliability


def _new(width: float = 6, height: float = 4) -> tuple[Figure, Axes]:
    figure, axes = pyplot.subplots(figsize=(width, height), dpi=110, layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path)
    pyplot.close(figure)


def learning_curves(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Training loss and val accuracy by epoch, from the lines of a published metrics.jsonl: of one run, or of several
    one after the other."""
    figure, axes = _new()
    axes.set(xlabel="epoch", ylabel="training loss")
    right = axes.twinx()
    right.set(ylabel="val accuracy, %")
    # Each run by itself: they differ in what they were shown, so their losses do not compare.
    for _, run in itertools.groupby(enumerate(lines, 1), key=lambda numbered: numbered[1]["run"]):
        epochs, shown = zip(*run, strict=True)
        loss = axes.plot(epochs, [line["loss"] for line in shown], ".-", color="tab:gray")
        accuracy = right.plot(epochs, [100 * line["val_accuracy"] for line in shown], ".-", color="tab:blue")
    for epoch, (before, after) in enumerate(itertools.pairwise(lines), 1):
        another = before["run"] != after["run"]
        if another or before["size"] != after["size"]:
            axes.axvline(epoch + 0.5, color="gray" if another else "lightgray", linestyle=":")
            axes.text(
                epoch + 0.6, axes.get_ylim()[1], f"{after['size']} px", rotation=90, va="top", fontsize=8
            )
    figure.legend(
        [*loss, *accuracy],
        ["training loss", "val accuracy"],
        loc="outside upper center",
        ncols=2,
        frameon=False,
    )
    _save(figure, path)


def confusion_matrix(scores: Scores, path: Path) -> None:
    matrix = confusion(scores)
    rows = len(scores.labels) + (1 if (~scores.labelled).any() else 0)
    figure, axes = _new(4.6, 3.8)
    shares = matrix[:rows] / np.maximum(matrix[:rows].sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), share in np.ndenumerate(shares):
        axes.text(
            j,
            i,
            f"{matrix[i, j]:,}\n{share:.1%}",
            ha="center",
            va="center",
            color="white" if share > 0.5 else "k",
        )
    axes.set_xticks(range(len(scores.labels) + 1), [*scores.labels, "unrecognized"])
    axes.set_yticks(range(rows), [*scores.labels, "neither"][:rows])
    axes.set(xlabel="answer", ylabel="photo")
    _save(figure, path)


def reliability_diagram(scores: Scores, path: Path) -> None:
    confidence, accuracy, counts = reliability(scores)
    figure, axes = _new(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color="lightgray")
    kept = counts > 0
    axes.scatter(confidence[kept], accuracy[kept], s=10 + 300 * counts[kept] / counts.max(), alpha=0.7)
    for x, y, n in zip(confidence[kept], accuracy[kept], counts[kept], strict=True):
        axes.annotate(f"{n:,}", (x, y), textcoords="offset points", xytext=(6, -10), fontsize=7)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0.45, 1.02), ylim=(0, 1.05))
    axes.set_title(f"expected calibration error {expected_calibration_error(scores):.2%}", fontsize=10)
    _save(figure, path)


def score_histogram(scores: Scores, path: Path) -> None:
    """How much photos of each class look like any label; on a logit axis, for most scores lie near 0 or 1."""
    likely = np.clip(scores.recognized, 1e-5, 1 - 1e-5)
    logit = np.log(likely / (1 - likely))
    figure, axes = _new()
    edges = np.linspace(-11.6, 11.6, 41)
    for k, name in enumerate([*scores.labels, "neither"]):
        rows = scores.targets == k
        if rows.any():
            axes.hist(logit[rows], edges, weights=np.full(rows.sum(), 1 / rows.sum()), alpha=0.5, label=name)
    cut = min(max(scores.threshold, 1e-5), 1 - 1e-5)
    axes.axvline(np.log(cut / (1 - cut)), color="k", linestyle=":", label=f"threshold {scores.threshold:.3f}")
    ticks = np.array([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    axes.set_xticks(np.log(ticks / (1 - ticks)), [f"{t:g}" for t in ticks])
    axes.set(xlabel="recognized", ylabel="share of photos")
    axes.legend(frameon=False)
    _save(figure, path)


def robustness_curves(curves: dict[str, dict[int, float]], path: Path) -> None:
    figure, panels = pyplot.subplots(1, 2, figsize=(8, 3.4), dpi=110, layout="constrained", sharey=True)
    names = {"jpeg_quality": "JPEG quality of the upload", "short_side": "short side of the upload, pixels"}
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        axes.plot(list(curve), [100 * value for value in curve.values()], marker="o")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="lightgray", linewidth=0.5)
        axes.set(xlabel=names[name])
    panels[0].set(ylabel="accuracy, %")
    _save(figure, path)


def draw_all(scores: Scores, curves: dict[str, dict[int, float]] | None, folder: Path) -> list[Path]:
    """Every plot that follows from the answers; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawings: dict[str, Any] = {
        "confusion.png": confusion_matrix, "reliability.png": reliability_diagram, "recognized.png": score_histogram
    }  # fmt: skip
    for name, draw in drawings.items():
        draw(scores, folder / name)
    if curves:
        robustness_curves(curves, folder / "robustness.png")
    return [folder / name for name in drawings] + ([folder / "robustness.png"] if curves else [])
