"""Walks through a user's folder: which entries are photos, and what is left out and why.

Links are followed, but not to a parent folder, and no folder is read twice.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export.files import printable

SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".avif", ".tif", ".tiff", ".heic", ".heif",
}  # fmt: skip
# Folders that other programs create; they are not classes.
LEFTOVERS = {"__macosx", "__pycache__", "@eadir", "thumbs", "$recycle.bin"}
# A folder with this file is a run: its images are plots, not photos.
RUN = "run.json"


@dataclass
class Ignored:
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
            add_once(self.folders, path.name)
        elif path.is_symlink() and _real(path) in above:
            add_once(self.loops, f"{path.parent.name}/{path.name}")
        elif _kind_of_file(path / RUN) == stat.S_IFREG:
            add_once(self.runs, path.name)
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
        """What was left out, a line for each reason."""
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
                lines.append(f"{what}: {some_of(names)}")
        return tuple(lines)


def walk(folder: Path, ignored: Ignored, seen: set[Path] | None = None) -> Iterator[Path]:
    """Photos in a folder and its subfolders, in the order of their names.

    No link is followed to a parent folder, and no folder is read twice; `seen` holds those that were read.
    """
    seen = set() if seen is None else seen
    real = _real(folder)
    if real in seen:
        add_once(ignored.twice, f"{folder.parent.name}/{folder.name}")
        return
    seen.add(real)
    above = _above(folder, ignored.root)
    for path in sorted(folder.iterdir()):
        if _kind_of_file(path) == stat.S_IFDIR:
            if not ignored.folder(path, above):
                yield from walk(path, ignored, seen)
        elif not ignored.file(path):
            yield path


def folders_in(root: Path, ignored: Ignored) -> list[Path]:
    above = _above(root, ignored.root)
    return [
        path
        for path in sorted(root.iterdir())
        if _kind_of_file(path) == stat.S_IFDIR and not ignored.folder(path, above)
    ]


def loose_photos(root: Path, ignored: Ignored) -> int:
    """How many photos are directly in a folder; other files there are counted as ignored."""
    files = [path for path in sorted(root.iterdir()) if _kind_of_file(path) != stat.S_IFDIR]
    return sum(not ignored.file(path) for path in files)


def has_photos(folder: Path, root: Path) -> bool:
    return any(True for _ in walk(folder, Ignored(root)))


def _is_leftover(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFTOVERS


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


def add_once(names: list[str], name: str) -> None:
    if printable(name) not in names:
        names.append(printable(name))


def some_of(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
