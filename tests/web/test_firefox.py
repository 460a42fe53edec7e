"""The page in a real Firefox: an answer of the server, one of this device, a batch."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing, require_program
from tests.web.world import SAMPLES, World

pytestmark = pytest.mark.browser

HERE = Path(__file__).resolve().parent
FIREFOX = ("firefox-esr", "firefox")
PHOTOS = [str(SAMPLES / f"{name}.jpg") for name in ("chelsea", "shepherd", "coffee")]


@pytest.fixture(scope="module")
def seen(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What firefox.mjs saw on a visit."""
    if not (HERE / "node_modules" / "puppeteer-core").exists():
        missing("puppeteer-core is not installed: npm ci --prefix tests/web")
    command = [
        require_program("node"),
        str(HERE / "firefox.mjs"),
        require_program(*FIREFOX),
        world.server.url,
        *PHOTOS,
    ]
    environment = {**os.environ, "HOME": str(tmp_path_factory.mktemp("home")), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_firefox_shows_the_servers_answer_and_its_heat_map(seen: dict[str, Any]) -> None:
    assert seen["server"]["verdict"] == "Cat"
    assert seen["server"]["by"].startswith("Answered by 127.0.0.1")
    assert "heat map" in seen["server"]["heat"]


def test_firefox_answers_on_this_device(seen: dict[str, Any]) -> None:
    assert seen["device"]["verdict"] == "Dog"
    assert "127.0.0.1" not in seen["device"]["by"]


def test_firefox_answers_a_batch_and_an_example_and_opens_the_crop_box(seen: dict[str, Any]) -> None:
    assert "1 × cat" in seen["batch"]
    assert "1 × dog" in seen["batch"]
    assert re.fullmatch(r"Cat, >?[\d.]+% sure", seen["example"])
    assert seen["crop"] == 1


def test_firefox_finds_no_fault(seen: dict[str, Any]) -> None:
    assert seen["errors"] == []
