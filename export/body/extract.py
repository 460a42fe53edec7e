"""Photos to features: decoded by the code that serves and run through the body once; the result is cached.

The key is the content of a photo, so that a renamed, moved or copied photo is found and a changed one is not.
Features that were computed before an interruption are not computed again.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from api._classifier import available_cpus
from api._photo.errors import ImageError
from api._photo.image import decode
from export.body.body import Body
from export.errors import ExportError
from export.files import printable, working_array
from export.photos import MAX_PIXELS
from export.photos.find import Photos
from export.photos.hashes import difference_hash

# How many photos are handed to the threads, and then written, together.
CHUNK = 16
# The views of a photo: the whole or its middle, each unchanged or mirrored.
VIEWS = ("whole", "flipped", "zoomed", "zoomed flipped")
# Zoomed in, the side of the photo is this many times the side of what is shown.
ZOOM = 9 / 7


@dataclass(frozen=True)
class Features:
    """Features of photos.

    Attributes:
        photos: those that could be read.
        values: float32 [N, views, C], normalised; memory-mapped if they are many.
        hashes: uint64 [N], difference hashes of the photos: near copies differ in few bits.
        digests: sha256 of each file.
        skipped: one sentence for each photo that could not be read.
    """

    photos: Photos
    values: NDArray[np.float32]
    hashes: NDArray[np.uint64]
    digests: tuple[bytes, ...]
    skipped: tuple[str, ...] = ()

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Features:
        """Only these photos."""
        rows = list(map(int, rows))
        return Features(
            self.photos.take(rows), self.values[rows], self.hashes[rows], tuple(self.digests[i] for i in rows)
        )

    def without(self, rows: Collection[int]) -> Features:
        """All photos but these."""
        return self.take([i for i in range(len(self.photos)) if i not in rows]) if rows else self

    @property
    def targets(self) -> NDArray[np.int64]:
        return np.asarray(self.photos.targets, dtype=np.int64)


class Cache:
    """Features by photo and body in one SQLite file; does nothing where no file can be written."""

    def __init__(self, folder: Path | None, body: Body) -> None:
        self.problem = ""
        self.folder = folder
        self._table: sqlite3.Connection | None = None
        if folder is None:
            return
        self.path = folder / f"features-{body.name}-{body.digest[:12]}.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._table = sqlite3.connect(self.path)
            # Commits survive a killed process; only a power cut may lose the last ones.
            self._table.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                "CREATE TABLE IF NOT EXISTS photos (key BLOB PRIMARY KEY, hash INTEGER, value BLOB) WITHOUT ROWID;"
            )
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def get(self, key: bytes) -> tuple[int, bytes] | None:
        """A photo's difference hash and features, if they are cached."""
        if self._table is None:
            return None
        try:
            row = self._table.execute("SELECT hash, value FROM photos WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return (int(row[0]), bytes(row[1])) if row else None

    def put(self, rows: Sequence[tuple[bytes, int, bytes]]) -> None:
        """Cache hashes and features by key. A failure to write is no error: they are computed again next time."""
        if self._table is None or not rows:
            return
        try:
            with self._table:
                self._table.executemany("INSERT OR REPLACE INTO photos VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def _give_up(self, error: Exception) -> None:
        self.problem = f"features are not kept for the next time: {printable(self.path)}: {error}"
        self.close()


def default_cache() -> Path:
    """`$PURRDICT_CACHE`, else `purrdict` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PURRDICT_CACHE") or Path(base) / "purrdict")


def extract(
    body: Body, photos: Photos, cache: Cache, views: Sequence[str] = VIEWS[:1], title: str = "features"
) -> Features:
    """The features of the photos, from the cache or from the body, with a progress bar.

    Photos that cannot be read are skipped and named. Raises ExportError if none can be read.
    """
    folder = None if cache.problem else cache.folder
    values = working_array((len(photos), len(views), body.channels), folder)
    hashes = np.zeros(len(photos), dtype=np.uint64)
    digests: list[bytes] = []
    kept: list[int] = []
    skipped: list[str] = []
    extractor = _Extractor(body, tuple(views))
    with ThreadPoolExecutor(available_cpus()) as pool:
        bar = tqdm(total=len(photos), desc=title, unit=" photos", mininterval=0.5, disable=len(photos) == 0)
        try:
            for first in range(0, len(photos), CHUNK):
                for row, result in _chunk(extractor, photos.paths[first : first + CHUNK], cache, pool):
                    if isinstance(result, str):
                        skipped.append(f"{printable(photos.paths[first + row])}: {result}")
                    else:
                        values[len(kept)], hashes[len(kept)] = result.values, result.hash
                        digests.append(result.digest)
                        kept.append(first + row)
                    bar.update()
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            bar.close()
    if len(photos) and not kept:
        raise ExportError(f"None of the {len(photos)} photos can be read; the first: {skipped[0]}")
    return Features(
        photos.take(kept), values[: len(kept)], hashes[: len(kept)], tuple(digests), tuple(skipped)
    )


@dataclass(frozen=True)
class _One:
    digest: bytes
    hash: int
    values: NDArray[np.float32]


class _Extractor:
    def __init__(self, body: Body, views: tuple[str, ...]) -> None:
        self.body, self.views = body, views
        # One thread for each photo: several photos at once cost less CPU than several threads for one.
        self.session = body.session()

    def key(self, content: bytes) -> tuple[bytes, bytes]:
        digest = hashlib.sha256(content).digest()
        return digest, hashlib.sha256(digest + ",".join(self.views).encode()).digest()

    def __call__(self, content: bytes) -> tuple[int, NDArray[np.float32]]:
        size = self.body.input_size
        pixels = middle = decode(content, size, MAX_PIXELS).pixels
        if any(view.startswith("zoomed") for view in self.views):
            larger = round(size * ZOOM)
            edge = (larger - size) // 2
            middle = decode(content, larger, MAX_PIXELS).pixels[edge : edge + size, edge : edge + size]
        plain = [middle if view.startswith("zoomed") else pixels for view in self.views]
        shown = np.stack(
            [
                each[:, ::-1] if view.endswith("flipped") else each
                for view, each in zip(self.views, plain, strict=True)
            ]
        )
        maps = np.asarray(self.session.run(["features"], {"pixels": shown})[0])
        return difference_hash(pixels), self.body.normalise(maps.mean(axis=(2, 3)))


def _chunk(
    extractor: _Extractor, paths: Sequence[Path], cache: Cache, pool: ThreadPoolExecutor
) -> Iterator[tuple[int, _One | str]]:
    contents = list(pool.map(_read, paths))
    results: dict[int, _One | str] = {}
    todo: dict[int, tuple[bytes, bytes, bytes]] = {}
    shape = (len(extractor.views), extractor.body.channels)
    for i, content in enumerate(contents):
        if isinstance(content, str):
            results[i] = content
            continue
        digest, key = extractor.key(content)
        if stored := cache.get(key):
            found = np.frombuffer(stored[1], dtype=np.float16).reshape(shape).astype(np.float32)
            # SQLite's integers are signed.
            results[i] = _One(digest, stored[0] & 0xFFFF_FFFF_FFFF_FFFF, found)
        else:
            todo[i] = (content, digest, key)

    def compute(content: bytes) -> tuple[int, NDArray[np.float32]] | str:
        try:
            return extractor(content)
        except ImageError as error:
            return str(error)

    fresh = []
    for (i, (_, digest, key)), result in zip(
        todo.items(), pool.map(compute, [content for content, _, _ in todo.values()]), strict=True
    ):
        if isinstance(result, str):
            results[i] = result
            continue
        half = result[1].astype(np.float16)
        # The first run must get the same values as a later one: the half floats of the cache.
        results[i] = _One(digest, result[0], half.astype(np.float32))
        fresh.append((key, result[0] - (result[0] >> 63 << 64), half.tobytes()))
    cache.put(fresh)
    yield from sorted(results.items())


def _read(path: Path) -> bytes | str:
    try:
        return path.read_bytes()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
