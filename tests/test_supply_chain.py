"""What is deployed is exactly what was chosen: pinned, hashed, with licences that may be passed on."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

LOCKS = ("requirements.txt", "requirements-serve.txt", "requirements-operate.txt")
# Licences under which a program may be passed on without publishing anything of one's own.
PERMISSIVE = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-CMU",
    "PSF-2.0",
    "Zlib",
}

spec = importlib.util.spec_from_file_location("licenses", ROOT / "docs" / "licenses.py")
assert spec
assert spec.loader
licenses = importlib.util.module_from_spec(spec)
spec.loader.exec_module(licenses)


def entries(name: str) -> dict[str, str]:
    """Each requirement of a lock, from its name to the last of its hashes."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    return {
        entry.split("==")[0].strip(): entry
        for entry in re.split(r"\n(?=\S)", text.replace("\\\n", " "))
        if entry
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_every_deployed_package_is_pinned_with_hashes(lock: str) -> None:
    found = entries(lock)
    assert found
    for name, entry in found.items():
        assert re.match(r"[A-Za-z0-9._-]+==[0-9][^\s]*", entry), name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), name
        assert "://" not in entry, f"{name} comes from elsewhere than the package index"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_matches_its_source_which_names_the_command_that_makes_it(lock: str) -> None:
    source = (ROOT / lock.replace(".txt", ".in")).read_text()
    assert f"-o {lock}" in source
    assert "--generate-hashes" in source
    wanted = [Requirement(line) for line in re.findall(r"^[a-z].*", source, re.MULTILINE)]
    assert wanted
    for requirement in wanted:
        pin = entries(lock)[requirement.name].split()[0]
        assert pin == f"{requirement.name}{requirement.specifier}", f"{lock} is older than its source"


def test_the_list_of_licences_is_up_to_date() -> None:
    assert (ROOT / "docs" / "LICENSES.md").read_text() == licenses.text(), "run: python docs/licenses.py"


def test_every_licence_of_a_deployed_package_permits_redistribution() -> None:
    rows = re.findall(r"^\| ([a-z-]+) \| [0-9.]+ \| ([^|]+) \| ([^|]+) \|", licenses.text(), re.MULTILINE)
    assert len(rows) > 15
    for name, licence, _ in rows:
        # Its libraries are files of their own, unchanged, with their licence beside them: that is what the LGPL asks.
        # A list of certificates, unchanged: the MPL asks for nothing more.
        lent = {"pi-heif": {"LGPL-3.0-or-later"}, "certifi": {"MPL-2.0"}}.get(name, set())
        assert set(re.split(r" AND | OR ", licence)) <= PERMISSIVE | lent, f"{name}: {licence}"


# Drawn from icon.svg by tests/web/pictures.py.
OWN = Path("web/icons")


def test_every_third_party_file_in_this_repository_has_its_licence_beside_it() -> None:
    for folder, (_, _, files) in licenses.WEB.items():
        for name in files.split(", "):
            assert (ROOT / folder / name).stat().st_size > 100, f"{folder}/{name}"
    listed = {Path(folder) for folder in licenses.WEB}
    for path in (ROOT / "web").rglob("*"):
        name = path.relative_to(ROOT)
        if (
            path.name.endswith((".wasm", ".gz", ".min.js", ".jpg", ".webp", ".png"))
            and "node_modules" not in name.parts
        ):
            assert any(folder in name.parents for folder in (*listed, OWN)), f"whose is {name}?"


def test_the_code_passes_bandits_rules() -> None:
    # ruff's S rules are bandit's; every exception stands in ruff.toml or beside its line, with the reason.
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--select",
        "S",
        "--no-cache",
        "api",
        "export",
        "services",
        "dev.py",
        "docs",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.long
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("platform", ["manylinux_2_28_x86_64", "manylinux_2_28_aarch64"])
def test_every_locked_package_has_a_wheel_for_every_python_and_platform(
    python: str, platform: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--only-binary", ":all:",
               "--no-deps", "--python-version", python, "--platform", platform,
               "--platform", platform.replace("2_28", "2_17"),
               "--platform", platform.replace("_2_28", "2014"), "-d", str(tmp_path),
               "-r", "requirements.txt"]  # fmt: skip
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert len(list(tmp_path.glob("*.whl"))) == len(
        [e for e in entries("requirements.txt").values() if ";" not in e]
    )
