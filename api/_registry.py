"""The model registry: a directory of published models, read and checked before anything is served.

model/latest                                 a text file that names the version served
model/versions/<version>/metadata.json       what a consumer needs to trust it
model/versions/<version>/model.onnx          the weights, whose size and sha256 the metadata states
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class ModelError(Exception):
    """No usable model; the message says what is wrong with which file."""


@dataclass(frozen=True)
class Model:
    """One published model, whole and verified.

    Attributes:
        weights: the ONNX file's bytes. They are the very bytes whose sha256 was checked, so that nothing can change
            them between the check and the session that runs them.
        labels: class names, in the order of the network's `probabilities`.
        input_size: side in pixels of the square that the network takes.
        recognized_threshold: the least `recognized` score that counts as one of the labels.
        metadata: `metadata.json` as published.
    """

    version: str
    directory: Path
    weights: bytes = field(repr=False)
    labels: tuple[str, ...]
    input_size: int
    recognized_threshold: float
    metadata: dict[str, Any] = field(repr=False)


def read_model(root: Path, version: str | None = None) -> Model:
    """Reads the model `version` (default: the one that `latest` names) from the registry at `root`.

    Raises:
        ModelError: the registry, the version or one of its files is missing, unreadable, incomplete, or its weights
            are not those that were published.
    """
    version = version or _latest(root)
    directory = root / "versions" / version
    if not directory.is_dir():
        raise ModelError(f"Model {version} is not published: there is no folder {_short(directory)}.")
    metadata = _metadata(directory / "metadata.json")
    try:
        weights_entry = metadata["weights"]
        model = Model(
            version=str(metadata["version"]),
            directory=directory,
            weights=_weights(directory / str(weights_entry["file"]), weights_entry),
            labels=tuple(str(label) for label in metadata["labels"]),
            input_size=int(metadata["input_size"]),
            recognized_threshold=float(metadata["thresholds"]["recognized"]),
            metadata=metadata,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        name = _short(directory / "metadata.json")
        raise ModelError(f"{name} is incomplete: {type(error).__name__} {error}.") from error
    _check(model, version)
    return model


def _latest(root: Path) -> str:
    path = root / "latest"
    try:
        version = _text(path).strip()
    except OSError as error:
        raise ModelError(f"No model is published: {_short(path)} cannot be read.") from error
    # The name of a folder, that must not climb out of the registry.
    if not re.fullmatch(r"[^\s/\\\0.][^\s/\\\0]{0,99}", version):
        raise ModelError(f"{_short(path)} must hold one version, like 1.0.0.")
    return version


def _text(path: Path) -> str:
    """A text file as editors save it: UTF-8, with the mark in front that those of Windows add, or without.

    Raises:
        ModelError: it is no UTF-8.
        OSError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModelError(f"{_short(path)} is no UTF-8. Save it again, as UTF-8.") from error


def _metadata(path: Path) -> dict[str, Any]:
    try:
        metadata = json.loads(_text(path))
    except OSError as error:
        raise ModelError(f"{_short(path)} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{_short(path)} is no valid JSON: {error}.") from error
    if not isinstance(metadata, dict):
        raise ModelError(f"{_short(path)} must hold a JSON object.")
    return metadata


def _weights(path: Path, entry: dict[str, Any]) -> bytes:
    if Path(path.name) != Path(str(entry["file"])):
        raise ModelError(f"The weights {entry['file']!r} must lie beside metadata.json.")
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{_short(path)} cannot be read: {error.strerror}.") from error
    expected = int(entry["bytes"])
    if len(weights) != expected:
        raise ModelError(
            f"{_short(path)} has {len(weights):,} bytes, not the published {expected:,}: it is not whole."
        )
    if hashlib.sha256(weights).hexdigest() != entry["sha256"]:
        raise ModelError(
            f"{_short(path)} does not match its published sha256: it was changed after publishing."
        )
    return weights


def _check(model: Model, version: str) -> None:
    name = _short(model.directory / "metadata.json")
    if model.version != version:
        raise ModelError(f"{name} says version {model.version}, but its folder says {version}.")
    if len(model.labels) < 2 or len(set(model.labels)) != len(model.labels):
        raise ModelError(f"{name} must name at least two different labels.")
    if not 1 <= model.input_size <= 4096:
        raise ModelError(
            f"{name} has an input size of {model.input_size}, which is not from 1 to 4096 pixels."
        )


def _short(path: Path) -> str:
    # /health shows these messages to the public: the path from the registry down is enough, the server's own is not.
    parts = path.parts
    above = 1 + parts[::-1].index("versions") if "versions" in parts[-3:-1] else 1
    return "/".join(parts[-above - 1 :])
