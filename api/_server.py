"""uvicorn's HTTP protocol with the patience of a public server. Vercel and Lambda bring servers of their own.

uvicorn waits for ever for request headers, for the rest of an upload that was already refused, and for a client that
does not read its answer; it keeps headers and trailers of any length. Each holds a file descriptor, some memory too.

In one thing it has too little patience. An answer may come before the request has ended, for a wrong key or too large a
photo. Where the connection is to end with it (HTTP/1.0, `Connection: close`, nginx unless told otherwise) uvicorn
closes at once; the system meets what still arrives with a reset, and that destroys the answer on its way. Here the rest
is read first, and thrown away.
"""

import asyncio
import contextlib
import enum
import json
import re
import socket
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# The most seconds from the connection, or the first byte of a further request, to the end of the headers.
HEADER_TIMEOUT_S = 10.0
# How long, and how many bytes, a client may go on uploading after it was answered: while it is sending, it does not
# read the answer yet. The bytes are ten times the default limit on uploads.
LINGER_S = 30.0
LINGER_BYTES = 50_000_000
# The most seconds in which a client reads nothing of an answer that waits for it; the largest is the model, 3 MB.
WRITE_TIMEOUT_S = 120.0
# The most bytes of headers and trailers: the parser holds them until it has read the last one.
MAX_HEAD_BYTES = 65_536

# A server may ignore a request to upgrade (RFC 9110, 7.8), and Java's client sends one with every request. httptools
# would treat the connection as upgraded and the body as data of the other protocol.
_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:[^\r\n]*", re.IGNORECASE)


class _Reading(enum.Enum):
    NOTHING = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()
    # Whatever else arrives is discarded.
    REFUSE = enum.auto()


class _RequestTransport:
    """The transport as a request sees it: closing it waits until the client has stopped sending."""

    def __init__(self, protocol: "TimeoutProtocol") -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.close_when_heard_out()


class TimeoutProtocol(HttpToolsProtocol):
    """Closes connections whose clients are too slow (slowloris) or send without end."""

    _state = _Reading.NOTHING
    # The beginning of a request, until its headers are whole.
    _head = b""
    # Bytes since the last callback of the parser.
    _untold = 0
    # The answer is complete; the connection ends when the client has stopped sending.
    _lingering = False
    # Bytes of a request that came after its answer.
    _late: int
    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # asyncio does this by itself, but not on the socket that uvicorn shares among several processes (its `proto` is
        # 0). Without it an answer of two packets waits for the client's acknowledgement: 40 ms where it takes 14.
        accepted = transport.get_extra_info("socket")
        if accepted is not None and accepted.family in (socket.AF_INET, socket.AF_INET6):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._limit_reading(HEADER_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        if self._lingering or (self._state is _Reading.BODY and self._answered()):
            self._late += len(data)
            if self._late > LINGER_BYTES:
                self.transport.close()
                return
        if self._state is _Reading.REFUSE:
            return
        self._untold += len(data)
        if self._state is _Reading.NOTHING:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            self._head = b"" if end >= 0 else data
            if end >= 0:
                super().data_received(_UPGRADE.sub(b"", data[:end]) + data[end:])
            else:
                self._unset_keepalive_if_required()
        else:
            super().data_received(data)
        # Refused already, the client is being heard out: to refuse again would close the connection under its answer.
        if self._untold > MAX_HEAD_BYTES and not self._lingering and not self.transport.is_closing():
            self.send_400_response("The headers of the request are too large.")
        self._be_patient()

    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _be_patient(self) -> None:
        answered = self._answered()
        if self._lingering:
            return
        if self._state is _Reading.HEADERS or self._head or (self._state is _Reading.NOTHING and answered):
            self._limit_reading(HEADER_TIMEOUT_S)
        elif not answered:
            # The service itself limits the time of an upload that it still wants.
            self._stop_reading()

    def close_when_heard_out(self) -> None:
        """Closes the connection: at once if the request has ended, otherwise when it has, within limits."""
        if self._state is not _Reading.BODY:
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        self._lingering, self._late = True, 0
        self._stop_reading()
        self._limit_reading(LINGER_S)
        # Nothing more is going to be said: a client that reads until the connection ends need not wait for that.
        if self.transport.can_write_eof():
            with contextlib.suppress(OSError):  # it may be gone already
                self.transport.write_eof()

    def on_response_complete(self) -> None:
        if self._lingering:
            # uvicorn would go on with the requests behind this one, whose answers nobody could be sent any more.
            self.server_state.total_requests += 1
            # Paused when the client was faster than the service.
            self.flow.resume_reading()
            return
        super().on_response_complete()
        if self._state is _Reading.BODY and self._answered():
            # Not idle: the client may stall for longer than uvicorn lets a connection be idle.
            self._unset_keepalive_if_required()
            self._limit_reading(LINGER_S)

    def shutdown(self) -> None:
        """The server is about to end."""
        if self._lingering:
            self.transport.close()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP, and all that follows it on this connection."""
        unfinished = self.cycle is not None and not self.cycle.response_complete
        # Answers that are due, or under way, come first; after the refusal nothing could be written any more.
        if self._lingering or self.pipeline or (unfinished and self.cycle.response_started):
            self.transport.close()
            return
        if unfinished:
            # The rest of its request will not come: the service hears that the client is gone, and gives up.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps({"detail": msg}).encode()
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        self._state, self._head = _Reading.REFUSE, b""
        self.flow.resume_reading()
        self._linger()

    def on_message_begin(self) -> None:
        if self._state is not _Reading.REFUSE:
            self._state = _Reading.HEADERS
            super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after the body is a trailer: nothing here asks for one, and it must not pass for a header.
        if self._state is _Reading.HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._state is not _Reading.REFUSE:
            self._state, self._untold, self._late = _Reading.BODY, 0, 0
            super().on_headers_complete()
            # Its answer is not under way yet: that is a task of its own.
            self.cycle.transport = _RequestTransport(self)  # type: ignore[assignment]  # all that it uses of one

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._untold = 0
        if self._lingering:
            # Requests behind this one in the same piece of data are not to be answered.
            self._state = _Reading.REFUSE
            self.transport.close()
        else:
            self._state = _Reading.NOTHING
            super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing = self._writing or self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_reading()
        self._stop_writing()
        super().connection_lost(exc)

    def _limit_reading(self, seconds: float) -> None:
        # Running already: further bytes buy no further time.
        self._reading = self._reading or self.loop.call_later(seconds, self.transport.close)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
