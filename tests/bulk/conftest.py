"""What the tests of bulk/ need: its packages, photos of many kinds, and a way to run the command in this process."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import encode, require

require("pyarrow")
require("filelock")

import pyarrow.parquet as pq  # noqa: E402

from bulk.__main__ import main  # noqa: E402


@pytest.fixture(scope="session")
def small(cat: Image.Image) -> Callable[[int], bytes]:
    """Small JPEGs of a cat; each number gives another photo."""

    def make(number: int) -> bytes:
        left = number % 40
        piece = cat.crop((left, number // 40 % 40, left + 380, number // 40 % 40 + 250)).resize((96, 64))
        return encode(piece, quality=70 + number % 20)

    return make


@pytest.fixture
def photos(tmp_path: Path, small: Callable[[int], bytes]) -> Path:
    """A folder with 40 photos in two subfolders, a broken one, an empty one, a text and a note on edits."""
    folder = tmp_path / "photos"
    for number in range(40):
        path = folder / ("a" if number % 2 else "b/c") / f"{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(small(number))
    (folder / "broken.jpg").write_bytes(small(1)[:400])
    (folder / "empty.png").write_bytes(b"")
    (folder / "words.doc").write_bytes(b"no photo at all")
    (folder / "a/001.xmp").write_text("a note on edits")
    return folder


class Run:
    """A run of the command: its status, what it printed, and the rows that are there now."""

    def __init__(self, out: Path, status: int, printed: str, errors: str) -> None:
        self.out, self.status, self.printed, self.errors = out, status, printed, errors

    @property
    def rows(self) -> list[dict[str, Any]]:
        return rows_of(self.out)

    @property
    def summary(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.out / "summary.json").read_text(encoding="utf-8"))
        return loaded


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Every row of a job's folder, by path."""
    paths = sorted((out / "parts").glob("*.parquet"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: str(row["path"]))


@pytest.fixture
def score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Runs `python -m bulk score` in this process on the local engine: `score(photos, "--explain")`."""

    def run(*arguments: object, out: str = "out") -> Run:
        folder = tmp_path / out
        command = ["score", *map(str, arguments), "--out", str(folder), "--engine", "local", "--workers", "2"]
        status = main(command)
        printed = capsys.readouterr()
        return Run(folder, status, printed.out, printed.err)

    return run


def noise(seed: int) -> bytes:
    """A photo of nothing."""
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    return encode(Image.fromarray(pixels))


def tar_of(files: dict[str, bytes], compression: str = "") -> bytes:
    """A tar with these files."""
    buffer = io.BytesIO()
    mode: Any = f"w:{compression}"
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
