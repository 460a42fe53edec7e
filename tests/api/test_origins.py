"""Pages and apps on other origins: which may be allowed, and what their preflights get."""

import httpx
import pytest

from api._settings import SettingsError, read_settings
from tests.conftest import InProcess

APPS = [
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "https://tauri.localhost",
    "chrome-extension://aapocclcgogkmnckokdopfmhonfmgoek",
    "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
    "safari-web-extension://7B0E1D6A-0C4F-4C0B-9C5A-1F2E3D4C5B6A",
    "app://obsidian.md",
    "app://.",
    "capacitor-electron://-",
    "http://my_app:3000",
    "http://[::1]:5500",
]


@pytest.mark.parametrize("origin", APPS)
def test_the_origin_of_an_app_can_be_allowed_like_that_of_a_page(origin: str) -> None:
    app = InProcess(ALLOWED_ORIGINS=f"https://a.example,{origin}")
    answer = app.get("/health", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    for other in (f"{origin}.evil", origin.replace("://", "://x"), "null", "capacitor://evil"):
        assert "Access-Control-Allow-Origin" not in app.get("/health", headers={"Origin": other}).headers


@pytest.mark.parametrize(
    ("origin", "says"),
    [
        ("null", "every sandboxed frame"),
        ("file://", "every sandboxed frame"),
        ("file://localhost", "every sandboxed frame"),
        ("data://a", "every sandboxed frame"),
        ("wss://a.example", "http or https"),
        ("capacitor://", "no origin"),
        ("capacitor://localhost/", "no origin"),
        ("capacitor://localhost/index.html", "no origin"),
        ("chrome-extension://*", "no origin"),
        ("capacitor:localhost", "no origin"),
        ("1app://localhost", "no origin"),
        ("javascript:alert(1)", "no origin"),
        ("https://user@a.example", "no origin"),
        ("https://a.example:99999", "no origin"),
        ("https://a.example?x", "no origin"),
        ("https://A.example", "no origin"),
        ("tauri://local host", "no origin"),
    ],
)
def test_what_no_page_or_app_has_as_its_origin_stops_the_start_and_says_why(origin: str, says: str) -> None:
    with pytest.raises(SettingsError, match=r"^ALLOWED_ORIGINS: ") as caught:
        read_settings({"ALLOWED_ORIGINS": origin})
    assert says in str(caught.value)


def test_a_port_that_browsers_leave_out_of_an_origin_may_be_written_all_the_same() -> None:
    allowed = read_settings(
        {"ALLOWED_ORIGINS": "https://a.example:443,http://b.example:80,https://c.example:80"}
    )
    assert allowed.allowed_origins == ("https://a.example", "http://b.example", "https://c.example:80")


# --- preflights ----------------------------------------------------------------------------------------------------

PAGE = "https://a.example"
# What common clients add by themselves, or their users because somebody told them to.
ADDED = [
    "x-requested-with",
    "cache-control",
    "pragma",
    "traceparent",
    "tracestate",
    "sentry-trace",
    "baggage",
    "newrelic",
    "x-datadog-trace-id",
    "ngrok-skip-browser-warning",
    "if-none-match",
    "range",
    "authorization",
    "x-api-key",
    "x-request-id",
    "content-type",
    "Content-Type",
    "idempotency-key",
]


@pytest.fixture(scope="module", params=[PAGE, "*"])
def allowing(request: pytest.FixtureRequest) -> InProcess:
    return InProcess(ALLOWED_ORIGINS=request.param)


def preflight(app: InProcess, origin: str = PAGE, method: str = "POST", **asked: str) -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    headers |= {
        f"Access-Control-Request-{name.title().replace('_', '-')}": value for name, value in asked.items()
    }
    return app.request("OPTIONS", "/predict", headers=headers)


@pytest.mark.parametrize("name", ADDED)
def test_a_header_that_a_client_adds_does_not_break_its_preflight(allowing: InProcess, name: str) -> None:
    answer = preflight(allowing, headers=f"content-type, {name},x-api-key")
    assert answer.status_code == 200
    allowed = {word.strip().lower() for word in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"content-type", name.lower(), "x-api-key"} <= allowed
    assert "access-control-request-headers" in answer.headers["Vary"].lower()
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_preflight_without_headers_names_those_that_the_service_reads(allowing: InProcess) -> None:
    for answer in (preflight(allowing), preflight(allowing, headers=""), preflight(allowing, headers=" , ")):
        assert answer.status_code == 200
        assert "X-API-Key" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_preflight_may_ask_for_every_method_that_the_service_has(allowing: InProcess, method: str) -> None:
    answer = preflight(allowing, method=method)
    assert answer.status_code == 200
    assert method in answer.headers["Access-Control-Allow-Methods"]


def test_a_preflight_from_a_public_page_to_a_private_network_is_answered(allowing: InProcess) -> None:
    answer = preflight(allowing, headers="content-type", private_network="true")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
    assert "Access-Control-Allow-Private-Network" not in preflight(allowing).headers


@pytest.mark.parametrize("names", ["x y", "x,y z", "a:b", "x\u00e9", '"x"', "(x)", "a/b"])
def test_a_header_name_that_is_none_is_refused_and_never_repeated(allowing: InProcess, names: str) -> None:
    answer = allowing.request(
        "OPTIONS",
        "/predict",
        headers={
            b"Origin": PAGE.encode(),
            b"Access-Control-Request-Method": b"POST",
            b"Access-Control-Request-Headers": names.encode("latin-1"),
        },
    )
    assert answer.status_code == 400
    assert answer.json()["detail"].endswith(".")
    assert "Access-Control-Allow-Headers" not in answer.headers


def test_a_refused_preflight_grants_nothing_and_says_in_a_sentence_what_to_do() -> None:
    app = InProcess(ALLOWED_ORIGINS=PAGE)
    for answer, says in (
        (
            preflight(app, "https://evil.example", headers="x-secret", private_network="true"),
            "ALLOWED_ORIGINS",
        ),
        (preflight(app, "null", private_network="true"), "ALLOWED_ORIGINS"),
        (preflight(app, method="PUT"), "GET, HEAD, POST"),
    ):
        assert answer.status_code == 400
        assert says in answer.json()["detail"]
        assert answer.headers["Vary"]
        granted = [name for name in answer.headers if name.startswith("access-control-allow")]
        assert granted == (["access-control-allow-origin"] if says.startswith("GET") else [])
