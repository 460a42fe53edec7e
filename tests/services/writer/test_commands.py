"""The commands as people run them."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.writer.__main__ import main
from tests.conftest import ROOT, clean_environment, free_port
from tests.services.writer.conftest import NOTES, Call, delta, in_loop, service

OWN = ("LLM_URL", "LLM_MODEL", "LLM_API_KEY", "LLM_SEED", "LLM_PARALLEL", "WRITER_QUEUE", "PROMPTS_DIR")
NOBODY = "http://127.0.0.1:9"
COMMAND = (sys.executable, "-m", "services.writer")


def environment(**settings: str) -> dict[str, str]:
    return {**clean_environment(), **dict.fromkeys(OWN, ""), **settings}


def run_command(
    *arguments: str, stdin: bytes = b"", timeout: float = 60, **settings: str
) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(**settings),
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    assert b"Traceback" not in result.stderr, result.stderr.decode()
    return subprocess.CompletedProcess(
        result.args, result.returncode, result.stdout.decode(), result.stderr.decode()
    )


async def greets(call: Call) -> None:
    await call.say("Meet ", "Bella 🐱.")


async def in_thread(engine: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """`run_command`, while this loop goes on serving."""
    return await asyncio.to_thread(
        lambda: run_command(*arguments, stdin=stdin, LLM_URL=engine, LLM_MODEL="test-model", PYTHONUTF8="1")
    )


@in_loop
async def test_try_writes_the_text_to_the_output_and_all_else_beside_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Нина, кошка", encoding="utf-8")
    async with service(greets) as (_, engine):
        result = await in_thread(
            engine.address, "try", "--task", "email", "--notes", NOTES, "--answer", '{"prediction": "cat"}'
        )
        piped = await in_thread(engine.address, "try", stdin="Zoë, 2 years".encode())
        filed = await in_thread(engine.address, "try", "--notes-file", str(tmp_path / "notes.txt"))
        asked = [call.body["messages"][1]["content"] for call in engine.calls]
    assert (result.returncode, result.stdout) == (0, "Meet Bella 🐱.\n")
    assert "Draft written by a machine" in result.stderr
    assert "(test-model, email-1)" in result.stderr
    assert "complete, 2 tokens" in result.stderr
    assert NOTES in asked[0]
    assert "shows: cat" in asked[0]
    assert (piped.returncode, "Zoë, 2 years" in asked[1]) == (0, True)
    assert (filed.returncode, "Нина, кошка" in asked[2]) == (0, True)


def test_without_an_engine_one_sentence_says_how_to_get_one() -> None:
    result = run_command("try", "--notes", NOTES, LLM_URL=NOBODY, LLM_MODEL="gemma3:1b")
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "ollama pull gemma3:1b" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (["try", "--notes", " "], {}, "error: notes:"),
        (["try", "--notes", "x", "--answer", "cat"], {}, "paste what /predict answered"),
        (["try", "--notes-file", "/nowhere"], {}, "cannot be read"),
        (["try", "--notes", "x"], {"LLM_URL": "ollama"}, "error: LLM_URL:"),
        (["serve"], {"LLM_PARALLEL": "none"}, "error: LLM_PARALLEL:"),
        (["serve"], {"PROMPTS_DIR": str(ROOT / "docs")}, "no prompt for listing"),
        (["try", "--task", "poem"], {}, "listing"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    arguments: list[str],
    settings: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment(**settings).items():
        monkeypatch.setenv(name, value)
    try:
        status = main(arguments)
    except SystemExit as error:  # argparse's own
        status = int(str(error.code))
    assert status == 2
    assert words in capsys.readouterr().err


def test_help_shows_how_to_begin() -> None:
    text = run_command("--help").stdout
    assert "ollama pull" in text
    assert 'try --task listing --notes "' in text


@in_loop
async def test_ctrl_c_ends_the_generation_and_keeps_what_was_written() -> None:
    async def falls_asleep(call: Call) -> None:
        await call.begin()
        await call.send(delta("Meet"))
        await call.left.wait()

    async with service(falls_asleep) as (_, engine):
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("try", "--notes", NOTES),
            cwd=ROOT,
            env=environment(LLM_URL=engine.address, LLM_MODEL="test-model"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        assert await process.stdout.readexactly(4) == b"Meet"
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        await engine.calls[0].left.wait()
    assert process.returncode == 130
    assert b"Traceback" not in errors


@contextlib.contextmanager
def serving(log: Path, **settings: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`python -m services.writer serve` on a free port, once it answers."""
    port = free_port()
    with log.open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", str(port)],
            cwd=ROOT,
            env=environment(**settings),
            stdout=output,
            stderr=output,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{address}/", trust_env=False)
                break
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield address, process
    finally:
        process.terminate()
        process.wait(timeout=15)


def test_serve_starts_without_an_engine_and_says_what_is_missing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(log, LLM_URL=NOBODY, LLM_API_KEY="SECRET-KEY") as (address, process):
        response = httpx.post(
            f"{address}/write", json={"task": "listing", "notes": "SECRET-NOTES"}, trust_env=False
        )
        assert response.status_code == 503
        memory = int(Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1000
        process.terminate()
        assert process.wait(timeout=10) in (0, -signal.SIGTERM)
    text = log.read_text()
    assert "warning: No engine answers at 127.0.0.1:9. Install Ollama" in text
    assert text.count('"path": "/write", "status": 503') == 1
    assert "SECRET" not in text
    assert "Traceback" not in text
    assert memory < 64, f"{memory:.0f} MB"
