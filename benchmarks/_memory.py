"""Memory of processes, and which belong together."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil


def tree(pid: int) -> list[psutil.Process]:
    """A process and its children."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def resident_kb(pids: Iterable[int]) -> int:
    """Resident memory of processes in kB. Memory shared among them counts once; shared with others, in full.

    Not Pss, which divides the pages of a library by all processes that use it: the benchmark itself uses many of the
    server's libraries, while a function on a serverless plan shares them with no process. And not psutil, which gives
    neither the offset of a mapping nor the anonymous part of Pss.
    """
    own = 0
    # Mapped file and offset → its largest resident size in any of the processes.
    files: dict[tuple[str, ...], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):  # the process has ended
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
            own += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss_Anon:"))
            mapping: tuple[str, ...] = ()
            resident = 0
            for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
                name, *values = line.split()
                if not name.endswith(":"):
                    # A new mapping: addresses, permissions, offset, device, inode, path.
                    mapping = tuple(values[1:4])
                elif name == "Rss:":
                    resident = int(values[0])
                elif name == "Anonymous:":
                    files[mapping] = max(files.get(mapping, 0), resident - int(values[0]))
    return own + sum(files.values())
