"""A small OpenTelemetry collector: takes spans by OTLP over HTTP, and keeps them."""

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Spans = list["Span"]


@dataclass(frozen=True)
class Span:
    """One span as it was exported; times in milliseconds since 1970."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ms: float
    end_ms: float
    attributes: dict[str, Any]
    links: tuple[str, ...]


class Collector:
    """Listens on loopback until it is closed; `with` closes it."""

    def __init__(self) -> None:
        self.spans: Spans = []
        self.paths: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What belongs into OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def environment(self) -> dict[str, str]:
        """Settings with which a service sends its spans here, soon."""
        return {
            "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }

    def wait(self, found: Callable[[Spans], bool], seconds: float = 20) -> Spans:
        """All spans, once they are as wanted. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while not found(list(self.spans)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"only these spans came: {[(s.service, s.name) for s in self.spans]}")
            time.sleep(0.02)
        return list(self.spans)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self._body()
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.paths.append(self.path)
            if self.path == "/v1/traces":
                collector.spans += read(body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding") != "chunked":  # Python's exporter
                return self.rfile.read(int(self.headers["content-length"]))
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Says nothing."""

    return Handler


def read(body: bytes) -> Spans:
    """The spans of an ExportTraceServiceRequest."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = str(_values(resource.resource.attributes).get("service.name", ""))
        for scope in resource.scope_spans:
            for span in scope.spans:
                found.append(
                    Span(
                        service=service,
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        start_ms=span.start_time_unix_nano / 1e6,
                        end_ms=span.end_time_unix_nano / 1e6,
                        attributes=_values(span.attributes),
                        links=tuple(link.trace_id.hex() for link in span.links),
                    )
                )
    return found


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def tree(spans: Spans) -> str:
    """Spans as an indented list in the order of time, with what each took."""
    spans = sorted(spans, key=lambda span: span.start_ms)
    ids = {span.span_id for span in spans}

    def lines(parent: str | None, depth: int) -> list[str]:
        found = []
        for span in spans:
            if span.parent_id == parent or (parent is None and span.parent_id not in ids):
                name = f"{'  ' * depth}{span.name}"
                found.append(f"{name:44} {span.end_ms - span.start_ms:8.2f} ms  {span.service}")
                found += lines(span.span_id, depth + 1)
        return found

    return "\n".join(lines(None, 0))
