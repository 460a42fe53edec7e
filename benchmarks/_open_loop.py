"""A client that sends at a given rate whatever the server does, as many people do who know nothing of each other.

A client that waits for an answer before it sends again slows down with the server, and misses just the moments when the
server is slow (coordinated omission). Here each request has its time beforehand, and its latency counts from then on.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field

# Beyond these a request counts as failed: the server is so far behind that no further number says more.
MOST_CONNECTIONS = 400


@dataclass
class Run:
    """What came of one rate; latencies in milliseconds, in any order."""

    rate: float
    seconds: float
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0
    client_cpu_s: float = 0.0

    @property
    def answered(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Milliseconds; infinite if more than that share was not answered."""
        sent = len(self.latencies) + self.refused + self.failed
        place = int(share * sent)
        return sorted(self.latencies)[place] if place < len(self.latencies) else float("inf")


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with one request at a time."""

    def __init__(self) -> None:
        self.lost = False
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes) -> "asyncio.Future[int]":
        """Sends it; the future is the answer's status, once its whole body has come."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or self._answer is None:
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if len(body) >= int(length or 0):
            self._buffer = b""
            if b"connection: close" in head.lower():
                self.lost = True
            if not self._answer.done():
                self._answer.set_result(int(head.split(b" ", 2)[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())


def send_at(port: int, request: bytes, rate: float, seconds: float) -> Run:
    """Sends `rate` requests a second at random moments (a Poisson process, always the same) for so many seconds."""
    return asyncio.run(_send_at(port, request, rate, seconds))


async def _send_at(port: int, request: bytes, rate: float, seconds: float) -> Run:
    run = Run(rate, seconds)
    chance = random.Random(7)
    loop = asyncio.get_running_loop()
    free: list[_Connection] = []
    count = 0

    async def one(due: float) -> None:
        nonlocal count
        connection = free.pop() if free else None
        try:
            if connection is None or connection.lost:
                if count >= MOST_CONNECTIONS:
                    run.failed += 1
                    return
                count += 1
                _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
            status = await asyncio.wait_for(connection.send(request), 30)
        except (OSError, TimeoutError):
            run.failed += 1
            count -= 1
            return
        if status == 200:
            run.latencies.append((time.perf_counter() - due) * 1e3)
        else:
            run.refused += 1
        if connection.lost:
            count -= 1
        else:
            free.append(connection)

    cpu, start = time.process_time(), time.perf_counter()
    due = start
    tasks = []
    while (due := due + chance.expovariate(rate)) < start + seconds:
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(loop.create_task(one(due)))
    await asyncio.gather(*tasks)
    run.client_cpu_s = time.process_time() - cpu
    for connection in free:
        connection.transport.close()
    return run
