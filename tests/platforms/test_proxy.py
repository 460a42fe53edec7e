"""The service behind a real nginx: one set up as in most guides, and the project's own."""

import concurrent.futures
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Server, running_server
from tests.platforms.conftest import running_nginx

pytestmark = pytest.mark.platform

UPLOADS = 40
PHOTO = bytes(3_000_000)

# As in most guides: nothing is said of the version or the connection, so that nginx speaks HTTP/1.0, asks to close, and
# sends all of a body before it reads an answer.
PLAIN = """
server {
    listen 127.0.0.1:PORT;
    client_max_body_size 20m;
    location / { proxy_pass http://127.0.0.1:API; }
}
"""
KINDS = {
    "plain": PLAIN,
    "unbuffered": PLAIN.replace("proxy_pass", "proxy_request_buffering off; proxy_pass"),
    "http/1.1": PLAIN.replace(
        "proxy_pass", 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass'
    ),
    "kept alive": "upstream api { server 127.0.0.1:API; keepalive 8; }\n"
    + PLAIN.replace(
        "proxy_pass http://127.0.0.1:API",
        'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://api',
    ),
}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that wants the key `right`, and no photo over 100,000 bytes."""
    log = tmp_path_factory.mktemp("strict") / "log"
    with running_server(log, API_KEYS="right", MAX_UPLOAD_BYTES="100000") as server:
        yield server


@pytest.fixture(scope="module")
def without_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("without-model")
    with running_server(folder / "log", MODEL_DIR=str(folder)) as server:
        yield server


def statuses(server: Server, kind: str, folder: Path, path: str, key: str) -> Counter[int]:
    """What so many uploads of 3 MB get through this nginx, four of them at a time."""
    site = KINDS[kind].replace("API", server.url.rsplit(":", 1)[1])
    with running_nginx(folder, site) as address:

        def upload(_: int) -> int:
            answer = httpx.post(
                address + path,
                files={"file": PHOTO},
                headers={"X-API-Key": key},
                timeout=30,
                trust_env=False,
            )
            return answer.status_code

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return Counter(pool.map(upload, range(UPLOADS)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("path", "key", "status"), [("/predict", "wrong", 401), ("/predict", "right", 413), ("/nowhere", "", 404)]
)
def test_every_answer_that_comes_before_the_end_of_the_upload_gets_through_nginx(
    strict: Server, tmp_path: Path, kind: str, path: str, key: str, status: int
) -> None:
    assert statuses(strict, kind, tmp_path, path, key) == {status: UPLOADS}


def test_a_service_without_a_model_says_so_through_nginx_to_every_upload(
    without_model: Server, tmp_path: Path
) -> None:
    assert statuses(without_model, "plain", tmp_path, "/predict", "") == {503: UPLOADS}
