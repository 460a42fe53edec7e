"""Class folders: the labels that they stand for, and their photos."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from export.files import printable
from export.photos.sets import DataError, Photos
from export.photos.walk import Ignored, add_once, folders_in, has_photos, loose_photos, some_of, walk

# Unicode's categories of control characters, characters without width or for direction, and ends of lines.
UNSEEN = {"Cc", "Cf", "Zl", "Zp"}


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


def _class_folders(root: Path, ignored: Ignored) -> dict[str, list[Path]]:
    """Class folders by their label in lower case: `Cat` and `cat` are one class."""
    found: dict[str, list[Path]] = {}
    for folder in folders_in(root, ignored):
        found.setdefault(label_of(folder).casefold(), []).append(folder)
    ignored.loose += loose_photos(root, ignored)
    return found


def classes_of(root: Path, wanted: Sequence[str] | None, ignored: Ignored) -> tuple[str, ...]:
    folders = _class_folders(root, Ignored(ignored.root))
    if wanted is not None:
        missing = [label for label in wanted if label.casefold() not in folders]
        if len(missing) == len(wanted):
            raise DataError(
                f"{printable(root)} has no folder for any of {some_of(wanted)}; it has "
                f"{some_of(sorted(folders)) or 'no folders'}."
            )
        return tuple(wanted)
    labels = {}
    for key, same in folders.items():
        if any(has_photos(folder, ignored.root) for folder in same):
            labels[key] = label_of(same[0])
        else:
            for folder in same:
                add_once(ignored.empty, folder.name)
    if len(labels) < 2:
        there = f"only {some_of(list(labels.values()))}" if labels else "none"
        raise DataError(
            f"A classifier needs photos of at least two classes, each in a folder of its own; {printable(root)} has "
            f"{there}."
        )
    return tuple(sorted(labels.values()))


def photos_of(root: Path, labels: tuple[str, ...], ignored: Ignored) -> Photos:
    photos = Photos(labels)
    folders = _class_folders(root, ignored)
    known = {label.casefold(): target for target, label in enumerate(labels)}
    for folder in (folder for key, same in folders.items() if key not in known for folder in same):
        add_once(ignored.strangers if has_photos(folder, ignored.root) else ignored.empty, folder.name)
    for key, target in known.items():
        same, seen = folders.get(key, []), set[Path]()
        if len(same) > 1:
            names = " and ".join(printable(folder.name) for folder in same)
            add_once(ignored.others, f"{names} are taken for one class")
        for folder in same:
            paths = list(walk(folder, ignored, seen))
            kinds = tuple(_kind(path, folder) for path in paths)
            photos += Photos(labels, tuple(paths), (target,) * len(paths), kinds)
    return photos


def photos_of_none(root: Path | None, labels: tuple[str, ...], ignored: Ignored) -> Photos:
    if root is None:
        return Photos(labels)
    paths = list(walk(root, ignored))
    return Photos(
        labels, tuple(paths), (len(labels),) * len(paths), tuple(_kind(path, root) for path in paths)
    )


def _kind(path: Path, root: Path) -> str:
    parts = path.relative_to(root).parts
    return printable(parts[0]) if len(parts) > 1 else ""
