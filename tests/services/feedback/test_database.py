"""Migrations, and a database that is not there, goes away, fills up or is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from services.feedback.database import Database, UnavailableError, alembic_config
from services.feedback.schema import feedback, metadata
from services.feedback.settings import load
from tests.conftest import ROOT
from tests.services.feedback.conftest import (
    KEY,
    SECRET,
    Postgres,
    Service,
    environment,
    new_postgres,
    running,
    said,
)  # fmt: skip


def database_of(url: str) -> Database:
    return Database(load({"DATABASE_URL": url, "FEEDBACK_SECRET": SECRET}).database_url)


def test_the_migrations_make_exactly_the_tables_of_the_code(database_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    database = database_of(database_url)
    database.prepare()
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.close()


@pytest.mark.services
def test_copies_that_start_at_one_time_migrate_once(database_url: str) -> None:
    databases = [database_of(database_url) for _ in range(4)]
    failures: list[Exception] = []

    def prepare(database: Database) -> None:
        try:
            database.prepare()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=prepare, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with databases[0].reading() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all() == [
            "0001"
        ]
    for database in databases:
        database.close()


@pytest.mark.services
def test_a_migration_that_is_killed_half_way_has_not_happened(database_url: str) -> None:
    code = (
        "import os, signal, sqlalchemy as sa\n"
        "from alembic import op\n"
        "real = op.create_index\n"
        "def dies(*arguments, **options):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "op.create_index = dies\n"
        "from services.feedback.database import Database\n"
        "from services.feedback.settings import load\n"
        "Database(load().database_url).prepare()\n"
    )
    values = environment(DATABASE_URL=database_url, FEEDBACK_SECRET=SECRET)
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=values, check=False, timeout=60)
    assert result.returncode == -signal.SIGKILL
    database = database_of(database_url)
    with database.engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    database.prepare()
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(feedback)).scalar_one() == 0
    database.close()


def test_a_migration_can_be_taken_back(database_url: str) -> None:
    from alembic import command

    database = database_of(database_url)
    database.prepare()
    with database.writing() as connection:
        command.downgrade(alembic_config(connection), "base")
    with database.engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    database.close()


@pytest.mark.services
def test_a_database_that_is_down_is_a_503_and_the_service_recovers_by_itself(tmp_path: Path) -> None:
    # Down at the start ...
    with new_postgres() as server, running(tmp_path, DATABASE_URL=server.url("postgres")) as service:
        answer = service.send()
        assert answer.status_code == 503
        assert "does not answer" in answer.json()["detail"]
        assert answer.headers["retry-after"]
        assert httpx.get(f"{service.url}/health", trust_env=False).status_code == 503
        server.start()
        first = service.send()
        assert first.status_code == 201, first.text
        # ... during requests ...
        stored = {first.json()["id"]}
        stopping = threading.Thread(target=server.stop, args=("immediate",))
        number = 0
        stopping.start()
        while True:
            number += 1
            answer = service.send(request_id=f"d{number}", model_version="2.0.0")
            assert answer.status_code in (201, 429, 503), answer.text
            if answer.status_code == 201:
                stored.add(answer.json()["id"])
            if answer.status_code != 201:
                break
        stopping.join()
        assert service.send(request_id="down").status_code in (429, 503)
        # ... and back, without a restart.
        server.start()
        listed = httpx.get(f"{service.url}/feedback", headers={"X-API-Key": KEY}, params={"limit": 1000},
                           trust_env=False, timeout=30)  # fmt: skip
        assert listed.status_code == 200
        assert stored <= {row["id"] for row in listed.json()["feedback"]}, (
            "what was answered with 201 is there"
        )


@pytest.mark.services
def test_nothing_is_lost_when_the_service_is_killed_after_its_201(database_url: str, tmp_path: Path) -> None:
    with running(tmp_path, DATABASE_URL=database_url, FEEDBACK_PER_HOUR="100000") as service:
        stored: list[str] = []

        def send(worker: int) -> None:
            for number in range(100_000):
                try:
                    stored.append(service.send(request_id=f"w{worker}.{number}").json()["id"])
                except httpx.TransportError:
                    return

        workers = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        deadline = time.monotonic() + 30
        while len(stored) < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        service.process.kill()
        for worker in workers:
            worker.join()
    database = database_of(database_url)
    with database.reading() as connection:
        found = set(connection.execute(sa.select(feedback.c.id)).scalars())
    database.close()
    assert len(stored) >= 40
    assert set(stored) <= found


@pytest.mark.services
def test_a_disk_that_is_full_is_a_503_and_reading_goes_on(make: Callable[..., Service]) -> None:
    service = make(FEEDBACK_PER_HOUR="1000000")
    service.send()
    with service.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    # SQLite's own limit on the size of a file fails as a full disk does.
    @sa.event.listens_for(service.database.engine, "begin")
    def limit(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")

    answers = [service.send(request_id=f"f{i}", correction="x" * 190) for i in range(200)]
    assert {answer.status_code for answer in answers} == {201, 503}
    full = next(answer for answer in answers if answer.status_code == 503)
    assert "no room" in full.json()["detail"]
    assert service.count() == 1 + sum(answer.status_code == 201 for answer in answers)


def test_a_folder_that_cannot_be_written_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    values = environment(FEEDBACK_DIR=str(tmp_path / "file" / "below"))
    result = subprocess.run([sys.executable, "-m", "services.feedback", "serve"], cwd=ROOT, env=values,
                            capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "FEEDBACK_DIR" in result.stderr


def test_two_writers_of_one_file_of_sqlite_wait_for_each_other(make: Callable[..., Service]) -> None:
    one, other = make(), make()
    one.send()
    with one.database.writing() as connection:
        connection.execute(sa.text("UPDATE feedback SET truth = 'x'"))
        released = threading.Timer(0.3, connection.commit)
        released.start()
        assert other.send(request_id="r2").status_code == 201
        released.join()


def test_a_lock_that_is_never_released_is_a_503(
    make: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.feedback.database._BUSY_S", 0.2)
    one, other = make(), make()
    one.send()
    other.database.prepare()
    with one.database.writing():
        assert other.send(request_id="r2").status_code == 503
        assert other.count() == 1, "who reads does not wait for who writes"
    assert other.send(request_id="r2").status_code == 201


def test_one_row_that_cannot_be_stored_takes_no_other_with_it(postgres: Postgres) -> None:
    service = Service(DATABASE_URL=postgres.new())
    service.send()
    postgres.execute(
        "ALTER TABLE feedback ADD CHECK (request_id <> 'bad')",
        service.settings.database_url.rpartition("/")[2],
    )
    names = ["a", "bad", "b", "c"]
    answers = service.all([("POST", "/feedback", {"json": said(request_id=name)}) for name in names])
    assert [answer.status_code for answer in answers] == [201, 500, 201, 201]
    assert service.count() == 4
    service.database.close()


def test_a_database_of_a_newer_version_is_not_touched(database_url: str) -> None:
    database = database_of(database_url)
    database.prepare()
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    other = database_of(database_url)
    with pytest.raises(UnavailableError, match="newer"):
        other.prepare()
    for one in (database, other):
        one.close()


def test_the_secrets_beside_sqlite_are_made_once_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    first = load({"FEEDBACK_DIR": str(tmp_path / "data")})
    again = load({"FEEDBACK_DIR": str(tmp_path / "data")})
    assert first.secret == again.secret
    assert first.admin_key == again.admin_key != first.secret
    for path in (tmp_path / "data").iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert first.secret not in repr(first)
    database = Database(first.database_url)
    database.prepare()
    assert (tmp_path / "data" / "feedback.db").stat().st_mode & 0o077 == 0
    database.close()
