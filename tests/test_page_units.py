"""The page's scripts that need no browser: their own tests, in Node."""

import subprocess

from tests.conftest import ROOT, require_program


def test_the_logic_of_the_page_keeps_its_promises() -> None:
    files = sorted((ROOT / "tests/web/unit").glob("*.test.js"))
    done = subprocess.run(
        [require_program("node"), "--test", *map(str, files)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert len(files) >= 5
    assert done.returncode == 0, done.stdout
