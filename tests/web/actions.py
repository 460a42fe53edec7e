"""What people do on the page, in Playwright's words."""

import re
from typing import Any

from tests.web.world import SAMPLES as WEB_SAMPLES
from tests.web.world import upload

ANSWERED = '#stage[data-state="answered"]'
FAILED = '#stage[data-state="failed"]'
BUSY = '#stage[data-state="busy"]'
READY = '#status[data-state="ready"]'
TROUBLE = '#status[data-state="problem"]'
# The photo once its heat map is drawn on it.
WARM = '#photo[aria-label*="heat map"]'
NETWORK_ERRORS = r"Failed to load resource|blocked by CORS policy"


def ready(page: Any) -> Any:
    page.wait_for_selector(READY)
    return page


SAMPLES = {
    "A cat": "chelsea.jpg",
    "A German shepherd": "shepherd.jpg",
    "A cup of coffee": "coffee.jpg",
    "A rocket": "rocket.jpg",
}


def try_sample(page: Any, name: str = "A cat", wait: str = ANSWERED) -> None:
    page.get_by_role("button", name=f"Sample: {name}").click()
    _wait_for(page, SAMPLES[name], wait)


def choose_cat(page: Any, wait: str = ANSWERED) -> None:
    """Asks about the cat where no samples are offered, because the page cannot know yet which model will answer."""
    choose(page, upload("chelsea.jpg", (WEB_SAMPLES / "chelsea.jpg").read_bytes()), wait=wait)


def choose(page: Any, *files: dict[str, Any], wait: str = ANSWERED) -> None:
    # Nobody can choose before the page shows.
    page.wait_for_selector("#page")
    page.locator("#files").set_input_files(list(files))
    _wait_for(page, files[0]["name"], wait)


def _wait_for(page: Any, name: str, selector: str) -> None:
    """Waits for a photo on the stage, and then for what becomes of it."""
    page.wait_for_function("name => document.getElementById('photo-name').textContent === name", arg=name)
    if selector:
        page.wait_for_selector(selector)


def choose_place(page: Any, name: str) -> None:
    """Chooses who answers: "Our server" or "This device"."""
    # The words are pressed, as people do, once the page has stopped moving. The round button itself is not shown, and a
    # click that is forced on it may meet something else.
    page.locator("label", has=page.get_by_role("radio", name=name)).click()
    assert page.get_by_role("radio", name=name).is_checked()


def answer_here(page: Any) -> None:
    """Lets the browser answer, and waits until it can."""
    page.wait_for_selector(f"{READY}, {TROUBLE}")
    choose_place(page, "This device")
    page.wait_for_selector('#where-note:has-text("The model is loaded")', timeout=60_000)
    ready(page)


def probabilities(page: Any) -> dict[str, float]:
    """The bars as drawn: label → probability."""
    return {
        meter.get_attribute("aria-label"): float(meter.get_attribute("aria-valuenow")) / 100
        for meter in page.get_by_role("meter").all()
    }


def facts(page: Any) -> dict[str, str]:
    """The details, which are folded away, with plain spaces."""
    names, values = (page.locator(f"#facts {part}").all_text_contents() for part in ("dt", "dd"))
    return dict(zip(names, (value.replace("\xa0", " ") for value in values), strict=True))


def unfold(page: Any) -> None:
    """Opens the details of an answer."""
    if not page.locator("#more").evaluate("more => more.open"):
        page.locator("#more > summary").click()


def drop(page: Any, *files: dict[str, Any]) -> None:
    """Drops files on the page, as a file manager would."""
    transfer = _transfer(page, files)
    for event in ("dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": transfer})


def paste(page: Any, *files: dict[str, Any]) -> None:
    transfer = _transfer(page, files)
    page.evaluate(
        "transfer => document.body.dispatchEvent("
        "new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true }))",
        transfer,
    )


def _transfer(page: Any, files: tuple[dict[str, Any], ...]) -> Any:
    contents = [{**file, "buffer": list(file["buffer"])} for file in files]
    return page.evaluate_handle(
        """files => {
          const transfer = new DataTransfer();
          for (const { name, mimeType, buffer } of files)
            transfer.items.add(new File([new Uint8Array(buffer)], name, { type: mimeType }));
          return transfer;
        }""",
        contents,
    )


def pixels(page: Any) -> list[int]:
    """What the large photo shows, heat included, as RGBA bytes of a 32 x 32 reduction."""
    values: list[int] = page.evaluate(
        """() => {
          const small = document.createElement("canvas");
          small.width = small.height = 32;
          const context = small.getContext("2d");
          context.drawImage(document.getElementById("photo"), 0, 0, 32, 32);
          if (document.getElementById("frame").hasAttribute("data-warm"))
            context.drawImage(document.getElementById("glow"), 0, 0, 32, 32);
          return [...context.getImageData(0, 0, 32, 32).data];
        }"""
    )
    return values


def number(words: str) -> float:
    """The first number in a text: '1.4 s' → 1.4."""
    found = re.search(r"[\d.,]+", words)
    assert found, f"no number in {words!r}"
    return float(found.group().replace(",", ""))
