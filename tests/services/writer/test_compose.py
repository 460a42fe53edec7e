"""compose.yaml's profile `writer` on a real Docker Engine, with llama.cpp standing in for Ollama's image."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.conftest import ROOT, free_port, require_program
from tests.services.writer.conftest import NOTES
from tests.services.writer.standins import Docker, docker_program, make_images, running_docker

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
        assert f'"{name}"' in known
        assert value.startswith(f"${{{name}:-")


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    folder = tmp_path_factory.mktemp("docker")
    with running_docker(folder) as engine:
        yield engine


@pytest.mark.engine
def test_compose_up_with_the_profile_writes_a_text(docker: Docker, tmp_path: Path) -> None:
    content = compose()
    began = time.monotonic()
    make_images(docker, tmp_path, content["services"]["ollama"]["image"], _python())
    print(f"images made in {time.monotonic() - began:.0f} s")
    port = free_port()
    file = tmp_path / "compose.yaml"
    file.write_text(json.dumps(_for_an_old_compose(content, port)))
    command = [require_program("docker-compose"), "--file", str(file), "--profile", "writer"]
    docker.environment |= {"LLM_MODEL": "smollm2", "OLLAMA_MEMORY": "1G"}
    try:
        print(docker.run(*command, "up", "--detach", "--no-build", timeout=300))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
            health = _when_it_answers(client, docker, command)
            print("GET /health", health)
            assert health["engine"] == "ready"
            text = client.post("/write", json={"task": "format", "notes": NOTES}).text
        print(text[:300], "...", text[-200:])
        assert "event: start" in text
        assert "event: done" in text
        _looks_inside(docker, command)
    finally:
        docker.run(*command, "down", "--volumes", "--timeout", "2", check=False)


def _looks_inside(docker: Docker, command: list[str]) -> None:
    """What the file promises holds in the running containers."""
    states = {name: _inspect(docker, command, name) for name in SERVICES}
    assert states["model"]["State"]["ExitCode"] == 0
    assert states["ollama"]["State"]["Health"]["Status"] == "healthy"
    assert states["writer"]["Config"]["User"] == "1000"
    for name in ("writer", "ollama"):
        assert states[name]["HostConfig"]["ReadonlyRootfs"] is True
    # In this order: the engine, its model, the writer.
    ended = states["model"]["State"]["FinishedAt"]
    assert states["ollama"]["State"]["StartedAt"] < states["model"]["State"]["StartedAt"]
    assert ended < states["writer"]["State"]["StartedAt"]
    logs = docker.run(*command, "logs", "--no-color")
    assert "pulling smollm2: success" in logs
    assert '"path": "/write", "status": 200' in logs
    assert "Bella" not in docker.run(*command, "logs", "--no-color", "writer")
    usage = docker.run(docker_program(), "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
    size = docker.run(docker_program(), "image", "inspect", "--format", "{{.Size}}", "purrdict-writer")
    base = docker.run(docker_program(), "image", "inspect", "--format", "{{.Size}}", "python:standin")
    print(usage, f"writer's image: {(int(size) - int(base)) / 1e6:.1f} MB on top of its base")


def _inspect(docker: Docker, command: list[str], service: str) -> dict[str, Any]:
    identity = docker.run(*command, "ps", "--all", "--quiet", service).strip()
    state: dict[str, Any] = json.loads(docker.run(docker_program(), "inspect", identity))[0]
    return state


def _when_it_answers(client: httpx.Client, docker: Docker, command: list[str]) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        try:
            health: dict[str, Any] = client.get("/health").json()
            return health
        except httpx.TransportError:
            assert time.monotonic() < deadline, docker.run(*command, "logs", "--no-color")
            time.sleep(0.5)


def _for_an_old_compose(content: dict[str, Any], port: int) -> dict[str, Any]:
    """The profile's own services, for a docker-compose that knows neither `name` nor a limit of processes."""
    services = {name: content["services"][name] for name in SERVICES}
    for service in services.values():
        del service["deploy"]["resources"]["limits"]["pids"]
        service.pop("build", None)
    services["writer"]["ports"] = [f"127.0.0.1:{port}:8002"]
    networks = {name: content["networks"][name] for name in ("purrdict", "engine")}
    return {"version": "3.9", "services": services, "networks": networks, "volumes": {"models": None}}


def _python() -> str:
    from benchmarks import _pythons

    found = _pythons.find()
    if found is None or "3.12" not in found:
        from tests.conftest import missing

        missing("the stand-in for the base image needs a Python 3.12")
    return os.path.realpath(str(found))
