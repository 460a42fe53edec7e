"""/docs and /redoc in a real browser: they come up whole, with nothing fetched from another host."""

import pytest

from tests.conftest import Server
from tests.web.conftest import Visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    ("path", "shows"), [("/docs", "#docs .opblock-tag"), ("/redoc", "#docs [role=menuitem]")]
)
def test_the_documentation_comes_up_from_this_host_alone(
    visit: Visit, server: Server, path: str, shows: str
) -> None:
    page = visit("about:blank")
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/", 3)[2]))
    page.goto(server.url + path)
    page.wait_for_selector(shows)
    assert {host for host in hosts if host and not host.startswith("blob:")} <= {server.url.split("/", 3)[2]}
