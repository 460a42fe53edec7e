"""uvicorn's HTTP protocol with the patience of a public server. Vercel and Lambda bring servers of their own.

uvicorn waits for ever for request headers, for the rest of an upload that was already refused, and for a client that
does not read its answer. Each holds a file descriptor, and the last one the answer's bytes too.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# From the connection, or from the first byte of a further request, to the end of its headers.
HEADER_TIMEOUT_S = 10.0
# For a client to end an upload that was answered before its end: one that is still sending reads no answer yet.
LINGER_S = 30.0
# For a client to take so much of an answer that the rest can follow; the largest is the model, 3 MB.
WRITE_TIMEOUT_S = 120.0


class PatientProtocol(H11Protocol):
    """Closes connections on which the client lets the server wait."""

    _reading: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._limit_reading(HEADER_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._limit_reading(HEADER_TIMEOUT_S)
        elif self.cycle and self.cycle.response_complete:
            self._limit_reading(LINGER_S)
        else:
            # The service itself limits the time of an upload that it still wants.
            self._stop_reading()

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
