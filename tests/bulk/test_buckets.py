"""Photos in buckets and behind URLs, against an S3 server and a web server on loopback. Needs moto; run by .ci/bulk."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bulk.conftest import Run, tar_of
from tests.conftest import require

pytestmark = pytest.mark.cluster

Score = Callable[..., Run]
BUCKET = "archive"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 server; its address."""
    server_module = require("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch, small: Callable[[int], bytes]) -> Iterator[Any]:
    """A client for a bucket with photos in it."""
    from bulk import storage

    for name, value in {
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    storage._filesystem.cache_clear()
    client = require("boto3").client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    for number in range(30):
        client.put_object(
            Bucket=BUCKET, Key=f"2025/{'a' if number % 2 else 'b'}/{number} +%20é.jpg", Body=small(number)
        )
    client.put_object(Bucket=BUCKET, Key="2025/broken.jpg", Body=small(1)[:300])
    client.put_object(Bucket=BUCKET, Key="2025/empty.jpg", Body=b"")
    client.put_object(Bucket=BUCKET, Key="2025/a/1.xmp", Body=b"a note")
    yield client
    for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    client.delete_bucket(Bucket=BUCKET)
    storage._filesystem.cache_clear()


def test_every_photo_of_a_bucket_has_a_row(score: Score, bucket: Any) -> None:
    run = score(f"s3://{BUCKET}/2025")
    assert run.status == 0, run.errors
    assert len(run.rows) == 32
    assert run.summary["errors"] == {"damaged": 1, "empty": 1}
    assert f"s3://{BUCKET}/2025/a/1 +%20é.jpg" in [row["path"] for row in run.rows]


def test_a_bucket_gives_the_answers_of_a_folder(
    score: Score, bucket: Any, tmp_path: Path, small: Callable[[int], bytes]
) -> None:
    (tmp_path / "folder").mkdir()
    for number in range(30):
        (tmp_path / "folder" / f"{number} +%20é.jpg").write_bytes(small(number))
    here = {Path(row["path"]).name: row["confidence"] for row in score(tmp_path / "folder", out="1").rows}
    there = {Path(row["path"]).name: row["confidence"] for row in score(f"s3://{BUCKET}", out="2").rows}
    assert here.items() <= there.items()


def test_shards_and_lists_work_from_a_bucket(
    score: Score, bucket: Any, tmp_path: Path, small: Callable[[int], bytes]
) -> None:
    bucket.put_object(Bucket=BUCKET, Key="s-00.tar", Body=tar_of({f"{n}.jpg": small(n) for n in range(5)}))
    (tmp_path / "list").write_text(
        f"s3://{BUCKET}/s-00.tar\ns3://{BUCKET}/none.jpg\ns3://{BUCKET}/2025/b/0 +%20é.jpg"
    )
    run = score(tmp_path / "list")
    assert len(run.rows) == 7
    assert run.summary["errors"] == {"missing": 1}


def test_a_list_may_lie_in_the_bucket(score: Score, bucket: Any) -> None:
    bucket.put_object(Bucket=BUCKET, Key="list.txt", Body=f"s3://{BUCKET}/2025/broken.jpg\n".encode())
    assert [row["error_kind"] for row in score(f"s3://{BUCKET}/list.txt").rows] == ["damaged"]


def test_a_bucket_that_is_not_there_is_refused(score: Score, bucket: Any) -> None:
    run = score("s3://nobodys/photos")
    assert run.status == 2
    assert "s3://nobodys/photos" in run.errors
    assert "Traceback" not in run.errors


def test_a_bucket_without_permission_is_refused_with_what_to_check(
    score: Score, bucket: Any, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib.request

    from bulk import storage

    def set_authentication(after: str) -> None:
        address = f"{s3}/moto-api/reset-auth"
        plain = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(address, after.encode(), plain))

    storage._filesystem.cache_clear()
    set_authentication("0")
    try:
        run = score(f"s3://{BUCKET}/2025")
    finally:
        set_authentication("inf")
    assert run.status == 2
    assert "credentials" in run.errors
    assert "access denied" in run.errors


class _Web(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes] = {}  # noqa: RUF012 - the test's own, one server at a time
    refuses = False

    def do_GET(self) -> None:
        data = self.files.get(self.path)
        status = 403 if self.refuses else 200 if data is not None else 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(data or b"") if status == 200 else 0))
        self.end_headers()
        if status == 200:
            self.wfile.write(data or b"")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def web(small: Callable[[int], bytes]) -> Iterator[str]:
    _Web.files = {f"/{number}.jpg": small(number) for number in range(40)}
    _Web.refuses = False
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_urls_are_fetched_and_what_is_missing_has_a_row(score: Score, web: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("\n".join(f"{web}/{number}.jpg" for number in range(50)))
    run = score(tmp_path / "list")
    assert run.summary["photos"] == 50
    assert run.summary["errors"] == {"missing": 10}


def test_a_network_that_fails_ends_the_job_instead_of_becoming_a_thousand_errors(
    score: Score, web: str, tmp_path: Path
) -> None:
    (tmp_path / "list").write_text("\n".join(f"{web}/{number}.jpg" for number in range(40)))
    _Web.refuses = True
    run = score(tmp_path / "list")
    assert run.status == 2
    assert "None of the 40 photos" in run.errors
    assert "--keep-going" in run.errors
    kept = score(tmp_path / "list", "--keep-going")
    assert kept.summary["errors"] == {"network": 40}
    _Web.refuses = False
    again = score(tmp_path / "list", "--retry-errors")
    assert again.summary["errors"] == {}
    assert json.loads((again.out / "summary.json").read_text())["photos"] == 40
