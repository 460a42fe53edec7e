"""A model's answers for photos, from the photo's bytes to the API's answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from api._classifier import Classifier, Prediction, available_cpus
from api._photo.errors import ImageError
from api._photo.image import decode
from api._registry import Model
from export.errors import ExportError
from export.files import printable
from export.photos import MAX_PIXELS
from export.photos.find import Photos
from export.photos.hashes import difference_hash

_T = TypeVar("_T")


@dataclass(frozen=True)
class Scores:
    """A model's answers: `probabilities` float64 [N, K], `recognized` float64 [N], `targets` int [N] (K: none)."""

    labels: tuple[str, ...]
    threshold: float
    paths: tuple[Path, ...]
    targets: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    recognized: NDArray[np.float64]
    kinds: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    # sha256 of each file; empty if the answers are not for files.
    digests: tuple[bytes, ...] = ()
    # Difference hash of each photo, likewise.
    hashes: tuple[int, ...] = ()

    def take(self, rows: Sequence[int]) -> Scores:
        """Only these photos' answers."""
        rows = list(rows)
        return replace(
            self, paths=tuple(self.paths[i] for i in rows), targets=self.targets[rows],
            probabilities=self.probabilities[rows], recognized=self.recognized[rows],
            kinds=tuple(self.kinds[i] for i in rows) if self.kinds else (),
            digests=tuple(self.digests[i] for i in rows) if self.digests else (),
            hashes=tuple(self.hashes[i] for i in rows) if self.hashes else (),
        )  # fmt: skip

    def without(self, rows: Collection[int]) -> Scores:
        """The answers for all photos except these."""
        return self.take([i for i in range(len(self.targets)) if i not in rows])

    def of_labels(self) -> Scores:
        """The answers for photos of the labels only."""
        return self.take(np.flatnonzero(self.labelled).tolist())

    @property
    def labelled(self) -> NDArray[np.bool_]:
        return self.targets < len(self.labels)

    @property
    def predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def accepted(self) -> NDArray[np.bool_]:
        return self.recognized >= self.threshold


def from_logits(
    labels: tuple[str, ...], photos: Photos, logits: NDArray[np.float64], temperature: float, threshold: float
) -> Scores:
    """The answers that a graph would give for these logits [N, K] of a head."""
    scaled = logits / temperature
    most = scaled.max(axis=1, keepdims=True)
    exponentials = np.exp(scaled - most)
    total = exponentials.sum(axis=1, keepdims=True)
    any_label = (most + np.log(total))[:, 0]
    return Scores(
        labels, threshold, photos.paths, np.asarray(photos.targets, dtype=np.int64), exponentials / total,
        1 / (1 + np.exp(-any_label)), photos.kinds,
    )  # fmt: skip


def score(
    model: Model,
    photos: Photos,
    change: Callable[[bytes], bytes] | None = None,
    title: str = "score",
) -> Scores:
    """Classify every photo; `change` may re-encode the bytes first. Unreadable photos are skipped.

    Raises ExportError when none can be read.
    """
    classifier = Classifier(model, threads=1)

    def ask(path: Path) -> tuple[Prediction, bytes, int] | str:
        try:
            content = path.read_bytes()
            pixels = decode(change(content) if change else content, model.input_size, MAX_PIXELS).pixels
        except ImageError as error:
            return str(error)
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        return classifier.predict(pixels[None])[0], hashlib.sha256(content).digest(), difference_hash(pixels)

    results = _of_each(ask, photos.paths, title)
    kept = [i for i, result in enumerate(results) if not isinstance(result, str)]
    answers = [result for result in results if not isinstance(result, str)]
    skipped = [
        f"{printable(path)}: {result}"
        for path, result in zip(photos.paths, results, strict=True)
        if isinstance(result, str)
    ]
    if not kept:
        raise ExportError(f"None of the {len(photos)} photos can be read. {skipped[0] if skipped else ''}")
    some = photos.take(kept)
    predictions, digests, hashes = zip(*answers, strict=True)
    return Scores(
        model.labels,
        model.recognized_threshold,
        some.paths,
        np.asarray(some.targets, dtype=np.int64),
        np.asarray([list(each.probabilities.values()) for each in predictions], dtype=np.float64),
        np.asarray([each.recognized_score for each in predictions], dtype=np.float64),
        some.kinds,
        tuple(skipped),
        digests,
        hashes,
    )


def _of_each(ask: Callable[[Path], _T], paths: Sequence[Path], title: str) -> list[_T]:
    """The results, in order, of as many threads as there are processors; Ctrl-C starts no further ones."""
    with ThreadPoolExecutor(available_cpus()) as pool:
        try:
            return list(tqdm(pool.map(ask, paths), title, len(paths), unit=" photos", mininterval=0.5))
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise


def latency_ms(model: Model, runs: int = 40) -> float:
    """Median milliseconds of one prediction, resized pixels to answer, on one thread.

    CPU time of that thread: on a busy machine wall time would include other programs.
    """
    classifier = Classifier(model, threads=1)
    pixels = np.zeros((1, model.input_size, model.input_size, 3), dtype=np.uint8)
    times = []
    for _ in range(runs + 5):
        started = time.thread_time()
        classifier.predict(pixels)
        times.append((time.thread_time() - started) * 1e3)
    return float(np.median(times[5:]))
