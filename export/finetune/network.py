"""The residual CNN and its logits. Knows nothing of training, files or ONNX.

The last linear layer has one output per label. "Neither" needs no output of its own: a softmax does not change when
the same number is added to all logits, so the logit of neither is fixed at zero and the labels' logits are measured
against it. That is multinomial logistic regression with neither as its reference class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

PIXEL_MEAN = 127.5
PIXEL_STD = 63.75


@dataclass(frozen=True)
class Architecture:
    """What a residual CNN is made of: the stem (kernel, stride, max-pool or not), then stages of residual blocks."""

    stem_width: int
    stem_kernel: int
    stem_stride: int
    stem_pool: bool
    widths: tuple[int, ...]
    blocks: tuple[int, ...]

    def __str__(self) -> str:
        stem = f"{self.stem_kernel}x{self.stem_kernel} stem of {self.stem_width} channels, stride {self.stem_stride}"
        stages = ", ".join(f"{n} x {w}" for n, w in zip(self.blocks, self.widths, strict=True))
        return f"residual CNN, {stem}{' and max-pool' if self.stem_pool else ''}, residual blocks {stages}"


ARCHITECTURES = {
    "classic": Architecture(64, 7, 2, True, widths=(64, 128, 256), blocks=(2, 2, 2)),
    "compact": Architecture(32, 7, 4, False, widths=(32, 96, 144), blocks=(1, 2, 3)),
    # For tests: learns coloured shapes in seconds.
    "tiny": Architecture(8, 7, 4, False, widths=(8, 16), blocks=(1, 1)),
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
        # Blocks start as their shortcuts: deep networks train faster from there (Goyal et al. 2017, arXiv:1706.02677).
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


class ResidualCNN(nn.Module):
    """Normalised photos float [N, 3, H, W] in, one logit per label [N, labels] out; neither's logit is zero."""

    def __init__(self, architecture: Architecture, labels: int) -> None:
        super().__init__()
        width = architecture.stem_width
        kernel = architecture.stem_kernel
        stem: list[nn.Module] = [
            nn.Conv2d(3, width, kernel, architecture.stem_stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        if architecture.stem_pool:
            stem.append(nn.MaxPool2d(3, 2, padding=1))
        self.stem = nn.Sequential(*stem)
        blocks = []
        for stage, (channels, count) in enumerate(zip(architecture.widths, architecture.blocks, strict=True)):
            for block in range(count):
                blocks.append(ResidualBlock(width, channels, stride=2 if stage > 0 and block == 0 else 1))
                width = channels
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(width, labels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def features(self, x: Tensor) -> Tensor:
        """The feature map float [N, C, h, w] that is pooled for the classifier and weighted for the heatmap."""
        return self.blocks(self.stem(x))

    def pooled(self, x: Tensor) -> Tensor:
        """The feature map's mean over the photo, float [N, C]."""
        return self.features(x).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pooled(x))


def build(name: str, labels: int) -> ResidualCNN:
    """The network of a name in ARCHITECTURES, freshly initialised."""
    return ResidualCNN(ARCHITECTURES[name], labels)


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def normalise(pixels: Tensor) -> Tensor:
    """Pixels 0..255 to the range that the network is trained on."""
    return (pixels.float() - PIXEL_MEAN) / PIXEL_STD


def with_neither(logits: Tensor) -> Tensor:
    """Label logits [N, K] to class logits [N, K + 1]: neither is the last class and its logit is zero."""
    return torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1)


def class_activation_map(network: ResidualCNN, features: Tensor) -> Tensor:
    """Where the evidence for each label lies: [N, K, h, w], at most 1 (Zhou et al. 2016, arXiv:1512.04150).

    Each cell holds the label's logit at that place minus the mean logit of the other classes, neither included.
    Negative evidence is cut to zero and the hottest cell of each map is scaled to 1; a map without any positive
    evidence is all zeros.
    """
    weights = network.classifier.weight
    others = weights.shape[0]  # K + 1 classes less the label itself; neither's weights are zero
    contrast = weights - (weights.sum(dim=0, keepdim=True) - weights) / others
    evidence = functional.relu(torch.matmul(contrast, features.flatten(2)).unflatten(2, features.shape[2:]))
    return evidence / evidence.amax(dim=(2, 3), keepdim=True).clamp(min=1e-6)
