"""Where Prometheus finds the metrics: with real servers, as it would ask them."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from api import _admission
from api._observe import exposition
from tests.commands import run
from tests.conftest import Server, free_port, missing


def scrape(port: int, key: str | None = None) -> dict[str, float]:
    """The sum over all labels of each metric."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers, timeout=10, trust_env=False)
    assert answer.status_code == 200, answer.text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_metrics_have_a_port_of_their_own_and_the_public_one_does_not_show_them(
    serve: Callable[..., Server], cat_jpeg: bytes
) -> None:
    port = free_port()
    with serve(METRICS_PORT=str(port)).client() as client:
        client.post("/predict", files={"file": cat_jpeg})
        assert client.get("/metrics").status_code == 404
    found = scrape(port)
    assert found["purrdict_predictions_total"] == 1
    assert 30e6 < found["process_resident_memory_bytes"] < 1e9
    assert found["process_cpu_seconds_total"] > 0
    assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code == 404


def test_with_a_key_only_its_owner_may_scrape(serve: Callable[..., Server]) -> None:
    port = free_port()
    server = serve(METRICS_PORT=str(port), METRICS_KEY="the-right-one")
    url = f"http://127.0.0.1:{port}/metrics"
    for sent in (None, "Bearer wrong", "Bearer the-right-on", "Basic the-right-one", "Bearer caf\xe9"):
        headers = {b"Authorization": sent.encode("latin-1")} if sent else {}
        answer = httpx.get(url, headers=headers, trust_env=False)
        assert answer.status_code == 401, sent
        assert "purrdict" not in answer.text
    assert scrape(port, "the-right-one")["purrdict_model_info"] == 1
    assert "the-right-one" not in server.log()


@pytest.mark.process
def test_several_processes_are_counted_as_one_service_even_when_one_is_killed(
    serve: Callable[..., Server], cat_jpeg: bytes
) -> None:
    port, photos = free_port(), 24
    server = serve(METRICS_PORT=str(port), workers=2)
    parent = psutil.Process(server.process.pid)

    def workers() -> list[psutil.Process]:
        with contextlib.suppress(psutil.ZombieProcess):
            return [child for child in parent.children() if "spawn_main" in " ".join(child.cmdline())]
        return []

    def predict() -> None:
        # A connection each: one that is kept would go to one process always.
        for _ in range(photos):
            assert (
                httpx.post(f"{server.url}/predict", files={"file": cat_jpeg}, trust_env=False).status_code
                == 200
            )

    predict()
    assert scrape(port)["purrdict_predictions_total"] == photos
    assert scrape(port)["purrdict_workers"] == 2
    killed = workers()[0].pid
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 90
    while len(found := workers()) < 2 or killed in {one.pid for one in found}:
        assert time.monotonic() < deadline, "the killed process was not replaced"
        time.sleep(0.05)
    predict()
    after = scrape(port)
    assert after["purrdict_predictions_total"] == 2 * photos, "what the killed one counted is not lost"
    assert after["purrdict_requests_in_flight"] == 0
    assert after["purrdict_model_info"] == 1
    assert after["process_resident_memory_bytes"] > sum(one.memory_info().rss for one in workers())


@pytest.mark.process
def test_a_scrape_is_answered_while_the_service_is_overloaded(
    serve: Callable[..., Server], cat_jpeg: bytes
) -> None:
    port = free_port()
    server = serve(METRICS_PORT=str(port))
    statuses: list[int] = []
    stop = threading.Event()

    def flood() -> None:
        photos = [("files", cat_jpeg)] * 32
        with server.client() as client:
            while not stop.is_set():
                statuses.append(client.post("/predict/batch", files=photos).status_code)

    clients = [threading.Thread(target=flood) for _ in range(_admission.MAX_PHOTOS_WAITING // 32 + 4)]
    for client in clients:
        client.start()
    try:
        deadline = time.monotonic() + 120
        while 503 not in statuses:
            assert time.monotonic() < deadline, "never overloaded"
            time.sleep(0.01)
        start = time.monotonic()
        found = scrape(port)
        took = time.monotonic() - start
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert took < 10, f"{took:.1f} s"
    assert found["purrdict_photos_waiting"] > 100
    assert scrape(port)["purrdict_refused_total"] == statuses.count(503)
    assert scrape(port)["purrdict_photos_waiting"] == 0


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("purrdict_something", "Anything.", registry=registry)
    return registry


@pytest.mark.process
def test_clients_that_hold_the_metrics_port_do_not_keep_prometheus_out(registry: CollectorRegistry) -> None:
    server = exposition.expose(registry, "127.0.0.1", 0, None)
    threads = threading.active_count()
    held = [socket.create_connection(("127.0.0.1", server.server_port), timeout=30) for _ in range(50)]
    try:
        deadline = time.monotonic() + 20
        while True:
            assert threading.active_count() <= threads + 8, "a thread for whoever asks"
            try:
                assert scrape(server.server_port)["purrdict_something_total"] == 0
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, "kept out for good"
                time.sleep(0.1)
    finally:
        for connection in held:
            connection.close()
        server.shutdown()
        server.server_close()


def test_the_metrics_port_can_be_taken_again_at_once(registry: CollectorRegistry) -> None:
    first = exposition.expose(registry, "127.0.0.1", 0, None)
    port = first.server_port
    scrape(port)
    first.shutdown()
    first.server_close()
    second = exposition.expose(registry, "127.0.0.1", port, None)
    assert scrape(port)["purrdict_something_total"] == 0
    second.shutdown()
    second.server_close()


def test_a_metrics_port_that_is_taken_stops_the_start_with_its_name() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = str(listener.getsockname()[1])
        result = run("serve", "--port", str(free_port()), environment={"METRICS_PORT": taken})
    assert result.returncode == 2
    assert f"port {taken}" in result.stderr
    assert "METRICS_PORT" in result.stderr


@pytest.mark.parametrize("value", ["0", "-1", "two", "65"])
def test_a_number_of_workers_that_cannot_be_is_refused(value: str) -> None:
    result = run("serve", "--workers", value, environment={})
    assert result.returncode == 2
    assert "from 1 to 64" in result.stderr


def ask(
    registry: CollectorRegistry, key: str | None, path: str = "/metrics", **sent: str
) -> tuple[str, dict[str, str], str]:
    told: list[Any] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "QUERY_STRING": "", **sent}
    body = b"".join(exposition.guarded(registry, key)(environ, lambda *given: told.append(given)))
    ((status, headers),) = told
    return status, dict(headers), body.decode()


def test_the_metrics_are_at_one_path_and_anybody_may_read_them_where_there_is_no_key(
    registry: CollectorRegistry,
) -> None:
    status, headers, body = ask(registry, None)
    assert (status, headers["Content-Type"].split(";")[0]) == ("200 OK", "text/plain")
    assert "purrdict_something_total 0.0" in body
    assert ask(registry, None, HTTP_AUTHORIZATION="Bearer any")[0] == "200 OK"
    for path in ("/", "/metrics/", "/other"):
        nothing = ask(registry, None, path)
        assert nothing == (
            "404 Not Found",
            {"Content-Type": "text/plain"},
            "There is nothing here but /metrics.\n",
        )


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer ", "Bearer wrong", "right", "Bearer right ", "bearer right", "\u20ac"]
)
def test_a_wrong_key_is_told_what_is_missing(registry: CollectorRegistry, sent: str) -> None:
    headers = {"Content-Type": "text/plain", "WWW-Authenticate": "Bearer"}
    refused = ("401 Unauthorized", headers, "The metrics take METRICS_KEY as a bearer token.\n")
    assert ask(registry, "right", HTTP_AUTHORIZATION=sent) == refused
    assert ask(registry, "right") == refused
    assert ask(registry, "right", "/other", HTTP_AUTHORIZATION=sent) == refused
    assert ask(registry, "right", HTTP_AUTHORIZATION="Bearer right")[0] == "200 OK"


def test_metrics_are_shown_on_ipv6_too_and_a_request_is_no_line_of_the_log(
    registry: CollectorRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        server = exposition.expose(registry, "::1", 0, None)
    except OSError:
        missing("this machine has no IPv6")
    address = f"http://[::1]:{server.server_port}"
    assert httpx.get(f"{address}/metrics", trust_env=False).status_code == 200
    with socket.create_connection(("::1", server.server_port)) as rude:
        rude.sendall(b"nonsense\r\n\r\n")
        rude.recv(1000)
    server.shutdown()
    server.server_close()
    assert capsys.readouterr() == ("", "")
