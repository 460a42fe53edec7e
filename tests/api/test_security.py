"""Who may call, from where, what every response tells the browser, and what no log ever says."""

import contextlib
import hmac
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import _security
from tests.conftest import ROOT, InProcess, Server, connect, running_server

GOOD = "https://good.example"
KEY = "correct-horse-battery"


@pytest.fixture(scope="module")
def guarded() -> Iterator[httpx.Client]:
    """The app with an allowed origin and two keys."""
    settings = {"ALLOWED_ORIGINS": f"{GOOD},http://localhost:5500", "API_KEYS": f"another-key,{KEY}"}
    with InProcess(**settings) as client:
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


def test_errors_can_be_read_by_an_allowed_page_too(guarded: httpx.Client) -> None:
    response = guarded.post("/predict", headers={"Origin": GOOD})
    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == GOOD


def test_without_a_setting_no_origin_is_allowed(client: httpx.Client) -> None:
    assert "Access-Control-Allow-Origin" not in client.get("/health", headers={"Origin": GOOD}).headers


def test_a_star_allows_any_page_but_never_credentials() -> None:
    with InProcess(ALLOWED_ORIGINS="*") as client:
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


def test_docs_can_be_switched_off() -> None:
    with InProcess(ENABLE_DOCS="false") as client:
        assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [
            404,
            404,
            404,
        ]
        assert "docs" not in client.get("/").json()["endpoints"]
        assert client.get("/health").status_code == 200


# --- headers on every response, whatever it is ---------------------------------------------------------------------


def responses_of_every_kind(client: httpx.Client) -> dict[str, httpx.Response]:
    weights = client.get("/model/model.onnx")
    script = client.get("/app.js")
    big: dict[str, Any] = {"content": bytes(5_000_000), "headers": {"Content-Type": "image/jpeg"}}
    return {
        "JSON": client.get("/health"),
        "the page": client.get("/", headers={"Accept": "text/html"}),
        "a file of the page": script,
        "a file unchanged": client.get("/app.js", headers={"If-None-Match": script.headers["ETag"]}),
        "the model": weights,
        "the model unchanged": client.get(
            "/model/model.onnx", headers={"If-None-Match": weights.headers["ETag"]}
        ),
        "the documentation": client.get("/docs"),
        "no such path": client.get("/nowhere"),
        "no such path, hostile": client.get("/%00%0d%0aSet-Cookie:%20a=b/..%2f..%2fetc/passwd"),
        "no such method": client.put("/predict"),
        "no body": client.post("/predict"),
        "no photo": client.post("/predict", content=b"x", headers={"Content-Type": "image/jpeg"}),
        "too many bytes": client.post("/predict", **big),
        "a wrong parameter": client.post("/predict?explain=perhaps"),
        "a preflight": client.options(
            "/predict", headers={"Origin": GOOD, "Access-Control-Request-Method": "POST"}
        ),
        "HEAD": client.head("/health"),
    }


def test_every_kind_of_response_carries_the_security_headers(
    client: httpx.Client, guarded: httpx.Client
) -> None:
    for asked in (client, guarded):
        for kind, response in responses_of_every_kind(asked).items():
            headers = response.headers
            assert headers["X-Content-Type-Options"] == "nosniff", kind
            assert headers["X-Frame-Options"] == "DENY", kind
            assert headers["Referrer-Policy"] == "no-referrer", kind
            assert "default-src 'none'" in headers["Content-Security-Policy"], kind
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], kind
            assert headers["Cache-Control"] in ("no-store", "no-cache"), kind
            assert headers["X-Request-ID"], kind
            assert "Set-Cookie" not in headers, kind
            assert "Server" not in headers, kind
            assert response.status_code < 500, kind


def test_every_error_is_json_whatever_the_client_asked_for(client: httpx.Client) -> None:
    for path in ("/nowhere", "/predict", "/<script>alert(1)</script>"):
        response = client.get(path, headers={"Accept": "text/html"})
        assert response.headers["Content-Type"] == "application/json"
        assert "<script>" not in response.text


# --- keys ----------------------------------------------------------------------------------------------------------


def test_every_key_is_compared_in_constant_time_however_early_one_matches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    check = _security.KeyCheck(["first-key", "k", "third-key" * 100])
    for sent in ("first-key", "third-key" * 100, "wrong", "f"):
        compared.clear()
        matches = check.matches([sent])
        assert matches == (sent in ("first-key", "third-key" * 100))
        # Digests: as many comparisons, of as many bytes, whatever was sent.
        assert compared == [(32, 32)] * 3


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_no_key_no_file_name_and_no_path_reaches_a_log_at_any_level(
    capsys: pytest.CaptureFixture[str], cat_jpeg: bytes, level: str
) -> None:
    with InProcess(API_KEYS=f"{KEY},other-secret-key", LOG_LEVEL=level) as client:
        files = {"file": ("private-name.jpg", cat_jpeg)}
        sent: list[dict[str, Any]] = [
            {"headers": {"X-API-Key": KEY}},
            {"headers": {"Authorization": f"Bearer {KEY}"}},
            {"headers": {"X-API-Key": "wrong-secret-guess"}},
            {"params": {"api_key": KEY}},
            {"params": {"explain": KEY}, "headers": {"X-API-Key": KEY}},
            {
                "headers": {
                    "X-Request-ID": f"{KEY} {KEY}",
                    "X-API-Key": KEY,
                    "User-Agent": KEY,
                    "Referer": KEY,
                }
            },
        ]
        answers = [client.post("/predict", files=files, **options) for options in sent]
        answers.append(client.get(f"/private-path/{KEY}"))
    assert [answer.status_code for answer in answers] == [200, 200, 401, 401, 422, 200, 404]
    log = capsys.readouterr().out
    assert log.count('"message": "request"') == len(answers)
    for secret in (KEY, "other-secret-key", "wrong-secret-guess", "private-name", "private-path"):
        assert secret not in log
        assert all(secret not in answer.text for answer in answers)


@pytest.mark.parametrize(
    "name",
    ["api_key", "API_KEY", "Api-Key", "x-api-key", "X-API-Key", "KEY", "token", "access_token", "apikey"],
)
def test_a_key_in_the_url_is_refused_under_every_usual_name_even_beside_a_right_one(
    guarded: httpx.Client, name: str, cat_jpeg: bytes
) -> None:
    response = guarded.post(
        "/predict", params={name: KEY}, files={"file": cat_jpeg}, headers={"X-API-Key": KEY}
    )
    assert response.status_code == 401
    assert "URL" in response.json()["detail"]
    assert KEY not in response.text


def test_a_key_does_not_open_the_door_by_being_empty_or_long(guarded: httpx.Client) -> None:
    for key in ("", " ", "x" * 60_000, f"{KEY} ", f" {KEY}x", f"{KEY}\x00"):
        response = guarded.post("/predict", headers={"X-API-Key": key}, files={"file": b""})
        assert response.status_code == 401, key[:40]
        assert response.json()["detail"]


# --- origins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "https://good.example.evil.com",
        "https://good.example@evil.com",
        "https://evil.example",
        "https://evilgood.example",
        "https://good.example:8443",
        "http://good.example",
        "https://GOOD.example",
        "http://localhost:5501",
        "https://evil.com#https://good.example",
        "https://good.example/",
        "https://good.example:443",
        "https://sub.good.example",
        "https://good.exampl",
        "https://good_example",
        "https://good.example\\.evil.com",
        "http://localhost",
        "http://127.0.0.1:5500",
        "file://",
        "null",
        "*",
        "",
    ],
)
def test_no_other_origin_may_read_any_kind_of_response(guarded: httpx.Client, origin: str) -> None:
    headers = {"Origin": origin}
    answers = [
        preflight(guarded, origin),
        guarded.get("/health", headers=headers),
        guarded.get("/nowhere", headers=headers),
        guarded.post("/predict", headers=headers),
        guarded.get("/model/model.onnx", headers=headers),
    ]
    assert answers[0].status_code == 400
    for answer in answers:
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_credentials_are_allowed_to_no_origin_at_all(guarded: httpx.Client) -> None:
    for answer in (preflight(guarded, GOOD), guarded.get("/health", headers={"Origin": GOOD})):
        assert "Access-Control-Allow-Credentials" not in answer.headers


# --- the log -------------------------------------------------------------------------------------------------------

FORGERIES = [
    "a\nb",
    'x", "status": 200, "prediction": "dog',
    '{"level": "CRITICAL"}',
    "\x1b[2J\x1b[31m",
    "a" * 65,
    "é",
    "a b",
    "../../etc/passwd",
    "",
]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_request_id_that_is_not_clean_is_replaced(client: httpx.Client, forgery: str) -> None:
    # Servers of HTTP refuse some of these by themselves; the next test sends them to one.
    response = client.get("/health", headers={b"X-Request-ID": forgery.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_no_client_can_forge_a_line_of_the_log(server: Server, cat_jpeg: bytes) -> None:
    line = b'{"time": "now", "level": "INFO", "message": "request", "prediction": "forged"}'
    requests = [
        b"GET /%0a" + line.replace(b" ", b"%20") + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nX-Request-ID: a\n" + line + b"\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nX-Request-ID: a\rb" + line + b"\r\nConnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\n" + line + b"\nUser-Agent: " + line + b"\r\n\r\n",
        line + b"\n",
        b"GET /health HTTP/1.1\r\nHost: "
        + line
        + b"\r\nUpgrade: "
        + line
        + b"\r\nConnection: upgrade\r\n\r\n",
        b"FORGED\n" + line + b" / HTTP/1.1\r\n\r\n",
    ]
    for request in requests:
        with connect(server) as connection:
            connection.sendall(request)
            connection.settimeout(1)
            with contextlib.suppress(TimeoutError):
                assert not connection.recv(4096).startswith(b"HTTP/1.1 5")
    with server.client() as client:
        client.post("/predict", files={line.decode(): (f"{line.decode()}.jpg", cat_jpeg)})
    for text in server.log().splitlines():
        assert "forged" not in text
        if text.startswith("{"):
            assert set(json.loads(text)) >= {"time", "level", "message"}


def test_the_documentation_loads_nothing_from_strangers(client: httpx.Client) -> None:
    for path in ("/docs", "/redoc"):
        response = client.get(path)
        policy = response.headers["Content-Security-Policy"]
        assert "https:" not in policy
        assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//", response.text)


def test_nothing_phones_home_onnxruntime_does_unless_told_not_to(tmp_path: Path) -> None:
    # onnxruntime keeps what it means to send in its user's cache; in CI, and in tests of its own, it keeps quiet.
    quiet: dict[str, Any] = {name: "" for name in os.environ if name.startswith(("CI", "GITHUB_"))}
    home = tmp_path / "home"
    home.mkdir()
    settings = quiet | {"HOME": str(home), "XDG_CACHE_HOME": "", "ORT_DISABLE_TELEMETRY": ""}
    with running_server(tmp_path / "log", **settings) as server, server.client() as client:
        photo = (ROOT / "web" / "samples" / "chelsea.jpg").read_bytes()
        assert client.post("/predict", files={"file": photo}).json()["prediction"] == "cat"
    assert not list(home.rglob("*"))


# --- the policy of the page ----------------------------------------------------------------------------------------


def test_hosts_that_serve_the_page_without_the_api_give_it_the_same_policy() -> None:
    # A static host sends no headers of ours, and nginx's configuration can't import: both carry a copy.
    html = re.search(
        r'Content-Security-Policy" content="([^"]*)"', (ROOT / "web/index.html").read_text(encoding="utf-8")
    )
    nginx = re.search(r'Content-Security-Policy "([^"]*)"', (ROOT / "deploy/nginx.conf").read_text())
    assert html
    assert nginx
    assert html[1] == _security.CSP_PAGE
    assert nginx[1] == f"{_security.CSP_PAGE}; frame-ancestors 'none'"
