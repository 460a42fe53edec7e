"""The service behind a real nginx: one set up as in most guides, and the project's own."""

import concurrent.futures
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.conftest import ROOT, Server, running_server
from tests.platforms.conftest import compose_nginx, running_nginx

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


# --- the project's own nginx -----------------------------------------------------------------------------------------

SPACE = "https://huggingface.co"
PREFIX = "/apps/purrdict"


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("framed") / "log"
    with running_server(log, FRAME_ANCESTORS=SPACE, ROOT_PATH=PREFIX) as server:
        yield server


def port(server: Server) -> str:
    return server.url.rsplit(":", 1)[1]


def test_a_redirect_behind_the_projects_own_nginx_leads_back_to_the_same_port(
    framed: Server, strict: Server, tmp_path: Path
) -> None:
    for number, (server, base) in enumerate([(strict, ""), (framed, PREFIX)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        with running_nginx(folder, compose_nginx(port(server), ROOT / "web")) as address:
            for path in ("/health/", "/docs/", "/model/info/", "/app.js/"):
                answer = httpx.get(f"{address}{base}{path}?a=b", trust_env=False)
                assert answer.status_code == 307
                target = urljoin(f"{address}{base}{path}", answer.headers["Location"])
                assert target == f"{address}{base}{path.rstrip('/')}?a=b"
                assert httpx.get(target, trust_env=False).status_code == 200


def test_the_pages_that_may_frame_the_service_may_frame_the_page_of_the_projects_own_nginx(
    framed: Server, strict: Server, tmp_path: Path
) -> None:
    for number, (server, allowed) in enumerate([(framed, SPACE), (strict, "'none'")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        with running_nginx(folder, compose_nginx(port(server), ROOT / "web")) as address:
            for path in ("/", "/index.html", "/docs", "/health"):
                for accept in ("text/html", "*/*"):
                    answer = httpx.get(address + path, headers={"Accept": accept}, trust_env=False)
                    policies = answer.headers.get_list("Content-Security-Policy")
                    assert len(policies) == 1, path
                    assert re.findall(r"frame-ancestors ([^;]*)", policies[0]) == [allowed], path
                    assert ("X-Frame-Options" in answer.headers) == (allowed == "'none'"), path


def test_while_the_api_is_away_the_projects_own_nginx_still_shows_the_page(tmp_path: Path) -> None:
    with running_nginx(tmp_path, compose_nginx("9", ROOT / "web")) as address:
        for path in ("/", "/index.html"):
            for method in ("GET", "HEAD"):
                answer = httpx.request(method, address + path, trust_env=False)
                assert answer.status_code == 200
                assert answer.headers["Content-Type"].startswith("text/html")
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Frame-Options"] == "DENY"
        assert httpx.get(f"{address}/app.js", trust_env=False).status_code == 200
        assert httpx.get(f"{address}/health", trust_env=False).status_code == 502


def test_everything_works_under_a_path_through_a_proxy_that_takes_it_off_and_one_that_leaves_it_on(
    framed: Server, tmp_path: Path
) -> None:
    for number, slash in enumerate(("", "/")):
        folder = tmp_path / str(number)
        folder.mkdir()
        target = f"http://127.0.0.1:{port(framed)}{slash}"
        site = f"server {{ listen 127.0.0.1:PORT; location {PREFIX}/ {{ proxy_pass {target}; }} }}"
        with (
            running_nginx(folder, site) as address,
            httpx.Client(base_url=address, trust_env=False, timeout=30) as client,
        ):
            photo = (ROOT / "web/samples/chelsea.jpg").read_bytes()
            answer = client.post(f"{PREFIX}/predict/", files={"file": photo}, follow_redirects=True)
            assert answer.json()["prediction"] == "cat"
            for path in client.get(f"{PREFIX}/").json()["endpoints"].values():
                assert client.get(path).status_code in (200, 405), path
            page = client.get(f"{PREFIX}/", headers={"Accept": "text/html"}).text
            for link in re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page):
                assert client.get(urljoin(f"{PREFIX}/", link)).status_code == 200, link
