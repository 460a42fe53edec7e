"""What it costs to read a file: seconds of CPU and megabytes, measured in a process of its own."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

# Long past every promise: only so that a broken one cannot hang the machine.
_GIVE_UP_S = 120
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Cost:
    """Of one file.

    Attributes:
        outcome: "200", or the status and the sentence of the refusal; "crash ..." where the process died.
        cpu_s: seconds of CPU in `decode`, all threads together.
        peak_mb: resident memory that `decode` added to the process at its peak.
    """

    outcome: str
    cpu_s: float
    peak_mb: float


def measure(data: bytes, size: int = 224) -> Cost:
    """Decodes a file in a fresh process."""
    command = [sys.executable, "-m", "tests.hostile.cost", str(size)]
    try:
        result = subprocess.run(
            command, input=data, capture_output=True, cwd=_ROOT, timeout=_GIVE_UP_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Cost(f"crash: still busy after {_GIVE_UP_S} s", float(_GIVE_UP_S), 0.0)
    if result.returncode != 0:
        return Cost(f"crash: exit status {result.returncode}: {result.stderr.decode()[-300:]}", 0.0, 0.0)
    return Cost(**json.loads(result.stdout))


def status_mb(which: str, pid: int | str = "self") -> float:
    """A figure of proc(5)'s status in MB: VmRSS, or VmHWM, the peak, which psutil does not tell."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{which}:")[1].split()[0]) * 1024 / 1e6


def _main(size: int) -> None:
    from api._photo.errors import ImageError
    from api._photo.image import decode

    data = sys.stdin.buffer.read()
    # A first picture pays for imports and decoders' own start.
    decode(_WARM, size)
    before = status_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): forget the peak so far
    start = time.process_time()
    try:
        decode(data, size)
        outcome = "200"
    except ImageError as error:
        outcome = f"{error.status} {error}"
    cpu = time.process_time() - start
    print(json.dumps({"outcome": outcome, "cpu_s": cpu, "peak_mb": status_mb("VmHWM") - before}))


_WARM = (
    b"BM:\0\0\0\0\0\0\x006\0\0\0(\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0\0\0\0\0\x04\0\0\0"
    + bytes(16)
    + bytes(4)
)

if __name__ == "__main__":
    _main(int(sys.argv[1]))
