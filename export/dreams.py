"""Dreams: pictures of what the photos do not show, made out of the photos.

A few hundred photos of neither are all that the set has. What else there is in the world, a network trained on
ImageNet knows: a photo is changed, step by step, until EfficientNet-Lite0 sees another class of ImageNet's in it, while
the statistics of its features stay those of photos (DeepInversion, Yin et al. 2020, arXiv:1912.08795, begun with photos
instead of noise). The teacher, another network, is then asked about them as about any patch (export/patches.py), so
nothing depends on a dream having come true. Only training uses them, nothing of them is published.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from export.data import Pixels, cut, default_cache, new_array, random_box
from export.teacher import IMAGENET, MEAN, STD, load_backbone

SIZE, BATCH = 128, 24
STEPS, LEARNING_RATE = 40, 0.25
# How much of its photo a dream begins with, as a share of the area.
PHOTO_SCALE = (0.3, 1.0)
MOMENTUM = 0.5
# A slope is followed at each of these resolutions, in pixels, with equal strength.
CELLS = (2, 4, 8, 16)
# How the colours of photos vary together (Olah et al. 2017, "Feature Visualization", distill.pub).
COLOURS = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
# The statistics of features and the variation between neighbouring pixels, against the class.
STATISTICS_WEIGHT, VARIATION_WEIGHT = 4.0, 6.0
# Part of the cache's name: raise it when dreams change.
FORMAT = 1
# ImageNet's animals come first, dogs, wolves, foxes and cats among them. Half of the dreams are of other animals: those
# are what is taken for a cat or a dog.
ANIMALS = 398
CATS_AND_DOGS = range(151, 294)


def dream(fabric: Fabric, pixels: Pixels, count: int, cache: Path | None) -> np.ndarray:
    """At least `count` pictures uint8 [N, SIZE, SIZE, 3], whole batches of them.

    Made by all processes, each batch for itself; batches are kept in the cache, so what an interrupted run made is
    not made again.
    """
    batches = -(-count // BATCH)
    digest = hashlib.sha256(f"{FORMAT} {pixels.fingerprint} {STEPS}".encode()).hexdigest()[:24]
    folder = (cache or default_cache()) / f"dreams-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05}.npy" for number in range(batches)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    # Listed before any process makes one: each takes its share of the same list.
    fabric.barrier()
    mine = missing[fabric.global_rank :: fabric.world_size]
    if mine:
        dreamer = _Dreamer(fabric)
        for number in tqdm(mine, "dreams", unit=" batches", disable=not fabric.is_global_zero):
            made = dreamer(pixels, number)
            with new_array(paths[number], np.uint8, made.shape) as array:
                array[:] = made
    fabric.barrier()
    return np.concatenate([np.load(path) for path in paths])


class _Dreamer:
    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.network = fabric.to_device(load_backbone(SIZE, "lite0")).requires_grad_(False)
        self.unlike: list[Tensor] = []
        for name, module in self.network.named_modules():
            # The norms at the end of each block: the others have six times the channels and would double the time.
            if isinstance(module, nn.BatchNorm2d) and name.endswith("_bn2"):
                module.register_forward_pre_hook(self._compare)

    def _compare(self, norm: Any, inputs: tuple[Tensor]) -> None:
        """Keep how far the statistics of these features are from those of ImageNet's photos, in their own units."""
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        usual = norm.running_var + norm.eps
        shift = (mean - norm.running_mean).square() / usual
        scale = (variance / usual + 1e-4).log().square()
        self.unlike.append((shift + scale).mean())

    def __call__(self, pixels: Pixels, number: int) -> np.ndarray:
        random = np.random.default_rng((FORMAT, number))
        side = pixels.array.shape[1]
        boxes = [random_box(random, np.array([0, 0, side, side]), *PHOTO_SCALE) for _ in range(BATCH)]
        rows = random.integers(0, len(pixels.array), BATCH)
        photos = torch.stack(
            [cut(pixels.array[row], box, (SIZE, SIZE)) for row, box in zip(rows, boxes, strict=True)]
        )
        wanted = self.fabric.to_device(torch.from_numpy(_classes(random)))
        picture = (self.fabric.to_device(photos).float() - MEAN) / STD
        picture = picture.contiguous(memory_format=torch.channels_last)
        velocity = torch.zeros_like(picture)
        for step in range(STEPS):
            self.unlike.clear()
            picture.requires_grad_()
            # Seen from a little elsewhere at each step, or single pixels would do.
            shown = picture.roll(tuple(random.integers(-8, 9, 2)), dims=(2, 3))
            if random.random() < 0.5:
                shown = shown.flip(3)
            loss = functional.cross_entropy(self.network(shown), wanted)
            loss = loss + STATISTICS_WEIGHT * torch.stack(self.unlike).mean()
            loss = loss + VARIATION_WEIGHT * _variation(picture)
            (slope,) = torch.autograd.grad(loss, [picture])
            velocity = MOMENTUM * velocity + (1 - MOMENTUM) * _natural(slope)
            with torch.no_grad():
                rate = LEARNING_RATE * (1 + math.cos(math.pi * step / STEPS)) / 2
                picture = (picture - rate * velocity).clamp(-MEAN / STD, (255 - MEAN) / STD)
        made = (picture * STD + MEAN).round().clamp(0, 255).to(torch.uint8)
        return made.permute(0, 2, 3, 1).cpu().numpy()


def _natural(slope: Tensor) -> Tensor:
    """A slope with the colours and the coarseness of photos: single pixels and shrill colours would be the shortest way
    to a class."""
    slope = torch.einsum("nchw,cd->ndhw", slope, COLOURS.to(slope) @ COLOURS.to(slope).T)
    total = torch.zeros_like(slope)
    for cell in CELLS:
        coarse = functional.avg_pool2d(slope, cell)
        coarse = coarse / coarse.std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
        total += functional.interpolate(coarse, slope.shape[2:], mode="bilinear")
    return total / len(CELLS)


def _variation(pictures: Tensor) -> Tensor:
    """The mean squared difference between neighbouring pixels."""
    down, across = pictures.diff(dim=2), pictures.diff(dim=3)
    return down.square().mean() + across.square().mean()


def _classes(random: np.random.Generator) -> np.ndarray:
    """A class of ImageNet's for each picture of a batch, none of cats and dogs and their like; half of them animals."""
    animals = np.setdiff1d(np.arange(ANIMALS), CATS_AND_DOGS)
    others = np.arange(ANIMALS, IMAGENET)
    return np.concatenate([random.choice(animals, BATCH // 2), random.choice(others, BATCH - BATCH // 2)])
