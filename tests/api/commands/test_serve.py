"""What `python -m api serve` sets up, up to the call that serves."""

import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import uvicorn

import api._classifier
from api._commands import serve
from api._commands.output import CommandError
from api._server import TimeoutProtocol
from api._settings import read_settings
from tests.commands import run
from tests.conftest import InProcess, free_port, require, serving

Meanwhile = Callable[[], Any]


class Served:
    """Stands in for `uvicorn.run`: notes how it is called, and does what a test wants done while the server serves."""

    def __init__(self) -> None:
        self.app: Any = None
        self.options: dict[str, Any] = {}
        self.meanwhile: Meanwhile = lambda: None
        self.seen: Any = None

    def __call__(self, app: Any, **options: Any) -> None:
        self.app, self.options = app, options
        self.seen = self.meanwhile()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    found = Served()
    monkeypatch.setattr(uvicorn, "run", found)
    return found


@pytest.mark.parametrize(
    ("host", "path", "url"),
    [
        ("127.0.0.1", "", "http://127.0.0.1:{}"),
        ("::1", "", "http://[::1]:{}"),
        ("localhost", "/prod", "http://localhost:{}/prod"),
    ],
)
def test_it_says_where_the_page_and_its_documentation_are_and_how_to_ask(
    served: Served, host: str, path: str, url: str
) -> None:
    port = free_port()
    result = run("serve", "--host", host, "--port", str(port), ROOT_PATH=path)
    base = url.format(port)
    assert result.stdout.splitlines() == [
        f"page     {base}/",
        f"predict  curl -F file=@photo.jpg {base}/predict",
        f"docs     {base}/docs",
    ]
    assert (result.returncode, result.stderr) == (0, "")
    assert (served.options["host"], served.options["port"]) == (host, port)


def test_one_process_serves_the_app_and_several_import_it_each(served: Served) -> None:
    from api.index import app

    for workers, expected in ((1, app), (2, "api.index:app"), (3, "api.index:app")):
        run("serve", "--port", str(free_port()), "--workers", str(workers))
        assert served.app is expected or served.app == expected == "api.index:app"
        assert served.options["workers"] == workers
        assert served.options.items() >= serve.uvicorn_options().items()


def test_the_tunnel_leads_to_one_process(served: Served) -> None:
    serve.serve("127.0.0.1", free_port(), read_settings({}))
    assert served.options["workers"] == 1


def test_nothing_is_started_with_the_server_unless_traces_are_on(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[bool] = []
    monkeypatch.setattr(serve, "_prepare_tracing", lambda: prepared.append(True))
    for value, lifespan in (("false", "off"), ("true", "on")):
        run("serve", "--port", str(free_port()), FASTAPI_OTEL_AUTO_CONFIGURE=value)
        assert served.options["lifespan"] == lifespan
        assert bool(prepared) == (value == "true")


@pytest.mark.parametrize(
    ("cpus", "workers", "given", "threads"),
    [(4, 2, None, "2"), (5, 2, None, "2"), (2, 3, None, "1"), (4, 1, None, None), (4, 2, "3", "3")],
)
def test_several_processes_share_the_processors_unless_told_otherwise(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    cpus: int,
    workers: int,
    given: str | None,
    threads: str | None,
) -> None:
    monkeypatch.setattr(api._classifier, "available_cpus", lambda: cpus)
    served.meanwhile = lambda: os.environ.get("THREADS")
    run("serve", "--port", str(free_port()), "--workers", str(workers), THREADS=given or "")
    assert (served.seen or None) == threads


def test_the_server_beneath_is_as_quick_and_as_quiet_as_this_service_wants_it() -> None:
    config = uvicorn.Config("app", **serve.uvicorn_options())
    assert config.http is TimeoutProtocol
    assert (config.ws, config.loop) == ("none", "asyncio")
    with serving() as server, server.client() as client:
        assert "server" not in client.get("/health").headers


def test_the_server_beneath_writes_no_lines_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(LOG_LEVEL="ERROR") as server, server.client() as client:
        client.get("/health")
    assert capfd.readouterr() == ("", "")


# --- metrics -------------------------------------------------------------------------------------------------------


@pytest.fixture
def measured() -> None:
    """The package is imported before a test names a folder for several processes: it decides by that for good."""
    require("prometheus_client.values")


def scrape(port: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text


def test_metrics_are_answered_on_a_port_of_their_own_while_it_serves_and_no_longer(
    served: Served, measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with InProcess(METRICS_PORT=str(port)) as app:
        monkeypatch.setattr(serve, "_app", lambda: app.app)
        served.meanwhile = lambda: (scrape(port), threading.enumerate())
        result = run("serve", "--port", str(free_port()), METRICS_PORT=str(port))
    text, threads = served.seen
    assert result.returncode == 0
    assert "purrdict_model_info" in text
    assert "purrdict_workers" not in text
    assert "process_resident_memory_bytes" in text
    assert {thread.daemon for thread in threads if thread.name == "metrics"} == {True}, "nothing waits for it"
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=0.2)


def test_metrics_of_several_processes_are_added_up_by_their_parent(
    served: Served, measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Child:
        def __init__(self, pid: int | None) -> None:
            self.pid = pid

    monkeypatch.setattr("multiprocessing.active_children", lambda: [Child(2**22 + 5), Child(None)])
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "another")
    port = free_port()
    served.meanwhile = lambda: (os.environ["PROMETHEUS_MULTIPROC_DIR"], scrape(port))
    run("serve", "--port", str(free_port()), "--workers", "2", METRICS_PORT=str(port))
    folder, text = served.seen
    assert "purrdict-metrics-" in folder
    assert "\npurrdict_workers 1.0\n" in text, "one has not begun yet"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_without_their_package_stop_the_start_with_how_to_install_it(
    served: Served, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setitem(sys.modules, "api._observe", None)
    result = run("serve", "--port", str(free_port()), "--workers", workers, METRICS_PORT=str(free_port()))
    assert result.returncode == 2
    assert result.stderr.startswith("error: METRICS_PORT: ")
    assert "pip install -r requirements-operate.txt" in result.stderr
    assert served.app is None


def test_without_the_setting_nothing_is_measured(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "api._observe", None)
    assert run("serve", "--port", str(free_port())).returncode == 0


# --- the address ---------------------------------------------------------------------------------------------------


def test_a_port_that_a_server_has_just_left_can_be_taken_at_once() -> None:
    """The system keeps the last connections of a server that ended; they do not listen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            accepted.close()  # this side first, so that the system keeps it
            assert client.recv(1) == b""
    serve._check_address("127.0.0.1", port)


@pytest.mark.parametrize("name", ["--port", "METRICS_PORT"])
def test_a_port_that_is_taken_is_named_as_the_setting_that_changes_it(name: str, served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = str(listener.getsockname()[1])
        if name == "METRICS_PORT":
            result = run("serve", "--port", str(free_port()), METRICS_PORT=taken)
        else:
            result = run("serve", "--port", taken)
    assert result.returncode == 2
    assert result.stderr == (
        f"error: cannot listen on '127.0.0.1', port {taken}: Address already in use. Name another {name}, "
        "or as --host an address of this machine.\n"
    )
    assert served.app is None


def test_of_a_host_that_is_no_name_so_much_is_repeated_as_a_line_holds() -> None:
    with pytest.raises(CommandError) as error:
        serve._check_address("é" * 300, 8000)
    assert f"cannot listen on '{'é' * 80}', port 8000: no name of a machine. " in str(error.value)
