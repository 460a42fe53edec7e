"""Splits: train, val and test, as folders above the classes, as folders within them, or drawn from the photos."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from export.files import printable
from export.photos.sets import SPLITS, DataError, Found, Photos
from export.photos.walk import Ignored, add_once, folders_in, has_photos, loose_photos, some_of

# What people call the splits, in lower case.
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
# Without test/, this percentage of the photos is held out, if each class has at least this many photos.
HELD_OUT_PERCENT, HELD_OUT_FROM = 15, 100


def split_folders(root: Path, ignored: Ignored, classes: bool = True) -> dict[str, Path]:
    """The folders of the splits; none where folders with such names are classes (or kinds) like those beside them."""
    named: dict[str, list[Path]] = {}
    others = []
    for folder in folders_in(root, ignored):
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
    if "train" not in splits and len(splits) < 2 and any(has_photos(folder, root) for folder in others):
        return {}
    for split, same in named.items():
        if len(same) > 1:
            raise DataError(
                f"{printable(same[0].name)} and {printable(same[1].name)} in {printable(root)} both are the split "
                f"{split}. Put their photos into one folder."
            )
    for folder in others:
        add_once(ignored.folders, folder.name)
    ignored.loose += loose_photos(root, Ignored(root))
    return {split: same[0] for split, same in named.items()}


def _has_folders_of_photos(folder: Path, root: Path) -> bool:
    return any(has_photos(inner, root) for inner in folders_in(folder, Ignored(root)))


def split_within(photos: Photos, for_training: bool, ignored: Ignored) -> Found | None:
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
            f"{some_of([printable(name) for name in sorted(there)])} would be splits, but not every class has such "
            f"and photos to train on, so they are taken for photos like the others"
        )
        return None
    for other in others:
        add_once(ignored.folders, other)
    kinds = tuple(printable(parts[1]) if len(parts) > 1 else "" for parts in below)
    photos = Photos(photos.labels, photos.paths, photos.targets, kinds)
    return Found(photos.labels, {split: photos.take(splits[split]) for split in SPLITS}, ignored.remarks())


def held_out(photos: Photos, ignored: Ignored) -> Found:
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
