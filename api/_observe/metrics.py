"""What is counted, for Prometheus. docs/OPERATIONS.md says what each metric means.

Every label has few values, whatever clients send: routes are those of the API or `page` or `unknown`, methods those of
HTTP or `other`, labels and versions the model's.
"""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from starlette.types import Scope

from api._admission import Admission
from api._registry import Model
from api._requests import RequestRecord, route_of

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ROUTES = frozenset(
    {
        *("/", "/health", "/predict", "/predict/batch"),
        *("/model/info", "/model/metadata.json", "/model/model.onnx"),
    }
)
# Seconds: a photo takes 5 ms, one in a full queue a few seconds, a slow upload thirty.
_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_STAGE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1)
_BYTES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 50_000_000)
# What a status says of a request that was not taken on.
_REFUSALS = {401: "key", 408: "too_slow", 413: "too_large", 400: "unreadable", 422: "no_photo"}


class Metrics:
    """Counts what this process does; with `PROMETHEUS_MULTIPROC_DIR` in the environment, together with its siblings."""

    def __init__(self, registry: CollectorRegistry, model: Model | None) -> None:
        # When each series began doubles their number, and Prometheus sees a restart without it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._version = model.version if model else "none"
        self._seen: dict[tuple[Any, ...], Any] = {}
        self._add_requests()
        self._add_photos()
        self._add_queue()
        self._add_model(model)

    def _add_requests(self) -> None:
        self._requests = Counter(
            "purrdict_requests", "Requests by route, method and status.", ("route", "method", "status"),
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "purrdict_request_seconds", "From a request's headers to the end of its answer.", ("route",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._stages = Histogram(
            "purrdict_stage_seconds", "Time of a request's photos by stage: queue, decode, resize, infer.", ("stage",),
            buckets=_STAGE_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._uploads = Histogram(
            "purrdict_upload_bytes",
            "Size of request bodies with photos.",
            buckets=_BYTES,
            registry=self.registry,
        )
        self._refused = Counter(
            "purrdict_refused", "Requests with photos that got no answer, by reason.", ("reason",),
            registry=self.registry,
        )  # fmt: skip

    def _add_photos(self) -> None:
        self._predictions = Counter(
            "purrdict_predictions", "Photos answered, by model version, predicted label and whether recognized.",
            ("version", "label", "recognized"), registry=self.registry,
        )  # fmt: skip
        self._confidence = Histogram(
            "purrdict_confidence", "Confidence of the predicted label.", ("version", "recognized"), buckets=_SHARES,
            registry=self.registry,
        )  # fmt: skip
        self._unreadable = Counter(
            "purrdict_batch_photos_unreadable", "Photos of batches that got an error in their place.",
            registry=self.registry,
        )  # fmt: skip

    def _add_queue(self) -> None:
        def gauge(name: str, text: str) -> Gauge:
            # Of several processes the sum of those that live.
            return Gauge(name, text, registry=self.registry, multiprocess_mode="livesum")

        self._in_flight = gauge("purrdict_requests_in_flight", "Requests without the end of their answer.")
        self._waiting = gauge("purrdict_photos_waiting", "Photos that wait for a processor or have it.")
        self._held = gauge("purrdict_upload_bytes_held", "Bytes of uploads in memory.")

    def _add_model(self, model: Model | None) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...]) -> Gauge:
            return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="max")

        info = gauge(
            "purrdict_model_info", "1 for the version served, `none` without a usable model.", ("version",)
        )
        info.labels(self._version).set(1)
        card = gauge(
            "purrdict_card", "Figures of the model card, measured on its test photos.", ("version", "figure")
        )
        share = gauge(
            "purrdict_card_label_share",
            "Share of the label among the card's test photos.",
            ("version", "label"),
        )
        test = model.metadata.get("metrics", {}).get("test", {}) if model else {}
        # From the beginning: of a series that appears with its first photo, rate() does not see that photo.
        for label in model.labels if model else ():
            for recognized in ("true", "false"):
                self._of(self._predictions, self._version, label, recognized)
        for recognized in ("true", "false"):
            self._of(self._confidence, self._version, recognized)
        for figure, key in _CARD.items():
            if isinstance(value := test.get(key), float | int):
                card.labels(self._version, figure).set(value)
        photos = {label: counts.get("photos", 0) for label, counts in test.get("per_class", {}).items()}
        for label, count in photos.items():
            share.labels(self._version, label).set(count / (sum(photos.values()) or 1))

    def watch(self, admission: Admission) -> None:
        """Follows what this process holds and has to do."""

        def changed(held: int, photos: int) -> None:
            self._held.set(held)
            self._waiting.set(photos)

        admission.watch = changed

    def began(self, record: RequestRecord) -> None:
        """One of api._requests.Observer, as the next two."""
        self._in_flight.inc()

    def answering(self, scope: Scope, record: RequestRecord) -> None:
        """Nothing is counted before the end."""

    def ended(self, scope: Scope, record: RequestRecord, status: int, total_ms: float) -> None:
        """Counts a request."""
        self._in_flight.dec()
        found = route_of(scope)
        # The routes of the page and of the documentation have no template, but something that answers.
        route = found if found in _ROUTES else "page" if "endpoint" in scope else "unknown"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._of(self._requests, route, method, str(status)).inc()
        self._of(self._seconds, route).observe(total_ms / 1e3)
        if route not in ("/predict", "/predict/batch") or method != "POST":
            return
        if record.bytes_in:
            self._uploads.observe(record.bytes_in)
        if reason := record.refused or _REFUSALS.get(status):
            self._of(self._refused, reason).inc()
        for stage, ms in record.timings.items():
            self._of(self._stages, stage).observe(ms / 1e3)
        if record.photos > len(record.answers):
            self._unreadable.inc(record.photos - len(record.answers))
        for answer in record.answers:
            recognized = "true" if answer.recognized else "false"
            self._of(self._predictions, self._version, answer.prediction, recognized).inc()
            self._of(self._confidence, self._version, recognized).observe(answer.confidence)

    def _of(self, metric: Any, *labels: str) -> Any:
        # prometheus_client finds a child under a lock and after checks: three times as slow.
        key = (metric, *labels)
        child = self._seen.get(key)
        if child is None:
            child = self._seen[key] = metric.labels(*labels)
        return child


_CARD = {
    "accuracy": "accuracy",
    "calibration_error": "expected_calibration_error",
    "false_rejection_rate": "wrongly_unrecognized",
    "ood_rejection_rate": "neither_unrecognized",
}
