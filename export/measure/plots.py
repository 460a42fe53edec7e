"""The model card's plots, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from export.files import replacing
from export.measure.metrics import (
    auroc,
    confusion,
    expected_calibration_error,
    operating_curve,
    reliability,
)
from export.measure.scores import Scores

# The most labels for which a confusion matrix has numbers in its cells, and names at its edges.
NUMBERS_UP_TO, NAMES_UP_TO = 12, 60
# Fonts with more alphabets than matplotlib's own, used if they are installed.
_FONTS = (
    "Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic", "Meiryo", "MS Gothic", "IPAGothic",
    "WenQuanYi Micro Hei", "Noto Sans", "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Devanagari",
)  # fmt: skip


def _new(width: float = 6, height: float = 4, panels: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = [figure.add_subplot(1, panels, number + 1) for number in range(panels)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as beside:
        figure.savefig(beside)


def drawable(labels: Sequence[str]) -> list[str]:
    """The labels as a plot can show them: names in an alphabet that no installed font has are replaced by numbers."""
    own = font_manager.FontProperties(family="DejaVu Sans")
    known = font_manager.get_font(font_manager.findfont(own)).get_charmap()
    wanted = {ord(letter) for label in labels for letter in label}
    if wanted <= known.keys():
        return [_short(label) for label in labels]
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    for family in _FONTS:
        if family in installed:
            path = font_manager.findfont(font_manager.FontProperties(family=family))
            if wanted <= font_manager.get_font(path).get_charmap().keys():
                matplotlib.rcParams["font.family"] = ["DejaVu Sans", family]
                return [_short(label) for label in labels]
    return [
        _short(label) if {ord(c) for c in label} <= known.keys() else f"class {k + 1}"
        for k, label in enumerate(labels)
    ]


def _short(label: str) -> str:
    # A dollar sign would start a formula.
    label = label.replace("$", r"\$")
    return label if len(label) <= 24 else f"{label[:23]}…"


def confusion_matrix(scores: Scores, path: Path) -> None:
    """The confusion matrix."""
    matrix = confusion(scores)
    labels = drawable(scores.labels)
    rows = len(labels) + (1 if (~scores.labelled).any() else 0)
    shares = matrix[:rows] / np.maximum(matrix[:rows].sum(axis=1, keepdims=True), 1)
    side = min(3.4 + 0.45 * len(labels), 14)
    figure, (axes,) = _new(side + 0.8, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(labels) <= NUMBERS_UP_TO:
        for (i, j), share in np.ndenumerate(shares):
            if matrix[i, j]:
                text, colour = f"{matrix[i, j]:,}\n{share:.0%}", "white" if share > 0.5 else "k"
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
    if len(labels) <= NAMES_UP_TO:
        size = 9 if len(labels) <= NUMBERS_UP_TO else 6
        axes.set_xticks(range(len(labels) + 1), [*labels, "unrecognized"], rotation=90, fontsize=size)
        axes.set_yticks(range(rows), [*labels, "none of them"][:rows], fontsize=size)
    axes.set(xlabel="answer", ylabel="photo")
    _save(figure, path)


def reliability_diagram(scores: Scores, path: Path) -> None:
    """Accuracy against confidence."""
    confidence, accuracy, counts = reliability(scores)
    figure, (axes,) = _new(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color="lightgray")
    kept = counts > 0
    axes.scatter(confidence[kept], accuracy[kept], s=10 + 300 * counts[kept] / counts.max(), alpha=0.7)
    for x, y, n in zip(confidence[kept], accuracy[kept], counts[kept], strict=True):
        axes.annotate(f"{n:,}", (x, y), textcoords="offset points", xytext=(6, -10), fontsize=7)
    low = max(0.0, 1 / len(scores.labels) - 0.05)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(low, 1.02), ylim=(0, 1.05))
    axes.set_title(f"expected calibration error {expected_calibration_error(scores):.2%}", fontsize=10)
    _save(figure, path)


def score_histogram(scores: Scores, path: Path) -> None:
    """Histogram of the scores, on a logit axis, because most of them are near 0 or 1."""
    likely = np.clip(scores.recognized, 1e-5, 1 - 1e-5)
    logit = np.log(likely / (1 - likely))
    figure, (axes,) = _new()
    edges = np.linspace(-11.6, 11.6, 41)
    for name, rows in (("photos of the labels", scores.labelled), ("photos of none", ~scores.labelled)):
        if rows.any():
            axes.hist(
                logit[rows],
                edges.tolist(),
                weights=np.full(rows.sum(), 1 / rows.sum()),
                alpha=0.5,
                label=name,
            )
    cut = min(max(scores.threshold, 1e-5), 1 - 1e-5)
    axes.axvline(np.log(cut / (1 - cut)), color="k", linestyle=":", label=f"threshold {scores.threshold:.3f}")
    ticks = np.array([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999])
    axes.set_xticks(np.log(ticks / (1 - ticks)), [f"{t:g}" for t in ticks])
    axes.set(xlabel="recognized", ylabel="share of photos")
    axes.legend(frameon=False)
    _save(figure, path)


def robustness_curves(curves: dict[str, dict[int, float]], path: Path) -> None:
    """Accuracy against the quality and the size of the upload."""
    figure, panels = _new(8, 3.4, panels=2)
    names = {"jpeg_quality": "JPEG quality of the upload", "short_side": "short side of the upload, pixels"}
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        axes.plot(list(curve), [100 * value for value in curve.values()], marker="o")
        axes.grid(color="lightgray", linewidth=0.5)
        axes.set(xlabel=names[name])
    panels[0].set(ylabel="accuracy, %")
    _save(figure, path)


def operating_curve_plot(scores: Scores, path: Path) -> None:
    """OOD rejection rate against false rejection rate, with the operating point."""
    own, others = scores.recognized[scores.labelled], scores.recognized[~scores.labelled]
    rates, rejected = operating_curve(own, others)
    figure, (axes,) = _new()
    axes.plot(100 * rates, 100 * rejected)
    here = (own < scores.threshold).mean(), (others < scores.threshold).mean()
    axes.plot(100 * here[0], 100 * here[1], "o", color="k", label=f"threshold {scores.threshold:.3f}")
    axes.set_xscale("log")
    axes.grid(color="lightgray", linewidth=0.5)
    axes.set(xlabel="photos of the labels unrecognized, %", ylabel="photos of none unrecognized, %")
    axes.set_title(f"AUROC {auroc(own, others):.4f}", fontsize=10)
    axes.legend(frameon=False, loc="lower right")
    _save(figure, path)


def learning_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Loss and accuracy after each epoch, from metrics.jsonl."""
    epochs = [line["epoch"] for line in history]
    figure, panels = _new(8, 3.4, panels=2)
    drawn = (
        (panels[0], {"train": "loss", "val": "val_loss"}, 1, "loss"),
        (
            panels[1],
            {"accuracy": "val_accuracy", "none unrecognized": "val_none_unrecognized"},
            100,
            "val, %",
        ),
    )
    for axes, names, factor, title in drawn:
        for label, name in names.items():
            if all(name in line for line in history):
                axes.plot(epochs, [factor * line[name] for line in history], marker="o", label=label)
        axes.set(xlabel="epoch", ylabel=title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    _save(figure, path)


def draw_all(scores: Scores, folder: Path) -> list[Path]:
    """Every plot that follows from the answers; returns the files."""
    drawings = {
        "confusion.png": confusion_matrix, "reliability.png": reliability_diagram, "recognized.png": score_histogram
    }  # fmt: skip
    if (~scores.labelled).any() and scores.labelled.any():
        drawings["operating.png"] = operating_curve_plot
    for name, draw in drawings.items():
        draw(scores, folder / name)
    return [folder / name for name in drawings]
