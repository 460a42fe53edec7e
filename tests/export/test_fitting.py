"""Which photos choose the temperature and the threshold, and how scores of several folds become comparable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export import fitting
from export import head as heads
from export.measure import calibration, scores
from export.photos import evenly
from export.photos.find import Photos

NEEDS_NO_BODY = True


def test_a_score_moved_with_its_threshold_stays_on_its_side() -> None:
    scored = np.array([0.0, 0.2, 0.4, 0.5, 0.9, 1.0])
    moved = fitting._moved(scored, 0.4, 0.7)
    assert (moved >= 0.7).tolist() == (scored >= 0.4).tolist()
    assert (np.diff(moved) > 0).all(), "and in its order"
    # On the logit scale everything moves by as much.
    inner = slice(1, 5)
    odds = moved[inner] / (1 - moved[inner]) / (scored[inner] / (1 - scored[inner]))
    assert odds == pytest.approx(np.full(4, (0.7 / 0.3) / (0.4 / 0.6)), rel=1e-5)
    assert fitting._moved(scored[inner], 0.4, 0.4) == pytest.approx(scored[inner])


def test_rounding_never_moves_a_score_over_the_threshold() -> None:
    bound, to = 0.123456, 0.654321
    below, at = np.nextafter(bound, 0), bound
    moved = fitting._moved(np.array([below, at]), bound, to)
    assert moved[0] < to <= moved[1]


def test_temperature_and_threshold_are_chosen_on_these_logits_and_each_group_of_negatives() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(2, 1, (200, 3))
    targets = random.integers(0, 3, 200)
    groups = [random.normal(-4, 1, (100, 3)), random.normal(-2, 1, (50, 3))]
    temperature, threshold = fitting._choose(logits, targets, groups)
    assert temperature == calibration.temperature(logits, targets)
    own, *others = (calibration.recognized(some, temperature) for some in (logits, *groups))
    assert threshold == calibration.threshold(own, *others)
    assert threshold != calibration.threshold(own, others[0])


def photos(targets: list[int], labels: tuple[str, ...] = ("a", "b")) -> Photos:
    return Photos(labels, (Path("p"),) * len(targets), tuple(targets), ("",) * len(targets))


def test_each_fold_is_judged_by_what_the_other_folds_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def choose(logits: np.ndarray, targets: np.ndarray, groups: list[np.ndarray]) -> tuple[float, float]:
        seen.append((logits[:, 0].tolist(), targets.tolist(), [group[:, 0].tolist() for group in groups]))
        return 2.0, 0.5

    monkeypatch.setattr(fitting, "_choose", choose)
    logits = np.array([[0.0, 9], [1, 9], [2, 9], [3, 9]])
    negatives = np.array([[-1.0, -9], [-2, -9], [-3, -9]])
    crossed = fitting._Crossed(photos([0, 1, 0, 1]), logits, negatives, np.array([0, 1, 0, 1, 0, 1, 1]))
    judged = crossed.judge(0.5, 2)  # two of the negatives are the body's
    assert seen == [([1, 3], [1, 1], [[-2], [-3]]), ([0, 2], [0, 0], [[-1], []])]
    every = np.concatenate([logits, negatives])
    expected = scores.from_logits(("a", "b"), photos([0, 1, 0, 1, 2, 2, 2]), every, 2.0, 0.5)
    assert judged.probabilities == pytest.approx(expected.probabilities)
    assert judged.recognized == pytest.approx(expected.recognized, abs=1e-6)
    assert judged.targets.tolist() == [0, 1, 0, 1, 2, 2, 2]
    assert judged.threshold == 0.5


def test_the_answers_of_a_fold_have_the_temperature_that_was_chosen_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = iter([(1.0, 0.5), (4.0, 0.5)])
    monkeypatch.setattr(fitting, "_choose", lambda *_: next(chosen))
    logits = np.array([[0.0, 4], [0, 4], [0, 4]])
    judged = fitting._Crossed(photos([0, 1, 0]), logits, np.zeros((0, 2)), np.array([0, 1, 0])).judge(0.5, 0)
    assert judged.probabilities[:, 1] == pytest.approx([1 / (1 + np.exp(-t)) for t in (4, 1, 4)])


def test_where_all_photos_lie_in_one_fold_they_choose_for_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def choose(logits: np.ndarray, *_: object) -> tuple[float, float]:
        seen.append(len(logits))
        return 1.0, 0.5

    monkeypatch.setattr(fitting, "_choose", choose)
    fitting._Crossed(photos([0, 1]), np.zeros((2, 2)), np.zeros((1, 2)), np.array([0, 0, 1])).judge(0.5, 1)
    assert seen == [2, 2]


# --- scores


def test_the_scores_of_a_graph_follow_from_its_logits() -> None:
    logits = np.log(np.array([[3.0, 1.0], [0.25, 0.25]]))
    found = scores.from_logits(("a", "b"), photos([0, 2]), logits, 1.0, 0.6)
    assert found.probabilities == pytest.approx(np.array([[0.75, 0.25], [0.5, 0.5]]))
    assert found.recognized == pytest.approx([4 / 5, 0.5 / 1.5])
    assert found.predicted.tolist() == [0, 0]
    assert found.labelled.tolist() == [True, False]
    assert found.accepted.tolist() == [True, False]
    halved = scores.from_logits(("a", "b"), photos([0, 2]), logits, 2.0, 0.6)
    assert halved.probabilities[0] == pytest.approx(np.sqrt([3, 1]) / np.sqrt([3, 1]).sum())
    kinds = Photos(("a",), (Path("p"),), (0,), ("kind",))
    assert scores.from_logits(("a",), kinds, np.array([[0.0]]), 1.0, 0.5).kinds == ("kind",)
    exact = scores.from_logits(("a",), photos([0], ("a",)), np.array([[0.0]]), 1.0, 0.5)
    assert exact.accepted.tolist() == [True], "a score of exactly the threshold is recognized"


def test_some_of_the_scores_keep_all_that_belongs_to_them() -> None:
    found = scores.Scores(
        ("a", "b"), 0.5, tuple(map(Path, "xyz")), np.array([0, 1, 2]), np.eye(3)[:, :2], np.array([0.1, 0.2, 0.3]),
        ("k", "l", "m"), ("skipped",), (b"1", b"2", b"3"), (1, 2, 3),
    )  # fmt: skip
    some = found.without({1})
    assert [path.name for path in some.paths] == ["x", "z"]
    assert (some.targets.tolist(), some.recognized.tolist()) == ([0, 2], [0.1, 0.3])
    assert (some.kinds, some.digests, some.hashes) == (("k", "m"), (b"1", b"3"), (1, 3))
    assert some.skipped == ("skipped",)
    assert found.of_labels().targets.tolist() == [0, 1]
    bare = scores.Scores(("a",), 0.5, (Path("x"),), np.array([0]), np.ones((1, 1)), np.ones(1))
    assert (bare.take([0]).kinds, bare.take([0]).digests, bare.take([0]).hashes) == ((), (), ())


# --- the head's arithmetic


def test_photos_of_small_classes_weigh_more_up_to_a_limit() -> None:
    targets = np.repeat([0, 1, 2, 3], [100, 50, 1, 7])
    weights = heads._weights(targets, 3)
    assert weights[[0, 100, 150, 151]].tolist() == [1.0, 2.0, heads.MOST_WEIGHT, 1.0]


def test_the_weights_of_negatives_follow_from_how_many_of_them_are_the_users_own() -> None:
    def own(count: int, largest: int) -> float:
        return float(heads.Negatives(np.zeros((count + 2, 1)), count).emphasis(largest)[-1])

    assert own(10, 50) == 5.0
    assert own(100, 50) == 1.0, "never less than a photo"
    assert own(1, 5_000) == heads.MOST_WEIGHT
    assert heads.Negatives(np.zeros((2, 1))).emphasis(50).tolist() == [heads.NEGATIVE_WEIGHT] * 2


def test_some_of_the_negatives_know_how_many_are_the_users_own() -> None:
    negatives = heads.Negatives(np.arange(6.0)[:, None], 2)
    some = negatives.take(np.array([True, False, True, False, False, True]))
    assert (some.features[:, 0].tolist(), some.own, len(some)) == ([0, 2, 5], 1, 3)


def test_a_kind_is_left_out_from_exactly_the_share_on() -> None:
    kinds = ["a"] * 50 + ["b"] * 50
    shown = np.zeros(100, dtype=bool)
    shown[:9] = shown[50:58] = True
    assert heads.KIND_SHARE == 0.18
    found = heads.with_their_kinds(shown, kinds)
    assert found[:50].all()
    assert found[50:].sum() == 8


def test_another_seed_gives_other_folds_and_the_same_seed_the_same() -> None:
    targets = np.repeat([0, 1], 20)
    assert (heads.folds(targets, 4) == heads.folds(targets, 4, seed=0)).all()
    assert (heads.folds(targets, 4) != heads.folds(targets, 4, seed=1)).any()


def test_some_of_many_are_spread_evenly_from_the_first_to_the_last() -> None:
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(3, 10).tolist() == [0, 1, 2]
