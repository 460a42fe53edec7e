"""The page works from servers that know few types of files, and says so where one sends a script as something else."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, free_port, missing
from tests.web.actions import ANSWERED, NETWORK_ERRORS, choose_place, ready, try_sample
from tests.web.conftest import Visit
from tests.web.world import World

# What every web server has in its table, and what a page may fetch whatever type it comes with.
KNOWN = {".html", ".css", ".js", ".json", ".jpg", ".png"}
ANY_TYPE_WILL_DO = {
    ".gz",
    ".br",
    ".svg",
    ".webp",
    ".md",
    ".txt",
    "",
}  # fetched as bytes, shown as pictures by their bytes


@pytest.mark.browser
def test_every_file_that_a_browser_runs_has_a_type_that_every_server_knows() -> None:
    files = [
        path for path in (ROOT / "web").rglob("*") if path.is_file() and "node_modules" not in path.parts
    ]
    assert {path.suffix for path in files} <= KNOWN | ANY_TYPE_WILL_DO
    scripts = [path for path in files if path.suffix == ".js"]
    for path in scripts:
        if "vendor" not in path.parts:
            assert ".mjs" not in path.read_text(encoding="utf-8"), path


Start = Callable[[Path, Path, int], list[str]]


def nginx(site: Path, folder: Path, port: int) -> list[str]:
    """nginx with Debian's own table of types, and no setting of ours."""
    types = Path("/etc/nginx/mime.types")
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not (program and types.exists()):
        missing("nginx is not installed: apt install nginx-light")
    # The folders of pytest are open to their owner only.
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/pid; error_log stderr; events {{}} "
        f"http {{ include {types}; access_log off; {temporary} "
        f"server {{ listen 127.0.0.1:{port}; root {site}; }} }}"
    )
    return [str(program), "-p", str(folder), "-c", str(folder / "nginx.conf")]


def busybox(site: Path, folder: Path, port: int) -> list[str]:
    """The smallest web server that people use; it knows a dozen types."""
    program = shutil.which("busybox") or missing("busybox is not installed: apt install busybox")
    return [program, "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", str(site)]


@contextlib.contextmanager
def serving(start: Start, site: Path, folder: Path) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        start(site, folder, port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        for attempt in range(100):
            try:
                httpx.get(url, trust_env=False)
                break
            except httpx.TransportError:
                assert attempt < 99, "the web server does not start"
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def site(world: World, tmp_path: Path) -> Path:
    """The site of deploy/site.py, whose API is asleep."""
    command = [sys.executable, str(ROOT / "deploy/site.py"), str(tmp_path / "site"), "--api", world.stopped()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return tmp_path / "site"


@pytest.mark.browser
@pytest.mark.parametrize("start", [nginx, busybox])
def test_the_site_answers_in_the_browser_from_a_server_that_knows_few_types(
    visit: Visit, site: Path, tmp_path: Path, start: Start
) -> None:
    with serving(start, site, tmp_path) as url:
        page = visit(url, faults=NETWORK_ERRORS)
        try_sample(page, wait="")
        page.wait_for_selector(ANSWERED, timeout=60_000)
        assert "cat" in page.inner_text("#verdict").lower()


@pytest.mark.browser
@pytest.mark.parametrize("file", ["local/worker.js", "local/resize.js", "ort.wasm.bundle.min.js"])
@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "text/html; charset=utf-8"])
def test_a_script_that_comes_as_something_else_is_named_with_its_type(
    world: World, visit: Visit, file: str, kind: str
) -> None:
    page = ready(visit(world.server.url, faults=r"MIME type|module script"))

    def mistyped(route: object) -> None:
        response = route.fetch()  # type: ignore[attr-defined]
        route.fulfill(response=response, headers={**response.headers, "content-type": kind})  # type: ignore[attr-defined]

    page.context.route(f"**/{file}", mistyped)
    choose_place(page, "This device")
    page.wait_for_selector('#status[data-state="problem"]')
    words = page.inner_text("#notice-text")
    assert file in words
    assert kind.partition(";")[0] in words
