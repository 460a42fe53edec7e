"""What surrounds every request: its id, its answer's headers, its line in the log, a sentence for every failure."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from services.feedback.metrics import Metrics

log = logging.getLogger("purrdict.feedback")
_CLEAN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_CLOSED_REQUEST = 499  # nginx's name for a client that left; it goes into the log only
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class RequestMiddleware:
    """Outermost. The line in the log has ids, routes, statuses and timings: no address, key, token, label or photo."""

    def __init__(self, app: ASGIApp, metrics: Metrics | None = None, tracing: bool = False) -> None:
        self.app, self.metrics, self.tracing = app, metrics, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        request_id = _request_id(scope)
        trace_id = _trace_id() if self.tracing else None
        status, started = _CLIENT_CLOSED_REQUEST, False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if trace_id:
                    _name_span(request_id, scope)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass  # nobody is left to answer
        except Exception:
            log.exception("unhandled failure", extra={"fields": {"request_id": request_id}})
            if started:
                raise
            detail = f"The service failed. Try again, and report the request id {request_id} if it stays so."
            await JSONResponse({"detail": detail}, 500)(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - start
            if self.metrics:
                self.metrics.request(_route(scope), scope["method"], status, seconds)
            log.info("request", extra={"fields": {
                "request_id": request_id, "method": scope["method"], "route": _route(scope),
                "status": status, "total_ms": round(seconds * 1e3, 2), **({"trace_id": trace_id} if trace_id else {}),
            }})  # fmt: skip


def _route(scope: Scope) -> str | None:
    # The route's template, never the path: that is the client's own text.
    path: str | None = getattr(scope.get("route"), "path", None)
    return path


def _trace_id() -> str | None:
    from services.feedback import tracing

    return tracing.trace_id()


def _name_span(request_id: str, scope: Scope) -> None:
    from services.feedback import tracing

    tracing.name_request(request_id, _route(scope), bool(scope.get("query_string")))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        text: str = value.decode("latin-1")
        if name == b"x-request-id" and _CLEAN_ID.fullmatch(text):
            return text
    return uuid.uuid4().hex


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: no value can forge a second one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname, "message": record.getMessage(), **getattr(record, "fields", {}),
        }  # fmt: skip
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(level: str) -> None:
    """Sends this service's log to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter())
    log.handlers, log.propagate = [handler], False
    log.setLevel(level)
