"""Sending feedback: what is stored, what is refused and why, on both databases."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tests.services.feedback.conftest import KEY, Service, jpeg, said


def test_a_correction_is_stored_and_counted_against_the_model(service: Service) -> None:
    answer = service.send(correction="dog")
    assert answer.status_code == 201
    assert answer.json().keys() == {"id", "deletion_token", "photo_stored"}
    row = service.owner().json()["feedback"][0]
    assert (row["id"], row["prediction"], row["correction"], row["truth"], row["agrees"]) == (
        answer.json()["id"], "cat", "dog", "dog", False,
    )  # fmt: skip
    assert row["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("changes", "truth", "agrees"),
    [
        ({}, "cat", True),
        ({"correction": "cat"}, "cat", True),
        ({"correction": "neither"}, "neither", False),
        ({"recognized": False}, "neither", True),
        ({"recognized": False, "correction": "cat"}, "cat", False),
        ({"recognized": False, "correction": "neither"}, "neither", True),
    ],
)
def test_what_is_right_depends_on_what_was_shown(
    service: Service, changes: dict[str, Any], truth: str, agrees: bool
) -> None:
    service.send(**changes)
    row = service.owner().json()["feedback"][0]
    assert (row["truth"], row["agrees"]) == (truth, agrees)


def test_a_repeated_request_is_stored_once_and_gets_the_same_answer(service: Service) -> None:
    first, second = service.send(correction="dog"), service.send(correction="dog")
    assert (second.status_code, second.json()) == (201, first.json())
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert service.count() == 1


def test_requests_repeated_at_one_time_are_stored_once(service: Service) -> None:
    answers = service.all([("POST", "/feedback", {"json": said()}) for _ in range(12)])
    assert len({answer.text for answer in answers}) == 1
    assert service.count() == 1


def test_another_client_may_use_the_same_request_id(service: Service) -> None:
    one, other = service.send(), service.send(client="203.0.113.8")
    assert one.json()["id"] != other.json()["id"]
    assert service.count() == 2


def test_a_request_id_with_another_correction_is_refused(service: Service) -> None:
    service.send(correction="dog")
    answer = service.send(correction="neither")
    assert answer.status_code == 409
    assert "Delete it" in answer.json()["detail"]
    assert service.owner().json()["feedback"][0]["correction"] == "dog"


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"request_id": "a b"}, "request_id"),
        ({"request_id": "x" * 65}, "request_id"),
        ({"request_id": None}, "request_id"),
        ({"confidence": 1.5}, "confidence"),
        ({"confidence": "0.5"}, "confidence"),
        ({"recognized": "yes"}, "recognized"),
        ({"model_version": "../1"}, "model_version"),
        ({"prediction": ""}, "prediction"),
        ({"correction": "../../etc"}, "correction"),
        ({"correction": ".hidden"}, "correction"),
        ({"correction": "a\x00b"}, "correction"),
        ({"correction": "a\u202eb"}, "correction"),
        ({"correction": "x" * 201}, "correction"),
        ({"correction": "柴" * 100}, "correction"),
        ({"correction": ["dog"]}, "correction"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(
    make: Callable[..., Service], changes: dict[str, Any], names: str
) -> None:
    answer = make().send(**changes)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(names)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 16_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b'{"confidence": NaN}', "application/json", 422),
        (b"x" * 20_000, "application/json", 413),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"", "", 415),
        (b"nonsense", "multipart/form-data", 400),
        (b"nonsense", "multipart/form-data; boundary=x", 400),
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n", "multipart/form-data; boundary=x", 422),
    ],
)
def test_a_body_that_is_none_is_refused_with_a_sentence(
    make: Callable[..., Service], body: bytes, kind: str, status: int
) -> None:
    answer = make().request("POST", "/feedback", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"].endswith(".")


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE feedback; --", '" OR 1=1 --', "%' UNION SELECT * FROM photos --", "$1", ":id"]
)
def test_sql_in_a_field_is_text(service: Service, text: str) -> None:
    assert service.send(prediction=text, correction=text).status_code == 201
    assert service.owner(params={"prediction": text}).json()["feedback"][0]["prediction"] == text
    assert service.owner(params={"truth": text, "model_version": text}).json()["feedback"] == []
    assert service.count() == 1


@pytest.mark.parametrize("label", ["🐈‍⬛", "柴犬の子犬", "شقائق النعمان", "e\u0301té", "a" * 200])
def test_a_label_may_be_of_any_script(service: Service, label: str) -> None:
    import unicodedata

    service.send(correction=label)
    assert service.owner().json()["feedback"][0]["truth"] == unicodedata.normalize("NFC", label)


def test_labels_that_the_model_does_not_know_are_refused(make: Callable[..., Service]) -> None:
    service = make(FEEDBACK_LABELS="cat, dog")
    answer = service.send(correction="rabbit")
    assert answer.status_code == 422
    assert "cat, dog" in answer.json()["detail"]
    assert service.send(prediction="fish").status_code == 422
    assert service.send(correction="neither").status_code == 201


def test_a_client_may_send_so_many_an_hour_and_others_go_on(service: Service) -> None:
    requests = [("POST", "/feedback", {"json": said(request_id=f"r{i}")}) for i in range(70)]
    answers = service.all(requests)
    assert sorted(answer.status_code for answer in answers) == [201] * 60 + [429] * 10
    assert "Retry-After" in next(answer for answer in answers if answer.status_code == 429).headers
    assert service.send(client="2001:db8::1").status_code == 201
    stored = next(i for i, answer in enumerate(answers) if answer.status_code == 201)
    assert service.send(request_id=f"r{stored}").status_code == 201, "a repeated request is none too many"


def test_one_networks_addresses_of_ipv6_count_as_one_client(make: Callable[..., Service]) -> None:
    service = make(FEEDBACK_PER_HOUR="1")
    assert service.send(client="2001:db8::1").status_code == 201
    assert service.send(client="2001:db8::2", request_id="r2").status_code == 429
    assert service.send(client="2001:db8:1::2", request_id="r3").status_code == 201


def test_a_client_cannot_choose_its_address_behind_a_proxy(make: Callable[..., Service]) -> None:
    service = make(FEEDBACK_PER_HOUR="1", TRUSTED_HOPS="1")

    def send(forwarded: str, request_id: str) -> int:
        headers = {"X-Forwarded-For": forwarded}
        return service.request(
            "POST", "/feedback", json=said(request_id=request_id), headers=headers
        ).status_code

    assert send("198.51.100.1", "a") == 201
    assert send("192.0.2.99, 198.51.100.1", "b") == 429
    assert send("198.51.100.2", "c") == 201


def test_without_a_proxy_the_header_means_nothing(make: Callable[..., Service]) -> None:
    service = make(FEEDBACK_PER_HOUR="1")
    service.send()
    headers = {"X-Forwarded-For": "198.51.100.1"}
    assert service.request("POST", "/feedback", json=said(request_id="b"), headers=headers).status_code == 429


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 201),
        ("http://feedback.test", 201),
        ("https://page.example", 201),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
def test_only_allowed_pages_make_their_visitors_send(
    make: Callable[..., Service], origin: str | None, status: int
) -> None:
    service = make(ALLOWED_ORIGINS="https://page.example")
    headers = {"Origin": origin} if origin else {}
    answer = service.request("POST", "/feedback", data={k: str(v) for k, v in said(correction="dog").items()},
                             files={"x": b""}, headers=headers)  # fmt: skip
    assert answer.status_code == status, answer.text


def test_an_allowed_page_may_send_and_delete(make: Callable[..., Service]) -> None:
    service = make(ALLOWED_ORIGINS="https://page.example")
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "DELETE",
             "Access-Control-Request-Headers": "x-deletion-token"}  # fmt: skip
    answer = service.request("OPTIONS", "/feedback/abc", headers=asked)
    assert answer.status_code == 200
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "x-deletion-token"


def test_a_photo_is_kept_small_and_without_its_place_camera_and_comment(
    service: Service, photo: bytes
) -> None:
    for secret in (b"SECRETCAMERA", b"SECRETCOMMENT", b"SECRETXMP", b"Exif"):
        assert secret in photo
    answer = service.send(photo=photo, correction="dog")
    assert answer.json()["photo_stored"] is True
    kept = service.owner(f"/feedback/{answer.json()['id']}/photo")
    assert kept.headers["content-type"] == "image/jpeg"
    for secret in (b"SECRET", b"Exif", b"xmp", b"ICC_PROFILE"):
        assert secret not in kept.content
    picture = Image.open(io.BytesIO(kept.content))
    assert max(picture.size) == 640
    assert not picture.getexif()


def test_a_photo_is_turned_upright(make: Callable[..., Service]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    service = make()
    answer = service.send(photo=jpeg(Image.new("RGB", (300, 200), "red"), exif=exif))
    kept = Image.open(io.BytesIO(service.owner(f"/feedback/{answer.json()['id']}/photo").content))
    assert kept.size == (200, 300)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "I;16", "CMYK"])
def test_pictures_of_every_kind_are_taken(mode: str) -> None:
    from services.feedback.photo import clean

    buffer = io.BytesIO()
    Image.new("L", (900, 30), 200).convert(mode).save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    kept = clean(buffer.getvalue())
    assert (kept.width, kept.height) == (640, 21)
    assert Image.open(io.BytesIO(kept.jpeg)).mode == "RGB"


def test_a_photo_without_consent_is_refused_and_nothing_is_stored(service: Service, photo: bytes) -> None:
    fields = {name: str(value) for name, value in said(correction="dog").items()}
    answer = service.request("POST", "/feedback", data=fields, files={"photo": ("p.jpg", photo)})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("consent")
    assert service.count() == 0


@pytest.mark.parametrize(
    "data", [b"", b"no photo", b"GIF89a", b"\xff\xd8\xff\xe0" + b"\0" * 100, b"<svg/>", b"%!PS-Adobe"]
)
def test_a_photo_that_is_none_is_refused(make: Callable[..., Service], data: bytes) -> None:
    service = make()
    answer = service.send(photo=data)
    assert answer.status_code == 400, answer.text
    assert service.count() == 0


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(make: Callable[..., Service]) -> None:
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    answer = make().send(photo=buffer.getvalue())
    assert answer.status_code == 400
    assert "million pixels" in answer.json()["detail"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_photo_of_50_mb_is_refused_without_being_read(
    make: Callable[..., Service], announced: bool
) -> None:
    read = 0

    async def body() -> Any:
        nonlocal read
        for _ in range(50):
            read += 1
            yield b"x" * 1_000_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    if announced:
        headers["Content-Length"] = "50000000"
    answer = make().request("POST", "/feedback", content=body(), headers=headers)
    assert answer.status_code == 413
    assert read <= (0 if announced else 6)


def test_when_the_room_for_photos_is_used_up_corrections_are_still_taken(
    make: Callable[..., Service], photo: bytes
) -> None:
    answer = make(FEEDBACK_MAX_PHOTOS_MB="0").send(photo=photo, correction="dog")
    assert answer.status_code == 201
    assert answer.json()["photo_stored"] is False


def test_nothing_of_who_sent_it_is_in_the_database_but_a_hash(service: Service, database_url: str) -> None:
    service.send(client="203.0.113.77")
    import sqlalchemy as sa

    from services.feedback.schema import feedback

    with service.database.reading() as connection:
        row = connection.execute(sa.select(feedback)).mappings().one()
    assert "203.0.113.77" not in str(dict(row))
    assert len(row["client"]) == 32
    others = Service(DATABASE_URL=database_url, FEEDBACK_SECRET="another-secret-for-other-hashes")
    assert others.app.state.feedback.privacy.client("203.0.113.77") != row["client"]


def test_the_log_has_no_address_label_key_or_token(
    make: Callable[..., Service], capsys: pytest.CaptureFixture[str]
) -> None:
    service = make(LOG_LEVEL="DEBUG")
    capsys.readouterr()
    token = service.send(client="203.0.113.77", correction="secretlabel").json()["deletion_token"]
    service.owner(params={"truth": "secretlabel"})
    service.request("DELETE", "/feedback/secretid", headers={"X-Deletion-Token": token})
    log = capsys.readouterr().out
    assert log.count('"message": "request"') == 3
    for secret in ("203.0.113.77", "secretlabel", "secretid", token, KEY):
        assert secret not in log
