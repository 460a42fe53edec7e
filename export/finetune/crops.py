"""The samples of an epoch: which photos, in which batches, and the random crop of each.

Every draw depends on (seed, epoch, number of the sample) alone: another process, a resumed run or another batch draws
the same crop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from export.finetune.pixels import Pixels
from export.finetune.settings import Settings

# Seeds that keep the random numbers of different purposes apart.
_ORDER, _CROP = 1, 2
# A photo that is shown small takes this share of the side of the picture.
SMALL = (0.3, 0.7)
# The smallest share of a scene that is shown around it.
SCENE_SCALE = 0.3


@dataclass(frozen=True)
class Samples:
    """Photos of an epoch: their rows in the array of pixels int64 [N], their classes int64 [N], and the smallest
    share of each that a crop shows, float64 [N]."""

    rows: NDArray[np.int64]
    targets: NDArray[np.int64]
    scales: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def samples(pixels: Pixels, settings: Settings, epoch: int) -> Samples:
    """Photos of the classes, each once or by `balance`, and photos of none until they are `none_share` of the epoch.

    If there are fewer than needed, they are repeated; if there are more, each epoch shows different ones.
    """
    targets, labels = pixels.targets, len(pixels.photos.labels)
    own, none = np.flatnonzero(targets < labels), np.flatnonzero(targets == labels)
    if settings.balance < 1:
        own = balanced(own, [pixels.photos.kinds[i] for i in own], settings.balance, epoch)
    if len(none):
        none = none[_even(len(none), none_count(len(own), settings), epoch)]
    chosen = np.concatenate([own, none])
    scales = np.where(targets[chosen] == labels, settings.none_crop_scale, settings.crop_scale)
    return Samples(pixels.rows[chosen], targets[chosen], scales)


def balanced(own: NDArray[np.int64], kinds: Sequence[str], power: float, epoch: int) -> NDArray[np.int64]:
    """As many rows as `own` has, drawn from each kind in proportion to its size to this power (Mahajan et al.
    2018, arXiv:1805.00932, with the square root)."""
    names, numbers, counts = np.unique(np.array(kinds), return_inverse=True, return_counts=True)
    wanted = np.round(len(own) * counts**power / (counts**power).sum()).astype(int)
    rows = [own[numbers == kind] for kind in range(len(names))]
    return np.concatenate(
        [some[_even(len(some), count, epoch)] for some, count in zip(rows, wanted, strict=True)]
    )


def _even(among: int, count: int, epoch: int) -> NDArray[np.int64]:
    """Evenly spaced numbers of photos, since they are sorted by kind; different ones in each epoch."""
    return (np.arange(count) * among // max(count, 1) + epoch) % among


def scene_rows(pixels: Pixels, settings: Settings) -> NDArray[np.int64]:
    """The rows of the photos that others are shown small in, if the recipe names any."""
    labels = len(pixels.photos.labels)
    shown = [
        target == labels and kind in settings.scenes
        for target, kind in zip(pixels.photos.targets, pixels.photos.kinds, strict=True)
    ]
    return pixels.rows[np.flatnonzero(shown)]


def none_count(own: int, settings: Settings) -> int:
    """How many photos of none an epoch shows, given how many of the classes."""
    return max(1, round(own * settings.none_share / (1 - settings.none_share)))


class Batches:
    """A batch sampler: numbers of samples, batch by batch, in a new random order for each epoch.

    All samples are used, in batches of nearly the same size, so that even two photos make a batch. Several processes
    share each batch.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, epoch: int, process: int = 0, processes: int = 1
    ) -> None:
        order = np.random.default_rng((seed, epoch, _ORDER)).permutation(count)
        parts = np.array_split(order, max(1, round(count / batch_size)))
        # If a batch has fewer photos than there are processes, some of them get the same photo.
        self.parts = [np.resize(part, max(len(part), processes))[process::processes] for part in parts]

    def __iter__(self) -> Iterator[list[int]]:
        return (part.tolist() for part in self.parts)

    def __len__(self) -> int:
        return len(self.parts)


class Crops(Dataset[tuple[Tensor, int, Tensor]]):
    """One random crop for each sample: uint8 [3, size, size], its class, and its colour factors, float32 [3]."""

    def __init__(
        self, pixels: Pixels, samples: Samples, size: int, settings: Settings, epoch: int,
    ) -> None:  # fmt: skip
        self.array, self.samples, self.size, self.settings, self.epoch = (
            pixels.array, samples, size, settings, epoch,
        )  # fmt: skip
        self.scenes = scene_rows(pixels, settings)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[Tensor, int, Tensor]:
        settings = self.settings
        random = np.random.default_rng((settings.seed, self.epoch, number, _CROP))
        crop = self._crop(random, self.samples.rows[number], float(self.samples.scales[number]))
        factors = random.uniform(1 - settings.colour, 1 + settings.colour, 3).astype(np.float32)
        if len(self.scenes) and random.random() < settings.zoom_out:
            photo = self._small(random, crop)
        else:
            photo = resize(crop, self.size)
        return photo, int(self.samples.targets[number]), torch.from_numpy(factors)

    def _crop(self, random: np.random.Generator, row: int, scale: float) -> NDArray[np.uint8]:
        top, left, height, width = random_box(random, self.array.shape[1], scale)
        crop = self.array[row, top : top + height, left : left + width]
        return crop[:, ::-1] if random.random() < 0.5 else crop

    def _small(self, random: np.random.Generator, crop: NDArray[np.uint8]) -> Tensor:
        """The crop somewhere in a scene."""
        scene = resize(self._crop(random, random.choice(self.scenes), SCENE_SCALE), self.size)
        side = round(random.uniform(*SMALL) * self.size)
        top, left = random.integers(0, self.size - side + 1, 2)
        scene[:, top : top + side, left : left + side] = resize(crop, side)
        return scene


class Whole(Dataset[tuple[Tensor, int]]):
    """Every photo once and uncropped, uint8 [3, size, size], with its class, as the served model gets it."""

    def __init__(self, pixels: Pixels, size: int) -> None:
        self.pixels, self.size = pixels, size

    def __len__(self) -> int:
        return len(self.pixels.rows)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        photo = self.pixels.array[self.pixels.rows[number]]
        return resize(photo, self.size), self.pixels.photos.targets[number]


def random_box(random: np.random.Generator, side: int, scale: float) -> tuple[int, int, int, int]:
    """Top, left, height, width of a part of a square: at least the share `scale` of it, and sides within 3:4 and 4:3
    (Szegedy et al. 2014, arXiv:1409.4842)."""
    area = random.uniform(scale, 1)
    ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
    height = max(1, min(side, round(side * (area / ratio) ** 0.5)))
    width = max(1, min(side, round(side * (area * ratio) ** 0.5)))
    top, left = random.integers(0, side - height + 1), random.integers(0, side - width + 1)
    return int(top), int(left), height, width


def resize(photo: NDArray[Any], size: int) -> Tensor:
    """uint8 [h, w, 3] to uint8 [3, size, size]; antialiased, as Pillow resizes where the model is served."""
    # A copy, because the memory map is read-only and a tensor may not be.
    planes = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None]
    if planes.shape[2:] != (size, size):
        planes = functional.interpolate(
            planes, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return planes[0]
