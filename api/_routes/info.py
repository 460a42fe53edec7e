"""What the service is and which model it serves: `/`, `/health`, `/model/...`."""

import functools
import gzip
import json
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from api._answers import Health, Index, ModelInfo
from api._routes.page import is_known, takes_gzip
from api._service import Service
from api._settings import Settings

# Of the HTTP API; the model has a version of its own.
API_VERSION = "1.0.0"

_ENDPOINTS = {
    "health": "/health",
    "predict": "/predict",
    "predict_batch": "/predict/batch",
    "model_info": "/model/info",
}
# Of gzip, for the model: higher levels save a thousandth of it.
_LEVEL = 6
_DOCUMENTATION = {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json"}


def add_routes(app: FastAPI) -> None:
    """Adds them to an app whose state holds the service and the page."""
    documented: list[tuple[str, Any, dict[str, Any]]] = [
        ("/", index, {"response_model": Index, "summary": "The API to programs, the page to browsers"}),
        ("/health", health, {
            "response_model": Health,
            "responses": {503: {"model": Health, "description": "There is no usable model; `detail` says why."}},
            "summary": "Whether the service can predict",
        }),
        ("/model/info", model_info, {"response_model": ModelInfo, "summary": "The published model"}),
    ]  # fmt: skip
    for path, endpoint, description in documented:
        app.add_api_route(path, endpoint, methods=["GET"], tags=["information"], **description)
        # HEAD is no operation of its own in the documentation: it is GET, for those who want no body.
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
    # Beside the page for browsers that run the model themselves: the very bytes that this process checked and runs.
    for path, endpoint in (("/model/metadata.json", metadata), ("/model/model.onnx", weights)):
        app.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False)


async def index(request: Request) -> Any:
    service: Service = request.app.state.service
    page = request.app.state.page
    headers = {"Vary": "Accept"}
    if page and "text/html" in request.headers.get("accept", ""):
        response = await page.index(request)
        response.headers.update(headers)
        return response
    endpoints = _ENDPOINTS | (_DOCUMENTATION if service.settings.enable_docs else {})
    body = Index(
        message=service.message,
        version=API_VERSION,
        status="running" if service.classifier else "degraded",
        endpoints={
            **{name: request.scope["root_path"] + path for name, path in endpoints.items()},
            **_services(service.settings),
        },
    )
    return JSONResponse(body.model_dump(), headers=headers)


def _services(settings: Settings) -> dict[str, str]:
    """What stands beside the API, where its owner says so: the page offers it."""
    named = {"feedback": settings.feedback_url, "writer": settings.writer_url}
    return {name: url for name, url in named.items() if url}


async def health(request: Request) -> Any:
    service: Service = request.app.state.service
    body = Health.of(service.model, service.reason, key_required=bool(service.settings.api_keys))
    return JSONResponse(body.model_dump(), 200 if service.model else 503)


async def model_info(request: Request) -> Any:
    service: Service = request.app.state.service
    return ModelInfo.of(service.model)


async def metadata(request: Request) -> Response:
    model = request.app.state.service.ready().model
    body = json.dumps(model.metadata, ensure_ascii=False).encode()
    return _published(request, body, "application/json", f"{model.metadata['weights']['sha256']}-metadata")


async def weights(request: Request) -> Response:
    model = request.app.state.service.ready().model
    tag = model.metadata["weights"]["sha256"]
    packed = takes_gzip(request)
    etag = f'"{tag}{"-gzip" if packed else ""}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if is_known(etag, request):
        return Response(status_code=304, headers=headers)
    body = model.weights
    if packed:
        headers["Content-Encoding"] = "gzip"
        # Some 150 ms, for the first who asks: the start does not wait for that, nor does anybody later.
        body = await run_in_threadpool(_packed, tag, body)
    return Response(body, media_type="application/octet-stream", headers=headers)


@functools.lru_cache(maxsize=1)
def _packed(_sha256: str, weights: bytes) -> bytes:
    return gzip.compress(weights, _LEVEL, mtime=0)


def _published(request: Request, body: bytes, media_type: str, tag: str) -> Response:
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache"}
    if is_known(headers["ETag"], request):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
