"""What is sent where traces are switched on, before any collector: what OpenTelemetry is told."""

import os

import pytest

from api._commands.serve import _prepare_tracing
from tests.conftest import require

COLLECTOR = "http://127.0.0.1:4318"


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    require("opentelemetry.sdk")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    monkeypatch.setattr(os, "environ", plain | {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR})


def test_only_traces_are_sent_unless_more_is_asked_for() -> None:
    _prepare_tracing()
    assert os.environ["OTEL_METRICS_EXPORTER"] == os.environ["OTEL_LOGS_EXPORTER"] == "none"
    assert "OTEL_TRACES_EXPORTER" not in os.environ


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{COLLECTOR}/v1/metrics")],
)
def test_metrics_that_were_asked_for_are_sent(name: str, value: str) -> None:
    os.environ[name] = value
    _prepare_tracing()
    assert os.environ.get("OTEL_METRICS_EXPORTER", "otlp") == "otlp"
    assert os.environ["OTEL_LOGS_EXPORTER"] == "none"


def test_a_collector_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    _prepare_tracing()
    assert float(os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"]) <= 2


def test_without_an_address_it_says_that_nothing_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    _prepare_tracing()
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in capsys.readouterr().err
