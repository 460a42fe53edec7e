"""What a process holds between requests: the model it was told to serve, or the reason why it has none."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api import _service
from api._requests import configure_logging
from api._service import Service, UnavailableError
from api._settings import Settings
from tests import models


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a registry with two versions, whose `latest` is 3.2.0."""
    models.publish(tmp_path, models.FLOWERS, version="3.1.0")
    models.publish(tmp_path, models.FLOWERS, version="3.2.0")
    return Settings(model_dir=tmp_path)


def test_the_version_that_is_asked_for_is_served_or_else_the_latest(settings: Settings) -> None:
    found = [Service.start(replace(settings, model_version=version)).model for version in (None, "3.1.0")]
    assert [model.version for model in found if model] == ["3.2.0", "3.1.0"]


def test_the_network_runs_on_so_many_threads_as_the_settings_say(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(_service, "Classifier", lambda model, threads: told.append((model.version, threads)))
    Service.start(replace(settings, threads=3))
    assert told == [("3.2.0", 3)]


def test_the_decoders_are_imported_at_the_start_so_that_the_first_photo_need_not_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = threading.Event()
    monkeypatch.setattr(_service, "import_decoders", imported.set)
    Service.start(settings)
    assert imported.wait(10)


def test_without_a_model_the_reason_is_kept_and_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("ERROR")
    service = Service.start(Settings(model_dir=tmp_path))
    assert service.model is None
    assert service.message == "Purrdict classifies photos. POST one to /predict."
    with pytest.raises(UnavailableError, match="latest cannot be read"):
        service.ready()
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["message"], line["reason"]) == ("ERROR", "no usable model", service.reason)
