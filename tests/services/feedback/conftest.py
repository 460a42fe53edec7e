"""Feedback services to ask: in this process on SQLite and on a real PostgreSQL, or as the command that users run."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from benchmarks._processes import end
from tests.conftest import LOOPBACK, ROOT, free_port, missing, require

KEY = "the-owners-key-for-tests-only"
SECRET = "a-secret-for-tests-and-nothing-else"

collect_ignore_glob = []
for _module in ("sqlalchemy", "alembic", "psycopg"):
    try:
        __import__(_module)
    except ImportError:
        if os.environ.get("CI") != "true":
            collect_ignore_glob = ["test_*.py"]


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without any setting of the service, plus the given ones."""
    from services.feedback import settings as module

    names = (
        "DATABASE_URL", "FEEDBACK_SECRET", "FEEDBACK_ADMIN_KEY", "FEEDBACK_DIR", "ALLOWED_ORIGINS", "FEEDBACK_API_URL",
        "FEEDBACK_LABELS", "FEEDBACK_PER_HOUR", "FEEDBACK_RETENTION_DAYS", "MAX_UPLOAD_BYTES", "FEEDBACK_MAX_PHOTOS_MB",
        "TRUSTED_HOPS", "FEEDBACK_PORT", "LOG_LEVEL",
    )  # fmt: skip
    assert module.ROOT == ROOT
    return {**os.environ, **dict.fromkeys(names, ""), **settings}


def said(**changes: Any) -> dict[str, Any]:
    """Feedback that is well-formed, with changes."""
    return {
        "request_id": "r1", "model_version": "1.0.0", "prediction": "cat", "confidence": 0.93, "recognized": True,
        "correction": None, **changes,
    }  # fmt: skip


def jpeg(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def photo() -> bytes:
    """Chelsea the cat as a camera would send her: with the place, the camera's name and a comment in the file."""
    picture = Image.fromarray(require("skimage.data").chelsea()).resize((1200, 800))
    exif = Image.Exif()
    exif[0x010F] = "SECRETCAMERA"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.5), 3: "E", 4: (13.0, 24.0, 18.0)})
    return jpeg(picture, exif=exif, comment=b"SECRETCOMMENT", xmp=b"<x:xmpmeta>SECRETXMP</x:xmpmeta>")


class Service:
    """The app in this process."""

    def __init__(self, **settings: str) -> None:
        from services.feedback.app import create_app
        from services.feedback.settings import load

        values = {"FEEDBACK_SECRET": SECRET, "FEEDBACK_ADMIN_KEY": KEY, "LOG_LEVEL": "ERROR", **settings}
        self.settings = load(values)
        self.app = create_app(self.settings)
        self.database = self.app.state.feedback.database

    def request(
        self, method: str, path: str, *, client: str = "203.0.113.7", **options: Any
    ) -> httpx.Response:
        return self.all([(method, path, {"client": client, **options})])[0]

    def all(self, requests: list[tuple[str, str, dict[str, Any]]]) -> list[httpx.Response]:
        """Asks all at one time."""

        async def ask() -> list[httpx.Response]:
            return await asyncio.gather(*(self._ask(*request) for request in requests))

        return asyncio.run(ask())

    async def _ask(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        client = options.pop("client", "203.0.113.7")
        transport = httpx.ASGITransport(self.app, client=(client, 1), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://feedback.test") as http:
            return await http.request(method, path, **options)

    def send(
        self, *, client: str = "203.0.113.7", photo: bytes | None = None, **changes: Any
    ) -> httpx.Response:
        """POST /feedback; with a photo as a form that consents."""
        if photo is None:
            return self.request("POST", "/feedback", client=client, json=said(**changes))
        fields = {
            name: str(value) for name, value in said(consent=True, **changes).items() if value is not None
        }
        return self.request(
            "POST", "/feedback", client=client, data=fields, files={"photo": ("p.jpg", photo)}
        )

    def owner(self, path: str = "/feedback", **options: Any) -> httpx.Response:
        return self.request("GET", path, headers={"X-API-Key": KEY}, **options)

    def count(self) -> int:
        return int(self.owner("/feedback/stats").json()["count"])


@dataclass
class Postgres:
    """A PostgreSQL server of the tests' own, in a folder that goes away with it."""

    programs: Path
    folder: Path
    port: int

    def _as_owner(self, command: list[str]) -> list[str]:
        if os.geteuid() != 0:
            return command
        return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *command]

    def run(self, program: str, *arguments: str) -> None:
        command = self._as_owner([str(self.programs / program), *arguments])
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=60)
        assert result.returncode == 0, result.stderr + result.stdout

    def start(self) -> None:
        options = (
            f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        )
        log = str(self.folder / "log")
        # -l, and no pipe of ours: the server would keep it open.
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-l", log, "-o", options, "-w", "start")

    def stop(self, mode: str = "fast") -> None:
        with contextlib.suppress(AssertionError):
            self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            result = connection.execute(statement)
            return list(result) if result.description else []

    def new(self) -> str:
        """The address of a new, empty database."""
        name = f"d{time.monotonic_ns()}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)


def _make_postgres(folder: Path) -> Postgres:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if not initdb:
        missing("PostgreSQL is not installed: apt-get install postgresql")
    server = Postgres(Path(initdb).resolve().parent, folder, free_port())
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        for parent in folder.parents:
            # pytest's folders are closed to others; the server's user must get through them to its own.
            if (
                parent.stat().st_uid == 0
                and not parent.stat().st_mode & 0o001
                and str(parent).startswith("/tmp")
            ):
                parent.chmod(parent.stat().st_mode | 0o001)
    server.run(
        *("initdb", "-D", str(folder / "data"), "--auth", "trust", "--no-sync", "-U", "postgres"),
        # Whatever languages this machine has.
        *("-E", "UTF8", "--no-locale"),
    )
    return server


@contextlib.contextmanager
def new_postgres() -> Iterator[Postgres]:
    """A server that is not started yet, and ended at the end."""
    # Not in a folder of pytest's: where root tests, another run of pytest closes those to the server's user.
    with tempfile.TemporaryDirectory(prefix="purrdict-postgres-") as folder:
        server = _make_postgres(Path(folder))
        try:
            yield server
        finally:
            server.stop("immediate")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server for all tests that only use databases of it."""
    with new_postgres() as server:
        server.start()
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'feedback.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new()


@pytest.fixture
def service(database_url: str) -> Iterator[Service]:
    """The app on a new database of either kind."""
    made = Service(DATABASE_URL=database_url)
    yield made
    made.database.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Apps with settings of their own, on SQLite unless told otherwise."""
    made: list[Service] = []

    def build(**settings: str) -> Service:
        made.append(Service(**{"DATABASE_URL": f"sqlite:///{tmp_path / 'own.db'}", **settings}))
        return made[-1]

    yield build
    for one in made:
        one.database.close()


@dataclass
class Running:
    """`python -m services.feedback serve` in a process of its own."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    def send(self, **changes: Any) -> httpx.Response:
        return httpx.post(f"{self.url}/feedback", json=said(**changes), **LOOPBACK)


@contextlib.contextmanager
def running(
    folder: Path, port: int | None = None, python: str = sys.executable, **settings: str
) -> Iterator[Running]:
    """Starts the command and waits until it listens."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"log-{time.monotonic_ns()}"
    command = [python, "-m", "services.feedback", "serve", "--port", str(port)]
    values = {"FEEDBACK_DIR": str(folder), "FEEDBACK_SECRET": SECRET, "FEEDBACK_ADMIN_KEY": KEY, **settings}
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(**values), stdout=output, stderr=subprocess.STDOUT, text=True
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/feedback/owner/", **{**LOOPBACK, "timeout": 5})
                break
            time.sleep(0.02)
        yield Running(f"http://127.0.0.1:{port}", process, log)
    finally:
        end(process, 20)
