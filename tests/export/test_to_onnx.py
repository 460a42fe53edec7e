"""The served graph: the same numbers as PyTorch, and int8 close to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from export import to_onnx, train
from export.quantize import quantize
from tests.conftest import ROOT

# Probabilities of the int8 graph may differ this much from the float32 graph's on 95 of 100 photos, and half as much on
# average. Generous, because this network has few channels over which rounding could average out.
INT8_TOLERANCE = 0.1


@pytest.fixture(scope="module")
def network(run: Path) -> Any:
    return train.load_checkpoint(run / train.LAST).network


@pytest.fixture(scope="module")
def graphs(network: Any, load_pixels: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs")
    to_onnx.export(network, 64, folder / "float32.onnx", temperature=1.7)
    quantize(folder / "float32.onnx", folder / "int8.onnx", load_pixels("train").array[::3])
    return folder


def _answers(path: Path, pixels: np.ndarray) -> dict[str, np.ndarray]:
    outputs = to_onnx.session(path).run(list(to_onnx.OUTPUTS), {"pixels": np.ascontiguousarray(pixels)})
    return dict(zip(to_onnx.OUTPUTS, outputs, strict=True))


def test_the_graph_answers_as_pytorch_does(
    network: Any, graphs: Path, load_pixels: Callable[..., Any]
) -> None:
    pixels = np.array(load_pixels("test").array)
    with torch.no_grad():
        expected = to_onnx.Served(network, 1.7)(torch.from_numpy(pixels))
    for got, wanted in zip(_answers(graphs / "float32.onnx", pixels).values(), expected, strict=True):
        np.testing.assert_allclose(got, wanted.numpy(), atol=to_onnx.TOLERANCE)


def test_int8_answers_stay_close_to_float32(graphs: Path, load_pixels: Callable[..., Any]) -> None:
    pixels = load_pixels("test").array
    full, small = _answers(graphs / "float32.onnx", pixels), _answers(graphs / "int8.onnx", pixels)
    for name in ("probabilities", "recognized"):
        assert np.abs(full[name] - small[name]).mean() < INT8_TOLERANCE / 2, name
        assert np.percentile(np.abs(full[name] - small[name]), 95) < INT8_TOLERANCE, name


def test_only_the_convolutional_body_is_int8(graphs: Path) -> None:
    graph = onnx.load(str(graphs / "int8.onnx")).graph
    producers = {output: node for node in graph.node for output in node.output}
    weights = {i.name: i for i in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 6
    for node in convolutions:
        source = producers[node.input[1]]
        assert source.op_type == "DequantizeLinear"
        kernel = onnx.numpy_helper.to_array(weights[source.input[0]])
        assert kernel.dtype == np.int8
        # Seven bits, so that processors without VNNI do not overflow.
        assert np.abs(kernel).max() <= 64
    for node in graph.node:
        if node.op_type in {"Gemm", "Softmax", "ReduceMean", "MatMul"}:
            assert all(producers[i].op_type != "QuantizeLinear" for i in node.input if i in producers)


def test_photos_are_answered_alike_alone_and_in_a_batch(
    graphs: Path, load_pixels: Callable[..., Any]
) -> None:
    pixels = load_pixels("test").array[:5]
    together = _answers(graphs / "float32.onnx", pixels)
    for i in range(5):
        alone = _answers(graphs / "float32.onnx", pixels[i : i + 1])
        for name in to_onnx.OUTPUTS:
            np.testing.assert_allclose(alone[name][0], together[name][i], atol=1e-5)


def test_heatmaps_lie_between_zero_and_one_and_their_hottest_cell_is_one(
    graphs: Path, load_pixels: Callable[..., Any]
) -> None:
    heatmap = _answers(graphs / "float32.onnx", load_pixels("test").array)["heatmap"]
    assert heatmap.shape[1:] == (2, 8, 8)
    assert heatmap.min() >= 0
    peaks = heatmap.max(axis=(2, 3))
    assert np.all((peaks == 0) | np.isclose(peaks, 1))
    assert (peaks == 1).any()


def test_the_heatmap_lights_the_shape_and_not_the_background(graphs: Path) -> None:
    pixels = np.full((1, 64, 64, 3), 40, dtype=np.uint8)
    pixels[0, 36:60, 36:60] = (70, 80, 240)
    answers = _answers(graphs / "float32.onnx", pixels)
    label = int(answers["probabilities"][0].argmax())
    heat = answers["heatmap"][0, label]
    assert label == 1
    assert heat[4:, 4:].mean() > 2 * heat[:4, :4].mean()


def test_no_evidence_gives_an_empty_heatmap_and_no_nan(network: Any, tmp_path: Path) -> None:
    from export.network import build

    blank = build("tiny", 2).eval()
    to_onnx.export(blank, 64, tmp_path / "blank.onnx")
    answers = _answers(tmp_path / "blank.onnx", np.zeros((1, 64, 64, 3), dtype=np.uint8))
    assert answers["heatmap"].sum() == 0
    np.testing.assert_allclose(answers["probabilities"], 0.5)
    np.testing.assert_allclose(answers["recognized"], 2 / 3, atol=1e-6)


def test_a_graph_that_computes_something_else_is_refused(
    network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_onnx, "TOLERANCE", -1.0)
    with pytest.raises(to_onnx.ParityError, match="differs from PyTorch"):
        to_onnx.export(network, 64, tmp_path / "float32.onnx")


def test_the_files_name_no_folder_of_the_machine_that_made_them(graphs: Path) -> None:
    for name in ("float32.onnx", "int8.onnx"):
        content = (graphs / name).read_bytes()
        assert str(ROOT).encode() not in content, name
        assert b"site-packages" not in content, name
