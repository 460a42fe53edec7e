"""HTTP as it is spoken on the wire, where clients of libraries cannot go."""

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from api import _server
from api._server import TimeoutProtocol
from tests.conftest import LocalServer, connect, serving


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """A server with the default settings, but for an idle connection, which it closes after a second."""
    with serving(keep_alive_s=1) as running:
        yield running


def answers(connection: socket.socket) -> bytes:
    """What the server sends until it closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65_536):
            received += data
    return received


def post(photo: bytes, *headers: bytes) -> bytes:
    lines = [b"POST /predict HTTP/1.1", b"Host: a", b"Content-Type: image/jpeg", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(photo), b"", photo])


def test_headers_without_end_are_refused(server: LocalServer) -> None:
    for start in (b"GET /health HTTP/1.1\r\nX-Long: ", b"GET /", b"\r\n"):
        with connect(server) as connection:
            connection.sendall(start)
            with contextlib.suppress(ConnectionError):
                while True:  # ends when the server closes
                    connection.sendall((b"\r\n" if start == b"\r\n" else b"aa") * 8192)
            assert answers(connection)[:12] in (b"", b"HTTP/1.1 400")


def test_many_short_headers_are_refused_when_together_they_are_too_long(server: LocalServer) -> None:
    with connect(server) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /health HTTP/1.1\r\n")
            while True:
                connection.sendall(b"X: y\r\n" * 2000)
        assert answers(connection)[:12] in (b"", b"HTTP/1.1 400")


def test_trailers_without_end_are_refused(server: LocalServer, cat_jpeg: bytes) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with connect(server) as connection:
        connection.sendall(head + b"%x\r\n%s\r\n0\r\nX-Long: " % (len(cat_jpeg), cat_jpeg))
        with contextlib.suppress(ConnectionError):
            while True:
                connection.sendall(b"a" * 8192)
        assert answers(connection)[:12] in (b"", b"HTTP/1.1 400")


def test_headers_of_usual_length_are_read(server: LocalServer) -> None:
    with connect(server) as connection:
        cookie = b"Cookie: " + b"a" * 16_000
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n" + cookie + b"\r\nConnection: close\r\n\r\n")
        assert answers(connection).startswith(b"HTTP/1.1 200")


def test_a_request_with_two_lengths_is_refused(server: LocalServer) -> None:
    for lengths in (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Content-Length: 4\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked, identity",
        b"Content-Length: +4",
    ):
        with connect(server) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\n" + lengths + b"\r\n\r\n0\r\n\r\n")
            assert answers(connection).startswith(b"HTTP/1.1 400"), lengths


def test_a_client_that_would_rather_speak_http_2_is_answered_in_http_1(
    server: LocalServer, cat_jpeg: bytes
) -> None:
    # Java's client asks for it with every request over plain HTTP, and goes on using the connection.
    wish = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAA")
    with connect(server) as connection:
        for _ in range(2):
            request = post(cat_jpeg, *wish)
            connection.sendall(request[:60])
            time.sleep(0.05)  # so that the headers come in two pieces
            connection.sendall(request[60:])
            answer = b""
            while b'"timestamp"' not in answer:
                data = connection.recv(65_536)
                assert data, answer
                answer += data
            assert answer.startswith(b"HTTP/1.1 200")


def test_requests_sent_in_one_go_are_answered_in_their_order(server: LocalServer, cat_jpeg: bytes) -> None:
    with connect(server) as connection:
        last = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        connection.sendall(post(cat_jpeg) + post(b"no photo") + last)
        answer = answers(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"400", b"200"]
    assert answer.index(b'"prediction"') < answer.index(b'"detail"') < answer.index(b'"healthy"')


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(server: LocalServer, cat_jpeg: bytes) -> None:
    with connect(server) as connection:
        head, body = post(cat_jpeg, b"Expect: 100-continue", b"Connection: close").split(b"\r\n\r\n", 1)
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert b"HTTP/1.1 200" in answers(connection)


# --- answers that come before the request has ended ----------------------------------------------------------------

TIMES = 12
BODY = bytes(3_000_000)
FORM = b"Content-Type: multipart/form-data; boundary=edge"
# How clients say that the connection is to be closed after the answer.
CLOSING = {
    "HTTP/1.0": (b"HTTP/1.0", b"Host: a"),
    "HTTP/1.0 without a host": (b"HTTP/1.0", b"X: y"),
    "Connection: close": (b"HTTP/1.1", b"Host: a\r\nConnection: close"),
    "HTTP/1.0 asked to stay": (b"HTTP/1.0", b"Connection: keep-alive"),
}
# What the service answers without reading the rest of the body.
EARLY = {
    "a wrong key": (b"POST /predict", b"X-API-Key: wrong\r\nContent-Type: image/jpeg", b"401"),
    "no key": (b"POST /predict/batch", FORM, b"401"),
    "a key in the URL": (b"POST /predict?key=a", FORM, b"401"),
    "too large": (b"POST /predict", b"X-API-Key: right\r\nContent-Type: image/jpeg", b"413"),
    "no photo": (b"POST /predict", b"X-API-Key: right\r\nContent-Type: text/plain", b"422"),
    "no form": (b"POST /predict", b"X-API-Key: right\r\nContent-Type: multipart/form-data", b"400"),
    "no such path": (b"POST /nowhere", b"X: y", b"404"),
    "no such method": (b"PUT /health", b"X: y", b"405"),
    "another address": (b"POST /predict/", b"X: y", b"307"),
    "no need of a body": (b"GET /health", b"X: y", b"200"),
}


@pytest.fixture(scope="module")
def strict() -> Iterator[LocalServer]:
    """A server that wants the key `right`, and no photo over 100,000 bytes."""
    with serving(API_KEYS="right", MAX_UPLOAD_BYTES="100000") as running:
        yield running


def upload(
    server: LocalServer, start: bytes, headers: bytes, closing: tuple[bytes, bytes], chunked: bool
) -> bytes:
    """Sends all of a large body before it reads, as nginx and simple clients do; returns the answer."""
    version, more = closing
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(BODY)
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) if chunked else BODY
    with connect(server) as connection:
        connection.sendall(
            b"\r\n".join([b" ".join([start, version]), more, headers, length, b"", b""]) + body
        )
        received = b""
        while data := connection.recv(65_536):
            received += data
        return received


@pytest.mark.parametrize("why", EARLY)
@pytest.mark.parametrize("closing", CLOSING)
def test_an_early_answer_reaches_a_client_that_sends_on_and_wants_the_connection_closed(
    strict: LocalServer, why: str, closing: str
) -> None:
    start, headers, status = EARLY[why]
    for turn in range(TIMES):
        chunked = turn % 2 == 1 and closing == "Connection: close"
        answer = upload(strict, start, headers, CLOSING[closing], chunked)
        assert answer[9:12] == status, f"turn {turn}: {answer[:100]!r}"
        head, body = answer.split(b"\r\n\r\n", 1)
        length = re.search(rb"content-length: (\d+)", head)
        assert length, "the answer says where it ends"
        assert len(body) == int(length[1])


def test_a_request_that_is_no_http_gets_its_400_while_it_goes_on_sending(server: LocalServer) -> None:
    for start in (
        b"GET /health HTTP/1.1\r\nX-Long: ",
        b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ):
        for _ in range(TIMES):
            with connect(server) as connection:
                connection.sendall(start + b"a" * 3_000_000)
                answer = b""
                while data := connection.recv(65_536):
                    answer += data
            assert answer.startswith(b"HTTP/1.1 400"), answer


def test_a_client_whose_whole_request_was_read_need_not_wait_for_the_end(
    server: LocalServer, cat_jpeg: bytes
) -> None:
    start = time.monotonic()
    with connect(server) as connection:
        connection.sendall(post(cat_jpeg, b"Connection: close"))
        assert b"HTTP/1.1 200" in answers(connection)
    with connect(server) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.0\r\nContent-Length: 9\r\n\r\n")
        time.sleep(0.2)
        connection.sendall(b"the rest!")
        assert b"404" in answers(connection)
        # Closed, not only done with writing: whatever follows is no longer taken.
        assert refuses_more(connection)
    assert time.monotonic() - start < _server.LINGER_S / 2


def refuses_more(connection: socket.socket) -> bool:
    """Whether the other side soon takes no further bytes."""
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            connection.sendall(b"more")
            time.sleep(0.02)
        return False
    return True


def test_a_refused_client_that_never_ends_is_let_go_after_so_many_bytes(server: LocalServer) -> None:
    with connect(server) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.0\r\nContent-Length: 99000000000\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 10 * _server.LINGER_BYTES:
                sent += connection.send(bytes(1_000_000))
        assert _server.LINGER_BYTES <= sent < _server.LINGER_BYTES + 20_000_000


def test_a_connection_that_stays_open_takes_no_endless_body_either(server: LocalServer) -> None:
    with connect(server) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 99000000000\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 10 * _server.LINGER_BYTES:
                sent += connection.send(bytes(1_000_000))
        assert _server.LINGER_BYTES <= sent < _server.LINGER_BYTES + 20_000_000


def test_a_refused_upload_that_stalls_for_seconds_is_still_heard_out_and_its_connection_goes_on(
    server: LocalServer,
) -> None:
    with connect(server) as connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbegun")
        time.sleep(1.5)  # an idle connection is closed after one
        connection.sendall(b"done" + b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert re.findall(rb"HTTP/1.1 (\d+)", answers(connection)) == [b"404", b"200"]


def test_what_follows_a_request_that_closes_the_connection_is_not_answered(server: LocalServer) -> None:
    with connect(server) as connection:
        first = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
        connection.sendall(first)
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 404")
        connection.sendall(b"12345GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answers(connection) == b""


def test_the_end_of_the_answer_is_seen_before_the_body_has_been_sent(server: LocalServer) -> None:
    # An HTTP/1.0 client may read until the connection ends, and only then notice that it was refused.
    with connect(server) as connection:
        connection.settimeout(3)
        connection.sendall(b"POST /nowhere HTTP/1.0\r\nContent-Length: 1000\r\n\r\nbegun")
        assert answers(connection).startswith(b"HTTP/1.1 404")


def test_what_is_refused_in_one_large_piece_is_heard_out_like_the_rest() -> None:
    """The piece is larger than headers may be, and what begins it is no HTTP: two reasons, one refusal."""

    async def refuse() -> tuple[bytes, bool]:
        written, closed = bytearray(), []
        transport = SimpleNamespace(
            write=written.extend, close=lambda: closed.append(True), is_closing=lambda: bool(closed),
            can_write_eof=lambda: False, get_extra_info=lambda *_: None, resume_reading=lambda: None,
        )  # fmt: skip

        protocol = protocol_of_nothing()
        protocol.connection_made(transport)
        protocol.data_received(b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n" + b"a" * 200_000)
        protocol._stop_reading()
        return bytes(written), bool(closed)

    written, closed = asyncio.run(refuse())
    assert written.startswith(b"HTTP/1.1 400")
    assert not closed


def test_an_answer_of_several_processes_does_not_wait_for_the_clients_acknowledgement() -> None:
    """They share a socket of uvicorn's, on which asyncio leaves Nagle's algorithm on: 40 ms of waiting a photo."""

    async def accept(shared: socket.socket) -> int:
        accepted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        class Connected(TimeoutProtocol):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                accepted.set_result(transport)

        async with await asyncio.get_running_loop().create_server(
            lambda: protocol_of_nothing(Connected), sock=shared
        ):
            _, writer = await asyncio.open_connection(*shared.getsockname())
            transport = await accepted
            at_once: int = transport.get_extra_info("socket").getsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY
            )
            transport.close()
            writer.close()
            return at_once

    with uvicorn.Config("app", host="127.0.0.1", port=0, log_config=None).bind_socket() as shared:
        assert asyncio.run(accept(shared)) == 1


def protocol_of_nothing(kind: type[TimeoutProtocol] = TimeoutProtocol) -> TimeoutProtocol:
    """The protocol before an app that answers nothing."""

    async def app(scope: object, receive: object, send: object) -> None:
        pass

    config = uvicorn.Config(app, http=kind, interface="asgi3", lifespan="off", log_config=None)
    config.load()
    return kind(config=config, server_state=ServerState(), app_state={})
