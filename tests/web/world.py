"""The surroundings of the page: real servers in every condition, static sites on other origins, photos."""

import contextlib
import functools
import http.server
import io
import json
import os
import re
import shutil
import socket
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests import conftest, models
from tests.conftest import ROOT, LocalServer, free_port

WEB = ROOT / "web"
SAMPLES = WEB / "samples"
# The page lies in a folder of its site, as on GitHub Pages.
SUBPATH = "/purrdict/"
# Names that the browser takes for this machine (see conftest.py): one that ngrok gives, an older one because browsers
# insist on https for its newer ones, and one of any page.
NGROK_HOST = "purrdict.ngrok.io"
PUBLIC_HOST = "page.example"


class World:
    """Starts servers on demand and ends them all at the end."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._sites = 0
        # The folders of the sites, by number.
        self.pages: dict[int, Path] = {}

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *failure: Any) -> None:
        self._stack.close()

    def api(self, **settings: Any) -> LocalServer:
        """A server of its own with these settings, in a thread: a process takes five times as long to start."""
        return self._stack.enter_context(conftest.serving(**settings))

    @functools.cached_property
    def server(self) -> LocalServer:
        """The server with default settings; it serves the page, too."""
        return self.api()

    @functools.cached_property
    def open(self) -> LocalServer:
        """A server that any page may call."""
        return self.api(ALLOWED_ORIGINS="*")

    @functools.cached_property
    def keyed(self) -> LocalServer:
        """A server that wants the key `right`."""
        return self.api(API_KEYS="right", ALLOWED_ORIGINS="*")

    @functools.cached_property
    def unsure(self) -> LocalServer:
        """A server with the published model, but a threshold that no photo passes."""
        return self.api(MODEL_DIR=str(self.model_with(thresholds={"recognized": 1.01})), ALLOWED_ORIGINS="*")

    def registry(self, labels: Sequence[object], **metadata: Any) -> Path:
        """A registry with a tiny model of these labels (see tests/models.py)."""
        return models.publish(self._folder / f"registry-{time.monotonic_ns()}", labels, **metadata)

    @functools.cache  # noqa: B019 - a world lives as long as the tests that use it
    def of(self, labels: tuple[object, ...], threshold: float = 0.5) -> LocalServer:
        """A server with a tiny model of these labels, which any page may call."""
        registry = self.registry(labels, thresholds={"recognized": threshold})
        return self.api(MODEL_DIR=str(registry), ALLOWED_ORIGINS="*")

    @functools.cached_property
    def empty(self) -> LocalServer:
        """A server without a model."""
        return self.api(MODEL_DIR=str(self._folder / "no-model"), ALLOWED_ORIGINS="*")

    def stopped(self) -> str:
        """An address where nothing listens."""
        return f"http://127.0.0.1:{free_port()}"

    def slow(self, server: LocalServer, seconds: float) -> str:
        """The address of a proxy that holds every answer of the server back for some seconds."""
        return self._stack.enter_context(_proxy(server.url, lambda: time.sleep(seconds)))

    def held(self, server: LocalServer) -> tuple[str, Callable[[], None]]:
        """The address of a proxy that holds every answer of the server back, and what lets them all pass."""
        passing = threading.Event()
        self._stack.callback(passing.set)
        return self._stack.enter_context(_proxy(server.url, passing.wait)), passing.set

    def recorder(self, server: LocalServer) -> tuple[str, "Recording"]:
        """The address of a proxy in front of the server, and what goes through it."""
        recording = Recording()
        return self._stack.enter_context(_proxy(server.url, recording=recording)), recording

    def failing(self, *answers: tuple[int, str]) -> str:
        """The address of a server whose health is good and whose predictions get these answers, the last for ever."""
        return self._stack.enter_context(serving(functools.partial(_Failing, list(answers))))

    def ngrok(self, server: LocalServer) -> tuple[str, list[str]]:
        """The address of the server behind a stand-in for ngrok's free plan, and the requests that it let through.

        Like ngrok it shows browsers a page of its own, which no other page may read, until a request carries its
        header; a preflight passes, because no browser can add that header to one.
        """
        passed: list[str] = []
        address = self._stack.enter_context(serving(functools.partial(_Ngrok, server.url, passed)))
        return address.replace("127.0.0.1", NGROK_HOST), passed

    def in_the_way(self, status: int, body: str = "<!DOCTYPE html><title>Sign in</title>") -> str:
        """The address of something that answers every request with a web page which any page may read."""
        return self._stack.enter_context(serving(functools.partial(_InTheWay, status, body)))

    def model_with(self, **metadata: Any) -> Path:
        """A copy of the published registry with parts of its metadata changed."""
        folder = self._folder / f"model-{time.monotonic_ns()}"
        version = (ROOT / "model" / "latest").read_text().strip()
        target = folder / "versions" / version
        target.mkdir(parents=True)
        (folder / "latest").write_text(version)
        source = ROOT / "model" / "versions" / version
        known = json.loads((source / "metadata.json").read_text())
        (target / "metadata.json").write_text(json.dumps({**known, **metadata}))
        shutil.copy(source / known["weights"]["file"], target)
        return folder

    def site(self, *, model: Path | None = None, **config: Any) -> str:
        """Publishes the page on an origin of its own, as a static host does; returns its address.

        Args:
            model: a registry whose latest model is put beside the page.
            config: what config.json says.
        """
        self._sites += 1
        root = self._folder / f"site-{self._sites}"
        page = root / SUBPATH.strip("/")
        page.mkdir(parents=True)
        for path in WEB.iterdir():
            if path.name not in ("config.json", "model"):
                os.symlink(path, page / path.name)
        (page / "config.json").write_text(json.dumps(config))
        if model:
            version = (model / "latest").read_text().strip()
            shutil.copytree(model / "versions" / version, page / "model")
        self.pages[self._sites] = page
        handler = functools.partial(_Quiet, directory=str(root))
        return self._stack.enter_context(serving(handler)) + SUBPATH


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class _Failing(http.server.BaseHTTPRequestHandler):
    """What a platform, or a function with too much to do, answers in place of a prediction."""

    def __init__(self, answers: list[tuple[int, str]], *arguments: Any) -> None:
        self._answers = answers
        super().__init__(*arguments)

    def do_GET(self) -> None:
        # One body for /health and /model/info.
        metadata = {"version": "1.0.0", "labels": ["cat", "dog"]}
        self._send(200, json.dumps({"status": "healthy", "model_loaded": True, "metadata": metadata}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(*(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]))

    def _send(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Expose-Headers", "X-Request-ID")
        self.send_header("X-Request-ID", "abc123")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


class _Ngrok(http.server.BaseHTTPRequestHandler):
    def __init__(self, target: str, passed: list[str], *arguments: Any) -> None:
        self._target, self._passed = target, passed
        super().__init__(*arguments)

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command != "OPTIONS" and not self.headers.get("ngrok-skip-browser-warning"):
            self._send(
                200, [("Content-Type", "text/html")], b"<!DOCTYPE html><title>You are about to visit</title>"
            )
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
        answer = httpx.request(
            self.command,
            self._target + self.path,
            content=body,
            headers={**headers, "Accept-Encoding": "identity"},
            timeout=30,
            trust_env=False,
        )
        self._passed.append(f"{self.command} {self.path}")
        self._send(answer.status_code, list(answer.headers.items()), answer.content)

    do_GET = do_POST = do_OPTIONS = _answer  # noqa: N815 - http.server's own names

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _InTheWay(http.server.BaseHTTPRequestHandler):
    def __init__(self, status: int, body: str, *arguments: Any) -> None:
        self._status, self._body = status, body.encode()
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.send_response(self._status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self._body)))
        self.end_headers()
        self.wfile.write(self._body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


class _Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Browsers close connections as they like."""


@contextlib.contextmanager
def serving(handler: Any) -> Iterator[str]:
    with _Threads(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Recording:
    """The bytes that browsers sent, connection by connection."""

    _PHOTO = re.compile(rb'filename="[^"]*"\r\nContent-Type: [^\r]*\r\n\r\n(.*?)\r\n------WebKit', re.DOTALL)

    def __init__(self) -> None:
        self._connections: list[bytearray] = []

    def connection(self) -> bytearray:
        self._connections.append(bytearray())
        return self._connections[-1]

    def photos(self) -> list[bytes]:
        """The photos in the forms that were sent."""
        return [photo for sent in self._connections for photo in self._PHOTO.findall(bytes(sent))]


@contextlib.contextmanager
def _proxy(
    url: str, hold: Callable[[], object] = lambda: None, recording: Recording | None = None
) -> Iterator[str]:
    """Passes connections on to `url`, answers when `hold` comes back, noting what was sent."""
    target = int(url.rsplit(":", 1)[1])

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            sent = recording.connection() if recording else bytearray()
            with socket.create_connection(("127.0.0.1", target)) as upstream:
                back = threading.Thread(target=_pump, args=(upstream, self.request, hold), daemon=True)
                back.start()
                _pump(self.request, upstream, note=sent)
                back.join()

    with serving(Relay) as address:
        yield address


def _pump(
    source: socket.socket,
    target: socket.socket,
    hold: Callable[[], object] = lambda: None,
    note: bytearray | None = None,
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if note is not None:
                note += data
            hold()
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


# --- photos


def jpeg(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def sample(name: str) -> Image.Image:
    with Image.open(SAMPLES / f"{name}.jpg") as image:
        return image.convert("RGB")


@functools.cache
def large_photo() -> bytes:
    """A cat as a 20-megapixel camera held upright takes her: 5472 x 3648 pixels, EXIF saying to turn them."""
    image = sample("chelsea").resize((5472, 3648), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).integers(-12, 13, (3648, 5472, 1), dtype=np.int16)
    pixels = np.clip(np.asarray(image, dtype=np.int16) + grain, 0, 255).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(Image.fromarray(pixels), quality=90, exif=exif)


def upload(name: str, data: bytes, kind: str = "image/jpeg") -> dict[str, Any]:
    """A file for Playwright's set_input_files."""
    return {"name": name, "mimeType": kind, "buffer": data}
