"""Faults: what goes wrong around the service, and what its good clients notice of it."""

import contextlib
import hashlib
import json
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.conftest import API, ROOT, InProcess, Server, connect, free_port, missing, require, running_server
from tests.hostile.clients import crowd
from tests.hostile.corpus import seeds
from tests.hostile.cost import status_mb

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads what Linux says in /proc"
)

PUBLISHED = ROOT / "model"
JPEG = {"Content-Type": "image/jpeg"}

# The server with shorter patience, so that no test waits for real timeouts.
IMPATIENT = """
import sys
from api import _server
from api._routes import body
body.READ_TIMEOUT_S, _server.HEADER_TIMEOUT_S, _server.LINGER_S, _server.WRITE_TIMEOUT_S = 0.5, 0.5, 0.5, 0.5
from api.__main__ import main
sys.exit(main())
"""

# Every way of Python's to change a file system, refused as a read-only one refuses it.
WRITES_NOTHING = """
import errno, os, sys
changes = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "tempfile.mkstemp",
           "tempfile.mkdtemp"}
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event in changes or (writes and arguments[0] != "/dev/null"):
        print("WRITES", event, arguments, flush=True)
        raise OSError(errno.EROFS, "Read-only file system", str(arguments[0]))
sys.addaudithook(watch)
from api.__main__ import main
sys.exit(main())
"""


# --- bad clients ---------------------------------------------------------------------------------------------------


def test_of_64_clients_with_a_tenth_misbehaving_every_good_one_is_answered(
    server: Server, cat_jpeg: bytes
) -> None:
    tally = crowd(server.url, server.process.pid, cat_jpeg, clients=64, seconds=1)
    assert not tally.failed, tally.report()
    assert not tally.worst, tally.report()
    assert tally.good > 0
    assert tally.bad


@pytest.mark.long
def test_memory_stays_flat_while_64_clients_come_and_go_for_a_minute(
    serve: Callable[..., Server], cat_jpeg: bytes
) -> None:
    server = serve()
    crowd(
        server.url, server.process.pid, cat_jpeg, clients=64, seconds=10
    )  # pools and arenas reach their size
    tally = crowd(server.url, server.process.pid, cat_jpeg, clients=64, seconds=60)
    assert not tally.failed, tally.report()
    assert not tally.worst, tally.report()
    assert tally.growth_mb() < 20, tally.report()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(
        tmp_path_factory.mktemp("impatient") / "log", [sys.executable, "-c", IMPATIENT]
    ) as server:
        yield server


def test_a_slowloris_client_is_disconnected(impatient: Server) -> None:
    with connect(impatient) as connection:
        with contextlib.suppress(OSError):
            for byte in b"GET /health HTTP/1.1\r\nX-Long: " + b"a" * 50:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        assert ended(connection)


def test_a_silent_client_is_disconnected(impatient: Server) -> None:
    with connect(impatient) as connection:
        assert ended(connection)


def test_a_client_that_sends_its_second_request_very_slowly_is_disconnected(impatient: Server) -> None:
    with connect(impatient) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /hea")
        assert ended(connection)


def test_a_client_that_sends_its_photo_very_slowly_gets_a_408_it_can_read(impatient: Server) -> None:
    with connect(impatient) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 999\r\n\r\nx"
        )
        answer = connection.recv(65_536)
        while b"took over" not in answer:
            answer += connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 408")
        connection.sendall(b"more")
        assert ended(connection)


def test_a_refused_client_that_keeps_sending_slowly_is_disconnected_even_if_it_asked_to_close(
    impatient: Server,
) -> None:
    for start in (b"POST /nowhere HTTP/1.0\r\n", b"POST /nowhere HTTP/1.1\r\nConnection: close\r\n"):
        with connect(impatient) as connection:
            connection.sendall(start + b"Host: a\r\nContent-Length: 99999\r\n\r\n")
            begun = time.monotonic()
            with contextlib.suppress(OSError):
                while time.monotonic() < begun + 9:
                    connection.sendall(b"x")
                    time.sleep(0.05)
            assert time.monotonic() < begun + 8, "further bytes buy no further time"


def test_a_very_slow_client_reads_the_408_even_if_the_connection_is_to_be_closed(
    impatient: Server,
) -> None:
    with connect(impatient) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.0\r\nContent-Type: image/jpeg\r\nContent-Length: 999\r\n\r\nx"
        )
        answer = b""
        while data := connection.recv(65_536):
            answer += data
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"took over" in answer


def test_a_client_that_never_reads_its_answer_is_disconnected(impatient: Server) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        address = urlsplit(impatient.url)
        connection.connect((address.hostname, address.port))
        # Several, because the kernel's own buffers take the first ones.
        connection.sendall(b"GET /model/model.onnx HTTP/1.1\r\nHost: a\r\n\r\n" * 4)
        assert gone(impatient, connection.getsockname()[1])


def ended(connection: socket.socket) -> bool:
    """Whether the server closes the connection; waiting for it is bounded by the socket's own timeout."""
    try:
        while data := connection.recv(65_536):
            assert not data.startswith(b"HTTP/1.1 5")
    except ConnectionError:
        pass
    return True


def gone(server: Server, port: int) -> bool:
    """Whether the server's side of the connection from this port disappears."""
    process = psutil.Process(server.process.pid)
    for _ in range(200):
        if not any(one.raddr and one.raddr.port == port for one in process.net_connections("tcp")):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.process
def test_a_413_is_read_by_every_client_that_is_still_sending(serve: Callable[..., Server]) -> None:
    requests = require("requests")
    server = serve(MAX_UPLOAD_BYTES="100000")
    body = bytes(20_000_000)
    url = f"{server.url}/predict"
    session = requests.Session()
    session.trust_env = False
    before = peak_mb(server)
    assert session.post(url, files={"file": body}).status_code == 413
    assert httpx.post(url, files={"file": body}, trust_env=False).status_code == 413
    if curl := shutil.which("curl"):
        closing = ["-H", "Expect:", "-H", "Connection: close"]
        chunked = ["-H", "Expect:", "-H", "Transfer-Encoding: chunked"]
        for extra in ([], ["-H", "Expect:"], chunked, closing, ["--http1.0", "-H", "Expect:"]):
            command = [curl, "-sS", "--noproxy", "*", "-F", "file=@-;filename=a.jpg", *extra, url]
            result = subprocess.run(command, input=body, capture_output=True, check=True)
            assert b"100,000 bytes" in result.stdout
    assert peak_mb(server) - before < 15, "the body was held"


def peak_mb(server: Server) -> float:
    return status_mb("VmHWM", server.process.pid)


# --- the process ---------------------------------------------------------------------------------------------------


@pytest.mark.process
def test_a_process_killed_under_load_starts_again_and_no_answer_was_wrong(
    tmp_path: Path, cat_jpeg: bytes
) -> None:
    port, stop, lock = free_port(), threading.Event(), threading.Lock()
    seen: list[tuple[object, object]] = []

    def ask() -> None:
        with httpx.Client(trust_env=False, verify=False) as client:
            while not stop.is_set():
                outcome: tuple[object, object] = ("no connection", None)
                try:
                    response = client.post(f"http://127.0.0.1:{port}/predict", content=cat_jpeg, headers=JPEG)
                    outcome = (response.status_code, response.json().get("prediction"))
                except httpx.TransportError:
                    time.sleep(0.02)
                with lock:
                    seen.append(outcome)

    with running_server(tmp_path / "log", port=port) as first:
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    with running_server(tmp_path / "log", port=port) as second:
        time.sleep(0.5)
        stop.set()
        for thread in threads:
            thread.join()
        assert httpx.get(f"{second.url}/health", trust_env=False).json()["status"] == "healthy"
    assert set(seen) == {(200, "cat"), ("no connection", None)}
    assert seen[-1] == (200, "cat"), "after the restart all is as before"


@pytest.mark.process
def test_ctrl_c_ends_it_quickly_even_with_a_client_that_hangs(tmp_path: Path) -> None:
    with running_server(tmp_path / "log") as server, connect(server) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        server.process.send_signal(signal.SIGINT)
        server.process.wait(timeout=45)


@pytest.mark.process
def test_without_file_descriptors_it_serves_again_as_soon_as_some_are_free(
    tmp_path: Path, cat_jpeg: bytes
) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))

    with running_server(tmp_path / "log", preexec_fn=few) as server, server.client() as client:
        assert client.get("/health").status_code == 200  # its connection stays open
        idle = []
        for _ in range(100):
            idle.append(connect(server))
        assert client.post("/predict", content=cat_jpeg, headers=JPEG).status_code == 200
        for name in ("WebP lossy", "AVIF plain", "TIFF fax group4", "GIF animated", "BMP grey"):
            assert client.post("/predict", content=seeds()[name].data, headers=JPEG).status_code == 200, name
        for connection in idle:
            connection.close()
        time.sleep(1.5)  # asyncio accepts again after a second
        for _ in range(5):
            assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200


# --- the machine ---------------------------------------------------------------------------------------------------


@pytest.mark.process
def test_it_writes_nothing_to_any_file_system(tmp_path: Path, cat_jpeg: bytes) -> None:
    environment: dict[str, Any] = {
        "TMPDIR": "/nonexistent",
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with running_server(tmp_path / "log", [sys.executable, "-c", WRITES_NOTHING], **environment) as server:
        answers_everything(server, cat_jpeg)
        assert "WRITES" not in server.log()


@pytest.mark.process
def test_it_serves_from_a_read_only_file_system_without_a_writable_tmp(
    tmp_path: Path, cat_jpeg: bytes
) -> None:
    unshare = shutil.which("unshare")
    if not unshare:
        missing("unshare is not installed")
    # A mount namespace of its own, where the whole tree is read-only, and /tmp too where that is a mount of its own.
    script = (
        "mount -o remount,bind,ro / && "
        "{ ! touch /tmp/x 2>/dev/null || { rm /tmp/x; mount -o remount,bind,ro /tmp; }; } && "
        'cd "$0" && ! touch /tmp/x x 2>/dev/null && exec "$@"'
    )
    space = [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", script, str(ROOT)]
    trial = subprocess.run([*space, "true"], capture_output=True, check=False, text=True)
    if trial.returncode:
        pytest.skip(
            f"no mount namespaces here ({trial.stderr.strip()[-60:]}); the test above covers Python's own writes"
        )
    command = [*space, *API]
    with running_server(tmp_path / "log", command) as server:
        answers_everything(server, cat_jpeg)


def answers_everything(server: Server, photo: bytes) -> None:
    with server.client() as client:
        for path in (
            "/",
            "/health",
            "/model/info",
            "/model/metadata.json",
            "/model/model.onnx",
            "/openapi.json",
        ):
            assert client.get(path).status_code == 200, path
        assert client.post("/predict?explain=true", files={"file": photo}).json()["prediction"] == "cat"
        assert client.post("/predict/batch", files=[("files", photo)] * 20).status_code == 200
        assert client.post("/predict", files={"file": bytes(4_000_000)}).status_code == 400


@pytest.mark.long
def test_the_service_keeps_answering_when_the_clock_jumps_by_years(tmp_path: Path, cat_jpeg: bytes) -> None:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("libfaketime is not installed")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    settings: dict[str, Any] = {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with running_server(tmp_path / "log", **settings) as server, server.client() as client:
        years = []
        for jump in ("+0", "+3650d", "-3650d", "-14600d", "+0"):
            clock.write_text(jump)
            answer = client.post("/predict", content=cat_jpeg, headers=JPEG)
            assert answer.status_code == 200
            body = answer.json()
            assert 0 < body["processing_time_ms"] < 60_000, (
                "durations come from a clock that only goes forward"
            )
            years.append(int(body["timestamp"][:4]))
            assert float(answer.headers["Server-Timing"].split("total;dur=")[1]) > 0
    assert years[1] - years[0] in (9, 10)
    assert years[0] - years[3] in (39, 40)


def test_durations_come_from_a_clock_that_only_goes_forward() -> None:
    for path in (ROOT / "api").rglob("*.py"):
        text = path.read_text()
        assert "time.time(" not in text, path.name
        if path.name != "_answers.py":
            assert "datetime.now(" not in text, path.name


def test_a_model_published_while_serving_is_served_only_after_a_restart_and_never_mixed(
    tmp_path: Path, cat_jpeg: bytes
) -> None:
    registry = Path(shutil.copytree(PUBLISHED, tmp_path / "model"))
    old = (registry / "latest").read_text().strip()
    seen: set[tuple[str, ...]] = set()
    with InProcess(MODEL_DIR=str(registry)) as client:
        seen.add(versions(client, cat_jpeg))
        publish(registry, old, "9.9.9")
        seen.add(versions(client, cat_jpeg))
        # The worst of times: the old version is pulled from under the process.
        shutil.rmtree(registry / "versions" / old)
        seen.add(versions(client, cat_jpeg))
    assert seen == {(old,) * 4}
    with InProcess(MODEL_DIR=str(registry)) as client:
        assert versions(client, cat_jpeg) == ("9.9.9",) * 4


def publish(registry: Path, old: str, new: str) -> None:
    """As `python -m export publish` does: written beside, renamed into place, then `latest` is moved."""
    beside = registry / "versions" / f".{new}"
    shutil.copytree(registry / "versions" / old, beside)
    metadata = json.loads((beside / "metadata.json").read_text())
    (beside / "metadata.json").write_text(json.dumps({**metadata, "version": new}))
    beside.rename(registry / "versions" / new)
    (registry / ".latest").write_text(new)
    (registry / ".latest").replace(registry / "latest")


def versions(client: httpx.Client, photo: bytes) -> tuple[str, ...]:
    """The version that each route names; the weights served must be those of the metadata."""
    metadata = client.get("/model/metadata.json").json()
    # Not packed: that takes half a second, and other tests look at it.
    weights = client.get("/model/model.onnx", headers={"Accept-Encoding": "identity"}).content
    assert hashlib.sha256(weights).hexdigest() == metadata["weights"]["sha256"]
    return (
        client.post("/predict", content=photo, headers=JPEG).json()["model_version"],
        client.get("/health").json()["model_version"],
        client.get("/model/info").json()["metadata"]["version"],
        metadata["version"],
    )
