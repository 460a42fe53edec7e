"""What a benchmark ran on."""

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path

import psutil


def machine() -> str:
    """Processor, cores, memory, Python and the versions that matter, in one paragraph."""
    with contextlib.suppress(OSError, StopIteration):
        cpu = next(
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if "model name" in line
        )
        memory = psutil.virtual_memory().total / 2**30
        cores = len(os.sched_getaffinity(0))
        names = ("onnxruntime", "pillow", "numpy", "fastapi", "uvicorn", "torch", "bentoml", "litserve")
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in names if installed(name))
        return f"{cores} cores of {cpu}, {memory:.0f} GiB; Python {platform.python_version()}, {versions}"
    return f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"


def installed(name: str) -> bool:
    """Whether this environment has the package."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def busy() -> str:
    """A warning if the machine is busy with something else, else an empty text."""
    one_minute = os.getloadavg()[0]
    cores = os.cpu_count() or 1
    return (
        f"the machine is busy (load {one_minute:.1f} on {cores} cores): expect a wide spread"
        if one_minute > 0.7
        else ""
    )
