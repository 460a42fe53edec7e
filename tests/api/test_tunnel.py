"""python -m api tunnel: against the SDK's real failure, and against a session that stands in for ngrok's network."""

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, clean_environment, free_port, require

TOKEN = "2abcDEFghiJKLmnoPQRstuVWXyz_3AbCdEfGhIjKlMnOp"

# What the SDK offers and this project uses, without the network: it notes its calls, or fails as it is told.
SESSION = """
import os

class Listener:
    def url(self):
        return "https://purrdict.ngrok.example"

def forward(address, authtoken):
    print("forward", address, authtoken == os.environ["NGROK_AUTHTOKEN"], flush=True)
    if os.environ.get("FAIL_TO_OPEN"):
        raise ValueError(("failed to connect session", f"Your authtoken: {authtoken}", "ERR_NGROK_105"))
    return Listener()

def disconnect(url):
    print("disconnect", url, flush=True)
    if os.environ.get("FAIL_TO_CLOSE"):
        raise RuntimeError("the session is gone")
"""


def tunnel(arguments: Sequence[str] = (), **settings: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "api", "tunnel", *arguments],
        cwd=ROOT,
        env=clean_environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_it_serves(process: "subprocess.Popen[str]", port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False)
            return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"the server does not answer: {process.communicate(timeout=10)}")


@pytest.fixture
def session(tmp_path: Path) -> dict[str, str]:
    """Settings with which `import ngrok` finds the stand-in session."""
    (tmp_path / "ngrok.py").write_text(SESSION)
    return {"PYTHONPATH": str(tmp_path), "NGROK_AUTHTOKEN": TOKEN}


def test_the_real_sdk_without_a_network_gives_a_sentence_and_no_crash() -> None:
    require("ngrok")
    # Nothing listens on the discard port, so the SDK's connection fails at once whatever network there is.
    proxies = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    # Several at once: the SDK's threads crash an interpreter that ends in order only now and then.
    processes = [tunnel(NGROK_AUTHTOKEN=TOKEN, **proxies) for _ in range(6)]
    for process in processes:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 1, errors
        assert errors.startswith("error: no tunnel. ngrok says: failed to ")
        assert errors.endswith("Check the network and the token.\n")
        assert "Traceback" not in errors


def test_ctrl_c_stops_the_server_and_closes_the_tunnel(session: dict[str, str]) -> None:
    port = free_port()
    process = tunnel(["--port", str(port)], **session)
    wait_until_it_serves(process, port)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert f"forward 127.0.0.1:{port} True\n" in output
    assert "public   https://purrdict.ngrok.example\n" in output
    assert output.endswith("disconnect https://purrdict.ngrok.example\ntunnel closed\n")
    assert "Traceback" not in errors
    assert process.returncode == 0


@pytest.mark.process
def test_a_tunnel_that_cannot_be_closed_properly_ends_without_a_traceback(session: dict[str, str]) -> None:
    port = free_port()
    process = tunnel(["--port", str(port)], FAIL_TO_CLOSE="1", **session)
    wait_until_it_serves(process, port)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert output.endswith("tunnel closed\n")
    assert "Traceback" not in errors


@pytest.mark.process
def test_the_tunnel_is_closed_when_the_port_is_taken(session: dict[str, str]) -> None:
    port = free_port()
    first = tunnel(["--port", str(port)], **session)
    try:
        wait_until_it_serves(first, port)
        second = tunnel(["--port", str(port)], **session)
        assert second.communicate(timeout=60)[0].endswith("tunnel closed\n")
        assert second.returncode != 0
    finally:
        first.terminate()
        first.communicate(timeout=30)


def test_a_token_that_ngrok_refuses_is_not_printed(session: dict[str, str]) -> None:
    process = tunnel(FAIL_TO_OPEN="1", **session)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "ERR_NGROK_105" in errors
    assert TOKEN not in errors
