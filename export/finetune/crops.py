"""What an epoch is made of: which photos, in which batches, and what each photo's random crop looks like.

Every draw comes from (seed, epoch, number of the sample) alone: the same crop is drawn again in another process, in a
resumed run, and whatever else is in its batch.
"""

from __future__ import annotations

from collections.abc import Iterator
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

# Words that keep the random numbers of one purpose from those of another.
_ORDER, _CROP = 1, 2


@dataclass(frozen=True)
class Samples:
    """Photos of an epoch: their rows in the array of pixels int64 [N], their classes int64 [N], and the least share of
    each that a crop shows, float64 [N]."""

    rows: NDArray[np.int64]
    targets: NDArray[np.int64]
    scales: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)


def samples(pixels: Pixels, settings: Settings, epoch: int) -> Samples:
    """Every photo of a class once, and photos of none until they are `none_share` of the epoch.

    If they are few, they are repeated; if they are many, other ones of all kinds come in each epoch.
    """
    targets, labels = pixels.targets, len(pixels.photos.labels)
    own, none = np.flatnonzero(targets < labels), np.flatnonzero(targets == labels)
    if len(none):
        count = none_count(len(own), settings)
        # They are sorted by kind: an even choice shows all kinds.
        even = np.arange(count) * len(none) // count
        none = none[(even + epoch) % len(none)]
    chosen = np.concatenate([own, none])
    scales = np.where(targets[chosen] == labels, settings.none_crop_scale, settings.crop_scale)
    return Samples(pixels.rows[chosen], targets[chosen], scales)


def none_count(own: int, settings: Settings) -> int:
    """How many photos of none an epoch shows beside so many of the classes."""
    return max(1, round(own * settings.none_share / (1 - settings.none_share)))


class Batches:
    """Numbers of samples, batch by batch, in an order that is drawn anew for each epoch: a batch sampler.

    All samples are used, in batches of nearly the same size, so that even two photos make a batch. Several processes
    share each batch.
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, epoch: int, process: int = 0, processes: int = 1
    ) -> None:
        order = np.random.default_rng((seed, epoch, _ORDER)).permutation(count)
        parts = np.array_split(order, max(1, round(count / batch_size)))
        # Where a batch has fewer photos than there are processes, some of them see the same photo.
        self.parts = [np.resize(part, max(len(part), processes))[process::processes] for part in parts]

    def __iter__(self) -> Iterator[list[int]]:
        return (part.tolist() for part in self.parts)

    def __len__(self) -> int:
        return len(self.parts)


class Crops(Dataset[tuple[Tensor, int, Tensor]]):
    """One random crop a sample: uint8 [3, size, size], its class, and how to recolour it, float32 [3]."""

    def __init__(
        self, array: NDArray[np.uint8], samples: Samples, size: int, colour: float, seed: int, epoch: int
    ) -> None:
        self.array, self.samples, self.size, self.colour = array, samples, size, colour
        self.seed, self.epoch = seed, epoch

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[Tensor, int, Tensor]:
        random = np.random.default_rng((self.seed, self.epoch, number, _CROP))
        top, left, height, width = random_box(random, self.array.shape[1], float(self.samples.scales[number]))
        crop = self.array[self.samples.rows[number], top : top + height, left : left + width]
        if random.random() < 0.5:
            crop = crop[:, ::-1]
        factors = random.uniform(1 - self.colour, 1 + self.colour, 3).astype(np.float32)
        return resize(crop, self.size), int(self.samples.targets[number]), torch.from_numpy(factors)


class Whole(Dataset[tuple[Tensor, int]]):
    """Every photo once and uncropped, uint8 [3, size, size], with its class: as it is seen when the model is served."""

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
