"""A network to the graph of a body: the same numbers as PyTorch, then int8 close to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from export.body.body import Body, session
from export.errors import ExportError
from export.finetune import checkpoint, make, to_onnx
from export.finetune.network import ResidualCNN
from export.finetune.pixels import load
from export.graph.quantize import merge_columns, quantize
from export.photos.find import Photos, find
from export.run import CHECKPOINT
from tests.conftest import ROOT

SIZE = 48
# The pooled features of the int8 graph may differ from the float32 graph's by this share of their spread over photos.
# Generous, because this network has few channels over which rounding could average out.
INT8_TOLERANCE = 0.15


@pytest.fixture(scope="module")
def network(run: Path) -> ResidualCNN:
    trained = ResidualCNN("tiny")
    checkpoint.read_network(trained, run / CHECKPOINT)
    return trained.eval()


@pytest.fixture(scope="module")
def pixels(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    found = find(photos / "photos").splits["val"]
    return np.array(load(found, SIZE, tmp_path_factory.mktemp("pixels"), "val", print).array)


@pytest.fixture(scope="module")
def graphs(network: ResidualCNN, pixels: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs")
    to_onnx.export(network, SIZE, folder / "float32.onnx")
    quantize(folder / "float32.onnx", folder / "int8.onnx", pixels, network.pixel_mean, network.pixel_std)
    return folder


def features(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(
        session(path.read_bytes()).run(["features"], {"pixels": np.ascontiguousarray(pixels)})[0]
    )


def test_the_graph_computes_the_same_as_pytorch(
    network: ResidualCNN, graphs: Path, pixels: NDArray[np.uint8]
) -> None:
    with torch.no_grad():
        expected = network(network.normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(features(graphs / "float32.onnx", pixels), expected, atol=1e-4)


def test_int8_stays_close_to_float32(graphs: Path, pixels: NDArray[np.uint8]) -> None:
    full, small = (
        features(graphs / name, pixels).mean(axis=(2, 3)) for name in ("float32.onnx", "int8.onnx")
    )
    spread = np.sqrt(((full - full.mean(axis=0)) ** 2).sum(axis=1).mean())
    assert np.sqrt(((full - small) ** 2).sum(axis=1).mean()) < INT8_TOLERANCE * spread


def test_all_convolutions_are_int8_with_seven_bits(graphs: Path) -> None:
    graph = onnx.load(str(graphs / "int8.onnx")).graph
    producers = {output: node for node in graph.node for output in node.output}
    weights = {each.name: each for each in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 6
    for node in convolutions:
        source = producers[node.input[1]]
        assert source.op_type == "DequantizeLinear"
        kernel = onnx.numpy_helper.to_array(weights[source.input[0]])
        assert kernel.dtype == np.int8
        # Seven bits, so that processors without VNNI do not overflow.
        assert np.abs(kernel).max() <= 64


def test_the_first_convolution_reads_uint8_pixels(graphs: Path) -> None:
    graph = onnx.load(str(graphs / "int8.onnx")).graph
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


def test_a_graph_with_other_preprocessing_is_not_quantized(
    graphs: Path, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    model = onnx.load(str(graphs / "float32.onnx"))
    next(node for node in model.graph.node if node.op_type == "Sub").op_type = "Add"
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(ValueError, match="Expected Sub to read"):
        quantize(tmp_path / "other.onnx", tmp_path / "int8.onnx", pixels, 127.5, 63.75)
    assert not (tmp_path / "int8.onnx").exists()


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


def test_photos_get_the_same_features_alone_and_in_a_batch(graphs: Path, pixels: NDArray[np.uint8]) -> None:
    for name in ("float32.onnx", "int8.onnx"):
        together = features(graphs / name, pixels[:5])
        for i in range(5):
            np.testing.assert_allclose(features(graphs / name, pixels[i : i + 1])[0], together[i], atol=1e-5)


def test_a_graph_that_computes_something_else_is_refused(
    network: ResidualCNN, graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Program:
        def save(self, path: str, external_data: bool) -> None:
            model = onnx.load(str(graphs / "float32.onnx"))
            next(node for node in model.graph.node if node.op_type == "Sub").op_type = "Add"
            onnx.save(model, path)

    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: Program())
    with pytest.raises(ExportError, match="differs from PyTorch"):
        to_onnx.export(network, SIZE, tmp_path / "float32.onnx")


def test_the_files_name_no_folder_of_the_machine_that_made_them(graphs: Path, run: Path) -> None:
    for path in (graphs / "float32.onnx", graphs / "int8.onnx", *(run / "body").iterdir()):
        content = path.read_bytes()
        for word in (ROOT, "site-packages", "/tmp/", Path.home()):
            assert str(word).encode() not in content, path.name


@pytest.fixture
def exported(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes seconds: these tests are not about it."""
    monkeypatch.setattr(
        make, "export", lambda _, __, path: path.write_bytes((graphs / "float32.onnx").read_bytes())
    )


@pytest.mark.usefixtures("exported")
def test_a_body_keeps_the_features_of_negatives_by_kind(
    network: ResidualCNN, photos: Path, tmp_path: Path
) -> None:
    typical = find(photos / "photos").splits["val"]
    paths = tuple(sorted((photos / "none/val").iterdir()))
    # More kinds than a byte can number.
    kinds = tuple(f"kind {i}" for i in range(300))
    negatives = Photos(typical.labels, tuple(paths[i % len(paths)] for i in range(300)), (2,) * 300, kinds)
    body = make.make(network, SIZE, tmp_path / "body", typical, negatives, {"licence": "CC0"})
    assert body.negatives.shape == (300, 16)
    assert sorted(body.kinds) == sorted(kinds)
    assert body.metadata["licence"] == "CC0"
    expected = body.normalise(features(tmp_path / "body/body.onnx", _decoded(paths[0])).mean(axis=(2, 3)))[0]
    row = body.negatives[body.kinds.index("kind 0")]
    assert np.linalg.norm(row - expected) < 0.1 * np.linalg.norm(expected)


@pytest.mark.usefixtures("exported")
def test_a_body_trained_from_another_copies_its_normalisation_and_negatives(
    network: ResidualCNN, photos: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    parent = Body(
        "parent", b"", SIZE, np.arange(16, dtype=np.float32), np.full(16, 2.0, np.float32),
        random.normal(size=(40, 16)).astype(np.float32), ("cat", "dog") * 20, {},
    )  # fmt: skip
    child = make.make(network, SIZE, tmp_path / "body", find(photos / "photos").splits["val"], parent, {})
    np.testing.assert_array_equal(child.mean, parent.mean)
    np.testing.assert_array_equal(child.scale, parent.scale)
    assert child.kinds == parent.kinds
    assert np.abs(child.negatives - parent.negatives).mean() < 0.1
    assert child.metadata["negatives"] == {"photos": 40, "kinds": {"cat": 20, "dog": 20}}


def _decoded(path: Path) -> NDArray[np.uint8]:
    from api._photo.image import decode

    return decode(path.read_bytes(), SIZE).pixels[None]


@pytest.mark.usefixtures("exported")
def test_a_body_without_a_readable_photo_to_calibrate_on_is_refused(
    network: ResidualCNN, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    broken = Photos(("a", "b"), (tmp_path / "a.png",), (0,), ("",))
    with pytest.raises(ExportError, match="None of the photos to calibrate on"):
        make.make(network, SIZE, tmp_path / "body", broken, broken, {})
    assert not (tmp_path / "body" / "metadata.json").exists()
