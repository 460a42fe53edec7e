"""The service under a path: behind a proxy that shares its host, and behind the stages of API Gateway."""

import asyncio
import base64
import json
import re
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from api._root_path import RootPathMiddleware
from api._settings import SettingsError, read_settings
from tests.api.test_lambda import loop_of_this_thread
from tests.conftest import InProcess, require

PREFIXES = ["/prod", "/apps/purrdict-2.0"]
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module", params=PREFIXES)
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def app(prefix: str) -> InProcess:
    return InProcess(ROOT_PATH=prefix)


def test_every_address_works_under_the_path_whether_or_not_a_proxy_takes_it_off(
    app: InProcess, prefix: str, cat_jpeg: bytes
) -> None:
    for base in (prefix, ""):
        for path in ("/", "/health", "/model/info", "/model/model.onnx", "/docs", "/redoc", "/openapi.json"):
            for method in ("GET", "HEAD"):
                assert app.request(method, base + path).status_code == 200, base + path
        for path in ("/index.html", "/app.js", "/docs/docs.js", "/samples/chelsea.jpg"):
            assert app.get(base + path).status_code == 200, base + path
        assert app.post(f"{base}/predict", files={"file": cat_jpeg}).json()["prediction"] == "cat"
        assert app.post(f"{base}/predict/batch", files={"files": cat_jpeg}).status_code == 200
        assert app.get(f"{base}/nowhere").status_code == 404
        assert app.get(f"{base}/predict").status_code == 405
    for path in (f"{prefix}x/health", f"/x{prefix}/health", prefix + prefix + "/health"):
        assert app.get(path).status_code == 404, path


def test_what_the_service_says_of_itself_names_the_path(app: InProcess, prefix: str) -> None:
    for base in (prefix, ""):
        endpoints = app.get(f"{base}/").json()["endpoints"]
        assert len(endpoints) > 5
        for path in endpoints.values():
            assert path.startswith(f"{prefix}/")
            assert app.get(path).status_code in (200, 405)
        schema = app.get(f"{base}/openapi.json").json()
        assert schema["servers"] == [{"url": prefix}]
        assert "/predict" in schema["paths"]


def test_every_link_of_the_page_and_of_the_documentation_stays_under_the_path(
    app: InProcess, prefix: str
) -> None:
    for page in ("/", "/docs", "/redoc"):
        answer = app.get(prefix + page, headers=HTML)
        links = [
            link
            for link in re.findall(r'(?:src|href)="([^"]+)"', answer.text)
            if not link.startswith(("data:", "#"))
        ]
        assert links
        for link in links:
            path = urljoin(prefix + page, link)
            assert path.startswith(f"{prefix}/")
            assert app.get(path).status_code == 200, path


def test_without_its_last_slash_the_path_leads_to_the_page_with_it(app: InProcess, prefix: str) -> None:
    for method in ("GET", "HEAD"):
        answer = app.request(method, prefix, headers=HTML)
        assert (answer.status_code, answer.headers["Location"]) == (307, f"{prefix}/")


def test_a_redirect_names_neither_scheme_nor_host_nor_port_and_keeps_path_and_query(
    app: InProcess, prefix: str
) -> None:
    # They are the proxy's, and what arrives of them here is often wrong: http for https, another port, no name.
    for host in (
        "purrdict.test",
        "purrdict.test:8080",
        "10.0.0.7",
        "[::1]:8000",
        "[",
        "a b",
        "evil.example#",
        "",
    ):
        for base in (prefix, ""):
            answer = app.post(f"{base}/predict/?explain=true", headers={"Host": host})
            assert answer.status_code == 307
            assert answer.headers["Location"] == f"{prefix}/predict?explain=true"
    plain = InProcess()
    assert plain.get("/health/", headers={"Host": "evil.example"}).headers["Location"] == "/health"
    for path in ("//evil.example/", "//evil.example/health/", "/\\evil.example/", f"{prefix}//evil.example/"):
        for asked in (plain, app):
            assert "Location" not in asked.get(f"http://purrdict.test{path}").headers


def test_without_the_setting_paths_and_documentation_are_as_they_were() -> None:
    app = InProcess()
    assert app.get("/").json()["endpoints"]["predict"] == "/predict"
    assert "servers" not in app.get("/openapi.json").json()
    assert app.get("/prod/health").status_code == 404
    assert read_settings({"ROOT_PATH": ""}).root_path == read_settings({"ROOT_PATH": "/"}).root_path == ""


@pytest.mark.parametrize(
    "value",
    [
        "prod",
        "/prod/",
        "//prod",
        "/a//b",
        "/a/../b",
        "/.",
        "https://a.example/prod",
        "/pr od",
        "/a?b",
        "/a#b",
        "/a%2Fb",
    ],
)
def test_a_path_that_is_none_stops_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^ROOT_PATH: "):
        read_settings({"ROOT_PATH": value})


# --- API Gateway, as AWS documents its events ------------------------------------------------------------------------


def http_api(request: httpx.Request, stage: str) -> dict[str, Any]:
    """An HTTP API, payload format 2.0: a stage of its own is part of every path."""
    path = f"/{stage}{request.url.path}" if stage != "$default" else request.url.path
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.url.query.decode(),
        "headers": dict(request.headers),
        "requestContext": {
            "domainName": "id.execute-api.eu-central-1.amazonaws.com",
            "http": {"method": request.method, "path": path, "sourceIp": "203.0.113.7"},
            "stage": stage,
        },
        "body": base64.b64encode(request.read()).decode(),
        "isBase64Encoded": True,
    }


def http_api_1(request: httpx.Request, stage: str) -> dict[str, Any]:
    """An HTTP API, payload format 1.0: the same, in another shape."""
    path = f"/{stage}{request.url.path}" if stage != "$default" else request.url.path
    return {**rest_api(request, stage), "version": "1.0", "path": path}


def rest_api(request: httpx.Request, stage: str) -> dict[str, Any]:
    """A REST API: the stage is in the context alone."""
    path = request.url.path
    return {
        "resource": "/" if path == "/" else "/{proxy+}",
        "path": path,
        "httpMethod": request.method,
        "headers": dict(request.headers),
        "multiValueHeaders": {name: [value] for name, value in request.headers.items()},
        "queryStringParameters": dict(request.url.params) or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in request.url.params.items()}
        or None,
        "pathParameters": None if path == "/" else {"proxy": path.strip("/")},
        "requestContext": {
            "resourcePath": "/{proxy+}",
            "path": f"/{stage}{path}" if stage != "$default" else path,
            "stage": stage,
            "identity": {"sourceIp": "203.0.113.7"},
        },
        "body": base64.b64encode(request.read()).decode(),
        "isBase64Encoded": True,
    }


def rest_api_behind_a_domain(request: httpx.Request, base: str) -> dict[str, Any]:
    """A REST API behind a domain of one's own with a base path, which stands in front of the path."""
    event = rest_api(request, "prod")
    event["path"] = event["requestContext"]["path"] = f"/{base}{request.url.path}"
    return event


GATEWAYS = [http_api, http_api_1, rest_api, rest_api_behind_a_domain]


def invoke(event: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of what Lambda's entry answers to an event."""
    require("mangum")
    from api._lambda import handler

    context: Any = None  # no event needs it
    with loop_of_this_thread():
        answer = handler(event, context)
    headers = {name.lower(): value for name, value in answer.get("headers", {}).items()}
    body = base64.b64decode(answer["body"]).decode("latin-1") if answer["isBase64Encoded"] else answer["body"]
    return answer["statusCode"], headers, body


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("stage", ["prod", "v1", "health", "model"])
def test_a_stage_of_api_gateway_is_the_path_and_needs_no_setting(
    gateway: Any, stage: str, cat_jpeg: bytes
) -> None:
    def ask(method: str, path: str, **content: Any) -> tuple[int, dict[str, str], str]:
        return invoke(gateway(httpx.Request(method, f"https://id.example{path}", **content), stage))

    status, _, body = ask("POST", "/predict?explain=true", files={"file": cat_jpeg})
    assert (status, json.loads(body)["prediction"]) == (200, "cat")
    assert json.loads(body)["heatmap"]
    for path in ("/", "/health", "/model/info", "/docs", "/app.js"):
        assert ask("GET", path)[0] == 200, path
        status, _, body = ask("HEAD", path)
        assert (status, body) == (200, ""), path
    assert json.loads(ask("GET", "/")[2])["endpoints"]["health"] == f"/{stage}/health"
    assert json.loads(ask("GET", "/openapi.json")[2])["servers"] == [{"url": f"/{stage}"}]
    status, headers, _ = ask("GET", "/health/?a=b")
    assert (status, headers["location"]) == (307, f"/{stage}/health?a=b")
    assert ask("GET", "/nowhere")[0] == 404


@pytest.mark.parametrize("gateway", [http_api, http_api_1, rest_api])
def test_the_default_stage_is_no_path(gateway: Any) -> None:
    status, _, body = invoke(gateway(httpx.Request("GET", "https://id.example/"), "$default"))
    assert (status, json.loads(body)["endpoints"]["health"]) == (200, "/health")


def test_a_domain_of_ones_own_hides_the_stage_of_an_http_api() -> None:
    event = http_api(httpx.Request("GET", "https://purrdict.example/"), "$default")
    event["requestContext"] |= {"stage": "prod", "domainName": "purrdict.example"}
    status, _, body = invoke(event)
    assert (status, json.loads(body)["endpoints"]["health"]) == (200, "/health")


def test_the_root_of_a_stage_without_its_last_slash_leads_to_the_page() -> None:
    request = httpx.Request("GET", "https://id.example/", headers=HTML)
    for event in (http_api(request, "prod"), rest_api(request, "prod")):
        event["requestContext"].get("http", event["requestContext"])["path"] = "/prod"
        status, headers, _ = invoke(event)
        assert (status, headers["location"]) == (307, "/prod/")


def passed_on(root_path: str, scope: dict[str, Any]) -> dict[str, Any]:
    """What reaches the app behind the middleware."""
    reached: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    asyncio.run(RootPathMiddleware(app, root_path)(scope, None, None))  # type: ignore[arg-type]
    return reached[0]


def test_what_is_no_request_is_passed_on_as_it_is() -> None:
    scope = {"type": "lifespan"}
    assert passed_on("/prod", scope) is scope


@pytest.mark.parametrize(
    ("setting", "served", "path", "root", "own"),
    [
        ("", None, "/health", "", "/health"), ("", "", "/health", "", "/health"),
        ("", "/a", "/a/health", "/a", "/a/health"),
        ("", "/a", "/health", "/a", "/a/health"), ("", "/a", "/ab", "/a", "/a/ab"), ("", "/a", "/a", "/a", "/a"),
        ("/prod", None, "/health", "/prod", "/prod/health"), ("/prod", None, "/prod/health", "/prod", "/prod/health"),
        ("/prod", None, "/product", "/prod", "/prod/product"), ("/prod", "/a", "/a/health", "/prod", "/prod/health"),
        ("/prod", "/prod", "/prod/prod", "/prod", "/prod"),
    ],
)  # fmt: skip
def test_the_routes_learn_where_the_service_is(
    setting: str, served: str | None, path: str, root: str, own: str
) -> None:
    scope = {"type": "http", "path": path} | ({} if served is None else {"root_path": served})
    found = passed_on(setting, scope)
    assert (found["root_path"], found["path"]) == (root, own)
