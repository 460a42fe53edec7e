"""What surrounds every request: its id, the key, the size of its body, and its one line in the log.

The log says when, what for, how long and how many tokens, never a word of notes or texts: no body, no query, no path
that a client made up.
"""

import asyncio
import hmac
import json
import logging
import re
import sys
import uuid
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.writer.errors import WriterError
from services.writer.schemas import MAX_BODY_BYTES
from services.writer.stream import plain

if TYPE_CHECKING:
    from services.writer.metrics import Metrics

log = logging.getLogger("writer")

BODY_S = 20.0
_CLEAN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PATHS = ("/", "/write", "/health", "/docs", "/openapi.json", "/write/docs", "/write/openapi.json")
_CLIENT_LEFT = 499  # nginx's name for it; in the log only
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}


class Door:
    """Outermost: every request passes it, and every response gets its headers."""

    def __init__(
        self, app: ASGIApp, keys: tuple[str, ...], metrics: "Metrics | None" = None, tracing: bool = False
    ) -> None:
        self._app = app
        self._metrics, self._tracing = metrics, tracing
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        request_id = asked if _CLEAN_ID.fullmatch(asked) else uuid.uuid4().hex
        # Routes note here what the log may say of them.
        fields: dict[str, Any] = scope.setdefault("state", {}).setdefault("log", {})
        status, gone = _CLIENT_LEFT, False

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                answered["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    answered.setdefault(name, value)
                if self._tracing:
                    _name_span(request_id, scope, fields)
            await send(message)

        async def listen() -> Message:
            nonlocal gone
            message = await receive()
            gone = gone or message["type"] == "http.disconnect"
            return message

        try:
            await self._admit(scope, headers, listen, answer)
        finally:
            path, seconds = known(scope["path"]), perf_counter() - began
            if self._metrics:
                self._metrics.request(path, scope["method"], status, seconds, fields)
            fields = {
                "request_id": request_id,
                "method": scope["method"],
                "path": path,
                "status": status,
                **fields,
            }
            ms = round(seconds * 1000, 1)
            log.info(
                "request",
                extra={"fields": {**fields, "ms": ms, "client_left": gone and "finish_reason" not in fields}},
            )

    async def _admit(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        try:
            if scope["path"] == "/write" and scope["method"] == "POST":
                self._check_key(headers)
                receive = _replay(await _body(headers, receive), receive)
        except WriterError as error:
            response = plain(error)
            # The rest of the body is not read: the connection cannot be used again.
            response.headers["Connection"] = "close"
            await response(scope, receive, send)
            return
        except ConnectionError:
            return  # it left while sending; there is nobody to answer
        await self._app(scope, receive, send)

    def _check_key(self, headers: Headers) -> None:
        if not self._keys:
            return
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
        # Every key is compared, so that the time does not tell which one was nearly right.
        if not sum(hmac.compare_digest(given.encode("latin-1"), key) for key in self._keys):
            raise WriterError(401, "A key is needed: send it as X-API-Key, or as a bearer token.")


def _name_span(request_id: str, scope: Scope, fields: dict[str, Any]) -> None:
    # FastAPI's span begins behind this door, and is the current one while FastAPI answers.
    from services.writer import tracing

    if found := tracing.trace_id():
        fields["trace_id"] = found
    tracing.name_request(request_id, known(scope["path"]), bool(scope.get("query_string")))


def known(path: str) -> str:
    """The path, or `other`: a path that a client made up is its own text."""
    return path if path in _PATHS else "other"


async def _body(headers: Headers, receive: Receive) -> bytes:
    """The whole body.

    Raises:
        WriterError: 408 or 413.
        ConnectionError: the client left.
    """
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        raise _too_large()
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError
                body += bytes(message.get("body", b""))
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
                if not message.get("more_body"):
                    return body
    except TimeoutError:
        raise WriterError(
            408, f"The request did not come to its end in {BODY_S:.0f} seconds. Send it again."
        ) from None


def _too_large() -> WriterError:
    return WriterError(413, f"The request is larger than {MAX_BODY_BYTES} bytes. Shorten the notes.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read already, and then whatever comes: in the end, that the client is gone."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def listen() -> Message:
        return pending.pop() if pending else await receive()

    return listen


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        time = (
            datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        line = {"time": time, "level": record.levelname, "message": record.getMessage()}
        if record.exc_info and record.exc_info[0]:
            # The class only: the text of an exception may quote what was sent.
            line["error"] = record.exc_info[0].__name__
        return json.dumps({**line, **getattr(record, "fields", {})})


def start_logging(level: str) -> None:
    """Sends the log of the service, and warnings of the libraries under it, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    log.setLevel(level)
