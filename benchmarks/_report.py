"""Rows of the table of docs/BENCHMARKS.md, and the folder of the plots."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Row:
    """One claim: what was measured, against what, and whether the goal was reached."""

    figure: str
    measured: str
    against: str
    result: str
    reach: str
    reached: bool

    def __str__(self) -> str:
        cells = (
            self.figure,
            self.measured,
            self.against,
            self.result,
            self.reach,
            "yes" if self.reached else "NO",
        )
        return f"| {' | '.join(cells)} |"


HEADER = "| figure | measured | against | result | goal | reached |\n| --- | --- | --- | --- | --- | --- |"


def save_plot(figure: Any, name: str) -> Path:
    """Writes the figure to benchmarks/results/NAME.png."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=110, bbox_inches="tight")
    return path


def pyplot() -> Any:
    """matplotlib without a display, in the plots' common style."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9, "axes.grid": True}
    )
    plt.rcParams.update({"grid.alpha": 0.25, "legend.frameon": False})
    return plt
