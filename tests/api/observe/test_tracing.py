"""What a trace says of a request, read from the spans themselves."""

from typing import Any

import pytest
from opentelemetry import trace
from starlette.types import Scope

from api._observe.tracing import Tracing
from api._requests import RequestRecord
from tests.conftest import require


class Route:
    path = "/predict"


@pytest.fixture
def provider() -> Any:
    require("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    found = TracerProvider()
    found.exporter = InMemorySpanExporter()  # type: ignore[attr-defined]
    found.add_span_processor(SimpleSpanProcessor(found.exporter))  # type: ignore[attr-defined]
    return found


def traced(provider: Any, record: RequestRecord, **scope: Any) -> list[Any]:
    """The spans of a request, its own last."""
    tracing = Tracing()
    tracing._tracer = provider.get_tracer("test")
    given: Scope = {"type": "http", "method": "POST", **scope}
    with provider.get_tracer("framework").start_as_current_span("request"):
        tracing.began(record)
        tracing.answering(given, record)
        tracing.ended(given, record, 200, 12.5)
    return list(provider.exporter.get_finished_spans())


def test_a_request_carries_its_id_its_route_and_what_was_found(provider: Any) -> None:
    record = RequestRecord("r-1", prediction="cat", recognized=False)
    (span,) = traced(provider, record, route=Route(), query_string=b"name=private")
    assert dict(span.attributes) == {
        "purrdict.request_id": "r-1",
        "url.path": "/predict",
        "url.query": "REDACTED",
        "purrdict.prediction": "cat",
        "purrdict.recognized": False,
    }
    assert record.trace_id == f"{span.context.trace_id:032x}"


def test_a_path_that_is_no_route_and_a_query_that_is_none_are_not_told(provider: Any) -> None:
    (span,) = traced(provider, RequestRecord("r-1"), path="/private", query_string=b"")
    assert dict(span.attributes) == {"purrdict.request_id": "r-1", "url.path": "unknown"}


def test_each_stage_is_a_span_that_begins_where_the_one_before_it_ends(provider: Any) -> None:
    record = RequestRecord(
        "r-1", timings={"queue": 0.5, "decode": 3.25, "infer": 4}, submitted_ns=1_000_000_000
    )
    *stages, request = traced(provider, record)
    assert [(span.name, span.start_time, span.end_time) for span in stages] == [
        ("queue", 1_000_000_000, 1_000_500_000),
        ("decode", 1_000_500_000, 1_003_750_000),
        ("infer", 1_003_750_000, 1_007_750_000),
    ]
    assert {span.parent.span_id for span in stages} == {request.context.span_id}


def test_without_a_trace_there_is_neither_an_id_nor_a_span(provider: Any) -> None:
    tracing, record = Tracing(), RequestRecord("r-1", timings={"infer": 4})
    tracing._tracer = provider.get_tracer("test")
    tracing.began(record)
    tracing.answering({"type": "http"}, record)
    assert record.trace_id is None
    assert provider.exporter.get_finished_spans() == ()


def test_spans_of_the_service_are_told_from_the_frameworks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(trace, "get_tracer", asked.append)
    Tracing()
    assert asked == ["purrdict"]
