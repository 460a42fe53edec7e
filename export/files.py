"""Files that appear whole or not at all, and text that is UTF-8 on every machine."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# Larger arrays, in bytes, are kept on disk.
IN_MEMORY = 1_000_000_000


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to. It replaces `path` when the block succeeds; otherwise it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays: several libraries choose the format by it.
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 with LF line ends, whole or not at all."""
    with replacing(path) as beside:
        beside.write_bytes(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read: indented, without escaping other alphabets."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a byte order mark, which editors on Windows add, does no harm."""
    return json.loads(path.read_text(encoding="utf-8-sig"))


def printable(path: Path | str) -> str:
    """A path for people and for UTF-8 files; bytes of its name that are not UTF-8 are written as \\udc.. escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def working_array(shape: tuple[int, ...], folder: Path | None = None) -> NDArray[np.float32]:
    """A float32 array of zeros: in memory, or above IN_MEMORY bytes in a file that ends with the process."""
    if int(np.prod(shape)) * 4 <= IN_MEMORY:
        return np.zeros(shape, dtype=np.float32)
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the array keeps it open
    return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


@contextmanager
def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> Iterator[NDArray[Any]]:
    """A memory-mapped array on disk to fill in the block; it appears at `path` when the block succeeds."""
    with replacing(path) as beside:
        array = np.lib.format.open_memmap(beside, mode="w+", dtype=dtype, shape=shape)
        yield array
        array.flush()
