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


def test_one_folder_for_each_class_is_enough(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.jpg", "a/1.jpg", "a/2.jpg")
    found = find(tmp_path)
    assert found.labels == ("a", "b")
    assert found.splits["train"].targets == (0, 0, 1)


def test_with_a_hundred_photos_a_class_the_same_photos_are_always_held_out(tmp_path: Path) -> None:
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


def test_photos_may_be_in_subfolders_of_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "a/x/1.jpg", "a/x/y/2.jpg", "a/3.jpg", "b/1.jpg")
    photos = find(tmp_path).splits["train"]
    assert photos.count(0) == 3
    assert sorted(photos.kinds) == ["", "", "x", "x"]


@pytest.mark.parametrize("suffix", [".jfif", ".JPG", ".heic", ".HEIF", ".avif", ".tiff", ".webp", ".jpe"])
def test_every_suffix_that_photos_have_is_taken(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"a/1{suffix}", "b/1.jpg")
    assert counts(tmp_path)["train"] == 2


def test_files_of_other_programs_are_neither_classes_nor_photos(tmp_path: Path) -> None:
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


def test_a_class_without_photos_is_left_out_and_reported(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "train/empty/readme.txt")
    found = find(tmp_path)
    assert found.labels == ("a", "b")
    assert any("empty" in line for line in found.remarks)


def test_a_class_that_only_test_has_is_left_out_and_reported(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/stranger/1.jpg")
    found = find(tmp_path)
    assert len(found.splits["test"]) == 1
    assert any("stranger" in line for line in found.remarks)


@pytest.mark.parametrize("names", [("a/1.jpg",), ("a/readme.txt",), ("a/1.jpg", "b/notes.txt")])
def test_fewer_than_two_classes_end_in_a_sentence(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError, match="at least two classes"):
        find(tmp_path)


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
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
def test_a_class_whose_name_is_not_utf8_is_a_clear_error(tmp_path: Path) -> None:
    touch(tmp_path, b"caf\xe9/1.jpg", "b/1.jpg")
    with pytest.raises(DataError, match="not UTF-8"):
        find(tmp_path)


def test_photos_of_none_may_be_sorted_by_split_by_kind_or_not_at_all(tmp_path: Path) -> None:
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


def remarks(root: Path) -> str:
    return "\n".join(find(root).remarks)


def test_links_to_a_parent_folder_are_not_followed_and_are_reported(tmp_path: Path) -> None:
    root = touch(tmp_path / "photos", "rose/1.jpg", "tulip/1.jpg", "tulip/2.jpg")
    touch(tmp_path, "private/1.jpg")
    for name, target in {
        "up": "..",
        "again": "..",
        "self": ".",
        "above": "../..",
        "a/root": str(root),
    }.items():
        link = root / "rose" / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
    (root / "all").symlink_to(root)
    found = find(root)
    assert found.labels == ("rose", "tulip")
    assert found.splits["train"].targets == (0, 1, 1)
    said = "\n".join(found.remarks)
    assert all(name in said for name in ("rose/up", "rose/again", "rose/self", "rose/above", "photos/all"))


def test_a_link_in_a_class_is_not_followed_to_a_parent_folder(tmp_path: Path) -> None:
    touch(tmp_path, "data/roses/1.jpg", "data/other/1.jpg", "photos/train/tulip/1.jpg")
    (tmp_path / "data/roses/up").symlink_to("..")
    (tmp_path / "photos/train/rose").symlink_to(tmp_path / "data/roses")
    assert find(tmp_path / "photos").splits["train"].targets == (0, 1)


def test_a_folder_that_many_links_lead_to_is_read_once(tmp_path: Path) -> None:
    touch(tmp_path, "photos/a/1.jpg", "photos/b/1.jpg", *(f"far/{i}/1.jpg" for i in range(40)))
    for i in range(39):
        for name in "xy":
            (tmp_path / f"far/{i}/{name}").symlink_to(f"../{i + 1}")
    (tmp_path / "photos/a/far").symlink_to(tmp_path / "far/0")
    assert find(tmp_path / "photos").splits["train"].count(0) == 41
    assert "read once" in remarks(tmp_path / "photos")


def test_links_to_other_folders_and_to_photos_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "data/roses/1.jpg", "data/more/2.jpg", "data/3.jpg", "photos/tulip/1.jpg")
    (tmp_path / "photos/rose").symlink_to("../data/roses")
    (tmp_path / "photos/tulip/more").symlink_to("../../data/more")
    (tmp_path / "photos/tulip/3.jpg").symlink_to("../../data/3.jpg")
    found = find(tmp_path / "photos")
    assert found.splits["train"].targets == (0, 1, 1, 1)
    assert not found.remarks


def test_a_relative_folder_is_found_in_a_working_directory_that_is_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "roses/1.jpg", "photos/tulip/1.jpg")
    (tmp_path / "photos/rose").symlink_to("../roses")
    monkeypatch.chdir(tmp_path / "roses")
    assert find(Path("../photos")).labels == ("rose", "tulip")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_pipes_and_devices_are_left_out_and_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.jpg")
    os.mkfifo(tmp_path / "a/x.jpg")
    (tmp_path / "a/y.jpg").symlink_to("x.jpg")
    (tmp_path / "b/gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "b/round.jpg").symlink_to("round.jpg")
    found = find(tmp_path)
    assert len(found.splits["train"]) == 2
    assert "2 entries are no regular files" in remarks(tmp_path)
    assert "2 links lead nowhere" in remarks(tmp_path)


@pytest.mark.parametrize("split", ["train", "val", "test", "all"])
def test_photos_of_none_without_splits_are_measured_whatever_the_split(tmp_path: Path, split: str) -> None:
    photos = touch(tmp_path / "1", *(f"{s}/{label}/1.jpg" for s in SPLITS for label in "ab"))
    nothing = touch(tmp_path / "nothing", "cars/1.jpg", "2.jpg")
    assert find_split([photos], [nothing], split, ("a", "b"))[0].count(2) == 2


def test_a_folder_without_photos_to_measure_is_reported(tmp_path: Path) -> None:
    photos = touch(tmp_path / "1", "test/a/1.jpg", "test/b/1.jpg")
    other = touch(tmp_path / "other", "train/a/1.jpg")
    nothing = touch(tmp_path / "nothing", "train/1.jpg")
    _, said = find_split([photos, other], [nothing], "test", ("a", "b"))
    assert "other has no photos for the split test" in "\n".join(said)
    assert "nothing has no photos for the split test" in "\n".join(said)
    assert len(said) == 2


@pytest.mark.parametrize("name", ["train", "val", "test"])
def test_a_class_may_have_the_name_of_a_split_beside_other_classes(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "car/1.jpg", "bus/1.jpg", f"{name}/1.jpg")
    assert find(tmp_path).labels == tuple(sorted(("bus", "car", name)))


def test_trains_may_be_a_kind_of_none_of_the_classes(tmp_path: Path) -> None:
    touch(tmp_path, "car/1.jpg", "train/1.jpg")
    assert find_neither(tmp_path, "ab").splits["train"].kinds == ("car", "train")


def test_a_flat_test_folder_beside_train_is_no_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "test/1.jpg", "extra/1.jpg")
    assert find(tmp_path).labels == ("a", "b")
    assert "1 photos lie beside the folders" in remarks(tmp_path)


def test_folders_beside_the_splits_are_said(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/{label}/1.jpg" for split in ("train", "eval", "holdout") for label in "ab"))
    assert counts(tmp_path) == {"train": 2, "val": 0, "test": 0}
    assert "ignored folders: eval, holdout" in remarks(tmp_path)
    assert "ignored folders: eval, holdout" in "\n".join(find_neither(tmp_path, "xy").remarks)


def test_splits_may_be_folders_within_the_classes(tmp_path: Path) -> None:
    touch(tmp_path, "a/train/1.jpg", "a/test/x/2.jpg", "b/3.jpg", "b/Test/4.jpg", "b/holdout/5.jpg")
    found = find(tmp_path)
    assert {split: found.splits[split].targets for split in SPLITS} == {
        "train": (0, 1),
        "val": (),
        "test": (0, 1),
    }
    assert found.splits["test"].kinds == ("x", "")
    assert "ignored folders: b/holdout" in remarks(tmp_path)


def test_splits_within_only_some_of_the_classes_are_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a/train/1.jpg", "a/test/2.jpg", "b/1.jpg")
    assert counts(tmp_path) == {"train": 3, "val": 0, "test": 0}
    assert "a/test would be splits, but not every class has such" in remarks(tmp_path)


def test_a_kind_of_photos_within_classes_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/{kind}/1.jpg" for label in ("city", "village") for kind in ("car", "train")))
    assert counts(tmp_path)["train"] == 4
    assert not find(tmp_path).remarks


@pytest.mark.skipif(sys.platform == "darwin", reason="there both are the same folder")
def test_folders_that_are_taken_for_one_class_are_said_once(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{s}/{label}/1.jpg" for s in ("train", "test") for label in ("Rose", "rose", "tulip")))
    found = find(tmp_path)
    assert found.remarks == ("Rose and rose are taken for one class",)


@pytest.mark.parametrize(
    "name", ["  ", "a\tb", "a\n", "a\x7f", "a\u200b", "\ufeffa", "a\u202eb", "a\u2066b", "a\u2028b", "\xad"]
)
def test_class_names_that_nobody_could_see_are_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"{name}/1.jpg", "other/1.jpg")
    with pytest.raises(DataError, match="Rename"):
        find(tmp_path)


def test_an_empty_class_is_not_reported_as_missing_in_train(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "train/empty/readme.txt", "test/c/1.jpg", "val/c/1.jpg")
    said = find(tmp_path).remarks
    assert "class folders without photos: empty" in said
    assert "not among the classes of train, so left out: c" in said


@pytest.mark.parametrize("split", ["val", "test"])
def test_without_a_train_folder_the_error_says_so(tmp_path: Path, split: str) -> None:
    touch(tmp_path, f"{split}/a/1.jpg", f"{split}/b/1.jpg")
    with pytest.raises(DataError, match="no train folder"):
        find(tmp_path)
    assert len(find(tmp_path, ("a", "b")).splits[split]) == 2


def test_a_run_folder_among_the_photos_is_not_a_class_and_its_plots_are_not_photos(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.jpg", "run1/run.json", "run1/1.png", "a/run2/run.json", "a/run2/1.png")
    found = find(tmp_path)
    assert found.labels == ("a", "b")
    assert len(found.splits["train"]) == 2
    assert any("run.json" in line and "run1" in line and "run2" in line for line in found.remarks)
    assert len(find_neither(tmp_path, "xy").splits["train"]) == 2
