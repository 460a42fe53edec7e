"""What is counted, for Prometheus; imported only where METRICS_PORT is set. docs/OPERATIONS.md explains each metric.

No label comes from a client or from the engine.
"""

from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from services.writer.admission import Admission

_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
_FINISHES = frozenset({"stop", "length", "timeout"})
# A text takes a laptop half a minute.
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)


class Metrics:
    """The counts of this process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "writer_requests",
            "Requests by path, method and status.",
            ("path", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "writer_request_seconds", "From a request's headers to the end of its answer.", ("path",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._texts = Counter("writer_texts", "Texts written, by task and how they ended.", ("task", "finish"),
                              registry=registry)  # fmt: skip
        self._tokens = Counter(
            "writer_tokens", "Tokens as the engine counted them.", ("kind",), registry=registry
        )
        self._active = Gauge("writer_active", "Texts that the engine writes.", registry=registry)
        self._waiting = Gauge("writer_waiting", "Clients that wait for the engine.", registry=registry)

    def watch(self, admission: Admission) -> None:
        """Shows how the queue is."""
        self._active.set_function(lambda: admission.active)
        self._waiting.set_function(lambda: admission.waiting)

    def request(self, path: str, method: str, status: int, seconds: float, noted: dict[str, Any]) -> None:
        """A request is over; `path` is one of the service's or `other`, `noted` what its route says for the log."""
        self._requests.labels(path, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        if "task" not in noted:
            return
        finish = noted.get("finish_reason", "failed")
        self._texts.labels(noted["task"], finish if finish in _FINISHES | {"failed"} else "other").inc()
        for kind in ("prompt", "completion"):
            self._tokens.labels(kind).inc(noted.get(f"{kind}_tokens") or 0)
