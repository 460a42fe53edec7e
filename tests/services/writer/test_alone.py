"""The writer starts, builds and is read alone: nothing of the rest of the project, nothing that is not in its lock."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.services.writer.test_commands import environment, serving
from tests.test_boundaries import imports_of

HOME = ROOT / "services/writer"
SOURCES = sorted(HOME.rglob("*.py"))


def lock() -> dict[str, str]:
    """Versions of services/writer/requirements.txt, and of what metrics and traces need beside it, by name."""
    texts = [(HOME / name).read_text() for name in ("requirements.txt", "requirements-operate.txt")]
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", "\n".join(texts), re.MULTILINE))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(HOME).as_posix())
def test_it_imports_what_is_in_its_lock_and_itself(path: object) -> None:
    names = {name.replace("-", "_") for name in lock()} | {"opentelemetry"}
    allowed = names | {"services"} | set(sys.stdlib_module_names)
    assert imports_of(path) <= allowed  # type: ignore[arg-type]


def test_it_imports_of_the_services_only_itself() -> None:
    for path in SOURCES:
        for name in re.findall(r"^\s*(?:from|import) (services[\w.]*)", path.read_text(), re.MULTILINE):
            assert name.startswith("services.writer"), path


def test_importing_it_loads_nothing_of_the_function_or_the_training() -> None:
    code = (
        "import sys, services.writer.__main__, services.writer.app\n"
        "print({'api', 'export', 'bulk', 'onnxruntime', 'numpy', 'PIL'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


def test_its_lock_has_hashes_and_fits_its_source() -> None:
    text = (HOME / "requirements.txt").read_text() + (HOME / "requirements-operate.txt").read_text()
    for entry in re.split(r"\n(?=[a-z])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    source = (HOME / "requirements.in").read_text()
    assert "-o services/writer/requirements.txt" in source
    wanted = dict(re.findall(r"^([a-z]+)==(\S+)", source, re.MULTILINE))
    assert wanted
    assert wanted.items() <= lock().items()


def test_it_has_the_versions_that_the_function_has() -> None:
    # One environment holds both on developers' machines.
    for name in ("requirements.txt", "requirements-serve.txt", "requirements-operate.txt"):
        theirs = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        assert {
            name: version for name, version in lock().items() if theirs.get(name, version) != version
        } == {}


def test_the_image_takes_the_whole_service_and_runs_as_nobody_of_importance() -> None:
    dockerfile = (HOME / "Dockerfile").read_text()
    assert "COPY . /app/services/writer/" in dockerfile
    assert "--require-hashes" in dockerfile
    assert "USER 1000" in dockerfile
    base = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert set(base) == set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))


def test_the_images_health_check_tells_a_service_from_none(tmp_path: Path) -> None:
    text = (HOME / "Dockerfile").read_text()
    command = json.loads(re.search(r"^    CMD (\[.*\])$", text, re.MULTILINE)[1])  # type: ignore[index]

    def check(port: str) -> int:
        own = {"PORT": port, "PATH": os.environ["PATH"]}
        return subprocess.run(
            [sys.executable, *command[1:]], env=own, capture_output=True, check=False
        ).returncode

    with serving(tmp_path / "log", LLM_URL="http://127.0.0.1:9") as (address, _):
        port = address.rsplit(":", 1)[1]
        assert check(port) == 0
    assert check(port) != 0


def test_the_deployed_function_leaves_it_out() -> None:
    assert re.search(r"[{,]services[,}]", (ROOT / "vercel.json").read_text())
