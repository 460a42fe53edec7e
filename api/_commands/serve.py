"""python -m api serve: the app on uvicorn."""

import os
import socket
import sys
from typing import Any

from api._commands.output import CommandError, say
from api._settings import Settings


def serve(host: str, port: int, settings: Settings) -> int:
    """Serves until it is told to stop; returns the exit status.

    Raises:
        CommandError: nothing can listen there.
    """
    _check_address(host, port)
    import uvicorn

    # One import path for every platform: this is the object that Vercel and Lambda run too.
    from api.index import app

    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    url += settings.root_path
    say(f"page     {url}/\npredict  curl -F file=@photo.jpg {url}/predict\ndocs     {url}/docs")
    if settings.workers_ignored:
        print(
            "note: WEB_CONCURRENCY is ignored: this one process uses every processor with threads. "
            "For more, start the service again on another port or in another container.",
            file=sys.stderr,
        )
    # Without `workers` it reads WEB_CONCURRENCY, and ends at any value of it but 1.
    uvicorn.run(app, host=host, port=port, workers=1, **uvicorn_options())
    return 0


def uvicorn_options() -> dict[str, Any]:
    """How uvicorn serves the app."""
    from api._server import TimeoutProtocol

    return {
        # The app writes its own line a request, and has neither web sockets nor a lifespan to import code for.
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "ws": "none",
        "lifespan": "off",
        # Where uvloop is installed it would be taken: beside this protocol it saves no time, and it costs memory.
        "loop": "asyncio",
        "http": TimeoutProtocol,
    }


def _check_address(host: str, port: int) -> None:
    """Listens there for a moment.

    Raises:
        CommandError: nothing can listen there; before an address is printed that nobody will answer.
    """
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:1]:
            with socket.socket(family, kind, protocol) as listener:
                if os.name != "nt":  # where it means to share the port with whoever has it
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
        reason = getattr(error, "strerror", None) or "no name of a machine"
        raise CommandError(
            f"cannot listen on {host[:80]!r}, port {port}: {reason}. Name another --port, or as --host an address "
            "of this machine."
        ) from error
