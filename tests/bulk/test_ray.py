"""The Ray engine: a killed worker, node or driver changes nothing in the rows. Needs Ray; run by .ci/bulk."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bulk.conftest import rows_of
from tests.conftest import ROOT, clean_environment, require

pytestmark = pytest.mark.cluster

COUNT = 240
_DEADLINE_S = 180.0
# Rows go to disk at once, and the test hears of it, so that it can strike in the middle.
_DRIVER = """
import sys
from bulk import job, output
from bulk.__main__ import main
job._PART_S = 0.0
write = output.Output.write
def told(*arguments):
    write(*arguments)
    print("part", flush=True)
output.Output.write = told
sys.exit(main(sys.argv[1:]))
"""
# A photo that ends whatever process reads it, as a fault in a decoder would. Every Python that starts with this module
# on its path loads it first; it waits until that one imports the classifier.
_POISON = b"poison"
_CRASHING = """
import importlib.util
import os
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "api._many":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def patched(module):
            execute(module)
            outcome = module.outcome
            def crashing(classifier, data, *arguments, **options):
                if data == b"poison":
                    os.abort()
                return outcome(classifier, data, *arguments, **options)
            module.outcome = crashing
        spec.loader.exec_module = patched
        return spec

sys.meta_path.insert(0, Finder())
"""


class Cluster:
    """Two nodes of one processor each on this machine; a third can be added."""

    def __init__(self) -> None:
        require("ray")
        from ray.cluster_utils import Cluster as RayCluster

        import bulk.ray_engine  # its settings of Ray, which are read at the first import

        assert bulk.ray_engine

        node: dict[str, Any] = {
            "num_cpus": 1,
            "node_ip_address": "127.0.0.1",
            "object_store_memory": 100 << 20,
        }
        self._ray: Any = RayCluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        self._node = node
        self.second = self.add()
        self.address = self._ray.address

    def add(self) -> Any:
        """Another node."""
        added = self._ray.add_node(**self._node)
        self._ray.wait_for_nodes()
        return added

    def kill(self, node: Any) -> None:
        """Ends a node as a power failure does."""
        self._ray.remove_node(node, allow_graceful=False)

    def workers(self) -> list[int]:
        """Processes that score at this moment, all of them this test's."""
        return [pid for pid in descendants(os.getpid()) if "_score_unit" in command_of(pid)]

    def shutdown(self) -> None:
        self._ray.shutdown()


def command_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    return ""


def descendants(pid: int) -> list[int]:
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                found += [child, *descendants(child)]
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, small: Callable[[int], bytes]) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for number in range(COUNT - 2):
        (folder / f"{number:04d}.jpg").write_bytes(small(number))
    (folder / "broken.jpg").write_bytes(small(0)[:300])
    (folder / "empty.jpg").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def undisturbed(many: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows as the local engine gives them."""
    out = tmp_path_factory.mktemp("local") / "out"
    command = [sys.executable, "-m", "bulk", "score", str(many), "--out", str(out), "--engine", "local"]
    subprocess.run(command, cwd=ROOT, env=clean_environment(), check=True, capture_output=True)
    return rows_of(out)


class Driver:
    """A job in a process of its own."""

    def __init__(self, many: Path, out: Path, *arguments: str, **settings: str) -> None:
        command = [
            sys.executable,
            "-c",
            _DRIVER,
            "score",
            str(many),
            "--out",
            str(out),
            "--batch",
            "10",
            *arguments,
        ]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_parts(self, count: int) -> None:
        assert self.process.stdout
        # Ray itself may say there that it has lost somebody.
        for line in self.process.stdout:
            count -= line == "part\n"
            if count == 0:
                return
        raise AssertionError(self.process.communicate()[1])

    def end(self) -> str:
        """Waits for it; gives what it printed."""
        printed, errors = self.process.communicate(timeout=_DEADLINE_S)
        assert self.process.returncode == 0, errors
        return printed


def test_two_nodes_give_the_rows_of_one_machine(
    cluster: Cluster, many: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    Driver(many, tmp_path / "out", "--address", cluster.address).end()
    assert rows_of(tmp_path / "out") == undisturbed


def test_a_killed_worker_changes_nothing(
    cluster: Cluster, many: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    driver = Driver(many, tmp_path / "out", "--address", cluster.address)
    for _ in range(3):
        driver.wait_for_parts(2)
        for pid in cluster.workers()[:1]:
            os.kill(pid, signal.SIGKILL)
    driver.end()
    assert rows_of(tmp_path / "out") == undisturbed


def test_a_killed_node_changes_nothing(
    cluster: Cluster, many: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    driver = Driver(many, tmp_path / "out", "--address", cluster.address)
    driver.wait_for_parts(4)
    cluster.kill(cluster.second)
    try:
        driver.end()
    finally:
        cluster.second = cluster.add()
    assert rows_of(tmp_path / "out") == undisturbed


def test_a_killed_driver_is_run_again_and_scores_nothing_twice(
    cluster: Cluster, many: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    driver = Driver(many, tmp_path / "out", "--address", cluster.address)
    driver.wait_for_parts(4)
    driver.process.kill()
    driver.process.communicate()
    there = len(rows_of(tmp_path / "out"))
    assert 0 < there < COUNT
    printed = Driver(many, tmp_path / "out", "--address", cluster.address).end()
    assert f"this run {COUNT - there}," in printed
    assert rows_of(tmp_path / "out") == undisturbed


def test_ctrl_c_ends_a_job_on_a_cluster_cleanly(
    cluster: Cluster, many: Path, undisturbed: list[dict[str, Any]], tmp_path: Path
) -> None:
    driver = Driver(many, tmp_path / "out", "--address", cluster.address)
    driver.wait_for_parts(3)
    driver.process.send_signal(signal.SIGTERM)
    _, errors = driver.process.communicate(timeout=_DEADLINE_S)
    assert driver.process.returncode == 128 + signal.SIGTERM
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    deadline = time.monotonic() + 60
    while cluster.workers():
        assert time.monotonic() < deadline, "the cluster goes on with a job that was ended"
        time.sleep(0.1)
    Driver(many, tmp_path / "out", "--address", cluster.address).end()
    assert rows_of(tmp_path / "out") == undisturbed


def test_a_photo_that_kills_its_worker_has_a_row_that_says_so(
    many: Path, tmp_path: Path, small: Callable[[int], bytes]
) -> None:
    require("ray")
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02d}.jpg").write_bytes(_POISON if number == 13 else small(number))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_CRASHING)
    paths = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    Driver(
        folder, tmp_path / "out", "--engine", "ray", "--workers", "2", "--batch", "4", PYTHONPATH=paths
    ).end()
    rows = rows_of(tmp_path / "out")
    assert [row["error_kind"] for row in rows] == ["crash" if number == 13 else None for number in range(20)]
    assert "again and again" in rows[13]["error"]


def test_a_cluster_of_its_own_listens_on_loopback_only_and_ends_with_the_job(
    many: Path, tmp_path: Path
) -> None:
    require("ray")
    driver = Driver(many, tmp_path / "out", "--engine", "ray", "--workers", "2")
    driver.wait_for_parts(2)
    started = [driver.process.pid, *descendants(driver.process.pid)]
    assert len(started) > 5
    inodes = sockets_of(started)
    assert inodes
    addresses = {address for inode, address in listening() if inode in inodes}
    assert addresses
    assert addresses <= {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
    driver.end()
    deadline = time.monotonic() + 30
    while any(command_of(pid) for pid in started[1:]):
        assert time.monotonic() < deadline, [command_of(pid) for pid in started]
        time.sleep(0.1)


def sockets_of(pids: list[int]) -> set[str]:
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = os.readlink(link)
                    if target.startswith("socket:["):
                        found.add(target[8:-1])
    return found


def listening() -> Iterator[tuple[str, str]]:
    """(inode, address in hexadecimal) of every listening TCP socket."""
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                yield fields[9], fields[1].partition(":")[0]


def test_a_cluster_that_is_not_there_is_refused(many: Path, tmp_path: Path) -> None:
    require("ray")
    command = [sys.executable, "-m", "bulk", "score", str(many), "--out", str(tmp_path / "out")]
    result = subprocess.run(
        [*command, "--address", "127.0.0.1:1"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2, result.stderr
    assert "cannot be joined" in result.stderr
