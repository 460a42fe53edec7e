"""Registries with a tiny model of any classes: it keeps the contract, and looks only at the photo's mean colour."""

import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import require

INPUT_SIZE = 32
CELLS = 4

FLOWERS = ("daisy", "dandelion", "rose", "sunflower", "tulip")
# Names that break what nobody thought of: scripts of both directions, markup, numbers, no end.
ODD = (
    "柴犬の子犬",
    "شقائق النعمان",
    "a|b, c",
    "<b>bold</b> & co",
    "7",
    "10",
    "__proto__",
    "a" * 70,
    "The_very_long_name_of_a_class_that_somebody_took_from_the_caption_of_a_photo_in_a_museum",
)


def trees(count: int) -> tuple[str, ...]:
    """So many labels as folders are often called: "Silver_birch"."""
    kinds = ("birch", "maple", "oak", "willow", "chestnut", "hornbeam", "cypress", "magnolia", "eucalyptus",
             "sycamore", "hawthorn", "rowan")  # fmt: skip
    colours = ("Silver", "Red", "Black", "White", "Golden", "Weeping", "Northern", "Japanese", "Common",
               "Mediterranean")  # fmt: skip
    return tuple(f"{colour}_{kind}" for colour, kind in itertools.product(colours, kinds))[:count]


CLASSES = {2: ("otter", "newt"), 5: FLOWERS, 20: trees(20), 37: trees(37), 120: trees(120)}


def publish(folder: Path, labels: Sequence[object], *, version: str = "3.1.0", **metadata: Any) -> Path:
    """Writes a registry whose only model has these labels; returns its folder.

    Args:
        metadata: entries of metadata.json that replace or join the usual ones.
    """
    target = folder / "versions" / version
    target.mkdir(parents=True)
    (folder / "latest").write_text(version)
    weights = _graph(len(labels))
    (target / "model.onnx").write_bytes(weights)
    description = {
        "version": version,
        "architecture": "mean colour, linear",
        "labels": list(labels),
        "input_size": INPUT_SIZE,
        "thresholds": {"recognized": 0.5},
        "weights": {
            "file": "model.onnx",
            "sha256": hashlib.sha256(weights).hexdigest(),
            "bytes": len(weights),
        },
        "parameters": 4 * len(labels),
        "metrics": {"test": {"accuracy": 0.875}},
        **metadata,
    }
    (target / "metadata.json").write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")
    return folder


def _graph(classes: int) -> bytes:
    onnx = require("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    random = np.random.default_rng(classes)
    cell = INPUT_SIZE // CELLS

    def constant(name: str, values: Any) -> Any:
        return onnx.numpy_helper.from_array(np.asarray(values), name)

    # Every photo is recognized with 0.9: the threshold in the metadata decides.
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=kinds.FLOAT),
        helper.make_node("Div", ["float", "white"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "places"], ["colour"], keepdims=0),
        helper.make_node("Gemm", ["colour", "weight", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ReduceMean", ["colour", "channels"], ["grey"], keepdims=0),
        helper.make_node("Mul", ["grey", "nothing"], ["dark"]),
        helper.make_node("Add", ["dark", "known"], ["recognized"]),
        helper.make_node("ReduceMean", ["scaled", "last"], ["light"], keepdims=1),
        helper.make_node("Transpose", ["light"], ["plane"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["plane"], ["cells"], kernel_shape=[cell] * 2, strides=[cell] * 2),
        helper.make_node("Mul", ["cells", "each"], ["heatmap"]),
    ]
    values = [
        constant("white", np.float32(255)),
        constant("places", np.array([1, 2])),
        constant("channels", np.array([1])),
        constant("last", np.array([3])),
        constant("weight", random.normal(0, 3, (3, classes)).astype(np.float32)),
        constant("bias", random.normal(0, 1, classes).astype(np.float32)),
        constant("nothing", np.float32(0)),
        constant("known", np.float32(0.9)),
        constant("each", np.ones((1, classes, 1, 1), np.float32)),
    ]
    size = INPUT_SIZE
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", kinds.UINT8, ["photos", size, size, 3])],
        [
            helper.make_tensor_value_info("probabilities", kinds.FLOAT, ["photos", classes]),
            helper.make_tensor_value_info("recognized", kinds.FLOAT, ["photos"]),
            helper.make_tensor_value_info("heatmap", kinds.FLOAT, ["photos", classes, CELLS, CELLS]),
        ],
        values,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
