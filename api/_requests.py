"""What surrounds every request: its id, its timings, its one line in the log, and an answer when the code fails."""

import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TextIO

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api._security import SecurityHeaders

log = logging.getLogger("purrdict")

# A request id from outside is kept when it can do no harm in a header or a log.
_CLEAN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_CLOSED_REQUEST = 499  # nginx's name for a client that left; it goes into the log only


class Answered(Protocol):
    """What was answered for one photo."""

    prediction: str
    confidence: float
    recognized: bool


@dataclass
class RequestRecord:
    """What is known about one request, for its headers, its log line and whoever observes it.

    Attributes:
        timings: milliseconds by stage, in the order in which the stages happened.
        submitted_ns: when the first stage began, in nanoseconds since 1970; 0 where there was none.
        answers: one for each photo that has one.
        refused: why the process did not take the request on.
        trace_id: of the trace that the request belongs to.
    """

    id: str
    bytes_in: int = 0
    timings: dict[str, float] = field(default_factory=dict)
    photos: int = 0
    prediction: str | None = None
    recognized: bool | None = None
    submitted_ns: int = 0
    answers: Sequence[Answered] = ()
    refused: str | None = None
    trace_id: str | None = None

    def server_timing(self, total_ms: float) -> str:
        """Value of the Server-Timing header: queue, decode, resize, infer where they happened, and the total."""
        return ", ".join(f"{name};dur={ms:.2f}" for name, ms in {**self.timings, "total": total_ms}.items())


def record_of(scope: Scope) -> RequestRecord:
    """The record that RequestMiddleware made for this request."""
    record: RequestRecord = scope["purrdict"]
    return record


class Observer(Protocol):
    """Hears of every request: metrics and tracing, where they are switched on."""

    def began(self, record: RequestRecord) -> None:
        """The request has an id, and nothing else yet."""

    def answering(self, scope: Scope, record: RequestRecord) -> None:
        """The answer begins; the record is as full as it will be, but for bytes that still come."""

    def ended(self, scope: Scope, record: RequestRecord, status: int, total_ms: float) -> None:
        """All is said, or the client left (499)."""


def route_of(scope: Scope) -> str | None:
    """The route's template, never the path: a path is the client's text and may hold a name or a key."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path


class RequestMiddleware:
    """Outermost: gives the request its id, every response its headers, and the log its line."""

    def __init__(self, app: ASGIApp, security: SecurityHeaders, observers: Sequence[Observer] = ()) -> None:
        self.app = app
        self.security = security
        self.observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        record = scope["purrdict"] = RequestRecord(id=_request_id(scope))
        status = _CLIENT_CLOSED_REQUEST
        for observer in self.observers:
            observer.began(record)

        async def receive_counted() -> Message:
            message = await receive()
            record.bytes_in += len(message.get("body", b""))
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = record.id
                headers["Server-Timing"] = record.server_timing((time.perf_counter() - start) * 1e3)
                self.security.add_to(headers)
                for observer in self.observers:
                    observer.answering(scope, record)
            elif scope["method"] == "HEAD" and message["type"] == "http.response.body":
                # Servers leave it out by themselves; Lambda's adapter would send it.
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, receive_counted, send_with_headers)
        except ClientDisconnect:
            pass  # nobody is left to answer
        finally:
            total_ms = (time.perf_counter() - start) * 1e3
            for observer in self.observers:
                observer.ended(scope, record, status, total_ms)
            _log_request(scope, record, status, total_ms)


class FailureMiddleware:
    """Innermost: a failure of this code becomes a logged traceback and a sentence, inside the CORS headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_watched)
        except ClientDisconnect:
            raise
        except Exception:
            if scope["type"] != "http" or started:
                raise
            log.exception("unhandled failure", extra={"fields": {"request_id": record_of(scope).id}})
            detail = f"The service failed. Try again, and report the request id {record_of(scope).id} if it stays so."
            await JSONResponse({"detail": detail}, status_code=500)(scope, receive, send)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        text: str = value.decode("latin-1")
        if name == b"x-request-id" and _CLEAN_ID.fullmatch(text):
            return text
    return uuid.uuid4().hex


def _log_request(scope: Scope, record: RequestRecord, status: int, total_ms: float) -> None:
    if not log.isEnabledFor(logging.INFO):
        return
    fields: dict[str, object] = {
        "request_id": record.id,
        "method": scope["method"],
        "route": route_of(scope),
        "status": status,
        "bytes_in": record.bytes_in,
        "total_ms": round(total_ms, 2),
        **{f"{name}_ms": round(ms, 2) for name, ms in record.timings.items()},
    }
    if record.trace_id:
        fields["trace_id"] = record.trace_id
    if record.photos:
        fields["photos"] = record.photos
    if record.prediction is not None:
        fields |= {"prediction": record.prediction, "recognized": record.recognized}
    log.info("request", extra={"fields": fields})


class JsonFormatter(logging.Formatter):
    """One JSON object a line: escaping makes it impossible for a value to forge a second line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Handler(logging.StreamHandler[TextIO]):
    """Drops lines that cannot be written, as when the reader of a pipe has left; the service goes on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Says nothing; logging would write a traceback for every line."""


def configure_logging(level: str) -> None:
    """Sends this service's log, one JSON line a record, to standard output."""
    handler = _Handler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    log.handlers = [handler]
    log.setLevel(level)
    log.propagate = False
