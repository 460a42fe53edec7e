"""The ASGI app: middleware, routes, and which exception becomes which response."""

from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.routing import Match

from api import _openapi
from api._admission import RETRY_AFTER_S, OverloadError
from api._photo.errors import ImageError
from api._requests import FailureMiddleware, Observer, RequestMiddleware, configure_logging, record_of
from api._root_path import RootPathMiddleware
from api._routes import docs, info, predict
from api._routes.body import BodyError
from api._routes.page import Page
from api._security import Cors, SecurityHeaders
from api._service import Service, UnavailableError
from api._settings import ROOT, Settings, SettingsError


def create_app(settings: Settings) -> FastAPI:
    """The app for these settings; the model is read here, once for the app."""
    configure_logging(settings.log_level)
    service = Service.start(settings)
    observers = _observers(settings, service)
    app = FastAPI(
        title="Purrdict",
        version=info.API_VERSION,
        openapi_url="/openapi.json" if settings.enable_docs else None,
        docs_url=None,
        redoc_url=None,
        license_info={"name": "MIT", "identifier": "MIT"},
        # Without spans for the steps within FastAPI, three of 0.06 ms a request.
        telemetry={"auto_configure": settings.fastapi_otel_auto_configure, "operation_spans": False},
    )
    app.state.service, app.state.page = service, Page(ROOT / "web")
    app.state.metrics = next((one for one in observers if hasattr(one, "registry")), None)
    # The last one added is the outermost.
    app.add_middleware(FailureMiddleware)
    if settings.allowed_origins:
        app.add_middleware(Cors, origins=settings.allowed_origins)
    app.add_middleware(
        RequestMiddleware, security=SecurityHeaders(settings.frame_ancestors), observers=observers
    )
    app.add_middleware(RootPathMiddleware, root_path=settings.root_path)
    _add_errors(app)
    _openapi.document(app, service.model, service.message)
    info.add_routes(app)
    predict.add_routes(app, settings)
    if settings.enable_docs:
        app.router.routes += docs.routes()
    app.router.routes += app.state.page.routes()
    return app


def _observers(settings: Settings, service: Service) -> list[Observer]:
    """Who hears of every request. What is switched off is not even imported.

    Raises:
        SettingsError: what is switched on is not installed.
    """
    observers: list[Observer] = []
    if settings.fastapi_otel_auto_configure:
        from api._observe.tracing import Tracing

        observers.append(Tracing())
    if settings.metrics_port:
        try:
            from prometheus_client import CollectorRegistry

            from api._observe.metrics import Metrics
        except ImportError as error:
            raise SettingsError(
                "METRICS_PORT: metrics need a package that is not installed: pip install -r requirements-operate.txt"
            ) from error
        metrics = Metrics(CollectorRegistry(), service.model)
        metrics.watch(service.admission)
        observers.append(metrics)
    return observers


def _add_errors(app: FastAPI) -> None:
    app.add_exception_handler(BodyError, _refused)
    app.add_exception_handler(ImageError, _refused)
    app.add_exception_handler(OverloadError, _overloaded)
    app.add_exception_handler(UnavailableError, _unavailable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(405, _wrong_method)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, cast(BodyError | ImageError, error).status)


async def _overloaded(request: Request, error: Exception) -> JSONResponse:
    record_of(request.scope).refused = cast(OverloadError, error).reason
    return JSONResponse({"detail": str(error)}, 503, headers={"Retry-After": str(RETRY_AFTER_S)})


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    problems = cast(RequestValidationError, error).errors()
    sentences = [f"{problem['loc'][-1]}: {problem['msg']}" for problem in problems]
    return JSONResponse({"detail": f"A parameter is wrong. {'; '.join(sentences)}."}, 422)


async def _wrong_method(request: Request, error: Exception) -> JSONResponse:
    # The framework knows the methods of one route only, and GET and HEAD of an address may be two.
    found = [route for route in request.app.routes if route.matches(request.scope)[0] is Match.PARTIAL]
    methods = sorted({method for route in found for method in getattr(route, "methods", None) or ()})
    detail = f"This address takes {' and '.join(methods)} only."
    return JSONResponse({"detail": detail}, 405, headers={"Allow": ", ".join(methods)})
