"""What is trained: which blocks, with which head to begin with, and which average of the weights is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from export.finetune.learner import Learner, averaged, parameter_groups
from export.finetune.network import ARCHITECTURES, ResidualCNN, parameter_count, with_none
from export.finetune.settings import Settings


def learner(**settings: object) -> Learner:
    torch.manual_seed(0)
    return Learner(ResidualCNN("tiny"), 2, Settings(**settings))  # type: ignore[arg-type]


def moved(one: Learner) -> set[str]:
    """The first words of what changes when it is trained for two steps, buffers included."""
    nn.init.normal_(one.head.weight)
    before = {name: value.clone() for name, value in one.state_dict().items()}
    optimizer = torch.optim.AdamW(parameter_groups(one, Settings(learning_rate=0.1)))
    one.train()
    for _ in range(2):
        loss = nn.functional.cross_entropy(
            with_none(one(torch.randn(4, 3, 32, 32))), torch.tensor([0, 1, 2, 0])
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return {name for name, value in one.state_dict().items() if not torch.equal(value, before[name])}


def test_all_blocks_or_the_last_ones_are_trained() -> None:
    everything = moved(learner(unfreeze="all", norm="updated"))
    assert {name.split(".")[1] for name in everything if name.startswith("network")} == {"stem", "blocks"}
    last = moved(learner(unfreeze=1, norm="updated"))
    assert {".".join(name.split(".")[1:3]) for name in last if name.startswith("network")} == {"blocks.1"}
    both = moved(learner(unfreeze=99, norm="updated"))
    assert {".".join(name.split(".")[1:3]) for name in both if name.startswith("network")} == {
        "blocks.0",
        "blocks.1",
    }
    for names in (everything, last, both):
        assert "head.weight" in names


def test_frozen_norms_keep_their_statistics_and_updated_ones_do_not() -> None:
    assert not [name for name in moved(learner(norm="frozen")) if "running" in name]
    updated = [name for name in moved(learner(norm="updated")) if "running_mean" in name]
    assert len(updated) == 6
    # Blocks that are not trained keep theirs in any case.
    assert {
        name.split(".")[2] for name in moved(learner(norm="updated", unfreeze=1)) if "running" in name
    } == {"1"}


def test_norms_and_biases_are_not_decayed_and_the_head_has_its_own_rate() -> None:
    one = learner()
    groups = parameter_groups(one, Settings(learning_rate=0.1, head_learning_rate=0.2, weight_decay=0.3))
    assert sum(len(group["params"]) for group in groups) == len(list(one.parameters()))
    for group in groups:
        assert group["weight_decay"] == (0.3 if group["params"][0].dim() > 1 else 0.0)
        of_head = any(p is q for p in group["params"] for q in one.head.parameters())
        assert group["most"] == (0.2 if of_head else 0.1)


def test_the_moving_average_follows_closely_in_the_first_steps() -> None:
    """A fixed decay of 0.998 would still hold 90 % of the first weights after 50 steps."""
    module = nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(1000.0)
    average = averaged(module, 0.998)
    average.update_parameters(module)
    for step in range(50):
        with torch.no_grad():
            module.weight.fill_(float(step))
        average.update_parameters(module)
    assert 40 < average.module.get_parameter("weight").item() < 49


def test_the_moving_average_reaches_its_configured_decay() -> None:
    module = nn.Linear(1, 1)
    average = averaged(module, 0.9)
    for _ in range(200):
        average.update_parameters(module)
    with torch.no_grad():
        before = module.weight.clone()
        module.weight += 1
    average.update_parameters(module)
    assert (average.module.get_parameter("weight") - before).item() == pytest.approx(0.1, abs=1e-4)


def test_buffers_are_averaged_and_counters_copied() -> None:
    norm = nn.BatchNorm2d(2)
    average = averaged(norm, 0.9)
    for value in (0.0, 1.0):
        norm.running_mean.fill_(value)  # type: ignore[union-attr]
        norm.num_batches_tracked.fill_(int(value) + 7)  # type: ignore[union-attr]
        average.update_parameters(norm)
    assert 0 < average.module.get_buffer("running_mean")[0] < 1
    assert average.module.get_buffer("num_batches_tracked") == 8


def test_an_untrained_head_thinks_every_class_equally_likely() -> None:
    probabilities = with_none(learner().eval()(torch.randn(2, 3, 48, 48))).softmax(dim=1)
    torch.testing.assert_close(probabilities, torch.full((2, 3), 1 / 3))


def test_a_fitted_head_separates_classes_that_the_features_separate() -> None:
    one = learner()
    random = np.random.default_rng(0)
    targets = np.arange(60) % 3
    pooled = random.normal(5, 0.1, (60, 16)).astype(np.float32)
    pooled[np.arange(60), targets] += 3
    one.fit_head(pooled, targets, c=10.0)
    features = (torch.from_numpy(pooled) - one.mean) / one.scale
    assert (features**2).sum(dim=1).mean().item() == pytest.approx(1, abs=0.01)
    logits = with_none(one.head(features))
    assert torch.equal(logits.argmax(dim=1), torch.from_numpy(targets))


def test_features_that_are_all_alike_give_no_nan() -> None:
    one = learner()
    one.fit_head(np.ones((4, 16), np.float32), np.array([0, 1, 0, 1]), c=10.0)
    assert torch.isfinite(one(torch.randn(1, 3, 32, 32))).all()


def test_architectures_keep_within_their_budgets() -> None:
    assert parameter_count(ResidualCNN("compact")) <= 1_384_193
    assert set(ARCHITECTURES) == {"compact", "tiny"}
