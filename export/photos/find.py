"""Finds the photos in a user's folder, whatever its layout, and says what it left out and why.

Two layouts are understood: `split/class/photo` (train, val and test, under any of their usual names) and
`class/photo`, like Microsoft's PetImages. Photos may lie in folders of their own within a class.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export.errors import ExportError
from export.files import printable

SPLITS = ("train", "val", "test")
# What people call the splits, in lower case.
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".avif", ".tif", ".tiff", ".heic", ".heif",
}  # fmt: skip
# Folders that programs leave behind; none of them is a class.
LEFTOVERS = {"__macosx", "__pycache__", "@eadir", "thumbs", "$recycle.bin"}
# Of a folder without test/, this many per cent of the photos are held out, if its classes have so many photos each.
HELD_OUT_PERCENT, HELD_OUT_FROM = 15, 100


class DataError(ExportError):
    """The folder does not hold what was asked of it."""


@dataclass(frozen=True)
class Photos:
    """Photos with their class: `targets[i]` indexes `labels`, or is `len(labels)` for none of them.

    `kinds[i]` is the folder that the photo lies in below its class or, for a photo of none, below its split.
    """

    labels: tuple[str, ...]
    paths: tuple[Path, ...] = ()
    targets: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def __add__(self, other: Photos) -> Photos:
        return Photos(
            self.labels, self.paths + other.paths, self.targets + other.targets, self.kinds + other.kinds
        )

    def count(self, target: int) -> int:
        """How many photos there are of a class."""
        return sum(t == target for t in self.targets)

    def take(self, rows: Sequence[int]) -> Photos:
        """Only these photos, in this order."""
        return Photos(
            self.labels,
            tuple(self.paths[i] for i in rows),
            tuple(self.targets[i] for i in rows),
            tuple(self.kinds[i] for i in rows),
        )


@dataclass(frozen=True)
class Found:
    """A folder's photos by split; a split without photos is empty. `remarks` says what was left out, a line each."""

    labels: tuple[str, ...]
    splits: dict[str, Photos]
    remarks: tuple[str, ...] = ()


@dataclass
class _Ignored:
    """What is left out on the way, counted."""

    folders: list[str] = field(default_factory=list)
    suffixes: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def remarks(self) -> tuple[str, ...]:
        lines = []
        if self.suffixes:
            kinds = ", ".join(
                f"{n} {suffix or 'without a suffix'}" for suffix, n in self.suffixes.most_common(6)
            )
            lines.append(f"{sum(self.suffixes.values())} files are no photos by their names: {kinds}")
        if self.folders:
            lines.append(f"ignored folders: {_some(self.folders)}")
        if self.empty:
            lines.append(f"class folders without photos: {_some(self.empty)}")
        if self.strangers:
            lines.append(f"not among the classes of train, so left out: {_some(self.strangers)}")
        return tuple(lines)


def find(root: Path, labels: Sequence[str] | None = None) -> Found:
    """The photos of a folder.

    Labels are the names of the class folders in train, in alphabetical order; the same name in other letter case is
    the same class. Give `labels` to insist on a published model's.

    Raises DataError when the folder is missing, holds fewer than two classes with photos, or lacks a wanted label.
    """
    root = _root(root, "photos")
    ignored = _Ignored()
    folders = _split_folders(root)
    if not folders:
        return _held_out(_find_classes(root, labels, ignored), ignored)
    first = folders.get("train") or next(iter(folders.values()))
    wanted = _classes(first, labels, ignored)
    splits = {
        split: _photos(folders[split], wanted, ignored) if split in folders else Photos(wanted)
        for split in SPLITS
    }
    return Found(wanted, splits, ignored.remarks())


def find_all(roots: Sequence[Path]) -> Found:
    """The photos of several folders, which must have a class in common; the first one's labels count.

    Of several folders each is a kind of photo of its own, by its name.
    """
    found = find(roots[0])
    if len(roots) == 1:
        return found
    parts = [(roots[0], found), *((root, find(root, found.labels)) for root in roots[1:])]
    splits = {split: Photos(found.labels) for split in SPLITS}
    for root, part in parts:
        for split, photos in part.splits.items():
            kinds = tuple(kind or printable(root.resolve().name) for kind in photos.kinds)
            splits[split] += Photos(photos.labels, photos.paths, photos.targets, kinds)
    remarks = tuple(f"{printable(root.name)}: {line}" for root, part in parts for line in part.remarks)
    return Found(found.labels, splits, remarks)


def find_neither(root: Path, labels: Sequence[str]) -> Found:
    """Photos of none of the labels: `split/photo`, `split/kind/photo`, `kind/photo` or just photos.

    Without splits all of them are for training.
    """
    root = _root(root, "photos that show none of the classes")
    ignored, labels = _Ignored(), tuple(labels)
    folders = _split_folders(root) or {"train": root}
    splits = {split: _none_of(folders.get(split), labels, ignored) for split in SPLITS}
    if not any(len(photos) for photos in splits.values()):
        raise DataError(f"{printable(root)} has no photos.")
    return Found(labels, splits, ignored.remarks())


def find_split(
    roots: Sequence[Path], neither: Sequence[Path], split: str, labels: Sequence[str]
) -> tuple[Photos, tuple[str, ...]]:
    """The photos of one split ("all": of every split) of several folders, for measuring a published model.

    Returns them with the remarks. Raises DataError when there are none of the labels.
    """
    photos, labels = Photos(tuple(labels)), tuple(labels)
    remarks: list[str] = []
    for root in roots:
        found = find(root, labels)
        some = _of_split(found, split)
        if len(roots) > 1:
            name = printable(root.resolve().name)
            some = Photos(some.labels, some.paths, some.targets, tuple(kind or name for kind in some.kinds))
        photos += some
        remarks += found.remarks
    for root in neither:
        found = find_neither(root, labels)
        photos += _of_split(found, split)
        remarks += found.remarks
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


def _split_folders(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in _folders(root):
        split = SPLIT_NAMES.get(folder.name.lower())
        if split and split in found:
            raise DataError(
                f"{printable(found[split].name)} and {printable(folder.name)} in {printable(root)} both are the split "
                f"{split}. Put their photos into one folder."
            )
        if split:
            found[split] = folder
    if found and "train" not in found and len(found) < len(_folders(root)):
        return {}  # a class is called "test" or "val": there is no train beside it
    return found


def _folders(root: Path) -> list[Path]:
    return sorted(folder for folder in root.iterdir() if folder.is_dir())


def _is_leftover(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFTOVERS


def label_of(folder: Path) -> str:
    """The label that a class folder stands for: its name, with accents in their composed form.

    Raises DataError for a name that cannot be written as UTF-8.
    """
    try:
        # The bytes on disk: under a locale that is not UTF-8, Python's own name for them is another.
        name = os.fsencode(folder.name).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(
            f"The name of the class folder {printable(folder)} is not UTF-8, so no answer could hold it. Rename it."
        ) from None
    return unicodedata.normalize("NFC", name).strip()


def _class_folders(root: Path, ignored: _Ignored) -> dict[str, list[Path]]:
    """Class folders by their label in lower case: `Cat` and `cat` are one class."""
    found: dict[str, list[Path]] = {}
    for folder in _folders(root):
        if _is_leftover(folder.name):
            ignored.folders.append(printable(folder.name))
        else:
            found.setdefault(label_of(folder).casefold(), []).append(folder)
    ignored.suffixes.update(path.suffix.lower() for path in root.iterdir() if path.is_file())
    return found


def _classes(root: Path, wanted: Sequence[str] | None, ignored: _Ignored) -> tuple[str, ...]:
    folders = _class_folders(root, _Ignored())
    if wanted is not None:
        missing = [label for label in wanted if label.casefold() not in folders]
        if len(missing) == len(wanted):
            raise DataError(
                f"{printable(root)} has no folder for any of {_some(wanted)}; it has "
                f"{_some(sorted(folders)) or 'no folders'}."
            )
        return tuple(wanted)
    labels = {}
    for key, same in folders.items():
        if any(True for folder in same for _ in _walk(folder, _Ignored())):
            labels[key] = label_of(same[0])
        else:
            ignored.empty += [printable(folder.name) for folder in same]
    if len(labels) < 2:
        there = f"only {_some(list(labels.values()))}" if labels else "none"
        raise DataError(
            f"A classifier needs photos of at least two classes, each in a folder of its own; {printable(root)} has "
            f"{there}."
        )
    return tuple(sorted(labels.values()))


def _photos(root: Path, labels: tuple[str, ...], ignored: _Ignored) -> Photos:
    photos = Photos(labels)
    folders = _class_folders(root, ignored)
    known = {label.casefold(): target for target, label in enumerate(labels)}
    ignored.strangers += [
        printable(f.name) for key, same in folders.items() if key not in known for f in same
    ]
    for key, target in known.items():
        for folder in folders.get(key, ()):
            paths = list(_walk(folder, ignored))
            kinds = tuple(_kind(path, folder) for path in paths)
            photos += Photos(labels, tuple(paths), (target,) * len(paths), kinds)
    ignored.empty = [name for name in ignored.empty if name not in ignored.strangers]
    ignored.strangers = [name for name in ignored.strangers if name not in ignored.empty]
    return photos


def _none_of(root: Path | None, labels: tuple[str, ...], ignored: _Ignored) -> Photos:
    if root is None:
        return Photos(labels)
    paths = list(_walk(root, ignored))
    return Photos(
        labels, tuple(paths), (len(labels),) * len(paths), tuple(_kind(path, root) for path in paths)
    )


def _kind(path: Path, root: Path) -> str:
    parts = path.relative_to(root).parts
    return printable(parts[0]) if len(parts) > 1 else ""


def _find_classes(root: Path, labels: Sequence[str] | None, ignored: _Ignored) -> Photos:
    return _photos(root, _classes(root, labels, ignored), ignored)


def _held_out(photos: Photos, ignored: _Ignored) -> Found:
    """Photos of a folder without splits: a test split is drawn by their names where there are enough of them.

    The draw depends on nothing but the name, so that it is the same on every machine and when photos are added.
    """
    splits = {"train": photos, "val": Photos(photos.labels), "test": Photos(photos.labels)}
    per_class = [photos.count(target) for target in range(len(photos.labels))]
    if min(per_class) >= HELD_OUT_FROM:
        drawn = [_draw(path) < HELD_OUT_PERCENT for path in photos.paths]
        splits["train"] = photos.take([i for i, out in enumerate(drawn) if not out])
        splits["test"] = photos.take([i for i, out in enumerate(drawn) if out])
    return Found(photos.labels, splits, ignored.remarks())


def _draw(path: Path) -> int:
    name = os.fsencode(f"{path.parent.name.lower()}/{path.name}")
    return int.from_bytes(hashlib.sha256(name).digest()[:4], "big") % 100


def _walk(folder: Path, ignored: _Ignored) -> Iterator[Path]:
    """Photos in a folder and in those below it, in the order of their names."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if _is_leftover(path.name):
                ignored.folders.append(printable(path.name))
            else:
                yield from _walk(path, ignored)
        elif path.name.startswith(".") or path.suffix.lower() not in SUFFIXES:
            ignored.suffixes[path.suffix.lower()] += 1
        else:
            yield path


def _some(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
