"""Clients with little overhead: one connection each, one request at a time."""

import socket
import threading
import time

from benchmarks._figures import Sample


class Client:
    """One keep-alive connection; each call sends a prepared request and reads the whole answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")

    def send(self, request: bytes) -> bytes:
        """The body of the answer. Raises RuntimeError for any status but 200."""
        self._socket.sendall(request)
        status = self._stream.readline()
        length = None
        while (line := self._stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length is None:
            raise RuntimeError(f"no Content-Length after {status!r}")
        body = self._stream.read(length)
        if b" 200 " not in status:
            raise RuntimeError(f"{status!r}: {body[:300]!r}")
        return body

    def close(self) -> None:
        self._stream.close()
        self._socket.close()


def latencies(port: int, request: bytes, requests: int) -> Sample:
    """Milliseconds of each of `requests` requests of one client, after a tenth as many to warm up."""
    client = Client(port)
    try:
        values = [timed(client, request) for _ in range(requests + requests // 10)]
    finally:
        client.close()
    return Sample(tuple(values[requests // 10 :]))


def load(port: int, request: bytes, clients: int, seconds: float) -> tuple[float, Sample, int]:
    """Requests a second, latencies in milliseconds, and failures, of `clients` that each send one request at a time."""
    values: list[float] = []
    failures = 0
    gate = threading.Barrier(clients + 1)
    stop = threading.Event()

    def run() -> None:
        nonlocal failures
        client = Client(port)
        client.send(request)
        gate.wait()
        while not stop.is_set():
            try:
                values.append(timed(client, request))
            except (OSError, RuntimeError):
                failures += 1
                client = Client(port)
        client.close()

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    gate.wait()
    start = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return len(values) / (time.perf_counter() - start), Sample(tuple(values)), failures


def timed(client: Client, request: bytes) -> float:
    """Milliseconds that one request takes."""
    start = time.perf_counter()
    client.send(request)
    return (time.perf_counter() - start) * 1e3
