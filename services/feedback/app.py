"""The app. `create_app(settings)` is all that a server or a test needs; on Vercel, `asgi.py` has it ready."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

from services.feedback.database import UnavailableError
from services.feedback.middleware import RequestMiddleware, configure_logging
from services.feedback.retention import forget
from services.feedback.routes import health, owner, public
from services.feedback.settings import Settings
from services.feedback.state import State

FORGET_EVERY_S = 3600.0
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
log = logging.getLogger("purrdict.feedback")


def create_app(settings: Settings) -> FastAPI:
    """The service with these settings. It touches the database with the first request that needs it, or when served."""
    configure_logging(settings.log_level)
    state = State(settings)
    app = FastAPI(
        title="Purrdict feedback",
        version="1.0.0",
        description="Was this right? Keeps what people correct.",
        lifespan=_lifespan,
        redoc_url=None,
        docs_url=None,
        openapi_url="/feedback/openapi.json",
        telemetry={"auto_configure": settings.tracing},
    )
    app.state.feedback = state
    # The page before the rest of /feedback/...: "owner" and "stats" are no ids.
    for router in (health.router, owner.router, public.router):
        app.include_router(router)
    app.add_exception_handler(UnavailableError, _unavailable)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["X-Request-ID", "Idempotent-Replayed", "Retry-After"],
        max_age=7200,
    )
    app.add_middleware(RequestMiddleware, metrics=state.metrics, tracing=settings.tracing)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: State = app.state.feedback
    keeper = asyncio.create_task(_keep(state))
    try:
        yield
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        await asyncio.to_thread(state.database.close)


async def _keep(state: State) -> None:
    """Prepares the database as soon as it can be reached, and then forgets every hour what is too old."""
    failures = 0
    while True:
        try:
            forgotten = await asyncio.to_thread(forget, state.database, state.settings.retention_days)
            failures = 0
            if forgotten.deleted or forgotten.anonymous:
                log.info("forgot", extra={"fields": vars(forgotten)})
            wait = FORGET_EVERY_S
        except UnavailableError as error:
            wait = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
            failures += 1
            log.warning("%s Trying again in %.0f s.", error, wait)
        except Exception:
            wait = _RETRY_S[-1]
            log.exception("the database could not be prepared or cleaned up; trying again in %.0f s", wait)
        await asyncio.sleep(wait)


async def _unavailable(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "10"})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    detail = error.detail
    if error.status_code == 404 and detail == "Not Found":
        detail = "There is nothing here. POST /feedback takes feedback; /feedback/owner/ is the owner's page."
    elif error.status_code == 405:
        detail = "This is not done here. POST /feedback stores, DELETE /feedback/{id} deletes, GET /feedback lists."
    return JSONResponse({"detail": detail}, error.status_code, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    problem = error.errors()[0]
    return JSONResponse({"detail": f"{problem['loc'][-1]}: {problem['msg']}."}, 422)
