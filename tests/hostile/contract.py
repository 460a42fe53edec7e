"""schemathesis against a live server: every response as the OpenAPI document says it, whatever is sent."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Contract:
    """What a run found: how many cases were sent, whether all were answered as documented, and the report if not."""

    cases: int
    kept: bool
    report: str


def check(url: str, examples: int, key: str | None = None) -> Contract:
    """Sends at least `examples` random cases to each operation, beside the systematic ones."""
    arguments = ["--checks", "all", "--max-examples", str(examples), "--no-color", "--generation-deterministic",
                 "--continue-on-failure", "--request-timeout", "30"]  # fmt: skip
    if key:
        arguments += ["--header", f"X-API-Key:{key}"]
    result = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", str(_HERE / "schemathesis.toml"),
         "run", f"{url}/openapi.json", *arguments],
        # Elsewhere, because it leaves a folder of its own behind.
        cwd=tempfile.gettempdir(),
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.hostile.hooks", "PYTHONPATH": str(ROOT), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )  # fmt: skip
    # Bodies of photos fill the report: lines of any use are short.
    report = "\n".join(line[:300] for line in (result.stdout + result.stderr).splitlines())
    found = re.search(r"(\d+) generated", report)
    return Contract(int(found.group(1)) if found else 0, result.returncode == 0, report)
