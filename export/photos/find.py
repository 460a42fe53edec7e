"""Finds the photos in a folder of the user, and reports what it left out and why.

Three layouts are understood: `split/class/photo` (train, val and test, under any of their usual names),
`class/split/photo`, and `class/photo`, like Microsoft's PetImages. Photos may be in subfolders of a class. Links
are followed, but not to a parent folder.
"""

from __future__ import annotations

import hashlib
import os
import stat
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
# Folders that other programs create; they are not classes.
LEFTOVERS = {"__macosx", "__pycache__", "@eadir", "thumbs", "$recycle.bin"}
# A folder with this file is a run: its images are plots, not photos.
RUN = "run.json"
# Unicode's categories of control characters, characters without width or for direction, and ends of lines.
UNSEEN = {"Cc", "Cf", "Zl", "Zp"}
# Without test/, this percentage of the photos is held out, if each class has at least this many photos.
HELD_OUT_PERCENT, HELD_OUT_FROM = 15, 100


class DataError(ExportError):
    """The folder does not hold the expected photos."""


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
        """How many photos of a class there are."""
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
    """A folder's photos by split; a split without photos is empty. `remarks`: what was left out, one line each."""

    labels: tuple[str, ...]
    splits: dict[str, Photos]
    remarks: tuple[str, ...] = ()


@dataclass
class _Ignored:
    """What is left out below the folder `root`, counted or by name."""

    root: Path
    folders: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    suffixes: Counter[str] = field(default_factory=Counter)
    irregular: int = 0
    broken: int = 0
    loose: int = 0
    empty: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def folder(self, path: Path, above: frozenset[Path]) -> bool:
        """Whether to leave a folder out; `above` are its parent folders, to which a link must not lead back."""
        if _is_leftover(path.name):
            _add(self.folders, path.name)
        elif path.is_symlink() and _real(path) in above:
            _add(self.loops, f"{path.parent.name}/{path.name}")
        elif _kind_of_file(path / RUN) == stat.S_IFREG:
            _add(self.runs, path.name)
        else:
            return False
        return True

    def file(self, path: Path) -> bool:
        """Whether to leave out an entry that is not a folder, because it is no photo."""
        kind = _kind_of_file(path)
        if kind is None:
            self.broken += 1
        elif kind != stat.S_IFREG:
            self.irregular += 1
        elif path.name.startswith(".") or path.suffix.lower() not in SUFFIXES:
            self.suffixes[path.suffix.lower()] += 1
        else:
            return False
        return True

    def remarks(self) -> tuple[str, ...]:
        lines = list(self.others)
        if self.suffixes:
            kinds = ", ".join(
                f"{n} {suffix or 'without a suffix'}" for suffix, n in self.suffixes.most_common(6)
            )
            lines.append(f"{sum(self.suffixes.values())} files are no photos by their names: {kinds}")
        if self.irregular:
            lines.append(
                f"{self.irregular} entries are no regular files (pipes or devices, say), so no photos"
            )
        if self.broken:
            lines.append(f"{self.broken} links lead nowhere, so they are no photos")
        if self.loose:
            lines.append(f"{self.loose} photos lie beside the folders instead of in them, so left out")
        for names, what in (
            (self.folders, "ignored folders"),
            (self.runs, f"ignored folders, as they hold a {RUN}"),
            (self.loops, "links to a folder that they lie in, so not followed"),
            (self.twice, "folders that links lead to a second time, so read once"),
            (self.empty, "class folders without photos"),
            (self.strangers, "not among the classes of train, so left out"),
        ):
            if names:
                lines.append(f"{what}: {_some(names)}")
        return tuple(lines)


def _add(names: list[str], name: str) -> None:
    if printable(name) not in names:
        names.append(printable(name))


def find(root: Path, labels: Sequence[str] | None = None) -> Found:
    """The photos of a folder.

    Labels are the names of the class folders in train, in alphabetical order; the same name in other letter case is
    the same class. Give `labels` to insist on a published model's.

    Raises DataError when the folder is missing, holds fewer than two classes with photos, or lacks a wanted label;
    without `labels` also when it has splits, but none to train on.
    """
    root = _root(root, "photos")
    ignored = _Ignored(root)
    folders = _split_folders(root, ignored)
    if not folders:
        photos = _find_classes(root, labels, ignored)
        return _split_within(photos, labels is None, ignored) or _held_out(photos, ignored)
    if labels is None and "train" not in folders:
        there = " and ".join(printable(folder.name) for folder in folders.values())
        raise DataError(
            f"{printable(root)} has no train folder, only {there}. Put the photos to learn from into train/, each "
            f"class in a folder of its own."
        )
    first = folders.get("train") or next(iter(folders.values()))
    wanted = _classes(first, labels, ignored)
    splits = {
        split: _photos(folders[split], wanted, ignored) if split in folders else Photos(wanted)
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
    ignored, labels = _Ignored(root), tuple(labels)
    folders = _split_folders(root, ignored, classes=False)
    places = folders or {"train": root}
    splits = {split: _none_of(places.get(split), labels, ignored) for split in SPLITS}
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


def _split_folders(root: Path, ignored: _Ignored, classes: bool = True) -> dict[str, Path]:
    """The folders of the splits; none where folders with such names are classes (or kinds) like those beside them."""
    named: dict[str, list[Path]] = {}
    others = []
    for folder in _folders(root, ignored):
        split = SPLIT_NAMES.get(folder.name.lower())
        if split:
            named.setdefault(split, []).append(folder)
        else:
            others.append(folder)
    if not named:
        return {}
    # A split holds classes; a class called "train" holds photos. Of none of the classes a split holds photos, too.
    splits = [
        split
        for split, same in named.items()
        if (len(named) > 1 and not classes) or any(_has_folders_of_photos(folder, root) for folder in same)
    ]
    if "train" not in splits and len(splits) < 2 and any(_has_photos(folder, root) for folder in others):
        return {}
    for split, same in named.items():
        if len(same) > 1:
            raise DataError(
                f"{printable(same[0].name)} and {printable(same[1].name)} in {printable(root)} both are the split "
                f"{split}. Put their photos into one folder."
            )
    for folder in others:
        _add(ignored.folders, folder.name)
    ignored.loose += _loose(root, _Ignored(root))
    return {split: same[0] for split, same in named.items()}


def _has_photos(folder: Path, root: Path) -> bool:
    return any(True for _ in _walk(folder, _Ignored(root)))


def _has_folders_of_photos(folder: Path, root: Path) -> bool:
    return any(_has_photos(inner, root) for inner in _folders(folder, _Ignored(root)))


def _folders(root: Path, ignored: _Ignored) -> list[Path]:
    above = _above(root, ignored.root)
    return [
        path
        for path in sorted(root.iterdir())
        if _kind_of_file(path) == stat.S_IFDIR and not ignored.folder(path, above)
    ]


def _loose(root: Path, ignored: _Ignored) -> int:
    """How many photos are directly in a folder; other files there are counted as ignored."""
    files = [path for path in sorted(root.iterdir()) if _kind_of_file(path) != stat.S_IFDIR]
    return sum(not ignored.file(path) for path in files)


def _kind_of_file(path: Path) -> int | None:
    """Folder, regular file or another kind, after following links; None if it does not exist."""
    try:
        return stat.S_IFMT(path.stat().st_mode)
    except OSError:
        return None


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _above(folder: Path, root: Path) -> frozenset[Path]:
    """A folder below the root, the folders on the way to it, and all their parents, with links resolved."""
    real = [_real(root)]
    for part in folder.relative_to(root).parts:
        root /= part
        real.append(_real(root))
    return frozenset(place for path in real for place in (path, *path.parents))


def _is_leftover(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFTOVERS


def label_of(folder: Path) -> str:
    """The label that a class folder stands for: its name, with accents in their composed form.

    Raises DataError for a name that cannot be written as UTF-8, or that has characters nobody sees or no others.
    """
    try:
        # The bytes on disk: under a locale that is not UTF-8, Python decodes the name differently.
        name = os.fsencode(folder.name).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(
            f"The name of the class folder {printable(folder)} is not UTF-8, so no answer could hold it. Rename it."
        ) from None
    label = unicodedata.normalize("NFC", name).strip()
    if not label or any(unicodedata.category(c) in UNSEEN for c in name):
        raise DataError(
            f"The name of the class folder {name!r} in {printable(folder.parent)} is blank or has characters that "
            f"cannot be seen. Rename the folder."
        )
    return label


def _class_folders(root: Path, ignored: _Ignored) -> dict[str, list[Path]]:
    """Class folders by their label in lower case: `Cat` and `cat` are one class."""
    found: dict[str, list[Path]] = {}
    for folder in _folders(root, ignored):
        found.setdefault(label_of(folder).casefold(), []).append(folder)
    ignored.loose += _loose(root, ignored)
    return found


def _classes(root: Path, wanted: Sequence[str] | None, ignored: _Ignored) -> tuple[str, ...]:
    folders = _class_folders(root, _Ignored(ignored.root))
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
        if any(_has_photos(folder, ignored.root) for folder in same):
            labels[key] = label_of(same[0])
        else:
            for folder in same:
                _add(ignored.empty, folder.name)
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
    for folder in (folder for key, same in folders.items() if key not in known for folder in same):
        _add(ignored.strangers if _has_photos(folder, ignored.root) else ignored.empty, folder.name)
    for key, target in known.items():
        same, seen = folders.get(key, []), set[Path]()
        if len(same) > 1:
            names = " and ".join(printable(folder.name) for folder in same)
            _add(ignored.others, f"{names} are taken for one class")
        for folder in same:
            paths = list(_walk(folder, ignored, seen))
            kinds = tuple(_kind(path, folder) for path in paths)
            photos += Photos(labels, tuple(paths), (target,) * len(paths), kinds)
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


def _split_within(photos: Photos, for_training: bool, ignored: _Ignored) -> Found | None:
    """Photos by the folders called train, val or test within each class; None where these are no splits.

    Photos of the class outside such folders are for training; other folders beside them are left out.
    """
    below = [path.relative_to(ignored.root).parts[1:-1] for path in photos.paths]
    names = [SPLIT_NAMES.get(parts[0].lower()) if parts else None for parts in below]
    if not {"val", "test"} & set(names):
        return None  # "train" alone is a kind of photo
    splits: dict[str, list[int]] = {split: [] for split in SPLITS}
    others = []
    for i, (parts, name) in enumerate(zip(below, names, strict=True)):
        if name or not parts:
            splits[name or "train"].append(i)
        else:
            others.append("/".join(photos.paths[i].relative_to(ignored.root).parts[:2]))
    classes = set(photos.targets)
    split_classes = {target for target, name in zip(photos.targets, names, strict=True) if name}
    if split_classes < classes or (for_training and {photos.targets[i] for i in splits["train"]} < classes):
        there = {
            "/".join(path.relative_to(ignored.root).parts[:2])
            for path, name in zip(photos.paths, names, strict=True)
            if name in ("val", "test")
        }
        ignored.others.append(
            f"{_some([printable(name) for name in sorted(there)])} would be splits, but not every class has such "
            f"and photos to train on, so they are taken for photos like the others"
        )
        return None
    for other in others:
        _add(ignored.folders, other)
    kinds = tuple(printable(parts[1]) if len(parts) > 1 else "" for parts in below)
    photos = Photos(photos.labels, photos.paths, photos.targets, kinds)
    return Found(photos.labels, {split: photos.take(splits[split]) for split in SPLITS}, ignored.remarks())


def _held_out(photos: Photos, ignored: _Ignored) -> Found:
    """Photos of a folder without splits: a test split is drawn from their names when there are enough of them.

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


def _walk(folder: Path, ignored: _Ignored, seen: set[Path] | None = None) -> Iterator[Path]:
    """Photos in a folder and its subfolders, in the order of their names.

    No link is followed to a parent folder, and no folder is read twice; `seen` holds those that were read.
    """
    seen = set() if seen is None else seen
    real = _real(folder)
    if real in seen:
        _add(ignored.twice, f"{folder.parent.name}/{folder.name}")
        return
    seen.add(real)
    above = _above(folder, ignored.root)
    for path in sorted(folder.iterdir()):
        if _kind_of_file(path) == stat.S_IFDIR:
            if not ignored.folder(path, above):
                yield from _walk(path, ignored, seen)
        elif not ignored.file(path):
            yield path


def _some(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
