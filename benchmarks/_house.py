"""The services as processes of their own, on loopback, as their users start them."""

import contextlib
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._processes import end
from benchmarks._servers import ROOT, free_port, measured_environment

GATEWAY = ROOT / "services" / "gateway"


@dataclass(frozen=True)
class Started:
    """A service that answers."""

    url: str
    metrics_url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])


@contextlib.contextmanager
def api(*arguments: str, **settings: str) -> Iterator[Started]:
    """The classifier."""
    yield from _started(
        [sys.executable, "-m", "api", "serve", *arguments], "--port", "METRICS_PORT", settings
    )


@contextlib.contextmanager
def feedback(**settings: str) -> Iterator[Started]:
    """The feedback service; on SQLite in a folder of its own, unless DATABASE_URL is among the settings."""
    with tempfile.TemporaryDirectory() as folder:
        names = (
            "DATABASE_URL",
            "FEEDBACK_API_URL",
            "FEEDBACK_LABELS",
            "FEEDBACK_SECRET",
            "FEEDBACK_ADMIN_KEY",
        )
        settings = {**dict.fromkeys(names, ""), "FEEDBACK_DIR": folder, **settings}
        command = [sys.executable, "-m", "services.feedback", "serve"]
        yield from _started(command, "--port", "FEEDBACK_METRICS_PORT", settings)


@contextlib.contextmanager
def writer(**settings: str) -> Iterator[Started]:
    """The writer; LLM_URL says where its engine is."""
    yield from _started(
        [sys.executable, "-m", "services.writer", "serve"], "--port", "METRICS_PORT", settings
    )


@contextlib.contextmanager
def gateway(**settings: str) -> Iterator[Started]:
    """The gateway, without limits on a client's requests."""
    if not (GATEWAY / "node_modules").exists():
        raise RuntimeError("the gateway's packages are not installed: npm ci --prefix services/gateway")
    limits = {"RATE_LIMIT": "1000000", "RATE_LIMIT_READS": "1000000", **settings}
    yield from _started(["node", str(GATEWAY / "src" / "main.js")], None, "METRICS_PORT", limits)


def _started(
    command: Sequence[str], port_option: str | None, metrics: str, settings: dict[str, str]
) -> Iterator[Started]:
    port, metrics_port = free_port(), free_port()
    environment = {**measured_environment(), "PYTHONPATH": str(ROOT), **settings}
    if environment.get(metrics) == "on":
        environment[metrics] = str(metrics_port)
    if port_option is None:
        environment |= {"PORT": str(port), "HOST": "127.0.0.1"}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *([port_option, str(port)] if port_option else [])],
                cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            found = Started(
                f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics", process, log
            )
            _wait(found)
            yield found
        finally:
            end(process, 20)


def _wait(service: Started) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if service.process.poll() is not None:
            raise RuntimeError(f"it ended at its start:\n{service.log.read_text(encoding='utf-8')}")
        with contextlib.suppress(OSError):
            try:
                urllib.request.urlopen(f"{service.url}/health", timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()  # unhealthy, and there
            return
        time.sleep(0.02)
    raise RuntimeError(f"it does not answer:\n{service.log.read_text(encoding='utf-8')}")
