"""What the deployment files promise each other; no platform's tools are needed to see it."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT, require


def prune() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prune", ROOT / "deploy/prune.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text()
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize(("package", "patterns"), prune().UNUSED.items())
def test_the_folders_to_prune_exist_in_the_installed_packages(package: str, patterns: list[str]) -> None:
    folder = Path(require(package).__file__).parent
    for pattern in patterns:
        assert list(folder.glob(pattern)), f"{package} has no {pattern} any more: see deploy/prune.py"


def test_pruning_removes_the_listed_folders_and_leaves_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ["numpy/tests/a.py", "numpy/core/tests/a.py", "numpy/core/b.py", "onnxruntime/tools/a.py",
                 "onnxruntime/capi/b.py", "pip/a.py", "pip-1.0.dist-info/RECORD", "pipeline/b.py"]:  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    for _ in range(2):  # build caches bring pruned environments back
        assert prune().main([str(tmp_path)]) == 0
        left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
        assert left == {"numpy/core/b.py", "onnxruntime/capi/b.py", "pipeline/b.py"}
    assert "pruned" in capsys.readouterr().out


def test_pruning_refuses_a_folder_that_is_not_an_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prune().main([str(tmp_path)]) == 2
    assert "onnxruntime" in capsys.readouterr().err


def test_the_docker_context_holds_all_that_the_dockerfile_copies_and_no_secret() -> None:
    copied = [
        source
        for line in lines("Dockerfile")
        if line.startswith("COPY ") and "--from=" not in line
        for source in line.split()[1:-1]
    ]
    ignored = lines(".dockerignore")
    assert ignored[0] == "*"
    assert {f"!{source.rstrip('/')}" for source in copied} == {
        line for line in ignored if line.startswith("!")
    }
    assert "**/.env*" in ignored


def excluded_from_vercel() -> set[str]:
    """The patterns of what stays out of the function, braces expanded."""
    config = json.loads((ROOT / "vercel.json").read_text(encoding="utf-8"))
    found = {config["functions"]["api/index.py"]["excludeFiles"]}
    while braced := next((each for each in found if "{" in each), None):
        inner = re.search(r"\{([^{}]*)\}", braced)
        assert inner
        found.remove(braced)
        found |= {braced[: inner.start()] + option + braced[inner.end() :] for option in inner[1].split(",")}
    return found


def test_vercel_gets_one_function_from_the_preset_and_no_rewrites() -> None:
    config = json.loads((ROOT / "vercel.json").read_text())
    assert config["framework"] == "fastapi"
    # A rewrite to the function would make every request arrive as /api/index.
    assert not {"rewrites", "routes", "builds"} & config.keys()
    assert list(config["functions"]) == ["api/index.py"]
    assert {".*", "tests/**", "export/**"} <= excluded_from_vercel()
    # Vercel refuses the whole file otherwise.
    assert len(config["functions"]["api/index.py"]["excludeFiles"]) <= 256


def test_the_users_photos_and_runs_are_neither_committed_nor_deployed() -> None:
    excluded = excluded_from_vercel()
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    for folder in ("photos", "nothing", "neither", "runs"):
        assert f"{folder}/**" in excluded
        assert f"/{folder}/" in ignored


def test_pretrained_bodies_are_not_deployed() -> None:
    excluded = excluded_from_vercel()
    assert "model/bodies/**" in excluded
    assert "model/bodies" in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert 'rm -rf "$(ARTIFACTS_DIR)/model/bodies"' in (ROOT / "Makefile").read_text(encoding="utf-8")


DEPLOY = (ROOT / "docs/DEPLOY.md").read_text()


def test_each_target_takes_fewer_than_ten_lines() -> None:
    sections = DEPLOY.split("\n## ")[1:]
    assert len(sections) == 8
    for section in sections:
        commands = [
            line
            for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
            for line in block.splitlines()
        ]
        assert len(commands) < 10, section.partition("\n")[0]


def test_every_file_that_the_deployment_guide_names_exists() -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", DEPLOY)
    assert all((ROOT / "docs" / target).exists() for target in linked)
    named = re.findall(r"`((?:\.github|\.ci|deploy)/[\w./-]+)`", DEPLOY)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
    anchors = {
        "#" + heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", DEPLOY, re.MULTILINE)
    }
    assert set(re.findall(r"\]\((#[\w-]+)\)", DEPLOY)) == anchors
