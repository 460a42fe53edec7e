"""Patches: parts of any photo, turned, recoloured and mixed until they show what no photo of the set shows.

A few hundred photos of neither are soon learned by heart. A part of one, seen from close by and in other colours, is
something else: the teacher calls it other names of ImageNet's, and the student learns how the teacher sees instead of
what the photos show (after Asano and Saeed 2021, arXiv:2112.00725, who distil all of ImageNet from a single photo).
Dreams (export/dreams.py), if there are any, are parts to choose from as well.
"""

from __future__ import annotations

import math

import kornia.augmentation as kornia
import numpy as np
from torch import Tensor, nn
from torch.utils.data import Dataset

from export.augment import mixup
from export.data import cut, random_box
from export.teacher import COLLAGE_SCALE, TaughtCrops

# A patch's share of its photo's area; small ones are as frequent as large ones.
PATCH_SCALE = (0.05, 1.0)
# Half of the patches are parts of photos of neither: those are few, and more varied.
NEITHER_SHARE = 0.5
# If there are dreams, half of the patches are parts of them; smaller parts than these show no thing any more.
DREAM_SHARE = 0.5
DREAM_SCALE = (0.25, 1.0)
# A quarter of the patches have another patch in them.
COLLAGES = 0.25
# Alpha of the mixup: most patches are one patch above all.
MIXUP = 0.4


class Patches(Dataset[tuple[Tensor, int, Tensor, Tensor]]):
    """Each crop with a patch beside it, uint8 [3, size, size], about which the teacher is still to be asked.

    The patch depends on nothing but (seed, view, number), like the crop.
    """

    def __init__(self, taught: TaughtCrops, size: int, dreams: np.ndarray | None = None) -> None:
        self.taught, self.size, self.dreams = taught, size, dreams
        targets = taught.crops.samples.targets
        neither = targets == targets.max()
        rows = taught.crops.samples.rows
        self.kinds = [np.unique(rows[neither]), np.unique(rows[~neither])]

    def __len__(self) -> int:
        return len(self.taught)

    def __getitem__(self, number: int) -> tuple[Tensor, int, Tensor, Tensor]:
        crops = self.taught.crops
        random = np.random.default_rng((crops.seed, crops.view, number, 2))
        patch = self._draw(random, (self.size, self.size))
        if random.random() < COLLAGES:
            whole = np.array([0, 0, self.size, self.size])
            top, left, height, width = random_box(random, whole, *COLLAGE_SCALE)
            patch[:, top : top + height, left : left + width] = self._draw(random, (int(height), int(width)))
        return *self.taught[number], patch

    def _draw(self, random: np.random.Generator, shape: tuple[int, int]) -> Tensor:
        if self.dreams is not None and random.random() < DREAM_SHARE:
            return _part(self.dreams[random.integers(len(self.dreams))], random, DREAM_SCALE, shape)
        row = random.choice(self.kinds[0 if random.random() < NEITHER_SHARE else 1])
        return _part(self.taught.crops.pixels[row], random, PATCH_SCALE, shape)


def _part(
    photo: np.ndarray, random: np.random.Generator, scale: tuple[float, float], shape: tuple[int, int]
) -> Tensor:
    """A part of a photo uint8 [side, side, 3], between these shares of its area, as uint8 [3, *shape]."""
    share, side = math.exp(random.uniform(math.log(scale[0]), math.log(scale[1]))), len(photo)
    return cut(photo, random_box(random, np.array([0, 0, side, side]), share, share), shape)


class Explore(nn.Module):
    """Patches uint8 [N, 3, H, W] to photos float [N, 3, H, W], 0 to 255: turned, sheared, recoloured, mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = nn.Sequential(
            kornia.RandomHorizontalFlip(),
            kornia.RandomAffine(
                180.0, scale=(0.9, 1.4), shear=(-15.0, 15.0, -15.0, 15.0), padding_mode="reflection", p=0.7
            ),
            kornia.RandomBrightness((0.6, 1.4)),
            kornia.RandomContrast((0.6, 1.4)),
            kornia.RandomSaturation((0.4, 1.8)),
            kornia.RandomRGBShift(0.15, 0.15, 0.15, p=0.3),
            # Other hues as well; turning them properly takes ten times as long.
            kornia.RandomChannelShuffle(p=0.2),
        )

    def forward(self, patches: Tensor) -> Tensor:
        photos: Tensor = self.changes(patches.float() / 255)
        mixed, _ = mixup(photos.clamp(0, 1), [], MIXUP)
        return mixed * 255
