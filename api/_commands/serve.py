"""python -m api serve: the app on uvicorn."""

import contextlib
import importlib.util
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

from api._commands.output import CommandError, say
from api._settings import Settings

# One import path for every platform: this is the object that Vercel and Lambda run too.
_APP = "api.index:app"


def serve(host: str, port: int, settings: Settings, workers: int = 1) -> int:
    """Serves with so many processes until it is told to stop; returns the exit status.

    Raises:
        CommandError: nothing can listen there, or what is switched on is not installed.
    """
    _check_address(host, port)
    if settings.metrics_port:
        _check_address(host, settings.metrics_port, "METRICS_PORT")
    if settings.fastapi_otel_auto_configure:
        _prepare_tracing()
    import uvicorn

    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    url += settings.root_path
    say(f"page     {url}/\npredict  curl -F file=@photo.jpg {url}/predict\ndocs     {url}/docs")
    if settings.workers_ignored:
        print(
            "note: WEB_CONCURRENCY is ignored: one process uses every processor with threads. "
            "For more, name --workers, or start the service again on another port or in another container.",
            file=sys.stderr,
        )
    with _metrics(host, settings, workers), _threads(settings, workers):
        uvicorn.run(
            _APP if workers > 1 else _app(),
            host=host,
            port=port,
            # Otherwise it reads WEB_CONCURRENCY, and ends at any value of it but 1.
            workers=workers,
            # FastAPI starts its exporters with it, and the app has nothing else to start.
            lifespan="on" if settings.fastapi_otel_auto_configure else "off",
            **uvicorn_options(),
        )
    return 0


def uvicorn_options() -> dict[str, Any]:
    """How uvicorn serves the app, whatever the settings."""
    from api._server import TimeoutProtocol

    return {
        # The app writes its own line a request, and has no web sockets to import code for.
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "ws": "none",
        # Where uvloop is installed it would be taken: beside this protocol it saves no time, and it costs memory.
        "loop": "asyncio",
        "http": TimeoutProtocol,
    }


def _app() -> Any:
    from api.index import app

    return app


@contextlib.contextmanager
def _metrics(host: str, settings: Settings, workers: int) -> Iterator[None]:
    """Answers scrapes: of one process from it, of several from their parent, which adds up what they count."""
    if not settings.metrics_port:
        yield
        return
    try:
        from api._observe import exposition, processes
    except ImportError as error:
        raise CommandError(
            "METRICS_PORT: metrics need a package that is not installed: pip install -r requirements-operate.txt"
        ) from error
    with contextlib.ExitStack() as stack:
        if workers > 1:
            registry = stack.enter_context(processes.of_several_processes(_children))
        else:
            registry = _app().state.metrics.registry
            processes.of_one_process(registry)
        server = exposition.expose(registry, host, settings.metrics_port, settings.metrics_key)
        stack.callback(server.shutdown)
        yield


def _children() -> list[int]:
    import multiprocessing

    return [child.pid for child in multiprocessing.active_children() if child.pid]


@contextlib.contextmanager
def _threads(settings: Settings, workers: int) -> Iterator[None]:
    """Gives each of several processes its share of the processors, instead of all of them to each."""
    if workers > 1 and settings.threads is None:
        from api._classifier import available_cpus

        os.environ["THREADS"] = str(max(1, available_cpus() // workers))
    yield


def _prepare_tracing() -> None:
    """Checks what FastAPI will need, and sets what its exporter takes from the environment where nobody did.

    Raises:
        CommandError: a package is missing.
    """
    for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise CommandError(
                "FASTAPI_OTEL_AUTO_CONFIGURE: traces need packages that are not installed: "
                "pip install -r requirements-operate.txt"
            )
    if not any(
        os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT")
        for signal in ("", "TRACES_", "METRICS_", "LOGS_")
    ):
        print(
            "note: FASTAPI_OTEL_AUTO_CONFIGURE sends nothing yet: name your collector in OTEL_EXPORTER_OTLP_ENDPOINT, "
            "like http://127.0.0.1:4318.",
            file=sys.stderr,
        )
    os.environ.setdefault("OTEL_SERVICE_NAME", "purrdict-api")
    # Traces are what was asked for: metrics are Prometheus's, and cost another half millisecond a request this way.
    for signal in ("METRICS", "LOGS"):
        if not os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"):
            os.environ.setdefault(f"OTEL_{signal}_EXPORTER", "none")
    # A collector that hangs must not delay the end of the process for longer than containers wait for it. Seconds.
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "2")


def _check_address(host: str, port: int, name: str = "--port") -> None:
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
            f"cannot listen on {host[:80]!r}, port {port}: {reason}. Name another {name}, or as --host an address "
            "of this machine."
        ) from error
