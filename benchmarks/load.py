"""Where it bends: requests a second against p99, for 1, 2 and 4 processes, with and without the gateway.

`python -m benchmarks load` sends 35 kB photos at rising rates (benchmarks/_open_loop.py), draws
benchmarks/results/load.png, and writes benchmarks/results/load.md: the knee of each, the processor time of a photo, and
what a million photos a day need. First it measures that the client itself is not what bends.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import _house
from benchmarks._machine import machine
from benchmarks._memory import tree
from benchmarks._open_loop import Run, send_at
from benchmarks._report import RESULTS, Row, pyplot, save_plot
from benchmarks._requests import form, photo
from benchmarks._servers import free_port

WORKERS = (1, 2, 4)
RATES = (10, 20, 40, 60, 80, 100, 130, 160, 200, 250, 300, 400, 500)
SECONDS = float(os.environ.get("PURRDICT_LOAD_SECONDS", "5"))
# Beyond it people notice that they wait.
SLOWEST_P99_MS = 250.0
DAY_S = 86_400
# Of a day's mean: photos come by day, and most in a few hours.
PEAK = 4

# Answers as the service does, and does nothing: what is left is the client.
_NOTHING = """
import asyncio, sys
ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-length: 212\\r\\n\\r\\n" + b"x" * 212
class Nothing(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.got, self.whole = transport, 0, None
    def data_received(self, data):
        if self.whole is None:
            head = data.lower()
            length = head.partition(b"content-length:")[2].split(b"\\r\\n", 1)[0]
            self.whole = head.index(b"\\r\\n\\r\\n") + 4 + int(length)
        self.got += len(data)
        if self.got >= self.whole:
            self.got, self.whole = 0, None
            self.transport.write(ANSWER)
async def main():
    server = await asyncio.get_running_loop().create_server(Nothing, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True)
class Curve:
    """What one way to serve did at each rate, and the processor time of a photo in all its processes, milliseconds."""

    name: str
    runs: tuple[Run, ...]
    cpu_ms: float

    @property
    def knee(self) -> float:
        """The highest rate, photos a second, up to which p99 stays below SLOWEST_P99_MS; 0 where it never does."""
        good = 0.0
        for run in self.runs:
            if run.quantile(0.99) > SLOWEST_P99_MS:
                break
            good = run.rate
        return good


def main() -> list[Row]:
    request = form(photo(451, 300))
    client = _client_alone(request)
    curves = [
        _measured(workers, gated, request)
        for workers in WORKERS
        for gated in (False, True)
        if not gated or (_house.GATEWAY / "node_modules").exists()
    ]
    text = _table(curves, client, len(request))
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "load.md").write_text(text, encoding="utf-8")
    _plot(curves)
    best = max(curves, key=lambda curve: curve.knee)
    return [
        Row(
            "rate that the client alone can send, requests/s", f"{client.answered:.0f}",
            f"highest knee {best.knee:.0f} ({best.name})", f"{client.answered / max(best.knee, 1):.1f} x", "3 x",
            client.answered >= 3 * best.knee,
        )
    ]  # fmt: skip


@contextlib.contextmanager
def _nothing() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", _NOTHING, str(port)])
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            if time.monotonic() > deadline:
                raise RuntimeError("the empty server does not answer")
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


def _client_alone(request: bytes) -> Run:
    """The highest rate that the client keeps up with against a server that does nothing."""
    with _nothing() as port:
        best = send_at(port, request, 200, 2)
        for rate in (400, 800, 1200, 1600, 2400, 3200):
            run = send_at(port, request, rate, 2)
            if run.quantile(0.99) > SLOWEST_P99_MS:
                break
            best = run
    return best


def _measured(workers: int, gated: bool, request: bytes) -> Curve:
    name = f"{workers} process{'es' if workers > 1 else ''}{', gateway' if gated else ''}"
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(_house.api("--workers", str(workers), LOG_LEVEL="WARNING"))
        services = [api]
        if gated:
            services.append(stack.enter_context(_house.gateway(API_URL=api.url, LOG_LEVEL="WARN")))
        port = services[-1].port
        send_at(port, request, 20, 2)
        before = _cpu(services)
        answered = len(send_at(port, request, RATES[2], SECONDS).latencies)
        cpu_ms = (_cpu(services) - before) / answered * 1e3
        runs: list[Run] = []
        for rate in RATES:
            runs.append(_best_of_two(port, request, rate))
            print(f"  {name}: {rate}/s → {runs[-1].answered:.0f}/s, p50 {runs[-1].quantile(0.5):.0f} ms, "
                  f"p99 {runs[-1].quantile(0.99):.0f} ms", flush=True)  # fmt: skip
            # Two rates beyond the knee show how it bends; more would only heat the machine.
            if len(runs) > 2 and all(run.quantile(0.99) > SLOWEST_P99_MS for run in runs[-2:]):
                break
        return Curve(name, tuple(runs), cpu_ms)


def _best_of_two(port: int, request: bytes, rate: float) -> Run:
    """A rate that seems too high is tried once more: another program may have had the processors for a moment."""
    run = send_at(port, request, rate, SECONDS)
    if run.quantile(0.99) <= SLOWEST_P99_MS:
        return run
    return min(run, send_at(port, request, rate, SECONDS), key=lambda one: one.quantile(0.99))


def _cpu(services: list[_house.Started]) -> float:
    times = [process.cpu_times() for service in services for process in tree(service.process.pid)]
    return sum(spent.user + spent.system for spent in times)


def _table(curves: list[Curve], client: Run, size: int) -> str:
    lines = [
        machine(), "",
        f"{size / 1e3:.0f} kB a request, {SECONDS:.0f} s a rate; load of the machine beside it: "
        f"{os.getloadavg()[2]:.1f} (15 minutes). The client shares the processors with the server; alone it "
        f"sends {client.answered:.0f} requests a second, at {client.client_cpu_s / len(client.latencies) * 1e3:.2f} ms "
        "of processor time each.", "",
        f"| | knee: photos/s with p99 under {SLOWEST_P99_MS:.0f} ms | p50 and p99 at the knee | processor time a photo "
        "| one core serves | a million photos a day |",
        "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for curve in curves:
        at = next((run for run in curve.runs if run.rate == curve.knee), curve.runs[0])
        core = 1e3 / curve.cpu_ms
        cores = 1e6 / DAY_S * PEAK / (core * 0.7)
        lines.append(
            f"| {curve.name} | {curve.knee:.0f} | {at.quantile(0.5):.0f} ms, {at.quantile(0.99):.0f} ms | "
            f"{curve.cpu_ms:.1f} ms | {core:.0f} photos/s | {cores:.1f} cores |"
        )
    lines += [
        "",
        f"A million photos a day are {1e6 / DAY_S:.1f} a second, and {1e6 / DAY_S * PEAK:.0f} at a peak of {PEAK} "
        "times the mean; the last column serves that peak with processors in use to 70 %.",
    ]
    return "\n".join(lines) + "\n"


def _plot(curves: list[Curve]) -> None:
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(6.4, 4))
    for number, curve in enumerate(curves):
        finite = [run for run in curve.runs if run.quantile(0.99) < float("inf")]
        axes.plot(
            [run.rate for run in finite], [run.quantile(0.99) for run in finite],
            "s--" if "gateway" in curve.name else "o-", color=f"C{number // 2}", label=curve.name, markersize=4,
        )  # fmt: skip
    axes.axhline(SLOWEST_P99_MS, color="0.6", linewidth=0.8)
    axes.set(yscale="log", xlabel="photos sent a second", ylabel="p99, milliseconds")
    axes.legend()
    save_plot(figure, "load")


if __name__ == "__main__":
    sys.exit("run: python -m benchmarks load")
