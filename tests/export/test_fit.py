"""Fitting on features that were made by hand: what is chosen on which photos, and what is said of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export import fitting
from export import head as heads
from export.body.body import Body
from export.body.extract import Features
from export.errors import ExportError
from export.fitting import Fitted, fit
from export.photos.find import Photos
from export.recipe import Recipe
from export.summary import Summary

NEEDS_NO_BODY = True
LABELS = ("a", "b")
CHANNELS = 6


def features(counts: tuple[int, ...], seed: int, views: int = 2) -> Features:
    """So many photos of each label, and of none of them: each is near a corner of its own, its views near it."""
    random = np.random.default_rng(seed)
    targets = [target for target, count in enumerate(counts) for _ in range(count)]
    corners = np.eye(CHANNELS, dtype=np.float32)[[0, 1, 2]]
    values = corners[targets][:, None] + random.normal(0, 0.25, (len(targets), views, CHANNELS)).astype(
        np.float32
    )
    photos = Photos(
        LABELS, tuple(Path(f"{seed}-{i}") for i in range(len(targets))), tuple(targets), ("",) * len(targets)
    )
    return Features(
        photos, values.astype(np.float32), np.zeros(len(targets), np.uint64), (b"",) * len(targets)
    )


def body(count: int = 40, like: int | None = None) -> Body:
    """A body whose negatives lie in a corner of their own; the last ten show a class, if `like` names one."""
    random = np.random.default_rng(9)
    corner = np.full(count, 4)
    if like is not None:
        corner[-10:] = like
    negatives = np.eye(CHANNELS, dtype=np.float32)[corner] + random.normal(0, 0.05, (count, CHANNELS)).astype(
        np.float32
    )
    kinds = ("tree",) * (count - 10) + ("fox",) * 10 if count else ()
    unit = np.ones(CHANNELS, np.float32)
    return Body("hand", b"", 8, unit * 0, unit, negatives.astype(np.float32), kinds, {})


def splits(train: Features, val: Features, others: int = 0, others_val: int = 0) -> dict[str, Features]:
    return {
        "train": train,
        "val": val,
        "others": features((0, 0, others), 7),
        "others_val": features((0, 0, others_val), 8),
    }


def fitted(parts: dict[str, Features], hand: Body | None = None, **recipe: Any) -> tuple[Fitted, list[str]]:
    summary = Summary()
    return fit(parts, hand or body(), Recipe(**{"folds": 3, **recipe}), summary), summary.lines


def test_with_few_photos_in_val_the_cross_validation_chooses_with_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    found, lines = fitted(splits(features((20, 20), 1), features((5, 5), 2)))
    assert found.chosen_on == "3-fold cross-validation and val"
    assert "fitting the head, and 3 more for the cross-validation" in caplog.text
    said = f"temperature {found.temperature:.3f} and threshold {found.threshold:.2g}, chosen on {found.chosen_on}"
    assert said in caplog.text
    assert found.negatives == (40, 0)
    assert lines == ["40 photos of all kinds of things, known to the body, teach what is none of the classes"]
    assert found.judged.targets.tolist() == [0] * 20 + [1] * 20 + [2] * 40
    right = found.judged.predicted[:40] == found.judged.targets[:40]
    assert right.mean() > 0.9
    assert found.judged.threshold == found.threshold
    alone, _ = fitted(splits(features((20, 20), 1), features((0, 0), 2)))
    assert alone.chosen_on == "3-fold cross-validation"


def test_with_enough_photos_val_chooses_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    choose = fitting._choose

    def chosen(logits: Any, targets: Any, groups: Any) -> tuple[float, float]:
        asked.append(len(logits))
        return choose(logits, targets, groups)

    monkeypatch.setattr(fitting, "_choose", chosen)
    for most, where, count in ((10, "val", 10), (11, "3-fold cross-validation and val", 50)):
        monkeypatch.setattr(fitting, "ENOUGH_VAL", most)
        asked.clear()
        found, _ = fitted(splits(features((20, 20), 1), features((5, 5), 2)))
        assert (found.chosen_on, asked[0]) == (where, count)
        assert found.judged.targets.tolist().count(2) == 40


def test_a_network_that_was_trained_on_the_photos_is_judged_on_val_alone() -> None:
    val = features((6, 5), 2)
    found, _ = fitted(splits(features((20, 20), 1), val, others_val=4), finetune={"seed": 1})
    assert found.chosen_on == "val"
    assert found.judged.targets.tolist() == [0] * 6 + [1] * 5 + [2] * 4
    assert found.judged.paths[:11] == val.photos.paths
    logits = np.concatenate(
        [found.head.logits(val.values[:, 0]), found.head.logits(features((0, 0, 4), 8).values[:, 0])]
    )
    assert (found.temperature, found.threshold) == fitting._choose(logits[:11], val.targets, [logits[11:]])
    without, _ = fitted(splits(features((20, 20), 1), val), finetune={"seed": 1})
    assert without.threshold == fitting._choose(without.head.logits(val.values[:, 0]), val.targets, [])[1]


def test_the_heads_strength_is_the_recipes() -> None:
    parts = splits(features((20, 20), 1), features((5, 5), 2))
    weak, strong = (np.abs(fitted(parts, c=c)[0].head.weights).sum() for c in (0.01, 100.0))
    assert strong > 3 * weak


def test_what_is_given_as_none_of_them_is_learned_and_weighs_by_the_group() -> None:
    parts = splits(features((20, 20), 1), features((5, 5), 2), others=6)
    found, _ = fitted(parts)
    own = found.head.logits(parts["others"].values[:, 0])
    assert (own.max(axis=1) < 0).all(), "it is said to be none of them"
    assert found.judged.targets.tolist() == [0] * 20 + [1] * 20 + [2] * 46


def test_negatives_that_show_a_class_are_left_out_with_their_kind_and_it_is_said() -> None:
    found, lines = fitted(splits(features((20, 20), 1), features((5, 5), 2)), body(like=0))
    assert found.negatives == (30, 10)
    assert lines == [
        "30 photos of all kinds of things, known to the body, teach what is none of the classes; 10 that look like one "
        "of them were left out"
    ]
    none, lines = fitted(splits(features((20, 20), 1), features((5, 5), 2), others=5), body(0))
    assert (none.negatives, lines) == ((0, 0), [])


def test_of_very_many_photos_a_part_is_cross_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = splits(features((20, 20), 1), features((5, 5), 2))
    for most, count in ((40, 40), (39, 39), (10, 10)):
        monkeypatch.setattr(fitting, "MOST_CROSSED", most)
        found, lines = fitted(parts)
        assert found.judged.targets.tolist().count(2) == 40
        assert len(found.judged.targets) == count + 40
        assert (f"cross-validation on {most} of the 40 photos, evenly chosen" in lines) is (count < 40)


def test_a_class_of_a_single_photo_is_learned_and_not_judged() -> None:
    found, lines = fitted(splits(features((20, 1), 1), features((5, 5), 2)))
    assert found.judged.targets.tolist() == [0] * 20 + [2] * 40
    assert "classes of a single photo are learned, but nothing can be said of how well" in lines
    two, lines = fitted(splits(features((20, 2), 1), features((5, 5), 2)))
    assert two.judged.targets.tolist() == [0] * 20 + [1] * 2 + [2] * 40
    assert not any("single" in line for line in lines)
    with pytest.raises(ExportError, match="Every class has a single photo"):
        fitted(splits(features((1, 1), 1), features((5, 5), 2)))


def test_the_first_view_of_a_photo_is_the_one_that_is_judged() -> None:
    parts = splits(features((20, 20), 1), features((5, 5), 2))
    for part in parts.values():
        part.values[:, 1] = -3 * part.values[:, 1]  # nothing like the first
    found, _ = fitted(parts, body(like=1))
    assert found.negatives == (30, 10)
    assert isinstance(found.head, heads.Head)
