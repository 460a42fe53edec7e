"""The blocks that are not trained run as an int8 graph, and nobody can tell but by the clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export.finetune import frozen, pretrained
from export.finetune.network import Network, ResidualCNN
from export.run import CHECKPOINT
from tests.export.conftest import draw
from tests.export.finetune.conftest import Train


def pictures(side: int, count: int = 24) -> np.ndarray:
    random = np.random.default_rng(0)
    kinds = ("disc", "square", "background")
    return np.stack([np.asarray(draw(kinds[i % 3], random).resize((side, side))) for i in range(count)])


def networks() -> list[tuple[Network, int]]:
    torch.manual_seed(0)
    return [(ResidualCNN("tiny"), 64), (pretrained.lite0(), 96)]


@pytest.mark.parametrize("number", [0, 1])
def test_the_graph_gives_what_the_blocks_give_but_for_rounding(number: int, tmp_path: Path) -> None:
    network, side = networks()[number]
    network.eval()
    pixels = pictures(side)
    frozen.make(network, 1, tmp_path / "frozen.onnx", pixels)
    photos = torch.from_numpy(pixels[:6]).permute(0, 3, 1, 2).float()
    found = frozen.run(frozen.load(tmp_path / "frozen.onnx"), photos)
    with torch.no_grad():
        wanted = network.first(network.normalise(photos), 1)
        whole, parts = network(network.normalise(photos)), network.rest(wanted, 1)
    assert found.shape == wanted.shape
    assert torch.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 0.97
    torch.testing.assert_close(whole, parts)


def test_a_training_of_the_last_block_leaves_the_others_as_they_were(train: Train, tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = ResidualCNN("tiny").state_dict()
    train(tmp_path, unfreeze=1, sizes=[[32, 1], [48, 1]], seed=0)
    after = torch.load(tmp_path / CHECKPOINT, weights_only=True)["weights"]
    changed = {".".join(name.split(".")[:2]) for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"blocks.1"}
    assert not (tmp_path / "pixels").exists()
