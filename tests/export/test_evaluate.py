"""Figures, intervals, temperature and threshold, on answers whose figures are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from api import _registry
from export import data, evaluate, plots
from export.publish import find


def _scores(
    targets: list[int], probabilities: list[float], recognized: list[float], threshold: float = 0.5
) -> evaluate.Scores:
    """Answers of a model for cat and dog; `probabilities` are the cat's."""
    cat = np.asarray(probabilities)
    return evaluate.Scores(
        ("cat", "dog"), threshold, tuple(Path(f"{i}.jpg") for i in range(len(cat))), np.asarray(targets),
        np.stack([cat, 1 - cat], axis=1), np.asarray(recognized), (),
    )  # fmt: skip


def test_figures_count_labels_and_neither_apart() -> None:
    scores = _scores([0, 0, 1, 1, 2, 2], [0.9, 0.2, 0.1, 0.3, 0.9, 0.5], [0.9, 0.9, 0.9, 0.1, 0.1, 0.8])
    figures = evaluate.measure(scores)
    assert figures["photos"] == 4
    assert figures["accuracy"] == 0.75
    assert figures["wrongly_unrecognized"] == 0.25
    assert (figures["neither_photos"], figures["neither_unrecognized"]) == (2, 0.5)
    assert figures["per_class"]["cat"] == {"precision": 1.0, "recall": 0.5, "photos": 2}
    assert figures["per_class"]["dog"] == {"precision": pytest.approx(2 / 3), "recall": 1.0, "photos": 2}
    assert evaluate.confusion(scores).tolist() == [[1, 1, 0], [0, 1, 1], [1, 0, 1]]


def test_wilson_intervals_are_those_of_the_textbook() -> None:
    # Newcombe 1998, table I: 81 of 263.
    assert evaluate.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert evaluate.wilson(10, 10)[1] == pytest.approx(1)
    assert math.isnan(evaluate.wilson(0, 0)[0])


def test_perfect_confidence_has_no_calibration_error_and_boasting_has() -> None:
    assert evaluate.expected_calibration_error(_scores([0, 1, 0], [1.0, 0.0, 1.0], [1, 1, 1])) == 0
    boasting = _scores([0, 1, 0, 1], [0.99, 0.99, 0.99, 0.99], [1, 1, 1, 1])
    assert evaluate.expected_calibration_error(boasting) == pytest.approx(0.49)


def test_the_temperature_undoes_overconfidence() -> None:
    random = np.random.default_rng(0)
    honest = random.normal(0, 2, (4000, 2))
    odds = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    targets = (random.random(4000) > odds[:, 0]).astype(int)
    assert evaluate.temperature(honest * 3, targets.tolist()) == pytest.approx(3, rel=0.1)


def test_logits_come_back_from_probabilities_and_recognized() -> None:
    logits = np.array([[2.0, -1.0], [0.3, 0.2], [-3.0, -4.0]])
    exponentials = np.exp(logits)
    scores = _scores(
        [0, 0, 2],
        (exponentials[:, 0] / exponentials.sum(axis=1)).tolist(),
        (exponentials.sum(axis=1) / (1 + exponentials.sum(axis=1))).tolist(),
    )
    np.testing.assert_allclose(evaluate.logits_of(scores), logits, atol=1e-6)


def test_the_threshold_refuses_neither_but_spares_the_labels() -> None:
    animals = [0.6 + 0.3 * i / 999 for i in range(1000)]
    easy = _scores([0] * 1000 + [2] * 100, [0.9] * 1100, animals + [0.3 + 0.001 * i for i in range(100)])
    threshold = evaluate.recognized_threshold(easy)
    assert threshold == pytest.approx(0.396, abs=0.001)
    hard = _scores([0] * 1000 + [2] * 100, [0.9] * 1100, animals + [0.8] * 100)
    # Nine of a thousand animals may be refused. The score of the tenth has more digits than a threshold.
    sparing = evaluate.recognized_threshold(hard)
    assert sum(score < sparing for score in animals) == 9
    alone = _scores([0] * 1000, [0.9] * 1000, animals)
    assert evaluate.recognized_threshold(alone) == 0.5


def test_an_unreadable_photo_is_counted_as_skipped(published: Path, tmp_path: Path) -> None:
    for label in ("disc", "square"):
        (tmp_path / label).mkdir()
        Image.new("RGB", (30, 30)).save(tmp_path / label / "0.png")
    (tmp_path / "disc" / "1.jpg").write_bytes(b"\xff\xd8\xff and no more")
    scores = evaluate.score(_registry.load(published), data.find(tmp_path, "all"))
    assert evaluate.measure(scores)["skipped"] == 1
    assert "1.jpg" in scores.skipped[0]


def test_plots_and_the_contact_sheet_are_pictures(published: Path, photos: Path, tmp_path: Path) -> None:
    model = _registry.load(published)
    found = find(photos / "photos", photos / "neither", "test", model.labels)
    scores = evaluate.score(model, found)
    curves = {"jpeg_quality": {90: 1.0, 10: 0.5}, "short_side": {200: 1.0, 50: 0.7}}
    for path in plots.draw_all(scores, curves, tmp_path):
        with Image.open(path) as image:
            assert min(image.size) > 200, path
    strict = evaluate.Scores(**{**vars(scores), "threshold": 1.1})
    assert evaluate.contact_sheet(strict, tmp_path / "errors.png") == int(scores.labelled.sum())
    with Image.open(tmp_path / "errors.png") as sheet:
        assert sheet.size[0] == 8 * 160


def test_smaller_and_coarser_uploads_are_smaller_and_coarser(photos: Path) -> None:
    import io

    data_in = next((photos / "photos" / "test" / "disc").iterdir()).read_bytes()
    with Image.open(io.BytesIO(evaluate._reencode(data_in, side=36))) as image:
        assert min(image.size) == 36
    assert len(evaluate._reencode(data_in, quality=10)) < len(evaluate._reencode(data_in, quality=90))


def test_painting_over_the_hot_area_changes_more_answers_than_the_cold_one(
    published: Path, photos: Path
) -> None:
    model = _registry.load(published)
    result = evaluate.masking(model, find(photos / "photos", None, "test", model.labels))
    assert result["hot"]["changed"] > result["cold"]["changed"]
    assert result["hot"]["confidence"] < result["cold"]["confidence"]


def test_the_coldest_area_is_counted_off_even_where_all_cells_are_equal() -> None:
    assert evaluate._coldest(np.zeros((4, 4), dtype=np.float32), 0.25).sum() == 4
