"""How long the server waits for a client and how it ends a connection, on a clock that the test moves."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from api import _server
from api._server import HEADER_TIMEOUT_S, LINGER_S, MAX_HEAD_BYTES, WRITE_TIMEOUT_S, TimeoutProtocol

IDLE_S = 5  # uvicorn's own limit on a connection without a request
A_MOMENT = 0.01
GET = b"GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD = b"Host: a\r\nContent-Length: 1000\r\n\r\n"
CHUNKS = b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Clock(asyncio.SelectorEventLoop):
    """A loop for which time passes when the test says so."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Wire:
    """A connection to an app: its client's side, and the transport of the protocol's side.

    The app answers with the headers that it got: /at-once without reading the body, /read when it has read the body,
    /late when `finish` is set, /last then too and with `Connection: close`, /begin by halves, before and after
    both, and anything else after both.
    """

    def __init__(self) -> None:
        self.loop = Clock()
        self.finish = asyncio.Event()
        self.asked: list[str] = []
        self.told: list[str] = []
        self.received = b""
        self.ended = self.closed = self.aborted = self.paused = False
        self.closings = 0
        self.state = ServerState()
        config = uvicorn.Config(
            self._app, http=TimeoutProtocol, interface="asgi3", lifespan="off", log_config=None
        )
        config.load()
        self.protocol = TimeoutProtocol(config, self.state, {}, self.loop)
        transport: Any = self
        self.protocol.connection_made(transport)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        headers = [(b"transfer-encoding", b"chunked")]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        if scope["path"] == "/last":
            start["headers"] = [*headers, (b"connection", b"close")]
        if scope["path"] == "/begin":
            await send(start)
        if scope["path"] not in ("/at-once", "/late", "/last"):
            message = {"more_body": True}
            while message.get("more_body"):
                message = await receive()
                self.told.append(message["type"])
        if scope["path"] not in ("/at-once", "/read"):
            await self.finish.wait()
        if scope["path"] != "/begin":
            await send(start)
        body = b"".join(name + b"=" + value + b"\n" for name, value in scope["headers"])
        await send({"type": "http.response.body", "body": body})

    # What the client does.

    def send(self, data: bytes) -> None:
        """Sends, and lets the server do what it does about it."""
        if not self.closed:
            assert not self.paused
            self.protocol.data_received(data)
        self.settle()

    def wait(self, seconds: float) -> None:
        self.loop.now += seconds
        self.settle()

    def settle(self) -> None:
        for _ in range(6):
            self.loop.run_until_complete(asyncio.sleep(0))

    @property
    def statuses(self) -> list[bytes]:
        return [part[:3] for part in self.received.split(b"HTTP/1.1 ")[1:]]

    # What the protocol asks of its transport.

    def write(self, data: bytes) -> None:
        assert not self.ended, "asyncio lets nobody write after the end"
        if not self.closed:
            self.received += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closings += 1
        if not self.closed:
            self.closed = True
            self.loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_extra_info(self, name: str) -> None:
        return None


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.finish.set()
    made.close()
    made.settle()
    made.loop.close()


def closes_after(wire: Wire, seconds: float) -> bool:
    """Whether the connection stays open for so long, and no longer."""
    wire.wait(seconds - A_MOMENT)
    early = wire.closed
    wire.wait(2 * A_MOMENT)
    return wire.closed and not early


# --- headers -------------------------------------------------------------------------------------------------------


def test_a_client_that_says_nothing_is_let_go_when_its_time_is_up(wire: Wire) -> None:
    assert closes_after(wire, HEADER_TIMEOUT_S)


@pytest.mark.parametrize("before", [b"", GET, b"\r\n\r\n"])
def test_a_client_that_dribbles_its_headers_gets_no_more_time_for_it(wire: Wire, before: bytes) -> None:
    wire.send(before)
    wire.wait(1)
    rest = HEADER_TIMEOUT_S if before == GET else HEADER_TIMEOUT_S - 1
    for _ in range(4):
        wire.send(b"GET /")
        wire.wait(1)
    assert closes_after(wire, rest - 4)


def test_a_second_request_that_comes_behind_the_first_has_the_same_time_for_its_headers(wire: Wire) -> None:
    wire.send(GET + b"GET /at-once HTTP/1.1\r\n")
    wire.wait(1)
    wire.send(b"Host")
    assert closes_after(wire, HEADER_TIMEOUT_S - 1)
    assert wire.statuses == [b"200"]


def test_a_connection_between_two_requests_is_idle_for_so_long_and_begun_headers_end_that(wire: Wire) -> None:
    wire.send(GET)
    wire.wait(IDLE_S - A_MOMENT)
    wire.send(GET[:20])
    wire.wait(IDLE_S)
    wire.send(GET[20:])
    assert wire.statuses == [b"200", b"200"]
    assert closes_after(wire, IDLE_S)


def test_empty_lines_are_no_way_to_keep_a_connection(wire: Wire) -> None:
    wire.send(GET)
    for _ in range(4):
        wire.send(b"\r\n\r\n")
        wire.wait(2)
    assert closes_after(wire, HEADER_TIMEOUT_S - 8)


def test_empty_lines_before_a_request_are_passed_over(wire: Wire) -> None:
    wire.send(b"\r\n\r\n" + GET)
    wire.send(b"\r\n" + GET)
    assert wire.statuses == [b"200", b"200"]


def test_while_the_service_thinks_the_client_has_all_time(wire: Wire) -> None:
    wire.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.wait(1000)
    assert not wire.closed
    wire.finish.set()
    wire.settle()
    assert wire.statuses == [b"200"]
    assert closes_after(wire, IDLE_S)


def test_an_upload_that_is_wanted_may_take_its_time(wire: Wire) -> None:
    wire.send(b"POST /read HTTP/1.1\r\n" + UPLOAD)
    for _ in range(10):
        wire.wait(100)
        wire.send(bytes(100))
    assert wire.statuses == [b"200"]


@pytest.mark.parametrize("begun", [b"GET /", b"GET / HTTP/1.1\r\nX-Long: ", b"\r\n\r\nGET /", GET + b"GET /"])
def test_headers_may_be_so_long_and_no_byte_longer(wire: Wire, begun: bytes) -> None:
    # What the parser has told of, like a whole request, does not count.
    told = len(begun) if begun.startswith(GET) else 0
    wire.send(begun)
    wire.send(b"a" * (MAX_HEAD_BYTES - len(begun) + told))
    assert b"400" not in wire.statuses
    wire.send(b"a")
    assert wire.statuses[-1] == b"400"
    assert b'{"detail": "The headers of the request are too large."}' in wire.received


def test_a_trailer_is_no_header(wire: Wire) -> None:
    wire.send(b"POST /read HTTP/1.1\r\nX-Mine: a\r\n" + CHUNKS + b"1\r\na\r\n0\r\n")
    wire.send(b"X-API-Key: b\r\n\r\n")
    assert b"x-mine=a" in wire.received
    assert b"x-api-key" not in wire.received.lower()


def test_trailers_are_counted_from_the_body_on(wire: Wire) -> None:
    wire.send(b"POST /read HTTP/1.1\r\n" + CHUNKS)
    for _ in range(3):
        wire.send(b"%x\r\n%s\r\n" % (MAX_HEAD_BYTES, b"a" * MAX_HEAD_BYTES))
    assert wire.statuses == []
    wire.send(b"0\r\nX-Long: ")
    wire.send(b"a" * MAX_HEAD_BYTES)
    assert wire.statuses == [b"400"]


def test_a_client_that_asks_whether_its_body_is_wanted_is_told_so_where_it_is(wire: Wire) -> None:
    wire.send(b"POST /read HTTP/1.1\r\nExpect: 100-continue\r\n" + UPLOAD)
    assert wire.statuses == [b"100"]
    wire.send(bytes(1000))
    assert wire.statuses == [b"100", b"200"]
    wire.send(b"POST /at-once HTTP/1.1\r\nExpect: 100-continue\r\n" + UPLOAD)
    assert wire.statuses == [b"100", b"200", b"200"]


def test_the_trailers_of_one_request_do_not_count_for_the_headers_of_the_next(wire: Wire) -> None:
    long = b"X-Long: " + b"a" * (MAX_HEAD_BYTES // 2 + 1000) + b"\r\n"
    wire.send(b"POST /read HTTP/1.1\r\n" + CHUNKS + b"1\r\na\r\n0\r\n")
    wire.send(long)
    wire.send(b"\r\n")
    wire.send(b"GET /at-once HTTP/1.1\r\nHost: a\r\n")
    wire.send(long)
    wire.send(b"\r\n")
    assert wire.statuses == [b"200", b"200"]


@pytest.mark.parametrize("before", [b"", b"1\r\na\r\n"])
def test_between_two_pieces_of_a_body_too_so_much_may_come_and_no_byte_more(
    wire: Wire, before: bytes
) -> None:
    wire.send(b"POST /read HTTP/1.1\r\n" + CHUNKS)
    if before:
        wire.send(before[:4])
        wire.send(before[4:] + b"1;" + b"a" * (MAX_HEAD_BYTES - 4))
    else:
        wire.send(b"1;" + b"a" * (MAX_HEAD_BYTES - 2))
    assert wire.statuses == []
    wire.send(b"a")
    assert wire.statuses == [b"400"]


@pytest.mark.parametrize("wish", [b"Upgrade: h2c", b"upgrade : websocket", b"UPGRADE:\th2c"])
def test_a_wish_for_another_protocol_is_taken_out_of_the_headers_and_of_nothing_else(
    wire: Wire, wish: bytes
) -> None:
    head = (
        b"POST /at-once HTTP/1.1\r\nX-Upgrade: a\r\nConnection: Upgrade\r\n%s\r\nContent-Length: 18\r\n\r\n"
    )
    wire.send(head % wish + b"\r\nUpgrade: body\r\n\r\n" + GET)
    assert wire.statuses == [b"200", b"200"]
    assert b"x-upgrade=a" in wire.received
    assert b"\nupgrade" not in wire.received.lower()


# --- answers that come before the request has ended ----------------------------------------------------------------


@pytest.fixture
def refused(wire: Wire) -> Wire:
    """The answer has come, the connection is to end with it, and the client is still sending its body."""
    wire.send(b"POST /at-once HTTP/1.0\r\n" + UPLOAD + b"begun")
    assert wire.statuses == [b"200"]
    return wire


def test_a_client_that_is_still_sending_gets_the_end_of_its_answer_and_is_heard_out(refused: Wire) -> None:
    assert refused.ended
    assert closes_after(refused, LINGER_S)


def test_it_gets_no_more_time_for_sending_slowly(refused: Wire) -> None:
    for _ in range(int(LINGER_S) - 1):
        refused.wait(1)
        refused.send(b"a")
    assert closes_after(refused, 1)


def test_it_is_let_go_as_soon_as_it_has_sent_all(refused: Wire) -> None:
    refused.send(bytes(994))
    assert not refused.closed
    refused.send(bytes(1) + GET + b"POST /read HTTP/1.1\r\nContent-Length: 1\r\n\r\na" + GET)
    assert refused.closed
    assert refused.statuses == [b"200"]
    assert refused.asked == ["/at-once"], "what follows is not even asked"


def test_it_is_let_go_when_it_sends_more_than_anyone_would_hear(
    refused: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server, "LINGER_BYTES", 100)
    refused.send(bytes(100))
    assert not refused.closed
    refused.send(bytes(1))
    assert refused.closed


def test_it_is_let_go_when_what_it_sends_is_no_http(wire: Wire) -> None:
    wire.send(b"POST /at-once HTTP/1.1\r\nConnection: close\r\n" + CHUNKS)
    wire.send(b"no chunk\r\n")
    assert wire.statuses == [b"200"]
    assert wire.closed


def test_it_is_let_go_when_the_server_ends(refused: Wire) -> None:
    refused.protocol.shutdown()
    assert refused.closed


def test_a_server_that_ends_first_gives_the_answer_that_is_due(wire: Wire) -> None:
    wire.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.protocol.shutdown()
    assert not wire.closed
    wire.finish.set()
    wire.settle()
    assert wire.statuses == [b"200"]
    assert b"connection: close" in wire.received
    assert wire.closed


def test_a_server_that_ends_answers_nothing_behind_the_answer_that_is_due(wire: Wire) -> None:
    wire.send(b"POST /late HTTP/1.1\r\n" + UPLOAD)
    wire.protocol.shutdown()
    wire.finish.set()
    wire.settle()
    assert wire.statuses == [b"200"]
    assert not wire.closed, "the client is still sending"
    wire.send(bytes(1000) + GET + b"POST /read HTTP/1.1\r\nContent-Length: 1\r\n\r\na" + GET)
    assert wire.closed
    assert wire.asked == ["/late"]


def test_behind_an_answer_that_ends_the_connection_nothing_is_asked_of_the_service(wire: Wire) -> None:
    wire.send(b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.send(b"POST /read HTTP/1.1\r\n" + UPLOAD + b"x")
    wire.finish.set()
    wire.settle()
    assert wire.ended
    assert wire.asked == ["/last"]
    assert wire.statuses == [b"200"]


def test_a_server_that_ends_waits_for_nobody_whose_upload_was_refused(wire: Wire) -> None:
    wire.send(b"POST /read HTTP/1.1\r\n" + CHUNKS)
    wire.send(b"no chunk\r\n")
    assert wire.statuses == [b"400"]
    wire.protocol.shutdown()
    assert wire.closed


def test_a_large_piece_of_its_body_is_no_reason_to_let_go(refused: Wire) -> None:
    refused.send(bytes(900))
    wire = Wire()
    wire.send(b"POST /at-once HTTP/1.0\r\nContent-Length: 1000000\r\n\r\n")
    wire.send(bytes(2 * MAX_HEAD_BYTES))
    assert not wire.closed
    assert wire.statuses == [b"200"]


def test_every_answer_is_counted(wire: Wire) -> None:
    wire.send(GET)
    wire.send(b"POST /at-once HTTP/1.1\r\nConnection: close\r\n" + UPLOAD)
    assert wire.state.total_requests == 2


@pytest.fixture
def kept(wire: Wire) -> Wire:
    """The answer has come, the connection is to be kept, and the client is still sending its body."""
    wire.send(b"POST /at-once HTTP/1.1\r\n" + UPLOAD)
    assert wire.statuses == [b"200"]
    return wire


def test_a_connection_that_is_to_be_kept_has_as_long_for_the_rest_of_a_refused_body(kept: Wire) -> None:
    kept.wait(IDLE_S + 1)
    kept.send(bytes(100))
    assert not kept.ended
    assert closes_after(kept, LINGER_S - IDLE_S - 1)


def test_its_next_request_is_answered(kept: Wire) -> None:
    kept.wait(LINGER_S - 1)
    kept.send(bytes(1000) + b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
    kept.wait(LINGER_S)
    kept.finish.set()
    kept.settle()
    assert kept.statuses == [b"200", b"200"]
    assert not kept.closed


def test_of_a_kept_connection_too_no_more_is_heard_than_that(
    kept: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server, "LINGER_BYTES", 300)
    kept.send(bytes(300))
    assert not kept.closed
    kept.send(bytes(1))
    assert kept.closed


def test_what_is_heard_of_one_request_does_not_count_for_the_next(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server, "LINGER_BYTES", 1500)
    for _ in range(3):
        wire.send(b"POST /at-once HTTP/1.1\r\n" + UPLOAD)
        wire.send(bytes(1000))
    assert wire.statuses == [b"200"] * 3
    # Nor does what came before the answer.
    wire.send(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 4000\r\n\r\n")
    wire.send(bytes(2000))
    assert not wire.closed


def test_a_body_that_arrives_with_its_headers_is_heard_out_in_no_time(wire: Wire) -> None:
    wire.send(b"POST /at-once HTTP/1.0\r\n" + UPLOAD + bytes(1000))
    assert wire.statuses == [b"200"]
    assert wire.closed


# --- what is no HTTP -----------------------------------------------------------------------------------------------


def test_what_is_no_http_is_refused_with_a_sentence_and_the_rest_is_not_read(wire: Wire) -> None:
    wire.send(b"no HTTP\r\n\r\n")
    head, body = wire.received.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nconnection: close" in head
    assert b"content-type: application/json" in head
    assert b"content-length: %d" % len(body) in head
    assert body == b'{"detail": "Invalid HTTP request received."}'
    assert wire.ended
    wire.send(GET)
    wire.send(b"no HTTP either\r\n\r\n")
    assert wire.statuses == [b"400"]
    assert closes_after(wire, LINGER_S)


def test_an_upload_that_turns_out_to_be_no_http_is_refused_and_the_service_told(wire: Wire) -> None:
    wire.send(b"POST /read HTTP/1.1\r\n" + CHUNKS + b"1\r\na\r\n")
    wire.send(b"no chunk\r\n")
    assert wire.statuses == [b"400"]
    assert wire.told == ["http.request", "http.disconnect"]
    wire.wait(LINGER_S - 1)
    wire.send(b"more")
    assert closes_after(wire, 1)


def test_an_answer_that_has_begun_is_not_mixed_with_a_refusal(wire: Wire) -> None:
    wire.send(b"POST /begin HTTP/1.1\r\n" + CHUNKS)
    wire.send(b"no chunk\r\n")
    assert wire.statuses == [b"200"]
    assert wire.closed


def test_a_refusal_behind_an_answer_comes_after_it(wire: Wire) -> None:
    wire.send(GET)
    wire.send(b"no HTTP\r\n\r\n")
    assert wire.statuses == [b"200", b"400"]
    assert not wire.closed


def test_a_refusal_does_not_overtake_the_answers_that_are_due(wire: Wire) -> None:
    """Of several requests in one go the client would take it for the answer to the first."""
    wire.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + GET + b"no HTTP\r\n\r\n")
    wire.finish.set()
    wire.settle()
    assert b"400" not in wire.statuses
    assert wire.closed


def test_a_client_that_is_refused_is_read_on_even_if_it_was_faster_than_the_service(wire: Wire) -> None:
    wire.send(
        b"POST /wait HTTP/1.1\r\n" + CHUNKS + b"%x\r\n" % 100_000 + bytes(100_000) + b"\r\nno chunk\r\n"
    )
    assert wire.statuses == [b"400"]
    assert not wire.paused


# --- answers that nobody reads -------------------------------------------------------------------------------------


@pytest.fixture
def unread(wire: Wire) -> Wire:
    """The client does not read, and its answer fills what the system keeps for it."""
    wire.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.protocol.pause_writing()
    return wire


def test_a_client_that_does_not_read_its_answer_is_cut_off(unread: Wire) -> None:
    unread.wait(1)
    unread.protocol.pause_writing()
    unread.wait(WRITE_TIMEOUT_S - 1 - A_MOMENT)
    assert not unread.closed
    unread.wait(2 * A_MOMENT)
    assert unread.aborted


def test_a_client_that_reads_on_gets_its_answer_and_all_its_time_anew(unread: Wire) -> None:
    for _ in range(3):
        unread.wait(WRITE_TIMEOUT_S - 1)
        unread.protocol.resume_writing()
        unread.protocol.pause_writing()
    unread.finish.set()
    unread.settle()
    assert unread.statuses == []
    unread.protocol.resume_writing()
    unread.settle()
    assert unread.statuses == [b"200"]


def test_a_client_that_stops_reading_once_more_is_cut_off_then(unread: Wire) -> None:
    unread.wait(1)
    unread.protocol.resume_writing()
    unread.wait(WRITE_TIMEOUT_S)
    unread.protocol.pause_writing()
    unread.wait(WRITE_TIMEOUT_S - A_MOMENT)
    assert not unread.aborted
    unread.wait(2 * A_MOMENT)
    assert unread.aborted


@pytest.mark.parametrize("said", [b"", b"GET /", b"POST /wait HTTP/1.1\r\n" + UPLOAD])
def test_a_connection_that_is_gone_leaves_nothing_to_be_done_later(said: bytes) -> None:
    for full in (False, True):
        wire = Wire()
        wire.send(said)
        if full:
            wire.protocol.pause_writing()
        wire.close()
        wire.wait(2 * WRITE_TIMEOUT_S)
        assert not wire.aborted
        assert wire.closings == 2, "this test, and uvicorn where it hears that it is gone"
        assert wire.state.connections == set()
