"""What is counted, and that it stays small and costs nothing while it is off."""

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from PIL import Image
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api import _admission
from api._observe.metrics import Metrics
from api._requests import RequestMiddleware, RequestRecord
from api._settings import SettingsError
from tests.conftest import ROOT, InProcess, clean_environment, encode, free_port


@pytest.fixture
def app() -> Iterator[InProcess]:
    """The app with metrics; nobody listens on their port in this process."""
    with InProcess(METRICS_PORT="9", API_KEYS="right") as opened:
        opened.headers["X-API-Key"] = "right"
        yield opened


def counts(app: InProcess) -> dict[tuple[str, ...], float]:
    """Every sample: its name and label values → its value."""
    text = generate_latest(app.app.state.metrics.registry).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """The same of a registry alone, its labels in the order that they were declared in."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_each_histogram_has_buckets_where_its_values_are(app: InProcess, cat_jpeg: bytes) -> None:
    """Those of the library, made for seconds, would put every photo into one."""
    app.post("/predict", files={"file": cat_jpeg})
    ends: dict[str, set[float]] = {}
    names: dict[str, set[str]] = {}
    for family in app.app.state.metrics.registry.collect():
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                ends.setdefault(family.name, set()).add(float(sample.labels["le"]))
                names[family.name] = set(sample.labels)
    confidence, sizes = (
        sorted(ends[name] - {float("inf")}) for name in ("purrdict_confidence", "purrdict_upload_bytes")
    )
    assert (confidence[0], confidence[-1]) == (0.5, 1)
    assert len(confidence) > 4
    assert sizes[0] <= 10_000 < 50_000_000 <= sizes[-1]
    assert names["purrdict_confidence"] == {"version", "recognized", "le"}


def test_dashboards_find_the_labels_that_they_ask_for(app: InProcess, cat_jpeg: bytes) -> None:
    app.post("/predict", files={"file": cat_jpeg})
    registry = app.app.state.metrics.registry
    names = {name for family in registry.collect() for sample in family.samples for name in sample.labels}
    assert names == {"figure", "label", "le", "method", "recognized", "route", "stage", "status", "version"}


def test_a_photo_is_counted_by_route_stage_label_version_and_confidence(
    app: InProcess, cat_jpeg: bytes
) -> None:
    answer = app.post("/predict", files={"file": cat_jpeg}).json()
    found = counts(app)
    assert found["purrdict_requests_total", "POST", "/predict", "200"] == 1
    assert found["purrdict_request_seconds_count", "/predict"] == 1
    for stage in ("queue", "decode", "resize", "infer"):
        assert found["purrdict_stage_seconds_count", stage] == 1
    assert found["purrdict_predictions_total", "cat", "true", answer["model_version"]] == 1
    assert found["purrdict_confidence_sum", "true", answer["model_version"]] == pytest.approx(
        answer["confidence"]
    )
    assert found["purrdict_upload_bytes_sum",] > len(cat_jpeg)
    stages = sum(found["purrdict_stage_seconds_sum", stage] for stage in ("decode", "resize", "infer"))
    assert stages < found["purrdict_request_seconds_sum", "/predict"] < 10, "seconds, not milliseconds"


def test_each_photo_of_a_batch_is_counted_and_those_that_cannot_be_read_too(
    app: InProcess, cat_jpeg: bytes, coffee: Image.Image
) -> None:
    photos = [("files", one) for one in (cat_jpeg, b"no photo", encode(coffee), cat_jpeg)]
    results = app.post("/predict/batch", files=photos).json()["results"]
    found = counts(app)
    assert sum(value for key, value in found.items() if key[0] == "purrdict_predictions_total") == 3
    assert found["purrdict_batch_photos_unreadable_total",] == 1
    unrecognized = sum(not result.get("recognized", True) for result in results)
    assert unrecognized == 1, "a cup of coffee is neither"
    assert (
        sum(v for key, v in found.items() if key[0] == "purrdict_predictions_total" and key[2] == "false")
        == 1
    )


def test_what_strangers_send_makes_no_new_series(app: InProcess, cat_jpeg: bytes) -> None:
    app.post("/predict", files={"file": cat_jpeg})
    app.get("/nothing")
    app.request("BREW", "/nothing")
    before = set(counts(app))
    for number in range(50):
        app.get(f"/nothing/{number}")
        app.request(f"BREW{number}", "/predict")
        app.request(f"BREW{number}", f"/nothing/{number}")
        app.post(f"/predict?x={number}", files={"file": cat_jpeg}, headers={"X-Request-ID": f"mine-{number}"})
    assert set(counts(app)) - before <= {
        key for key in counts(app) if key[1:] in {("other", "/predict", "405"), ("other", "unknown", "405")}
    }
    assert counts(app)["purrdict_requests_total", "GET", "unknown", "404"] == 51
    assert not any("BREW1" in part for key in counts(app) for part in key)


def test_a_refused_request_is_counted_with_its_reason(app: InProcess, cat_jpeg: bytes) -> None:
    app.post("/predict", content=b"not a photo", headers={"Content-Type": "image/jpeg"})
    app.post("/predict", files={"other": b"x"})
    app.post("/predict", files={"file": cat_jpeg}, headers={"X-API-Key": "wrong"})
    app.app.state.service.admission.photos = _admission.MAX_PHOTOS_WAITING
    assert app.post("/predict", files={"file": cat_jpeg}).status_code == 503
    app.app.state.service.admission.photos = 0
    app.app.state.service.admission.bytes = app.app.state.service.admission.max_bytes
    assert app.post("/predict", files={"file": cat_jpeg}).status_code == 503
    found = {key[1]: value for key, value in counts(app).items() if key[0] == "purrdict_refused_total"}
    assert found == {"unreadable": 1, "no_photo": 1, "key": 1, "photos_waiting": 1, "bytes_held": 1}


def test_the_queue_is_shown_while_it_is_full_and_empty_afterwards(app: InProcess) -> None:
    admission = app.app.state.service.admission
    with admission.upload() as upload, admission.work(7):
        upload.add(1000)
        found = counts(app)
        assert (found["purrdict_photos_waiting",], found["purrdict_upload_bytes_held",]) == (7, 1000)
    found = counts(app)
    assert (found["purrdict_photos_waiting",], found["purrdict_upload_bytes_held",]) == (0, 0)
    assert found["purrdict_requests_in_flight",] == 0


def test_the_model_cards_figures_are_beside_what_is_counted(app: InProcess) -> None:
    metadata = app.get("/model/info").json()["metadata"]
    test, version = metadata["metrics"]["test"], metadata["version"]
    found = counts(app)
    assert found["purrdict_model_info", version] == 1
    assert found["purrdict_card", "accuracy", version] == test["accuracy"]
    assert found["purrdict_card", "false_rejection_rate", version] == test["wrongly_unrecognized"]
    shares = [found["purrdict_card_label_share", label, version] for label in metadata["labels"]]
    assert sum(shares) == pytest.approx(1)


def test_a_service_without_a_model_says_so_and_counts_on() -> None:
    with InProcess(METRICS_PORT="9", MODEL_VERSION="9.9.9") as app:
        app.post("/predict", files={"file": b"x"})
        found = counts(app)
    assert found["purrdict_model_info", "none"] == 1
    assert found["purrdict_requests_total", "POST", "/predict", "503"] == 1


def python(code: str, **settings: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=clean_environment(**settings), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return result.stdout + result.stderr


LOADED = (
    "import sys, api.index; print('loaded', "
    "sorted({'prometheus_client', 'opentelemetry.sdk', 'api._observe'} & set(sys.modules)))"
)


def test_what_is_off_is_not_imported() -> None:
    assert "loaded []" in python(LOADED)


def test_what_is_on_is() -> None:
    assert "loaded ['api._observe', 'prometheus_client']" in python(LOADED, METRICS_PORT="9")


@pytest.mark.parametrize(
    ("setting", "package"),
    [("METRICS_PORT", "prometheus_client"), ("FASTAPI_OTEL_AUTO_CONFIGURE", "opentelemetry.sdk")],
)
def test_a_package_that_is_missing_is_a_sentence_with_the_command(setting: str, package: str) -> None:
    # As if it were not installed.
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"import api.__main__; sys.exit(api.__main__.main(['serve', '--port', '{free_port()}']))"
    )
    said = python(code, **{setting: "true" if setting.startswith("FAST") else str(free_port())})
    assert f"error: {setting}: " in said
    assert "pip install -r requirements-operate.txt" in said
    assert "Traceback" not in said


def test_nothing_observes_where_nobody_asked_for_it() -> None:
    with InProcess() as app:
        assert app.app.state.metrics is None
        (middleware,) = [each for each in app.app.user_middleware if each.cls is RequestMiddleware]
        assert middleware.kwargs["observers"] == []


def test_metrics_without_their_package_stop_the_start_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(SettingsError, match=r"^METRICS_PORT: .*pip install -r requirements-operate\.txt$"):
        InProcess(METRICS_PORT="9")


def test_each_address_is_counted_by_its_route_and_the_page_and_the_documentation_as_one(
    app: InProcess,
) -> None:
    routes = ("/", "/health", "/model/info", "/model/metadata.json", "/model/model.onnx")
    for path in (*routes, "/docs", "/redoc", "/openapi.json", "/app.js"):
        app.get(path)
    app.head("/health")
    found = {key[1:]: value for key, value in counts(app).items() if key[0] == "purrdict_requests_total"}
    once = {("GET", path, "200"): 1.0 for path in routes}
    assert found == {**once, ("HEAD", "/health", "200"): 1.0, ("GET", "page", "200"): 4.0}


@pytest.mark.parametrize(
    ("status", "record", "reason"),
    [
        (401, {}, "key"), (408, {}, "too_slow"), (413, {}, "too_large"), (400, {}, "unreadable"), (422, {}, "no_photo"),
        (503, {"refused": "photos_waiting"}, "photos_waiting"), (413, {"refused": "bytes_held"}, "bytes_held"),
        (200, {}, None), (404, {}, None),
    ],
)  # fmt: skip
def test_what_a_request_was_refused_for_is_counted(
    status: int, record: dict[str, str], reason: str | None
) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, None)
    scope = {"method": "POST", "route": SimpleNamespace(path="/predict/batch")}
    metrics.began(RequestRecord("a"))
    metrics.ended(scope, RequestRecord("a", bytes_in=20_000, **record), status, 1_500)  # type: ignore[arg-type]
    found = samples(registry)
    refused = {key[1]: value for key, value in found.items() if key[0] == "purrdict_refused_total"}
    assert refused == ({reason: 1} if reason else {})
    assert found["purrdict_request_seconds_sum", "/predict/batch"] == 1.5
    assert found["purrdict_upload_bytes_sum",] == 20_000
    assert found["purrdict_requests_in_flight",] == 0
    # Other methods and other routes are no uploads.
    for other in ({**scope, "method": "GET"}, {**scope, "route": SimpleNamespace(path="/health")}):
        metrics.ended(other, RequestRecord("a", bytes_in=20_000), 413, 1)
    assert registry.get_sample_value("purrdict_upload_bytes_count") == 1


def test_a_card_without_figures_of_test_shows_none_and_every_label_begins_at_nothing() -> None:
    model = SimpleNamespace(
        version="7.0.0", labels=("cat", "dog"), metadata={"metrics": {"val": {"accuracy": 1}}}
    )
    registry = CollectorRegistry()
    Metrics(registry, model)  # type: ignore[arg-type]
    found = samples(registry)
    assert not [key for key in found if key[0].startswith("purrdict_card")]
    for label in ("cat", "dog"):
        for recognized in ("true", "false"):
            assert found["purrdict_predictions_total", "7.0.0", label, recognized] == 0
            assert found["purrdict_confidence_count", "7.0.0", recognized] == 0
    assert not [key for key in found if key[0].endswith("_created")], "they double the series"


def test_a_card_tells_the_share_of_each_label_and_its_figures_under_standard_names() -> None:
    figures = {
        "accuracy": 0.9, "expected_calibration_error": 0.02, "wrongly_unrecognized": 0.01,
        "neither_unrecognized": "unknown", "per_class": {"cat": {"photos": 30}, "dog": {"photos": 10}, "newt": {}},
    }  # fmt: skip
    model = SimpleNamespace(version="7.0.0", labels=("cat",), metadata={"metrics": {"test": figures}})
    registry = CollectorRegistry()
    Metrics(registry, model)  # type: ignore[arg-type]
    found = samples(registry)
    assert {key[2]: value for key, value in found.items() if key[0] == "purrdict_card"} == {
        "accuracy": 0.9, "calibration_error": 0.02, "false_rejection_rate": 0.01,
    }  # fmt: skip
    shares = {key[2]: value for key, value in found.items() if key[0] == "purrdict_card_label_share"}
    assert shares == {"cat": 0.75, "dog": 0.25, "newt": 0}
    figures["per_class"] = {"cat": {"photos": 0}}
    Metrics(again := CollectorRegistry(), model)  # type: ignore[arg-type]
    assert again.get_sample_value("purrdict_card_label_share", {"version": "7.0.0", "label": "cat"}) == 0
