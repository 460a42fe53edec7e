"""From a folder of photos to a run: the whole way, on the real body."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from export import fitting, recipe, run
from export import train as training
from export.errors import ExportError
from export.measure import scores
from export.photos.find import find, find_split
from tests.export.conftest import LABELS, write_class

pytestmark = pytest.mark.usefixtures("without_plots_and_stopwatch")


@pytest.fixture(autouse=True)
def _features_are_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "cache", cache)


DEFAULTS: dict[str, object] = {}


def train(photos: Path, out: Path, **options: object) -> run.Run:
    return training.train([photos], out, recipe.load("lite0"), **{**DEFAULTS, **options})  # type: ignore[arg-type]


def test_a_run_has_all_that_publishing_needs_and_good_figures(finished: Path) -> None:
    metadata = run.load(finished).metadata
    assert metadata["labels"] == list(LABELS)
    assert metadata["metrics"]["test"]["accuracy"] > 0.9
    assert metadata["metrics"]["test"]["neither_photos"] == 5
    assert metadata["metrics"]["cross_validation"]["neither_unrecognized"] > 0.9
    assert metadata["weights"]["bytes"] < 4e6
    for name in ("confusion.png", "reliability.png", "recognized.png", "head.npz", "model.onnx"):
        assert (finished / name).stat().st_size > 0


def test_figures_are_measured_through_the_code_that_serves(finished: Path, photos: Path) -> None:
    finished_run = run.load(finished)
    test, _ = find_split([photos / "photos"], [photos / "neither"], "test", LABELS)
    served = scores.score(finished_run.model(), test)
    right = (served.predicted == served.targets)[served.labelled].mean()
    assert right == finished_run.metadata["metrics"]["test"]["accuracy"]


def test_the_served_file_is_as_accurate_as_the_fitted_head(finished: Path) -> None:
    assert run.parity(run.load(finished)) < 0.002


def test_a_graph_with_another_head_fails_the_parity_check(finished: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished, tmp_path / "run")
    with np.load(copy / run.PARITY) as stored:
        np.savez(copy / run.PARITY, pixels=stored["pixels"], logits=-stored["logits"])
    with pytest.raises(run.RunError, match="differs from the fitted head"):
        run.parity(run.load(copy))


def test_a_run_whose_model_was_changed_is_refused(finished: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(finished, tmp_path / "run")
    (copy / run.MODEL).write_bytes(b"something else")
    with pytest.raises(run.RunError, match="not the file"):
        run.load(copy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_run_is_a_clear_error(finished: Path, tmp_path: Path, content: bytes) -> None:
    copy = shutil.copytree(finished, tmp_path / "run")
    (copy / run.METADATA).write_bytes(content)
    with pytest.raises(run.RunError, match="cannot be read"):
        run.load(copy)


def test_nothing_is_chosen_on_test(finished: Path, photos: Path, tmp_path: Path) -> None:
    """Test photos of other classes change the figures and nothing that is served."""
    copy = shutil.copytree(photos / "photos", tmp_path / "photos")
    shutil.rmtree(copy / "test")
    write_class(copy / "test" / "disc", "square", 4, seed=77)
    write_class(copy / "test" / "square", "disc", 4, seed=77)
    other = train(copy, tmp_path / "run", neither=photos / "neither", cache=photos / "cache")
    first = run.load(finished)
    assert other.metadata["metrics"]["test"]["accuracy"] < 0.2
    assert other.graph == first.graph
    assert other.metadata["thresholds"] == first.metadata["thresholds"]


@pytest.mark.parametrize("count", [2, 5])
def test_a_few_photos_without_splits_are_enough_for_an_honest_estimate(tmp_path: Path, count: int) -> None:
    for label in LABELS:
        write_class(tmp_path / "photos" / label, label, count)
    metadata = train(tmp_path / "photos", tmp_path / "run").metadata
    assert "test" not in metadata["metrics"]
    crossed = metadata["metrics"]["cross_validation"]
    low, high = crossed["accuracy_interval"]
    assert high - low > 0.2
    assert crossed["neither_unrecognized"] > 0.5
    assert 0 < metadata["thresholds"]["recognized"] < 1


def test_a_class_with_one_photo_is_learned(tmp_path: Path) -> None:
    write_class(tmp_path / "photos" / "disc", "disc", 6)
    write_class(tmp_path / "photos" / "square", "square", 1)
    train(tmp_path / "photos", tmp_path / "run")


def test_one_photo_of_every_class_is_a_clear_error(tmp_path: Path) -> None:
    for label in LABELS:
        write_class(tmp_path / "photos" / label, label, 1)
    with pytest.raises(ExportError, match="single photo"):
        train(tmp_path / "photos", tmp_path / "run")


def test_a_class_without_a_readable_photo_is_a_clear_error(tmp_path: Path) -> None:
    write_class(tmp_path / "photos" / "disc", "disc", 3)
    for path in write_class(tmp_path / "photos" / "square", "square", 3).iterdir():
        path.write_bytes(b"no photo")
    with pytest.raises(ExportError, match="photos of square can be read"):
        train(tmp_path / "photos", tmp_path / "run")


@pytest.mark.long
def test_the_summary_reports_copies_wrong_labels_imbalanced_classes_and_unreadable_photos(
    tmp_path: Path,
) -> None:
    for split, disc, square in (("train", 40, 10), ("val", 6, 6), ("test", 6, 6)):
        write_class(tmp_path / "photos" / split / "disc", "disc", disc, seed=len(split))
        write_class(tmp_path / "photos" / split / "square", "square", square, seed=len(split))
    inside = tmp_path / "photos" / "train" / "disc"
    shutil.copy(inside / "000.jpg", tmp_path / "photos" / "val" / "disc" / "copy.jpg")
    shutil.copy(inside / "001.jpg", tmp_path / "photos" / "test" / "disc" / "copy.jpg")
    shutil.copy(inside / "002.jpg", tmp_path / "photos" / "train" / "square" / "wrong.jpg")
    (inside / "broken.jpg").write_bytes(b"no photo")
    (inside / "notes.txt").touch()
    out = tmp_path / "run"
    metadata = train(tmp_path / "photos", out).metadata
    said = "\n".join(metadata["training"]["summary"])
    for words in (
        "1 photo of val left out", "1 photo of test left out", "the same photo in two classes", "count more",
        "broken.jpg", ".txt", "the other photos contradict",
    ):  # fmt: skip
        assert words in said, words
    assert metadata["metrics"]["test"]["photos"] == 12
    assert (out / "doubtful.png").exists()


@pytest.mark.long
def test_negatives_that_show_a_class_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    from export.body import body as bodies
    from export.body.extract import Cache, extract

    body = bodies.load(bodies.BODIES / "lite0")
    for label in LABELS:
        write_class(tmp_path / "photos" / label, label, 12)
    of_discs = extract(body, find(tmp_path / "photos").splits["train"], Cache(None, body)).values[:6, 0]
    mixed = dataclasses.replace(
        body, negatives=np.concatenate([body.negatives, of_discs]), kinds=(*body.kinds, *("disc",) * 6)
    )
    monkeypatch.setattr(bodies, "load", lambda _: mixed)
    said = train(tmp_path / "photos", tmp_path / "run").metadata["training"]["summary"]
    line = next(line for line in said if "known to the body" in line)
    assert f"{len(body.negatives):,} photos" in line
    assert "6 that look like one of them were left out" in line


def test_labels_of_every_alphabet_go_through(tmp_path: Path) -> None:
    names = (unicodedata.normalize("NFC", "日本語"), "a|b c")
    for kind, name in zip(LABELS, names, strict=True):
        write_class(tmp_path / "photos" / name, kind, 6)
    finished = train(tmp_path / "photos", tmp_path / "run")
    assert finished.metadata["labels"] == sorted(names)
    assert json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["labels"] == sorted(names)


@pytest.mark.long
def test_a_class_renamed_between_two_runs_gets_its_new_name(tmp_path: Path) -> None:
    for label in LABELS:
        write_class(tmp_path / "photos" / label, label, 5)
    train(tmp_path / "photos", tmp_path / "run", cache=tmp_path / "cache")
    (tmp_path / "photos" / "disc").rename(tmp_path / "photos" / "round")
    again = train(tmp_path / "photos", tmp_path / "run", cache=tmp_path / "cache")
    assert again.metadata["labels"] == ["round", "square"]


def test_an_out_that_is_a_file_is_a_clear_error(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(ExportError, match="cannot be the run's folder"):
        train(photos / "photos", tmp_path / "run")


def test_an_interrupted_run_leaves_no_unfinished_run_behind(
    tmp_path: Path, photos: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(finished, tmp_path / "run")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "assemble", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(photos / "photos", copy, cache=photos / "cache")
    with pytest.raises(run.RunError, match="no finished run"):
        run.load(copy)  # and none whose plots are another's
    assert not list(copy.glob("*.png"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("c = 'much'", None),
        ("colour = 3", "not known"),
        ("views = ['flipped']", "must begin"),
        ("c = ", "cannot be read"),
    ],
)
def test_an_invalid_recipe_is_a_clear_error(tmp_path: Path, text: str, said: str | None) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExportError, match=said):
        recipe.load(str(path))


def test_every_recipe_of_the_repository_is_valid() -> None:
    assert "lite0" in recipe.names()
    for name in recipe.names():
        assert recipe.load(name).about
    with pytest.raises(recipe.RecipeError, match="lite0"):
        recipe.load("nothing-like-this")


@pytest.mark.long
def test_very_large_photos_and_unusual_formats_can_be_trained_on(tmp_path: Path) -> None:
    for label in LABELS:
        write_class(tmp_path / "photos" / label, label, 4)
    Image.new("RGB", (9000, 6000), "teal").save(tmp_path / "photos" / "disc" / "huge.jpg", quality=20)
    Image.new("I;16", (60, 40)).save(tmp_path / "photos" / "disc" / "deep.png")
    metadata = train(tmp_path / "photos", tmp_path / "run").metadata
    assert metadata["training"]["photos"] == 10


@pytest.mark.long
def test_with_very_many_photos_an_evenly_spaced_part_is_cross_validated(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "MOST_CROSSED", 12)
    metadata = train(photos / "photos", tmp_path / "run", cache=photos / "cache").metadata
    assert metadata["metrics"]["cross_validation"]["photos"] == 12
    assert metadata["training"]["photos"] == 32
    assert any("12 of the 32" in line for line in metadata["training"]["summary"])


@pytest.mark.long
def test_copies_within_a_class_do_not_make_the_estimate_look_better(tmp_path: Path) -> None:
    """Classes that cannot be told apart, every photo three times: who has seen a copy knows the label."""
    random = np.random.default_rng(0)
    for label in ("a", "b", "c"):
        folder = write_class(tmp_path / "photos" / label, "disc", 8, seed=int(random.integers(1000)))
        for path in sorted(folder.iterdir()):
            with Image.open(path) as image:
                for quality in (93, 95):
                    image.save(path.with_name(f"{path.stem}-{quality}.jpg"), quality=quality)
    metadata = train(tmp_path / "photos", tmp_path / "run").metadata
    assert metadata["training"]["photos"] == 24
    assert metadata["metrics"]["cross_validation"]["accuracy"] < 0.7
    assert any("48 photos of train left out" in line for line in metadata["training"]["summary"])


@pytest.mark.long
def test_photos_of_a_class_among_the_photos_of_none_are_left_out_and_reported(
    photos: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(photos / "photos" / "train" / "disc", tmp_path / "none" / "disc")
    metadata = train(
        photos / "photos", tmp_path / "run", neither=copy.parent, cache=photos / "cache"
    ).metadata
    assert any("16 photos of none left out" in line for line in metadata["training"]["summary"])


@pytest.mark.long
def test_a_test_split_that_is_too_small_is_not_used_and_reported(photos: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(photos / "photos", tmp_path / "photos")
    shutil.rmtree(copy / "test" / "square")
    metadata = train(copy, tmp_path / "run", cache=photos / "cache").metadata
    assert "test" not in metadata["metrics"]
    assert any(
        "test is not used: it has 0 photos of square" in line for line in metadata["training"]["summary"]
    )


@pytest.mark.long
def test_a_test_split_that_cannot_be_read_does_not_stop_the_run(photos: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(photos / "photos", tmp_path / "photos")
    for path in (copy / "test").rglob("*.jpg"):
        path.write_bytes(b"no photo")
    assert "test" not in train(copy, tmp_path / "run", cache=photos / "cache").metadata["metrics"]


def test_a_folder_of_other_files_is_never_overwritten(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.onnx").write_bytes(b"mine")
    with pytest.raises(ExportError, match="holds other files"):
        train(photos / "photos", tmp_path / "mine")
    assert (tmp_path / "mine" / "model.onnx").read_bytes() == b"mine"


def test_a_run_is_never_written_among_the_photos(photos: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(photos / "photos", tmp_path / "photos")
    with pytest.raises(ExportError, match="lies among the photos"):
        train(copy, copy / "train" / "run")
    assert not (copy / "train" / "run").exists()


def test_the_estimate_does_not_use_what_was_chosen_on_the_same_photos(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    choose = fitting._choose

    def choosing(logits: np.ndarray, *rest: object) -> tuple[float, float]:
        seen.append(len(logits))
        return choose(logits, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(fitting, "_choose", choosing)
    metadata = train(photos / "photos", tmp_path / "run", cache=photos / "cache").metadata
    chosen, *folds = seen
    assert chosen == 32 + 10
    assert len(folds) == 4
    assert all(16 < count < 32 for count in folds), "three of four folds"
    assert metadata["metrics"]["cross_validation"]["photos"] == 32


@pytest.mark.parametrize(("count", "views"), [(2, 4), (3, 2)])
def test_few_photos_are_shown_in_more_ways(tmp_path: Path, count: int, views: int) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("few = 4", encoding="utf-8")
    for label in LABELS:
        write_class(tmp_path / "photos" / label, label, count)
    finished = training.train([tmp_path / "photos"], tmp_path / "run", recipe.load(str(path)))
    assert len(finished.metadata["training"]["recipe"]["views"]) == views
