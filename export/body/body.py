"""A body is a directory: the int8 graph, its metadata, and features of photos of all kinds.

model/bodies/<name>/metadata.json    source, licence, layers, sha256 of the files beside it
model/bodies/<name>/body.onnx        `pixels` uint8 [N, H, W, 3] to `features` float32 [N, C, h, w]
model/bodies/<name>/features.npz     how features are normalised, and those of the negatives

Features are normalised so that heads need no settings of their own: each layer's are centred on the mean over photos
of all kinds and scaled to a mean squared norm of one. Both are linear, so they can be folded into the head's weights.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from export.errors import ExportError
from export.files import printable, read_json

# The pretrained bodies.
BODIES = Path(__file__).parent.parent.parent / "model" / "bodies"
METADATA, GRAPH, FEATURES = "metadata.json", "body.onnx", "features.npz"
# Levels of a stored feature of a negative: four bits. See `encode`.
LEVELS, LLOYD_ROUNDS = 16, 12


class BodyError(ExportError):
    """The body is missing, damaged, or does not match its sha256."""


@dataclass(frozen=True)
class Body:
    """A body whose files were verified.

    Attributes:
        graph: the ONNX file's bytes.
        input_size: side in pixels of the square that it takes.
        mean: float32 [C], subtracted from pooled features.
        scale: float32 [C], divides them afterwards.
        negatives: float32 [M, C], normalised features of photos of all kinds of things; M may be 0.
        kinds: what each negative shows, in a word.
    """

    name: str
    graph: bytes = field(repr=False)
    input_size: int
    mean: NDArray[np.float32] = field(repr=False)
    scale: NDArray[np.float32] = field(repr=False)
    negatives: NDArray[np.float32] = field(repr=False)
    kinds: tuple[str, ...] = field(repr=False)
    metadata: dict[str, Any] = field(repr=False)

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def digest(self) -> str:
        """A digest that changes whenever the features of a photo would."""
        return hashlib.sha256(self.graph + self.mean.tobytes() + self.scale.tobytes()).hexdigest()

    def session(self) -> onnxruntime.InferenceSession:
        """The graph in an onnxruntime session."""
        return session(self.graph)

    def normalise(self, pooled: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Pooled features [N, C], normalised as heads expect them."""
        return ((pooled - self.mean) / self.scale).astype(np.float32)


def session(graph: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """An onnxruntime session."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def load(directory: Path) -> Body:
    """Read a body and check its files against their sha256. Raises BodyError."""
    try:
        metadata = read_json(directory / METADATA)
        graph = _verified(directory / GRAPH, metadata["weights"]["sha256"])
        _verified(directory / FEATURES, metadata["features"]["sha256"])
        with np.load(directory / FEATURES) as stored:
            mean, scale = stored["mean"], stored["scale"]
            kinds = tuple(str(kind) for kind in stored["kind_names"][stored["kinds"]])
            negatives = decode(stored["codes"], stored["levels"])
        return Body(
            str(metadata["name"]), graph, int(metadata["input_size"]), mean, scale, negatives, kinds, metadata
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BodyError(f"The body {printable(directory)} cannot be used: {error}") from error


def _verified(path: Path, sha256: str) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BodyError(f"{printable(path)} does not match its sha256: it is not whole, or was changed.")
    return content


def encode(features: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Features [M, C] in four bits each, two to a byte, and the 16 levels [C, 16] of each channel.

    The levels are those that leave the least squared error (Lloyd 1982), which matters: some channels are never
    negative and mostly near zero, others lie around it.
    """
    if not len(features):
        channels = features.shape[1]
        return {
            "codes": np.zeros((0, (channels + 1) // 2), np.uint8),
            "levels": np.zeros((channels, LEVELS), np.float16),
        }
    levels = np.quantile(features, (np.arange(LEVELS) + 0.5) / LEVELS, axis=0).T
    codes = np.empty(features.shape, dtype=np.uint8)
    for channel, values in enumerate(features.T):
        for _ in range(LLOYD_ROUNDS):
            nearest = _nearest(levels[channel], values)
            counts = np.bincount(nearest, minlength=LEVELS)
            means = np.bincount(nearest, values, LEVELS) / np.maximum(counts, 1)
            levels[channel] = np.sort(np.where(counts > 0, means, levels[channel]))
        codes[:, channel] = _nearest(levels[channel], values)
    if features.shape[1] % 2:
        codes = np.concatenate([codes, np.zeros((len(codes), 1), np.uint8)], axis=1)
    return {"codes": codes[:, ::2] << 4 | codes[:, 1::2], "levels": levels.astype(np.float16)}


def decode(codes: NDArray[np.uint8], levels: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The features that `encode` stored: float32 [M, C]."""
    numbers = np.stack([codes >> 4, codes & 15], axis=2).reshape(len(codes), 2 * codes.shape[1])[
        :, : len(levels)
    ]
    return np.take_along_axis(levels.astype(np.float32).T, numbers.astype(np.intp), axis=0)


def _nearest(levels: NDArray[np.floating[Any]], values: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values)
