"""Writes the models whose functions the page's reduced runtime keeps (README.md in this folder).

    python -m deploy.runtime.models FOLDER

Every published version, and the published body with heads for other numbers of classes, as `export` makes them: the
kernels take other ways for other sizes. The weights of those heads are noise, because only the shapes count. And
depthwise convolutions over any number of channels, because what computes them is replaced (faster.mjs). With each
FOLDER/NAME.onnx the side of its input in pixels: FOLDER/NAME.size.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from export.body.body import BODIES, load
from export.graph.assemble import assemble
from export.head import Head

VERSIONS = Path(__file__).parent.parent.parent / "model" / "versions"
BODY = "lite0"
CLASSES = (2, 3, 4, 5, 8, 13, 20, 37, 120, 1000)
# Channels, side of the kernel, stride.
DEPTHWISE = ((7, 3, 1), (8, 3, 2), (21, 5, 1), (40, 5, 2))


def main(arguments: list[str] | None = None) -> int:
    """Writes them; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, models())
    return 0


def write(folder: Path, wanted: Iterable[tuple[str, bytes, int]]) -> None:
    """Writes each NAME.onnx with its NAME.size."""
    for name, weights, size in wanted:
        (folder / f"{name}.onnx").write_bytes(weights)
        (folder / f"{name}.size").write_text(str(size), encoding="utf-8")
        print(name)


def models(classes: Sequence[int] = CLASSES) -> Iterator[tuple[str, bytes, int]]:
    """Name, ONNX file and side of the input in pixels of each; `classes` are those of the heads."""
    for path in sorted(VERSIONS.glob("*/model.onnx")):
        yield (
            path.parent.name,
            path.read_bytes(),
            json.loads(path.with_name("metadata.json").read_text(encoding="utf-8"))["input_size"],
        )
    body = load(BODIES / BODY)
    for count in classes:
        yield f"{BODY}-{count}", own(count), body.input_size
    for channels, kernel, stride in DEPTHWISE:
        yield f"depthwise-{channels}-{kernel}-{stride}", depthwise(channels, kernel, stride), 20


def own(classes: int) -> bytes:
    """The published body with a head of noise for so many classes, as an ONNX file."""
    body = load(BODIES / BODY)
    random = np.random.default_rng(classes)
    weights = random.normal(0, 1, (classes, body.channels)).astype(np.float32)
    return assemble(body, Head(weights, random.normal(0, 1, classes).astype(np.float32)), 1.0)


def depthwise(channels: int, kernel: int, stride: int) -> bytes:
    """A depthwise convolution of int8 weights over so many channels, as an ONNX file."""
    shapes = {"spread": (channels, 3, 1, 1), "output": (channels, 1, kernel, kernel)}
    pads = [kernel // 2] * 4
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        # Without a bias.
        helper.make_node("QLinearConv", _inputs("planes", "spread")[:-1], ["spread"]),
        helper.make_node(
            *("QLinearConv", _inputs("spread", "output"), ["output"]),
            group=channels,
            strides=[stride, stride],
            pads=pads,
        ),
    ]
    pixels = helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, [1, "height", "width", 3])
    output = helper.make_tensor_value_info("output", onnx.TensorProto.UINT8, [1, channels, "down", "across"])
    used = {name for node in nodes for name in node.input}
    constants = [tensor for name, shape in shapes.items() for tensor in _constants(name, shape, used)]
    graph = helper.make_graph(nodes, "depthwise", [pixels], [output], constants)
    # As onnxruntime knows them; onnx is ahead of it.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def _inputs(given: str, name: str) -> list[str]:
    """The inputs of QLinearConv `name`, in its order."""
    keys = ("scale", "zero", "weights", "weights_scale", "weights_zero", "scale", "zero", "bias")
    return [given, *(f"{name}_{key}" for key in keys)]


def _constants(name: str, shape: tuple[int, ...], used: Container[str]) -> list[onnx.TensorProto]:
    """Those that are used: weights of noise, zero points beside zero, and scales that go to the ends of the range."""
    channels = shape[0]
    random = np.random.default_rng(channels)
    values = {
        "scale": np.float32(1),
        "zero": np.uint8(101),
        "weights": random.integers(-128, 128, shape, dtype=np.int8),
        "weights_scale": random.uniform(0.002, 0.02, channels).astype(np.float32),
        "weights_zero": np.full(channels, -9, np.int8),
        "bias": random.integers(-5000, 5000, channels, dtype=np.int32),
    }
    constants = {f"{name}_{key}": np.asarray(value) for key, value in values.items()}
    return [onnx.numpy_helper.from_array(value, full) for full, value in constants.items() if full in used]


if __name__ == "__main__":
    sys.exit(main())
