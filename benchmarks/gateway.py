"""The gateway against no gateway: what a photo of 14 kB takes longer, and what 40 uploads of 4.3 MB take in memory."""

import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks._contenders import PURRDICT
from benchmarks._figures import Sample, in_turns
from benchmarks._load import Client, timed
from benchmarks._report import Row
from benchmarks._requests import photo
from benchmarks._servers import ROOT, free_port, running

RUNS, REQUESTS = 7, 100
UPLOADS, UPLOAD_BYTES = 40, 4_300_000


def main() -> list[Row]:
    small = PURRDICT.request(photo(330, 248, 80))
    with running(PURRDICT, small) as (server, _):
        port = free_port()
        environment = {**os.environ, "API_URL": f"http://127.0.0.1:{server.port}", "PORT": str(port),
                       "LOG_LEVEL": "WARN", "RATE_LIMIT": "1000000", "RATE_LIMIT_READS": "1000000"}  # fmt: skip
        gateway = subprocess.Popen(["node", "services/gateway/src/main.js"], cwd=ROOT, env=environment)
        try:
            _wait(port, gateway)
            return [_latency(server.port, port, small, gateway.pid), _memory(port, gateway.pid)]
        finally:
            gateway.terminate()
            gateway.wait(timeout=40)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the gateway ended at its start: npm ci --prefix services/gateway")
        try:
            Client(port).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the gateway does not answer")


def _latency(direct: int, through: int, request: bytes, gateway: int) -> Row:
    clients = [Client(direct), Client(through)]

    def median(client: Client) -> float:
        return Sample(tuple(timed(client, request) for _ in range(REQUESTS))).median

    before = _cpu(gateway)
    turns = in_turns(RUNS, lambda: median(clients[0]), lambda: median(clients[1]))
    each = (_cpu(gateway) - before) / ((RUNS + 1) * REQUESTS) * 1e3
    plain, gated = (Sample(tuple(turn[i] for turn in turns)) for i in (0, 1))
    more = Sample(tuple(turn[1] - turn[0] for turn in turns)).median
    for client in clients:
        client.close()
    return Row(
        f"p50 of a {len(request) / 1000:.0f} kB photo through the gateway, ms", str(gated),
        f"without it {plain}; CPU of the gateway {each:.2f} ms a request",
        f"{more:+.2f} ms", "+1.2 ms", more <= 1.2,
    )  # fmt: skip


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(port: int, pid: int) -> Row:
    import socket

    data = photo()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {UPLOAD_BYTES}\r\n\r\n"
    ).encode()
    body = data + bytes(UPLOAD_BYTES - len(data) - 1)
    connections = [socket.create_connection(("127.0.0.1", port), timeout=120) for _ in range(UPLOADS)]
    for connection in connections:
        connection.sendall(head + body)
    for connection in connections:
        connection.sendall(b"\0")
    answered = sum(connection.recv(100).startswith(b"HTTP/1.1 200") for connection in connections)
    for connection in connections:
        connection.close()
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
    return Row(
        f"memory of the gateway at most, {UPLOADS} uploads of {UPLOAD_BYTES / 1e6:.1f} MB at once, MB", f"{peak:.0f}",
        f"{UPLOADS * UPLOAD_BYTES / 1e6:.0f} MB sent, {answered} answered", f"{peak:.0f} MB", "under 200 MB",
        peak < 200,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit("run: python -m benchmarks gateway")
