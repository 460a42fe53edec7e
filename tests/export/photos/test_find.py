"""Photos are found in the layouts that people have; what is left out is said."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import pytest

from export.photos.find import SPLITS, DataError, find, find_all, find_neither, find_split


def touch(root: Path, *names: str | bytes) -> Path:
    for name in names:
        path = Path(
            os.fsdecode(os.fsencode(root) + b"/" + (name if isinstance(name, bytes) else name.encode()))
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def counts(root: Path) -> dict[str, int]:
    found = find(root)
    return {split: len(found.splits[split]) for split in SPLITS}


@pytest.mark.parametrize("train", ["train", "Train", "TRAINING"])
@pytest.mark.parametrize("val", ["val", "valid", "Validation", "dev"])
@pytest.mark.parametrize("test", ["test", "Testing"])
def test_splits_are_known_under_their_usual_names(tmp_path: Path, train: str, val: str, test: str) -> None:
    touch(tmp_path, *(f"{split}/{label}/1.jpg" for split in (train, val, test) for label in "ab"))
    assert counts(tmp_path) == {"train": 2, "val": 2, "test": 2}


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/a/2.jpg")
    with pytest.raises(DataError, match="val and valid"):
        find(tmp_path)


def test_val_and_test_may_be_missing(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/1.jpg")
    assert counts(tmp_path) == {"train": 2, "val": 0, "test": 0}


def test_a_folder_a_class_is_enough(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.jpg", "a/1.jpg", "a/2.jpg")
    found = find(tmp_path)
    assert found.labels == ("a", "b")
    assert found.splits["train"].targets == (0, 0, 1)


def test_of_a_hundred_photos_a_class_some_are_held_out_and_always_the_same(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/{i}.jpg" for label in "ab" for i in range(120)))
    first = find(tmp_path)
    assert 20 < len(first.splits["test"]) < 55
    assert len(first.splits["train"]) + len(first.splits["test"]) == 240
    assert not set(first.splits["train"].paths) & set(first.splits["test"].paths)
    touch(tmp_path, "a/new.jpg")
    assert set(first.splits["test"].paths) <= set(find(tmp_path).splits["test"].paths)


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    touch(tmp_path, "test/1.jpg", "trial/1.jpg")
    assert find(tmp_path).labels == ("test", "trial")


def test_photos_may_lie_in_folders_within_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "a/x/1.jpg", "a/x/y/2.jpg", "a/3.jpg", "b/1.jpg")
    photos = find(tmp_path).splits["train"]
    assert photos.count(0) == 3
    assert sorted(photos.kinds) == ["", "", "x", "x"]


@pytest.mark.parametrize("suffix", [".jfif", ".JPG", ".heic", ".HEIF", ".avif", ".tiff", ".webp", ".jpe"])
def test_every_suffix_that_photos_have_is_taken(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"a/1{suffix}", "b/1.jpg")
    assert counts(tmp_path)["train"] == 2


def test_what_programs_leave_behind_is_no_class_and_no_photo(tmp_path: Path) -> None:
    touch(
        tmp_path, "a/1.jpg", "b/1.jpg", ".ipynb_checkpoints/1.jpg", "__MACOSX/1.jpg", "a/.thumbnails/1.jpg",
        "a/._1.jpg", "a/1.json", "a/Thumbs.db", ".DS_Store",
    )  # fmt: skip
    found = find(tmp_path)
    assert found.labels == ("a", "b")
    assert len(found.splits["train"]) == 2
    said = " ".join(found.remarks)
    for word in (".ipynb_checkpoints", "__MACOSX", ".thumbnails", ".json", ".db"):
        assert word in said


def test_a_class_without_photos_is_left_out_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "train/empty/readme.txt")
    found = find(tmp_path)
    assert found.labels == ("a", "b")
    assert any("empty" in line for line in found.remarks)


def test_a_class_that_only_test_has_is_left_out_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/stranger/1.jpg")
    found = find(tmp_path)
    assert len(found.splits["test"]) == 1
    assert any("stranger" in line for line in found.remarks)


@pytest.mark.parametrize("names", [("a/1.jpg",), ("a/readme.txt",), ("a/1.jpg", "b/notes.txt")])
def test_fewer_than_two_classes_end_in_a_sentence(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError, match="at least two classes"):
        find(tmp_path)


def test_a_folder_that_is_missing_ends_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        find(tmp_path / "nowhere")


def test_the_same_class_in_other_letter_case_is_one_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/Cat/1.jpg", "train/Dog/1.jpg", "test/cat/1.jpg", "test/DOG/1.jpg")
    found = find(tmp_path)
    assert found.labels == ("Cat", "Dog")
    assert len(found.splits["test"]) == 2


def test_accents_may_be_composed_or_not(tmp_path: Path) -> None:
    composed, apart = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    touch(tmp_path, f"train/{apart}/1.jpg", "train/bar/1.jpg", f"test/{composed}/1.jpg")
    found = find(tmp_path)
    assert found.labels == ("bar", composed)
    assert len(found.splits["test"]) == 1


@pytest.mark.parametrize("label", ["日本語", "a|b", "two words", "Car_side", "$x$", "<b>"])
def test_labels_are_the_folders_names_whatever_they_are(tmp_path: Path, label: str) -> None:
    touch(tmp_path, f"{label}/1.jpg", "other/1.jpg")
    assert label in find(tmp_path).labels


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_photos_may_have_names_that_are_not_utf8(tmp_path: Path) -> None:
    touch(tmp_path, b"a/caf\xe9.jpg", "b/1.jpg")
    assert counts(tmp_path)["train"] == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
def test_a_class_whose_name_is_not_utf8_ends_in_a_sentence(tmp_path: Path) -> None:
    touch(tmp_path, b"caf\xe9/1.jpg", "b/1.jpg")
    with pytest.raises(DataError, match="not UTF-8"):
        find(tmp_path)


def test_photos_of_none_of_the_classes_may_lie_by_split_by_kind_or_just_so(tmp_path: Path) -> None:
    by_split = touch(tmp_path / "1", "train/cars/1.jpg", "train/2.jpg", "test/3.jpg")
    assert {s: len(p) for s, p in find_neither(by_split, "ab").splits.items()} == {
        "train": 2,
        "val": 0,
        "test": 1,
    }
    by_kind = touch(tmp_path / "2", "cars/1.jpg", "people/2.jpg")
    assert find_neither(by_kind, "ab").splits["train"].kinds == ("cars", "people")
    just_so = touch(tmp_path / "3", "1.jpg")
    photos = find_neither(just_so, "ab").splits["train"]
    assert photos.targets == (2,)


def test_several_folders_are_measured_together(tmp_path: Path) -> None:
    first = touch(tmp_path / "1", "train/a/1.jpg", "test/a/1.jpg", "test/b/1.jpg")
    second = touch(tmp_path / "2", "test/a/x/1.jpg")
    none = touch(tmp_path / "3", "test/cars/1.jpg")
    photos, _ = find_split([first, second], [none], "test", ("a", "b"))
    assert sorted(photos.targets) == [0, 0, 1, 2]
    with pytest.raises(DataError, match="val"):
        find_split([first], [], "val", ("a", "b"))


def test_several_folders_are_trained_on_together_each_a_kind_of_its_own(tmp_path: Path) -> None:
    first = touch(tmp_path / "kaggle", "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/2.jpg")
    second = touch(tmp_path / "street", "train/Cat/1.jpg", "train/dog/shelter/1.jpg", "train/fox/1.jpg")
    found = find_all([first, second])
    assert found.labels == ("cat", "dog")
    assert found.splits["train"].kinds == ("kaggle", "kaggle", "street", "shelter")
    assert len(found.splits["test"]) == 1
    assert any("street" in line and "fox" in line for line in found.remarks)
    with pytest.raises(DataError, match="no folder for any of"):
        find_all([first, touch(tmp_path / "3", "train/x/1.jpg", "train/y/1.jpg")])
