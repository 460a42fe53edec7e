"""uvicorn's HTTP protocol with the patience of a public server. Vercel and Lambda bring servers of their own.

uvicorn waits for ever for request headers, for the rest of an upload that was already refused, and for a client that
does not read its answer; it keeps headers and trailers of any length. Each holds a file descriptor, some memory too.
"""

import asyncio
import enum
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# From the connection, or from the first byte of a further request, to the end of its headers.
HEADER_TIMEOUT_S = 10.0
# For a client to end an upload that was answered before its end: one that is still sending reads no answer yet.
LINGER_S = 30.0
# For a client to take so much of an answer that the rest can follow; the largest is the model, 3 MB.
WRITE_TIMEOUT_S = 120.0
# Of a request, beside its body: the parser keeps headers and trailers to itself until it has read the last of them.
MAX_HEAD_BYTES = 65_536

# A server may leave a wish for another protocol aside (RFC 9110, 7.8), and Java's client sends one with every request.
# httptools would take it for granted and the body for something else.
_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:[^\r\n]*", re.IGNORECASE)


class _Reading(enum.Enum):
    NOTHING = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()


class PatientProtocol(HttpToolsProtocol):
    """Closes connections on which the client lets the server wait, or sends headers without end."""

    _state = _Reading.NOTHING
    # The beginning of a request, until its headers are whole.
    _head = b""
    # Bytes since the parser last had something to tell.
    _untold = 0
    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._limit_reading(HEADER_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        self._untold += len(data)
        if self._state is _Reading.NOTHING:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            self._head = b"" if end >= 0 else data
            if end >= 0:
                if _UPGRADE.search(data, 0, end):
                    data = _UPGRADE.sub(b"", data[:end]) + data[end:]
                super().data_received(data)
            else:
                self._unset_keepalive_if_required()
        else:
            super().data_received(data)
        if self._untold > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers of the request are too large.")
        self._be_patient()

    def _be_patient(self) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        if self._state is _Reading.HEADERS or self._head or (self._state is _Reading.NOTHING and answered):
            self._limit_reading(HEADER_TIMEOUT_S)
        elif answered:
            self._limit_reading(LINGER_S)
        else:
            # The service itself limits the time of an upload that it still wants.
            self._stop_reading()

    def on_message_begin(self) -> None:
        self._state = _Reading.HEADERS
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # What comes after the body is a trailer: nothing here asks for one, and it must not pass for a header.
        if self._state is _Reading.HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._state, self._untold = _Reading.BODY, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._untold = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._state, self._untold = _Reading.NOTHING, 0
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
