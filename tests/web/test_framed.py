"""The page in a frame of another page, as Hugging Face and Codespaces show it."""

from typing import Any

import pytest

from tests.conftest import LocalServer
from tests.web.actions import READY
from tests.web.conftest import Visit
from tests.web.world import PUBLIC_HOST, World

pytestmark = pytest.mark.browser

# It shows what its address names behind the #.
FRAMING = """<!doctype html><body><script>
  const frame = document.createElement("iframe");
  Object.assign(frame, { width: 900, height: 700, src: location.hash.slice(1) });
  document.body.append(frame);
</script>"""


def _frame(visit: Visit, origin: str, server: LocalServer, faults: str | None = None) -> Any:
    """What is in a frame of the page at this origin that shows the server."""
    return visit(f"{origin}/#{server.url}/", faults=faults).frame_locator("iframe")


def test_a_page_that_frame_ancestors_names_shows_this_one_and_it_answers_there(
    world: World, visit: Visit
) -> None:
    origin = world.in_the_way(200, FRAMING).replace("127.0.0.1", PUBLIC_HOST)
    frame = _frame(visit, origin, world.api(FRAME_ANCESTORS=origin))
    frame.locator(READY).wait_for()
    frame.get_by_role("button", name="Sample: A cat").click()
    frame.locator('#stage[data-state="answered"]').wait_for()


@pytest.mark.parametrize("ancestors", ["", "https://huggingface.co"])
def test_in_a_frame_of_any_other_page_it_stays_blank(world: World, visit: Visit, ancestors: str) -> None:
    origin = world.in_the_way(200, FRAMING).replace("127.0.0.1", PUBLIC_HOST)
    frame = _frame(visit, origin, world.api(FRAME_ANCESTORS=ancestors), faults="frame|ERR_BLOCKED")
    frame.locator("body").wait_for(state="attached")
    assert frame.locator("#page").count() == 0
