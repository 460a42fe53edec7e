"""Feedback: inserts a second from eight clients, on SQLite and on PostgreSQL, and the export of 100,000 corrections.

The clients, the service and the database share the processors of this machine.
"""

import contextlib
import datetime
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from benchmarks._figures import Sample
from benchmarks._memory import tree
from benchmarks._report import Row
from benchmarks._servers import ROOT, free_port

CLIENTS, SECONDS = 8, 8.0
PHOTOS = 100_000
_HEAD = b"POST /feedback HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
GOAL_PER_SECOND, GOAL_P99_MS, GOAL_EXPORTED = 500, 50, 1000


def main(photos: int = PHOTOS, seconds: float = SECONDS) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        rows.append(_inserts("SQLite", Path(folder) / "sqlite", "", seconds))
        with _postgres(Path(folder) / "postgres") as url:
            if url:
                pid = int(
                    (Path(folder) / "postgres/data/postmaster.pid").read_text(encoding="utf-8").split()[0]
                )
                rows.append(_inserts("PostgreSQL", Path(folder) / "pg", url, seconds, pid))
            else:
                print("  PostgreSQL is not installed, so left out")
        rows.append(_export(Path(folder) / "export", photos))
    return rows


@contextlib.contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    """The address of a server of this benchmark's own; nothing where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        yield ""
        return
    folder.mkdir()
    user = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
    data, port = str(folder / "data"), free_port()
    options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [*user, str(found[-1] / program), *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/"
        )

    run("initdb", "-D", data, "--auth", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale")
    run("pg_ctl", "-D", data, "-l", str(folder / "log"), "-o", options, "-w", "start")
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")


def _environment(folder: Path, url: str) -> dict[str, str]:
    return {
        **os.environ, "FEEDBACK_DIR": str(folder), "DATABASE_URL": url, "FEEDBACK_SECRET": secrets.token_hex(16),
        "FEEDBACK_ADMIN_KEY": secrets.token_hex(16), "FEEDBACK_PER_HOUR": "1000000", "LOG_LEVEL": "ERROR",
    }  # fmt: skip


def _inserts(kind: str, folder: Path, url: str, seconds: float, database: int = 0) -> Row:
    port = free_port()
    command = [sys.executable, "-m", "services.feedback", "serve", "--port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=_environment(folder, url), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        _wait(port)
        before = _cpu(process.pid), _cpu(database)
        values = _send(port, seconds)
        own, its = _cpu(process.pid) - before[0], _cpu(database) - before[1]
    finally:
        process.terminate()
        process.wait(timeout=30)
    sample, rate = Sample(tuple(values)), len(values) / seconds
    return Row(
        f"feedback inserts, 8 clients, {kind}", f"{rate:.0f} a second, p99 {sample.p99:.1f} ms",
        f"p50 {sample.median:.1f} ms; CPU an insert: service {own / len(values) * 1e3:.2f} ms, database "
        f"{its / len(values) * 1e3:.2f} ms", f"{rate:.0f}/s", f"{GOAL_PER_SECOND}/s, p99 {GOAL_P99_MS} ms",
        rate >= GOAL_PER_SECOND and sample.p99 <= GOAL_P99_MS,
    )  # fmt: skip


def _cpu(pid: int) -> float:
    """CPU seconds of a process and its children: they say more than rates where others keep the machine busy."""
    # With those of children that ended: PostgreSQL has a process for each connection.
    return sum(sum(process.cpu_times()[:4]) for process in (tree(pid) if pid else []))


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=5) as connection,
        ):
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            if b" 200 " in connection.recv(100):
                return
        time.sleep(0.05)
    raise RuntimeError("the feedback service did not become healthy")


def _send(port: int, seconds: float) -> list[float]:
    """Milliseconds of each insert of clients that each send one after the other; raises RuntimeError for a refusal."""
    values: list[float] = []
    failures: list[bytes] = []
    end = time.perf_counter() + seconds

    def run(number: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = connection.makefile("rb")
            count = 0
            while time.perf_counter() < end and not failures:
                count += 1
                body = json.dumps({
                    "request_id": f"{number}.{count}", "model_version": "1.0.0", "prediction": "cat",
                    "confidence": 0.93,
                    "recognized": True, "correction": "dog" if count % 3 else None,
                }).encode()  # fmt: skip
                start = time.perf_counter()
                connection.sendall(_HEAD % len(body) + body)
                answer = _answer(stream)
                values.append((time.perf_counter() - start) * 1e3)
                if b" 201 " not in answer:
                    failures.append(answer[:300])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"an insert was refused: {failures[0]!r}")
    return values


def _answer(stream: BinaryIO) -> bytes:
    """The whole answer: its status line and its body."""
    status, length = stream.readline(), 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return status + stream.read(length)


def _export(folder: Path, photos: int) -> Row:
    environment = _environment(folder, "")
    subprocess.run(
        [sys.executable, "-m", "benchmarks.feedback", "fill", str(photos)],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    watch = (
        "import resource, subprocess, sys, time; start = time.perf_counter(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
        "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    figures = []
    for number in (photos // 10, photos):
        # A tenth first: memory that is flat is the same for both.
        subprocess.run([sys.executable, "-m", "benchmarks.feedback", "keep", str(number)], cwd=ROOT, env=environment,
                       check=True)  # fmt: skip
        command = [sys.executable, "-c", watch, sys.executable, "-m", "services.feedback", "export", "--out",
                   str(folder / f"out{number}")]  # fmt: skip
        printed = subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, encoding="utf-8"
        )
        figures.append(tuple(map(float, printed.stdout.split())))
    (_, few_mb), (seconds, many_mb) = figures
    rate = photos / seconds
    return Row(
        f"export of {photos:,} corrections, SQLite", f"{seconds:.0f} s, {many_mb:.0f} MB",
        f"{few_mb:.0f} MB for a tenth of them", f"{rate:.0f} a second", f"{GOAL_EXPORTED} a second, memory flat",
        rate >= GOAL_EXPORTED and many_mb < few_mb * 1.2,
    )  # fmt: skip


def _fill(photos: int) -> None:
    """Stores so many corrections, each with a photo of 6 kB that no export sees before `keep`."""
    import sqlalchemy as sa

    from services.feedback import schema
    from services.feedback.database import Database
    from services.feedback.settings import load
    from services.feedback.writer import Entry

    database = Database(load().database_url)
    jpeg = os.urandom(6000)
    for first in range(0, photos, 5000):
        numbers = range(first, min(first + 5000, photos))
        now = datetime.datetime.now(datetime.UTC)
        rows = [
            {**Entry(f"c{n}", f"r{n}", "1.0.0", "cat", 0.9, True, "dog" if n % 2 else None, created_at=now).row(),
             "seq": n + 1, "photo_sha256": None}
            for n in numbers
        ]  # fmt: skip
        pictures = [{"seq": n + 1, "width": 10, "height": 10, "bytes": 6000, "jpeg": jpeg} for n in numbers]
        with database.writing() as connection:
            connection.execute(sa.insert(schema.feedback), rows)
            connection.execute(sa.insert(schema.photos), pictures)
    database.close()


def _keep(photos: int) -> None:
    """Makes the photos of the first so many corrections known to an export."""
    import hashlib

    import sqlalchemy as sa

    from services.feedback import schema
    from services.feedback.database import Database
    from services.feedback.settings import load

    database = Database(load().database_url)
    table = schema.feedback
    update = (
        sa.update(table).where(table.c.seq == sa.bindparam("n")).values(photo_sha256=sa.bindparam("sha256"))
    )
    with database.writing() as connection:
        values = [{"n": n + 1, "sha256": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(photos)]
        connection.execute(update, values)
    database.close()


if __name__ == "__main__":
    {"fill": _fill, "keep": _keep}[sys.argv[1]](int(sys.argv[2]))
