"""The container: linters for its files, and a replay of what they say, because an engine is not everywhere.

The replay reads the Dockerfile itself: its COPY and RUN instructions happen in a folder that stands for the image's
root, and its CMD and HEALTHCHECK run there as the user that it names, who can write nowhere.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from benchmarks._platform import bare_environment, copy_checkout, run
from tests.conftest import ROOT, free_port, require_program
from tests.platforms.conftest import compose_nginx, platform_python, running_nginx, tool

pytestmark = pytest.mark.platform


@dataclass
class Image:
    """What the Dockerfile made: a folder as root, and what the last stage says of running it."""

    root: Path
    environment: dict[str, str]
    user: int
    command: list[str]
    health_check: list[str]

    def inside(self, text: str) -> str:
        """The text with the image's paths turned into those of the folder that stands for it."""
        return re.sub(r"(?<![\w.])/(opt|app|build)\b", rf"{self.root}/\1", text)

    def environ(self, **variables: str) -> dict[str, str]:
        image = {name: self.inside(value) for name, value in self.environment.items()}
        image["PATH"] = image["PATH"].replace("$PATH", os.defpath)
        return {**image, **variables}

    def as_user(self, command: Sequence[str]) -> list[str]:
        """The command as the image's user. A developer is such a user anyway: he may read, and write nowhere."""
        if os.geteuid() != 0:
            return list(command)
        user = [f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        # Only reading: the interpreter may lie in root's home.
        reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return [require_program("setpriv"), *user, *reading, *command]


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Each instruction of a Dockerfile with its arguments, continued lines joined."""
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, arguments = line.strip().partition(" ")
        yield name, arguments.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image, built by replaying the Dockerfile on a copy of the checkout."""
    folder = tmp_path_factory.mktemp("container")
    context = copy_checkout(folder / "context")
    built = Image(folder / "root", {}, 0, [], [])
    python = platform_python()
    current = built.root
    for name, arguments in instructions((ROOT / "Dockerfile").read_text()):
        if name == "WORKDIR":
            current = Path(built.inside(arguments))
            current.mkdir(parents=True, exist_ok=True)
        elif name == "COPY" and not arguments.startswith("--from="):
            _copy(built, context, current, arguments.split())
        elif name == "RUN" and not arguments.startswith("useradd"):
            # The base image's `python` is the one that the platform runs.
            command = re.sub(r"^python ", f"{python} ", re.sub(r"--mount=\S+\s+", "", arguments))
            run(["sh", "-euc", built.inside(command)], cwd=current, env=bare_environment())
        elif name == "ENV":
            built.environment |= dict(pair.split("=", 1) for pair in shlex.split(arguments))
        elif name == "USER":
            built.user = int(arguments)
        elif name == "HEALTHCHECK":
            built.health_check = json.loads(arguments.partition("CMD ")[2])
        elif name == "CMD":
            built.command = json.loads(arguments)
    return built


def _copy(image: Image, context: Path, current: Path, names: list[str]) -> None:
    *sources, target = names
    folder = current if target == "./" else Path(image.inside(target))
    for name in sources:
        source = context / name
        if source.is_dir():
            shutil.copytree(source, folder, dirs_exist_ok=True)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder)


@contextlib.contextmanager
def container(
    image: Image, tmp_path: Path, **variables: str
) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """Runs the image's command with a port that the platform chose, as Cloud Run and Spaces do."""
    port = free_port()
    environment = image.environ(PORT=str(port), **variables)
    python = shutil.which(image.command[0], path=environment["PATH"]) or image.command[0]
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            image.as_user([python, *image.command[1:]]),
            cwd=image.root / "app",
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                client.get("/health")
                break
            time.sleep(0.05)
        assert process.poll() is None, log.read_text()
        assert psutil.Process(process.pid).uids().effective in {image.user, os.geteuid()} - {0}, (
            "it must not run as root"
        )
        yield client, environment
    finally:
        process.terminate()
        # `docker stop` kills after ten seconds.
        process.wait(timeout=10)


def health_check(image: Image, environment: dict[str, str]) -> int:
    """Exit status of the image's health check: 0 healthy, anything else not."""
    python, *arguments = image.health_check
    found = shutil.which(python, path=environment["PATH"]) or python
    return subprocess.run(
        image.as_user([found, *arguments]), env=environment, capture_output=True, timeout=30, check=False
    ).returncode


def test_the_image_answers_a_photo_as_a_user_who_can_write_nowhere(
    image: Image, tmp_path: Path, cat_jpeg: bytes
) -> None:
    assert image.user >= 1000
    before = sorted(path for path in image.root.rglob("*"))
    with container(image, tmp_path) as (client, environment):
        answer = client.post("/predict", files={"file": cat_jpeg}).json()
        print(json.dumps(answer))
        assert answer["prediction"] == "cat"
        assert client.get("/", headers={"Accept": "text/html"}).text.startswith("<!doctype html>")
        assert health_check(image, environment) == 0
    assert health_check(image, environment) != 0, "nothing runs any more"
    assert sorted(path for path in image.root.rglob("*")) == before
    size = sum(path.stat().st_size for path in before if path.is_file() and not path.is_symlink())
    print(f"{size / 1e6:.1f} MB on top of the base image")


def test_the_image_ships_bytecode_and_no_installer(image: Image) -> None:
    assert list((image.root / "app/api/__pycache__").glob("index.*.pyc"))
    assert list(image.root.glob("opt/purrdict/lib/*/site-packages/fastapi/__pycache__/*.pyc"))
    assert not list(image.root.glob("opt/purrdict/lib/*/site-packages/pip"))


def test_a_mounted_registry_and_an_older_version_are_served(image: Image, tmp_path: Path) -> None:
    latest = (ROOT / "model/latest").read_text().strip()
    registry = tmp_path / "registry"
    shutil.copytree(ROOT / "model/versions" / latest, registry / "versions/0.0.1-mine")
    metadata = registry / "versions/0.0.1-mine/metadata.json"
    metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "version": "0.0.1-mine"}))
    settings = {"MODEL_DIR": str(registry), "MODEL_VERSION": "0.0.1-mine"}
    with container(image, tmp_path, **settings) as (client, environment):
        assert client.get("/health").json()["model_version"] == "0.0.1-mine"
        assert health_check(image, environment) == 0


def test_a_registry_without_a_model_makes_the_container_unhealthy(image: Image, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with container(image, tmp_path, MODEL_DIR=str(tmp_path / "empty")) as (client, environment):
        assert client.get("/health").status_code == 503
        assert health_check(image, environment) != 0


@pytest.fixture
def compose_site(image: Image, tmp_path: Path) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """The two services of compose.yaml: clients of the web server, and of the API behind it."""
    with container(image, tmp_path) as (api, environment):
        site = compose_nginx(environment["PORT"], image.root / "app/web")
        with running_nginx(tmp_path, site) as address:
            yield httpx.Client(base_url=address, timeout=30, trust_env=False), api


def test_the_web_server_serves_the_page_and_reaches_the_api_behind_it(
    compose_site: tuple[httpx.Client, httpx.Client], cat_jpeg: bytes, large_photo: bytes
) -> None:
    web, api = compose_site
    page = web.get("/", headers={"Accept": "text/html"})
    assert page.text == api.get("/", headers={"Accept": "text/html"}).text
    assert web.get("/config.json").json()["api"] == ""
    assert web.post("/predict", files={"file": cat_jpeg}).json()["prediction"] == "cat"
    assert web.post("/predict", files={"file": large_photo}).json()["prediction"] == "cat"
    assert web.get("/model/info").json() == api.get("/model/info").json()
    assert web.get("/no-such-file").status_code == 404


def test_the_web_server_sends_the_page_with_the_headers_that_the_api_sends_it_with(
    compose_site: tuple[httpx.Client, httpx.Client],
) -> None:
    web, api = compose_site
    names = [
        "content-security-policy",
        "x-content-type-options",
        "x-frame-options",
        "referrer-policy",
        "cache-control",
    ]
    module = next(path.relative_to(ROOT / "web").as_posix() for path in (ROOT / "web/vendor").rglob("*.js"))
    for path, accept in [("/", "text/html"), ("/app.js", "*/*"), (f"/{module}", "*/*"), ("/health", "*/*")]:
        ours, theirs = (client.get(path, headers={"Accept": accept}).headers for client in (web, api))
        assert [ours.get_list(name) for name in names] == [theirs.get_list(name) for name in names], path
    assert "javascript" in web.get(f"/{module}").headers["content-type"]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def test_the_compose_file_keeps_the_compose_specification() -> None:
    run([tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"])
    docker = shutil.which("docker")
    if (
        docker
        and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    ):
        run([docker, "compose", "--project-directory", ROOT, "config", "--quiet"])
        print("docker compose config: valid")


def test_both_services_are_limited_restarted_read_only_and_hold_no_secret() -> None:
    services = compose()["services"]
    # What others wait for to end is not started again.
    once = {
        name
        for service in services.values()
        for name, wanted in service.get("depends_on", {}).items()
        if wanted["condition"] == "service_completed_successfully"
    }
    for name, service in services.items():
        assert service["read_only"] is True
        assert service["restart"] == ("no" if name in once else "unless-stopped")
        assert service["deploy"]["resources"]["limits"].keys() >= {"cpus", "memory"}
    assert services["web"]["depends_on"]["api"]["condition"] == "service_healthy"
    for name, value in services["api"]["environment"].items():
        assert re.fullmatch(rf"\$\{{{name}:-\w*\}}", value), f"{name} must come from outside"


@pytest.mark.parametrize("folder", [".", "services/writer"])
def test_the_dockerfile_passes_hadolint(folder: str) -> None:
    run([tool("hadolint"), ROOT / folder / "Dockerfile"])
