"""Plots and tables are drawn for any number of classes and any names."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from export.measure import tables
from export.measure.scores import Scores


@pytest.fixture
def plots() -> ModuleType:
    """Imported by the process that draws: matplotlib takes others half a second."""
    return importlib.import_module("export.measure.plots")


def scores(labels: tuple[str, ...]) -> Scores:
    random = np.random.default_rng(0)
    count = len(labels) * 3
    probabilities = random.dirichlet(np.ones(len(labels)), count)
    return Scores(
        labels,
        0.5,
        (Path("x"),) * count,
        np.arange(count) % (len(labels) + 1),
        probabilities,
        random.random(count),
    )


@pytest.mark.parametrize(
    "labels",
    [
        ("$x", "日本語", "a|b"),
        *(
            pytest.param(labels, marks=pytest.mark.long)
            for labels in (
                ("cat", "dog"), ("$x", "y$z_{"), ("قطة", "كلب"), ("a" * 200, "b"),
                tuple(f"class {i}" for i in range(37)), tuple(f"class {i}" for i in range(120)),
            )
        ),
    ],
)  # fmt: skip
def test_every_plot_is_drawn_and_no_letter_is_missing(
    plots: ModuleType, labels: tuple[str, ...], tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*[Gg]lyph.*")
        for path in plots.draw_all(scores(labels), tmp_path):
            assert Image.open(path).size > (200, 200)


def test_a_label_that_no_font_can_show_is_drawn_as_its_number(
    plots: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_FONTS", ())
    assert plots.drawable(["日本語", "cat"]) == ["class 1", "cat"]


def test_nothing_in_a_label_breaks_a_table() -> None:
    values = {"per_class": {"a|b\nc<b>": {"photos": 1, "precision": 1.0, "recall": 1.0}}}
    rows = tables.per_class(values).splitlines()
    assert len(rows) == 3
    assert r"a\|b c&lt;b>" in rows[2]


def test_with_very_many_classes_the_worst_are_listed() -> None:
    values = {
        "per_class": {f"c{i}": {"photos": 1, "precision": 1.0, "recall": i / 1000} for i in range(1000)}
    }
    rows = tables.per_class(values).splitlines()
    assert len(rows) == tables.MOST_ROWS + 2
    assert "c0 " in rows[2]
