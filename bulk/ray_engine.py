"""The Ray engine: units as tasks of a cluster. Ray starts a lost task again; the driver alone writes.

Tasks and not Ray Data: what travels is names there and rows back, a few kB a unit, so there is nothing for a data
engine to stream; a resume is a question to the plan; and pending tasks are what Ray's autoscaler looks at.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow

from bulk._scorer import Outcome, Recipe, Scorer
from bulk.containers import Entry
from bulk.engines import Scores
from bulk.errors import JobError, PhotoError
from bulk.rows import Doubtful, Rows
from bulk.scoring import Scored, Unit, score
from bulk.storage import name_of

# Ray would report each cluster's use to its makers. It reads this when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# It would try a task that runs out of memory for ever.
os.environ.setdefault("RAY_task_oom_retries", "3")

import ray
import ray.exceptions

_ROOT = Path(__file__).resolve().parent.parent
# How often a unit is tried where its process or its node dies, before its photos are suspected.
_RETRIES = 3
# Of what is left of it afterwards: nine halvings of a unit with a deadly photo are eighteen dead workers.
_RETRIES_OF_HALVES = 1
# Units that a processor has waiting beside the one in work; and at least so many in all, so that a cluster which
# starts from nothing sees that there is work.
_AHEAD = 1
_LEAST_AHEAD = 8
# Seconds between two looks at how large the cluster is, and the longest wait without a word to the caller.
_LOOK_S, _TICK_S = 5.0, 0.5
_KNOCK_S = 10.0
_STARTS = 3
# Rows are small: this much is for an object store that holds little more than the model.
_OBJECT_STORE_BYTES = 128 << 20

# The process may be killed, or its machine: that says nothing of the photos until it happens again and again.
_LOST = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.LocalRayletDiedError,
)

_scorers: dict[str, Scorer] = {}

Result = tuple[pyarrow.RecordBatch, list[Doubtful]]


def _score_unit(unit: Unit, recipe: Recipe, remote: bool) -> Result:
    """What a worker does; it keeps the model from task to task."""
    key = str(recipe.identity)
    if key not in _scorers:
        _scorers[key] = Scorer(recipe)
    scored = next(score([unit], recipe, _scorers[key], 1, remote))
    return scored.rows, scored.doubtful


class RayEngine:
    """A cluster that runs, or one of this machine's processors that ends with the job."""

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        """
        Args:
            address: of a cluster; None starts one on this machine.
            workers: units in work at a time; default: one a processor of the cluster.

        Raises:
            JobError: there is no such cluster, or none can be started.
        """
        self._workers = workers
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address:
            _knock(address)
            # The same code everywhere, whatever a node's image holds.
            modules = [str(_ROOT / name) for name in ("api", "bulk")]
            options |= {"address": address, "runtime_env": {"py_modules": modules}}
        else:
            options |= {
                # Without an address it would join whatever cluster it finds.
                "address": "local",
                "num_cpus": workers,
                "include_dashboard": False,
                "object_store_memory": _OBJECT_STORE_BYTES,
                "_node_ip_address": "127.0.0.1",
            }
        _begin(
            options,
            f"The Ray cluster {address} cannot be joined" if address else "Ray cannot be started here",
        )

    def run(self, units: Iterator[Unit], recipe: Recipe, remote: bool) -> Scores:
        """As bulk.engines.Engine says."""
        try:
            yield from _Run(recipe, remote, self._workers).results(units)
        except ray.exceptions.RayError as error:
            raise JobError(f"The Ray cluster does not go on: {' '.join(str(error).split())[:400]}") from error

    def close(self) -> None:
        """Leaves the cluster; one that was started here ends."""
        ray.shutdown()


def _begin(options: dict[str, Any], failure: str) -> None:
    """
    Raises:
        JobError: with this failure and Ray's reason.
    """
    for attempt in range(_STARTS):
        try:
            ray.init(**options)
            return
        except Exception as error:  # ConnectionError, ValueError, RuntimeError, Ray's own: whatever it was
            ray.shutdown()
            # On a busy machine its processes need more than the half a minute that it gives them.
            if attempt + 1 == _STARTS or "timed out" not in str(error):
                raise JobError(f"{failure}: {' '.join(str(error).split())[:400]}") from error


def _knock(address: str) -> None:
    """Asks whether anybody listens there: Ray would go on asking for minutes.

    Raises:
        JobError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # auto, or a name of Ray's own
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise JobError(
            f"The Ray cluster {address} cannot be joined: {getattr(error, 'strerror', None) or error}. Name the "
            "address that `ray start --head` printed, or run this on a node of the cluster with --address auto."
        ) from error


class _Run:
    def __init__(self, recipe: Recipe, remote: bool, workers: int | None) -> None:
        self._recipe, self._remote, self._workers = recipe, remote, workers
        self._shared = ray.put(recipe)
        self._task = ray.remote(num_cpus=1)(_score_unit)
        self._pending: dict[Any, Unit] = {}
        self._looked = -_LOOK_S
        self._ahead = _LEAST_AHEAD

    def results(self, units: Iterator[Unit]) -> Iterator[Scored | None]:
        try:
            while True:
                self._submit(units)
                if not self._pending:
                    return
                ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=_TICK_S)
                if not ready:
                    yield None
                for reference in ready:
                    yield from self._finished(reference)
        finally:
            for reference in self._pending:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.cancel(reference)

    def _submit(self, units: Iterator[Unit]) -> None:
        while len(self._pending) < self._limit():
            unit = next(units, None)
            if unit is None:
                return
            self._start(unit)

    def _start(self, unit: Unit, retries: int = _RETRIES) -> None:
        task = self._task.options(max_retries=retries)
        self._pending[task.remote(unit, self._shared, self._remote)] = unit

    def _limit(self) -> int:
        if self._workers:
            return self._workers
        if time.monotonic() - self._looked > _LOOK_S:
            self._looked = time.monotonic()
            resources: Any = ray.cluster_resources  # has no types
            processors = int(resources().get("CPU", 0))
            self._ahead = max(_LEAST_AHEAD, processors * (1 + _AHEAD))
        return self._ahead

    def _finished(self, reference: Any) -> Iterator[Scored]:
        unit = self._pending.pop(reference)
        try:
            rows, doubtful = ray.get(reference)
        except _LOST as error:
            yield from self._lost(unit, error)
            return
        except JobError as error:  # Ray's class of it, which says much more than the sentence
            raise JobError(str(getattr(error, "cause", error))) from error
        yield Scored(unit, rows, doubtful)

    def _lost(self, unit: Unit, error: Exception) -> Iterator[Scored]:
        # A photo that ends the process which reads it takes its unit along: half of it has to do without.
        halves = unit.halves()
        if halves:
            for half in halves:
                self._start(half, _RETRIES_OF_HALVES)
            return
        number, item = unit.items[0]
        rows = Rows(self._recipe, 0.0, 0)
        reason = "ran out of memory" if isinstance(error, ray.exceptions.OutOfMemoryError) else "crashed"
        why = PhotoError("crash", f"Whatever read it {reason}, again and again.")
        entry = Entry(number, name_of(item.location), error=why)
        rows.add(entry, Outcome(error=str(why), kind=why.kind))
        yield Scored(unit, rows.batch(), [])
