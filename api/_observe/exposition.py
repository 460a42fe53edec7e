"""Where Prometheus finds the metrics: a port of their own, with a thread of its own.

So a scrape is answered while the event loop is busy, and nobody who may predict can ask for it. Whoever reaches the
port may hold a few connections for a few seconds, and no more.
"""

import contextlib
import hmac
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_CONNECTIONS = 8
_PATIENCE_S = 2
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_S

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - http.server's own name
        """Says nothing: a scrape every few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    free = threading.BoundedSemaphore(_CONNECTIONS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that leave or stall."""

    def server_bind(self) -> None:
        # WSGIServer would ask the name server for this machine's name.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


def guarded(registry: CollectorRegistry, key: str | None) -> App:
    """A WSGI app that answers `GET /metrics` to whoever brings the key as a bearer token; without one, to everybody."""
    metrics = make_wsgi_app(registry)
    wanted = f"Bearer {key}".encode() if key else None

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        sent = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
        if wanted and not hmac.compare_digest(sent, wanted):
            start("401 Unauthorized", [("Content-Type", "text/plain"), ("WWW-Authenticate", "Bearer")])
            return [b"The metrics take METRICS_KEY as a bearer token.\n"]
        if environ["PATH_INFO"] != "/metrics":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"There is nothing here but /metrics.\n"]
        answer: Iterable[bytes] = metrics(environ, start)
        return answer

    return app


def expose(registry: CollectorRegistry, host: str, port: int, key: str | None) -> _Server:
    """Answers scrapes in a thread from now on. Raises OSError where nothing can listen there."""
    _Server.address_family = _family(host)
    server = _Server((host, port), _Handler)
    server.set_app(guarded(registry, key))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _family(host: str) -> Any:
    import socket

    return socket.AF_INET6 if ":" in host else socket.AF_INET


def of_one_process(registry: CollectorRegistry) -> None:
    """Adds this process's own memory, processor time and open files."""
    ProcessCollector(registry=registry)


@contextlib.contextmanager
def of_several_processes(pids: Callable[[], list[int]]) -> Iterator[CollectorRegistry]:
    """The registry of a parent whose children count: started in this block, they find the folder in the environment."""
    with tempfile.TemporaryDirectory(prefix="purrdict-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[_MULTIPROCESS] = folder
        registry = CollectorRegistry()
        registry.register(_Living(registry, folder, pids))
        yield registry


class _Living:
    """The children's counts, without the gauges of those that have ended; and what all processes take together."""

    def __init__(self, registry: CollectorRegistry, folder: str, pids: Callable[[], list[int]]) -> None:
        self._folder, self._pids = folder, pids
        self._counts = MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        living = self._pids()
        for path in Path(self._folder).glob("gauge_live*.db"):
            if (pid := int(path.stem.rpartition("_")[2])) not in living:
                mark_process_dead(pid, self._folder)  # type: ignore[no-untyped-call]
        yield from self._counts.collect()  # type: ignore[no-untyped-call]
        memory = cpu = 0.0
        for pid in (os.getpid(), *living):
            with contextlib.suppress(OSError):  # it has ended
                pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
                memory += pages * os.sysconf("SC_PAGE_SIZE")
                cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory of all processes.", memory)
        yield CounterMetricFamily("process_cpu_seconds", "Processor time of all living processes.", cpu)
        yield GaugeMetricFamily("purrdict_workers", "Processes that answer.", float(len(living)))
