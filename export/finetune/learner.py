"""What is trained: a network with a linear head on its pooled features, and the moving average of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from export import head as heads
from export.finetune.network import Network
from export.finetune.settings import Settings


class Learner(nn.Module):
    """Normalised photos float [N, 3, S, S], or the output of the first `given` blocks, to one logit for each label,
    float [N, K].

    The head is needed only for training and is discarded: the served model gets another one, fitted on the
    int8 features (export/head.py). Before `fit_head` every label has the same logit.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, network: Network, labels: int, settings: Settings) -> None:
        super().__init__()
        channels = sum(network.parts)
        self.network = network
        self.given = 0
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.head = nn.Linear(channels, labels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self._still = _freeze(network, settings)

    def pooled(self, x: Tensor) -> Tensor:
        """The network's features, averaged over the photo, float [N, C]."""
        maps: Tensor = self.network.rest(x, self.given) if self.given else self.network(x)
        return maps.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head((self.pooled(x) - self.mean) / self.scale)
        return logits

    def train(self, mode: bool = True) -> Learner:
        """Switch to training; frozen norms keep their statistics."""
        super().train(mode)
        for module in self._still:
            module.eval()
        return self

    def fit_head(self, pooled: NDArray[np.float32], targets: NDArray[np.int64], c: float) -> None:
        """Begin with a fitted head on the pooled features [N, C] of the training photos.

        A random head would at first distort good features (Kumar et al. 2022, arXiv:2202.10054).
        """
        mean, scale, first = pooled.mean(axis=0), np.ones(pooled.shape[1], np.float32), 0
        for channels in self.network.parts:
            part = pooled[:, first : first + channels] - mean[first : first + channels]
            scale[first : first + channels] = max(1e-6, float(np.sqrt((part**2).sum(axis=1).mean())))
            first += channels
        head = heads.fit((pooled - mean) / scale, targets, self.head.out_features, c)
        with torch.no_grad():
            self.mean.copy_(torch.from_numpy(mean))
            self.scale.copy_(torch.from_numpy(scale))
            self.head.weight.copy_(torch.from_numpy(head.weights))
            self.head.bias.copy_(torch.from_numpy(head.bias))


def frozen_blocks(network: Network, settings: Settings) -> int:
    """How many of the first blocks are left as they are, the stem with them; -1 if not even the stem is."""
    blocks = len(network.layers()) - 2
    return -1 if settings.unfreeze == "all" else max(0, blocks - int(settings.unfreeze))


def _freeze(network: Network, settings: Settings) -> list[nn.Module]:
    """Leave only the last blocks to be trained; return the modules that are to stay in evaluation mode."""
    count = frozen_blocks(network, settings)
    still = [module for layer in network.layers()[: count + 1] for module in layer]
    for module in still:
        module.requires_grad_(False)
    if settings.norm == "frozen":
        still += [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return still


def parameter_groups(learner: Learner, settings: Settings) -> list[dict[str, Any]]:
    """Parameter groups for the optimizer; `most` is the highest learning rate of each.

    Norms and biases have no weight decay: it would pull the features to zero, not regularise them.
    """
    groups = []
    for module, rate in (
        (learner.network, settings.learning_rate),
        (learner.head, settings.head_learning_rate),
    ):
        trained = [p for p in module.parameters() if p.requires_grad]
        for params, decay in (
            ([p for p in trained if p.dim() > 1], settings.weight_decay), ([p for p in trained if p.dim() <= 1], 0.0),
        ):  # fmt: skip
            if params:
                groups.append({"params": params, "weight_decay": decay, "lr": rate, "most": rate})
    return groups


def averaged(learner: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of all weights and buffers, `averaged(...).module`."""
    return AveragedModel(learner, multi_avg_fn=_warmed(decay), use_buffers=True)


def mix_in(network: nn.Module, start: Mapping[str, Tensor], share: float) -> None:
    """Give the network this share of the weights `start`, a state_dict of before the training.

    Result: EfficientNet-Lite0, its last five blocks trained by export/recipes/wild.toml, accuracy on val of three seeds
    without and with 0.4: 98.5, 98.6, 98.3 and 98.8, 98.7, 98.6 %; pets from elsewhere unrecognized 2.9, 1.6, 1.6 and
    1.3, 1.3, 1.0 %.
    """
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(start[name].to(value), share)


def _warmed(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    @torch.no_grad()
    def average(kept: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor | int) -> None:
        # A fixed decay of 0.998 still holds a third of the random weights after 500 steps; where steps are few, the
        # average must be shorter.
        step = int(steps)
        now = min(decay, (1 + step) / (10 + step))
        for old, new in zip(kept, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new.to(old.dtype), 1 - now)
            else:
                old.copy_(new)

    return average
