"""The settings in the [finetune] table of a recipe."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.finetune.network import ARCHITECTURES
from export.recipe import RecipeError

SMALLEST = 32


@dataclass(frozen=True)
class Settings:
    """Everything apart from the photos that determines how a network is trained.

    Attributes:
        network: an architecture of export/finetune/network.py to train from random weights; empty for the recipe's
            pretrained body.
        start_from: the body.pt of another run, to train that network further.
        unfreeze: "all", or how many of the network's last blocks are trained; the others stay as they are.
        norm: "frozen" batch norm keeps the statistics it came with; "updated" takes them from the batches.
        sizes: input size in pixels and epochs at it, in order.
        served_size: the input size of the body; 0 for the last of `sizes`. A little more than that is better: things
            look larger in random crops than in whole photos (Touvron et al. 2019, arXiv:1906.06423).
        balance: where photos come from several folders, a folder of n is shown in proportion to n to this power: 1
            shows every photo once an epoch, 0 all folders alike.
        learning_rate: the highest learning rate of the body, after the warm-up.
        head_learning_rate: the same for the head that is trained with the body and then discarded.
        weight_decay: for weights; norms and biases have none.
        warmup: share of the training in which the learning rate rises.
        crop_scale: the smallest share of a photo that a crop shows.
        none_crop_scale: the same for photos of none of the classes.
        none_share: the share of photos of none in an epoch; they are repeated or take turns to reach it.
        zoom_out: share of the photos that are shown small, at 0.3 to 0.7 of the side, in a photo of `scenes`. Those of
            none as well, so that the network cannot learn from the pasted edge.
        scenes: kinds of photos of none (their folders' names) that show places.
        colour: how much brightness, contrast and saturation change.
        label_smoothing: share of a photo's label that is spread over all classes.
        ema_decay: decay of the exponential moving average of the weights; the average is what is kept.
        pretrained_share: share of the pretrained weights in those that are kept (Wortsman et al. 2021,
            arXiv:2109.01903): what the training forgot of photos unlike the user's comes back.
    """

    network: str = ""
    start_from: str = ""
    unfreeze: int | str = "all"
    norm: str = "frozen"
    sizes: tuple[tuple[int, int], ...] = ((224, 5),)
    served_size: int = 0
    balance: float = 1.0
    batch_size: int = 16
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    crop_scale: float = 0.5
    none_crop_scale: float = 0.1
    none_share: float = 0.12
    zoom_out: float = 0.0
    scenes: tuple[str, ...] = ()
    colour: float = 0.2
    label_smoothing: float = 0.1
    ema_decay: float = 0.998
    pretrained_share: float = 0.0
    seed: int = 0

    @property
    def epochs(self) -> int:
        return sum(epochs for _, epochs in self.sizes)

    @property
    def input_size(self) -> int:
        """The input size that is served."""
        return self.served_size or self.sizes[-1][0]

    @property
    def stored_size(self) -> int:
        """Side in pixels at which photos are kept: a crop of an eighth less is not enlarged."""
        return max(size for size, _ in self.sizes) * 8 // 7

    def size_at(self, epoch: int) -> int:
        """The input size of an epoch, counted from 0."""
        for size, epochs in self.sizes:
            if epoch < epochs:
                return size
            epoch -= epochs
        raise ValueError("the epoch is past the end of the schedule")

    def as_json(self) -> str:
        """All settings, to compare two runs."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def read(values: Mapping[str, Any]) -> Settings:
    """Settings from a recipe's [finetune] table. Raises RecipeError with what is wrong."""
    fields = {each.name: each for each in dataclasses.fields(Settings)}
    if unknown := sorted(values.keys() - fields.keys()):
        raise RecipeError(
            f"The recipe's [finetune] table has settings that are not known: {', '.join(unknown)}. Known are "
            f"{', '.join(fields)}."
        )
    given = {name: _typed(name, value, fields[name].default) for name, value in values.items()}
    settings = Settings(**given)
    for name, right, wish in _conditions(settings):
        if not right:
            raise RecipeError(f"In the recipe's [finetune] table, {name} must be {wish}.")
    return settings


def _typed(name: str, value: Any, default: Any) -> Any:
    if name == "sizes":
        return _sizes(value)
    if name == "unfreeze":
        return value
    if name == "scenes":
        if isinstance(value, list | tuple) and all(isinstance(kind, str) for kind in value):
            return tuple(value)
        raise RecipeError("In the recipe's [finetune] table, scenes must be a list of names of folders.")
    wanted = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, wanted) or isinstance(value, bool):
        kind = {str: "text", int: "a whole number", float: "a number"}[type(default)]
        raise RecipeError(f"In the recipe's [finetune] table, {name} must be {kind}.")
    return type(default)(value)


def _sizes(value: Any) -> tuple[tuple[int, int], ...]:
    try:
        pairs = tuple((size, epochs) for size, epochs in value)
        if pairs and all(type(n) is int for pair in pairs for n in pair):
            return pairs
    except (TypeError, ValueError):
        pass
    raise RecipeError(
        "In the recipe's [finetune] table, sizes must be pairs of pixels and epochs, like [[128, 8], [160, 2]]."
    )


def _conditions(s: Settings) -> list[tuple[str, bool, str]]:
    shares = ("warmup", "none_share", "label_smoothing", "ema_decay", "zoom_out", "pretrained_share")
    blocks = type(s.unfreeze) is int and s.unfreeze > 0
    return [
        ("network", s.network in ("", *ARCHITECTURES), f"empty or one of {', '.join(ARCHITECTURES)}"),
        ("unfreeze", s.unfreeze == "all" or blocks, '"all" or a number of blocks'),
        ("norm", s.norm in ("frozen", "updated"), '"frozen" or "updated"'),
        (
            "sizes", all(size >= SMALLEST and size % 2 == 0 and epochs > 0 for size, epochs in s.sizes),
            f"even numbers of at least {SMALLEST} pixels, each for at least one epoch",
        ),
        (
            "served_size", s.served_size == 0 or (s.served_size >= SMALLEST and s.served_size % 2 == 0),
            f"0 or an even number of at least {SMALLEST} pixels",
        ),
        (
            "pretrained_share", not s.pretrained_share or not s.network or bool(s.start_from),
            "0 where the network starts with random weights",
        ),
        ("balance", 0 <= s.balance <= 1, "from 0 to 1"),
        ("scenes", bool(s.scenes) or not s.zoom_out, "named where zoom_out is above 0"),
        ("batch_size", s.batch_size > 0, "above 0"),
        *((name, getattr(s, name) >= 0, "at least 0") for name in (
            "learning_rate", "head_learning_rate", "weight_decay", "seed")),
        *((name, 0 <= getattr(s, name) < 1, "at least 0 and below 1") for name in (*shares, "colour")),
        *((name, 0 < getattr(s, name) <= 1, "above 0 and at most 1") for name in ("crop_scale", "none_crop_scale")),
    ]  # fmt: skip
