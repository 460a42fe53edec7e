"""When a model is not honest to publish, and which figures speak for it: each limit from both sides."""

from __future__ import annotations

from typing import Any

import pytest

from export.errors import ExportError
from export.publish import changelog, compare
from export.publish.honesty import LEAST_REJECTED, figures_of, problems

NEEDS_NO_BODY = True


def metadata(**changes: Any) -> dict[str, Any]:
    figures = {
        "photos": 100, "accuracy": 0.9, "accuracy_interval": [0.8, 0.95], "neither_unrecognized": 0.9,
        "neither_unrecognized_interval": [0.8, 0.95], "wrongly_unrecognized": 0.015,
        "per_class": {"cat": {"photos": 60}, "dog": {"photos": 40}}, **changes,
    }  # fmt: skip
    return {"metrics": {"test": figures}, "temperature": 1.0}


def test_a_good_model_has_no_problem() -> None:
    assert problems(metadata()) == []


@pytest.mark.parametrize(("low", "poor"), [(0.6, True), (0.61, False)])
def test_a_model_must_be_clearly_better_than_naming_the_commonest_class(low: float, poor: bool) -> None:
    found = problems(metadata(accuracy_interval=[low, 1.0]))
    assert [("always answering cat" in problem, "60.0%" in problem) for problem in found] == [
        (True, True)
    ] * poor


@pytest.mark.parametrize(("high", "poor"), [(LEAST_REJECTED - 0.001, True), (LEAST_REJECTED, False)])
def test_a_model_must_reject_some_of_what_it_does_not_know(high: float, poor: bool) -> None:
    found = problems(metadata(neither_unrecognized=0.05, neither_unrecognized_interval=[0, high]))
    assert found == ["it recognizes 95% of photos that show none of its classes"] * poor


def test_where_test_has_no_photos_of_none_the_cross_validation_speaks_for_it() -> None:
    described = metadata()
    for name in ("neither_unrecognized", "neither_unrecognized_interval"):
        del described["metrics"]["test"][name]
    assert problems(described) == []
    described["metrics"]["cross_validation"] = {
        "neither_unrecognized": 0.02, "neither_unrecognized_interval": [0, 0.05],
    }  # fmt: skip
    assert problems(described) == ["it recognizes 98% of photos that show none of its classes"]


def test_a_temperature_at_the_edge_is_a_problem() -> None:
    (problem,) = problems(metadata() | {"temperature": 5.0})
    assert "its temperature, 5.00, lies at the edge" in problem


def test_test_speaks_for_a_model_else_cross_validation_else_val() -> None:
    measured = {"val": {"a": 1}, "cross_validation": {"a": 2}, "test": {"a": 3}}
    assert figures_of({"metrics": measured}) == ("test", {"a": 3})
    del measured["test"]
    assert figures_of({"metrics": measured}) == ("cross_validation", {"a": 2})
    del measured["cross_validation"]
    assert figures_of({"metrics": measured}) == ("val", {"a": 1})


# --- the line in the changelog


def published(**changes: Any) -> dict[str, Any]:
    return metadata() | {
        "version": "1.2.0", "created": "2026-11-26T06:00:00Z", "labels": ["cat", "dog"], "architecture": "lite0",
        "training": {"note": ""}, **changes,
    }  # fmt: skip


def test_a_version_has_a_line_with_its_figures_and_where_they_come_from() -> None:
    assert changelog.line(published()) == (
        "- **1.2.0** (2026-11-26): cat, dog; 90.0% on test, 90% of other things unrecognized at 1.5% false "
        "rejections; lite0."
    )
    noted = published(training={"note": "More dogs."}, labels=[f"l{number}" for number in range(7)])
    assert changelog.line(noted).startswith("- **1.2.0** (2026-11-26): 7 classes; ")
    assert changelog.line(noted).endswith("; lite0. More dogs.")
    six = published(labels=[f"l{number}" for number in range(6)])
    assert "l0, l1, l2, l3, l4, l5;" in changelog.line(six)


def test_the_line_leaves_out_what_was_not_measured() -> None:
    described = published()
    del described["metrics"]["test"]["neither_unrecognized"]
    assert changelog.line(described) == "- **1.2.0** (2026-11-26): cat, dog; 90.0% on test; lite0."


@pytest.mark.parametrize(("name", "where"), [("val", "on val"), ("cross_validation", "in cross-validation")])
def test_the_line_says_where_it_was_measured(name: str, where: str) -> None:
    described = published()
    described["metrics"] = {name: described["metrics"]["test"]}
    assert f"90.0% {where}" in changelog.line(described)


# --- runs beside it


class Run:
    """As much of a run as the comparison reads."""

    def __init__(self, folder: str, *, name: str = "wild", labels: Any = ("cat", "dog"), photos: int = 100,
                 classes: Any = ("cat",), **finetune: Any) -> None:  # fmt: skip
        self.folder = folder
        figures = {
            "photos": photos,
            "accuracy": 0.9,
            "wrongly_unrecognized": 0.01,
            "neither_unrecognized": 0.8,
        }
        self.metadata = {
            "labels": labels, "metrics": {"test": figures}, "latency_ms": 3.0, "weights": {"bytes": 7},
            "training": {
                "recipe": {"name": name, "c": 1.0, "finetune": finetune}, "photos": 50, "seconds": 60,
                "classes": classes,
            },
        }  # fmt: skip


def test_runs_of_the_same_recipe_with_other_seeds_are_told_from_others() -> None:
    first = Run("a", seed=1, epochs=3)
    runs: list[Any] = [
        first, Run("b", seed=2, epochs=3, name="another name"), Run("c", seed=1, epochs=4), Run("d"),
        Run("e", seed=1, epochs=3, classes=("dog",)),
    ]  # fmt: skip
    found = compare.lines(runs)
    assert [line["same_recipe"] for line in found] == [True, True, False, False, False]
    assert [line["seed"] for line in found] == [1, 2, 1, 0, 1]
    assert [line["recipe"] for line in found] == ["wild", "another name", "wild", "wild", "wild"]
    assert found[0]["sources"] == {"all": {"accuracy": 0.9, "unrecognized": 0.01}}
    assert {name: found[0][name] for name in ("photos", "latency_ms", "bytes", "seconds", "neither_unrecognized")} == {
        "photos": 50, "latency_ms": 3.0, "bytes": 7, "seconds": 60, "neither_unrecognized": 0.8,
    }  # fmt: skip


def test_a_head_alone_has_no_seeds_to_compare() -> None:
    runs: list[Any] = [Run("a"), Run("b")]
    assert [line["same_recipe"] for line in compare.lines(runs)] == [False, False]


def test_runs_with_other_labels_or_photos_are_no_comparison() -> None:
    with pytest.raises(ExportError, match="b has other labels than a"):
        compare.lines([Run("a"), Run("b", labels=("cat",))])  # type: ignore[list-item]
    with pytest.raises(ExportError, match="b was measured on 99 photos of test, and a on 100 of test"):
        compare.lines([Run("a"), Run("b", photos=99)])  # type: ignore[list-item]
