"""What two less obvious choices in the code save: what a start puts off, and the loop that reads multipart forms.

CPU time, in turns, medians of RUNS starts and of FORMS forms of each size. On two busy cores of an Intel Xeon
(Sapphire Rapids) a start took 1.09 times as long without the switch for garbage, 1.07 times without the one for
validators; our loop took 0.99, 0.80 and 0.80 times what Starlette's took for forms of 14 kB, 0.8 and 4.3 MB.
"""

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from benchmarks._figures import Sample, in_turns, ratio
from benchmarks._report import Row
from benchmarks._requests import BOUNDARY, form
from benchmarks._servers import ROOT, measured_environment

RUNS = 15
FORMS = 100
# Bytes: a small photo, one of 20 megapixels made smaller by the page, the largest that Vercel lets through.
SIZES = (14_000, 830_000, 4_300_000)

_WITHOUT = {
    "garbage put off": "import gc; gc.disable = lambda: None",
    "validators put off": "import pydantic; f = type('F', (dict,), {'__setitem__': lambda *_: None, "
    "'pop': lambda *_: None}); pydantic.BaseModel.model_config = f(pydantic.BaseModel.model_config)",
}


def main() -> list[Row]:
    """Measures the choices; each has to pay."""
    starts = in_turns(
        RUNS, lambda: _start(""), *(lambda code=code: _start(code) for code in _WITHOUT.values())
    )
    whole = Sample(starts[0])
    rows = []
    for name, values in zip(_WITHOUT, starts[1:], strict=True):
        without = Sample(values)
        over = ratio(without, whole)
        rows.append(
            Row(f"start, CPU s: {name}", str(whole), f"without {without}", f"{over:.2f} x", "> 1 x", over > 1)
        )
    for size in SIZES:
        ours, theirs = (Sample(values) for values in _forms(size))
        over = ratio(ours, theirs)
        rows.append(
            Row(
                f"form of {size:,} bytes, CPU ms",
                str(ours),
                f"Starlette's loop {theirs}",
                f"{over:.2f} x",
                "1.1 x",
                over <= 1.1,
            )
        )
    return rows


def _start(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", f"{code}\nimport api.index"]
    subprocess.run(command, cwd=ROOT, env=measured_environment(), check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _forms(size: int) -> list[tuple[float, ...]]:
    from starlette.formparsers import MultiPartParser
    from starlette.requests import Request
    from starlette.types import Message

    from api._routes.body import read_photo

    body = form(os.urandom(size)).partition(b"\r\n\r\n")[2]
    pieces = [body[at : at + 65_536] for at in range(0, len(body), 65_536)]

    def request() -> Request:
        messages = iter([{"type": "http.request", "body": piece, "more_body": True} for piece in pieces])

        async def receive() -> Message:
            return next(messages, {"type": "http.request", "body": b"", "more_body": False})

        kind = f"multipart/form-data; boundary={BOUNDARY}".encode()
        return Request({"type": "http", "method": "POST", "headers": [(b"content-type", kind)]}, receive)

    async def theirs() -> bytes:
        asked = request()
        parser = MultiPartParser(asked.headers, asked.stream())
        parser.spool_max_size = 2 * size  # kept in memory, as ours is
        file = (await parser.parse())["file"]
        return await file.read()  # type: ignore[union-attr]

    async def ours() -> bytes:
        return await read_photo(request(), 2 * size, lambda _: None)

    loop = asyncio.new_event_loop()

    def timed(read: Callable[[], Awaitable[bytes]]) -> float:
        start = time.process_time()
        assert len(loop.run_until_complete(read())) == size
        return (time.process_time() - start) * 1e3

    try:
        return in_turns(
            FORMS,
            lambda: timed(lambda: read_photo(request(), 2 * size, lambda _: None)),
            lambda: timed(theirs),
        )
    finally:
        loop.close()
