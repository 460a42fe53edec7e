"""Exports a network to the float32 graph of a body: `pixels` uint8 [N, S, S, 3] to `features` float32 [N, C, h, w]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from export.body.body import session
from export.errors import ExportError
from export.finetune.network import Network

OPSET = 18
# PyTorch and onnxruntime add float32 numbers in different orders. A difference of more than this share of the largest
# feature means that the graph computes something else.
TOLERANCE = 1e-4


class _FromPixels(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.network(self.network.normalise(pixels.permute(0, 3, 1, 2)))
        return features


def export(network: Network, size: int, path: Path) -> None:
    """Write the graph of a network that maps normalised photos to features.

    Raises ExportError when the graph does not compute what PyTorch does.
    """
    whole = _FromPixels(network).eval()
    # A batch of two: the exporter would treat a batch of one as a constant.
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    program = torch.onnx.export(
        whole, (example,), input_names=["pixels"], output_names=["features"], opset_version=OPSET, dynamo=True,
        dynamic_shapes={"pixels": {0: torch.export.Dim("photos", min=1)}}, external_data=False, verbose=False,
    )  # fmt: skip
    if program is None:
        raise ExportError("PyTorch exported no graph.")
    program.save(str(path), external_data=False)
    _forget_origin(path)
    onnx.checker.check_model(str(path), full_check=True)
    pixels = _patterns(size)
    with torch.no_grad():
        expected = whole(torch.from_numpy(pixels)).numpy()
    found = np.asarray(session(path.read_bytes()).run(["features"], {"pixels": pixels})[0])
    difference = float(np.abs(expected - found).max() / max(1.0, np.abs(expected).max()))
    if not difference <= TOLERANCE:
        raise ExportError(f"The graph differs from PyTorch by {difference:.2g}, more than {TOLERANCE:g}.")


def _forget_origin(path: Path) -> None:
    """Remove the exporter's stack traces from the file: they name folders of this machine and take 40 kB."""
    model = onnx.load(str(path))
    graph = model.graph
    for part in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.initializer,
        *graph.value_info,
    ):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, str(path))


def _patterns(size: int) -> NDArray[np.uint8]:
    """Smooth blobs and noise, uint8 [4, size, size, 3]: noise alone would exercise a small part of the network."""
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (3, 3, 8, 8)).astype(np.float32))
    smooth = nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 255)
    noise = torch.from_numpy(random.integers(0, 256, (1, 3, size, size)).astype(np.float32))
    pixels = torch.cat([smooth, noise]).permute(0, 2, 3, 1).to(torch.uint8)
    return np.ascontiguousarray(pixels.numpy())
