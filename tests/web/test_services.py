"""Feedback on answers, and a writer: only where somebody names them, and as their contracts say."""

from typing import Any

import pytest

from tests.conftest import ROOT
from tests.web.actions import NETWORK_ERRORS, choose, choose_cat, ready, try_sample
from tests.web.conftest import Visit
from tests.web.services import Service
from tests.web.world import SAMPLES, World, upload

pytestmark = pytest.mark.browser

CAT = (SAMPLES / "chelsea.jpg").read_bytes()


def _asked(world: World, visit: Visit, **services: Any) -> Any:
    urls = {name: service.url for name, service in services.items()}
    page = ready(visit(world.site(api=world.open.url, **urls), faults=NETWORK_ERRORS))
    choose_cat(page)
    return page


def test_nothing_is_asked_where_nobody_names_a_service(world: World, visit: Visit) -> None:
    page = ready(visit(world.server.url))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    try_sample(page)
    page.wait_for_function("() => document.getElementById('services').children.length === 2")
    assert page.locator(".feedback, .writer").count() == 0
    assert not [url for url in requests if "view/feedback" in url or "view/writer" in url]


def test_that_it_was_right_is_said_without_the_photo(world: World, visit: Visit, feedback: Service) -> None:
    page = _asked(world, visit, feedback=feedback)
    assert not page.get_by_label("Keep the photo").is_checked()
    page.locator(".feedback").get_by_role("button", name="Yes").click()
    page.wait_for_selector("text=Thank you, noted.")
    (said,) = feedback.said
    assert said["correction"] is None
    version = (ROOT / "model" / "latest").read_text().strip()
    assert (said["prediction"], said["recognized"], said["model_version"]) == ("cat", True, version)
    assert said["request_id"]
    assert "photo" not in said


@pytest.mark.parametrize(("button", "correction"), [("It is dog", b"dog"), ("None of these", b"neither")])
def test_a_correction_brings_the_photo_only_with_the_box_checked(
    world: World, visit: Visit, feedback: Service, button: str, correction: bytes
) -> None:
    page = _asked(world, visit, feedback=feedback)
    page.get_by_label("Keep the photo").check()
    page.locator(".feedback").get_by_role("button", name="No", exact=True).click()
    page.get_by_role("button", name=button).click()
    page.wait_for_selector("text=the photo is kept")
    (said,) = feedback.said
    assert (said["correction"], said["consent"], said["photo"]) == (correction, b"true", CAT)


def test_what_was_said_can_be_taken_back(world: World, visit: Visit, feedback: Service) -> None:
    page = _asked(world, visit, feedback=feedback)
    page.locator(".feedback").get_by_role("button", name="Yes").click()
    page.get_by_role("button", name="Take it back").click()
    page.wait_for_selector('.feedback >> text="Was this right?"')
    assert feedback.said == []


def test_a_refusal_is_quoted_and_the_question_stays(world: World, visit: Visit, feedback: Service) -> None:
    feedback.refuse("Too much feedback. Wait a minute.")
    page = _asked(world, visit, feedback=feedback)
    page.locator(".feedback").get_by_role("button", name="Yes").click()
    page.wait_for_selector("text=Too much feedback. Wait a minute.")
    feedback.refuse(None)
    page.locator(".feedback").get_by_role("button", name="Yes").click()
    page.wait_for_selector("text=Thank you, noted.")


def test_a_photo_of_a_batch_is_read_again_for_feedback(world: World, visit: Visit, feedback: Service) -> None:
    page = ready(visit(world.site(api=world.open.url, feedback=feedback.url)))
    choose(page, upload("one.jpg", CAT), upload("two.jpg", CAT), wait="")
    page.wait_for_selector("#batch-json")
    page.get_by_label("Keep the photo").check()
    page.locator(".feedback").get_by_role("button", name="Yes").click()
    page.wait_for_selector("text=the photo is kept")
    assert feedback.said[0]["photo"] == CAT


def test_the_api_may_name_the_services(world: World, visit: Visit, feedback: Service) -> None:
    page = ready(visit(world.api(FEEDBACK_URL=f"{feedback.url}feedback").url))
    try_sample(page)
    page.locator(".feedback").get_by_role("button", name="Yes").click()
    page.wait_for_selector("text=Thank you, noted.")
    assert len(feedback.said) == 1


def test_a_draft_is_shown_as_it_comes_and_called_one(world: World, visit: Visit, writer: Service) -> None:
    page = _asked(world, visit, writer=writer)
    page.locator(".writer summary").click()
    page.get_by_label("Your notes").fill("Bella")
    page.get_by_role("button", name="Write a draft").click()
    page.wait_for_selector('.draft-text:text-is("Meet Bella!")')
    assert "Draft by a machine, 3 tokens" in page.inner_text(".draft [role=status]")
    (asked,) = writer.asked
    assert asked["task"] == "listing"
    assert asked["answer"]["prediction"] == "cat"
    assert asked["language"] == "en"


def test_a_writer_without_an_engine_says_what_to_do(world: World, visit: Visit, writer: Service) -> None:
    page = _asked(world, visit, writer=writer)
    page.locator(".writer summary").click()
    page.get_by_label("Your notes").fill("no engine")
    page.get_by_role("button", name="Write a draft").click()
    page.wait_for_selector("text=No engine answers. Start it")


def test_a_writer_that_wants_a_key_gets_it_and_no_other_service_does(
    world: World, visit: Visit, writer: Service, feedback: Service
) -> None:
    writer.want("right")
    page = _asked(world, visit, writer=writer, feedback=feedback)
    sent: list[str] = []
    page.on(
        "request",
        lambda request: sent.append(request.url) if request.headers.get("x-api-key") == "right" else None,
    )
    page.locator(".writer summary").click()
    key = page.get_by_label("The writer's key")
    assert not key.is_visible()
    page.get_by_label("Your notes").fill("Bella")
    write = page.get_by_role("button", name="Write a draft")
    write.click()
    page.wait_for_selector("text=This writer asks for a key.")
    key.fill("wrong")
    write.click()
    page.wait_for_selector("text=does not take that key")
    key.fill("right")
    write.click()
    page.wait_for_selector('.draft-text:text-is("Meet Bella!")')
    page.locator(".feedback").get_by_role("button", name="Yes").click()
    page.wait_for_selector("text=Thank you, noted.")
    assert sent == [f"{writer.url}write"]


def test_the_writers_key_is_kept_for_the_session_only(world: World, visit: Visit, writer: Service) -> None:
    writer.want("right")
    page = _asked(world, visit, writer=writer)
    page.locator(".writer summary").click()
    page.get_by_label("Your notes").fill("Bella")
    page.get_by_role("button", name="Write a draft").click()
    page.get_by_label("The writer's key").fill("right")
    page.get_by_role("button", name="Write a draft").click()
    page.wait_for_selector(".draft-text:not(:empty)")
    choose_cat(page)
    page.locator(".writer summary").click()
    page.get_by_label("Your notes").fill("Max")
    page.get_by_role("button", name="Write a draft").click()
    page.wait_for_selector('.draft-text:text-is("Meet Max!")')
    assert "right" not in page.evaluate("JSON.stringify(localStorage)")
