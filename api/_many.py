"""Many photos: the loop over threads, and one photo's outcome. `python -m api predict` and bulk/ share them."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from api._classifier import Classifier, Prediction
from api._photo.errors import ImageError
from api._photo.image import Photo, decode

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")

# How many results for each thread may wait for an earlier one: enough that no thread waits for a slow photo.
_AHEAD = 4


@dataclass(frozen=True)
class Outcome:
    """The result for one photo: an answer, or a sentence that says why there is none.

    Attributes:
        prediction: the answer; None with an error.
        photo: the decoded photo; None with an error.
        error: a sentence; empty with an answer.
        kind: of the error, for counting: empty, no image, damaged, too large, missing, unreadable.
    """

    prediction: Prediction | None = None
    photo: Photo | None = None
    error: str = ""
    kind: str = ""


def outcome(classifier: Classifier, data: bytes, max_pixels: int, *, explain: bool = False) -> Outcome:
    """Decodes and classifies one photo, exactly as a request does; never raises for what a file can hold."""
    try:
        photo = decode(data, classifier.model.input_size, max_pixels)
    except ImageError as error:
        return Outcome(error=str(error), kind=_kind(data, error))
    prediction = classifier.predict(photo.pixels[None], explain=explain)[0]
    return Outcome(prediction, photo)


def _kind(data: bytes, error: ImageError) -> str:
    if not data:
        return "empty"
    if error.status == 413:
        return "too large"
    return "damaged" if error.damaged else "no image"


def file_outcome(classifier: Classifier, path: Path, max_pixels: int) -> Outcome:
    """The same for a file, which may be missing."""
    try:
        return outcome(classifier, path.read_bytes(), max_pixels)
    except OSError as error:
        kind = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
        return Outcome(error=f"It cannot be read: {error.strerror}.", kind=kind)
    except MemoryError:
        return Outcome(error="It is too large to be read.", kind="too large")


def in_order(
    work: Callable[[_Job], _Result], jobs: Iterable[_Job], threads: int, ahead: int | None = None
) -> Iterator[_Result]:
    """`work(job)` for each job on so many threads; results come in the order of the jobs.

    Jobs are taken from their iterator as results are taken from this one, so that neither pile up. A caller that stops
    taking, or is interrupted, waits only for what has begun.
    """
    ahead = ahead or threads * _AHEAD
    pool = ThreadPoolExecutor(threads, thread_name_prefix="photos")
    pending: deque[Future[_Result]] = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(work, job))
            if len(pending) >= ahead:
                yield _result(pending.popleft())
        while pending:
            yield _result(pending.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _result(future: "Future[_Result]") -> _Result:
    if os.name != "nt":
        return future.result()
    while True:  # on Windows nothing interrupts a wait without an end, not even Ctrl-C
        try:
            return future.result(timeout=0.2)
        except TimeoutError:
            if future.done():
                raise
