"""Clients good and bad, many at once, against a live server; what they saw is counted."""

import contextlib
import random
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import psutil

from tests.hostile.corpus import seeds

BAD_SHARE = 10  # one client in so many is a bad one


@dataclass
class Tally:
    """What all clients together saw.

    Attributes:
        good: requests that had to be answered 200.
        failed: those of them that were not, by what happened instead.
        bad: requests of the bad clients, by kind.
        worst: statuses of 500 and above other than 503 that anybody saw.
        seconds: latencies of the good requests.
        memory_mb: resident memory of the server, sampled twice a second.
    """

    good: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    worst: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that this share of the good requests did not exceed."""
        return 1e3 * sorted(self.seconds)[int(share * (len(self.seconds) - 1))]

    def growth_mb(self) -> float:
        """Median memory of the last quarter of the run less that of the second."""
        quarter = len(self.memory_mb) // 4
        return statistics.median(self.memory_mb[-quarter:]) - statistics.median(
            self.memory_mb[quarter : 2 * quarter]
        )

    def report(self) -> str:
        """The counts, a line each."""
        return "\n".join(
            [
                f"good requests      {self.good}, failed {sum(self.failed.values())} {dict(self.failed) or ''}",
                f"bad requests       {sum(self.bad.values())} {dict(self.bad)}",
                f"5xx                {sum(self.worst.values())} {dict(self.worst) or ''}",
                "p50, p99, most     "
                + ", ".join(f"{self.percentile(share):.0f}" for share in (0.5, 0.99, 1))
                + " ms",
                f"memory             {min(self.memory_mb):.0f} to {max(self.memory_mb):.0f} MB, "
                f"growth {self.growth_mb():+.1f} MB",
            ]
        )


def crowd(url: str, pid: int, photo: bytes, clients: int, seconds: float) -> Tally:
    """Lets this many clients, a tenth of them bad, loose on the server for this long."""
    tally, lock, end = Tally(), threading.Lock(), time.monotonic() + seconds
    threads = [
        threading.Thread(
            target=_bad if number % BAD_SHARE == 0 else _good, args=(url, photo, tally, lock, end, number)
        )
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    while time.monotonic() < end:
        tally.memory_mb.append(resident_mb(pid))
        time.sleep(0.5)
    for thread in threads:
        thread.join()
    return tally


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    return psutil.Process(pid).memory_info().rss / 1e6


def _good(url: str, photo: bytes, tally: Tally, lock: threading.Lock, end: float, number: int) -> None:
    with httpx.Client(base_url=url, timeout=60, trust_env=False, verify=False) as client:
        while time.monotonic() < end:
            start = time.monotonic()
            try:
                response = client.post("/predict", files={"file": photo})
                outcome = "" if response.status_code == 200 else str(response.status_code)
            except httpx.TransportError as error:
                outcome = type(error).__name__
            with lock:
                tally.good += 1
                tally.seconds.append(time.monotonic() - start)
                if outcome:
                    tally.failed[outcome] += 1
                if outcome.startswith("5"):
                    tally.worst[int(outcome)] += 1


def _bad(url: str, photo: bytes, tally: Tally, lock: threading.Lock, end: float, number: int) -> None:
    chance = random.Random(number)
    while time.monotonic() < end:
        kind = chance.choice([hangs_up, sends_slowly, sends_garbage, sends_broken_photos])
        status = 0
        with contextlib.suppress(OSError):
            status = kind(url, photo, chance)
        with lock:
            tally.bad[kind.__name__] += 1
            if status >= 500 and status != 503:
                tally.worst[status] += 1


def _connection(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((str(address.hostname), int(address.port or 80)), timeout=5)


def _head(length: int) -> bytes:
    return (
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        % length
    )


def _status(connection: socket.socket) -> int:
    answer = connection.recv(65_536)
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


def hangs_up(url: str, photo: bytes, chance: random.Random) -> int:
    """Leaves in the middle of its upload, or before it reads the answer."""
    with _connection(url) as connection:
        connection.sendall(_head(len(photo)) + photo[: chance.randrange(len(photo) + 1)])
    return 0


def sends_slowly(url: str, photo: bytes, chance: random.Random) -> int:
    """Drips some bytes of headers or of the body, and leaves."""
    request = _head(len(photo)) + photo
    with _connection(url) as connection:
        for at in range(chance.choice([0, 90]), 120, 10):
            connection.sendall(request[at : at + 10])
            time.sleep(0.1)
    return 0


def sends_garbage(url: str, photo: bytes, chance: random.Random) -> int:
    """Speaks no HTTP, or nearly."""
    lines: list[Callable[[], bytes]] = [
        lambda: chance.randbytes(500),
        lambda: b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        lambda: b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        lambda: b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(100),
    ]
    with _connection(url) as connection:
        connection.sendall(chance.choice(lines)())
        return _status(connection)


def sends_broken_photos(url: str, photo: bytes, chance: random.Random) -> int:
    """Sends files with changed bytes."""
    data = bytearray(chance.choice([seed.data for seed in seeds().values() if len(seed.data) < 20_000]))
    for _ in range(chance.randrange(1, 30)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    with _connection(url) as connection:
        connection.sendall(_head(len(data)) + bytes(data))
        return _status(connection)
