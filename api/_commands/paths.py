"""What is meant by the paths that a command gets: files, folders of photos, wildcards that the shell left alone."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# What phones, cameras and editors keep beside photos: edits, notes, previews, the folder's own look.
_NOTES = {".aae", ".xmp", ".json", ".thm", ".pp3", ".dop", ".db", ".ini"}
# The moving part of a live photo has its name; a video by any other name is no part of a photo.
_VIDEOS = {".mov", ".mp4"}
# Folders of previews and of a Mac's own notes. Hidden ones, like .thumbnails, are left out by their first letter.
_NOT_PHOTOS = {"@eadir", "__macosx", "$recycle.bin", "lost.dir"}


@dataclass
class Found:
    """The files to classify.

    Attributes:
        files: in order; what was named is among them even if it isn't there, so that the answer can say so.
        left_out: files beside photos that are none, like a phone's notes on its edits.
        problems: sentences about folders that cannot be read and wildcards that match nothing.
    """

    files: list[Path] = field(default_factory=list)
    left_out: int = 0
    problems: list[str] = field(default_factory=list)


def find(arguments: Sequence[str]) -> Found:
    """Looks up what was typed: a file is taken as it is, a folder is searched, a wildcard is expanded."""
    found = Found()
    for argument in arguments:
        path = Path(argument)
        if os.path.isdir(path):
            _search(path, found)
        elif os.path.lexists(path) or not glob.has_magic(argument):
            found.files.append(path)
        elif matches := sorted(glob.glob(argument, recursive=True)):
            for match in map(Path, matches):
                if match.is_file():
                    found.files.append(match)
                elif "**" not in argument:  # which matches the folders and all that is in them
                    _search(match, found)
        else:
            found.problems.append(f"no file matches {argument}")
    return found


def is_searched(folder: str) -> bool:
    """Whether photos are looked for in a folder of this name: not where previews and hidden things lie."""
    return not folder.startswith(".") and folder.lower() not in _NOT_PHOTOS


def photos_among(names: Sequence[str]) -> list[str]:
    """The files of a folder, or of several, without what only lies beside photos."""
    parts = [os.path.splitext(name.lower()) for name in names]
    stems = {stem for stem, suffix in parts if suffix not in _NOTES | _VIDEOS}
    return [
        name
        for name, (stem, suffix) in zip(names, parts, strict=True)
        if suffix not in _NOTES and not (suffix in _VIDEOS and stem in stems)
    ]


def _search(folder: Path, found: Found) -> None:
    files = sorted(_walk(folder, found))
    photos = photos_among([str(path) for path in files])
    found.left_out += len(files) - len(photos)
    found.files += map(Path, photos)


def _walk(folder: Path, found: Found) -> Iterator[Path]:
    def barred(error: OSError) -> None:
        found.problems.append(f"{error.filename} cannot be read: {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=barred):
        folders[:] = filter(is_searched, folders)
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                yield path
