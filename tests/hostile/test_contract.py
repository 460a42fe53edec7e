"""The OpenAPI document is the contract: schemathesis sends what it allows and what it forbids, with every check on."""

from collections.abc import Callable

import httpx
import pytest

from tests.conftest import Server, require
from tests.hostile.contract import check

KEY = "correct-horse-battery"


@pytest.mark.process
def test_every_response_is_as_documented(server: Server) -> None:
    require("schemathesis")
    result = check(server.url, examples=25)
    assert result.kept, result.report
    assert result.cases > 100


@pytest.mark.process
def test_every_response_is_as_documented_where_a_key_is_needed(serve: Callable[..., Server]) -> None:
    require("schemathesis")
    result = check(serve(API_KEYS=KEY).url, examples=5, key=KEY)
    assert result.kept, result.report
    assert result.cases > 50


@pytest.mark.long
def test_thousands_of_cases_are_answered_as_documented(server: Server) -> None:
    require("schemathesis")
    result = check(server.url, examples=1200)
    assert result.kept, result.report
    assert result.cases > 2_000


@pytest.mark.parametrize("path", ["/", "/health", "/predict", "/predict/batch", "/model/info", "/nowhere"])
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "PATCH", "DELETE"])
def test_a_method_that_is_not_documented_is_refused_in_a_sentence(
    client: httpx.Client, method: str, path: str
) -> None:
    response = client.request(method, path)
    assert response.status_code == (404 if path == "/nowhere" else 405)
    assert path == "/nowhere" or response.headers["Allow"]
    assert response.json()["detail"]
