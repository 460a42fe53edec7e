"""Whether the API can be reached, and the reason that people can act on when it cannot."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import ROOT, require_program, running_server
from tests.web.actions import (
    ANSWERED,
    BUSY,
    FAILED,
    NETWORK_ERRORS,
    READY,
    TROUBLE,
    answer_here,
    choose,
    choose_cat,
    ready,
    try_sample,
    unfold,
)
from tests.web.conftest import CHROMIUM, FLAGS, Visit
from tests.web.world import PUBLIC_HOST, World, jpeg, sample, upload

pytestmark = pytest.mark.browser


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _notice(page: Any) -> str:
    page.wait_for_selector(f"{TROUBLE}", state="attached")
    page.wait_for_selector("#notice")
    return str(page.inner_text("#notice-text"))


def test_the_page_wakes_the_api_before_a_photo_is_chosen(world: World, visit: Visit) -> None:
    api, let_pass = world.held(world.open)
    page = visit(world.site(api=api))
    assert page.get_attribute("#status", "data-state") == "waking"
    let_pass()
    page.wait_for_selector(READY)
    assert page.inner_text("#status") == "Ready"
    page.wait_for_selector('#footer-model:has-text("Model ")')


def test_a_slow_api_is_said_to_be_waking_still(world: World, visit: Visit) -> None:
    api, let_pass = world.held(world.open)
    page = visit(world.site(api=api))
    page.wait_for_selector('#status:has-text("Still waking")')
    let_pass()
    page.wait_for_selector(READY)


def test_a_photo_chosen_while_the_api_wakes_is_answered(world: World, visit: Visit) -> None:
    api, let_pass = world.held(world.open)
    page = visit(world.site(api=api))
    choose_cat(page, wait=BUSY)
    assert page.get_attribute("#status", "data-state") == "waking"
    let_pass()
    page.wait_for_selector(ANSWERED)
    page.wait_for_selector(READY)


def test_a_slow_answer_says_that_it_is_still_waited_for(world: World, visit: Visit) -> None:
    api, let_pass = world.held(world.open)
    page = visit(world.site(api=api), faults="404")  # no model beside the page
    choose_cat(page, wait=BUSY)
    page.wait_for_selector("text=Still waiting for the server")
    let_pass()
    page.wait_for_selector(ANSWERED)


def test_an_api_that_never_answers_ends_in_a_sentence_and_a_button(world: World, visit: Visit) -> None:
    api, _ = world.held(world.open)
    page = visit(world.site(api=api, timeout_seconds=1), faults="404")  # no model beside the page either
    assert "did not answer within 1 seconds" in _notice(page)
    choose_cat(page, wait=FAILED)
    assert "did not answer within 1 seconds" in page.inner_text("#verdict-note")
    assert page.get_by_role("button", name="Try again").is_visible()


def test_an_allowed_origin_gets_answers(world: World, visit: Visit) -> None:
    api = world.api(ALLOWED_ORIGINS="http://localhost:1")
    site = world.site(api=api.url)
    refused = visit(site, faults=NETWORK_ERRORS)
    assert _origin(site) in _notice(refused)
    allowed = world.api(ALLOWED_ORIGINS=f"http://localhost:1,{_origin(site)}")
    page = ready(visit(f"{site}?api={allowed.url}"))
    try_sample(page)


def test_a_refused_origin_is_told_which_origin_to_allow(world: World, visit: Visit) -> None:
    site = world.site(api=world.server.url)
    page = visit(site, faults=NETWORK_ERRORS)
    notice = _notice(page)
    assert f"Add {_origin(site)} to ALLOWED_ORIGINS" in notice
    assert urlsplit(world.server.url).netloc in notice
    choose_cat(page, wait=FAILED)
    assert f"Add {_origin(site)} to ALLOWED_ORIGINS" in page.inner_text("#verdict-note")


def test_a_stopped_api_is_told_from_a_refusal(world: World, visit: Visit) -> None:
    page = visit(world.site(api=world.stopped()), faults=NETWORK_ERRORS)
    notice = _notice(page)
    assert notice.startswith("Nothing answers at ")
    assert "ALLOWED_ORIGINS" not in notice


def test_an_api_stopped_in_the_middle_is_noticed_and_its_return_too(
    world: World, visit: Visit, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(tmp_path / "first", ALLOWED_ORIGINS="*") as server:
        port = int(server.url.rsplit(":", 1)[1])
        page = ready(visit(world.site(api=server.url), faults=NETWORK_ERRORS))
        try_sample(page)
    try_sample(page, "A rocket", wait=FAILED)
    assert "Nothing answers at " in page.inner_text("#verdict-note")
    page.wait_for_selector(TROUBLE)
    monkeypatch.setattr("tests.conftest.free_port", lambda: port)
    with running_server(tmp_path / "second", ALLOWED_ORIGINS="*"):
        # What failed goes on by itself.
        page.wait_for_selector(READY, timeout=60_000)
        page.wait_for_selector(ANSWERED)


def test_being_offline_is_said_and_ends_by_itself(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS))
    page.context.set_offline(True)
    assert "This device is offline" in _notice(page)
    assert not page.locator("#notice").get_by_role("button", name="Answer on this device").is_visible()
    page.context.set_offline(False)
    page.wait_for_selector(READY)
    assert not page.locator("#notice").is_visible()


def test_a_service_without_a_model_says_why(world: World, visit: Visit) -> None:
    page = visit(world.empty.url, faults=NETWORK_ERRORS)
    with world.empty.client() as client:
        reason = client.get("/health").json()["detail"]
    assert reason in _notice(page)


def test_a_site_published_without_an_api_answers_by_itself(world: World, visit: Visit) -> None:
    page = visit(world.site(model=ROOT / "model", api=""), faults=NETWORK_ERRORS)
    page.wait_for_selector('#status:has-text("Ready, on this device")')
    assert "The first one loads the model" in page.inner_text("#where-alone")
    assert not page.locator("#notice").is_visible()
    try_sample(page)
    # There is nothing to choose, and nothing of an API to offer.
    assert not page.get_by_role("radio", name="Our server").is_visible()
    assert not page.locator("#footer-docs").is_visible()
    unfold(page)
    assert not page.locator("#code").is_visible()


def test_a_site_that_names_something_else_than_an_api_says_so(world: World, visit: Visit) -> None:
    other = world.site()
    page = visit(world.site(api=other), faults=NETWORK_ERRORS)
    # Its answers are as unreadable as those of an API that does not allow this page.
    assert "ALLOWED_ORIGINS" in _notice(page)


def test_a_missing_key_is_asked_for_and_its_answer_follows(world: World, visit: Visit) -> None:
    page = visit(world.keyed.url, faults=NETWORK_ERRORS, insist=True)
    try_sample(page, wait=FAILED)
    assert "asks for a key" in page.inner_text("#verdict-note")
    page.locator("#stage").get_by_role("button", name="Open settings").click()
    page.get_by_label("API key").fill("right")
    page.get_by_label("API key").press("Enter")
    page.wait_for_selector(ANSWERED)
    page.reload()
    ready(page)
    try_sample(page)


def test_a_wrong_key_is_said_to_be_wrong(world: World, visit: Visit) -> None:
    page = visit(world.keyed.url, faults=NETWORK_ERRORS, insist=True)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Save").click()
    try_sample(page, wait=FAILED)
    assert "does not take this key" in page.inner_text("#verdict-note")
    assert page.inner_text("#status") == "API key needed"


def test_a_key_works_across_origins_and_never_reaches_another_api(world: World, visit: Visit) -> None:
    site = world.site(api=world.keyed.url)
    page = visit(site, faults="404", insist=True)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("API key").fill("right")
    page.get_by_role("button", name="Save").click()
    try_sample(page)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Address of the API").fill(world.open.url)
    assert page.get_by_label("API key").input_value() == ""
    page.get_by_role("button", name="Save").click()
    ready(page)
    with page.expect_request("**/predict?*") as request:
        try_sample(page)
    assert request.value.url.startswith(world.open.url)
    assert "x-api-key" not in request.value.headers


def test_the_key_is_kept_for_the_session_only(world: World, visit: Visit) -> None:
    page = visit(world.keyed.url, insist=True)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("API key").fill("right")
    page.get_by_role("button", name="Save").click()
    assert page.evaluate("[Object.keys(localStorage), document.cookie]") == [["purrdict.where"], ""]
    assert "right" not in page.url
    assert page.evaluate("Object.values(sessionStorage)") == ["right"]


def test_the_address_in_the_link_beats_the_published_one_and_is_shown(world: World, visit: Visit) -> None:
    page = ready(visit(f"{world.site(api=world.stopped())}?api={world.open.url}"))
    assert page.inner_text("#where-note") == (
        f"Photos go to {urlsplit(world.open.url).netloc}, which answers and keeps none."
    )
    try_sample(page)


def test_the_address_set_by_hand_stays_in_the_link(world: World, visit: Visit) -> None:
    page = visit(world.site(api=world.stopped()), faults=NETWORK_ERRORS)
    _notice(page)
    page.locator("#notice").get_by_role("button", name="Open settings").click()
    page.get_by_label("Address of the API").fill(f" {world.open.url}/ ")
    page.get_by_role("button", name="Save").click()
    ready(page)
    page.reload()
    ready(page)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Address of the API").fill("")
    page.get_by_role("button", name="Save").click()
    page.wait_for_selector(TROUBLE)
    assert "?" not in page.url


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "ftp://example.com", "data:text/html,x", "purrdict.example"]
)
def test_only_web_addresses_are_taken(world: World, visit: Visit, address: str) -> None:
    page = ready(visit(f"{world.server.url}?api={address}"))
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Address of the API").fill(address)
    page.get_by_role("button", name="Save").click()
    assert "Write an http or https address" in page.inner_text("#settings-api-wrong")
    page.get_by_role("dialog").wait_for()


def test_a_photo_that_the_api_finds_too_large_shows_its_sentence(world: World, visit: Visit) -> None:
    page = ready(visit(world.api(MAX_PIXELS="1000").url, faults=NETWORK_ERRORS, insist=True))
    try_sample(page, wait=FAILED)
    note = page.inner_text("#verdict-note")
    assert note.startswith("The API finds this photo too large.")
    assert "Make it smaller" in note


def test_a_failing_server_is_tried_twice_and_named_with_its_request_id(world: World, visit: Visit) -> None:
    page = ready(
        visit(world.site(api=world.failing((502, "<html>sorry</html>"))), faults=NETWORK_ERRORS, insist=True)
    )
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "/predict" in request.url else None)
    try_sample(page, wait=FAILED)
    note = page.inner_text("#verdict-note")
    assert "HTTP 502" in note
    assert "request id abc123" in note
    assert len(requests) == 2


def test_too_many_requests_ask_for_patience(world: World, visit: Visit) -> None:
    page = ready(visit(world.site(api=world.failing((429, "{}"))), faults=NETWORK_ERRORS))
    try_sample(page, wait=FAILED)
    assert "too many requests" in page.inner_text("#verdict-note")


def test_an_overloaded_service_is_asked_again_after_a_pause(world: World, visit: Visit) -> None:
    busy = (503, json.dumps({"detail": "Too many photos are waiting."}))
    with world.server.client() as client:
        photo = jpeg(sample("chelsea"))
        answer = client.post("/predict?explain=true", files={"file": ("cat.jpg", photo)}).text
    page = ready(visit(world.site(api=world.failing(busy, (200, answer))), faults=NETWORK_ERRORS))
    try_sample(page)


def test_a_service_that_stays_overloaded_is_quoted(world: World, visit: Visit) -> None:
    busy = (503, json.dumps({"detail": "Too many photos are waiting."}))
    page = ready(visit(world.site(api=world.failing(busy)), faults=NETWORK_ERRORS))
    try_sample(page, wait=FAILED)
    expected = "The API cannot answer just now. Too many photos are waiting."
    assert page.inner_text("#verdict-note") == expected
    assert page.inner_text("#status") == "Ready"


def test_one_bad_photo_does_not_call_the_api_unreachable(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url, faults=NETWORK_ERRORS))
    choose(page, upload("a.jpg", jpeg(sample("chelsea"))[:200]), wait=FAILED)
    assert page.inner_text("#status") == "Ready"
    assert not page.locator("#notice").is_visible()


# --- what stands between page and API --------------------------------------------------------------------------------


def test_behind_ngroks_warning_page_a_page_on_another_origin_gets_its_answers(
    world: World, visit: Visit
) -> None:
    site = world.site()
    server = world.api(ALLOWED_ORIGINS=_origin(site))
    api, passed = world.ngrok(server)
    page = ready(visit(f"{site}?api={api}"))
    try_sample(page)
    page.wait_for_selector('#footer-model:has-text("Model ")')
    assert {"GET /health", "GET /model/info", "OPTIONS /predict?explain=true"} <= set(passed)


def test_behind_ngroks_warning_page_the_browser_gets_the_model_too(world: World, visit: Visit) -> None:
    site = world.site()
    api, passed = world.ngrok(world.api(ALLOWED_ORIGINS=_origin(site)))
    page = ready(visit(f"{site}?api={api}", faults=NETWORK_ERRORS))
    answer_here(page)
    try_sample(page)
    assert {"GET /model/metadata.json", "GET /model/model.onnx"} <= set(passed)


def test_no_other_api_gets_ngroks_header(world: World, visit: Visit) -> None:
    page = ready(visit(world.site(api=world.open.url)))
    with page.expect_request("**/predict?*") as request:
        try_sample(page)
    assert not [name for name in request.value.headers if name.startswith("ngrok")]


def test_a_refusal_at_an_ngrok_address_names_both_reasons_that_it_may_have(
    world: World, visit: Visit
) -> None:
    site = world.site()
    api, _ = world.ngrok(world.server)
    notice = _notice(visit(f"{site}?api={api}", faults=NETWORK_ERRORS))
    assert "ngrok's warning page" in notice
    assert f"add {_origin(site)} to ALLOWED_ORIGINS" in notice


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_web_page_in_place_of_the_api_is_said_to_be_one(world: World, visit: Visit, status: int) -> None:
    api = world.in_the_way(status)
    page = visit(world.site(api=api), faults=NETWORK_ERRORS)
    notice = _notice(page)
    assert notice.startswith(f"A web page came from {urlsplit(api).netloc}")
    assert f"Open {api} in a tab" in notice
    choose_cat(page, wait=FAILED)
    note = page.inner_text("#verdict-note")
    assert note.startswith("A web page came from")
    assert "key" not in note


def test_a_gateway_whose_service_is_away_is_not_called_something_else(world: World, visit: Visit) -> None:
    page = visit(world.site(api=world.in_the_way(502, "<html>Bad Gateway</html>")), faults=NETWORK_ERRORS)
    assert _notice(page).startswith("Nothing answers at ")


def test_a_static_host_that_answers_everything_with_the_page_is_no_api_and_the_browser_answers(
    world: World, visit: Visit
) -> None:
    page = visit("about:blank", faults=NETWORK_ERRORS)
    page.route("**/health", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto(world.site(model=ROOT / "model", api=""))
    page.wait_for_selector('#status:has-text("Ready, on this device")')


def _permission(page: Any, known: str, state: str) -> None:
    """Lets the browser say this of the permission of this name, and know no other."""
    page.add_init_script(
        """navigator.permissions.query = async ({ name }) => {
          if (name !== "KNOWN") throw new TypeError(name);
          return { state: "STATE" };
        };""".replace("KNOWN", known).replace("STATE", state)
    )


def test_a_page_of_the_internet_says_that_browsers_guard_the_way_to_an_api_on_this_machine(
    world: World, visit: Visit
) -> None:
    site = world.site().replace("127.0.0.1", PUBLIC_HOST)
    for api in (world.stopped(), world.stopped().replace("127.0.0.1", "localhost")):
        page = visit("about:blank", faults=NETWORK_ERRORS)
        _permission(page, "local-network-access", "prompt")
        page.goto(f"{site}?api={api}")
        host = urlsplit(api).netloc
        assert _notice(page).startswith(f"Nothing answers at {host}, or the browser keeps this page from it")
        assert "site settings" in _notice(page)
    # A page from the same machine needs no permission, so that nothing is said of one.
    here = _notice(visit(f"{world.site()}?api={world.stopped()}", faults=NETWORK_ERRORS))
    assert "site settings" not in here


@pytest.mark.parametrize("name", ["local-network-access", "loopback-network"])
def test_a_denied_permission_for_the_local_network_is_named(world: World, visit: Visit, name: str) -> None:
    page = visit("about:blank", faults=NETWORK_ERRORS)
    _permission(page, name, "denied")
    page.goto(f"{world.site().replace('127.0.0.1', PUBLIC_HOST)}?api={world.stopped()}")
    assert _notice(page).startswith("The browser does not let this page reach 127.0.0.1:")
    choose_cat(page, wait=FAILED)
    assert page.locator("#stage").get_by_role("button", name="Answer on this device").is_visible()


def test_what_chromium_really_keeps_from_a_page_of_the_internet_is_explained(
    world: World, browser: Any
) -> None:
    site = world.site()
    # Chromium takes this one address for one of the internet; the API, on another port, stays on this machine.
    override = f"--ip-address-space-overrides={urlsplit(site).netloc}=public"
    guarded = browser.browser_type.launch(executable_path=require_program(*CHROMIUM), args=[*FLAGS, override])
    try:
        page = guarded.new_page()
        page.goto(f"{site.replace('127.0.0.1', PUBLIC_HOST)}?api={world.open.url}")
        assert _notice(page).startswith("The browser does not let this page reach 127.0.0.1:")
    finally:
        guarded.close()
