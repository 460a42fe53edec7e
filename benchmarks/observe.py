"""A scrape and a trace of one real request, printed; and what metrics and traces cost a request.

python -m benchmarks.observe      prints the scrape and the trace
python -m benchmarks observe      then starts the classifier with neither, with metrics, and with traces, and asks
                                  them in turns
"""

import contextlib
import functools
import json
import sys
import urllib.request
from pathlib import Path

from benchmarks import _house
from benchmarks._collector import Collector, Spans, tree
from benchmarks._figures import Sample, difference, in_turns
from benchmarks._load import Client
from benchmarks._memory import resident_kb
from benchmarks._report import Row
from benchmarks._requests import form, photo

RUNS, REQUESTS = 9, 240
# How often spans are sent while the cost is measured, milliseconds: the default of 5 s would fall behind its end.
SENT_EVERY_MS = 1000


def main() -> list[Row]:
    data = photo()
    with contextlib.ExitStack() as stack:
        collector = stack.enter_context(Collector())
        _show(stack, collector, data)
        return _cost(data, collector)


def _show(stack: contextlib.ExitStack, collector: Collector, data: bytes) -> None:
    """Sends one photo, and feedback on it, through everything that is installed; prints what is seen of them."""
    traced = collector.environment()
    with contextlib.ExitStack() as shown:
        api = shown.enter_context(_house.api(METRICS_PORT="on", **traced))
        services = {"api": api}
        with contextlib.suppress(RuntimeError):
            services["feedback"] = shown.enter_context(
                _house.feedback(FEEDBACK_METRICS_PORT="on", FEEDBACK_API_URL=api.url, **traced)
            )
        try:
            urls = {
                "API_URL": api.url,
                "FEEDBACK_URL": services["feedback"].url if "feedback" in services else "",
            }
            door = services["gateway"] = shown.enter_context(
                _house.gateway(METRICS_PORT="on", **urls, **traced)
            )
        except RuntimeError as error:
            print(f"  without the gateway: {error}")
            door = api
        answer = json.loads(Client(door.port).send(form(data)))
        print(f"\nOne photo: {answer['prediction']}, {answer['confidence']:.1%}\n")
        if "feedback" in services:
            _give_feedback(door if door is not api else services["feedback"], answer)
        last = {"POST /predict", *(["store feedback"] if "feedback" in services else [])}

        def whole(spans: Spans) -> bool:
            ends = [span for span in spans if span.name in last]
            # The first span of a trace is the door's, which ends last.
            begun = {
                span.trace_id
                for span in spans
                if span.service == f"purrdict-{list(services)[-1]}" or door is api
            }
            return {span.name for span in ends} == last and {span.trace_id for span in ends} <= begun

        wanted = {span.trace_id for span in collector.wait(whole) if span.name in last}
        for trace_id in sorted(wanted):
            mine = [span for span in collector.spans if span.trace_id == trace_id]
            (request_id, *_) = (
                s.attributes["purrdict.request_id"] for s in mine if "purrdict.request_id" in s.attributes
            )
            print(f"trace {trace_id}, request {request_id}\n{tree(mine)}\n")
        for name, service in services.items():
            print(
                f"scrape of {name}, without buckets and the process's own:\n{_scrape(service.metrics_url)}\n"
            )


def _give_feedback(service: _house.Started, answer: dict[str, object]) -> None:
    said: dict[str, object] = {"request_id": "shown", "correction": None}
    said |= {name: answer[name] for name in ("model_version", "prediction", "confidence", "recognized")}
    request = urllib.request.Request(
        f"{service.url}/feedback", json.dumps(said).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=30).close()


def _scrape(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    hidden = ("#", "process_", "nodejs_", "python_")
    return "\n".join(f"  {line}" for line in lines if not line.startswith(hidden) and "_bucket" not in line)


def _cost(data: bytes, collector: Collector) -> list[Row]:
    """Fresh processes in each turn: two of the same kind differ by more than what is measured here."""
    request = form(data)
    kinds: list[dict[str, str]] = [
        {},
        {"METRICS_PORT": "on"},
        {**collector.environment(), "OTEL_BSP_SCHEDULE_DELAY": str(SENT_EVERY_MS)},
    ]

    def measure(settings: dict[str, str]) -> tuple[float, float]:
        # One thread within an inference: several spin while they wait for each other, more on a busy machine.
        with _house.api(LOG_LEVEL="WARNING", THREADS="1", **settings) as service:
            client = Client(service.port)
            for _ in range(REQUESTS // 4):
                client.send(request)
            before = _cpu_seconds(service.process.pid)
            for _ in range(REQUESTS):
                client.send(request)
            spent = _cpu_seconds(service.process.pid) - before
            client.close()
            return spent / REQUESTS * 1e3, resident_kb([service.process.pid]) / 1024

    turns = in_turns(RUNS, *(functools.partial(measure, settings) for settings in kinds))
    off, counted, traced = (Sample(tuple(cpu for cpu, _ in turn)) for turn in turns)
    plain, *others = (Sample(tuple(memory for _, memory in turn)).median for turn in turns)
    rows = []
    for name, sample, memory, most, most_mb in (
        ("metrics", counted, others[0], 0.2, 5.0),
        ("traces", traced, others[1], 0.4, 20.0),
    ):
        more = difference(sample, off)
        rows.append(
            Row(f"CPU of a photo with {name} on, ms", str(sample), f"off {off}", f"{more:+.2f} ms", f"+{most} ms",
                more <= most)
        )  # fmt: skip
        rows.append(
            Row(f"memory with {name} on, MB", f"{memory:.0f}", f"off {plain:.0f}", f"{memory - plain:+.1f} MB",
                f"+{most_mb:.0f} MB", memory - plain <= most_mb)
        )  # fmt: skip
    return rows


def _cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, to the nanosecond: /proc/PID/stat has hundredths of a second."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def show() -> int:
    """Prints the scrape and the trace; returns the exit status."""
    with contextlib.ExitStack() as stack:
        _show(stack, stack.enter_context(Collector()), photo())
    return 0


if __name__ == "__main__":
    sys.exit(show())
