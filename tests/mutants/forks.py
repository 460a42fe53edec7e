"""Forks for each line of its input, JSON `[seconds, [test, ...]]`, and answers with the verdict.

What takes long to import is imported once. The modules that are broken are imported after the fork only.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import signal
import sys
import time

import psutil
import pytest

from tests.mutants import KILLED, SURVIVED, TIMEOUT

LIBRARIES = (
    "fastapi.responses", "hypothesis", "httpx", "mangum", "numpy", "onnx", "onnxruntime", "PIL.Image", "pillow_heif",
    "scipy.optimize", "skimage.data", "sklearn.linear_model", "starlette.routing", "tqdm", "uvicorn", "xdist",
    "PIL.AvifImagePlugin", "PIL.WebPImagePlugin", "PIL.TiffImagePlugin", "schemathesis", "tests.conftest",
    *(f"_pytest.{name}" for name in ("legacypath", "junitxml", "skipping", "unittest", "unraisableexception")),
)  # fmt: skip

# No test waits so long for anything but a break.
IDLE_S = 6


def main() -> None:
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # Plugins of packages, which no test here needs, would cost each break a fifth of a second; so would looking through
    # all these libraries for garbage.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    gc.collect()
    gc.freeze()
    verdicts = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    for line in sys.stdin:
        print(_judge(*json.loads(line)), file=verdicts, flush=True)


def _judge(limit: float, tests: list[str]) -> str:
    child = os.fork()
    if child == 0:
        os.setsid()
        # Of processor time, so that a busy machine takes no test for an endless loop.
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit)))
        os._exit(_run(tests))
    deadline, idle = time.monotonic() + 10 * limit, _Idle(child)
    while time.monotonic() < deadline and not idle.too_long():
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _end_group(child)  # whatever the tests left running
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGXCPU):
                return TIMEOUT
            return SURVIVED if status == 0 else KILLED
        time.sleep(0.01)
    _end_group(child)
    os.waitpid(child, 0)
    return TIMEOUT


class _Idle:
    """Whether a process waits for what will not come: a break often leaves a lock held, or an event unset."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._used, self._since = 0.0, time.monotonic()

    def too_long(self) -> bool:
        """Whether it has used no processor for IDLE_S seconds."""
        now = time.monotonic()
        with contextlib.suppress(psutil.Error):
            used = sum(self._process.cpu_times()[:2])
            if used > self._used:
                self._used, self._since = used, now
        return now - self._since > IDLE_S


def _end_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _run(tests: list[str]) -> int:
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--tb=no",
        "--no-header",
        "--assert=plain",
        "-W",
        "ignore",
    ]
    # A break is mostly noticed by the first few tests: the files of the others need not be collected then.
    for some in (tests[:6], tests[6:40], tests[40:]):
        try:
            status = int(pytest.main([*options, *some])) if some else 0
        except BaseException:
            status = 1
        if status:
            return status
    return 0


if __name__ == "__main__":
    main()
