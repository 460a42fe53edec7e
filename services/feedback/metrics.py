"""What is counted, for Prometheus; imported only where FEEDBACK_METRICS_PORT is set. docs/OPERATIONS.md explains each.

No label comes from a client: labels and versions in feedback are whatever somebody sends.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counts of this process."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "feedback_requests", "Requests by route, method and status.", ("route", "method", "status"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "feedback_request_seconds", "From a request's headers to the end of its answer.", ("route",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._opinions = Counter(
            "feedback_opinions",
            "Feedback stored, by whether it agrees with the answer.",
            ("agrees",),
            registry=registry,
        )
        for agrees in ("true", "false"):
            self._opinions.labels(agrees)
        self._photos = Counter("feedback_photos_stored", "Photos stored with feedback.", registry=registry)
        self._write = Histogram(
            "feedback_write_seconds",
            "Time of a transaction that stores feedback.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._rows = Histogram(
            "feedback_write_rows", "Feedback stored in one transaction.", buckets=_ROWS, registry=registry
        )
        Gauge("feedback_waiting", "Feedback that waits to be stored.", registry=registry).set_function(
            waiting
        )

    def request(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """A request has been answered; `route` is its template, None where there is none."""
        route = route or "unknown"
        self._requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def stored(self, agrees: bool, with_photo: bool) -> None:
        """Feedback has been stored for the first time."""
        self._opinions.labels("true" if agrees else "false").inc()
        if with_photo:
            self._photos.inc()

    @contextlib.contextmanager
    def batch(self, rows: int) -> Iterator[None]:
        """Around a transaction that stores so many."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._write.observe(time.perf_counter() - start)
            self._rows.observe(rows)
