"""Photos on disk to uint8 pixels in memory: finds them, splits them, decodes each once and keeps the result.

Two layouts are understood: `split/class/photo` (train, val, test) and `class/photo`, which is how Microsoft's
PetImages comes; there the split is drawn from the photo's name, so it is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import DTypeLike
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from tqdm import tqdm

from api._image import ImageError, decode

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".avif", ".tif", ".tiff"}
# Of a folder without splits, this many per cent of the photos become val and test.
VAL_PERCENT, TEST_PERCENT = 8, 12
# A close crop's share of the photo's area.
CLOSE_SCALE = (0.05, 0.3)
# Part of the cache's name: raise it when decoding changes.
CACHE_FORMAT = 1


class DataError(Exception):
    """The folder does not hold what was asked of it; the message says what to do."""


@dataclass(frozen=True)
class Photos:
    """Photos with their class: `targets[i]` indexes `labels`, or is `len(labels)` for neither."""

    labels: tuple[str, ...]
    paths: tuple[Path, ...]
    targets: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __add__(self, other: Photos) -> Photos:
        return Photos(self.labels, self.paths + other.paths, self.targets + other.targets)

    def count(self, target: int) -> int:
        return sum(t == target for t in self.targets)


def find(root: Path, split: str, labels: Sequence[str] | None = None) -> Photos:
    """The photos of a split ("train", "val", "test" or "all"), sorted by class and name.

    Labels are the class folders' names in lower case, in alphabetical order. Give `labels` to insist on them: a
    published model's, say.

    Raises DataError when the folder is missing, a class is empty, or there are fewer than two classes.
    """
    if not root.is_dir():
        raise DataError(
            f"{root} is no folder. Give --data a folder with train/, val/ and test/, or PetImages."
        )
    if (root / "PetImages").is_dir():
        root = root / "PetImages"
    split_folders = [root / s for s in SPLITS if (root / s).is_dir()]
    if split_folders:
        class_roots = split_folders if split == "all" else [root / split]
        draw = "all"
    else:
        class_roots, draw = [root], split
    folders = [f for r in class_roots if r.is_dir() for f in sorted(r.iterdir()) if f.is_dir()]
    found = sorted({folder.name.lower() for folder in folders})
    wanted = tuple(labels) if labels is not None else tuple(found)
    if labels is None and len(found) < 2:
        raise DataError(f"{class_roots[0]} has {len(found)} class folders; a classifier needs at least two.")
    missing = [label for label in wanted if label not in found]
    if missing:
        raise DataError(
            f"{class_roots[0]} has no folder for {', '.join(missing)}; it has {', '.join(found) or 'none'}."
        )
    paths: list[Path] = []
    targets: list[int] = []
    for target, label in enumerate(wanted):
        photos = [p for f in folders if f.name.lower() == label for p in _images(f) if _drawn(p, draw)]
        if not photos:
            raise DataError(f"The class {label} has no photos in {class_roots[0]} for the split {split}.")
        paths += photos
        targets += [target] * len(photos)
    return Photos(wanted, tuple(paths), tuple(targets))


def find_neither(root: Path, split: str, labels: Sequence[str]) -> Photos:
    """Photos of none of the labels, from `root/split/photo` or, drawn by name, from `root/photo`."""
    if not root.is_dir():
        raise DataError(
            f"{root} is no folder. Give --neither a folder of photos that show none of the labels."
        )
    has_splits = any((root / s).is_dir() for s in SPLITS)
    if has_splits and split != "all":
        paths = _images(root / split)
    else:
        paths = [
            p for p in sorted(root.rglob("*")) if _is_image(p) and _drawn(p, "all" if has_splits else split)
        ]
    if not paths:
        raise DataError(f"{root} has no photos for the split {split}.")
    return Photos(tuple(labels), tuple(paths), (len(labels),) * len(paths))


def _is_image(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in SUFFIXES


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if _is_image(p)) if folder.is_dir() else []


def _drawn(path: Path, split: str) -> bool:
    if split == "all":
        return True
    name = f"{path.parent.name.lower()}/{path.name}"
    draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 100
    chosen = "val" if draw < VAL_PERCENT else "test" if draw < VAL_PERCENT + TEST_PERCENT else "train"
    return chosen == split


@dataclass(frozen=True)
class Pixels:
    """Decoded photos: `array` uint8 [N, size, size, 3] RGB (memory-mapped), and the photos that could be read."""

    photos: Photos
    array: np.ndarray
    skipped: tuple[str, ...]
    # Changes whenever the pixels do.
    fingerprint: str

    @property
    def targets(self) -> np.ndarray:
        return np.asarray(self.photos.targets, dtype=np.int64)


def load(photos: Photos, size: int, cache: Path | None = None) -> Pixels:
    """Decode the photos as the service does and squash them to `size` x `size`; read them from the cache next time.

    The cache notices changed, added and removed photos by name, length and modification time. Unreadable photos
    are reported, skipped and left out of the result.
    """
    folder = cache or default_cache()
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = _fingerprint(photos, size)
    stem = folder / f"pixels-{size}-{fingerprint}"
    array_path, skipped_path = stem.with_suffix(".npy"), stem.with_suffix(".json")
    if not (array_path.exists() and skipped_path.exists()):
        skipped = _decode_all(photos, size, array_path)
        _write_atomically(skipped_path, json.dumps(skipped).encode())
    reasons: dict[str, str] = json.loads(skipped_path.read_text())
    for name, reason in reasons.items():
        log.warning("skipped %s: %s", name, reason)
    kept = [i for i, path in enumerate(photos.paths) if str(path) not in reasons]
    if not kept:
        raise DataError(
            f"None of the {len(photos)} photos can be read; the first: {next(iter(reasons.values()))}"
        )
    array = np.load(array_path, mmap_mode="r")
    readable = Photos(
        photos.labels, tuple(photos.paths[i] for i in kept), tuple(photos.targets[i] for i in kept)
    )
    return Pixels(readable, array[: len(kept)], tuple(reasons), fingerprint)


def default_cache() -> Path:
    """`$PURRDICT_CACHE`, else `purrdict` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("PURRDICT_CACHE") or Path(base) / "purrdict")


def _fingerprint(photos: Photos, size: int) -> str:
    digest = hashlib.sha256(f"{CACHE_FORMAT} {size}".encode())
    for path in photos.paths:
        stat = path.stat()
        digest.update(f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:24]


def _decode_all(photos: Photos, size: int, array_path: Path) -> dict[str, str]:
    """Write the readable photos' pixels, packed, to `array_path`; return the reason for each that is not."""
    skipped: dict[str, str] = {}
    row = 0
    with (
        new_array(array_path, np.uint8, (len(photos), size, size, 3)) as array,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        decoded = pool.map(lambda path: _decode_one(path, size), photos.paths)
        for path, result in zip(
            photos.paths, tqdm(decoded, "decode", len(photos), unit=" photos"), strict=True
        ):
            if isinstance(result, str):
                skipped[str(path)] = result
            else:
                array[row] = result
                row += 1
    return skipped


@contextmanager
def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> Iterator[np.memmap]:
    """An array on disk to fill in the block; it appears at `path` when the block ends well, and else not at all."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        array = np.lib.format.open_memmap(beside, mode="w+", dtype=dtype, shape=shape)
        yield array
        array.flush()
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _decode_one(path: Path, size: int) -> np.ndarray | str:
    try:
        return decode(path.read_bytes(), size).pixels
    except (ImageError, OSError) as error:
        return str(error)


def _write_atomically(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@dataclass(frozen=True)
class Samples:
    """What one epoch is made of: for each crop the photo's row, its class and where it may be cut from.

    `regions` int [N, 4] holds top, left, height and width; a crop covers at least the share `scales` [N] of its region.
    """

    rows: np.ndarray
    targets: np.ndarray
    regions: np.ndarray
    scales: np.ndarray
    # How many of the samples, the last ones, have a region of their own; all others have the whole photo.
    close: int = 0

    def __len__(self) -> int:
        return len(self.rows)


def whole(targets: np.ndarray, side: int) -> Samples:
    """Every photo once, uncropped: how photos are seen when the model is served."""
    count = len(targets)
    return Samples(np.arange(count), targets, np.tile([0, 0, side, side], (count, 1)), np.ones(count))


def samples(
    targets: np.ndarray, side: int, labels: int, scale: float, neither_share: float, close_share: float = 0.0,
    neither_scale: float | None = None,
) -> Samples:  # fmt: skip
    """Every photo of a label once; photos of neither repeated until they are `neither_share` of the epoch.

    A crop covers at least the share `scale` of its photo, of a photo of neither at least `neither_scale`: no part of
    those can lose the animal, and smaller parts are more varied ones.

    `close_share` adds close crops (5 to 30 % of the area) of the labels' photos: often background alone, so only
    a teacher can name their class.
    """
    of_labels, of_neither = np.flatnonzero(targets < labels), np.flatnonzero(targets == labels)
    repeats = np.array([], dtype=np.int64)
    if len(of_neither):
        repeats = np.resize(of_neither, round(len(of_labels) * neither_share / (1 - neither_share)))
    close = np.linspace(0, len(of_labels) - 1, round(len(of_labels) * close_share)).astype(np.int64)
    rows = np.concatenate([of_labels, repeats, of_labels[close]])
    regions = np.tile([0, 0, side, side], (len(rows), 1))
    for i, row in enumerate(rows[len(rows) - len(close) :], start=len(rows) - len(close)):
        regions[i] = random_box(np.random.default_rng(int(row)), regions[i], *CLOSE_SCALE)
    scales = np.where(targets[rows] == labels, scale if neither_scale is None else neither_scale, scale)
    return Samples(rows, targets[rows], regions, scales, len(close))


def random_box(random: np.random.Generator, region: np.ndarray, low: float, high: float) -> np.ndarray:
    """A box inside the region: sides within 3:4 and 4:3 of its own (Szegedy et al. 2014, arXiv:1409.4842)."""
    top, left, height, width = region
    area = random.uniform(low, high)
    ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
    h = max(1, min(height, round(height * (area / ratio) ** 0.5)))
    w = max(1, min(width, round(width * (area * ratio) ** 0.5)))
    return np.array(
        [top + random.integers(0, height - h + 1), left + random.integers(0, width - w + 1), h, w]
    )


class Crops(Dataset[tuple[Tensor, int, int]]):
    """One random crop a sample, uint8 [3, size, size], with its class and the sample's number.

    The crop depends on nothing but (seed, view, number): the same one is drawn again in another process and in a
    resumed run.
    """

    def __init__(self, pixels: np.ndarray, samples: Samples, size: int, seed: int = 0, view: int = 0) -> None:
        self.pixels, self.samples, self.size = pixels, samples, size
        self.seed, self.view = seed, view

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[Tensor, int, int]:
        return self.cut(number, self.box(number)), int(self.samples.targets[number]), number

    def cut(self, number: int, box: np.ndarray, shape: tuple[int, int] | None = None) -> Tensor:
        """This part of the sample's photo as uint8 [3, size, size], or [3, *shape]."""
        return cut(self.pixels[self.samples.rows[number]], box, shape or (self.size, self.size))

    def box(self, number: int) -> np.ndarray:
        """Top, left, height, width of the crop."""
        region, scale = self.samples.regions[number], float(self.samples.scales[number])
        if scale == 1:
            return region
        return random_box(np.random.default_rng((self.seed, self.view, number)), region, scale, 1)


def whole_photos(pixels: Pixels, size: int) -> Crops:
    """Every photo once, uncropped, at `size` x `size`."""
    return Crops(pixels.array, whole(pixels.targets, pixels.array.shape[1]), size)


def cut(photo: np.ndarray, box: np.ndarray, shape: tuple[int, int]) -> Tensor:
    """A part (top, left, height, width) of a photo uint8 [H, W, 3], resized to uint8 [3, *shape]."""
    top, left, height, width = box
    # A copy, because the memory map is read-only and a tensor may not be.
    crop = np.array(photo[top : top + height, left : left + width])
    return _resize(torch.from_numpy(crop), shape)


def _resize(crop: Tensor, shape: tuple[int, int]) -> Tensor:
    """uint8 [h, w, 3] to uint8 [3, *shape]; antialiased, as Pillow resizes where the model is served."""
    planes = crop.permute(2, 0, 1)[None]
    if planes.shape[2:] != shape:
        planes = functional.interpolate(planes, shape, mode="bilinear", antialias=True, align_corners=False)
    return planes[0]
