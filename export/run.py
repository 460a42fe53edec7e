"""A run: the folder that training writes and publishing reads. There is one format, whatever the recipe.

model.onnx       the served graph
run.json         labels, threshold, figures, recipe: what becomes the version's metadata.json
head.npz         the fitted head, on features normalised by the body
parity.npz       some photos' pixels and the logits that the head gives them
*.png            plots for the model card; mistakes.png and doubtful.png show photos and stay here
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api._registry import Model
from export.body.body import Body, session
from export.errors import ExportError
from export.files import printable, read_json, replacing, write_json
from export.graph.assemble import OUTPUTS
from export.head import Head

MODEL, METADATA, HEAD, PARITY = "model.onnx", "run.json", "head.npz", "parity.npz"
# Marks a folder as a run, also before the run is finished.
MARK = ".purrdict-run"
# Contact sheets: they show the user's photos and are never published.
SHEETS = ("mistakes.png", "doubtful.png")
PLOTS = (
    "confusion.png", "reliability.png", "recognized.png", "operating.png", "robustness.png", "learning.png",
)  # fmt: skip
# The float32 weights of a trained network, from which another training can start.
CHECKPOINT = "body.pt"
# What the training of a network tells, one line for each epoch.
LEARNING = "metrics.jsonl"
PARITY_PHOTOS = 8
# onnxruntime and NumPy add numbers in different orders, and int8 may round differently on another processor.
TOLERANCE = 0.02


class RunError(ExportError):
    """There is no finished run to read."""


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder."""

    folder: Path
    metadata: dict[str, Any]
    graph: bytes

    def model(self, version: str = "unpublished") -> Model:
        """The model as the service would have it."""
        return as_model(self.graph, self.metadata, self.folder, version)


def as_model(graph: bytes, metadata: dict[str, Any], folder: Path, version: str = "unpublished") -> Model:
    """A model that is not published yet, in the form that the code that serves takes."""
    return Model(
        version, folder, graph, tuple(metadata["labels"]), int(metadata["input_size"]),
        float(metadata["thresholds"]["recognized"]), metadata,
    )  # fmt: skip


def load(folder: Path) -> Run:
    """Read a run and check that its graph matches its metadata. Raises RunError."""
    try:
        metadata = read_json(folder / METADATA)
        graph = (folder / MODEL).read_bytes()
        sha256 = metadata["weights"]["sha256"]
    except FileNotFoundError as error:
        raise RunError(
            f"{printable(folder)} holds no finished run: {Path(str(error.filename)).name} is missing. "
            "`python -m export train` writes one."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"The run {printable(folder)} cannot be read: {error}") from error
    if hashlib.sha256(graph).hexdigest() != sha256:
        raise RunError(f"{printable(folder / MODEL)} is not the file that {METADATA} describes. Train again.")
    return Run(folder, metadata, graph)


def save(
    folder: Path, graph: bytes, metadata: dict[str, Any], body: Body, head: Head, pixels: NDArray[np.uint8]
) -> None:
    """Write the run's files; run.json comes last and marks the run as finished."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / METADATA).unlink(missing_ok=True)
    with replacing(folder / MODEL) as beside:
        beside.write_bytes(graph)
    with replacing(folder / HEAD) as beside:
        np.savez(beside, weights=head.weights, bias=head.bias, mean=body.mean, scale=body.scale)
    with replacing(folder / PARITY) as beside:
        np.savez_compressed(beside, pixels=pixels, logits=expected_logits(body, head, pixels))
    write_json(folder / METADATA, metadata)


def expected_logits(body: Body, head: Head, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The head's logits float32 [N, K], at temperature one, for pixels uint8 [N, S, S, 3]: body, then NumPy."""
    maps = np.asarray(body.session().run(["features"], {"pixels": pixels})[0])
    return head.logits(body.normalise(maps.mean(axis=(2, 3)))).astype(np.float32)


def parity(run: Run) -> float:
    """The largest difference between the served graph's logits and the head's, over their temperature.

    Raises RunError when it is above TOLERANCE: the file is then not the model that was trained.
    """
    try:
        with np.load(run.folder / PARITY) as stored:
            pixels, wanted = stored["pixels"], stored["logits"] / run.metadata["temperature"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise RunError(f"{printable(run.folder / PARITY)} cannot be read: {error}. Train again.") from error
    probabilities, recognized = session(run.graph).run(OUTPUTS[:2], {"pixels": pixels})
    shifted = wanted - wanted.max(axis=1, keepdims=True)
    expected = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    any_label = wanted.max(axis=1) + np.log(np.exp(shifted).sum(axis=1))
    difference = max(
        float(np.abs(np.asarray(probabilities) - expected).max()),
        float(np.abs(np.asarray(recognized) - 1 / (1 + np.exp(-any_label))).max()),
    )
    if not difference <= TOLERANCE:
        raise RunError(
            f"The served graph differs from the fitted head by {difference:.2g}, more than {TOLERANCE:g}. "
            "Train again, on this machine."
        )
    return difference
