"""compose.yaml's profile `writer` on a real Docker Engine, with llama.cpp standing in for Ollama's image."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from benchmarks._platform import copy_checkout
from tests.conftest import ROOT, free_port
from tests.services.engine import Engine, engine, stand_in_files
from tests.services.writer.conftest import NOTES
from tests.services.writer.standins import PYTHON_IMAGE, make_ollama

SERVICES = ("writer", "ollama", "model")


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def test_the_profile_starts_the_writer_its_engine_and_the_models_download_and_nobody_else_reaches_the_engine() -> (
    None
):
    content = compose()
    services = content["services"]
    assert {name for name, service in services.items() if "writer" in service.get("profiles", [])} >= set(
        SERVICES
    )
    assert all(set(services[name]["profiles"]) == {"writer", "full"} for name in SERVICES)
    assert {name for name, service in services.items() if "engine" in service["networks"]} == set(SERVICES)
    assert "ports" not in services["writer"]
    assert "ports" not in services["ollama"]
    # The model is there before the writer starts, and the engine before the model.
    assert services["writer"]["depends_on"] == {"model": {"condition": "service_completed_successfully"}}
    assert services["model"]["depends_on"] == {"ollama": {"condition": "service_healthy"}}
    assert services["ollama"]["healthcheck"]["test"] == ["CMD", "ollama", "list"]
    assert services["ollama"]["volumes"] == ["models:/root/.ollama"]
    assert services["ollama"]["image"] == services["model"]["image"]
    for name in SERVICES:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]


def test_every_setting_of_the_writer_comes_from_outside_and_is_one() -> None:
    known = (ROOT / "services/writer/settings.py").read_text()
    for name, value in compose()["services"]["writer"]["environment"].items():
        # OpenTelemetry's own are read by its packages.
        assert f'"{name}"' in known or name.startswith("OTEL_")
        assert value.startswith(f"${{{name}:-")


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with engine() as found:
        yield found


@dataclass(frozen=True)
class Project:
    """A copy of the project, whose profile `writer` runs on the engine."""

    engine: Engine
    folder: Path

    def compose(self, *arguments: str, check: bool = True) -> str:
        return self.engine.run("compose", "--profile", "writer", *arguments, cwd=self.folder, check=check)


@pytest.mark.engine
def test_compose_up_with_the_profile_writes_a_text(docker: Engine, tmp_path: Path) -> None:
    port = free_port()
    project = Project(docker, _project(tmp_path / "purrdict", port))
    began = time.monotonic()
    make_ollama(docker, tmp_path / "ollama", compose()["services"]["ollama"]["image"])
    project.compose("build", "writer")
    print(f"images made in {time.monotonic() - began:.0f} s")
    try:
        print(project.compose("up", "--wait", "--no-build", "writer"))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
            health = _when_it_answers(client, project)
            print("GET /health", health)
            assert health["engine"] == "ready"
            text = client.post("/write", json={"task": "format", "notes": NOTES}).text
        print(text[:300], "...", text[-200:])
        assert "event: start" in text
        assert "event: done" in text
        _looks_inside(project)
    finally:
        project.compose("down", "--volumes", "--timeout", "2", check=False)


def _project(folder: Path, port: int) -> Path:
    """A copy of the checkout, set up for the stand-ins; the writer itself answers at this port."""
    copy_checkout(folder)
    stand_in_files(folder)
    (folder / ".env").write_text("LLM_MODEL=smollm2\nOLLAMA_MEMORY=1G\n")
    override = folder / "compose.override.yaml"
    content = yaml.safe_load(override.read_text())
    content["services"]["writer"]["ports"] = [f"127.0.0.1:{port}:8002"]
    override.write_text(yaml.safe_dump(content))
    return folder


def _looks_inside(project: Project) -> None:
    """What the file promises holds in the running containers."""
    states = {name: _inspect(project, name) for name in SERVICES}
    assert states["model"]["State"]["ExitCode"] == 0
    assert states["ollama"]["State"]["Health"]["Status"] == "healthy"
    assert states["writer"]["Config"]["User"] == "1000"
    for name in ("writer", "ollama"):
        assert states[name]["HostConfig"]["ReadonlyRootfs"] is True
    # In this order: the engine, its model, the writer.
    ended = states["model"]["State"]["FinishedAt"]
    assert states["ollama"]["State"]["StartedAt"] < states["model"]["State"]["StartedAt"]
    assert ended < states["writer"]["State"]["StartedAt"]
    logs = project.compose("logs", "--no-color")
    assert "pulling smollm2: success" in logs
    assert '"path": "/write", "status": 200' in logs
    assert "Bella" not in project.compose("logs", "--no-color", "writer")
    usage = project.engine.run("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
    sizes = [
        int(project.engine.run("image", "inspect", "--format", "{{.Size}}", name))
        for name in ("purrdict-writer", PYTHON_IMAGE)
    ]
    print(usage, f"writer's image: {(sizes[0] - sizes[1]) / 1e6:.1f} MB on top of its base")


def _inspect(project: Project, service: str) -> dict[str, Any]:
    identity = project.compose("ps", "--all", "--quiet", service).strip()
    state: dict[str, Any] = json.loads(project.engine.run("inspect", identity))[0]
    return state


def _when_it_answers(client: httpx.Client, project: Project) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        try:
            health: dict[str, Any] = client.get("/health").json()
            return health
        except httpx.TransportError:
            assert time.monotonic() < deadline, project.compose("logs", "--no-color")
            time.sleep(0.5)
