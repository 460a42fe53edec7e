"""The blocks that are not trained, as an int8 graph like the one that is served.

On a CPU, EfficientNet-Lite0 at 224 pixels with its last five blocks trained takes 28 ms of CPU a photo so: 7 of them
here and 20 in the blocks that are trained (one run on a core with AVX2). And those learn from features that are rounded
as they will be where the model is served.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from torch import Tensor

from export.body.body import session
from export.files import replacing
from export.finetune.network import Network
from export.finetune.to_onnx import export
from export.graph.quantize import quantize


class _First(Network):
    """The stem and the first blocks of a network, as a network of its own."""

    def __init__(self, network: Network, blocks: int) -> None:
        super().__init__()
        self.network, self.blocks = network, blocks
        self.pixel_mean, self.pixel_std = network.pixel_mean, network.pixel_std

    def forward(self, photos: Tensor) -> Tensor:
        return self.network.first(photos, self.blocks)


def make(network: Network, blocks: int, path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write the graph of the stem and the first `blocks` blocks, calibrated on pixels uint8 [N, S, S, 3]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, replacing(path) as graph:
        exported = Path(folder) / "float32.onnx"
        export(_First(network, blocks), pixels.shape[1], exported)
        quantize(exported, graph, pixels, network.pixel_mean, network.pixel_std)


def load(path: Path) -> InferenceSession:
    """The graph, to be run by as many threads as PyTorch has."""
    return session(path.read_bytes(), torch.get_num_threads())


def run(graph: InferenceSession, photos: Tensor) -> Tensor:
    """What the blocks make of photos float [N, 3, S, S] from 0 to 255."""
    pixels = photos.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return torch.from_numpy(graph.run(None, {"pixels": pixels})[0])
