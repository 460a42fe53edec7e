"""Finds the photos in a folder of the user, and reports what it left out and why.

Three layouts are understood: `split/class/photo` (train, val and test, under any of their usual names),
`class/split/photo`, and `class/photo`, like Microsoft's PetImages. Photos may be in subfolders of a class.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from export.files import printable
from export.photos.classes import classes_of, photos_of, photos_of_none
from export.photos.sets import SPLITS as SPLITS
from export.photos.sets import DataError as DataError
from export.photos.sets import Found as Found
from export.photos.sets import Photos as Photos
from export.photos.splits import held_out, split_folders, split_within
from export.photos.walk import Ignored


def find(root: Path, labels: Sequence[str] | None = None) -> Found:
    """The photos of a folder.

    Labels are the names of the class folders in train, in alphabetical order; the same name in other letter case is
    the same class. Give `labels` to insist on a published model's.

    Raises DataError when the folder is missing, holds fewer than two classes with photos, or lacks a wanted label;
    without `labels` also when it has splits, but none to train on.
    """
    root = _root(root, "photos")
    ignored = Ignored(root)
    folders = split_folders(root, ignored)
    if not folders:
        photos = _find_classes(root, labels, ignored)
        return split_within(photos, labels is None, ignored) or held_out(photos, ignored)
    if labels is None and "train" not in folders:
        there = " and ".join(printable(folder.name) for folder in folders.values())
        raise DataError(
            f"{printable(root)} has no train folder, only {there}. Put the photos to learn from into train/, each "
            f"class in a folder of its own."
        )
    first = folders.get("train") or next(iter(folders.values()))
    wanted = classes_of(first, labels, ignored)
    splits = {
        split: photos_of(folders[split], wanted, ignored) if split in folders else Photos(wanted)
        for split in SPLITS
    }
    return Found(wanted, splits, ignored.remarks())


def find_all(roots: Sequence[Path]) -> Found:
    """The photos of several folders, which must have a class in common; the labels are those of the first folder.

    With several folders, the name of each folder becomes the kind of its photos.
    """
    found = find(roots[0])
    if len(roots) == 1:
        return found
    parts = [(roots[0], found), *((root, find(root, found.labels)) for root in roots[1:])]
    splits = {split: Photos(found.labels) for split in SPLITS}
    for root, part in parts:
        for split, photos in part.splits.items():
            splits[split] += _of_folder(photos, root)
    remarks = tuple(f"{printable(root.name)}: {line}" for root, part in parts for line in part.remarks)
    return Found(found.labels, splits, remarks)


def _of_folder(photos: Photos, root: Path) -> Photos:
    """The photos; those without a kind get the name of the folder as theirs."""
    name = printable(root.resolve().name)
    return Photos(photos.labels, photos.paths, photos.targets, tuple(kind or name for kind in photos.kinds))


def find_neither(root: Path, labels: Sequence[str]) -> Found:
    """Photos of none of the labels: `split/photo`, `split/kind/photo`, `kind/photo` or just photos.

    Without splits all of them are for training.
    """
    return _find_neither(root, labels)[0]


def _find_neither(root: Path, labels: Sequence[str]) -> tuple[Found, bool]:
    """Photos of none of the labels, and whether their folder has splits."""
    root = _root(root, "photos that show none of the classes")
    ignored, labels = Ignored(root), tuple(labels)
    folders = split_folders(root, ignored, classes=False)
    places = folders or {"train": root}
    splits = {split: photos_of_none(places.get(split), labels, ignored) for split in SPLITS}
    if not any(len(photos) for photos in splits.values()):
        raise DataError(f"{printable(root)} has no photos.")
    return Found(labels, splits, ignored.remarks()), bool(folders)


def find_split(
    roots: Sequence[Path], neither: Sequence[Path], split: str, labels: Sequence[str]
) -> tuple[Photos, tuple[str, ...]]:
    """The photos of one split ("all": of every split) of several folders, for measuring a published model.

    Photos of none of the classes whose folder has no splits count for every split. Returns the photos with the
    remarks. Raises DataError when there are none of the labels.
    """
    photos, labels = Photos(tuple(labels)), tuple(labels)
    remarks: list[str] = []
    for root in roots:
        found = find(root, labels)
        some = _of_split(found, split)
        if len(roots) > 1:
            some = _of_folder(some, root)
        photos += some
        remarks += found.remarks
        if not some:
            remarks.append(f"{printable(root)} has no photos for the split {split}")
    for root in neither:
        found, has_splits = _find_neither(root, labels)
        some = _of_split(found, split if has_splits else "all")
        photos += some
        remarks += found.remarks
        if not some:
            remarks.append(f"{printable(root)} has no photos for the split {split}")
    if not any(target < len(labels) for target in photos.targets):
        where = " and ".join(printable(root) for root in roots)
        raise DataError(f"{where} has no photos for the split {split}. Choose another --split, or all.")
    return photos, tuple(remarks)


def _of_split(found: Found, split: str) -> Photos:
    photos = Photos(found.labels)
    for name in SPLITS if split == "all" else (split,):
        photos += found.splits[name]
    return photos


def _root(root: Path, what: str) -> Path:
    if not root.is_dir():
        raise DataError(f"{printable(root)} is no folder. Name a folder of {what}.")
    inner = root / "PetImages"
    return inner if inner.is_dir() else root


def _find_classes(root: Path, labels: Sequence[str] | None, ignored: Ignored) -> Photos:
    return photos_of(root, classes_of(root, labels, ignored), ignored)
