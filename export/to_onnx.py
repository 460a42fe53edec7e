"""A trained network to the ONNX graph that is served: everything numeric between pixels and answers lies inside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from export.network import ResidualCNN, class_activation_map, normalise

OPSET = 18
OUTPUTS = ("probabilities", "recognized", "heatmap")
# PyTorch and onnxruntime add up the same float32 numbers in another order; more than this is another function.
TOLERANCE = 1e-3


class ParityError(Exception):
    """The exported graph does not compute what the network computes."""


class Served(nn.Module):
    """Pixels to answers.

    Takes uint8 [N, H, W, 3] RGB and gives `probabilities` float32 [N, K] (softmax over the labels), `recognized`
    float32 [N] (one less the probability of neither) and `heatmap` float32 [N, K, h, w] (class activation map).
    The temperature (Guo et al. 2017, arXiv:1706.04599) divides all logits.
    """

    def __init__(self, network: ResidualCNN, temperature: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.network.features(normalise(pixels.permute(0, 3, 1, 2)))
        logits = self.network.classifier(features.mean(dim=(2, 3))) / self.temperature
        # Neither's logit is zero, so one less its probability is the sigmoid of the others' log-sum-exp.
        recognized = torch.sigmoid(torch.logsumexp(logits, dim=1))
        return torch.softmax(logits, dim=1), recognized, class_activation_map(self.network, features)


def export(network: ResidualCNN, input_size: int, path: Path, temperature: float = 1.0) -> float:
    """Write the float32 graph to `path`; return its largest difference from PyTorch.

    Raises ParityError when that exceeds TOLERANCE.
    """
    served = Served(network, temperature).eval()
    # Two, because the exporter would take a batch of one for a constant.
    example = torch.zeros((2, input_size, input_size, 3), dtype=torch.uint8)
    program = torch.onnx.export(
        served, (example,), input_names=["pixels"], output_names=list(OUTPUTS), opset_version=OPSET, dynamo=True,
        dynamic_shapes={"pixels": {0: torch.export.Dim("photos", min=1)}}, external_data=False, verbose=False,
    )  # fmt: skip
    if program is None:
        raise ParityError("PyTorch exported no graph.")
    program.save(str(path), external_data=False)
    forget_origin(path)
    onnx.checker.check_model(str(path), full_check=True)
    difference = _difference(served, path, input_size)
    if not difference <= TOLERANCE:
        raise ParityError(f"{path.name} differs from PyTorch by {difference:.2g}, more than {TOLERANCE:g}.")
    return difference


def forget_origin(path: Path) -> None:
    """Remove the exporter's stack traces from the file: they name folders of this machine and weigh 40 kB."""
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


def session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """An onnxruntime session with a fixed number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _difference(served: Served, path: Path, input_size: int) -> float:
    random = np.random.default_rng(0)
    # Smooth blobs and noise: noise alone would exercise one corner of the network.
    coarse = torch.from_numpy(random.integers(0, 256, (3, 3, 8, 8)).astype(np.float32))
    smooth = nn.functional.interpolate(coarse, (input_size, input_size), mode="bicubic").clamp(0, 255)
    noise = torch.from_numpy(random.integers(0, 256, (1, 3, input_size, input_size)).astype(np.float32))
    pixels = torch.cat([smooth, noise]).permute(0, 2, 3, 1).to(torch.uint8).contiguous()
    with torch.no_grad():
        expected = served(pixels)
    got = session(path).run(list(OUTPUTS), {"pixels": pixels.numpy()})
    return max(float(np.abs(e.numpy() - g).max()) for e, g in zip(expected, got, strict=True))
