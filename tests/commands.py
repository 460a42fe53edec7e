"""`python -m api` in this process: a program of its own takes half a second only to begin."""

import contextlib
import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from tests.conftest import clean_environment


def run(
    *arguments: str | Path,
    encoding: str = "utf-8",
    environment: dict[str, str] | None = None,
    **settings: str,
) -> subprocess.CompletedProcess[str]:
    """What the command would do in a terminal of this encoding: its exit status, output and errors."""
    from api.__main__ import main

    names: Sequence[str] = [str(argument) for argument in arguments]
    # As the interpreter makes them; PYTHONIOENCODING is what it reads at its start.
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    with (
        mock.patch.dict("os.environ", clean_environment(**settings) | (environment or {}), clear=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            status = main(names)
        except SystemExit as left:  # argparse's way
            status = left.code if isinstance(left.code, int) else 1
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(encoding))
    return subprocess.CompletedProcess(names, status, *texts)
