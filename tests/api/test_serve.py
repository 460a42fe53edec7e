"""`python -m api serve` in surroundings that hold variables of other servers and platforms."""

from collections.abc import Callable

import pytest

from tests.conftest import Server

# Heroku and Buildpacks set the first by themselves; compose files hand on the second where nobody set it.
WORKERS = ["2", "", "0", "-1", "many", "1"]


@pytest.mark.parametrize("workers", WORKERS)
def test_the_server_starts_whatever_number_of_workers_a_platform_asks_for(
    serve: Callable[..., Server], workers: str
) -> None:
    server = serve(WEB_CONCURRENCY=workers)
    with server.client() as client:
        assert client.get("/health").json()["status"] == "healthy"
    said = "WEB_CONCURRENCY is ignored" in server.log()
    assert said == (workers not in ("", "1")), "a number that is not followed is said to be so"
    assert "Traceback" not in server.log()


def test_no_variable_of_the_server_beneath_breaks_the_start(serve: Callable[..., Server]) -> None:
    variables = {
        "FORWARDED_ALLOW_IPS": "10.0.0.1/8, ,x",
        "UVICORN_WORKERS": "2",
        "UVICORN_PORT": "x",
        "UVICORN_LOG_LEVEL": "loud",
        "UVICORN_RELOAD": "true",
        "UVICORN_HTTP": "none",
        "UVICORN_ROOT_PATH": "no path",
    }
    server = serve(**variables)
    with server.client() as client:
        assert client.get("/health").json()["status"] == "healthy"
    assert "Traceback" not in server.log()
