"""The residual CNN grows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from export.network import ResidualCNN, build, take_weights


def trained(name: str) -> ResidualCNN:
    """A network whose every weight and statistic differs from those it was built with."""
    torch.manual_seed(1)
    network = build(name, labels=2).eval()
    for values in network.state_dict().values():
        if values.is_floating_point():
            values.add_(torch.rand_like(values) / 10)
    return network


def test_a_deeper_network_starts_with_the_answers_of_a_shallower_one() -> None:
    compact, deep = trained("compact"), build("deep", labels=2).eval()
    take_weights(deep, compact)
    photos = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        answers = compact(photos)
        torch.testing.assert_close(deep(photos), answers)
    added = [module for module in deep.modules() if isinstance(module, nn.Conv2d)]
    assert len(added) == len([module for module in compact.modules() if isinstance(module, nn.Conv2d)]) + 6


def test_a_network_starts_with_the_answers_of_another_of_its_kind() -> None:
    first, second = trained("tiny"), build("tiny", labels=2).eval()
    take_weights(second, first)
    photos = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(second(photos), first(photos))


@pytest.mark.parametrize(
    ("name", "start"), [("compact", "deep"), ("compact", "tiny"), ("classic", "compact")]
)
def test_a_network_of_other_widths_or_more_blocks_is_no_start(name: str, start: str) -> None:
    with pytest.raises(ValueError, match="can't start from"):
        take_weights(build(name, labels=2), build(start, labels=2))
