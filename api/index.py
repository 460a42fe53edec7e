"""The function: a FastAPI app that answers what is in a photo. Every platform imports `app` from here."""

# ruff: noqa: E402
from api import _start

_start.begin()

import asyncio
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.routing import Match

from api import _apidocs, _openapi, _settings
from api._body import MAX_BATCH, BodyError, read_photo, read_photos
from api._classifier import Classifier, Prediction, available_cpus
from api._image import READABLE, ImageError, Photo, decode, load_decoders
from api._labels import purpose
from api._load import RETRY_AFTER_S, Load, OverloadError
from api._page import Page
from api._registry import Model, ModelError
from api._registry import load as load_model
from api._requests import FailureMiddleware, RequestMiddleware, configure_logging, log, record_of
from api._root_path import RootPathMiddleware
from api._schemas import (
    BatchAnswer,
    BatchError,
    BatchItem,
    Error,
    Health,
    Heatmap,
    Index,
    ModelInfo,
    PredictionAnswer,
    now,
)
from api._security import Cors, KeyCheck, SecurityHeaders
from api._settings import Settings

API_VERSION = "1.0.0"

_T = TypeVar("_T")

Explain = Annotated[bool, Query(description="Add the heatmap: where the network saw the predicted label.")]

_BINARY = {"type": "string", "format": "binary"}
_BINARIES = {"type": "array", "items": _BINARY, "minItems": 1, "maxItems": MAX_BATCH}


def _error(description: str, example: str) -> dict[str, Any]:
    return {
        "model": Error,
        "description": description,
        "content": {"application/json": {"example": {"detail": example}}},
    }


_KEY_ERRORS = {401: _error("API key missing or wrong.", "The API key is wrong.")}
_PREDICT_ERRORS = {
    400: _error("No readable image.", "The file is empty. Send a photo."),
    408: _error("The body came too slowly.", "The upload took over 30 seconds. Send a smaller photo."),
    413: _error("Too many bytes, pixels or photos.", "The upload is over the limit of 4,500,000 bytes."),
    422: _error("No file in the request, or a wrong parameter.", "No photo in the field `file`."),
    503: _error(
        "No usable model; or, with the header Retry-After, too many photos waiting.",
        "No model is published: model/latest cannot be read.",
    ),
}


@dataclass(frozen=True)
class Service:
    """What a process holds between requests: the classifier, or the reason why there is none."""

    settings: Settings
    classifier: Classifier | None
    reason: str
    workers: ThreadPoolExecutor
    load: Load

    @classmethod
    def start(cls, settings: Settings) -> "Service":
        """Loads the model. A registry without a usable one gives a service that says so."""
        workers = ThreadPoolExecutor(available_cpus(), thread_name_prefix="predict")
        load = Load(settings.max_upload_bytes)
        workers.submit(load_decoders)  # while the model loads
        try:
            model = load_model(settings.model_dir, settings.model_version)
            return cls(settings, Classifier(model, settings.threads), "", workers, load)
        except ModelError as error:
            log.error("no usable model", extra={"fields": {"reason": str(error)}})
            return cls(settings, None, str(error), workers, load)

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
            HTTPException: 503 when there is no usable model.
        """
        if self.classifier is None:
            raise HTTPException(503, self.reason)
        return self.classifier

    async def work(self, photos: int, job: Callable[[], _T]) -> _T:
        """Runs a job on so many photos off the event loop, on as many threads as there are processors.

        Raises:
            OverloadError: too many photos wait already.
        """
        with self.load.work(photos):
            return await asyncio.get_running_loop().run_in_executor(self.workers, job)

    def predict(self, data: bytes, explain: bool) -> tuple[Prediction, dict[str, float]]:
        """Decodes and classifies one photo; the timings in milliseconds come along.

        Raises:
            ImageError: the photo cannot be read.
        """
        classifier = self.ready()
        photo = decode(data, classifier.model.input_size, self.settings.max_pixels)
        start = time.perf_counter()
        prediction = classifier.predict(photo.pixels[np.newaxis], explain=explain)[0]
        return prediction, {**_decoding(photo), "infer": _ms_since(start)}

    def predict_batch(
        self, files: list[bytes], explain: bool
    ) -> tuple[list[Prediction | ImageError], dict[str, float]]:
        """Decodes and classifies several photos; one that cannot be read gives its error in its place."""
        classifier = self.ready()
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


def _decoding(photo: Photo) -> dict[str, float]:
    return {"decode": photo.decode_ms, "resize": photo.resize_ms}


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1e3


def _answer(prediction: Prediction) -> dict[str, Any]:
    answer = prediction.answer()
    if prediction.heatmap is not None:
        rows, columns = prediction.heatmap.shape
        values = np.clip(prediction.heatmap, 0.0, 1.0).astype(float).round(3).tolist()
        answer["heatmap"] = Heatmap(label=prediction.label, rows=rows, columns=columns, values=values)
    return answer


def create_app(settings: Settings) -> FastAPI:
    """The ASGI app for these settings; the model is loaded here, once for the process."""
    configure_logging(settings.log_level)
    service = Service.start(settings)
    app = FastAPI(
        title="Purrdict",
        version=API_VERSION,
        openapi_url="/openapi.json" if settings.enable_docs else None,
        docs_url=None,
        redoc_url=None,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    # The last one added is the outermost.
    app.add_middleware(FailureMiddleware)
    if settings.allowed_origins:
        app.add_middleware(Cors, origins=settings.allowed_origins)
    app.add_middleware(RequestMiddleware, security=SecurityHeaders(settings.frame_ancestors))
    app.add_middleware(RootPathMiddleware, root_path=settings.root_path)
    _add_errors(app)
    page = Page(_settings.ROOT / "web")
    _openapi.document(app, service.model, service.message)
    _add_information(app, service, page)
    _add_predictions(app, service)
    if settings.enable_docs:
        app.router.routes += _apidocs.routes()
    app.router.routes += page.routes()
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(BodyError)
    @app.exception_handler(ImageError)
    async def refused(request: Request, error: BodyError | ImageError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, error.status)

    @app.exception_handler(OverloadError)
    async def overloaded(request: Request, error: OverloadError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503, headers={"Retry-After": str(RETRY_AFTER_S)})

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors()]
        return JSONResponse({"detail": f"A parameter is wrong. {'; '.join(problems)}."}, 422)

    @app.exception_handler(405)
    async def wrong_method(request: Request, error: HTTPException) -> JSONResponse:
        # The framework knows the methods of one route only, and GET and HEAD of an address may be two.
        found = [route for route in app.routes if route.matches(request.scope)[0] is Match.PARTIAL]
        methods = sorted({method for route in found for method in getattr(route, "methods", None) or ()})
        detail = f"This address takes {' and '.join(methods)} only."
        return JSONResponse({"detail": detail}, 405, headers={"Allow": ", ".join(methods)})


def _add_information(app: FastAPI, service: Service, page: Page) -> None:
    endpoints = {
        "health": "/health",
        "predict": "/predict",
        "predict_batch": "/predict/batch",
        "model_info": "/model/info",
    }
    if service.settings.enable_docs:
        endpoints |= {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json"}

    # HEAD is no operation of its own in the documentation: it is GET, for those who want no body.
    @app.head("/", include_in_schema=False)
    @app.get(
        "/", response_model=Index, tags=["information"], summary="The API to programs, the page to browsers"
    )
    async def index(request: Request) -> Any:
        headers = {"Vary": "Accept"}
        if page and "text/html" in request.headers.get("accept", ""):
            response = await page.index(request)
            response.headers.update(headers)
            return response
        body = Index(
            message=service.message,
            version=API_VERSION,
            status="running" if service.classifier else "degraded",
            endpoints={name: request.scope["root_path"] + path for name, path in endpoints.items()},
        )
        return JSONResponse(body.model_dump(), headers=headers)

    @app.head("/health", include_in_schema=False)
    @app.get(
        "/health",
        response_model=Health,
        responses={503: {"model": Health, "description": "There is no usable model; `detail` says why."}},
        tags=["information"],
        summary="Whether the service can predict",
    )
    async def health() -> Any:
        healthy = service.classifier is not None
        body = Health(
            status="healthy" if healthy else "unhealthy",
            model_loaded=healthy,
            device="cpu",
            model_version=service.classifier.model.version if service.classifier else None,
            detail=service.reason or None,
            timestamp=now(),
        )
        return JSONResponse(body.model_dump(), 200 if healthy else 503)

    @app.head("/model/info", include_in_schema=False)
    @app.get("/model/info", response_model=ModelInfo, tags=["information"], summary="The published model")
    async def model_info() -> Any:
        model = service.model
        metadata = model.metadata if model else {}
        size = metadata.get("input_size")
        return ModelInfo(
            model_loaded=service.classifier is not None,
            model_type=metadata.get("architecture"),
            num_parameters=metadata.get("parameters"),
            device="cpu",
            classes=list(model.labels) if model else None,
            input_size=[size, size] if size else None,
            test_accuracy=metadata.get("metrics", {}).get("test", {}).get("accuracy"),
            metadata=metadata or None,
        )

    # Beside the page for browsers that run the model themselves: the very bytes that this process checked and runs.
    @app.head("/model/metadata.json", include_in_schema=False)
    @app.get("/model/metadata.json", include_in_schema=False)
    async def metadata(request: Request) -> Response:
        model = service.ready().model
        body = json.dumps(model.metadata, ensure_ascii=False).encode()
        return _published(
            request, body, "application/json", f"{model.metadata['weights']['sha256']}-metadata"
        )

    @app.head("/model/model.onnx", include_in_schema=False)
    @app.get("/model/model.onnx", include_in_schema=False)
    async def weights(request: Request) -> Response:
        model = service.ready().model
        return _published(
            request, model.weights, "application/octet-stream", model.metadata["weights"]["sha256"]
        )


def _published(request: Request, body: bytes, media_type: str, tag: str) -> Response:
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _add_predictions(app: FastAPI, service: Service) -> None:
    keys = service.settings.api_keys
    common: dict[str, Any] = {
        "tags": ["prediction"],
        "dependencies": [Depends(KeyCheck(keys))] if keys else [],
        "responses": {**_PREDICT_ERRORS, **(_KEY_ERRORS if keys else {})},
        "response_model_exclude_none": True,
    }
    limit = service.settings.max_upload_bytes

    @app.post(
        "/predict",
        response_model=PredictionAnswer,
        summary="What is in this photo",
        openapi_extra=_request_body({"file": _BINARY}, raw=True),
        **common,
    )
    async def predict(request: Request, explain: Explain = False) -> Any:
        service.ready()
        with service.load.upload() as upload:
            data = await read_photo(request, limit, upload.add)
            prediction, timings = await service.work(1, lambda: service.predict(data, explain))
        record = record_of(request.scope)
        record.photos, record.timings = 1, timings
        record.prediction, record.recognized = prediction.label, prediction.recognized
        return PredictionAnswer(**_answer(prediction), **_closing(service, timings))

    @app.post(
        "/predict/batch",
        response_model=BatchAnswer,
        summary="What is in each of these photos",
        openapi_extra=_request_body({"files": _BINARIES}),
        **common,
    )
    async def predict_batch(request: Request, explain: Explain = False) -> Any:
        service.ready()
        with service.load.upload() as upload:
            files = await read_photos(request, limit, upload.add)
            results, timings = await service.work(len(files), lambda: service.predict_batch(files, explain))
        record = record_of(request.scope)
        record.photos, record.timings = len(files), timings
        return BatchAnswer(
            results=[_item(index, result) for index, result in enumerate(results)],
            **_closing(service, timings),
        )


def _item(index: int, result: Prediction | ImageError) -> BatchItem | BatchError:
    if isinstance(result, ImageError):
        return BatchError(index=index, status=result.status, detail=str(result))
    return BatchItem(index=index, **_answer(result))


def _closing(service: Service, timings: dict[str, float]) -> dict[str, Any]:
    return {
        "model_version": service.ready().model.version,
        "processing_time_ms": round(sum(timings.values()), 2),
        "timestamp": now(),
    }


def _request_body(properties: dict[str, Any], raw: bool = False) -> dict[str, Any]:
    # The routes read the body themselves (see _body.py), so FastAPI cannot know what to document.
    form = {"schema": {"type": "object", "required": list(properties), "properties": properties}}
    content: dict[str, Any] = {"multipart/form-data": form}
    if raw:
        content |= {f"image/{name.lower()}": {"schema": _BINARY} for name in READABLE}
    return {"requestBody": {"required": True, "content": content}}


app = create_app(_settings.load())
_start.end()
