"""The files of a training: `last.ckpt`, to resume from after an interruption, and `body.pt`, the trained network."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from export.errors import ExportError
from export.files import printable, replacing
from export.finetune.network import Network

LAST = "last.ckpt"
FORMAT = 1


class TrainingError(ExportError):
    """Training cannot start or go on."""


@dataclass(frozen=True)
class Identity:
    """What must be equal for one run to resume another.

    Attributes:
        settings: those of the recipe, as JSON.
        network: its name.
        photos: a digest of the training photos and their classes.
    """

    settings: str
    network: str
    labels: tuple[str, ...]
    photos: str

    def values(self) -> dict[str, Any]:
        """Plain values for the checkpoint."""
        return {
            "format": FORMAT, "settings": self.settings, "network": self.network, "labels": list(self.labels),
            "photos": self.photos,
        }  # fmt: skip


def read_last(path: Path, wanted: Identity) -> dict[str, Any]:
    """The state that `write_last` wrote. Raises TrainingError if it is damaged or belongs to another run."""
    state = _read(path, "checkpoint")
    elsewhere = "Undo the change, or choose another --out."
    try:
        if state["settings"] != wanted.settings or state["network"] != wanted.network:
            raise TrainingError(f"{printable(path)} was trained by another recipe. {elsewhere}")
        if tuple(state["labels"]) != wanted.labels:
            raise TrainingError(
                f"{printable(path)} was trained with other labels: {_changes(state['labels'], wanted.labels)}. "
                f"{elsewhere}"
            )
        if state["photos"] != wanted.photos:
            raise TrainingError(f"{printable(path)} was trained on other photos. {elsewhere}")
    except (KeyError, TypeError) as error:
        raise TrainingError(f"{printable(path)} is no checkpoint of this program.") from error
    return state


def _changes(old: list[str], new: tuple[str, ...]) -> str:
    parts = [
        f"{word} {', '.join(map(printable, names))}"
        for word, names in (
            ("without", [each for each in new if each not in old]),
            ("with", [each for each in old if each not in new]),
        )
        if names
    ]
    return " and ".join(parts) or "in another order"


def write_last(fabric: Fabric, path: Path, identity: Identity, state: dict[str, Any]) -> None:
    """Write the state, whole or not at all. All processes must call it. Raises TrainingError if that fails."""
    try:
        with replacing(path) if fabric.is_global_zero else _nowhere(path) as beside:
            fabric.save(beside, {**identity.values(), **state})
    except (OSError, RuntimeError) as error:
        # PyTorch reports a full disk as a RuntimeError.
        raise TrainingError(
            f"The checkpoint {printable(path)} cannot be written: {error}. The one of the epoch before is whole: make "
            "room and add --resume."
        ) from error


class _nowhere:  # noqa: N801 - stands for a context manager that is a function
    """The target of the processes that must not write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        return None


def write_network(network: Network, path: Path) -> None:
    """Write a network's float32 weights, from which `start_from` trains it further."""
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    with replacing(path) as beside:
        torch.save({"format": FORMAT, "network": network.name, "weights": weights}, beside)


def read_network(network: Network, path: Path) -> None:
    """Load the weights that `write_network` wrote. Raises TrainingError if they are those of another architecture."""
    state = _read(path, "network")
    try:
        if state["network"] != network.name:
            raise TrainingError(
                f"{printable(path)} holds a network of another kind, {state['network']}; the recipe trains "
                f"{network.name}."
            )
        network.load_state_dict(state["weights"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise TrainingError(f"{printable(path)} holds no network of this program.") from error


def _read(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        raise TrainingError(f"There is no {what} {printable(path)}.")
    try:
        # PyTorch itself does not check the file's checksums.
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"{damaged} is damaged")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError("it holds something else")
    except Exception as error:  # a damaged file can make the unpickler raise anything
        raise TrainingError(
            f"{printable(path)} is no readable {what}: it is cut off, damaged, or something else. Remove it to start "
            "again."
        ) from error
    return state
