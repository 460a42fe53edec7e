"""Quantizing: the pixels go into the first convolution as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional

from export import to_onnx
from export.network import build
from export.quantize import merge_columns, quantize, split_columns


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(7, 4, 3), (7, 2, 3), (3, 1, 1), (3, 2, 1), (5, 4, 2)]
)
def test_merged_columns_compute_the_same_convolution(kernel: int, stride: int, padding: int) -> None:
    random = np.random.default_rng(0)
    filters = random.integers(-64, 65, (6, 3, kernel, kernel)).astype(np.float32)
    pixels = random.integers(0, 256, (2, 16, 24, 3)).astype(np.float32)
    expected = functional.conv2d(
        torch.from_numpy(pixels).permute(0, 3, 1, 2),
        torch.from_numpy(filters),
        stride=stride,
        padding=padding,
    )
    merged, (left, right) = merge_columns(filters, stride, padding)
    photos = torch.from_numpy(pixels.reshape(2, 16, 24 // stride, 3 * stride)).permute(0, 3, 1, 2)
    padded = functional.pad(photos, (left, right, padding, padding))
    got = functional.conv2d(padded, torch.from_numpy(merged), stride=(stride, 1))
    # Whole numbers: in float32 they are exact.
    assert torch.equal(got, expected)
    assert np.array_equal(split_columns(merged, kernel, stride, padding), filters)


def _quantized(size: int, folder: Path) -> tuple[Path, Path, np.ndarray]:
    torch.manual_seed(0)
    network = build("tiny", 2).eval()
    torch.nn.init.normal_(network.classifier.weight)
    pixels = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    to_onnx.export(network, size, folder / "float32.onnx")
    quantize(folder / "float32.onnx", folder / "int8.onnx", pixels)
    return folder / "float32.onnx", folder / "int8.onnx", pixels


@pytest.mark.parametrize("size", [32, 30])
def test_a_photo_reaches_the_first_convolution_without_becoming_a_float(size: int, tmp_path: Path) -> None:
    """At 30 pixels a row is no whole number of strides, and nothing is merged."""
    float_path, int8_path, pixels = _quantized(size, tmp_path)
    graph = onnx.load(str(int8_path)).graph
    assert not {"Cast", "Sub"} & {node.op_type for node in graph.node}
    scales = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    (reader,) = (
        node for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] == "permute"
    )
    assert scales[reader.input[1]] == np.float32(1 / 63.75)
    assert scales[reader.input[2]] == 128
    assert scales.keys() <= {name for node in graph.node for name in node.input}, (
        "constants that nobody reads"
    )

    answers = [
        to_onnx.session(path).run(["probabilities"], {"pixels": pixels})[0]
        for path in (float_path, int8_path)
    ]
    np.testing.assert_allclose(*answers, atol=0.05)


def test_a_graph_that_treats_pixels_otherwise_is_not_quantized(tmp_path: Path) -> None:
    float_path, _, pixels = _quantized(32, tmp_path)
    model = onnx.load(str(float_path))
    next(node for node in model.graph.node if node.op_type == "Sub").op_type = "Add"
    onnx.save(model, str(float_path))
    with pytest.raises(ValueError, match="Expected Sub to read"):
        quantize(float_path, tmp_path / "other.onnx", pixels)
    assert not (tmp_path / "other.onnx").exists()
