"""What every benchmark needs: photos, servers in separate processes, a client with little overhead, and statistics."""

import contextlib
import io
import os
import platform
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks._environment import clean_environment

ROOT = Path(__file__).resolve().parent.parent
BOUNDARY = "purrdict-benchmark"


@dataclass(frozen=True)
class Sample:
    """Measurements of one figure, in their order."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        return float(np.percentile(self.values, 99))

    @property
    def spread(self) -> float:
        """Interquartile range divided by the median: the noise of the machine, or of the program."""
        if len(self.values) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.values, n=4)
        return (high - low) / self.median

    def __str__(self) -> str:
        noisy = ", noisy" if self.spread > 0.25 else ""
        return f"{self.median:.4g} (±{self.spread / 2:.0%}{noisy})"


def in_turns(runs: int, *measures: Callable[[], Any]) -> list[tuple[Any, ...]]:
    """Measures several things in alternation, so that a change of the machine's speed affects all; one warm-up each.

    Returns:
        The results of each, run by run.
    """
    turns = [tuple(measure() for measure in measures) for _ in range(runs + 1)]
    return list(zip(*turns[1:], strict=True))


def pairwise(first: Callable[[], float], second: Callable[[], float], runs: int) -> tuple[Sample, Sample]:
    """Measures two figures in alternation."""
    ours, theirs = in_turns(runs, first, second)
    return Sample(ours), Sample(theirs)


def ratio(over: Sample, under: Sample) -> float:
    """Median of the ratios run by run."""
    return statistics.median(a / b for a, b in zip(over.values, under.values, strict=True))


def difference(of: Sample, less: Sample) -> float:
    """Median of the differences run by run."""
    return statistics.median(a - b for a, b in zip(of.values, less.values, strict=True))


# Photos


def photo(width: int = 500, height: int = 375, quality: int = 90, grain: float = 0.0) -> bytes:
    """Chelsea the cat (scikit-image, CC0) as a JPEG of this size; `grain` adds noise, as a camera's sensor does."""
    image = Image.fromarray(_chelsea()).resize((width, height), Image.Resampling.BICUBIC)
    if grain:
        noise = np.random.default_rng(0).normal(0, grain, (height, width, 1))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _chelsea() -> np.ndarray:
    from skimage import data

    load: Callable[[], np.ndarray] = data.chelsea  # scikit-image has no types
    return load()


def form(data: bytes, field: str = "file", path: str = "/predict") -> bytes:
    """A whole HTTP/1.1 request that posts the photo as a multipart form."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n'
    body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + data + f"\r\n--{BOUNDARY}--\r\n".encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# Servers


@dataclass(frozen=True)
class Contender:
    """A server that answers `request` with the classification of a photo."""

    name: str
    command: Sequence[str]  # {port} stands for the port
    needs: tuple[str, ...] = ()
    path: str = "/predict"
    field: str = "file"

    def request(self, data: bytes) -> bytes:
        return form(data, self.field, self.path)

    def missing(self) -> list[str]:
        """Packages that this contender needs and this environment lacks."""
        return [name for name in self.needs if not _installed(name)]


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


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


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Running:
    """A contender's process and its port."""

    port: int
    process: subprocess.Popen[bytes]

    def memory_mb(self) -> float:
        """Memory of the process and its children without sharing with other processes, in MB; see `resident_kb`."""
        return resident_kb(process.pid for process in _tree(self.process.pid)) / 1024

    def cpu_seconds(self) -> float:
        """CPU time, user and system, that the process and its living children have used."""
        times = [process.cpu_times() for process in _tree(self.process.pid)]
        return sum(spent.user + spent.system for spent in times)


def measured_environment() -> dict[str, str]:
    """The environment without settings of Purrdict, in which Python caches bytecode."""
    return clean_environment(PYTHONDONTWRITEBYTECODE="")


@contextlib.contextmanager
def running(contender: Contender, first_request: bytes) -> Iterator[tuple[Running, float]]:
    """Starts the contender; yields it and the seconds from process start to its first answered photo."""
    port = free_port()
    command = [part.format(port=port, python=sys.executable) for part in contender.command]
    environment = measured_environment()
    environment |= {"PORT": str(port), "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _first_answer(port, first_request, process, contender.name)
        yield Running(port, process), time.perf_counter() - start
    finally:
        _end(process)


def _first_answer(port: int, request: bytes, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + 120
    last = ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with status {process.returncode} before it answered")
        try:
            client = Client(port)
            try:
                client.send(request)
                return
            finally:
                client.close()
        except (OSError, RuntimeError) as error:
            last = str(error)
        time.sleep(0.002)
    raise RuntimeError(f"{name} did not answer within two minutes: {last}")


def _end(process: subprocess.Popen[bytes]) -> None:
    # The whole process group: some servers leave their workers running when only the parent ends.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 15)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def resident_kb(pids: Iterable[int]) -> int:
    """Resident memory of processes in kB. Memory shared among them counts once; shared with others, in full.

    Not Pss, which divides the pages of a library by all processes that use it: the benchmark itself uses many of the
    server's libraries, while a function on a serverless plan shares them with no process. And not psutil, which gives
    neither the offset of a mapping nor the anonymous part of Pss.
    """
    own = 0
    # Mapped file and offset → its largest resident size in any of the processes.
    files: dict[tuple[str, ...], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):  # the process has ended
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
            own += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss_Anon:"))
            mapping: tuple[str, ...] = ()
            resident = 0
            for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
                name, *values = line.split()
                if not name.endswith(":"):
                    # A new mapping: addresses, permissions, offset, device, inode, path.
                    mapping = tuple(values[1:4])
                elif name == "Rss:":
                    resident = int(values[0])
                elif name == "Anonymous:":
                    files[mapping] = max(files.get(mapping, 0), resident - int(values[0]))
    return own + sum(files.values())


# Load


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


# The machine


def machine() -> str:
    """Processor, cores, memory, Python and the versions that matter, in one paragraph."""
    with contextlib.suppress(OSError, StopIteration):
        cpu = next(
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if "model name" in line
        )
        memory = psutil.virtual_memory().total / 2**30
        cores = len(os.sched_getaffinity(0))
        names = ("onnxruntime", "pillow", "numpy", "fastapi", "uvicorn", "torch", "bentoml", "litserve")
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in names if _installed(name))
        return f"{cores} cores of {cpu}, {memory:.0f} GiB; Python {platform.python_version()}, {versions}"
    return f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"


def busy() -> str:
    """A warning if the machine is busy with something else, else an empty text."""
    one_minute = os.getloadavg()[0]
    cores = os.cpu_count() or 1
    return (
        f"the machine is busy (load {one_minute:.1f} on {cores} cores): expect a wide spread"
        if one_minute > 0.7
        else ""
    )
