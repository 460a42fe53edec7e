"""The page on its own: quick enough for every test run."""

import gzip
import hashlib
import json
import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.conftest import Server
from tests.web.actions import WARM, ready, try_sample
from tests.web.conftest import Visit
from tests.web.world import WEB

LARGEST_FILE = 4_000_000
FIRST_REQUESTS = 20
FIRST_BYTES = 120_000
HTML = (WEB / "index.html").read_text()
SCRIPTS = {
    path.relative_to(WEB).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(WEB.rglob("*.js"))
    if "vendor" not in path.parts
}
LANGUAGES = [name for name in SCRIPTS if name.startswith("words/")]


def _keys(language: str) -> set[str]:
    return set(re.findall(r'^  "([\w.]+)":', SCRIPTS[language], re.MULTILINE))


@pytest.fixture(scope="module")
def texts() -> set[str]:
    return _keys("words/en.js")


def _wanted() -> tuple[set[str], set[str]]:
    """The texts that the page asks for by name, and the beginnings of the names that it puts together."""
    whole = set(re.findall(r'data-(?:text|label)="([\w.]+)"', HTML))
    beginnings = set()
    for name, script in SCRIPTS.items():
        if name in LANGUAGES:
            continue
        # Names stand alone in quotes; those put together have a dot before the part that varies.
        whole |= set(re.findall(r'"((?:[a-z]+\.)+\w+)"', script))
        beginnings |= set(re.findall(r"`((?:\w+\.)+)\$\{", script))
    return whole, beginnings


def test_every_text_that_the_page_asks_for_is_there(texts: set[str]) -> None:
    whole, beginnings = _wanted()
    names = {name for name in whole if name.split(".")[0] in {text.split(".")[0] for text in texts}}
    assert names - texts == set()
    assert all(any(text.startswith(beginning) for text in texts) for beginning in beginnings)


def test_no_text_is_left_over(texts: set[str]) -> None:
    whole, beginnings = _wanted()
    used = {text for text in texts if text in whole or text.startswith(tuple(beginnings))}
    assert texts - used == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text(texts: set[str], language: str) -> None:
    assert _keys(language) == texts


def test_every_problem_has_a_text(texts: set[str]) -> None:
    kinds = {kind for script in SCRIPTS.values() for kind in re.findall(r'new Problem\("(\w+)"', script)}
    assert len(kinds) > 15
    assert {f"problem.{kind}" for kind in kinds} - texts == set()


def test_words_stand_only_in_the_strings() -> None:
    body = HTML[HTML.index('<div class="page"') :]
    assert re.sub(r"<[^>]*>", "", body).split() == ["Purrdict"]


def test_the_page_carries_no_inline_script_style_or_handler() -> None:
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=", HTML)


def test_the_page_names_no_other_host() -> None:
    own = HTML + "".join(SCRIPTS.values()) + (WEB / "style.css").read_text()
    # The name of a namespace looks like an address, and nobody fetches it.
    own = own.replace("http://www.w3.org/2000/svg", "")
    hosts = set(re.findall(r"https?://(\w[\w.-]*\w)", own))
    assert hosts <= {"purrdict.example"}


def test_every_address_of_the_page_is_relative() -> None:
    addresses = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', HTML)
    assert len(addresses) > 5
    assert all(not address.startswith(("/", "http")) for address in addresses)
    assert all((WEB / address).is_file() for address in addresses)


def test_the_icon_in_the_page_is_the_one_of_the_file() -> None:
    inline = re.search(r'<link rel="icon" [^>]*href="data:image/svg\+xml,([^"]+)"', HTML)
    assert inline
    assert unquote(inline[1]) == (WEB / "icons" / "icon.svg").read_text(encoding="utf-8").strip()


def test_every_module_of_the_first_load_is_announced_in_the_page() -> None:
    announced = set(re.findall(r'modulepreload" href="([^"]+)"', HTML)) | {"app.js"}
    needed, todo = set(), ["app.js"]
    while todo:
        name = todo.pop()
        needed.add(name)
        found = re.findall(r'^import .* from "(\.{1,2}/[\w/-]+\.js)"', SCRIPTS[name], re.MULTILINE)
        todo += {posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) for path in found} - needed
    assert announced == needed


def test_every_name_that_a_script_imports_is_exported() -> None:
    """Also of those that are loaded later, and of those that only tests import."""
    tests = Path(__file__).parent / "unit"
    scripts = {**{WEB / name: script for name, script in SCRIPTS.items()}}
    scripts |= {path: path.read_text(encoding="utf-8") for path in tests.glob("*.js")}
    found = 0
    for path, script in scripts.items():
        wanted = re.findall(r'import \{([^}]+)\} from "(\.[^"]+)"', script)
        wanted += re.findall(r'const \{ ([^}]+) \} = await import\("(\.[^"$]+)"\)', script)
        for names, address in wanted:
            source = (path.parent / address).resolve()
            exported = set(
                re.findall(
                    r"^export (?:async )?(?:const|function\*?|class|async function\*?) (\w+)",
                    source.read_text(encoding="utf-8"),
                    re.MULTILINE,
                )
            )
            asked = {name.split(" as ")[0].strip() for name in names.split(",") if name.strip()}
            found += len(asked)
            assert asked <= exported, (path.name, source.name)
    assert found > 100


def test_every_script_is_short() -> None:
    """One reason to change a file, and a file that can be read at once."""
    long = {name: script.count("\n") for name, script in SCRIPTS.items() if name not in LANGUAGES}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}


def test_the_published_configuration_is_valid() -> None:
    config = json.loads((WEB / "config.json").read_text())
    assert config["api"] == ""
    assert config["timeout_seconds"] > 0


def test_the_runtime_is_the_published_one() -> None:
    folder = WEB / "vendor" / "onnxruntime-web"
    lines = [line.split() for line in (folder / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert len(sums) == 4
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sums} == sums
    assert (folder / "LICENSE").is_file()


def test_the_page_knows_the_sizes_of_its_runtimes() -> None:
    """The progress of a download is told before the server has said how much there is."""
    folder = WEB / "vendor" / "onnxruntime-web"
    said = r'file: "vendor/onnxruntime-web/(\S+)", bytes: ([\d_]+), unpacked: ([\d_]+)'
    known = re.findall(said, SCRIPTS["local/network.js"])
    assert len(known) == 2
    for name, size, unpacked in known:
        packed = (folder / name).read_bytes()
        assert (int(size), int(unpacked)) == (len(packed), len(gzip.decompress(packed)))


def test_no_file_of_the_page_is_over_the_limit() -> None:
    files = [path for path in WEB.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < LARGEST_FILE


@pytest.mark.parametrize("path", sorted((WEB / "samples").glob("*.jpg")), ids=lambda path: path.stem)
def test_every_sample_states_its_licence(path: Path) -> None:
    row = next(
        line for line in (WEB / "samples" / "LICENSE.md").read_text().splitlines() if path.name in line
    )
    assert "CC0" in row or "public domain" in row


@pytest.mark.browser
def test_a_first_visit_needs_few_requests_and_little_data(server: Server, visit: Visit) -> None:
    # A desktop, which is shown an answered example, too.
    page: Any = visit("about:blank", faults="ERR_FAILED", viewport={"width": 1280, "height": 800})
    # What is kept for later visits comes after this, in the background.
    later = ("/files.json", "/lib/offline.js")
    for path in later:
        page.route(f"**{path}", lambda route: route.abort())
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    requests: list[str] = []
    sizes: list[float] = []
    network.on("Network.requestWillBeSent", lambda event: requests.append(event["request"]["url"]))
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(server.url)
    ready(page)
    page.wait_for_selector(".sample img")
    page.wait_for_selector("#example:not([data-waiting])")
    page.wait_for_load_state("networkidle")
    requests = [url for url in requests if not url.startswith(("data:", "blob:")) and not url.endswith(later)]
    assert len(requests) <= FIRST_REQUESTS, requests
    assert sum(sizes) <= FIRST_BYTES


@pytest.mark.browser
def test_a_sample_gets_an_answer_and_shows_where_the_network_looked(server: Server, visit: Visit) -> None:
    page: Any = ready(visit(server.url))
    try_sample(page)
    with server.client() as client:
        photo = (WEB / "samples" / "chelsea.jpg").read_bytes()
        expected = client.post("/predict", files={"file": ("cat.jpg", photo)}).json()
    assert page.inner_text("#verdict").lower() == expected["prediction"]
    page.wait_for_selector(WARM)
