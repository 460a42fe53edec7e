"""What a trace says of a request, read from the spans themselves."""

from typing import Any

import pytest
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
    """The spans of a request."""
    tracing = Tracing()
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


def test_each_stage_is_told_in_milliseconds(provider: Any) -> None:
    (span,) = traced(provider, RequestRecord("r-1", timings={"queue": 0.5, "infer": 4}), route=Route())
    stages = {"purrdict.queue_ms": 0.5, "purrdict.infer_ms": 4}
    assert dict(span.attributes) == {"purrdict.request_id": "r-1", "url.path": "/predict", **stages}


def test_without_a_trace_there_is_no_id_and_no_span(provider: Any) -> None:
    tracing, record = Tracing(), RequestRecord("r-1", timings={"infer": 4})
    tracing.began(record)
    tracing.answering({"type": "http"}, record)
    assert record.trace_id is None
    assert provider.exporter.get_finished_spans() == ()
