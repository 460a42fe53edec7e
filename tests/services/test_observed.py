"""All services at once, observed: one trace from the door to PostgreSQL, scrapes of each, a collector that hangs."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import _house
from benchmarks._collector import Collector, Span
from tests.conftest import ROOT, missing, require_program
from tests.services.feedback.conftest import Postgres, new_postgres, said

pytestmark = pytest.mark.services

SECRETS = {
    "FEEDBACK_SECRET": "a-secret-for-tests-and-nothing-else",
    "FEEDBACK_ADMIN_KEY": "the-owners-key-for-tests-only",
}


class Engine(BaseHTTPRequestHandler):
    """A language model that always says the same, and keeps the headers that it was asked with."""

    asked: list[dict[str, str]] = []  # noqa: RUF012 - of all requests

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        piece = {"choices": [{"index": 0, "delta": {"content": "Meet Bella"}, "finish_reason": None}]}
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
        for chunk in (piece, last, usage):
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "gemma3:4b"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Says nothing."""


class House:
    """The four services, a database, a model and a collector."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.postgres: Postgres = stack.enter_context(new_postgres())
        self.postgres.start()
        self.postgres.execute("ALTER SYSTEM SET log_statement = 'all'")
        self.postgres.execute("SELECT pg_reload_conf()")
        engine = ThreadingHTTPServer(("127.0.0.1", 0), Engine)
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        stack.callback(engine.shutdown)
        self.collector = stack.enter_context(Collector())
        traced = self.collector.environment()
        self.api = stack.enter_context(_house.api(METRICS_PORT="on", **traced))
        self.feedback = stack.enter_context(
            _house.feedback(
                DATABASE_URL=self.postgres.new(), FEEDBACK_METRICS_PORT="on", TRUSTED_HOPS="1", METRICS_KEY="right",
                **SECRETS, **traced,
            )
        )  # fmt: skip
        self.writer = stack.enter_context(
            _house.writer(LLM_URL=f"http://127.0.0.1:{engine.server_port}", METRICS_PORT="on", **traced)
        )
        self.gateway = stack.enter_context(
            _house.gateway(
                API_URL=self.api.url, FEEDBACK_URL=self.feedback.url, WRITER_URL=self.writer.url, METRICS_PORT="on",
                **traced,
            )
        )  # fmt: skip
        self.client = stack.enter_context(
            httpx.Client(base_url=self.gateway.url, timeout=30, trust_env=False)
        )

    def trace_of(self, request_id: str, *services: str) -> list[Span]:
        """The spans of one request's trace, once these services have sent their own."""

        def of(spans: list[Span]) -> list[Span]:
            ids = {
                span.trace_id for span in spans if span.attributes.get("purrdict.request_id") == request_id
            }
            return [span for span in spans if span.trace_id in ids]

        def named(spans: list[Span]) -> bool:
            found = of(spans)
            return {span.service for span in found if "purrdict.request_id" in span.attributes} == {
                f"purrdict-{name}" for name in services
            }

        found = of(self.collector.wait(named))
        assert len({span.trace_id for span in found}) == 1, "one id from the door to the end"
        return found


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    require_program("node")
    if not (ROOT / "services/gateway/node_modules").exists():
        missing("the gateway's packages are not installed: npm ci --prefix services/gateway")
    with contextlib.ExitStack() as stack:
        yield House(stack)


def child_of(span: Span, spans: list[Span]) -> str:
    """Name and service of the span above."""
    return next((f"{one.service} {one.name}" for one in spans if one.span_id == span.parent_id), "")


def test_a_photo_is_one_trace_from_the_door_to_the_network_with_its_stages(
    house: House, cat_jpeg: bytes
) -> None:
    answer = house.client.post("/predict", files={"file": cat_jpeg})
    assert answer.status_code == 200
    request_id = answer.headers["X-Request-ID"]
    spans = house.trace_of(request_id, "gateway", "api")
    (answered,) = (span for span in spans if span.name == "POST /predict")
    assert child_of(answered, spans) == "purrdict-gateway POST api"
    stages = [answered.attributes[f"purrdict.{stage}_ms"] for stage in ("queue", "decode", "resize", "infer")]
    assert all(ms > 0 for ms in stages)
    assert sum(stages) <= answered.end_ms - answered.start_ms
    assert answered.attributes["purrdict.prediction"] == answer.json()["prediction"]
    trace_id = answered.trace_id
    for service in (house.api, house.gateway):
        lines = [json.loads(line) for line in service.log.read_text().splitlines() if request_id in line]
        assert trace_id in {line.get("trace_id") for line in lines}, "the log names the trace"


def test_feedback_is_one_trace_from_the_door_to_postgresql_which_logs_its_id(house: House) -> None:
    answer = house.client.post("/feedback", json=said(request_id="traced-1"))
    assert answer.status_code == 201, answer.text
    spans = house.trace_of(answer.headers["X-Request-ID"], "gateway", "feedback")
    trace_id = spans[0].trace_id
    spans = [
        span
        for span in house.collector.wait(
            lambda all_: "INSERT feedback" in {span.name for span in all_ if span.trace_id == trace_id}
        )
        if span.trace_id == trace_id
    ]
    insert = next(span for span in spans if span.name == "INSERT feedback")
    assert insert.attributes["db.system.name"] == "postgresql"
    assert child_of(insert, spans) == "purrdict-feedback store feedback"
    log = (house.postgres.folder / "log").read_text()
    assert re.search(rf"INSERT INTO feedback .*traceparent='00-{trace_id}-{insert.span_id}-01'", log)


def test_feedback_of_several_stored_at_once_is_in_the_trace_of_each(house: House) -> None:
    answers: list[httpx.Response] = []

    def send(number: int) -> None:
        answers.append(
            httpx.post(f"{house.gateway.url}/feedback", json=said(request_id=f"b{number}"), trust_env=False)
        )

    threads = [threading.Thread(target=send, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {201}
    ids = {answer.headers["X-Request-ID"] for answer in answers}

    def complete(spans: list[Span]) -> bool:
        traces = {s.trace_id for s in spans if s.attributes.get("purrdict.request_id") in ids}
        return len(traces) == 24 and traces <= {s.trace_id for s in spans if s.name == "store feedback"}

    spans = house.collector.wait(complete)
    stores = [span for span in spans if span.name == "store feedback"]
    assert any(span.attributes["purrdict.rows"] > 1 and span.links for span in stores), (
        "some shared a transaction"
    )
    assert all(len({s.span_id for s in stores if s.trace_id == span.trace_id}) == 1 for span in stores)


def test_a_text_is_one_trace_from_the_door_to_the_engine(house: House) -> None:
    answer = house.client.post(
        "/write", json={"task": "listing", "notes": "SECRET-NOTES", "tone": "friendly"}
    )
    assert "Meet Bella" in answer.text
    spans = house.trace_of(answer.headers["X-Request-ID"], "gateway", "writer")
    trace_id = spans[0].trace_id
    house.collector.wait(lambda all_: "chat gemma3:4b" in {s.name for s in all_ if s.trace_id == trace_id})
    assert Engine.asked[-1]["traceparent"].split("-")[1] == trace_id
    assert "SECRET" not in str(house.collector.spans)


def test_no_path_query_key_or_address_of_a_client_is_in_a_trace(house: House) -> None:
    asked = {
        house.gateway.url: ("gateway", "api"),
        house.api.url: ("api",),
        house.feedback.url: ("feedback",),
        house.writer.url: ("writer",),
    }
    for url, names in asked.items():
        answer = httpx.get(
            f"{url}/SECRET-path?SECRET=query",
            headers={"X-API-Key": "SECRET-KEY", "User-Agent": "SECRET"},
            trust_env=False,
        )
        assert answer.status_code == 404
        house.trace_of(answer.headers["X-Request-ID"], *names)
    assert "SECRET" not in str(house.collector.spans)


def scrape(url: str, key: str = "") -> dict[str, float]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = httpx.get(url, headers=headers, trust_env=False)
    assert answer.status_code == 200
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_every_service_shows_what_it_did(house: House, cat_jpeg: bytes) -> None:
    house.client.post("/predict", files={"file": cat_jpeg})
    house.client.post("/feedback", json=said(request_id="counted", correction="dog"))
    house.client.post("/write", json={"task": "listing", "notes": "Bella"})
    assert scrape(house.api.metrics_url)["purrdict_predictions_total"] >= 1
    stored = scrape(house.feedback.metrics_url, "right")
    assert stored["feedback_opinions_total"] >= 1
    assert stored["feedback_write_seconds_count"] >= 1
    assert stored["feedback_waiting"] == 0
    written = scrape(house.writer.metrics_url)
    assert written["writer_texts_total"] >= 1
    assert written["writer_tokens_total"] >= 10
    assert written["writer_active"] == 0
    assert scrape(house.gateway.metrics_url)["gateway_requests_total"] >= 3
    for service in (house.api, house.feedback, house.writer, house.gateway):
        assert httpx.get(f"{service.url}/metrics", trust_env=False).status_code == 404
    assert httpx.get(house.feedback.metrics_url, trust_env=False).status_code == 401
    wrong = {"Authorization": "Bearer wrong"}
    assert httpx.get(house.feedback.metrics_url, headers=wrong, trust_env=False).status_code == 401


def test_what_strangers_send_makes_no_new_series(house: House) -> None:
    def series() -> set[str]:
        found = set()
        for url, key in ((house.feedback.metrics_url, "right"), (house.writer.metrics_url, "")):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            text = httpx.get(url, headers=headers, trust_env=False).text
            found |= {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
        return found

    def strange(number: int) -> None:
        for url in (house.feedback.url, house.writer.url):
            httpx.get(f"{url}/x{number}", trust_env=False)
            httpx.request(f"BREW{number}", f"{url}/x{number}", trust_env=False)
        made_up = said(request_id=f"s{number}", model_version=f"9.{number}", prediction=f"label{number}")
        httpx.post(f"{house.feedback.url}/feedback", json=made_up, trust_env=False)

    strange(0)
    before = series()
    for number in range(1, 20):
        strange(number)
    assert series() == before


@contextlib.contextmanager
def hanging() -> Iterator[str]:
    """A collector that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["hangs", "is down"])
def test_requests_do_not_notice_a_collector_that(kind: str, cat_jpeg: bytes) -> None:
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(hanging()) if kind == "hangs" else "http://127.0.0.1:9"
        traced = {
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "100",
            # So small that it is full before the test ends.
            "OTEL_BSP_MAX_QUEUE_SIZE": "64", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "16",
        }  # fmt: skip
        api = stack.enter_context(_house.api(**traced))
        plain = stack.enter_context(_house.api())
        gateway = stack.enter_context(_house.gateway(API_URL=api.url, **traced))
        times: dict[str, list[float]] = {api.url: [], gateway.url: [], plain.url: []}
        # One client: to make one takes longer than an answer.
        http = stack.enter_context(httpx.Client(trust_env=False))
        for _ in range(60):
            for address, spent in times.items():
                start = time.perf_counter()
                answer = http.post(f"{address}/predict", files={"file": cat_jpeg})
                spent.append(time.perf_counter() - start)
                assert answer.status_code == 200
        usual = statistics.median(times[plain.url])
        for address in (api.url, gateway.url):
            assert statistics.median(times[address]) < 2 * usual + 0.02
            assert max(times[address]) < 1.5, "no request waits for the collector"
        start = time.monotonic()
        api.process.terminate()
        api.process.wait(timeout=20)
        gateway.process.terminate()
        gateway.process.wait(timeout=20)
        took = time.monotonic() - start
        traced_ms = statistics.median(times[api.url]) * 1e3
        print(f"{kind}: median {usual * 1e3:.1f} ms without, {traced_ms:.1f} with traces; "
              f"both ended {took:.1f} s after they were told to")  # fmt: skip
        assert took < 18, "nor does the end: containers are killed after ten seconds each"


def test_the_three_python_services_answer_scrapes_with_the_same_code() -> None:
    files = [ROOT / "api/_observe", ROOT / "services/feedback", ROOT / "services/writer"]
    assert len({(folder / "exposition.py").read_bytes() for folder in files}) == 1
