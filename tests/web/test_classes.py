"""Whatever model answers: the page asks about its classes, however many, and belongs to no other model."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from api._labels import either
from tests import models
from tests.web import sample_strips
from tests.web.actions import (
    ANSWERED,
    NETWORK_ERRORS,
    answer_here,
    choose,
    choose_place,
    probabilities,
    ready,
    try_sample,
    unfold,
)
from tests.web.conftest import Visit
from tests.web.world import SAMPLES, World, jpeg, sample, upload

pytestmark = pytest.mark.browser

PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}
CAT = re.compile(r"\b(cats?|dogs?|chelsea)\b", re.IGNORECASE)
ROCKET = (SAMPLES / "rocket.jpg").read_bytes()
FLOWER_QUESTION = "Daisy, dandelion, rose, sunflower, or tulip?"


def _photo(name: str = "photo.jpg") -> dict[str, Any]:
    return upload(name, ROCKET)


def _asks(page: Any, question: str) -> None:
    page.wait_for_function("words => question.textContent === words", arg=question)


def _told(page: Any) -> Any:
    """Waits until the page knows the model."""
    ready(page).wait_for_selector('#footer-model:has-text("Model ")')
    return page


def _first_screen(page: Any) -> None:
    box = page.get_by_role("button", name="Choose photos").bounding_box()
    assert box["y"] + box["height"] <= 640


@pytest.mark.parametrize("classes", models.CLASSES)
def test_the_button_is_in_the_first_screen_of_a_phone_with_any_number_of_classes(
    world: World, visit: Visit, classes: int
) -> None:
    _first_screen(_told(visit(world.of(models.CLASSES[classes]).url, **PHONE)))


@pytest.mark.parametrize("labels", [models.ODD, models.ODD[-2:], ("a" * 30, "b" * 30), ("月" * 12,) * 5])
def test_the_button_is_in_the_first_screen_of_a_phone_with_labels_of_any_length(
    world: World, visit: Visit, labels: tuple[str, ...]
) -> None:
    different = tuple(f"{label}{i or ''}" for i, label in enumerate(labels))
    _first_screen(_told(visit(world.of(different).url, **PHONE)))


@pytest.mark.parametrize(
    ("classes", "question"),
    [
        (2, "Otter or newt?"),
        (5, FLOWER_QUESTION),
        (37, "Which of 37 classes?"),
        (120, "Which of 120 classes?"),
    ],
)
def test_the_heading_names_few_classes_and_counts_many(
    world: World, visit: Visit, classes: int, question: str
) -> None:
    page = ready(visit(world.of(models.CLASSES[classes]).url))
    _asks(page, question)
    assert page.title() == f"Purrdict: {question}"
    assert page.locator("#classes").is_visible() == (classes > 5)


def test_the_heading_counts_classes_whose_names_are_long(world: World, visit: Visit) -> None:
    page = ready(visit(world.of(models.ODD[-2:]).url))
    _asks(page, "Which of 2 classes?")
    assert page.locator("#classes").is_visible()


@pytest.mark.parametrize(
    "labels",
    [
        *models.CLASSES.values(),
        models.trees(6),
        ("a" * 30, "b" * 30),
        ("a" * 30, "b" * 31),
        ("🌷" * 30, "🌻" * 30),
        ("猫", "犬", "鳥"),
        ("two_words", "a\tb  c", "_"),
    ],
)
def test_the_page_and_the_api_name_the_same_classes_in_the_same_words(
    world: World, visit: Visit, labels: tuple[str, ...]
) -> None:
    page = ready(visit(world.server.url))
    said = page.evaluate(
        """async labels => {
          const { areNamed, text } = await import("./lib/text.js");
          return areNamed(labels) ? text("page.question", { labels }) : null;
        }""",
        labels,
    )
    expected = either(labels)
    assert (said and said.lower()) == (expected and f"{expected}?".lower())


def test_until_the_model_is_known_the_heading_names_no_class(world: World, visit: Visit) -> None:
    api, let_pass = world.held(world.of(models.FLOWERS))
    page = visit(world.site(api=api), **PHONE)
    page.wait_for_selector("h1:has-text('What is this?')")
    assert page.title() == "Purrdict"
    _first_screen(page)
    let_pass()
    _asks(page, FLOWER_QUESTION)


def test_all_classes_are_in_a_list_that_opens_by_keyboard_and_leaves_the_button_in_view(
    world: World, visit: Visit
) -> None:
    page = _told(visit(world.of(models.CLASSES[120]).url, **PHONE))
    assert page.locator("#classes-list li").count() == 0
    page.locator("#classes summary").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#classes-list li")
    shown = page.locator("#classes-list li").all_inner_texts()
    assert shown == [label.replace("_", " ") for label in models.CLASSES[120]]
    _first_screen(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "classes-list"
    box = "document.getElementById('classes-list')"
    assert page.evaluate(f"{box}.scrollWidth <= {box}.clientWidth"), "the list goes on sideways"
    assert page.evaluate(f"{box}.scrollHeight > {box}.clientHeight")


def test_with_an_answer_on_the_page_no_hidden_list_takes_the_keyboard(world: World, visit: Visit) -> None:
    page = _told(visit(world.of(models.CLASSES[37]).url))
    choose(page, _photo())
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('#classes')") is None


# --- no cat


def _names_no_cat(page: Any) -> None:
    said = page.evaluate("document.documentElement.outerHTML")
    assert CAT.findall(said) == []
    assert CAT.findall(page.title()) == []


def test_a_page_of_flowers_names_no_cat(world: World, visit: Visit) -> None:
    page = ready(visit(world.of(models.FLOWERS).url))
    _names_no_cat(page)
    _asks(page, FLOWER_QUESTION)
    _names_no_cat(page)
    choose(page, _photo())
    _names_no_cat(page)
    choose(page, _photo("a.jpg"), upload("b.jpg", jpeg(sample("coffee"))), wait="")
    page.wait_for_selector("#batch-json")
    _names_no_cat(page)


def test_a_page_of_flowers_names_no_cat_when_it_recognizes_nothing(world: World, visit: Visit) -> None:
    page = _told(visit(world.of(models.FLOWERS, 1.01).url))
    choose(page, _photo())
    assert page.inner_text("#verdict") == "None of the 5 classes"
    assert "looks like none of the 5 classes" in page.inner_text("#verdict-note")
    _names_no_cat(page)


def test_a_page_of_flowers_that_answers_itself_names_no_cat(world: World, visit: Visit) -> None:
    page = visit(world.site(model=world.registry(models.FLOWERS)), faults=NETWORK_ERRORS)
    page.wait_for_selector('#status:has-text("Ready, on this device")')
    _asks(page, FLOWER_QUESTION)
    assert "87.5%" in page.inner_text("#footer-model")
    choose(page, _photo(), wait="")
    page.wait_for_selector(ANSWERED, timeout=60_000)
    assert set(probabilities(page)) == set(models.FLOWERS)
    _names_no_cat(page)


def test_a_page_whose_api_has_no_model_names_no_cat(world: World, visit: Visit) -> None:
    page = visit(world.empty.url, faults=NETWORK_ERRORS)
    page.wait_for_selector("#notice")
    page.wait_for_selector("#samples-part", state="hidden")
    assert page.inner_text("h1") == "What is this?"
    _names_no_cat(page)


# --- samples


@pytest.mark.parametrize("labels", [("cat", "dog"), ("dog", "cat")])
def test_samples_are_offered_where_the_model_suits_them(
    world: World, visit: Visit, labels: tuple[str, str]
) -> None:
    page = _told(visit(world.of(labels).url))
    assert page.locator(".sample").count() == 4
    assert "Stéfan van der Walt (CC0)" in page.inner_text("#footer-samples")
    try_sample(page)


@pytest.mark.parametrize("labels", [models.FLOWERS, ("cat", "dog", "rabbit"), ("Cat_food", "dog")])
def test_a_model_that_the_samples_do_not_suit_offers_and_loads_none(
    world: World, visit: Visit, labels: tuple[str, ...]
) -> None:
    page = visit("about:blank")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(world.of(labels).url)
    _told(page)
    assert page.locator(".sample").count() == 0
    assert not page.locator("#samples-part").is_visible()
    assert not page.locator("#footer-samples").is_visible()
    assert [url for url in requests if "samples/" in url] == []


def test_the_samples_come_into_room_that_was_kept_for_them(world: World, visit: Visit) -> None:
    api, let_pass = world.held(world.open)
    page = visit(world.site(api=api), **PHONE)
    page.wait_for_selector("#page")
    before = page.locator("#where").bounding_box()
    let_pass()
    page.wait_for_selector(".sample")
    assert page.locator("#where").bounding_box() == before


def test_without_an_api_the_model_beside_the_page_says_which_samples_suit(world: World, visit: Visit) -> None:
    cats = visit(world.site(model=world.registry(("cat", "dog")), api=world.stopped()), faults=NETWORK_ERRORS)
    _asks(cats, "Cat or dog?")
    assert cats.locator(".sample").count() == 4
    nothing = visit(world.site(api=world.stopped()), faults=NETWORK_ERRORS)
    nothing.wait_for_selector("#samples-part", state="hidden")
    assert nothing.locator(".sample").count() == 0


def test_every_sample_of_the_table_has_its_files_and_words() -> None:
    words = (SAMPLES.parent / "words/en.js").read_text()
    names = {name for photos in sample_strips.rows().values() for name in photos}
    assert names == {path.stem for path in SAMPLES.glob("*.jpg")}
    for name in names:
        assert f'"sample.{name}":' in words
        assert f'"sample.{name}.by":' in words


@pytest.mark.parametrize("name", sample_strips.rows())
def test_a_strip_shows_its_samples_from_left_to_right(name: str) -> None:
    """Made by python -m tests.web.sample_strips after every change of the photos."""
    made = sample_strips.strip(sample_strips.rows()[name])
    with Image.open(SAMPLES / f"{name}.webp") as kept:
        assert kept.size == made.size
        difference = ImageChops.difference(kept.convert("RGB"), made)
    assert max(ImageStat.Stat(difference).mean) < 6


def test_each_sample_is_the_square_of_its_own_photo(world: World, visit: Visit) -> None:
    page = _told(visit(world.server.url))
    places = page.locator(".sample img").evaluate_all(
        "images => images.map(image => [getComputedStyle(image).objectPosition, getComputedStyle(image).objectFit])"
    )
    assert places == [[f"{i / 3 * 100:.4f}%".rstrip("0%").rstrip(".") + "% 0px", "cover"] for i in range(4)]


# --- answers


def test_the_likeliest_five_are_in_view_and_the_rest_is_folded(world: World, visit: Visit) -> None:
    page = _told(visit(world.of(models.CLASSES[120]).url))
    choose(page, _photo())
    with world.of(models.CLASSES[120]).client() as client:
        answer = client.post("/predict", files={"file": ("a.jpg", ROCKET)}).json()["probabilities"]
    order = sorted(answer, key=lambda label: -answer[label])
    first = probabilities(page)
    assert list(first) == [label.replace("_", " ") for label in order[:5]]
    summary = page.inner_text("#rest summary")
    assert summary.startswith("115 others, ")
    together = 100 * sum(answer[label] for label in order[5:])
    assert float(re.findall(r"[\d.]+", summary)[1]) == pytest.approx(together, abs=0.06)
    page.locator("#rest summary").click()
    page.wait_for_selector("#rest-bars li")
    everything = probabilities(page)
    assert len(everything) == 120
    assert list(everything.values()) == sorted(everything.values(), reverse=True)


@pytest.mark.parametrize("classes", [2, 5, 6])
def test_up_to_six_classes_are_all_in_view(world: World, visit: Visit, classes: int) -> None:
    labels = models.CLASSES.get(classes, models.trees(classes))
    page = _told(visit(world.of(labels).url))
    choose(page, _photo())
    assert len(probabilities(page)) == classes
    assert not page.locator("#rest").is_visible()


def test_the_saved_answer_has_every_class_under_its_own_name(world: World, visit: Visit) -> None:
    page = _told(visit(world.of(models.CLASSES[37]).url))
    choose(page, _photo())
    unfold(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert set(saved["probabilities"]) == set(models.CLASSES[37])
    assert saved["prediction"] in models.CLASSES[37]


def test_labels_are_shown_as_people_write_them_everywhere(world: World, visit: Visit) -> None:
    page = _told(visit(world.of(("Car_side", "grand__piano")).url))
    assert page.inner_text("h1") == "Car side or grand piano?"
    choose(page, _photo())
    page.wait_for_selector("#photo[aria-label*='heat map']")
    choose(page, _photo("a.jpg"), _photo("b.jpg"), wait="")
    page.wait_for_selector("#batch-json")
    # A choice's value is for the script, and its words are for people.
    said = re.sub(r'value="label:[^"]*"', "", page.evaluate("document.documentElement.outerHTML"))
    assert "Car_side" not in said
    assert "grand__piano" not in said


@pytest.mark.parametrize(
    ("label", "headline"),
    [
        ("daisy", "Daisy"),
        ("iPhone", "iPhone"),
        ("Grand_piano", "Grand piano"),
        ("7", "7"),
        ("猫", "猫"),
        ("_", "_"),
    ],
)
def test_a_label_begins_a_line_with_a_capital_unless_it_is_a_name(
    world: World, visit: Visit, label: str, headline: str
) -> None:
    page = ready(visit(world.server.url))
    said = page.evaluate(
        "async label => (await import('./lib/text.js')).text('answer.label', { label })", label
    )
    assert said == headline


def test_odd_labels_are_text_and_nothing_else(world: World, visit: Visit) -> None:
    page = _told(visit(world.of(models.ODD).url))
    page.locator("#classes summary").click()
    page.wait_for_selector("#classes-list li")
    shown = [words.strip("\u2068\u2069") for words in page.locator("#classes-list li").all_inner_texts()]
    # The underscores of these are taken for spaces.
    assert shown == [label.replace("_", " ").strip() for label in models.ODD]
    choose(page, _photo())
    page.locator("#rest summary").click()
    page.wait_for_selector("#rest-bars li")
    assert len(probabilities(page)) == len(models.ODD)
    assert page.locator("main b").count() == 0


def test_labels_written_from_right_to_left_stand_in_the_order_of_the_sentence_around_them(
    world: World, visit: Visit
) -> None:
    page = _told(visit(world.of(("شقائق", "ورد", "نرجس")).url))
    assert page.inner_text("h1").endswith("?")
    places = page.evaluate(
        """() => {
          const node = document.getElementById("question").firstChild;
          return ["شقائق", "ورد", ", or ", "نرجس", "?"].map((word) => {
            const range = document.createRange();
            range.setStart(node, node.data.indexOf(word));
            range.setEnd(node, node.data.indexOf(word) + word.length);
            return range.getBoundingClientRect().left;
          });
        }"""
    )
    assert places == sorted(places)


def test_labels_that_are_numbers_are_answered_in_the_browser_too(world: World, visit: Visit) -> None:
    page = _told(visit(world.of((7, 10)).url))
    _asks(page, "7 or 10?")
    answer_here(page)
    choose(page, _photo())
    assert set(probabilities(page)) == {"7", "10"}
    assert page.locator(".scale").get_attribute("data-verdict") in ("first", "second")


@pytest.mark.parametrize(
    ("labels", "headline", "tile"),
    [
        (("otter", "newt"), "Neither otter nor newt", "neither"),
        (models.FLOWERS, "None of the 5 classes", "none of them"),
    ],
)
def test_a_photo_of_none_of_the_classes_is_said_to_be_so(
    world: World, visit: Visit, labels: tuple[str, ...], headline: str, tile: str
) -> None:
    page = _told(visit(world.of(labels, 1.01).url))
    choose(page, _photo("a.jpg"), _photo("b.jpg"), wait="")
    page.wait_for_selector("#batch-json")
    assert page.inner_text("#verdict") == headline
    assert page.locator("#batch-tiles .tile-label").all_inner_texts() == [tile, tile]
    assert page.inner_text("#batch-state") == f"2 × {tile}"


def test_a_batch_of_many_classes_counts_the_most_frequent_and_the_rest_together(
    world: World, visit: Visit
) -> None:
    page = ready(visit(world.server.url))
    said = page.evaluate(
        """async () => {
          const { counts } = await import("./view/answer.js");
          const item = (prediction, recognized = true) =>
            ({ state: "answered", answer: { prediction, recognized, probabilities: { a: 0, b: 0, c: 0 } } });
          const of = (...labels) => labels.map((label) => item(label));
          return [
            counts([...of("a", "b", "b", "c_c", "d", "e", "f", "g"), item("a", false), { state: "failed" }]),
            counts(of("a", "b", "c", "d", "e", "f")),
            counts([...of("none of them", "no answer"), item("a", false), { state: "failed" }]),
          ];
        }"""
    )
    assert said[0] == ["2 × b", "1 × a", "1 × c c", "1 × d", "1 × e", "2 × other classes", "1 × none of them",
                       "1 × no answer"]  # fmt: skip
    assert len(said[1]) == 6
    assert said[2] == ["1 × none of them", "1 × no answer"] * 2


def test_the_page_follows_the_place_that_answers(world: World, visit: Visit) -> None:
    site = world.site(model=world.registry(("otter", "newt")), api=world.of(models.FLOWERS).url)
    page = ready(visit(site))
    _asks(page, FLOWER_QUESTION)
    answer_here(page)
    _asks(page, "Otter or newt?")
    choose_place(page, "Our server")
    _asks(page, FLOWER_QUESTION)


def test_the_page_follows_the_api_of_the_settings(world: World, visit: Visit) -> None:
    page = ready(visit(world.site(api=world.open.url)))
    _asks(page, "Cat or dog?")
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Address of the API").fill(world.of(models.CLASSES[37]).url)
    page.get_by_role("button", name="Save").click()
    _asks(page, "Which of 37 classes?")
    page.wait_for_selector("#samples-part", state="hidden")


def test_news_of_an_api_that_is_no_longer_asked_comes_too_late(world: World, visit: Visit) -> None:
    page = visit("about:blank")
    held: list[Any] = []
    page.route("**/model/info", lambda route: held.append(route))
    page.goto(world.site(api=world.open.url))
    ready(page)
    page.get_by_role("button", name="Settings", exact=True).click()
    page.get_by_label("Address of the API").fill(world.of(models.FLOWERS).url)
    page.get_by_role("button", name="Save").click()
    while len(held) < 2:
        page.wait_for_timeout(20)
    for answer in held:
        answer.continue_()
        page.wait_for_timeout(300)
    _asks(page, FLOWER_QUESTION)


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
@pytest.mark.parametrize("classes", [5, 120])
def test_the_documentation_shows_examples_of_this_model(
    world: World, visit: Visit, path: str, classes: int
) -> None:
    labels = models.CLASSES[classes]
    page = visit(world.of(labels).url + path)
    page.wait_for_selector("#docs :text('classifies photos')")
    if path == "/docs":
        page.locator("#operations-prediction-predict_predict_post button").first.click()
        page.wait_for_selector(f".responses-wrapper :text('{labels[0]}')")
    said = page.inner_text("#docs")
    assert labels[0] in said
    assert CAT.findall(said) == []
