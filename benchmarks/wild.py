"""Draws docs/wild.png: errors of the published network, of what was tried beside it, and of 1.0.0, from its model card.

    python -m benchmarks.wild

The figures of the latest version and of the runs that it was compared with are in its metadata. Those of 1.0.0 are in
benchmarks/results/wild-1.0.0.json, which `python -m export evaluate --version 1.0.0 --data cats-vs-dogs pets-elsewhere
--neither neither --json` printed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from api import _registry

ROOT = Path(__file__).resolve().parent.parent
FORMER = ROOT / "benchmarks" / "results" / "wild-1.0.0.json"
TARGET = ROOT / "docs" / "wild.png"


def main() -> int:
    """Writes the plot; returns the exit status."""
    model = _registry.read_model(ROOT / "model", None)
    runs = json.loads((model.directory / "metadata.json").read_text(encoding="utf-8"))["runs"]
    others = [run for run in runs if not run["same_recipe"]]
    rows = [
        ("1.0.0, a small CNN\nfrom scratch", _of_evaluation(json.loads(FORMER.read_text(encoding="utf-8"))))
    ]
    rows += [(_name(run), _of_run(run)) for run in others]
    rows.append((f"{model.version}: last 5 blocks,\npretrained weights mixed in", _of_run(runs[0])))
    _draw(rows)
    print(f"drew {TARGET.relative_to(ROOT)}")
    return 0


def _name(run: dict[str, Any]) -> str:
    return (
        "EfficientNet-Lite0 frozen,\na head fitted"
        if run["recipe"] == "lite0"
        else "last 11 blocks trained\nat 128 and 176 px"
    )


def _of_run(run: dict[str, Any]) -> dict[str, float]:
    sources = run["sources"]
    return _errors(
        sources["cats-vs-dogs"]["accuracy"], sources["pets-elsewhere"]["accuracy"],
        sources["pets-elsewhere"]["unrecognized"], run["neither_unrecognized"],
    )  # fmt: skip


def _of_evaluation(figures: dict[str, Any]) -> dict[str, float]:
    sources = {line["source"]: line for line in figures["by_source"]}
    return _errors(
        sources["cats-vs-dogs"]["accuracy"], sources["pets-elsewhere"]["accuracy"],
        sources["pets-elsewhere"]["wrongly_unrecognized"], figures["neither_unrecognized"],
    )  # fmt: skip


def _errors(kaggle: float, elsewhere: float, unrecognized: float, neither: float) -> dict[str, float]:
    return {
        "Kaggle's pets\nnamed wrongly": 1 - kaggle,
        "pets from elsewhere\nnamed wrongly": 1 - elsewhere,
        "pets from elsewhere\nnot recognized": unrecognized,
        "neither,\ntaken for a pet": 1 - neither,
    }


def _draw(rows: list[tuple[str, dict[str, float]]]) -> None:
    from matplotlib.figure import Figure

    figures = list(rows[0][1])
    figure = Figure(figsize=(9, 2.6), layout="constrained", dpi=110)
    for axes, name in zip(figure.subplots(1, len(figures), sharey=True), figures, strict=True):
        values = [100 * errors[name] for _, errors in rows]
        bars = axes.barh(range(len(rows)), values, color=["#b8c4ce"] * (len(rows) - 1) + ["#1f77b4"])
        axes.bar_label(bars, fmt="%.1f %%", padding=2, fontsize=8)
        axes.set_title(name, fontsize=9)
        axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=8)
        axes.set_xlim(0, max(values) * 1.45)
        axes.set_xticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    figure.savefig(TARGET)


if __name__ == "__main__":
    sys.exit(main())
