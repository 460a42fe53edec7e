"""POST /predict and /predict/batch with the published model."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import InProcess, LocalServer, connect, encode, serving

FORM = {"Content-Type": "multipart/form-data; boundary=frontier"}


def test_a_cat_is_a_cat(client: httpx.Client, cat_jpeg: bytes) -> None:
    response = client.post("/predict", files={"file": ("chelsea.jpg", cat_jpeg, "image/jpeg")})
    assert response.status_code == 200
    body = response.json()
    assert body["prediction"] == "cat"
    assert body["recognized"] is True
    assert body["confidence"] == body["probabilities"]["cat"] > 0.5
    assert sum(body["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert set(body["probabilities"]) == {"cat", "dog"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["timestamp"])
    assert body["processing_time_ms"] > 0
    assert "heatmap" not in body


def test_the_raw_photo_as_the_body_gives_the_same_answer_as_the_form(
    client: httpx.Client, cat_jpeg: bytes
) -> None:
    form = client.post("/predict", files={"file": ("a.jpg", cat_jpeg)}).json()
    raw = client.post("/predict", content=cat_jpeg, headers={"Content-Type": "image/jpeg"}).json()
    assert raw["probabilities"] == form["probabilities"]


def test_the_content_type_of_the_photo_does_not_matter_only_its_bytes_do(
    client: httpx.Client, cat_jpeg: bytes
) -> None:
    response = client.post("/predict", files={"file": ("notes.txt", cat_jpeg, "text/plain")})
    assert response.json()["prediction"] == "cat"


def test_explain_adds_a_heatmap_over_the_photo(client: httpx.Client, cat_jpeg: bytes) -> None:
    response = client.post("/predict?explain=true", files={"file": cat_jpeg})
    heatmap = response.json()["heatmap"]
    values = np.array(heatmap["values"])
    assert heatmap["label"] == "cat"
    assert values.shape == (heatmap["rows"], heatmap["columns"])
    assert values.min() >= 0
    assert values.max() == pytest.approx(1, abs=1e-3)
    assert values.std() > 0.05, "a flat map explains nothing"


def test_a_batch_answers_each_photo_in_order_and_an_error_spoils_no_other(
    client: httpx.Client, cat_jpeg: bytes, coffee: Image.Image
) -> None:
    photos = [cat_jpeg, b"", encode(coffee), b"no photo"]
    body = client.post(
        "/predict/batch", files=[("files", (f"{i}.jpg", data)) for i, data in enumerate(photos)]
    ).json()
    results = body["results"]
    assert [result["index"] for result in results] == [0, 1, 2, 3]
    assert [result.get("status", 200) for result in results] == [200, 400, 200, 400]
    alone = client.post("/predict", files={"file": cat_jpeg}).json()
    assert results[0]["probabilities"] == pytest.approx(alone["probabilities"], abs=2e-3)
    assert not any({"heatmap", "heatmaps"} & result.keys() for result in results), "nobody asked for them"
    assert "empty" in results[1]["detail"]


def test_a_batch_explains_too(client: httpx.Client, cat_jpeg: bytes) -> None:
    body = client.post("/predict/batch?explain=true", files=[("files", cat_jpeg), ("files", cat_jpeg)]).json()
    assert [result["heatmap"]["label"] for result in body["results"]] == ["cat", "cat"]


def test_a_batch_of_hundreds_is_refused(client: httpx.Client, cat: Image.Image) -> None:
    small = encode(cat.resize((8, 8)))
    response = client.post("/predict/batch", files=[("files", small)] * 300)
    assert response.status_code == 413
    assert "at most 32" in response.json()["detail"]


def test_the_answers_carry_their_timings_and_a_request_id(client: httpx.Client, cat_jpeg: bytes) -> None:
    response = client.post("/predict", files={"file": cat_jpeg}, headers={"X-Request-ID": "mine-1"})
    timings = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"]))
    assert set(timings) == {"queue", "decode", "resize", "infer", "total"}
    assert float(timings["total"]) >= float(timings["infer"]) > 0
    assert response.headers["X-Request-ID"] == "mine-1"


@pytest.mark.parametrize(
    ("request_options", "status", "says"),
    [
        ({}, 422, "multipart"),
        ({"files": {"photo": b"x"}}, 422, "No photo in the field `file` (the form has: photo)"),
        ({"data": {"file": "text"}, "files": {"other": b"x"}}, 422, "holds text, not a file"),
        ({"json": {"file": "x"}}, 422, "multipart"),
        (
            {"content": b"a=b", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
            422,
            "multipart",
        ),
        ({"files": [("file", b"a"), ("file", b"b")]}, 422, "several files"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "no boundary"),
        ({"content": b"--frontier\r\n", "headers": FORM}, 400, "breaks off"),
        ({"content": b"--other\r\n\r\n", "headers": FORM}, 400, "malformed"),
        ({"files": {"file": b""}}, 400, "empty"),
        ({"content": b"", "headers": {"Content-Type": "image/jpeg"}}, 400, "empty"),
        ({"files": {"file": b"just text"}}, 400, "no image"),
        ({"files": {"file": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}}, 400, "SVG is not read"),
        ({"files": {"file": b"%PDF-1.7"}}, 400, "PDF is not read"),
        ({"files": {"file": b"\x89PNG\r\n\x1a\n"}}, 400, "PNG file is damaged"),
    ],
)
def test_bad_requests_get_a_sentence_that_says_what_to_do(
    client: httpx.Client, request_options: dict[str, Any], status: int, says: str
) -> None:
    response = client.post("/predict", **request_options)
    assert response.status_code == status
    assert says in response.json()["detail"]


def test_a_multipart_body_that_never_closes_is_refused(client: httpx.Client, cat_jpeg: bytes) -> None:
    part = b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    response = client.post("/predict", content=part + cat_jpeg, headers=FORM)
    assert response.status_code == 400
    assert "breaks off" in response.json()["detail"]


@pytest.fixture(scope="module")
def small() -> Iterator[LocalServer]:
    """A server that takes no photo over 100,000 bytes."""
    with serving(MAX_UPLOAD_BYTES="100000") as running:
        yield running


def test_a_body_over_the_limit_is_refused_by_its_declared_length_without_reading_it(
    small: LocalServer,
) -> None:
    with connect(small) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 99000000\r\n\r\n"
        )
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_streamed_body_is_refused_once_it_passes_the_limit(small: LocalServer) -> None:
    with connect(small) as connection:
        head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head)
        chunk = b"%x\r\n%s\r\n" % (20_000, bytes(20_000))
        for _ in range(6):  # 120,000 bytes and no end
            connection.sendall(chunk)
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413")
    with small.client() as client:
        assert client.get("/health").status_code == 200


def test_a_client_that_is_still_sending_reads_the_413(small: LocalServer) -> None:
    with small.client() as client:
        response = client.post("/predict", files={"file": bytes(8_000_000)})
    assert response.status_code == 413
    assert "100,000 bytes" in response.json()["detail"]


def test_a_photo_with_too_many_pixels_is_refused(cat_jpeg: bytes) -> None:
    with InProcess(MAX_PIXELS="100000") as client:
        response = client.post("/predict", files={"file": cat_jpeg})
    assert response.status_code == 413
    assert "451 x 300" in response.json()["detail"]


def test_a_wrong_parameter_gets_a_sentence(client: httpx.Client, cat_jpeg: bytes) -> None:
    response = client.post("/predict?explain=perhaps", files={"file": cat_jpeg})
    assert response.status_code == 422
    assert "explain" in response.json()["detail"]


def test_every_request_gets_one_json_line_without_file_name_or_key(
    capsys: pytest.CaptureFixture[str], cat_jpeg: bytes
) -> None:
    with InProcess(API_KEYS="a-secret-key", LOG_LEVEL="INFO") as client:
        files = {"file": ("my-private-name.jpg", cat_jpeg)}
        client.post("/predict", files=files, headers={"X-API-Key": "a-secret-key", "X-Request-ID": "r1"})
        client.get("/no/such/private-path?token=private", headers={"X-Request-ID": "bad id [31m"})
    text = capsys.readouterr().out
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    line = next(line for line in lines if line.get("request_id") == "r1")
    assert (line["route"], line["status"], line["prediction"]) == ("/predict", 200, "cat")
    assert line["bytes_in"] > len(cat_jpeg)
    assert {"decode_ms", "resize_ms", "infer_ms", "total_ms"} <= set(line)
    assert "private" not in text
    assert "a-secret-key" not in text
    assert re.fullmatch(r"[0-9a-f]{32}", lines[-1]["request_id"]), "an unclean id from outside is replaced"
