"""The head learns classes, keeps "none of them" apart, and is judged on photos that it has not seen."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from export import head as heads

NEEDS_NO_BODY = True


def clouds(count: int, labels: int, seed: int = 0, spread: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """`count` points around each of `labels` + 1 corners; the last corner is none of the labels."""
    random = np.random.default_rng(seed)
    targets = np.repeat(np.arange(labels + 1), count)
    return (np.eye(labels + 1, 8)[targets] + random.normal(0, spread, (len(targets), 8))).astype(
        np.float32
    ), targets


def test_a_head_separates_the_labels_and_gives_negatives_negative_logits() -> None:
    features, targets = clouds(50, 3)
    head = heads.fit(features, targets, 3)
    logits = head.logits(features)
    own = targets < 3
    assert (logits[own].argmax(axis=1) == targets[own]).mean() > 0.95
    any_label = np.log(np.exp(logits).sum(axis=1))
    assert (any_label[own] > 0).mean() > 0.95
    assert (any_label[~own] < 0).mean() > 0.9


def test_two_labels_without_any_negatives_are_learned_too() -> None:
    features, targets = clouds(50, 1)
    head = heads.fit(features, targets, 2)
    assert (head.logits(features).argmax(axis=1) == targets).mean() > 0.95


def test_a_class_without_training_photos_is_never_predicted() -> None:
    features, targets = clouds(50, 3)
    rows = targets != 1
    head = heads.fit(features[rows], targets[rows], 3)
    assert not (head.logits(features).argmax(axis=1) == 1).any()


def test_a_small_class_weighs_as_much_as_a_large_one() -> None:
    features, targets = clouds(400, 2, spread=0.6)
    rows = np.flatnonzero((targets != 0) | (np.arange(len(targets)) < 20))
    head = heads.fit(features[rows], targets[rows], 2)
    answers = head.logits(features)[targets < 2].argmax(axis=1)
    recalls = [(answers[targets[targets < 2] == k] == k).mean() for k in (0, 1)]
    assert abs(recalls[0] - recalls[1]) < 0.1
    assert recalls[0] > 0.7


@pytest.mark.parametrize("count", [2, 4, 5])
def test_folds_hold_every_class_evenly(count: int) -> None:
    targets = np.repeat([0, 1, 2], [20, 41, 3])
    fold = heads.folds(targets, count)
    for target in range(3):
        sizes = np.bincount(fold[targets == target], minlength=count)
        assert sizes.max() - sizes.min() <= 1


def test_out_of_fold_answers_come_from_heads_that_have_not_seen_the_photo() -> None:
    # Random labels can be learned by heart, but not foretold.
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 1, 400)).astype(np.float32)
    targets = random.integers(0, 2, 200)
    negatives = heads.Negatives(random.normal(size=(100, 400)).astype(np.float32))
    by_heart = heads.fit_views(features, targets, negatives, 2).logits(features[:, 0])
    assert (by_heart.argmax(axis=1) == targets).mean() == 1
    logits, negative_logits, _ = heads.out_of_fold(features, targets, negatives, 2, 4)
    assert 0.35 < (logits.argmax(axis=1) == targets).mean() < 0.65
    assert (negative_logits.max(axis=1) > 0).mean() > 0.2


def test_the_views_of_a_photo_are_never_in_two_folds() -> None:
    # The second view says nothing, so that a head which had seen it would know the photo by heart.
    random = np.random.default_rng(0)
    view = random.normal(size=(200, 400)).astype(np.float32)
    features = np.stack([view, view], axis=1)
    targets = random.integers(0, 2, 200)
    logits, _, _ = heads.out_of_fold(features, targets, heads.Negatives(np.zeros((0, 400), np.float32)), 2, 4)
    assert (logits.argmax(axis=1) == targets).mean() < 0.65


def test_every_view_is_learned_from() -> None:
    features, targets = clouds(50, 1)
    views = np.stack([features, -features], axis=1)
    head = heads.fit_views(views, targets, heads.Negatives(np.zeros((0, 8), np.float32)), 2)
    one = heads.fit_views(views[:, :1], targets, heads.Negatives(np.zeros((0, 8), np.float32)), 2)
    assert not np.allclose(head.weights, one.weights, atol=0.1)


def test_negatives_that_show_a_class_are_noticed_and_others_are_not() -> None:
    features, targets = clouds(100, 2, spread=0.15)
    own = targets < 2
    negatives = np.concatenate([clouds(10, 2, seed=1, spread=0.05)[0][:10], features[~own][:50]])
    shown = heads.show_a_class(negatives, features[own], targets[own])
    assert shown[:10].mean() > 0.7
    assert shown[10:].mean() < 0.1


def test_without_negatives_or_with_single_photos_none_shows_a_class() -> None:
    features, targets = clouds(1, 1)
    assert not heads.show_a_class(features, features, targets).any()
    assert heads.show_a_class(np.zeros((0, 8), np.float32), features, targets).shape == (0,)


def test_the_users_own_negatives_weigh_as_much_as_a_class() -> None:
    features, targets = clouds(50, 2)
    own = targets < 2
    mine = features[~own][:5] + 2
    everything = heads.Negatives(np.concatenate([features[~own], mine]), own=5)
    assert everything.emphasis(50).tolist() == [heads.NEGATIVE_WEIGHT] * 50 + [10.0] * 5
    head = heads.fit_views(features[own][:, None], targets[own], everything, 2)
    alike = heads.fit_views(features[own][:, None], targets[own], heads.Negatives(everything.features), 2)
    assert head.logits(mine).max() < alike.logits(mine).max()


def test_a_kind_of_negatives_that_often_shows_a_class_is_left_out_completely() -> None:
    kinds = ["dog"] * 10 + ["car"] * 10
    shown = np.zeros(20, dtype=bool)
    shown[[0, 1, 2, 10]] = True
    assert heads.with_their_kinds(shown, kinds).tolist() == [True] * 11 + [False] * 9


def test_however_few_negatives_there_are_each_counts_no_more_than_it_should() -> None:
    features, targets = clouds(60, 2)
    own = targets < 2
    few = heads.Negatives(features[~own][:3])
    head = heads.fit_views(features[own][:, None], targets[own], few, 2)
    scaled = heads.Negatives(np.repeat(few.features, 20, axis=0))
    many = heads.fit_views(features[own][:, None], targets[own], scaled, 2)
    assert head.logits(few.features).max() > many.logits(few.features).max() + 0.3


def test_logits_are_of_double_precision_for_what_is_chosen_on_them() -> None:
    head = heads.Head(np.ones((2, 3), np.float32), np.zeros(2, np.float32))
    assert head.logits(np.ones((1, 3), np.float32)).dtype == np.float64


def test_without_emphasis_every_photo_counts_once() -> None:
    random = np.random.default_rng(0)
    features, targets = random.normal(0, 1, (30, 4)).astype(np.float32), np.arange(30) % 3
    plain, ones = (heads.fit(features, targets, 2, 0.1, emphasis) for emphasis in (None, np.ones(30)))
    assert plain.weights == pytest.approx(ones.weights)


def test_two_photos_are_enough_to_know_what_shows_a_class_and_one_is_not() -> None:
    photos = np.array([[1.0, 0.0], [1.0, 0.5]])
    for count, shown in ((1, False), (2, True)):
        found = heads.show_a_class(np.array([[1.0, 0.2]]), photos[:count], np.zeros(count, np.int64))
        assert found.tolist() == [shown]


def test_the_users_own_negatives_weigh_as_much_as_all_views_of_a_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []
    emphasis = heads.Negatives.emphasis

    def seen(self: heads.Negatives, largest: int) -> object:
        told.append(largest)
        return emphasis(self, largest)

    monkeypatch.setattr(heads.Negatives, "emphasis", seen)
    features = np.random.default_rng(0).normal(0, 1, (5, 3, 4)).astype(np.float32)
    heads.fit_views(features, np.array([0, 0, 0, 1, 1]), heads.Negatives(features[:2, 0], 1), 2)
    assert told == [3 * 3]


def test_the_rarer_a_class_the_more_a_photo_of_it_weighs_up_to_a_limit() -> None:
    targets = np.repeat([0, 1, 2, 4], [10, 1, 5, 3])
    found = heads._weights(targets, 4)
    assert found.tolist() == [1.0] * 10 + [10.0] + [2.0] * 5 + [1.0] * 3
    assert heads._weights(np.repeat([0, 1], [1000, 1]), 2)[-1] == heads.MOST_WEIGHT
    alone = heads.Negatives(np.zeros((3, 2)), own=1)
    assert alone.emphasis(7).tolist() == [heads.NEGATIVE_WEIGHT] * 2 + [7.0]
    assert alone.emphasis(10_000)[-1] == heads.MOST_WEIGHT
    many = heads.Negatives(np.zeros((9, 2)), own=9)
    assert many.emphasis(3).tolist() == [1.0] * 9, "never less than a photo of the largest class"
    assert heads.Negatives(np.zeros((2, 2))).emphasis(3).tolist() == [heads.NEGATIVE_WEIGHT] * 2


def test_the_users_own_negatives_are_spread_evenly_over_the_folds() -> None:
    random = np.random.default_rng(0)
    features, negatives = random.normal(size=(12, 1, 4)), random.normal(size=(12, 4))
    for own in (4, 8):
        fold = heads.out_of_fold(features, np.repeat([0, 1, 2], 4), heads.Negatives(negatives, own), 3, 4)[2]
        assert np.bincount(fold[12:][-own:]).tolist() == [own // 4] * 4
        assert np.bincount(fold[12:][:-own]).tolist() == [(12 - own) // 4] * 4


def test_folds_are_drawn_and_the_same_for_the_same_seed() -> None:
    targets = np.repeat([0, 1], 50)
    found = [heads.folds(targets, 5, seed).tolist() for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert heads.folds(targets, 5).tolist() == found[0]
    firsts = [heads.folds(np.zeros(1, np.int64), 5, seed)[0] for seed in range(30)]
    assert set(firsts) == set(range(5)), "classes of one photo do not all go into the same fold"


def test_what_is_like_no_photo_shows_no_class_however_unlike_the_photos_of_a_class_are() -> None:
    photos = np.eye(3)[:2]
    assert heads.show_a_class(np.eye(3), photos, np.zeros(2, np.int64)).tolist() == [True, True, False]


def test_of_a_class_the_photos_that_are_nearest_to_others_say_how_near_is_near() -> None:
    def turned(degrees: float) -> list[float]:
        return [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]

    # Each photo's nearest is 1, 1, 2 and 4 degrees away: three in ten are nearer than some 1.1 degrees.
    photos = np.array([turned(degrees) for degrees in (0, 1, 3, 7)]) * [[1], [5], [9], [0.5]]
    negatives = np.array([turned(degrees) for degrees in (-0.9, -1.2, 8.2, 5)]) * 3
    classes = np.zeros(4, np.int64)
    assert heads.show_a_class(negatives, photos, classes).tolist() == [True, False, False, False]
    assert heads.show_a_class(negatives, photos, classes, 0.0).tolist() == [True] * 4
    # The direction counts, however small the features are; what has none is like nothing.
    assert heads.show_a_class(negatives / 1000, photos / 100, classes).tolist() == [True, False, False, False]
    assert heads.show_a_class(np.zeros((1, 2)), photos, classes).tolist() == [False]


def test_a_kind_is_left_out_from_the_share_on_and_no_earlier() -> None:
    kinds, shown = ["a"] * 4 + ["b"] * 5, np.array([True, *[False] * 3, True, *[False] * 4])
    assert heads.with_their_kinds(shown, kinds, 0.25).tolist() == [True] * 5 + [False] * 4
    assert heads.with_their_kinds(shown, kinds, 0.2).tolist() == [True] * 9


def test_all_photos_are_learned_from_however_many_are_copied_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, targets = clouds(20, 2)
    own = targets < 2
    views = np.stack([features[own], features[own] * 0.5], axis=1)
    negatives = heads.Negatives(features[~own])
    whole = heads.fit_views(views, targets[own], negatives, 2)
    monkeypatch.setattr(heads, "CHUNK", 7)
    parts = heads.fit_views(views, targets[own], negatives, 2)
    assert parts.weights == pytest.approx(whole.weights)
    assert parts.bias == pytest.approx(whole.bias)
    rows, wanted = (
        np.concatenate([views.reshape(-1, 8), negatives.features]),
        np.repeat([0, 1, 2], [40, 40, 20]),
    )
    emphasis = np.repeat([1.0, heads.NEGATIVE_WEIGHT], [80, 20])
    direct = heads.fit(rows, wanted, 2, emphasis=emphasis)
    assert direct.weights == pytest.approx(whole.weights)
    assert direct.bias == pytest.approx(whole.bias)


def test_of_two_labels_alone_one_is_measured_against_the_other() -> None:
    features = np.array([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0], [-2.0, 0.0]])
    head = heads.fit(features, np.array([0, 0, 1, 1]), 2)
    assert (head.weights[0].tolist(), head.bias[0]) == ([0.0, 0.0], 0.0)
    assert head.weights[1][0] < 0
    assert head.bias[1] == pytest.approx(0, abs=1e-3)


def test_a_fit_that_is_cut_short_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "MAX_STEPS", 1)
    features, targets = clouds(20, 2)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        heads.fit(features, targets, 2)
    assert said == []


def test_what_is_known_without_a_photo_is_how_often_a_label_is_seen_for_each_of_none() -> None:
    nothing = np.zeros((24, 2), np.float32)
    head = heads.fit(nothing, np.repeat([0, 1, 2], 8), 2, emphasis=np.repeat([2.0, 1.0, 1.0], 8))
    assert head.logits(nothing[:1])[0] == pytest.approx([np.log(2), 0], abs=1e-3)


def test_heads_that_judge_are_held_back_as_much_as_the_one_that_is_published() -> None:
    features, targets = clouds(20, 2)
    own = targets < 2
    negatives = heads.Negatives(features[~own])
    loose, tight = (
        heads.out_of_fold(features[own][:, None], targets[own], negatives, 2, 4, c) for c in (heads.C, 1e-4)
    )
    plain = heads.out_of_fold(features[own][:, None], targets[own], negatives, 2, 4)
    assert plain[0].tolist() == loose[0].tolist()
    for number in (0, 1):
        assert np.ptp(tight[number]) < 0.1 * np.ptp(loose[number])
