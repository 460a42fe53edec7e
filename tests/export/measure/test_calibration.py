"""Temperature and threshold hold what they promise, and do not collapse where photos are few."""

from __future__ import annotations

import numpy as np
import pytest

from export.measure import calibration

NEEDS_NO_BODY = True


def overconfident(count: int, by: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is right about its own doubt, then multiplied."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (count, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = np.array([random.choice(3, p=share) for share in shares])
    return logits * by, targets


@pytest.mark.parametrize("by", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_overconfidence(by: float) -> None:
    assert calibration.temperature(*overconfident(4000, by)) == pytest.approx(by, rel=0.1)


@pytest.mark.parametrize("count", [5, 25, 150])
def test_with_few_photos_all_correct_the_confidence_stays_below_certainty(count: int) -> None:
    logits = np.tile([6.0, 0.0, 0.0], (count, 1))
    found = calibration.temperature(logits, np.zeros(count, np.int64))
    assert not calibration.at_the_edge(found)
    scaled = np.exp(logits[0] / found)
    assert scaled[0] / scaled.sum() == pytest.approx((count + 1) / (count + 2), abs=0.01)


def test_the_lowest_and_highest_temperature_tried_are_at_the_edge() -> None:
    assert calibration.at_the_edge(calibration.LOWEST)
    assert calibration.at_the_edge(calibration.HIGHEST)
    assert not calibration.at_the_edge(1.0)


def test_recognized_is_one_minus_the_probability_of_none() -> None:
    logits = np.array([[1.0, 2.0], [-800.0, -900.0], [900.0, 0.0]])
    expected = (np.exp(1) + np.exp(2)) / (1 + np.exp(1) + np.exp(2))
    with np.errstate(over="ignore"):
        assert calibration.recognized(logits) == pytest.approx([expected, 0, 1])


def test_the_threshold_keeps_the_limit_on_false_rejections() -> None:
    own, others = np.linspace(0.5, 1, 1000), np.linspace(0, 0.95, 1000)
    found = calibration.threshold(own, others, refuse=0.97, spare=0.02)
    assert (own < found).mean() == pytest.approx(0.02, abs=0.002)


def test_the_threshold_is_no_higher_than_the_wanted_rejection_needs() -> None:
    own, others = np.linspace(0.5, 1, 1000), np.linspace(0, 0.3, 1000)
    found = calibration.threshold(own, others, refuse=0.985, spare=0.02)
    assert (others < found).mean() == pytest.approx(0.985, abs=0.002)
    assert (own < found).sum() == 0


def test_without_photos_of_none_the_threshold_uses_the_allowed_false_rejections() -> None:
    own = np.linspace(0.5, 1, 1000)
    found = calibration.threshold(own, np.array([]), spare=0.02)
    assert (own < found).mean() == pytest.approx(0.02, abs=0.002)


def test_the_threshold_never_rejects_the_photo_it_was_taken_from() -> None:
    own = np.array([0.7123456789, 0.9, 0.95])
    assert calibration.threshold(own, np.array([0.99] * 10)) <= own.min()


def test_each_group_of_photos_of_none_is_rejected_however_small_it_is() -> None:
    own, many, few = np.linspace(0.5, 1, 1000), np.linspace(0, 0.3, 4000), np.linspace(0.3, 0.5, 20)
    found = calibration.threshold(own, many, few, refuse=0.985)
    assert (few < found).all()


# --- exact values: what a slip in the arithmetic would move


def test_the_best_temperature_of_known_logits_is_the_one_that_makes_the_labels_likeliest() -> None:
    # Three of four are right with logits (2, 0): a softmax of 2 / t must come near four in six (Platt's counts).
    logits = np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    targets = np.array([0, 0, 0, 0])
    wanted = (3 * 5 / 6 + 1 / 6) / 4
    expected = 2 / np.log(wanted / (1 - wanted))
    assert calibration.temperature(logits, targets) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("factor", "edge"), [(1.005, True), (1.02, False)])
def test_within_a_hundredth_of_an_end_a_temperature_is_at_the_edge(factor: float, edge: bool) -> None:
    assert calibration.at_the_edge(calibration.LOWEST * factor) is edge
    assert calibration.at_the_edge(calibration.HIGHEST / factor) is edge


def test_a_temperature_divides_the_logits_before_they_are_compared_with_none() -> None:
    logits = np.array([[2.0, 4.0]])
    assert calibration.recognized(logits, 2.0) == pytest.approx(
        calibration.recognized(np.array([[1.0, 2.0]]))
    )
    assert calibration.recognized(np.array([[0.0]]), 3.0) == pytest.approx([0.5])


def test_the_threshold_is_exactly_just_above_the_photo_that_must_be_rejected() -> None:
    own, others = np.linspace(0.5, 1, 100), np.arange(1, 11) / 100
    # Nine of ten must be rejected: the ninth smallest, 0.09, and two millionths more.
    assert calibration.threshold(own, others, refuse=0.9) == pytest.approx(0.090002, abs=1e-9)
    assert calibration.threshold(own, others, np.array([0.2]), refuse=0.9) == pytest.approx(
        0.200002, abs=1e-9
    )


def test_the_bound_is_the_photo_up_to_which_so_many_may_be_rejected() -> None:
    own = np.arange(100, 0, -1) / 128  # not sorted, and exact in binary
    assert calibration.threshold(own, spare=0.02) == np.floor(3 / 128 * 1e6) / 1e6
    assert calibration.threshold(own, np.array([0.99]), spare=0.05) == np.floor(6 / 128 * 1e6) / 1e6


def test_the_usual_operating_point_rejects_as_documented() -> None:
    own, others = np.linspace(0.5, 1, 10_000), np.linspace(0, 0.4, 10_000)
    found = calibration.threshold(own, others)
    assert (others < found).mean() == pytest.approx(calibration.REFUSE, abs=2e-4)
    tight = calibration.threshold(own, np.ones(10))
    assert (own < tight).mean() == pytest.approx(calibration.SPARE, abs=2e-4)
