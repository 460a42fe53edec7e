"""What traces say beside FastAPI's own spans, where FASTAPI_OTEL_AUTO_CONFIGURE switches them on: the request's id, the
transaction that stores feedback, and each statement, which PostgreSQL sees with the trace's id as a comment.

What a client wrote, paths, ids and values among it, does not leave the process.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from opentelemetry import context, trace
from opentelemetry.trace import Link, SpanKind, StatusCode

_tracer = trace.get_tracer("purrdict.feedback")
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+(\w+)", re.IGNORECASE)
_WRITE = "store feedback"


def trace_id() -> str | None:
    """The id of the trace that the current request belongs to."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


def name_request(request_id: str, route: str | None, query: bool) -> None:
    """Completes the span of the current request: call it when its answer begins, because it ends with it."""
    span = trace.get_current_span()
    span.set_attributes({"purrdict.request_id": request_id, "url.path": route or "unknown"})
    if query:
        span.set_attribute("url.query", "REDACTED")


@contextlib.contextmanager
def batch(contexts: Sequence[context.Context]) -> Iterator[None]:
    """Around a transaction that stores what several requests brought: a span in the trace of each, with links.

    The statements are in the first one's.
    """
    first, *others = contexts
    links = [Link(trace.get_current_span(other).get_span_context()) for other in others]
    start = time.time_ns()
    attributes = {"purrdict.rows": len(contexts)}
    with _attached(first), _tracer.start_as_current_span(_WRITE, links=links, attributes=attributes) as span:
        yield
    end = time.time_ns()
    for other in others:
        _tracer.start_span(
            _WRITE, other, links=[Link(span.get_span_context())], start_time=start, attributes=attributes
        ).end(end)


@contextlib.contextmanager
def _attached(found: context.Context) -> Iterator[None]:
    token = context.attach(found)
    try:
        yield
    finally:
        context.detach(token)


def trace_database(engine: sa.Engine) -> None:
    """A span for each statement of this engine."""
    system = engine.dialect.name
    spans: dict[int, trace.Span] = {}

    def before(
        connection: sa.Connection, cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> tuple[str, Any]:
        operation = statement.split(maxsplit=1)[0].upper()
        table = _TABLE.search(statement)
        name = f"{operation} {table[1]}" if table else operation
        attributes = {"db.system.name": system, "db.operation.name": operation}
        span = spans[id(cursor)] = _tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        found = span.get_span_context()
        if found.is_valid and system == "postgresql":
            ids = f"{trace.format_trace_id(found.trace_id)}-{trace.format_span_id(found.span_id)}"
            # In its log and in pg_stat_activity: sqlcommenter's form.
            statement += f" /*traceparent='00-{ids}-{found.trace_flags:02x}'*/"
        return statement, parameters

    def after(connection: sa.Connection, cursor: Any, *_: Any) -> None:
        if span := spans.pop(id(cursor), None):
            span.end()

    def failed(error: Any) -> None:
        if error.cursor is not None and (span := spans.pop(id(error.cursor), None)):
            # The class only: the text of an exception may quote values.
            span.set_attribute("error.type", type(error.original_exception).__name__)
            span.set_status(StatusCode.ERROR)
            span.end()

    sa.event.listen(engine, "before_cursor_execute", before, retval=True)
    sa.event.listen(engine, "after_cursor_execute", after)
    sa.event.listen(engine, "handle_error", failed)
