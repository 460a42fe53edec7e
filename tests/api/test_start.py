"""What a process sets up once, at its start, holds for all that it does later."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Server

_THREADS = """
import api.index
import ctypes
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.fdopen.restype = ctypes.c_void_p
library.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
library.fflush.argtypes = [ctypes.c_void_p]
together = Barrier(4)


def take(number):
    together.wait()
    return library.malloc(100_000)


with ThreadPoolExecutor(4) as threads:
    list(threads.map(take, range(4)))
    output = library.fdopen(1, b"w")
    library.malloc_info(0, output)
    library.fflush(output)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives threads memory of their own")
def test_threads_take_memory_from_one_place() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", _THREADS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "malloc_info" in answer.stderr:
        pytest.skip("the C library is not glibc")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("<heap nr=") == 1


def test_a_server_imports_no_code_for_reloading_and_wsgi_even_where_it_is_installed(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    imported = tmp_path / "imported"
    for name in ("watchfiles", "a2wsgi"):
        (tmp_path / f"{name}.py").write_text(f"open({str(imported)!r}, 'a').write(__name__)\nwatch = None\n")
    with serve(PYTHONPATH=str(tmp_path)).client() as client:
        assert client.get("/health").status_code == 200
    assert not imported.exists(), imported.read_text()
