"""Photos decoded once, by the code that serves, into an array on disk that training maps into memory."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from api._classifier import available_cpus
from api._photo.errors import ImageError
from api._photo.image import decode
from export.errors import ExportError
from export.files import new_array, printable, read_json, write_json
from export.photos import MAX_PIXELS
from export.photos.find import Photos

# Part of the key: raise it when decoding changes.
FORMAT = 1
# How many unreadable photos are named.
MOST_NAMED = 10
# How many photos are handed to the threads together, which bounds the memory of those that wait for the disk.
CHUNK = 64


@dataclass(frozen=True)
class Pixels:
    """Decoded photos.

    Attributes:
        photos: those that could be read.
        array: uint8 [M, S, S, 3] on disk, read-only; M counts the unreadable ones as well.
        rows: int64 [N], each photo's row in `array`.
        digests: sha256 of each file, in hexadecimal.
    """

    photos: Photos
    array: NDArray[np.uint8]
    rows: NDArray[np.int64]
    digests: tuple[str, ...]

    @property
    def targets(self) -> NDArray[np.int64]:
        return np.asarray(self.photos.targets, dtype=np.int64)

    @property
    def digest(self) -> str:
        """A digest of the content and classes of the photos. It does not depend on their paths."""
        lines = sorted(
            f"{digest} {target}" for digest, target in zip(self.digests, self.photos.targets, strict=True)
        )
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def load(photos: Photos, size: int, folder: Path, name: str, say: Callable[[str], None]) -> Pixels:
    """The photos as squares of `size` pixels, from `folder/name.npy` if it holds exactly these, else decoded into it.

    Unreadable photos are left out and reported to `say`. Raises ExportError when none can be read, or the disk is full.
    """
    array_path, facts_path = folder / f"{name}.npy", folder / f"{name}.json"
    key = _key(photos, size)
    facts = _known(facts_path, key, array_path)
    if facts is None:
        facts_path.unlink(missing_ok=True)
        facts = {"key": key, **_decode_all(photos, size, array_path, name)}
        write_json(facts_path, facts)
    for line in facts["skipped"][:MOST_NAMED]:
        say(f"skipped {line}")
    if len(facts["skipped"]) > MOST_NAMED:
        say(f"{len(facts['skipped'])} photos of {name} in all could not be read")
    if len(photos) and not facts["rows"]:
        raise ExportError(
            f"None of the {len(photos)} photos of {name} can be read; the first: {facts['skipped'][0]}"
        )
    array = np.load(array_path, mmap_mode="r") if len(photos) else np.zeros((0, size, size, 3), np.uint8)
    rows = np.asarray(facts["rows"], dtype=np.int64)
    return Pixels(photos.take(facts["rows"]), array, rows, tuple(facts["digests"]))


def _key(photos: Photos, size: int) -> str:
    """A key of the files, their order, and the size; labels do not matter here."""
    key = hashlib.sha256(f"{FORMAT} {size}".encode())
    for path in photos.paths:
        try:
            status = path.stat()
            seen = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            seen = "missing"
        key.update(f"\n{printable(path.absolute())} {seen}".encode())
    return key.hexdigest()


def _known(path: Path, key: str, array: Path) -> dict[str, Any] | None:
    try:
        facts: dict[str, Any] = read_json(path)
        return facts if facts["key"] == key and (array.is_file() or not facts["rows"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _decode_all(photos: Photos, size: int, path: Path, name: str) -> dict[str, Any]:
    rows: list[int] = []
    digests: list[str] = []
    skipped: list[str] = []
    if not len(photos):
        return {"rows": rows, "digests": digests, "skipped": skipped}
    _check_space(path, len(photos) * size * size * 3)
    with (
        new_array(path, np.uint8, (len(photos), size, size, 3)) as array,
        ThreadPoolExecutor(available_cpus()) as pool,
        tqdm(total=len(photos), desc=f"decoding {name}", unit=" photos", mininterval=0.5) as bar,
    ):
        for first in range(0, len(photos), CHUNK):
            paths = photos.paths[first : first + CHUNK]
            for row, found in enumerate(pool.map(lambda each: _decode_one(each, size), paths), start=first):
                if isinstance(found, str):
                    skipped.append(f"{printable(photos.paths[row])}: {found}")
                else:
                    array[row] = found[1]
                    digests.append(found[0])
                    rows.append(row)
                bar.update()
    return {"rows": rows, "digests": digests, "skipped": skipped}


def _decode_one(path: Path, size: int) -> tuple[str, NDArray[np.uint8]] | str:
    try:
        content = path.read_bytes()
        return hashlib.sha256(content).hexdigest(), decode(content, size, MAX_PIXELS).pixels
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def _check_space(path: Path, size: int) -> None:
    """Raise ExportError if the disk has no room for the array.

    Writing to a mapped file on a full disk would kill the process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise ExportError(
            f"The decoded photos take {size / 1e6:,.0f} MB and {printable(path.parent)} has {free / 1e6:,.0f} MB "
            "free. Make room, or choose another --out."
        )
