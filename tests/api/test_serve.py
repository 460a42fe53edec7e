"""`python -m api serve` in surroundings that hold variables of other servers and platforms."""

from collections.abc import Callable

import pytest
import uvicorn

from tests.commands import run
from tests.conftest import Server, free_port

# Heroku and Buildpacks set it by themselves; compose files hand it on where nobody set it.
WORKERS = ["2", "", "0", "-1", "many", "1"]


@pytest.mark.parametrize("workers", WORKERS)
def test_the_server_is_one_process_whatever_number_a_platform_asks_for_and_says_so(
    workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured: list[uvicorn.Config] = []

    def start(server: uvicorn.Server) -> None:
        configured.append(server.config)
        server.started = True

    monkeypatch.setattr(uvicorn.Server, "run", start)
    result = run("serve", "--port", str(free_port()), environment={"WEB_CONCURRENCY": workers})
    assert result.returncode == 0
    assert [config.workers for config in configured] == [1]
    said = "WEB_CONCURRENCY is ignored" in result.stderr
    assert said == (workers not in ("", "1")), "a number that is not followed is said to be so"


def test_no_variable_of_the_server_beneath_breaks_the_start(serve: Callable[..., Server]) -> None:
    variables = {
        "WEB_CONCURRENCY": "many",
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
    assert "WEB_CONCURRENCY is ignored" in server.log()
    assert "Traceback" not in server.log()
