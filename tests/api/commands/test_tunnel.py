"""What `python -m api tunnel` does with ngrok's SDK, whose network a stand-in has: each way that it can end."""

import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from api._commands import tunnel
from tests.commands import run

TOKEN = "2abcDEFghiJKLmnoPQRstuVWXyz_3AbCdEfGhIjKlMnOp"
URL = "https://purrdict.ngrok.example"


class Session:
    """The SDK and the server beneath: a test sets what each does."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.forwarding: Callable[[], Any] = lambda: None
        self.serving: Callable[[], int] = lambda: 0
        self.closing: Callable[[], Any] = lambda: None
        # Exit status, output and errors, as they were written when the process left.
        self.left: tuple[int, str, str] | None = None

    def forward(self, address: str, authtoken: str) -> Any:
        self.calls.append((address, authtoken))
        self.forwarding()
        return SimpleNamespace(url=lambda: URL)

    def serve(self, host: str, port: int, _: Any) -> int:
        self.calls.append((host, port))
        return self.serving()

    def disconnect(self, url: str) -> None:
        self.calls.append(url)
        self.closing()

    def leave(self, status: int) -> NoReturn:
        streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
        out, err = (stream.buffer.getvalue().decode() for stream in streams)
        self.left = (status, out, err)
        raise SystemExit(status)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        result: subprocess.CompletedProcess[str] = run("tunnel", *arguments, NGROK_AUTHTOKEN=TOKEN)
        assert self.left == (result.returncode, result.stdout, result.stderr), "nothing is left unwritten"
        return self.left


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    made = Session()
    monkeypatch.setitem(sys.modules, "ngrok", made)
    monkeypatch.setattr(tunnel, "serve", made.serve)
    monkeypatch.setattr(os, "_exit", made.leave)
    return made


def fail(error: BaseException) -> Callable[[], NoReturn]:
    def raise_it() -> NoReturn:
        raise error

    return raise_it


def test_it_says_the_public_address_and_closes_the_tunnel_when_the_server_ends(session: Session) -> None:
    session.serving = lambda: 7
    assert session.run("--port", "8123") == (7, f"public   {URL}\ntunnel closed\n", "")
    assert session.calls == [("127.0.0.1:8123", TOKEN), ("127.0.0.1", 8123), URL]


def test_what_the_server_was_about_to_write_is_written_before_it_leaves(session: Session) -> None:
    def serving() -> int:
        sys.stdout.write("the last ")
        sys.stderr.write("the last error")
        return 0

    session.serving = serving
    session.closing = lambda: sys.stdout.write("word\n")
    assert session.run() == (0, f"public   {URL}\nthe last word\ntunnel closed\n", "the last error")


def test_the_port_is_that_of_the_settings_unless_one_is_named(session: Session) -> None:
    session.run()
    assert session.calls[:2] == [("127.0.0.1:8000", TOKEN), ("127.0.0.1", 8000)]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "127.0.0.1:8000"),
        ("::", "[::1]:8000"),
        ("::1", "[::1]:8000"),
        ("192.0.2.1", "192.0.2.1:8000"),
    ],
)
def test_it_leads_to_an_address_that_this_machine_can_reach(
    session: Session, host: str, address: str
) -> None:
    session.run("--host", host)
    assert session.calls[:2] == [(address, TOKEN), (host, 8000)]


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (SystemExit(3), 3), (SystemExit("no"), 1)]
)
def test_however_the_server_ends_the_tunnel_is_closed(
    session: Session, error: BaseException, status: int
) -> None:
    session.serving = fail(error)
    left, out, err = session.run()
    assert (left, err) == (status, "")
    assert out.endswith("tunnel closed\n")
    assert session.calls[-1] == URL


@pytest.mark.parametrize("error", [ValueError("gone"), RuntimeError("gone"), OSError("gone")])
def test_a_tunnel_whose_network_has_gone_is_closed_all_the_same(session: Session, error: Exception) -> None:
    session.closing = fail(error)
    assert session.run() == (0, f"public   {URL}\ntunnel closed\n", "")


@pytest.mark.parametrize(
    "error",
    [
        ValueError(("failed to connect", f"Your authtoken: {TOKEN}", 105)),
        ValueError("failed to connect", "Your authtoken: ...", "105"),
        RuntimeError(f"failed to connect Your authtoken: {TOKEN} 105"),
    ],
)
def test_why_there_is_no_tunnel_is_said_without_the_token(session: Session, error: Exception) -> None:
    session.forwarding = fail(error)
    status, out, err = session.run()
    assert (status, out) == (1, "")
    assert err == (
        "error: no tunnel. ngrok says: failed to connect Your authtoken: ... 105. Check the network and the token.\n"
    )
    assert len(session.calls) == 1, "nothing is served"


def test_an_error_without_a_word_is_said_too(session: Session) -> None:
    session.forwarding = fail(OSError())
    assert session.run()[2].startswith("error: no tunnel. ngrok says: . ")


def test_ctrl_c_while_it_connects_ends_it_in_silence(session: Session) -> None:
    session.forwarding = fail(KeyboardInterrupt())
    assert session.run() == (130, "", "")


def test_without_a_token_it_says_where_to_get_one_and_asks_nobody(session: Session) -> None:
    result = run("tunnel")
    assert (result.returncode, result.stdout, session.calls) == (2, "", [])
    assert result.stderr.startswith("error: NGROK_AUTHTOKEN is not set.")
    assert "https://dashboard.ngrok.com/get-started/your-authtoken" in result.stderr


def test_without_the_sdk_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ngrok", None)
    result = run("tunnel", NGROK_AUTHTOKEN=TOKEN)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "error: the ngrok SDK is not installed. Run: pip install ngrok\n"
