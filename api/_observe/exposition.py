"""Where Prometheus finds the metrics: a port of their own, with a thread of its own.

So a scrape is answered while the event loop is busy, and nobody who may use the service can ask for it. Whoever reaches
the port may hold a few connections for a few seconds, and no more.

The classifier, feedback and the writer have this very file each, because each is built alone; a test compares them.
"""

import hmac
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

_CONNECTIONS = 8
_PATIENCE_S = 2

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
    # As an attribute of a class made here: two servers of one process may listen on different kinds of addresses.
    kind = type("_Bound", (_Server,), {"address_family": socket.AF_INET6 if ":" in host else socket.AF_INET})
    server: _Server = kind((host, port), _Handler)
    server.set_app(guarded(registry, key))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
