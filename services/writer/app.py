"""The app: three routes and the sentences for what is wrong with a request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from services.writer import VERSION
from services.writer.door import Door
from services.writer.engine import Engine
from services.writer.job import Writer
from services.writer.page import documentation
from services.writer.schemas import LANGUAGES, MAX_NOTES, Length, Task, Tone, WriteRequest
from services.writer.settings import Settings
from services.writer.stream import EventStream, Out

if TYPE_CHECKING:
    from services.writer.metrics import Metrics

# A health check a second must not become an engine's main work.
_HEALTH_AGE_S = 2.0

_EVENTS = """event: start
data: {"model": "gemma3:4b", "prompt": "listing-1", "draft": true, "notice": "Draft written by a machine. ..."}

event: delta
data: {"text": "Meet Bella"}

event: done
data: {"finish_reason": "stop", "usage": {"prompt_tokens": 312, "completion_tokens": 141, ...}, "draft": true}

"""
_ERROR = {"application/json": {"example": {"detail": "A sentence that says what to do."}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `queued` (place in the queue), `start`, `delta` (text), and last `done` "
        "or `error`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
    },
    401: {"description": "A key is needed.", "content": _ERROR},
    408: {"description": "The request did not come to its end.", "content": _ERROR},
    413: {
        "description": "The request is too large, or the notes are too long for the model.",
        "content": _ERROR,
    },
    422: {"description": "A field is missing or not usable.", "content": _ERROR},
    502: {"description": "The engine failed or answered with something else.", "content": _ERROR},
    503: {
        "description": "No engine, no model, or no place in the queue.",
        "content": _ERROR,
        "headers": {
            "Retry-After": {
                "schema": {"type": "integer"},
                "description": "Seconds until trying again may help.",
            }
        },
    },
}


def create_app(settings: Settings, metrics: "Metrics | None" = None) -> ASGIApp:
    """The service with these settings; `metrics` count what it does.

    Raises:
        PromptError: a prompt is missing or not understood.
    """
    writer = Writer(settings, Engine(settings))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await writer.engine.aclose()

    app = FastAPI(
        title="Purrdict writer",
        version=VERSION,
        description="Drafts of adoption texts and e-mails from notes, by a language model of your own.",
        lifespan=lifespan,
        # The usual pages load their scripts from elsewhere; this service's own needs none.
        docs_url=None,
        redoc_url=None,
        telemetry={"auto_configure": settings.tracing},
    )
    _add_routes(app, writer)
    app.add_exception_handler(RequestValidationError, _unusable)
    app.add_exception_handler(HTTPException, _refused)
    door = Door(app, settings.api_keys, metrics, settings.tracing)
    if metrics:
        metrics.watch(writer.admission)
    if not settings.allowed_origins:
        return door
    # Around the door: a page has to be able to read its refusals too.
    return CORSMiddleware(
        door,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Content-Type", "X-API-Key", "Authorization", "X-Request-ID"],
        expose_headers=["Retry-After", "X-Request-ID"],
        max_age=600,
    )


def _add_routes(app: FastAPI, writer: Writer) -> None:
    settings = writer.settings

    @app.post("/write", response_class=Response, responses=_RESPONSES, summary="Write a draft")
    async def write(request: WriteRequest, http: Request) -> Response:
        noted = http.scope["state"]["log"]

        async def run(out: Out) -> None:
            await writer.write(request, out.event, noted)

        return EventStream(run)

    known: list[Any] = [0.0, "", ""]

    @app.head("/health", include_in_schema=False)
    @app.get("/health", summary="Can it write now?")
    async def health() -> JSONResponse:
        if monotonic() - known[0] > _HEALTH_AGE_S:
            known[1:] = await writer.engine.state()
            known[0] = monotonic()
        ready = known[1] == "ready"
        content = {
            "status": "healthy" if ready else "unhealthy",
            "engine": known[1],
            "model": settings.llm_model,
            "active": writer.admission.active,
            "waiting": writer.admission.waiting,
            **({} if ready else {"detail": known[2]}),
        }
        return JSONResponse(content, 200 if ready else 503, headers={"Cache-Control": "no-store"})

    # Also beside POST /write: behind a gateway that is the only path of this service.
    @app.head("/write", include_in_schema=False)
    @app.get("/write", include_in_schema=False)
    @app.head("/", include_in_schema=False)
    @app.get("/", summary="What it can do")
    async def root() -> dict[str, Any]:
        return {
            "message": "Purrdict writer",
            "version": VERSION,
            "status": "running",
            "endpoints": {
                "write": "/write",
                "health": "/health",
                "docs": "/docs",
                "openapi": "/openapi.json",
            },
            "model": settings.llm_model,
            "tasks": [task.value for task in Task],
            "tones": [tone.value for tone in Tone],
            "lengths": [length.value for length in Length],
            "languages": LANGUAGES,
            "limits": {"notes": MAX_NOTES},
        }

    @app.api_route("/write/docs", methods=["GET", "HEAD"], include_in_schema=False)
    @app.api_route("/docs", methods=["GET", "HEAD"], include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(documentation(app.openapi()))

    @app.get("/write/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())


async def _unusable(_: Request, error: Exception) -> JSONResponse:
    """A sentence for the first thing that is wrong; what was sent is not repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:] if isinstance(part, str))
    kind = first["type"]
    # The name of a field that nobody knows is the client's own text.
    name = f"The field `{where}`" if kind != "extra_forbidden" else "A field of the request"
    sentences = {
        "missing": f"{name} is missing.",
        "extra_forbidden": f"{name} is not known; allowed are {', '.join(WriteRequest.model_fields)}.",
        "string_too_short": f"{name} is empty. Write down what the text should say.",
        "string_too_long": f"{name} may have {first.get('ctx', {}).get('max_length')} characters at most. Shorten it.",
        "string_unicode": f"{name} holds characters that are no text.",
        "json_invalid": "The request is no JSON.",
        "model_attributes_type": "The request has to be a JSON object, with Content-Type: application/json.",
    }
    if kind == "missing" and not where:
        sentences["missing"] = "The request is empty; JSON with `task` and `notes` is wanted."
    message = str(first["msg"]).removeprefix("Value error, ")
    sentence = sentences.get(kind, f"{name} is not usable: {message[:1].lower()}{message[1:]}.")
    return JSONResponse({"detail": sentence}, 400 if kind == "json_invalid" else 422)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    if error.status_code == 404:
        return JSONResponse({"detail": "There is nothing here. GET / lists what there is."}, 404)
    if error.status_code == 400:
        return JSONResponse({"detail": "The request is no JSON in UTF-8."}, 400)
    return JSONResponse({"detail": f"{error.detail}."}, error.status_code, headers=error.headers)
