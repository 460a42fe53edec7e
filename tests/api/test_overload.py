"""What the app does when there is too much to do, when its own code fails, and what it writes down of each request."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.requests import ClientDisconnect

from api import _requests, _service
from api._admission import MAX_PHOTOS_WAITING, RETRY_AFTER_S
from api._photo.image import Photo, decode
from api._requests import FailureMiddleware, JsonFormatter, RequestMiddleware, RequestRecord
from api._security import SecurityHeaders
from tests.conftest import InProcess, encode

JPEG = {"Content-Type": "image/jpeg"}
PAGE = "https://page.example"


@pytest.fixture
def app() -> Iterator[InProcess]:
    with InProcess(ALLOWED_ORIGINS=PAGE, MAX_UPLOAD_BYTES="1000000") as client:
        yield client


def admission(app: InProcess) -> Any:
    return app.app.state.service.admission


def batch(app: InProcess, *photos: bytes) -> httpx.Response:
    return app.post("/predict/batch", files=[("files", photo) for photo in photos])


def check_refused(response: httpx.Response) -> None:
    assert response.status_code == 503
    assert response.headers["Retry-After"] == str(RETRY_AFTER_S) == "2"
    assert response.json() == {"detail": "Too many photos are waiting. Send this one again in a few seconds."}


def test_a_photo_too_many_is_told_to_come_back_and_the_next_one_is_answered(
    app: InProcess, cat_jpeg: bytes
) -> None:
    with admission(app).work(MAX_PHOTOS_WAITING):
        check_refused(app.post("/predict", content=cat_jpeg, headers=JPEG))
        assert app.get("/health").status_code == 200
    with admission(app).work(MAX_PHOTOS_WAITING - 1):
        assert app.post("/predict", content=cat_jpeg, headers=JPEG).status_code == 200
        check_refused(batch(app, cat_jpeg, cat_jpeg))
        assert batch(app, cat_jpeg).status_code == 200
    assert (admission(app).photos, admission(app).bytes) == (0, 0)


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_bytes_too_many_in_all_requests_together_are_refused(
    app: InProcess, cat_jpeg: bytes, path: str
) -> None:
    def send() -> httpx.Response:
        return batch(app, cat_jpeg) if path == "/predict/batch" else app.post(path, files={"file": cat_jpeg})

    with admission(app).upload() as others:
        others.add(admission(app).max_bytes - len(cat_jpeg))  # the form around the photo is too much
        check_refused(send())
        assert admission(app).bytes == admission(app).max_bytes - len(cat_jpeg)
    assert send().status_code == 200
    assert admission(app).bytes == 0


def test_the_photos_that_are_worked_on_and_their_bytes_are_counted(
    app: InProcess, cat_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(*given: Any) -> Photo:
        seen.append((admission(app).photos, admission(app).bytes))
        return decode(*given)

    monkeypatch.setattr(_service, "decode", look)
    app.post("/predict", content=cat_jpeg, headers=JPEG)
    assert seen == [(1, len(cat_jpeg))]
    seen.clear()
    batch(app, cat_jpeg, cat_jpeg, cat_jpeg)
    assert [photos for photos, _ in seen] == [3, 3, 3]
    assert all(held > 3 * len(cat_jpeg) for _, held in seen)


def test_the_limit_on_pixels_holds_for_each_photo_of_a_batch(cat: Image.Image, cat_jpeg: bytes) -> None:
    with InProcess(MAX_PIXELS="100000") as app:
        results = batch(app, encode(cat.resize((300, 300))), cat_jpeg).json()["results"]
    assert [result.get("status") for result in results] == [None, 413]
    assert "451 x 300" in results[1]["detail"]


def test_a_batch_of_nothing_readable_is_still_answered(app: InProcess) -> None:
    body = batch(app, b"no photo", b"").json()
    assert [result["status"] for result in body["results"]] == [400, 400]
    assert body["processing_time_ms"] >= 0


def test_the_milliseconds_of_a_batch_are_those_of_its_photos_together(
    app: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = app.app.state.service.model.input_size
    photo = Photo(np.zeros((size, size, 3), np.uint8), 5, 5, "JPEG", 300.25, 4_000.5)
    monkeypatch.setattr(_service, "decode", lambda *_: photo)
    ticks = iter(range(100))
    monkeypatch.setattr(_service, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    response = batch(app, b"a", b"b")
    assert (
        "decode;dur=600.50, resize;dur=8001.00, infer;dur=1000.00, total;dur="
        in response.headers["Server-Timing"]
    )
    assert response.json()["processing_time_ms"] == 600.5 + 8_001 + 1_000
    one = app.post("/predict", content=b"a", headers=JPEG)
    assert (
        "decode;dur=300.25, resize;dur=4000.50, infer;dur=1000.00, total;dur=" in one.headers["Server-Timing"]
    )
    assert one.json()["processing_time_ms"] == 5_300.75


def test_without_a_model_no_upload_is_read_in_vain(tmp_path: Any) -> None:
    with InProcess(MODEL_DIR=str(tmp_path), LOG_LEVEL="CRITICAL") as app:
        for response in (app.post("/predict", content=b"nothing like a form"), app.post("/predict/batch")):
            assert response.status_code == 503
            assert "No model is published" in response.json()["detail"]
            assert "Retry-After" not in response.headers
        assert "Purrdict" in app.get("/").json()["message"]


# --- failures of the code


def test_a_failure_of_the_code_is_a_sentence_with_the_request_id_and_a_traceback_in_the_log(
    app: InProcess, cat_jpeg: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a slip")

    monkeypatch.setattr(app.app.state.service.classifier, "_session", SimpleNamespace(run=fail))
    _requests.configure_logging("ERROR")
    headers = {**JPEG, "X-Request-ID": "mine-2", "Origin": PAGE}
    response = app.post("/predict", content=cat_jpeg, headers=headers)
    assert response.status_code == 500
    assert "report the request id mine-2" in response.json()["detail"]
    assert response.headers["X-Request-ID"] == "mine-2"
    assert response.headers["Access-Control-Allow-Origin"] == PAGE, "the page can read it"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["level"], line["message"], line["request_id"]) == ("ERROR", "unhandled failure", "mine-2")
    assert "RuntimeError: a slip" in line["traceback"]
    assert admission(app).photos == admission(app).bytes == 0


def run(middleware: Any, kind: str = "http", **scope: Any) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"12345", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(middleware({"type": kind, "method": "POST", "headers": [], **scope}, receive, send))
    return sent


@pytest.mark.parametrize(
    ("kind", "begun", "error"),
    [
        ("http", 1, RuntimeError()),
        ("http", 2, RuntimeError()),
        ("lifespan", 0, RuntimeError()),
        ("http", 0, ClientDisconnect()),
    ],
)
def test_where_no_answer_can_be_given_a_failure_is_passed_on(kind: str, begun: int, error: Exception) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun >= 1:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if begun >= 2:
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise error

    with pytest.raises(type(error)):
        run(FailureMiddleware(app), kind, purrdict=RequestRecord("a"))


# --- the log


def logged(
    capsys: pytest.CaptureFixture[str], app: Any, level: str = "INFO", **scope: Any
) -> list[dict[str, Any]]:
    _requests.configure_logging(level)
    run(RequestMiddleware(app, SecurityHeaders(())), **scope)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_client_that_left_is_in_the_log_with_its_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ClientDisconnect

    (line,) = logged(capsys, app)
    assert (line["status"], line["bytes_in"], line["method"], line["route"]) == (499, 5, "POST", None)
    assert "photos" not in line
    assert "prediction" not in line
    assert line["total_ms"] >= 0


def test_a_line_tells_the_timings_and_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        record = _requests.record_of(scope)
        record.timings, record.photos, record.prediction, record.recognized = (
            {"infer": 3.14159},
            1,
            "cat",
            False,
        )
        await send({"type": "http.response.start", "status": 201, "headers": []})

    (line,) = logged(capsys, app, route=SimpleNamespace(path="/predict"))
    assert (line["status"], line["route"], line["infer_ms"], line["photos"]) == (201, "/predict", 3.14, 1)
    assert (line["prediction"], line["recognized"]) == ("cat", False)


def test_a_line_names_the_trace_that_its_request_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        _requests.record_of(scope).trace_id = "0af7651916cd43dd8448eb211c80319c"

    (line,) = logged(capsys, app)
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


def test_the_header_and_the_line_tell_the_same_milliseconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(_requests, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        clock.now = 100.25
        await send({"type": "http.response.start", "status": 200, "headers": []})

    _requests.configure_logging("INFO")
    (start,) = run(RequestMiddleware(app, SecurityHeaders(())))
    assert dict(start["headers"])[b"server-timing"] == b"total;dur=250.00"
    assert json.loads(capsys.readouterr().out)["total_ms"] == 250


def test_above_its_level_the_log_has_no_lines_of_requests(capsys: pytest.CaptureFixture[str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pass

    assert logged(capsys, app, "WARNING") == []
    assert len(logged(capsys, app, "INFO")) == 1


def test_what_is_no_request_passes_by_unseen(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        assert "purrdict" not in scope

    assert logged(capsys, app, kind="lifespan") == []
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("a" * 64, True), ("a" * 65, False), ("A.b_c-9", True), ("", False), ("a b", False), ("ä", False)],
)
def test_a_request_id_from_outside_is_kept_where_it_can_do_no_harm(sent: str, kept: bool) -> None:
    scope: Any = {"headers": [(b"other", b"x"), (b"x-request-id", sent.encode("latin-1"))]}
    found = _requests._request_id(scope)
    assert (found == sent) is kept
    assert kept or len(found) == 32


def test_nothing_is_known_of_a_request_at_its_beginning() -> None:
    record = RequestRecord("a")
    assert (record.bytes_in, record.photos, record.submitted_ns, record.timings) == (0, 0, 0, {})
    assert record.server_timing(1) == "total;dur=1.00"
    assert (record.prediction, record.recognized, record.refused, record.trace_id) == (None, None, None, None)


def test_the_timings_are_written_as_the_header_wants_them() -> None:
    record = RequestRecord("a", timings={"decode": 1.234, "infer": 20})
    assert record.server_timing(30.999) == "decode;dur=1.23, infer;dur=20.00, total;dur=31.00"


def test_a_line_of_the_log_is_one_json_object_with_its_moment_in_utc() -> None:
    record = logging.LogRecord("purrdict", logging.WARNING, "", 0, "two\nlines %s", ("x",), None)
    record.created = 1_700_000_000.5
    record.fields = {"path": io.StringIO}
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line == {
        "time": "2023-11-14T22:13:20.500+00:00", "level": "WARNING", "message": "two\nlines x",
        "path": str(io.StringIO),
    }  # fmt: skip
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None


def test_the_log_goes_to_the_standard_output_once_however_many_apps_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in range(2):
        _requests.configure_logging("INFO")
    assert len(_requests.log.handlers) == 1
    assert _requests.log.handlers[0].stream is sys.stdout  # type: ignore[attr-defined]
    assert not _requests.log.propagate
    _requests.log.info("once")
    assert capsys.readouterr().out.count("once") == 1


def test_a_log_that_nobody_reads_any_more_is_lost_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    _requests.configure_logging("INFO")
    _requests.log.handlers[0].setStream(Closed())  # type: ignore[attr-defined]
    _requests.log.info("gone")
    assert capsys.readouterr().err == ""
