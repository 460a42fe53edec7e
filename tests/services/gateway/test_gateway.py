"""The gateway, by Node's own test runner."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, clean_environment, missing, require_program

HERE = Path(__file__).resolve().parent
pytestmark = pytest.mark.services


@pytest.mark.parametrize("name", ["passing", "failing", "real"])
def test_the_gateway_keeps_its_promises(name: str) -> None:
    node = require_program("node")
    if not (ROOT / "services/gateway/node_modules").exists():
        missing("the gateway's packages are not installed: npm ci --prefix services/gateway")
    environment = {**clean_environment(), "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [node, "--test", "--test-reporter", "spec", str(HERE / f"{name}.test.mjs")],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=600,
    )  # fmt: skip
    print(result.stdout)
    assert result.returncode == 0, result.stdout
