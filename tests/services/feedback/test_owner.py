"""What the owner sees, and nobody else; and deletion."""

from __future__ import annotations

import csv
import io
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from services.feedback import query, retention, stats
from services.feedback.query import Filter
from services.feedback.schema import feedback
from services.feedback.writer import Entry
from tests.conftest import require
from tests.services.feedback.conftest import KEY, Service


def fill(service: Service, count: int, **changes: Any) -> None:
    """Stores rows without HTTP."""
    service.database.prepare()
    rows = [
        Entry(**{"client": f"c{i}", "request_id": f"r{i}", "model_version": "1.0.0", "prediction": "cat",
                 "confidence": (i % 100) / 100, "recognized": True, "correction": "dog" if i % 4 == 0 else None,
                 **changes}).row()
        for i in range(count)
    ]  # fmt: skip
    with service.database.writing() as connection:
        connection.execute(sa.insert(feedback), rows)


@pytest.mark.parametrize(
    "path", ["/feedback", "/feedback/stats", "/feedback/abc/photo", "/feedback?format=csv"]
)
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": KEY[:-1]}, {"Authorization": "Bearer "},
                                     {"Authorization": f"Basic {KEY}"}])  # fmt: skip
def test_only_the_owner_sees_what_was_sent(
    make: Callable[..., Service], path: str, headers: dict[str, str]
) -> None:
    answer = make().request("GET", path, headers=headers)
    assert answer.status_code == 401
    assert "FEEDBACK_ADMIN_KEY" in answer.json()["detail"]


def test_the_key_is_taken_as_a_header_and_as_a_bearer_token_and_never_in_the_url(
    make: Callable[..., Service],
) -> None:
    service = make()
    assert service.request("GET", "/feedback", headers={"X-API-Key": KEY}).status_code == 200
    assert service.request("GET", "/feedback", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    assert service.owner(params={"api_key": KEY}).status_code == 401


def test_pages_join_without_a_gap_while_feedback_comes_in(service: Service) -> None:
    fill(service, 25)
    seen: list[str] = []
    cursor = None
    while True:
        answer = service.owner(params={"limit": 10, **({"cursor": cursor} if cursor else {})}).json()
        seen += [row["request_id"] for row in answer["feedback"]]
        assert len(seen) <= 25, "a page came twice"
        service.send(request_id=f"new{len(seen)}")
        cursor = answer["next"]
        if cursor is None:
            break
    assert seen == [f"r{i}" for i in reversed(range(25))]


def test_a_clock_that_goes_back_changes_no_order(service: Service) -> None:
    now = datetime.now(UTC)
    for i, hours in enumerate((0, -5, 3)):
        fill(service, 1, client=f"x{i}", request_id=f"t{i}", created_at=now + timedelta(hours=hours))
    rows = service.owner(params={"limit": 2}).json()
    assert [row["request_id"] for row in rows["feedback"]] == ["t2", "t1"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "djE6", "djE6LTE=", "djI6MQ==", "djE6OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "' OR 1=1"]
)
def test_a_cursor_that_is_none_is_refused(service: Service, cursor: str) -> None:
    assert service.owner(params={"cursor": cursor}).status_code == 422


def test_filters_narrow_the_list_and_the_figures(service: Service, photo: bytes) -> None:
    now = datetime.now(UTC)
    service.send(request_id="a", model_version="1.0.0", prediction="cat")
    service.send(request_id="b", model_version="2.0.0", prediction="dog", correction="cat")
    service.send(request_id="c", model_version="2.0.0", prediction="dog", photo=photo)
    tomorrow = (now + timedelta(days=1)).isoformat()
    for filters, wanted in [
        ({"model_version": "2.0.0"}, "cb"), ({"prediction": "cat"}, "a"), ({"truth": "cat"}, "ba"),
        ({"agrees": "false"}, "b"), ({"photo": "true"}, "c"), ({"photo": "false"}, "ba"), ({"since": tomorrow}, ""),
        ({"until": tomorrow}, "cba"), ({"since": str(now.date()), "agrees": "true"}, "ca"),
    ]:  # fmt: skip
        rows = service.owner(params=filters).json()["feedback"]
        assert "".join(row["request_id"] for row in rows) == wanted, filters
        assert service.owner("/feedback/stats", params=filters).json()["count"] == len(wanted), filters


@pytest.mark.parametrize("parameters", [{"limit": 0}, {"limit": 1001}, {"since": "yesterday"}, {"agrees": "perhaps"},
                                        {"format": "xml"}, {"truth": "a\0b"}])  # fmt: skip
def test_a_filter_that_cannot_be_is_refused(service: Service, parameters: dict[str, Any]) -> None:
    answer = service.owner(params=parameters)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_the_figures_say_how_much_agrees_by_what(service: Service) -> None:
    fill(service, 100)
    service.send(request_id="u", prediction="dog", recognized=False, confidence=1.0, correction="dog")
    figures = service.owner("/feedback/stats").json()
    assert (figures["count"], figures["agreeing"], figures["with_photo"]) == (101, 75, 0)
    assert figures["agreement"] == pytest.approx(75 / 101, abs=1e-4)
    by_label = {row["value"]: row for row in figures["by_label"]}
    assert by_label["cat"]["agreement"] == 0.75
    assert by_label["cat"]["interval"] == pytest.approx([0.6570, 0.8245], abs=2e-4)
    assert [row["value"] for row in figures["by_confidence"]] == [i / 10 for i in range(10)]
    assert [row["count"] for row in figures["by_confidence"]] == [10] * 9 + [11]
    assert figures["by_day"][0]["value"] == str(datetime.now(UTC).date())
    assert figures["mistakes"] == [
        {"prediction": "cat", "recognized": True, "truth": "dog", "count": 25},
        {"prediction": "dog", "recognized": False, "truth": "dog", "count": 1},
    ]


def test_figures_of_nothing_are_none() -> None:
    assert stats.agreement(0, 0)["interval"] is None


def test_csv_has_every_row_and_runs_nothing_in_a_spreadsheet(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "CHUNK", 7)
    fill(service, 23)
    service.send(request_id="x", correction='=HYPERLINK("http:evil")')
    answer = service.owner(params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert len(rows) == 24
    assert rows[0]["truth"] == '\'=HYPERLINK("http:evil")'
    assert (rows[0]["agrees"], rows[0]["recognized"], rows[1]["correction"]) == ("false", "true", "")


@pytest.mark.services
def test_parquet_has_every_row_with_its_types(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = require("pyarrow.parquet")
    monkeypatch.setattr(query, "CHUNK", 7)
    fill(service, 23)
    answer = service.owner(params={"format": "parquet", "agrees": "true"})
    table = parquet.read_table(io.BytesIO(answer.content))
    assert table.num_rows == 17
    row = table.to_pylist()[0]
    assert isinstance(row["created_at"], datetime)
    assert (row["agrees"], row["photo_bytes"], row["correction"]) == (True, None, None)


def test_without_pyarrow_parquet_is_refused_with_what_to_do(
    make: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    answer = make().owner(params={"format": "parquet"})
    assert answer.status_code == 406
    assert "format=csv" in answer.json()["detail"]


def test_the_sender_deletes_feedback_and_its_photo_with_the_token(service: Service, photo: bytes) -> None:
    receipt = service.send(photo=photo).json()
    path = f"/feedback/{receipt['id']}"
    for token in ("", "guess", receipt["deletion_token"][:-1] + "!", receipt["deletion_token"] * 2, "\xe9"):
        assert (
            service.request("DELETE", path, headers={"X-Deletion-Token": token.encode("latin-1")}).status_code
            == 403
        )
    other = service.send(request_id="other").json()
    assert (
        service.request("DELETE", path, headers={"X-Deletion-Token": other["deletion_token"]}).status_code
        == 403
    )
    token = {"X-Deletion-Token": receipt["deletion_token"]}
    assert service.owner(f"{path}/photo").status_code == 200
    assert service.request("DELETE", path, headers=token).status_code == 204
    assert service.owner(f"{path}/photo").status_code == 404
    assert service.request("DELETE", path, headers=token).status_code == 404
    assert [row["id"] for row in service.owner().json()["feedback"]] == [other["id"]]
    with service.database.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM photos")).scalar_one() == 0


def test_the_owner_deletes_anything(service: Service) -> None:
    receipt = service.send().json()
    answer = service.request("DELETE", f"/feedback/{receipt['id']}", headers={"X-API-Key": KEY})
    assert answer.status_code == 204
    assert service.count() == 0


def test_what_is_deleted_from_the_file_of_sqlite_is_overwritten(
    make: Callable[..., Service], photo: bytes
) -> None:
    service = make()
    receipt = service.send(photo=photo, correction="overwritten-label").json()
    kept = service.owner(f"/feedback/{receipt['id']}/photo").content
    service.request("DELETE", f"/feedback/{receipt['id']}", headers={"X-API-Key": KEY})
    path = service.settings.folder / "own.db"  # type: ignore[operator]
    service.database.close()
    data = path.read_bytes()
    assert kept[2000:2040] not in data
    assert b"overwritten-label" not in data


def test_old_feedback_is_forgotten_and_after_a_day_who_sent_it(service: Service) -> None:
    now = datetime.now(UTC)
    for days in (0, 2, 364, 366):
        fill(service, 3, request_id=f"d{days}", created_at=now - timedelta(days=days))
    forgotten = retention.forget(service.database, 365, now)
    assert (forgotten.deleted, forgotten.anonymous) == (3, 6)
    with service.database.reading() as connection:
        clients = [client for (client,) in connection.execute(sa.select(feedback.c.client))]
    assert sum(client is None for client in clients) == 6
    assert retention.forget(service.database, 365, now) == retention.Forgotten(0, 0)


def test_a_page_deep_in_many_rows_costs_what_the_first_one_does(make: Callable[..., Service]) -> None:
    service = make()
    fill(service, 20_000)

    def cost(cursor: str | None) -> float:
        start = time.process_time()
        for _ in range(5):
            query.page(service.database, Filter(), 100, cursor)
        return time.process_time() - start

    _, second = query.page(service.database, Filter(), 100, None)
    deep = query._encode(300)
    assert cost(deep) < 3 * cost(second) + 0.02


def test_the_owners_page_holds_nothing_itself_and_runs_nothing_of_others(
    make: Callable[..., Service],
) -> None:
    service = make()
    for name in ("", "owner.js", "plots.js", "owner.css"):
        answer = service.request("GET", f"/feedback/owner/{name}")
        assert answer.status_code == 200
        assert "script-src 'self'" in answer.headers["content-security-policy"]
    for name in ("..%2fsettings.py", "%2e%2e/settings.py", "/etc/passwd", "x", "owner.js/"):
        assert service.request("GET", f"/feedback/owner/{name}").status_code == 404


def test_every_request_body_and_error_is_documented(make: Callable[..., Service]) -> None:
    document = make().request("GET", "/feedback/openapi.json").json()
    post = document["paths"]["/feedback"]["post"]
    assert post["requestBody"]["content"].keys() == {"application/json", "multipart/form-data"}
    assert {"201", "400", "403", "409", "413", "415", "422", "429", "503"} <= post["responses"].keys()
