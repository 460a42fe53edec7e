"""What every test may use: the published model, photos with a free licence, and real servers."""

import asyncio
import contextlib
import gc
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from benchmarks._environment import SETTINGS as SETTINGS
from benchmarks._environment import clean_environment as clean_environment
from benchmarks._processes import end

ROOT = Path(__file__).resolve().parent.parent
# A client's certificates take it longer to read than twenty answers, and nothing of TLS is on loopback.
LOOPBACK: dict[str, Any] = {"timeout": 30, "trust_env": False, "verify": False}

# A shell without job control starts its background jobs with Ctrl-C ignored, and whatever they start inherits that: the
# programs that the tests interrupt would never notice.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays: looking through it for garbage takes a quarter of the collection's time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def missing(reason: str) -> NoReturn:
    """Skips the test with the reason on a developer's machine; fails it in CI, where nothing may be missing."""
    if os.environ.get("CI") == "true" or os.environ.get("PURRDICT_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (needed here, because CI must not skip)")
    pytest.skip(reason)


def require(module: str) -> Any:
    """Imports a package that not every developer has, or reports the test as skipped (in CI: failed)."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        missing(f"{module} is not installed: pip install -r export/requirements.txt -r requirements-dev.txt")


def require_program(*names: str) -> str:
    """Path of the first of these programs that is installed, or reports the test as skipped (in CI: failed)."""
    for name in names:
        if found := shutil.which(name):
            return found
    missing(f"{' or '.join(names)} is not installed")


@dataclass
class Server:
    """A real `python -m api serve` in a process of its own."""

    url: str
    process: subprocess.Popen[str]
    log_path: Path

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, **LOOPBACK, **options)

    def log(self, requests: int = 0) -> str:
        """What the server wrote so far; waits for the lines of so many requests, written after their answers."""
        deadline = time.monotonic() + 10
        while (log := self.log_path.read_text()).count('"message": "request"') < requests:
            assert time.monotonic() < deadline, f"fewer than {requests} requests in the log:\n{log}"
            time.sleep(0.01)
        return log


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def connect(server: "Server | LocalServer") -> socket.socket:
    """A connection to speak HTTP on by hand."""
    address = urlsplit(server.url)
    return socket.create_connection((str(address.hostname), int(address.port or 80)), timeout=10)


API = (sys.executable, "-m", "api")


@contextlib.contextmanager
def running_server(
    log_path: Path,
    command: Sequence[str] = API,
    port: int | None = None,
    preexec_fn: Callable[[], None] | None = None,
    workers: int = 1,
    **settings: str,
) -> Iterator[Server]:
    """Starts the server with these settings, waits until it answers, and ends it afterwards.

    `command` takes `serve --port N` behind it; `preexec_fn` runs in the new process before it.
    """
    port = port or free_port()
    with log_path.open("a") as log:
        process = subprocess.Popen(
            [*command, "serve", "--port", str(port), *(["--workers", str(workers)] if workers > 1 else [])],
            cwd=ROOT,
            env=clean_environment(**settings),
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=preexec_fn,
        )
    try:
        server = Server(f"http://127.0.0.1:{port}", process, log_path)
        _wait_until_it_answers(server)
        yield server
    finally:
        end(process, 15)


def _wait_until_it_answers(server: Server) -> None:
    deadline = time.monotonic() + 60
    with server.client() as client:
        while time.monotonic() < deadline:
            if server.process.poll() is not None:
                pytest.fail(f"the server ended at its start:\n{server.log()}")
            with contextlib.suppress(httpx.TransportError):
                client.get("/health", timeout=5)
                return
            time.sleep(0.05)
    pytest.fail(f"the server does not answer:\n{server.log()}")


class AppTransport(httpx.BaseTransport):
    """Hands the requests of a client to an ASGI app in this process."""

    def __init__(self, app: Any) -> None:
        self._transport = httpx.ASGITransport(app)
        self._loop = asyncio.new_event_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._loop.run_until_complete(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(request.stream, httpx.AsyncByteStream):
            request.stream = httpx.ByteStream(request.read())
        response = await self._transport.handle_async_request(request)
        # As it came over the wire, for the client to unpack.
        body = b"".join([piece async for piece in response.aiter_raw()])
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(body))

    def close(self) -> None:
        self._loop.close()


class InProcess(httpx.Client):
    """A client of the app in this process, without a server, so that settings of any kind cost a tenth of a second.

    Its log says nothing below ERROR unless LOG_LEVEL is among the settings; lines go to the standard output of now.
    """

    def __init__(self, **settings: str) -> None:
        # Imported here, because some tests need nothing of them.
        from api._app import create_app
        from api._settings import read_settings

        self.app: Any = create_app(read_settings({"LOG_LEVEL": "ERROR", **settings}))
        super().__init__(transport=AppTransport(self.app), base_url="http://purrdict.test")


@dataclass
class LocalServer:
    """The app on `python -m api serve`'s server and real sockets, in a thread of this process."""

    url: str

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, **LOOPBACK, **options)


@contextlib.contextmanager
def serving(keep_alive_s: int = 5, **settings: str) -> Iterator[LocalServer]:
    """Serves an app with these settings until the block ends."""
    import uvicorn

    from api._commands.serve import uvicorn_options

    started = threading.Event()

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    with InProcess(**settings) as app, socket.create_server(("127.0.0.1", 0)) as listener:
        options = {**uvicorn_options(), "lifespan": "off", "timeout_keep_alive": keep_alive_s}
        server = Announcing(uvicorn.Config(app.app, **options))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        assert started.wait(30)
        yield LocalServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server.force_exit = server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default settings, for all tests that only ask it."""
    with running_server(tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts further servers with settings of their own: `serve(API_KEYS="a")`."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> Server:
            path = tmp_path / f"server-{time.monotonic_ns()}.log"
            return stack.enter_context(running_server(path, **settings))

        yield start


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """The app with the default settings, in this process."""
    with InProcess() as opened:
        yield opened


@pytest.fixture(scope="session")
def cat() -> Image.Image:
    """Chelsea the cat, 451 x 300, CC0, as scikit-image ships her."""
    data = require("skimage.data")
    return Image.fromarray(data.chelsea())


@pytest.fixture(scope="session")
def coffee() -> Image.Image:
    """A cup of coffee, 600 x 400, CC0: neither cat nor dog."""
    data = require("skimage.data")
    return Image.fromarray(data.coffee())


def encode(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:  # noqa: A002 - Pillow's own name
    """The image as a file of this format."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def cat_jpeg(cat: Image.Image) -> bytes:
    return encode(cat, quality=92)
