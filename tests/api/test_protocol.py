"""HTTP as it is spoken on the wire, where clients of libraries cannot go."""

import contextlib
import re
import socket
import time

from tests.conftest import Server, connect


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


def test_headers_without_end_are_refused(server: Server) -> None:
    for start in (b"GET /health HTTP/1.1\r\nX-Long: ", b"GET /", b"\r\n"):
        with connect(server) as connection:
            connection.sendall(start)
            with contextlib.suppress(ConnectionError):
                while True:  # ends when the server closes
                    connection.sendall((b"\r\n" if start == b"\r\n" else b"aa") * 8192)
            assert answers(connection)[:12] in (b"", b"HTTP/1.1 400")


def test_many_short_headers_are_refused_when_together_they_are_too_long(server: Server) -> None:
    with connect(server) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET /health HTTP/1.1\r\n")
            while True:
                connection.sendall(b"X: y\r\n" * 2000)
        assert answers(connection)[:12] in (b"", b"HTTP/1.1 400")


def test_trailers_without_end_are_refused(server: Server, cat_jpeg: bytes) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with connect(server) as connection:
        connection.sendall(head + b"%x\r\n%s\r\n0\r\nX-Long: " % (len(cat_jpeg), cat_jpeg))
        with contextlib.suppress(ConnectionError):
            while True:
                connection.sendall(b"a" * 8192)
        assert answers(connection)[:12] in (b"", b"HTTP/1.1 400")


def test_headers_of_usual_length_are_read(server: Server) -> None:
    with connect(server) as connection:
        cookie = b"Cookie: " + b"a" * 16_000
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n" + cookie + b"\r\nConnection: close\r\n\r\n")
        assert answers(connection).startswith(b"HTTP/1.1 200")


def test_a_request_with_two_lengths_is_refused(server: Server) -> None:
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
    server: Server, cat_jpeg: bytes
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


def test_requests_sent_in_one_go_are_answered_in_their_order(server: Server, cat_jpeg: bytes) -> None:
    with connect(server) as connection:
        last = b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        connection.sendall(post(cat_jpeg) + post(b"no photo") + last)
        answer = answers(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"400", b"200"]
    assert answer.index(b'"prediction"') < answer.index(b'"detail"') < answer.index(b'"healthy"')


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(server: Server, cat_jpeg: bytes) -> None:
    with connect(server) as connection:
        head, body = post(cat_jpeg, b"Expect: 100-continue", b"Connection: close").split(b"\r\n\r\n", 1)
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert b"HTTP/1.1 200" in answers(connection)
