"""The networks that can be trained: their common interface, and the residual CNN. Independent of training and files.

"None of the classes" needs no output of its own: a softmax does not change when the same number is added to all
logits, so the logit of none is fixed at zero. That is multinomial logistic regression with none as its reference
class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

PIXEL_MEAN = 127.5
PIXEL_STD = 63.75


class Network(nn.Module):
    """Normalised photos float [N, 3, S, S] to feature maps float [N, C, h, w]; a head takes their mean over h and w.

    Attributes:
        name: its name in body.pt.
        description: its name for people.
        pixel_mean, pixel_std: a photo is normalised as (pixel - pixel_mean) / pixel_std.
        parts: how many channels each part has, in order; their sum is C. A body's features are scaled part by part.
        separable: the largest number of blocks that `first` may run.
    """

    name: str
    description: str
    pixel_mean: float
    pixel_std: float
    parts: tuple[int, ...]
    separable: int

    def layers(self) -> Sequence[Sequence[nn.Module]]:
        """The stem, the blocks, and what follows the last block (perhaps nothing), from input to output."""
        raise NotImplementedError

    def first(self, photos: Tensor, blocks: int) -> Tensor:
        """What the stem and the first `blocks` blocks make of normalised photos."""
        raise NotImplementedError

    def rest(self, x: Tensor, blocks: int) -> Tensor:
        """The features that the blocks after the first `blocks` make of what these gave."""
        raise NotImplementedError

    def forward(self, photos: Tensor) -> Tensor:
        """Normalised photos to features."""
        return self.rest(self.first(photos, 0), 0)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels 0..255 of any type to the input of the network."""
        return (pixels.float() - self.pixel_mean) / self.pixel_std


@dataclass(frozen=True)
class Architecture:
    """The layers of a residual CNN: the stem (kernel and stride), then stages of residual blocks."""

    stem_width: int
    stem_kernel: int
    stem_stride: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]

    def __str__(self) -> str:
        stem = f"{self.stem_kernel}x{self.stem_kernel} stem of {self.stem_width} channels, stride {self.stem_stride}"
        stages = ", ".join(f"{n} x {w}" for n, w in zip(self.blocks, self.widths, strict=True))
        return f"residual CNN, {stem}, residual blocks {stages}"


ARCHITECTURES = {
    "compact": Architecture(32, 7, 4, widths=(32, 96, 144), blocks=(1, 2, 3)),
    # For tests: learns coloured shapes in seconds.
    "tiny": Architecture(8, 7, 4, widths=(8, 16), blocks=(1, 1)),
}


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )
        # Blocks start as identity: deep networks train faster from there (Goyal et al. 2017, arXiv:1706.02677).
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


class ResidualCNN(Network):
    """A residual CNN with random weights. Its features are the output of its last block."""

    pixel_mean, pixel_std = PIXEL_MEAN, PIXEL_STD

    def __init__(self, name: str) -> None:
        super().__init__()
        architecture = ARCHITECTURES[name]
        self.name, self.description = name, str(architecture)
        self.parts = (architecture.widths[-1],)
        width, kernel = architecture.stem_width, architecture.stem_kernel
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, kernel, architecture.stem_stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        blocks = []
        for stage, (channels, count) in enumerate(zip(architecture.widths, architecture.blocks, strict=True)):
            for block in range(count):
                blocks.append(ResidualBlock(width, channels, stride=2 if stage > 0 and block == 0 else 1))
                width = channels
        self.blocks = nn.Sequential(*blocks)
        self.separable = len(blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def layers(self) -> Sequence[Sequence[nn.Module]]:
        return [(self.stem,), *((block,) for block in self.blocks), ()]

    def first(self, photos: Tensor, blocks: int) -> Tensor:
        x: Tensor = self.blocks[:blocks](self.stem(photos))
        return x

    def rest(self, x: Tensor, blocks: int) -> Tensor:
        features: Tensor = self.blocks[blocks:](x)
        return features


def with_none(logits: Tensor) -> Tensor:
    """Label logits [N, K] to class logits [N, K + 1]: none of the labels is the last class and its logit is zero."""
    return torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1)


def parameter_count(network: nn.Module) -> int:
    """How many parameters were learned."""
    return sum(parameter.numel() for parameter in network.parameters())
