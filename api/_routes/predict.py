"""`POST /predict` and `POST /predict/batch`: from the request to the service and back."""

import time
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request

from api._answers import BatchAnswer, BatchItem, Error, PredictionAnswer
from api._photo.formats import READABLE
from api._requests import record_of
from api._routes.body import MAX_BATCH, read_photo, read_photos
from api._security import KeyCheck
from api._service import Service
from api._settings import Settings

Explain = Annotated[bool, Query(description="Add the heatmap: where the network saw the predicted label.")]

_BINARY = {"type": "string", "format": "binary"}
_BINARIES = {"type": "array", "items": _BINARY, "minItems": 1, "maxItems": MAX_BATCH}


def add_routes(app: FastAPI, settings: Settings) -> None:
    """Adds them to an app whose state holds the service."""
    keys = settings.api_keys
    common: dict[str, Any] = {
        "methods": ["POST"],
        "tags": ["prediction"],
        "dependencies": [Depends(KeyCheck(keys))] if keys else [],
        "responses": {**_PREDICT_ERRORS, **(_KEY_ERRORS if keys else {})},
        "response_model_exclude_none": True,
    }
    app.add_api_route(
        "/predict",
        predict,
        response_model=PredictionAnswer,
        summary="What is in this photo",
        openapi_extra=_request_body({"file": _BINARY}, raw=True),
        **common,
    )
    app.add_api_route(
        "/predict/batch",
        predict_batch,
        response_model=BatchAnswer,
        summary="What is in each of these photos",
        openapi_extra=_request_body({"files": _BINARIES}),
        **common,
    )


async def predict(request: Request, explain: Explain = False) -> Any:
    service: Service = request.app.state.service
    service.ready()  # before the body is read in vain
    record = record_of(request.scope)
    with service.admission.upload() as upload:
        data = await read_photo(request, service.settings.max_upload_bytes, upload.add)
        record.submitted_ns = time.time_ns()
        answer, timings = await service.predict(data, explain)
    record.photos, record.timings, record.answers = 1, timings, (answer,)
    record.prediction, record.recognized = answer.prediction, answer.recognized
    return answer


async def predict_batch(request: Request, explain: Explain = False) -> Any:
    service: Service = request.app.state.service
    service.ready()
    record = record_of(request.scope)
    with service.admission.upload() as upload:
        files = await read_photos(request, service.settings.max_upload_bytes, upload.add)
        record.submitted_ns = time.time_ns()
        answer, timings = await service.predict_batch(files, explain)
    record.photos, record.timings = len(files), timings
    record.answers = [item for item in answer.results if isinstance(item, BatchItem)]
    return answer


def _request_body(properties: dict[str, Any], raw: bool = False) -> dict[str, Any]:
    # The routes read the body themselves (body.py), so FastAPI cannot know what to document.
    form = {"schema": {"type": "object", "required": list(properties), "properties": properties}}
    content: dict[str, Any] = {"multipart/form-data": form}
    if raw:
        content |= {f"image/{name.lower()}": {"schema": _BINARY} for name in READABLE}
    return {"requestBody": {"required": True, "content": content}}


def _error(description: str, example: str) -> dict[str, Any]:
    return {
        "model": Error,
        "description": description,
        "content": {"application/json": {"example": {"detail": example}}},
    }


_KEY_ERRORS: dict[int | str, dict[str, Any]] = {
    401: _error("API key missing or wrong.", "The API key is wrong."),
}
_PREDICT_ERRORS: dict[int | str, dict[str, Any]] = {
    400: _error("No readable image.", "The file is empty. Send a photo."),
    408: _error("The body came too slowly.", "The upload took over 30 seconds. Send a smaller photo."),
    413: _error("Too many bytes, pixels or photos.", "The upload is over the limit of 4,500,000 bytes."),
    422: _error("No file in the request, or a wrong parameter.", "No photo in the field `file`."),
    503: _error(
        "No usable model; or, with the header Retry-After, too many photos waiting.",
        "No model is published: model/latest cannot be read.",
    ),
}
