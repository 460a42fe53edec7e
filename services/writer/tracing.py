"""What traces say beside FastAPI's own spans, where FASTAPI_OTEL_AUTO_CONFIGURE switches them on: the request's id, and
the engine's part. Never a word of notes, prompts or texts.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind

_tracer = trace.get_tracer("purrdict.writer")


def trace_id() -> str | None:
    """The id of the trace that the current request belongs to."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


def name_request(request_id: str, path: str, query: bool) -> None:
    """Completes the span of the current request: call it when its answer begins. `path` is no text of a client's."""
    span = trace.get_current_span()
    span.set_attributes({"purrdict.request_id": request_id, "url.path": path})
    if query:
        span.set_attribute("url.query", "REDACTED")


@contextmanager
def generation(model: str) -> Iterator[dict[str, str]]:
    """Around a generation; gives the headers with which an engine goes on with the trace, none without one."""
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
    with _tracer.start_as_current_span(f"chat {model}", kind=SpanKind.CLIENT, attributes=attributes):
        headers: dict[str, str] = {}
        propagate.inject(headers)
        yield headers
