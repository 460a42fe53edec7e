"""Servers in processes of their own, from their start to their first answer and their end."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._environment import clean_environment
from benchmarks._load import Client
from benchmarks._machine import installed
from benchmarks._memory import resident_kb, tree
from benchmarks._requests import form

ROOT = Path(__file__).resolve().parent.parent


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
        return [name for name in self.needs if not installed(name)]


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
        return resident_kb(process.pid for process in tree(self.process.pid)) / 1024

    def cpu_seconds(self) -> float:
        """CPU time, user and system, that the process and its living children have used."""
        times = [process.cpu_times() for process in tree(self.process.pid)]
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
