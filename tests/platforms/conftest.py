"""What the platform tests share: their tools, a copy of the checkout to build in, and environments without secrets."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from benchmarks import _platform
from tests.conftest import ROOT, encode, free_port, missing


def tool(name: str) -> str:
    """Path of a platform's program, or reports the test as skipped (in CI: failed)."""
    with needed():
        return _platform.tool(name)


def platform_python() -> str:
    """A real Python that Vercel and Lambda run, or reports the test as skipped (in CI: failed)."""
    with needed():
        return _platform.platform_python()


@contextlib.contextmanager
def needed() -> Iterator[None]:
    """What turns out to be missing skips the test (in CI: fails it)."""
    try:
        yield
    except _platform.NotHereError as error:
        missing(str(error))


@contextlib.contextmanager
def running_nginx(folder: Path, site: str) -> Iterator[str]:
    """A real nginx that serves these `server` and `upstream` blocks, with PORT for its port; yields its address."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or tool("nginx")
    port = free_port()
    known = (Path("/etc/nginx/mime.types"), Path("/usr/local/etc/nginx/mime.types"))
    types = next(path for path in known if path.exists())
    temporary = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"{'user root;' if os.geteuid() == 0 else ''}\n"
        f"http {{ include {types}; default_type application/octet-stream; access_log off; {temporary}\n"
        f"{site.replace('PORT', str(port))}\n}}"
    )
    options = ["-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen([nginx, *options])
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(address, trust_env=False, timeout=10)
                break
            time.sleep(0.05)
        assert process.poll() is None, (folder / "error.log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(timeout=10)


def compose_nginx(api_port: str, web: Path) -> str:
    """deploy/nginx.conf for running_nginx: the API on this port, the page in this folder."""
    site = (ROOT / "deploy/nginx.conf").read_text(encoding="utf-8")
    for old, new in [
        ("server api:8000", f"server 127.0.0.1:{api_port}"),
        ("listen 8080", "listen 127.0.0.1:PORT"),
        ("/usr/share/nginx/html", str(web)),
    ]:
        assert old in site
        site = site.replace(old, new)
    return site


@pytest.fixture(scope="session")
def large_photo(cat: Image.Image) -> bytes:
    """Chelsea as 4.4 MB, just under what Vercel lets through."""
    photo = encode(cat.resize((1484, 988)), "BMP")
    assert 4_390_000 < len(photo) < 4_410_000
    return photo
