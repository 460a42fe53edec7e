"""AWS Lambda: the Makefile that `sam build` runs builds the function, and AWS's own runtime client runs it.

`awslambdaric` asks a Runtime API for one event after the other and posts each answer back. On Lambda that API is a part
of the platform; here it is a small server with the four calls that the client makes.
"""

import base64
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import yaml

from benchmarks._platform import bare_environment, copy_checkout, run
from tests.conftest import ROOT, require_program
from tests.platforms.conftest import platform_python, tool

pytestmark = pytest.mark.platform

# Bytes of a function's files, unzipped.
LIMIT = 250e6
PAYLOAD_LIMIT = 6 * 1024 * 1024
FRIEND = "https://friend.example"


@dataclass
class RuntimeApi:
    """The platform's side of the Lambda Runtime API."""

    events: "queue.Queue[dict[str, Any]]" = field(default_factory=queue.Queue)
    answers: "queue.Queue[tuple[str, dict[str, Any]]]" = field(default_factory=queue.Queue)

    def __enter__(self) -> "RuntimeApi":
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def invoke(self, event: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Sends an event; returns "response" or "error" and what the function posted."""
        assert len(json.dumps(event)) < PAYLOAD_LIMIT, "Lambda would refuse this event"
        self.events.put(event)
        return self.answers.get(timeout=90)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                assert self.path == "/2018-06-01/runtime/invocation/next"
                body = json.dumps(api.events.get()).encode()
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
                self.send_header("Lambda-Runtime-Deadline-Ms", "4102444800000")
                self.send_header(
                    "Lambda-Runtime-Invoked-Function-Arn",
                    "arn:aws:lambda:eu-central-1:123456789012:function:p",
                )
                self.send_header(
                    "Lambda-Runtime-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0"
                )
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                api.answers.put((self.path.rpartition("/")[2], json.loads(body)))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """The test says what matters."""

        return Handler


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The function's files as `sam build` makes them."""
    checkout = copy_checkout(tmp_path_factory.mktemp("lambda") / "checkout")
    target = checkout / "artifacts"
    make = require_program("make")
    run(
        [make, "build-Purrdict", f"ARTIFACTS_DIR={target}", f"PYTHON={platform_python()}"],
        cwd=checkout,
        env=bare_environment(),
    )
    return target


@pytest.fixture(scope="module")
def function(artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeApi]:
    """The built function, started by AWS's runtime client in an environment that holds nothing else."""
    folder = tmp_path_factory.mktemp("runtime")
    pins = (ROOT / "tests/platforms/requirements.txt").read_text().split()
    client = next(pin for pin in pins if pin.startswith("awslambdaric=="))
    uv, python = tool("uv"), platform_python()
    run([uv, "pip", "install", "--quiet", "--python", python, "--target", folder / "client", client])
    run([python, "-m", "venv", "--without-pip", folder / "python"])
    handler = template()["Resources"]["Purrdict"]["Properties"]["Handler"]
    with RuntimeApi() as api, (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [folder / "python/bin/python", "-m", "awslambdaric", handler],
            cwd=artifacts,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": f"{artifacts}:{folder / 'client'}",
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "AWS_LAMBDA_FUNCTION_NAME": "purrdict",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
                "LAMBDA_TASK_ROOT": str(artifacts),
                "ALLOWED_ORIGINS": FRIEND,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield api
        finally:
            process.kill()
            process.wait()
            print((folder / "log").read_text()[-2000:])


class CloudFormationLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short functions, whose values do not matter here."""


CloudFormationLoader.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


def template() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((ROOT / "template.yaml").read_text(), CloudFormationLoader)
    return loaded


# --- events, as AWS documents them -----------------------------------------------------------------------------------


def _parts(request: httpx.Request) -> tuple[str, str, dict[str, str], str]:
    url = urlsplit(str(request.url))
    return url.path, url.query, dict(request.headers), base64.b64encode(request.read()).decode()


def function_url(request: httpx.Request) -> dict[str, Any]:
    """Payload format 2.0, which function URLs and HTTP APIs share."""
    path, query, headers, body = _parts(request)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "queryStringParameters": dict(parse_qsl(query)),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "id",
            "domainName": "id.lambda-url.eu-central-1.on.aws",
            "domainPrefix": "id",
            "http": {
                "method": request.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.7",
                "userAgent": "curl/8.5.0",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:10:30:00 +0000",
            "timeEpoch": 1795257000000,
        },
        "body": body,
        "isBase64Encoded": True,
    }


def http_api(request: httpx.Request) -> dict[str, Any]:
    """An HTTP API with the route `ANY /{proxy+}`."""
    event = function_url(request)
    event["routeKey"] = event["requestContext"]["routeKey"] = "ANY /{proxy+}"
    event["pathParameters"] = {"proxy": event["rawPath"].lstrip("/")}
    return event


def rest_api(request: httpx.Request) -> dict[str, Any]:
    """A REST API with `binaryMediaTypes: ["*/*"]`, payload format 1.0."""
    path, query, headers, body = _parts(request)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": dict(parse_qsl(query)) or None,
        "multiValueQueryStringParameters": {key: [value] for key, value in parse_qsl(query)} or None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/{proxy+}",
            "httpMethod": request.method,
            "path": f"/prod{path}",
            "stage": "prod",
            "identity": {"sourceIp": "203.0.113.7"},
        },
        "body": body,
        "isBase64Encoded": True,
    }


def load_balancer(request: httpx.Request) -> dict[str, Any]:
    """An application load balancer's target group."""
    path, query, headers, body = _parts(request)
    return {
        "requestContext": {
            "elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/p/1"}
        },
        "httpMethod": request.method,
        "path": path,
        "queryStringParameters": dict(parse_qsl(query)),
        "headers": {**headers, "x-forwarded-for": "203.0.113.7", "x-forwarded-port": "443"},
        "body": body,
        "isBase64Encoded": True,
    }


EVENTS = [function_url, http_api, rest_api, load_balancer]
Event = Callable[[httpx.Request], dict[str, Any]]


def call(
    function: RuntimeApi, event: Event, method: str, path: str, **content: Any
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON body of the answer to a request that arrives as this kind of event."""
    kind, answer = function.invoke(event(httpx.Request(method, f"https://purrdict.example{path}", **content)))
    assert kind == "response", answer
    body = base64.b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"]
    headers = {name.lower(): value for name, value in answer.get("headers", {}).items()}
    headers |= {name.lower(): values[-1] for name, values in (answer.get("multiValueHeaders") or {}).items()}
    return answer["statusCode"], headers, json.loads(body) if body else None


# --- the promises ----------------------------------------------------------------------------------------------------


def test_the_function_fits_lambda_with_its_bytecode(artifacts: Path) -> None:
    size = sum(path.stat().st_size for path in artifacts.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB unzipped, bytecode included")
    assert size < LIMIT
    assert list((artifacts / "api/__pycache__").glob("index.*.pyc"))
    assert not (artifacts / "tests").exists()


@pytest.mark.parametrize("event", EVENTS)
def test_a_multipart_photo_is_classified(function: RuntimeApi, event: Event, cat_jpeg: bytes) -> None:
    status, headers, body = call(
        function, event, "POST", "/predict", files={"file": ("chelsea.jpg", cat_jpeg, "image/jpeg")}
    )
    print(event.__name__, json.dumps(body))
    assert (status, body["prediction"]) == (200, "cat")
    assert headers["x-request-id"]


@pytest.mark.parametrize("event", EVENTS)
def test_a_raw_photo_is_classified_and_the_query_string_arrives(
    function: RuntimeApi, event: Event, cat_jpeg: bytes
) -> None:
    status, _, body = call(
        function,
        event,
        "POST",
        "/predict?explain=true",
        content=cat_jpeg,
        headers={"Content-Type": "image/jpeg"},
    )
    assert (status, body["prediction"], body["heatmap"]["label"]) == (200, "cat", "cat")


@pytest.mark.parametrize("event", EVENTS)
def test_a_file_that_is_no_photo_is_refused_with_a_sentence(function: RuntimeApi, event: Event) -> None:
    status, _, body = call(function, event, "POST", "/predict", files={"file": b"not a photo"})
    assert status == 400
    assert body["detail"].endswith(".")


@pytest.mark.parametrize("event", EVENTS)
def test_a_preflight_of_an_allowed_origin_is_answered(function: RuntimeApi, event: Event) -> None:
    headers = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    kind, answer = function.invoke(
        event(httpx.Request("OPTIONS", "https://p.example/predict", headers=headers))
    )
    names = {**answer.get("headers", {}), **(answer.get("multiValueHeaders") or {})}
    assert kind == "response"
    assert answer["statusCode"] == 200
    assert names["access-control-allow-origin"] in (FRIEND, [FRIEND])


def test_the_page_and_the_model_file_come_whole(function: RuntimeApi, artifacts: Path) -> None:
    request = httpx.Request("GET", "https://p.example/", headers={"Accept": "text/html"})
    _, page = function.invoke(function_url(request))
    assert page["body"].startswith("<!doctype html>")
    _, weights = function.invoke(function_url(httpx.Request("GET", "https://p.example/model/model.onnx")))
    version = (artifacts / "model/latest").read_text().strip()
    assert (
        base64.b64decode(weights["body"]) == (artifacts / f"model/versions/{version}/model.onnx").read_bytes()
    )


def test_a_photo_of_4_4_megabytes_gets_through(function: RuntimeApi, large_photo: bytes) -> None:
    status, _, body = call(function, function_url, "POST", "/predict", files={"file": large_photo})
    assert (status, body["prediction"]) == (200, "cat")


def test_an_event_that_is_no_http_request_is_an_error_and_the_next_request_is_answered(
    function: RuntimeApi,
) -> None:
    kind, answer = function.invoke({"Records": [{"eventSource": "aws:s3"}]})
    assert (kind, answer["errorType"]) == ("error", "RuntimeError")
    assert call(function, function_url, "GET", "/health")[0] == 200


def test_the_model_is_read_once_for_all_invocations(
    function: RuntimeApi, artifacts: Path, cat_jpeg: bytes
) -> None:
    first = call(function, function_url, "POST", "/predict", files={"file": cat_jpeg})[2]
    away = shutil.move(artifacts / "model", artifacts / "model-moved-away")
    try:
        second = call(function, function_url, "POST", "/predict", files={"file": cat_jpeg})[2]
    finally:
        shutil.move(away, artifacts / "model")
    assert second["probabilities"] == first["probabilities"]


def test_the_template_is_valid() -> None:
    run([tool("cfn-lint"), ROOT / "template.yaml"])


def test_the_template_runs_the_python_that_the_makefile_builds_for() -> None:
    runtime = template()["Resources"]["Purrdict"]["Properties"]["Runtime"]
    assert f"PYTHON ?= {runtime}\n" in (ROOT / "Makefile").read_text()
