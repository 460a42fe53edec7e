"""Who may call, from where, and what every response tells the browser."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.conftest import Server

GOOD = "https://good.example"
KEY = "correct-horse-battery"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server with an allowed origin and two keys."""
    from tests.conftest import running_server

    log = tmp_path_factory.mktemp("guarded") / "log"
    settings = {"ALLOWED_ORIGINS": f"{GOOD},http://localhost:5500", "API_KEYS": f"another-key,{KEY}"}
    with running_server(log, **settings) as server, server.client() as client:
        yield client


def preflight(client: httpx.Client, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key,content-type",
    }
    return client.options("/predict", headers=headers)


@pytest.mark.parametrize("origin", [GOOD, "http://localhost:5500"])
def test_an_allowed_origin_may_call_and_read(guarded: httpx.Client, origin: str) -> None:
    response = preflight(guarded, origin)
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "x-api-key" in response.headers["Access-Control-Allow-Headers"].lower()
    answer = guarded.get("/health", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "Server-Timing" in answer.headers["Access-Control-Expose-Headers"]
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://good.example.evil.com",
        "https://evilgood.example",
        "https://good.example:8443",
        "http://good.example",
        "https://GOOD.example",
        "http://localhost:5501",
        "null",
    ],
)
def test_any_other_origin_may_not(guarded: httpx.Client, origin: str) -> None:
    response = preflight(guarded, origin)
    assert response.status_code == 400
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Access-Control-Allow-Origin" not in guarded.get("/health", headers={"Origin": origin}).headers


def test_errors_can_be_read_by_an_allowed_page_too(guarded: httpx.Client) -> None:
    response = guarded.post("/predict", headers={"Origin": GOOD})
    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == GOOD


def test_without_a_setting_no_origin_is_allowed(client: httpx.Client) -> None:
    assert "Access-Control-Allow-Origin" not in client.get("/health", headers={"Origin": GOOD}).headers


def test_a_star_allows_any_page_but_never_credentials(serve: Callable[..., Server]) -> None:
    with serve(ALLOWED_ORIGINS="*").client() as client:
        for response in (
            preflight(client, "https://any.example"),
            client.get("/health", headers={"Origin": GOOD}),
        ):
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}, {"X-API-Key": "another-key"}],
)
def test_a_right_key_predicts(guarded: httpx.Client, cat_jpeg: bytes, headers: dict[str, str]) -> None:
    assert guarded.post("/predict", files={"file": cat_jpeg}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "needs an API key"),
        ({"X-API-Key": "wrong"}, "is wrong"),
        ({"X-API-Key": KEY[:-1]}, "is wrong"),
        ({"X-API-Key": KEY.upper()}, "is wrong"),
        ({"X-API-Key": f"another-key,{KEY}"}, "is wrong"),
        ({"X-API-Key": b"\xff\xfe"}, "is wrong"),
        ({"Authorization": "Bearer wrong"}, "is wrong"),
        ({"Authorization": f"Basic {KEY}"}, "needs an API key"),
    ],
)
def test_no_other_key_does(
    guarded: httpx.Client, cat_jpeg: bytes, headers: dict[str, str], says: str
) -> None:
    for route, field in (("/predict", "file"), ("/predict/batch", "files")):
        response = guarded.post(route, files={field: cat_jpeg}, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert says in response.json()["detail"]


def test_a_key_in_the_url_is_refused_even_beside_a_right_one(guarded: httpx.Client, cat_jpeg: bytes) -> None:
    for name in ("api_key", "X-API-Key", "token"):
        response = guarded.post(
            "/predict", params={name: KEY}, files={"file": cat_jpeg}, headers={"X-API-Key": KEY}
        )
        assert response.status_code == 401
        assert "URL" in response.json()["detail"]


def test_a_wrong_key_is_refused_before_the_body_is_read(guarded: httpx.Client) -> None:
    response = guarded.post("/predict", content=bytes(4_000_000), headers={"Content-Type": "image/jpeg"})
    assert response.status_code == 401


def test_information_needs_no_key(guarded: httpx.Client) -> None:
    for path in ("/", "/health", "/model/info", "/docs"):
        assert guarded.get(path).status_code == 200


def test_the_openapi_page_shows_the_padlock_only_where_a_key_is_needed(
    guarded: httpx.Client, client: httpx.Client
) -> None:
    paths = guarded.get("/openapi.json").json()["paths"]
    names = {name for scheme in paths["/predict"]["post"]["security"] for name in scheme}
    assert names == {"APIKeyHeader", "HTTPBearer"}
    assert "security" not in paths["/health"]["get"]
    assert "security" not in client.get("/openapi.json").json()["paths"]["/predict"]["post"]


def test_every_response_carries_the_security_headers(client: httpx.Client) -> None:
    html = {"Accept": "text/html"}
    responses = [
        client.get("/"),
        client.get("/", headers=html),
        client.get("/health"),
        client.get("/docs"),
        client.get("/nowhere"),
        client.put("/predict"),
        client.post("/predict"),
    ]
    for response in responses:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Request-ID"]
        assert "total;dur=" in response.headers["Server-Timing"]


def test_the_page_runs_no_inline_script(client: httpx.Client) -> None:
    policy = client.get("/", headers={"Accept": "text/html"}).headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy


def test_docs_can_be_switched_off(serve: Callable[..., Server]) -> None:
    with serve(ENABLE_DOCS="false").client() as client:
        assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [
            404,
            404,
            404,
        ]
        assert "docs" not in client.get("/").json()["endpoints"]
        assert client.get("/health").status_code == 200
