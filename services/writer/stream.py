"""The response of POST /write: server-sent events, for as long as the client is there.

What fails within the first seconds is an ordinary response with a status. After them the stream has begun, so that
proxies and people see that something happens, and an error is its last event.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from services.writer.errors import WriterError

log = logging.getLogger("writer")

# Until a stream without an event begins, and between two comments in it.
PATIENCE_S = 2.0
PULSE_S = 10.0


class Out:
    """Sends events to one client; the first begins the response."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = asyncio.Lock()
        self.started = False
        self.sent_at = asyncio.get_running_loop().time()

    async def event(self, name: str, data: dict[str, Any]) -> None:
        await self._write(f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n")

    async def comment(self) -> None:
        await self._write(": waiting\n\n")

    async def end(self) -> None:
        async with self._lock:
            await self._send({"type": "http.response.body", "body": b""})

    async def _write(self, text: str) -> None:
        async with self._lock:
            if not self.started:
                self.started = True
                await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            self.sent_at = asyncio.get_running_loop().time()
            await self._send({"type": "http.response.body", "body": text.encode(), "more_body": True})


_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # nginx would keep the events until its buffer is full.
    (b"x-accel-buffering", b"no"),
]


class EventStream(Response):
    """Runs `write` with an Out until it ends or the client leaves, whichever comes first."""

    def __init__(self, write: Callable[[Out], Awaitable[None]]) -> None:
        super().__init__(media_type="text/event-stream")
        self._run = write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        out = Out(send)
        writing = asyncio.create_task(self._write(out, scope, receive))
        tasks = [writing, asyncio.create_task(_pulse(out)), asyncio.create_task(_until_gone(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # At once, also when the server itself is ending: the engine is freed by this.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, out: Out, scope: Scope, receive: Receive) -> None:
        try:
            await self._run(out)
            await out.end()
            return
        except WriterError as error:
            problem = error
        except Exception as error:
            # Its message may quote the notes; where it happened is enough to find the mistake.
            log.error("failed", extra={"fields": {"error": type(error).__name__, "at": _place(error)}})
            problem = WriterError(500, "The service failed. Its log says where.")
        if out.started:
            await out.event(
                "error",
                {"status": problem.status, "detail": problem.detail, "retry_after": problem.retry_after},
            )
            await out.end()
        else:
            out.started = True
            await plain(problem)(scope, receive, out._send)


def plain(error: WriterError) -> JSONResponse:
    """The error as a response of its own."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return JSONResponse(
        {"detail": error.detail}, error.status, headers={"Cache-Control": "no-store", **headers}
    )


async def _pulse(out: Out) -> None:
    """Shows the client, and proxies on the way, that the connection is alive."""
    clock = asyncio.get_running_loop().time
    while True:
        due = out.sent_at + (PULSE_S if out.started else PATIENCE_S)
        if clock() >= due:
            await out.comment()
        else:
            await asyncio.sleep(due - clock())


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
