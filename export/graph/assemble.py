"""Assembles the ONNX graph that is served from a body and a head: all arithmetic between pixels and answers.

Input `pixels` uint8 [N, S, S, 3] RGB. Outputs `probabilities` float32 [N, K], softmax over the labels; `recognized`
float32 [N], one minus the probability of "none of these"; `heatmap` float32 [N, K, h, w], class activation maps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.body.body import Body
from export.head import Head

OUTPUTS = ("probabilities", "recognized", "heatmap")
# The heatmap has so many rows and columns for each one of the features, interpolated.
FINER = 2


def assemble(body: Body, head: Head, temperature: float) -> bytes:
    """The served graph. The temperature (Guo et al. 2017, arXiv:1706.04599) divides all logits."""
    weights, bias = folded(body, head, temperature)
    model = onnx.load_from_string(body.graph)
    graph = model.graph
    features = graph.output[0].name
    labels = len(weights)
    constants: dict[str, NDArray[Any]] = {
        "stored_weights": weights,
        "head_bias": bias,
        "typical_features": body.mean.reshape(1, -1, 1, 1),
        "cell_weights": np.array([labels, -1, 1, 1], np.int64),
        "others": np.array(labels, np.float32),
        "spatial_axes": np.array([2, 3], np.int64),
        "first_axis": np.array([0], np.int64),
        "label_axis": np.array([1], np.int64),
        "least_heat": np.array(1e-6, np.float32),
        "finer": np.array([1, 1, FINER, FINER], np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(
        [
            helper.make_node("Cast", ["stored_weights"], ["head_weights"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", [features, "spatial_axes"], ["pooled"], keepdims=0),
            helper.make_node("Gemm", ["pooled", "head_weights", "head_bias"], ["logits"], transB=1),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
            # The logit of none is zero, so one minus its probability is the sigmoid of the others' log-sum-exp.
            helper.make_node("ReduceLogSumExp", ["logits", "label_axis"], ["any_label"], keepdims=0),
            helper.make_node("Sigmoid", ["any_label"], ["recognized"]),
            *_evidence(features),
            helper.make_node("Relu", ["evidence"], ["heat"]),
            helper.make_node("ReduceMax", ["heat", "spatial_axes"], ["hottest"], keepdims=1),
            helper.make_node("Max", ["hottest", "least_heat"], ["most_heat"]),
            helper.make_node("Div", ["heat", "most_heat"], ["heatmap"]),
        ]
    )
    shapes: dict[str, list[str | int]] = {
        "probabilities": ["photos", labels],
        "recognized": ["photos"],
        "heatmap": ["photos", labels, "rows", "columns"],
    }
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
    )
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def folded(body: Body, head: Head, temperature: float) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Weights [K, C] and bias [K] of logits straight from pooled features: normalising them is linear, and so is the
    temperature. Half the bytes do for the weights: no answer moves by more than 0.001."""
    weights = (head.weights / body.scale / temperature).astype(np.float16)
    bias = head.bias / temperature - weights.astype(np.float32) @ body.mean
    return weights, bias.astype(np.float32)


def _evidence(features: str) -> list[NodeProto]:
    """What in each cell speaks for a label rather than for the other classes.

    Because pooling and head are linear, a label's logit is the mean over the cells of its weights times their
    features: the class activation map is exact (Zhou et al. 2016, arXiv:1512.04150). Each cell is compared with the
    typical photo's, and each label with the mean of the others, none of them (whose weights are zero) included.
    onnxruntime computes what depends on the weights alone when it loads the file.
    """
    node = helper.make_node
    return [
        node("ReduceSum", ["head_weights", "first_axis"], ["sum_of_weights"], keepdims=1),
        node("Sub", ["sum_of_weights", "head_weights"], ["sum_of_others"]),
        node("Div", ["sum_of_others", "others"], ["mean_of_others"]),
        node("Sub", ["head_weights", "mean_of_others"], ["contrast"]),
        node("Reshape", ["contrast", "cell_weights"], ["contrast_filters"]),
        node("Sub", [features, "typical_features"], ["unusual_features"]),
        node("Conv", ["unusual_features", "contrast_filters"], ["coarse_evidence"]),
        # Drawn straight from cells of a seventh of the photo, a map shows the cells rather than the animal.
        node(
            "Resize", ["coarse_evidence", "", "finer"], ["evidence"], mode="cubic", exclude_outside=1,
            coordinate_transformation_mode="half_pixel",
        ),
    ]  # fmt: skip
