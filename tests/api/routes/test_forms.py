"""Multipart forms as clients of all kinds build them: what decides is what a part holds, not how it is labelled."""

import httpx
import pytest
from PIL import Image

from tests.conftest import InProcess, encode

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]


@pytest.fixture(scope="module")
def app() -> InProcess:
    return InProcess()


def send(app: InProcess, path: str, *parts: tuple[str, bytes]) -> httpx.Response:
    """Posts a form with these parts: their headers, and what they hold."""
    body = b"".join(b"--edge\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    return app.post(path, content=body + b"--edge--\r\n", headers=headers)


LABELS = [
    'Content-Disposition: form-data; name="{}"',
    "Content-Disposition: form-data; name={}",
    'content-disposition: form-data;name="{}"',
    'Content-Disposition: form-data; name="{}"\r\nContent-Type: image/jpeg',
    'Content-Type: application/octet-stream\r\nContent-Disposition: form-data; name="{}"',
    'Content-Disposition: form-data; name="{}"\r\nContent-Type: text/plain; charset=utf-8',
    'Content-Disposition: form-data; name="{}"; filename=""',
    "Content-Disposition: form-data; name=\"{}\"; filename*=UTF-8''caf%C3%A9.jpg",
    'Content-Disposition: form-data; name="{}"\r\nContent-Length: 3\r\nContent-Transfer-Encoding: binary',
]


@pytest.mark.parametrize("label", LABELS)
def test_a_part_that_holds_a_photo_is_the_photo_however_it_is_labelled(
    app: InProcess, cat_jpeg: bytes, label: str
) -> None:
    answer = send(app, "/predict", (label.format("file"), cat_jpeg))
    assert (answer.status_code, answer.json().get("prediction")) == (200, "cat"), answer.text
    batch = send(app, "/predict/batch", *[(label.format("files"), cat_jpeg)] * 2)
    assert [result.get("prediction") for result in batch.json()["results"]] == ["cat", "cat"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_photo_without_a_file_name_is_read_in_every_format(
    app: InProcess, cat: Image.Image, name: str
) -> None:
    answer = send(app, "/predict", (LABELS[0].format("file"), encode(cat, name)))
    assert (answer.status_code, answer.json().get("prediction")) == (200, "cat"), answer.text


def test_text_in_the_field_is_still_said_to_be_text(app: InProcess) -> None:
    texts = [
        "photo.jpg",
        "",
        "BMW",
        "GIF89a",
        "data:image/jpeg;base64,/9j/4AAQ",
        "Käthe\r\n\tund Kater",
        "%PDF",
    ]
    for text in texts:
        for path, name in (("/predict", "file"), ("/predict/batch", "files")):
            for label in (LABELS[0], LABELS[5]):
                answer = send(app, path, (label.format(name), text.encode()))
                assert answer.status_code == 422, text
                assert "holds text, not a file" in answer.json()["detail"], text


def test_bytes_that_are_neither_text_nor_a_photo_are_refused_as_a_file_would_be(app: InProcess) -> None:
    for label, data, says in (
        (LABELS[0], b"\x00\x01\x02" * 50, "no image"),
        (LABELS[0], b"\x00\x00\x00\x18ftypmp42" + bytes(20), "MP4 video is not read"),
        (LABELS[0], b"\x89PNG\r\n\x1a\n", "damaged"),
        (LABELS[3], b"text after all", "no image"),
        (LABELS[3], b"", "empty"),
        (LABELS[7], b"text after all", "no image"),
    ):
        answer = send(app, "/predict", (label.format("file"), data))
        assert answer.status_code == 400, label
        assert says in answer.json()["detail"]
