"""Serves the app with uvicorn."""

from __future__ import annotations

import socket
import sys

import uvicorn

from services.feedback.app import create_app
from services.feedback.settings import Settings


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
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"feedback      POST {url}/feedback\nowner's page  {url}/feedback/owner/", flush=True)
    if settings.folder is not None:
        print(f"kept in       {settings.folder}, the owner's key in feedback-admin-key there", flush=True)
    config = uvicorn.Config(
        create_app(settings), access_log=False, log_level="warning", server_header=False, ws="none", workers=1,
        loop="asyncio", http="httptools", proxy_headers=False, timeout_graceful_shutdown=10,
        # Longer than the gateway keeps a connection: of two that close at one moment, a request is lost between.
        timeout_keep_alive=10,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])
    return 0
