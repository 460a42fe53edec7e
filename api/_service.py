"""Bytes → answer: what a process holds between requests, and what it does with photos."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from api._admission import Admission
from api._answers import BatchAnswer, PredictionAnswer, closing
from api._classifier import Classifier, Prediction, available_cpus
from api._labels import purpose
from api._photo.errors import ImageError
from api._photo.image import Photo, decode, import_decoders
from api._registry import Model, ModelError, read_model
from api._requests import log
from api._settings import Settings

_T = TypeVar("_T")
# What was done with a request's photos → the milliseconds that it took.
Timings = dict[str, float]


class UnavailableError(Exception):
    """There is no usable model; the message says why."""


@dataclass(frozen=True)
class Service:
    """The classifier, or the reason why there is none, and the threads that it runs on."""

    settings: Settings
    classifier: Classifier | None
    reason: str
    workers: ThreadPoolExecutor
    admission: Admission

    @classmethod
    def start(cls, settings: Settings) -> "Service":
        """Reads the model. A registry without a usable one gives a service that says so."""
        workers = ThreadPoolExecutor(available_cpus(), thread_name_prefix="predict")
        admission = Admission(settings.max_upload_bytes)
        workers.submit(import_decoders)  # while the model loads
        try:
            model = read_model(settings.model_dir, settings.model_version)
            return cls(settings, Classifier(model, settings.threads), "", workers, admission)
        except ModelError as error:
            log.error("no usable model", extra={"fields": {"reason": str(error)}})
            return cls(settings, None, str(error), workers, admission)

    @property
    def model(self) -> Model | None:
        """The model served; None without a usable one."""
        return self.classifier.model if self.classifier else None

    @property
    def message(self) -> str:
        """What the service is for, and how to begin."""
        return f"Purrdict {purpose(self.model.labels if self.model else ())}. POST one to /predict."

    def ready(self) -> Classifier:
        """The classifier.

        Raises:
            UnavailableError: there is no usable model.
        """
        if self.classifier is None:
            raise UnavailableError(self.reason)
        return self.classifier

    async def predict(self, data: bytes, explain: bool) -> tuple[PredictionAnswer, Timings]:
        """Decodes and classifies one photo.

        Raises:
            ImageError: the photo cannot be read.
            OverloadError: too many photos wait already.
            UnavailableError: there is no usable model.
        """
        classifier = self.ready()
        waited, (prediction, timings) = await self._work(1, lambda: self._predict(classifier, data, explain))
        answer = PredictionAnswer.of(prediction, **closing(classifier.model.version, timings))
        return answer, {"queue": waited, **timings}

    async def predict_batch(self, files: list[bytes], explain: bool) -> tuple[BatchAnswer, Timings]:
        """Decodes and classifies several photos; one that cannot be read gives its error in its place.

        Raises:
            OverloadError, UnavailableError: as above.
        """
        classifier = self.ready()
        waited, (results, timings) = await self._work(
            len(files), lambda: self._predict_batch(classifier, files, explain)
        )
        answer = BatchAnswer.of(results, **closing(classifier.model.version, timings))
        return answer, {"queue": waited, **timings}

    async def _work(self, photos: int, job: Callable[[], _T]) -> tuple[float, _T]:
        """Runs a job on so many photos off the event loop, on as many threads as there are processors.

        Returns:
            The milliseconds that it waited for a thread, and the job's result.
        """
        submitted = time.perf_counter()
        with self.admission.work(photos):
            return await asyncio.get_running_loop().run_in_executor(
                self.workers, lambda: (_ms_since(submitted), job())
            )

    def _predict(self, classifier: Classifier, data: bytes, explain: bool) -> tuple[Prediction, Timings]:
        photo = decode(data, classifier.model.input_size, self.settings.max_pixels)
        start = time.perf_counter()
        prediction = classifier.predict(photo.pixels[np.newaxis], explain=explain)[0]
        return prediction, {**_decoding(photo), "infer": _ms_since(start)}

    def _predict_batch(
        self, classifier: Classifier, files: list[bytes], explain: bool
    ) -> tuple[list[Prediction | ImageError], Timings]:
        timings = {"decode": 0.0, "resize": 0.0}
        photos: list[Photo | ImageError] = []
        for data in files:
            try:
                photo = decode(data, classifier.model.input_size, self.settings.max_pixels)
                photos.append(photo)
                timings = {name: timings[name] + ms for name, ms in _decoding(photo).items()}
            except ImageError as error:
                photos.append(error)
        good = [photo.pixels for photo in photos if isinstance(photo, Photo)]
        start = time.perf_counter()
        predictions = iter(classifier.predict(np.stack(good), explain=explain) if good else [])
        results = [photo if isinstance(photo, ImageError) else next(predictions) for photo in photos]
        return results, {**timings, "infer": _ms_since(start)}


def _decoding(photo: Photo) -> Timings:
    return {"decode": photo.decode_ms, "resize": photo.resize_ms}


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1e3
