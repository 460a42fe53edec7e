"""The figures mean what their names say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from export.measure import metrics
from export.measure.scores import Scores


def scores(
    targets: list[int], probabilities: list[list[float]], recognized: list[float], threshold: float = 0.5
) -> Scores:
    return Scores(
        ("cat", "dog"), threshold, tuple(Path(f"{i}.jpg") for i in range(len(targets))), np.array(targets),
        np.array(probabilities), np.array(recognized), tuple("ab"[i % 2] for i in range(len(targets))),
    )  # fmt: skip


@pytest.fixture
def some() -> Scores:
    return scores(
        [0, 0, 1, 1, 2, 2], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7], [0.5, 0.5], [0.9, 0.1]],
        [0.9, 0.9, 0.4, 0.9, 0.1, 0.6],
    )  # fmt: skip


def test_accuracy_counts_the_labels_photos_whether_recognized_or_not(some: Scores) -> None:
    figures = metrics.measure(some)
    assert figures["photos"] == 4
    assert figures["accuracy"] == 0.75
    assert figures["wrongly_unrecognized"] == 0.25
    assert figures["neither_photos"] == 2
    assert figures["neither_unrecognized"] == 0.5
    assert figures["per_class"]["cat"] == {"precision": 1.0, "recall": 0.5, "photos": 2}
    assert figures["per_class"]["dog"]["precision"] == pytest.approx(2 / 3)


def test_the_confusion_matrix_counts_the_answers_that_the_api_gives(some: Scores) -> None:
    assert metrics.confusion(some).tolist() == [[1, 1, 0], [0, 1, 1], [1, 0, 1]]


def test_wilsons_interval_matches_textbook_values() -> None:
    assert metrics.wilson(8, 10) == pytest.approx((0.490, 0.943), abs=0.001)
    assert metrics.wilson(10, 10)[1] == pytest.approx(1)


def test_calibration_error_is_the_mean_distance_from_the_diagonal() -> None:
    answers = scores([0] * 6 + [1] * 4, [[0.8, 0.2]] * 10, [1.0] * 10)
    assert metrics.expected_calibration_error(answers) == pytest.approx(0.2)
    low, high = metrics.bootstrap_ece(answers)
    assert low < 0.2 < high


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    assert metrics.auroc(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == 1
    assert metrics.auroc(np.array([0.5, 0.5]), np.array([0.5])) == 0.5
    assert metrics.auroc(np.array([0.9, 0.1]), np.array([0.5])) == 0.5


def test_rejection_is_compared_at_the_same_false_rejection_rate() -> None:
    own = np.arange(100) / 100
    assert metrics.rejected_at(own, np.array([0.0, 0.05, 0.5, 0.9]), 0.1) == 0.5


def test_kinds_are_listed_worst_first_and_photos_of_none_last(some: Scores) -> None:
    lines = metrics.by_kind(some)
    assert [line["class"] for line in lines[-2:]] == ["none", "none"]
    assert lines[0]["right"] <= lines[1]["right"]
    assert sum(line["photos"] for line in lines) == 6
    none = {line["kind"]: line["right"] for line in lines if line["class"] == "none"}
    assert none == {"a": 1.0, "b": 0.0}


def test_the_most_frequent_confusions_come_first() -> None:
    answers = scores([0, 0, 1], [[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]], [1.0] * 3)
    assert metrics.confused(answers) == [("cat", "dog", 2), ("dog", "cat", 1)]


def test_sources_are_listed_least_accurate_first_and_a_single_source_is_not_listed(some: Scores) -> None:
    lines = metrics.by_source(some)
    assert [(line["source"], line["photos"], line["accuracy"]) for line in lines] == [
        ("b", 2, 0.5),
        ("a", 2, 1.0),
    ]
    assert lines[1]["wrongly_unrecognized"] == 0.5
    assert metrics.by_source(dataclasses.replace(some, kinds=())) == []


def test_the_mean_over_kinds_counts_a_small_kind_like_a_large_one(some: Scores) -> None:
    kinds = ("", "", "", "", "faces", "rooms")
    lines = metrics.by_kind(dataclasses.replace(some, kinds=kinds))
    assert metrics.over_kinds(lines) == {"kinds": 2, "mean": 0.5, "worst": 0.0, "worst_kind": "rooms"}
    assert metrics.over_kinds(lines[:1]) == {}


def test_the_operating_curve_rises_with_the_false_rejections_it_allows() -> None:
    random = np.random.default_rng(0)
    own, others = random.normal(2, 1, 1000), random.normal(0, 1, 1000)
    rates, rejected = metrics.operating_curve(own, others)
    assert (np.diff(rejected) >= 0).all()
    assert rates[0] == pytest.approx(0.001)
    near = int(np.abs(rates - 0.03).argmin())
    assert rejected[near] == pytest.approx(metrics.rejected_at(own, others, 0.03), abs=0.02)
