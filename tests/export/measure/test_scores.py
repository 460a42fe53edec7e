"""A model's answers about photos: from real files, through the code that serves, with a model that is tiny."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from api._classifier import Classifier
from api._photo.image import decode
from api._registry import Model, read_model
from export.errors import ExportError
from export.measure import scores
from export.photos import MAX_PIXELS
from export.photos.find import Photos
from export.photos.hashes import difference_hash
from tests import models

NEEDS_NO_BODY = True


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return read_model(models.publish(tmp_path / "models", ("a", "b"), thresholds={"recognized": 0.4}))


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Three photos, between them one that is none and one that is missing."""
    random = np.random.default_rng(0)
    for name in ("one.png", "three.png", "five.png"):
        Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "two.png").write_bytes(b"no photo")
    paths = tuple(tmp_path / f"{name}.png" for name in ("one", "two", "three", "four", "five"))
    return Photos(("a", "b"), paths, (0, 1, 1, 0, 2), ("k1", "k2", "k3", "k4", "k5"))


def test_every_photo_that_can_be_read_has_its_answer_and_the_others_their_reason(
    model: Model, photos: Photos
) -> None:
    found = scores.score(model, photos)
    kept = [0, 2, 4]
    contents = [photos.paths[i].read_bytes() for i in kept]
    pixels = [decode(content, model.input_size).pixels for content in contents]
    wanted = [Classifier(model, threads=1).predict(each[None])[0] for each in pixels]
    assert found.labels == ("a", "b")
    assert found.threshold == 0.4
    assert found.paths == tuple(photos.paths[i] for i in kept)
    assert found.targets.tolist() == [0, 1, 2]
    assert found.probabilities == pytest.approx(
        np.array([list(each.probabilities.values()) for each in wanted])
    )
    assert found.recognized == pytest.approx([0.9] * 3)
    assert found.kinds == ("k1", "k3", "k5")
    assert found.digests == tuple(hashlib.sha256(content).digest() for content in contents)
    assert found.hashes == tuple(difference_hash(each) for each in pixels)
    second, fourth = found.skipped
    assert second.startswith(f"{photos.paths[1]}: This is no image")
    assert fourth == f"{photos.paths[3]}: it cannot be read: No such file or directory"


def test_photos_may_be_changed_before_they_are_judged_but_keep_their_names(
    model: Model, photos: Photos
) -> None:
    other = photos.paths[2].read_bytes()
    changed = scores.score(model, photos.take([0]), lambda content: other)
    assert changed.probabilities == pytest.approx(scores.score(model, photos.take([2])).probabilities)
    assert changed.digests == (hashlib.sha256(photos.paths[0].read_bytes()).digest(),)


def test_where_no_photo_can_be_read_the_first_reason_is_told(model: Model, photos: Photos) -> None:
    with pytest.raises(
        ExportError, match=r"^None of the 2 photos can be read\. .*two\.png: This is no image"
    ):
        scores.score(model, photos.take([1, 3]))


def test_a_photo_for_training_may_be_larger_than_one_for_the_service(
    model: Model, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[tuple[int, int]] = []

    def seen(content: bytes, size: int, limit: int) -> Any:
        limits.append((size, limit))
        return decode(content, size)

    monkeypatch.setattr(scores, "decode", seen)
    scores.score(model, photos.take([0]))
    assert limits == [(model.input_size, MAX_PIXELS)]


def test_the_network_runs_on_one_thread_because_photos_are_judged_side_by_side(
    model: Model, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []

    def classifier(model: Model, threads: int | None = None) -> Classifier:
        asked.append(threads)
        return Classifier(model, threads)

    monkeypatch.setattr(scores, "Classifier", classifier)
    scores.score(model, photos.take([0]))
    scores.latency_ms(model, runs=1)
    assert asked == [1, 1]


def test_results_come_in_order_and_who_interrupts_starts_no_further_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [Path(str(number)) for number in range(30)]
    assert scores._of_each(str, paths, "judge") == [str(number) for number in range(30)]
    told = capsys.readouterr().err
    assert "judge" in told
    assert "30/30" in told
    assert "photos/s" in told
    begun: list[Path] = []

    def interrupted(results: Any, *_: Any, **__: Any) -> Any:
        yield next(results)
        raise KeyboardInterrupt

    def ask(path: Path) -> None:
        begun.append(path)
        if len(begun) > 4:
            stop.wait(0.05)

    import threading

    stop = threading.Event()
    monkeypatch.setattr(scores, "tqdm", interrupted)
    monkeypatch.setattr(scores, "available_cpus", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        scores._of_each(ask, paths, "judge")
    assert len(begun) < 10


def test_the_latency_is_the_median_of_the_runs_behind_the_first_five(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = [9.0] * 5 + [0.001, 0.002, 0.009]
    moments = [moment for seconds in took for moment in (100.0, 100.0 + seconds)]
    monkeypatch.setattr(scores, "time", SimpleNamespace(thread_time=iter(moments).__next__))
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(Classifier, "predict", lambda _, pixels: asked.append(pixels.shape))
    assert scores.latency_ms(model, runs=3) == pytest.approx(2.0)
    assert asked == [(1, model.input_size, model.input_size, 3)] * 8


def test_logits_become_the_answers_that_a_graph_would_give() -> None:
    photos = Photos(("a", "b"), tuple(map(Path, ("one", "two", "three"))), (0, 1, 2), ("k1", "k2", "k3"))
    logits = np.array([[2.0, -4.0], [3000.0, 3002.0], [-8.0, -8.0]])
    found = scores.from_logits(("a", "b"), photos, logits, 2.0, 0.25)
    certain, none = 1 / (1 + np.exp(-3)), 2 / (2 + np.exp(4))
    second = 1 / (1 + np.exp(-1))
    assert found.probabilities == pytest.approx(
        np.array([[certain, 1 - certain], [1 - second, second], [0.5, 0.5]])
    )
    one = np.exp(1) + np.exp(-2)
    assert found.recognized == pytest.approx([one / (1 + one), 1.0, none])
    assert (found.labels, found.threshold, found.kinds) == (("a", "b"), 0.25, ("k1", "k2", "k3"))
    assert (found.paths, found.targets.tolist()) == (photos.paths, [0, 1, 2])
    assert found.targets.dtype == np.int64
    assert found.predicted.tolist() == [0, 1, 0]
    assert found.labelled.tolist() == [True, True, False]
    assert found.accepted.tolist() == [True, True, False]
    assert (found.skipped, found.digests, found.hashes) == ((), (), ())


def some_scores(**more: Any) -> scores.Scores:
    names = tuple(map(Path, ("one", "two", "three", "four")))
    return scores.Scores(
        ("a", "b"), 0.5, names, np.array([0, 2, 1, 2]), np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5]]),
        np.array([0.9, 0.5, 0.499, 0.1]), **more,
    )  # fmt: skip


def test_answers_of_some_photos_are_theirs_in_the_order_that_was_asked_for() -> None:
    whole = some_scores(
        kinds=("k1", "k2", "k3", "k4"),
        digests=(b"1", b"2", b"3", b"4"),
        hashes=(1, 2, 3, 4),
        skipped=("five",),
    )
    some = whole.take([2, 0])
    assert [path.name for path in some.paths] == ["three", "one"]
    assert (some.targets.tolist(), some.recognized.tolist()) == ([1, 0], [0.499, 0.9])
    assert some.probabilities.tolist() == [[0.2, 0.8], [0.9, 0.1]]
    assert (some.kinds, some.digests, some.hashes) == (("k3", "k1"), (b"3", b"1"), (3, 1))
    assert (some.labels, some.threshold, some.skipped) == (whole.labels, 0.5, ("five",))
    assert [path.name for path in whole.without({0, 3}).paths] == ["two", "three"]
    assert whole.of_labels().targets.tolist() == [0, 1]
    bare = some_scores().take([1])
    assert (bare.kinds, bare.digests, bare.hashes) == ((), (), ())


def test_a_photo_is_recognized_from_the_threshold_on() -> None:
    assert some_scores().accepted.tolist() == [True, True, False, False]
    assert some_scores().predicted.tolist() == [0, 1, 1, 0]


def test_a_line_tells_how_far_it_is(model: Model, photos: Photos, capsys: pytest.CaptureFixture[str]) -> None:
    scores.score(model, photos.take([0]))
    assert "score: 100%" in capsys.readouterr().err
    scores.score(model, photos.take([0]), title="test")
    assert "test: 100%" in capsys.readouterr().err
