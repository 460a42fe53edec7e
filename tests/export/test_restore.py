"""Restoring: what was published can be trained further by anyone who has the file that is served."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from api import _registry
from export import __main__ as command_line
from export import train
from export.data import find
from export.network import normalise
from export.restore import restore
from tests.conftest import ROOT

# Rounding the weights to seven bits may change the answers of a network with few channels by this much.
TOLERANCE = 0.05


def _probabilities(network: torch.nn.Module, pixels: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return network(normalise(torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2))).softmax(dim=1)


@pytest.fixture(scope="module")
def restored(published: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published model's checkpoint, restored on the command line."""
    out = tmp_path_factory.mktemp("restored") / "again"
    arguments = [
        "restore", "--models", str(published), "--data", str(photos / "photos"), "--neither", str(photos / "neither"),
        "--cache", str(photos / "cache"), "--out", str(out),
    ]  # fmt: skip
    assert command_line.main(arguments) == 0
    return out


def test_a_restored_network_answers_as_the_one_that_was_published(
    run: Path, restored: Path, load_pixels: Callable[..., Any]
) -> None:
    before, after = (train.load_checkpoint(folder / train.LAST) for folder in (run, restored))
    assert (after.recipe, after.labels, after.photos) == (before.recipe, before.labels, before.photos)
    pixels = load_pixels("test").array
    difference = _probabilities(before.network, pixels) - _probabilities(after.network, pixels)
    assert difference.abs().mean() < TOLERANCE


def test_the_learning_curves_of_a_restored_model_come_with_it(published: Path, restored: Path) -> None:
    assert train.read_metrics(restored) == train.read_metrics(published / "versions" / "0.0.1")


def test_a_restored_network_is_ready_to_train_its_statistics_are_those_of_photos(
    restored: Path, load_pixels: Callable[..., Any]
) -> None:
    network = train.load_checkpoint(restored / train.LAST).network
    pixels = load_pixels("train").array
    still = _probabilities(network, pixels)
    # With the statistics of the batch, which holds all the photos that they were taken from.
    moving = _probabilities(network.train(), pixels)
    torch.testing.assert_close(still, moving, atol=0.02, rtol=0)
    filters = network.stem[0].weight.flatten(1).norm(dim=1)
    torch.testing.assert_close(filters, torch.ones_like(filters))


def test_training_goes_on_from_a_restored_network(
    run: Path, restored: Path, recipe: train.Recipe, load_pixels: Callable[..., Any], tmp_path: Path
) -> None:
    pixels, val = load_pixels("train"), load_pixels("val")
    gentle = dataclasses.replace(recipe, learning_rate=1e-3, sizes=((64, 1),), started_from=restored.name)
    train.train(gentle, pixels, val, tmp_path, start_from=[restored / train.LAST])
    before, after = train.read_metrics(run)[-1], train.read_metrics(tmp_path)[0]
    assert after["val_accuracy"] >= before["val_accuracy"] - 0.05


def test_the_model_that_is_published_here_can_be_restored(photos: Path, tmp_path: Path) -> None:
    model = _registry.load(ROOT / "model")
    last = restore(model, find(photos / "photos", "train"), tmp_path / "run", "", photos / "cache")
    checkpoint = train.load_checkpoint(last)
    assert (checkpoint.labels, checkpoint.recipe.input_size) == (model.labels, model.input_size)
    state = checkpoint.network.state_dict().values()
    assert all(torch.isfinite(value).all() for value in state if value.is_floating_point())


def test_a_run_is_never_overwritten_and_a_file_of_another_network_is_refused(
    published: Path, restored: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, some = _registry.load(published), find(photos / "photos", "train")
    before = (restored / train.LAST).read_bytes()
    with pytest.raises(train.TrainingError, match="--out"):
        restore(model, some, restored)
    assert (restored / train.LAST).read_bytes() == before

    graph = onnx.load_from_string(model.weights)
    for initializer in graph.graph.initializer:
        initializer.name = initializer.name.replace("conv2", "another")
    strange = dataclasses.replace(model, weights=graph.SerializeToString())
    with pytest.raises(train.TrainingError, match="no weights of a tiny network"):
        restore(strange, some, tmp_path / "strange", cache=photos / "cache")
    larger = json.loads(json.dumps(model.metadata))
    larger["training"]["recipe"]["network"] = "compact"
    with pytest.raises(train.TrainingError, match="no weights of a compact network"):
        restore(dataclasses.replace(model, metadata=larger), some, tmp_path / "larger")
    assert not list(tmp_path.rglob("*.ckpt*"))

    arguments = [
        "restore",
        "--models",
        str(published),
        "--version",
        "9.9.9",
        "--data",
        str(photos / "photos"),
    ]
    assert command_line.main([*arguments, "--out", str(tmp_path / "none")]) == 2
    assert "9.9.9" in capsys.readouterr().err
