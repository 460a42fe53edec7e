"""The float32 graph of a body to int8: static, per channel, calibrated on typical photos.

The first convolution reads the uint8 pixels themselves: they are quantized already.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

# Relu and Clip are left out: a convolution with outputs 0..255 clips at zero and at the calibrated maximum anyway.
QUANTIZED_OPERATORS = ["Conv", "Add", "MaxPool", "Relu", "Clip"]
BATCH = 16
# The operators from the pixels to the first convolution: in the exporter's graph, and after quantization.
_PLAIN = ("Transpose", "Cast", "Sub", "Div")
_QUANTIZED = (*_PLAIN, "QuantizeLinear", "DequantizeLinear", "Conv")


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: np.ndarray) -> None:
        self.batches = iter([pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"pixels": np.ascontiguousarray(batch)}


def quantize(
    float_path: Path, int8_path: Path, pixels: NDArray[np.uint8], pixel_mean: float, pixel_std: float
) -> None:
    """Write the int8 version of the graph at `float_path`; `pixels` uint8 [N, S, S, 3] are typical training photos.

    The graph begins with (pixel - pixel_mean) / pixel_std.

    Weights keep seven of their eight bits: processors without VNNI add two products in 16 bits and would overflow
    with eight, and the file may run on any of them.
    """
    # onnxruntime logs advice that is followed here already.
    logging.getLogger().addFilter(_advice)
    try:
        with tempfile.TemporaryDirectory() as folder:
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(float_path), str(prepared), skip_symbolic_shape=True)
            scaled = _from_pixels(onnx.load(str(prepared)).graph, _PLAIN)[-1].output[0]
            pixels_own = {
                "scale": np.array(1 / pixel_std, np.float32),
                # The mean is rounded to a whole pixel value: half a step of brightness changes no answer.
                "zero_point": np.array(round(pixel_mean), np.uint8),
            }
            quantize_static(
                str(prepared), str(int8_path), _Calibration(pixels), quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTIZED_OPERATORS, per_channel=True, reduce_range=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"CalibMovingAverage": True, "TensorQuantOverrides": {scaled: [pixels_own]}},
            )  # fmt: skip
    finally:
        logging.getLogger().removeFilter(_advice)
    model = onnx.load(str(int8_path))
    _take_pixels(model.graph)
    _drop_unused(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(int8_path))


def merge_columns(filters: np.ndarray, stride: int, padding: int) -> tuple[np.ndarray, list[int]]:
    """Filters for pixels of which `stride` neighbours in a row count as one with as many times the channels.

    Also gives how many of those columns to add to the left and right of a photo.
    """
    count, channels, rows, kernel = filters.shape
    left, right = -(-padding // stride), (kernel - 1 - padding) // stride
    columns = left + 1 + right
    wide = np.zeros((count, channels, rows, columns * stride), filters.dtype)
    start = -padding % stride
    wide[..., start : start + kernel] = filters
    merged = wide.reshape(count, channels, rows, columns, stride).transpose(0, 4, 1, 2, 3)
    return merged.reshape(count, stride * channels, rows, columns), [left, right]


def _take_pixels(graph: GraphProto) -> None:
    """Let the first convolution read the uint8 pixels directly.

    The graph makes float32 of every pixel and rounds that to 256 steps again: the pixels' own steps, by the scale they
    were given. And onnxruntime has no fast kernel for three channels, but has one for three times a stride of 4; to
    take pixels together that lie side by side in a row moves none of them.
    """
    transpose, *needless, dequantize, convolution = _from_pixels(graph, _QUANTIZED)
    dequantize.input[0] = transpose.output[0]
    for node in needless:
        graph.node.remove(node)
    del graph.value_info[:]

    attributes = {each.name: each for each in convolution.attribute}
    stride, width = attributes["strides"].ints[1], graph.input[0].type.tensor_type.shape.dim[2].dim_value
    if width % stride:
        return
    source = next(node for node in graph.node if convolution.input[1] in node.output)
    stored = next(each for each in graph.initializer if each.name == source.input[0])
    top, padding, bottom, _ = attributes["pads"].ints
    filters, (left, right) = merge_columns(numpy_helper.to_array(stored), stride, padding)
    stored.CopyFrom(numpy_helper.from_array(filters, stored.name))
    attributes["kernel_shape"].ints[:] = filters.shape[2:]
    attributes["strides"].ints[1] = 1
    attributes["pads"].ints[:] = [top, left, bottom, right]
    shape = np.array([0, 0, -1, filters.shape[1]], np.int64)
    graph.initializer.append(numpy_helper.from_array(shape, "merged_shape"))
    merge = helper.make_node("Reshape", [graph.input[0].name, "merged_shape"], ["merged"], "merge_columns")
    transpose.input[0] = merge.output[0]
    graph.node.insert(list(graph.node).index(transpose), merge)


def _drop_unused(graph: GraphProto) -> None:
    """Remove the constants that no node reads; onnxruntime would warn of each whenever it loads the file."""
    read = {name for node in graph.node for name in node.input}
    for each in [each for each in graph.initializer if each.name not in read]:
        graph.initializer.remove(each)


def _from_pixels(graph: GraphProto, operators: Sequence[str]) -> list[NodeProto]:
    """The nodes of a chain of operators that begins at the graph's input. Raises ValueError if there is none."""
    chain: list[NodeProto] = []
    name = graph.input[0].name
    for operator in operators:
        readers = [node for node in graph.node if name in node.input]
        if [node.op_type for node in readers] != [operator]:
            raise ValueError(f"Expected {operator} to read {name}.")
        chain += readers
        name = readers[0].output[0]
    return chain


def _advice(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return "pre-process" not in message and not message.startswith("Increased scale")
