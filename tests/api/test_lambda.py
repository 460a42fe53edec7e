"""Which part of an event's path is the stage or the base path that API Gateway puts in front, and which the app's."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import require

Event = dict[str, Any]


def http_api(stage: str, **context: str) -> Event:
    return {"version": "2.0", "requestContext": {"stage": stage, **context}}


def rest_api(resource: str, public: str, **parameters: str) -> Event:
    return {"resource": resource, "pathParameters": parameters or None, "requestContext": {"path": public}}


@contextlib.contextmanager
def loop_of_this_thread() -> Iterator[None]:
    """Mangum takes the loop of the thread, which is there in a new process, and gone after any `asyncio.run`."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_the_app_is_asked_and_not_started_at_every_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    require("mangum")
    from api import _lambda

    asked: list[tuple[str, str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append((scope["type"], scope["root_path"], scope["path"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    monkeypatch.setattr(_lambda, "app", app)
    context = {"stage": "prod", "http": {"method": "GET", "path": "/prod/health", "sourceIp": "203.0.113.7"}}
    event = {"version": "2.0", "rawPath": "/prod/health", "rawQueryString": "", "headers": {}}
    nothing: Any = None
    with loop_of_this_thread():
        answer = _lambda.handler({**event, "requestContext": context}, nothing)
    assert answer["statusCode"] == 204
    assert asked == [("http", "/prod", "/prod/health")]
    assert _lambda.handler.lifespan == "off"


@pytest.mark.parametrize(
    ("event", "path", "root", "own"),
    [
        # An HTTP API: a stage of its own is part of the path.
        (http_api("prod"), "/prod/health", "/prod", "/health"),
        (http_api("prod"), "/prod/", "/prod", "/"),
        (http_api("prod"), "/prod", "/prod", ""),
        (http_api("prod"), "/product", "", "/product"),
        (http_api("prod"), "/health", "", "/health"),
        (http_api("health"), "/health/health", "/health", "/health"),
        (http_api("$default"), "/health", "", "/health"),
        (http_api("$default"), "/", "", "/"),
        (http_api("prod", path="/prod/health"), "/prod/health", "/prod", "/health"),
        # A REST API: the stage is in the context alone.
        (rest_api("/{proxy+}", "/prod/health", proxy="health"), "/health", "/prod", "/health"),
        (rest_api("/{proxy+}", "/prod/health/", proxy="health"), "/health/", "/prod", "/health/"),
        (rest_api("/{proxy+}", "/prod/docs/docs.js", proxy="docs/docs.js"), "/docs/docs.js", "/prod", "/docs/docs.js"),
        (rest_api("/{a}/{b}", "/prod/model/info", a="model", b="info"), "/model/info", "/prod", "/model/info"),
        (rest_api("/model/{b}", "/prod/model/info", b="info"), "/model/info", "/prod", "/model/info"),
        (rest_api("/predict", "/prod/predict"), "/predict", "/prod", "/predict"),
        (rest_api("/", "/prod/"), "/", "/prod", "/"),
        (rest_api("/", "/prod"), "/", "/prod", ""),
        # Behind a domain of one's own the base path stays on the path.
        (rest_api("/{proxy+}", "/base/health", proxy="health"), "/base/health", "/base", "/health"),
        (rest_api("/{proxy+}", "/base/health/", proxy="health"), "/base/health/", "/base", "/health/"),
        (rest_api("/{proxy+}", "/health/health", proxy="health"), "/health/health", "/health", "/health"),
        (rest_api("/{proxy+}", "/base/a~", proxy="a~"), "/base/a~", "/base", "/a~"),
        (rest_api("/", "/base/"), "/base/", "/base", "/"),
        (rest_api("/", "/base~/"), "/base~/", "/base~", "/"),
        (rest_api("/", "/base"), "/base", "/base", ""),
        # What is not as expected is left as it is.
        (rest_api("/{proxy+}", "/prod/health"), "/health", "/prod", "/health"),
        (rest_api("/{proxy+}", "/another", proxy="health"), "/health", "", "/health"),
        (rest_api("/{proxy+}", "/prod/a/proxy"), "/a/proxy", "/prod", "/a/proxy"),
        (rest_api("/predict", "/prod/health"), "/health", "/prod", "/health"),
        ({"resource": "/{proxy+}", "pathParameters": {"proxy": "health"}}, "/health", "", "/health"),
        # A load balancer puts nothing in front, nor does CloudFront, which has no context.
        ({"requestContext": {"elb": {}}}, "/health", "", "/health"),
        ({"Records": []}, "/health", "", "/health"), ({"Records": []}, "/", "", "/"),
    ],
)  # fmt: skip
def test_what_stands_in_front_of_the_path_is_told_from_the_path(
    event: Event, path: str, root: str, own: str
) -> None:
    require("mangum")
    from api._lambda import _split

    assert _split(event, path) == (root, own)
