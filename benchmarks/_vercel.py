"""Vercel's builder and Vercel's runtime on this machine, for the tests and the benchmarks.

The runtime is `vercel_runtime`, which the builder puts into the bundle; on Vercel a small supervisor speaks to it over
a unix socket (VERCEL_IPC_PATH), and so does this module.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks._platform import bare_environment, platform_python, run, tool


@dataclass
class Bundle:
    """A built function, as it would be uploaded."""

    folder: Path
    output: Path
    config: dict[str, Any]

    def files(self) -> dict[str, int]:
        return {
            path.relative_to(self.folder).as_posix(): path.stat().st_size
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def sizes(self) -> Counter[str]:
        """Bytes by package; the repository's own folders count as packages too."""
        sizes: Counter[str] = Counter()
        for name, size in self.files().items():
            first, _, rest = name.partition("/")
            package = rest.partition("/")[0].removesuffix(".libs") if first == "_vendor" else first
            sizes[{"PIL": "pillow"}.get(package, package)] += size
        return sizes

    def report(self) -> str:
        rows = [f"{size / 1e6:8.1f} MB  {package}" for package, size in self.sizes().most_common(14)]
        return "\n".join([f"{sum(self.sizes().values()) / 1e6:8.1f} MB  in all, of which", *rows])


def build(target: Path, **variables: str) -> Bundle:
    """Runs `vercel build` in a folder, without an account."""
    # npm's wrapper asks PATH for node, and the builder asks it for uv and for a real Python.
    tool("node")
    vercel = tool("vercel")
    (target / ".vercel").mkdir()
    (target / ".vercel/project.json").write_text('{"settings":{}}', encoding="utf-8")
    environment = bare_environment(
        Path(platform_python()).parent, Path(tool("uv")).parent, VERCEL_TELEMETRY_DISABLED="1", **variables
    )
    log = run([vercel, "build", "--yes", "--standalone"], cwd=target, env=environment)
    output = target / ".vercel/output"
    functions = sorted((output / "functions").rglob("*.func"))
    assert len(functions) == 1, f"one function was promised, not {functions}:\n{log}"
    return Bundle(
        functions[0], output, json.loads((functions[0] / ".vc-config.json").read_text(encoding="utf-8"))
    )


@dataclass
class Runtime:
    """A started function: where it listens, and what it reported to the platform."""

    client: httpx.Client
    started: dict[str, Any]
    seconds_to_answer: float
    messages: list[dict[str, Any]] = field(default_factory=list)


def healthy(client: httpx.Client) -> httpx.Response:
    return client.get("/health")


@contextlib.contextmanager
def started(
    bundle: Bundle, first: Callable[[httpx.Client], httpx.Response] = healthy, **variables: str
) -> Iterator[Runtime]:
    """Starts the function as Vercel does: bare Python, the bundle as the current folder, a supervisor's socket.

    The time to the first answer is that of the request that `first` sends.
    """
    # Not pytest's folder: a unix socket's path may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ipc"))
    python = folder / "python"
    run([platform_python(), "-m", "venv", "--without-pip", python])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen()
        listener.settimeout(60)
        environment = {
            "PATH": os.defpath,
            **bundle.config["environment"],
            "VERCEL": "1",
            "VERCEL_IPC_PATH": str(folder / "socket"),
            **variables,
        }
        start = time.perf_counter()
        process = subprocess.Popen(
            [python / "bin/python", "-c", f"import {bundle.config['handler'].partition('.')[0]}"],
            cwd=bundle.folder,
            env=environment,
            stdout=(folder / "log").open("w", encoding="utf-8"),
            stderr=subprocess.STDOUT,
        )
        try:
            yield _connect(listener, process, folder / "log", start, first)
        finally:
            process.terminate()
            process.wait(timeout=30)
            shutil.rmtree(folder)


def _connect(
    listener: socket.socket,
    process: subprocess.Popen[bytes],
    log: Path,
    start: float,
    first: Callable[[httpx.Client], httpx.Response],
) -> Runtime:
    connection, _ = listener.accept()
    connection.settimeout(60)
    buffer = b""
    while b"\0" not in buffer:
        received = connection.recv(65536)
        if not received:
            process.wait(timeout=10)
            raise RuntimeError(f"the function ended at its start:\n{log.read_text(encoding='utf-8')}")
        buffer += received
    message = json.loads(buffer.partition(b"\0")[0])
    assert message["type"] == "server-started", message
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{message['payload']['httpPort']}", timeout=60, trust_env=False
    )
    assert first(client).status_code == 200, log.read_text(encoding="utf-8")
    return Runtime(client, message["payload"], time.perf_counter() - start)
