"""Temperature and threshold hold what they promise, and do not collapse where photos are few."""

from __future__ import annotations

import numpy as np
import pytest

from export.measure import calibration


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
