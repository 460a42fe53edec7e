"""What is sent where traces are switched on, before any collector: what OpenTelemetry is told."""

import importlib.util
import os
from typing import Any

import pytest

from api._commands.output import CommandError
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


def test_a_collector_may_be_waited_for_as_long_as_was_asked_for() -> None:
    os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "9"
    _prepare_tracing()
    assert os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] == "9"


def test_traces_carry_the_name_of_the_service_or_the_one_that_was_given() -> None:
    _prepare_tracing()
    assert os.environ["OTEL_SERVICE_NAME"] == "purrdict-api"
    os.environ["OTEL_SERVICE_NAME"] = "mine"
    _prepare_tracing()
    assert os.environ["OTEL_SERVICE_NAME"] == "mine"


def test_without_an_address_it_says_that_nothing_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    _prepare_tracing()
    said = capsys.readouterr()
    assert said.err.startswith("note: FASTAPI_OTEL_AUTO_CONFIGURE sends nothing yet")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in said.err
    assert said.out == ""


@pytest.mark.parametrize("signal", ["", "TRACES_", "METRICS_", "LOGS_"])
def test_with_an_address_for_any_of_them_it_says_nothing(
    signal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    os.environ[f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT"] = COLLECTOR
    _prepare_tracing()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
@pytest.mark.parametrize("parent", [True, False])
def test_without_its_packages_it_says_how_to_install_them(
    missing: str, parent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the package above is missing, too, Python raises instead of finding nothing."""

    def find(name: str) -> Any:
        if name != missing:
            return object()
        if not parent:
            raise ModuleNotFoundError(name)
        return None

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(
        CommandError, match=r"^FASTAPI_OTEL_AUTO_CONFIGURE: .*pip install -r requirements-operate"
    ):
        _prepare_tracing()
