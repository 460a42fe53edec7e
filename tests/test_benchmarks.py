"""What the benchmarks count is what they say."""

import os
import subprocess
import sys

import psutil
import pytest

from benchmarks._memory import resident_kb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")

_BLOCK_KB = 64 * 1024
# A process and its fork, which hold a block together; both end with their standard input.
_FORK = f"""
import os, sys
block = bytearray(os.urandom({_BLOCK_KB} << 10))
child = os.fork()
if child:
    print(child, flush=True)
sys.stdin.read()
"""


def test_memory_includes_all_of_a_process_and_counts_shared_memory_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _FORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        alone, together = resident_kb([process.pid]), resident_kb([process.pid, child])
        process.communicate()
    # Of what a fork shares, anonymous memory is divided between the two.
    assert together > _BLOCK_KB
    assert _BLOCK_KB / 2 < alone < together < _BLOCK_KB * 1.5


def test_memory_of_this_process_is_what_the_system_says() -> None:
    resident = psutil.Process().memory_info().rss / 1024
    assert resident_kb([os.getpid()]) == pytest.approx(resident, rel=0.02)
