"""Serves the app with uvicorn."""

from __future__ import annotations

import importlib
import os
import socket
import sys

import uvicorn

from services.feedback.app import create_app
from services.feedback.settings import Settings
from services.feedback.state import State


def serve(settings: Settings, host: str, port: int | None) -> int:
    """Serves until it is told to end; requests that are under way are answered first."""
    port = settings.port if port is None else port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        print(f"error: cannot listen on {host}, port {port}: {reason}. Name another --port.", file=sys.stderr)
        return 2
    app = create_app(settings)
    if not _expose(app.state.feedback, host):
        return 2
    if settings.tracing:
        prepare_tracing()
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"feedback      POST {url}/feedback\nowner's page  {url}/feedback/owner/", flush=True)
    if settings.folder is not None:
        print(f"kept in       {settings.folder}, the owner's key in feedback-admin-key there", flush=True)
    config = uvicorn.Config(
        app, access_log=False, log_level="warning", server_header=False, ws="none", workers=1,
        loop="asyncio", http="httptools", proxy_headers=False, timeout_graceful_shutdown=10,
        # Longer than the gateway keeps a connection: of two that close at one moment, a request is lost between.
        timeout_keep_alive=10,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def _expose(state: State, host: str) -> bool:
    """Answers scrapes where the settings ask for it; False, with a message, where nothing can listen there."""
    settings = state.settings
    if not settings.metrics_port or not state.metrics:
        return True
    from services.feedback.exposition import expose

    try:
        expose(state.metrics.registry, host, settings.metrics_port, settings.metrics_key)
    except OSError as error:
        print(
            f"error: cannot listen on {host}, port {settings.metrics_port}: {error.strerror}. Name another "
            "FEEDBACK_METRICS_PORT.",
            file=sys.stderr,
        )
        return False
    return True


def prepare_tracing() -> None:
    """Sets what OpenTelemetry takes from the environment, where nobody did."""
    for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        importlib.import_module(name)  # a missing package is said here; FastAPI would go on without
    os.environ.setdefault("OTEL_SERVICE_NAME", "purrdict-feedback")
    # Traces are what was asked for: metrics are Prometheus's, and cost another half millisecond a request this way.
    for signal in ("METRICS", "LOGS"):
        if not os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"):
            os.environ.setdefault(f"OTEL_{signal}_EXPORTER", "none")
    # A collector that hangs must not delay the end of the process for longer than containers wait for it. Seconds.
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
