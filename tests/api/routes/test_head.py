"""HEAD, which monitors and `wget --spider` send: it works wherever GET does, and its answers have no body."""

import shutil
import subprocess

import httpx
import pytest

from tests.conftest import ROOT, InProcess, Server, connect, missing


@pytest.fixture(scope="module")
def app() -> InProcess:
    return InProcess()


def paths() -> list[str]:
    files = [
        path.relative_to(ROOT / "web").as_posix()
        for path in sorted((ROOT / "web").rglob("*"))
        if path.is_file() and not {"node_modules", "package.json", "package-lock.json"} & set(path.parts)
    ]
    named = [
        "",
        "health",
        "model/info",
        "model/metadata.json",
        "model/model.onnx",
        "openapi.json",
        "docs",
        "redoc",
    ]
    docs = ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/docs.js"]
    return [f"/{name}" for name in (*named, *docs, *files)]


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_head_answers_like_get_but_without_a_body_wherever_get_works(app: InProcess, accept: str) -> None:
    changing = {"x-request-id", "server-timing", "content-length"}
    for path in paths():
        got, head = (app.request(method, path, headers={"Accept": accept}) for method in ("GET", "HEAD"))
        assert got.status_code == 200, path
        assert head.status_code == 200, path
        assert head.content == b"", path
        ours, theirs = (
            {name: value for name, value in answer.headers.items() if name not in changing}
            for answer in (head, got)
        )
        assert ours == theirs, path
        if path not in ("/health",):  # which tells the time
            assert head.headers["Content-Length"] == got.headers["Content-Length"], path


def test_head_of_something_unchanged_is_a_304(app: InProcess) -> None:
    for path in ("/model/model.onnx", "/model/metadata.json", "/app.js"):
        tag = app.request("HEAD", path).headers["ETag"]
        assert app.request("HEAD", path, headers={"If-None-Match": tag}).status_code == 304, path


def test_head_of_an_error_has_no_body_either(app: InProcess) -> None:
    broken = InProcess(MODEL_DIR="/nowhere")
    for answer, status in (
        (app.request("HEAD", "/nowhere"), 404),
        (app.request("HEAD", "/predict"), 405),
        (broken.request("HEAD", "/health"), 503),
        (broken.request("HEAD", "/model/model.onnx"), 503),
        (app.request("HEAD", "/health/"), 307),
    ):
        assert answer.status_code == status
        assert answer.content == b""


def test_a_wrong_method_is_told_all_the_right_ones(app: InProcess) -> None:
    for path, allowed in {
        "/": "GET, HEAD",
        "/health": "GET, HEAD",
        "/model/model.onnx": "GET, HEAD",
        "/app.js": "GET, HEAD",
        "/docs": "GET, HEAD",
        "/predict": "POST",
    }.items():
        answer = app.request("DELETE", path)
        assert answer.status_code == 405
        assert answer.headers["Allow"] == allowed, path
        assert answer.json()["detail"] == f"This address takes {allowed.replace(', ', ' and ')} only."


def test_head_is_not_another_operation_of_the_documentation(app: InProcess) -> None:
    for path, operations in app.get("/openapi.json").json()["paths"].items():
        assert set(operations) <= {"get", "post"}, path


def test_on_the_wire_the_connection_goes_on_after_a_head(server: Server) -> None:
    with connect(server) as connection:
        for last in (b"", b"Connection: close\r\n"):
            connection.sendall(b"HEAD /model/model.onnx HTTP/1.1\r\nHost: a\r\n" + last + b"\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                data = connection.recv(65_536)
                assert data, answer
                answer += data
            assert answer.startswith(b"HTTP/1.1 200")
        assert connection.recv(65_536) == b""


def test_wget_finds_the_service_alive(server: Server, client: httpx.Client) -> None:
    wget = shutil.which("wget") or missing("wget is not installed")
    for path in ("/", "/health", "/model/info"):
        command = [wget, "--no-proxy", "--quiet", "--spider", "--tries=1", server.url + path]
        assert subprocess.run(command, check=False, timeout=30).returncode == 0, path
