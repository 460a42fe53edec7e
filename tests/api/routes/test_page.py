"""The page's files, from a folder that the test makes: which are served, as what, and how browsers keep them."""

import gzip
import hashlib
import json
import mimetypes
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from api._routes import info, page
from api._routes.page import Page
from api._security import CSP_PAGE
from api._service import UnavailableError
from tests.conftest import AppTransport, InProcess

RUNTIME = "vendor/onnxruntime-web/ort-wasm-simd-threaded.reduced.wasm"
TEXTS = ("style.css", "app.js", "words.json", "icon.svg", "notes.txt", "deep/notes.md")
OTHERS = ("module.mjs", "photo.jpg", "engine.wasm", "engine.wasm.gz", "engine.wasm.br")
NOT_SERVED = (
    *(".hidden", ".git/config", "deep/.secret/key.txt", "node_modules/a.js", "deep/node_modules/b.js"),
    *("package.json", "package-lock.json", "deep/package.json"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page of little: a file of each kind, and what lies beside the files of a page."""
    contents = {name: f"{name} ".encode() * 20 for name in (*TEXTS, *OTHERS, *NOT_SERVED)}
    contents |= {"index.html": b"<!doctype html>", "config.json": b'{"api": "", "runtime": "another"}'}
    contents |= {f"{RUNTIME}.gz": gzip.compress(b"the runtime"), f"{RUNTIME}.br": b"the runtime, in brotli"}
    for name, content in contents.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


class NoModel:
    """A service without a usable model."""

    def ready(self) -> NoReturn:
        raise UnavailableError("no model")


def serving(folder: Path, service: Any = None) -> httpx.Client:
    app = Starlette(routes=Page(folder).routes())
    app.state.service = service or NoModel()
    return httpx.Client(transport=AppTransport(app), base_url="http://purrdict.test")


@pytest.fixture
def site(folder: Path) -> Iterator[httpx.Client]:
    with serving(folder) as client:
        yield client


@pytest.mark.parametrize("name", [*TEXTS, *OTHERS, "index.html"])
def test_every_file_is_served_at_its_own_path(site: httpx.Client, folder: Path, name: str) -> None:
    answer = site.get(f"/{name}", headers={"Accept-Encoding": "identity"})
    assert (answer.status_code, answer.content) == (200, (folder / name).read_bytes())
    assert answer.headers["Content-Security-Policy"] == CSP_PAGE
    assert answer.headers["Cache-Control"] == "no-cache"
    known = {"If-None-Match": answer.headers["ETag"], "Accept-Encoding": "identity"}
    again = site.get(f"/{name}", headers=known)
    assert (again.status_code, again.content, again.headers["Cache-Control"]) == (304, b"", "no-cache")
    assert site.head(f"/{name}").status_code == 200


@pytest.mark.parametrize("name", [*NOT_SERVED, "deep", "deep/", "nowhere.js", "%2e%2e/%2e%2e/etc/passwd"])
def test_nothing_else_is_served_nor_listed(site: httpx.Client, name: str) -> None:
    assert site.get(f"/{name}").status_code == 404
    assert name not in site.get("/files.json").json()["files"]


def test_a_file_that_comes_later_is_not_served_before_the_next_start(
    site: httpx.Client, folder: Path
) -> None:
    (folder / "later.txt").write_text("later")
    assert site.get("/later.txt").status_code == 404
    assert serving(folder).get("/later.txt").text == "later"


def test_without_its_first_file_there_is_no_page(folder: Path) -> None:
    assert Page(folder)
    (folder / "index.html").unlink()
    assert not Page(folder)
    assert Page(folder).routes() == []
    assert not Page(folder / "nowhere")


@pytest.mark.parametrize("name", TEXTS)
def test_text_goes_out_packed_to_who_takes_it(site: httpx.Client, folder: Path, name: str) -> None:
    packed, plain = (
        site.get(f"/{name}", headers={"Accept-Encoding": accepted})
        for accepted in ("br, gzip;q=0.5", "identity")
    )
    content = (folder / name).read_bytes()
    assert packed.content == plain.content == content
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert int(packed.headers["Content-Length"]) < len(content) == int(plain.headers["Content-Length"])
    assert packed.headers["Content-Type"] == plain.headers["Content-Type"]
    tag = hashlib.sha256(content).hexdigest()[:32]
    assert (packed.headers["ETag"], plain.headers["ETag"]) == (f'"{tag}-gzip"', f'"{tag}"')


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_text_goes_out_as_it_is(site: httpx.Client, name: str) -> None:
    assert "Content-Encoding" not in site.get(f"/{name}", headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize(
    "accepted",
    ["", "br", "gzip;q=0", "gzip; q=0.0", "GZIP;Q=0.00", "br, gzip;q=0.000", "x-gzip", "gzip;q=0;a=b"],
)
def test_gzip_goes_to_nobody_who_does_not_take_it(site: httpx.Client, accepted: str) -> None:
    assert "Content-Encoding" not in site.get("/app.js", headers={"Accept-Encoding": accepted}).headers


@pytest.mark.parametrize("accepted", ["gzip", "GZip", "deflate,gzip ;q=1.0", "br;q=0, gzip;q=0.001"])
def test_gzip_goes_to_whoever_takes_it_at_all(site: httpx.Client, accepted: str) -> None:
    headers = site.get("/app.js", headers={"Accept-Encoding": accepted}).headers
    assert headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("accepted", "coding", "suffix"),
    [("gzip, br", "br", ".br"), ("br", "br", ".br"), ("gzip, br;q=0", "gzip", ".gz"), ("", "gzip", ".gz")],
)
def test_the_runtime_is_what_it_is_however_it_is_packed(
    site: httpx.Client, folder: Path, accepted: str, coding: str, suffix: str
) -> None:
    answer = site.head(f"/{RUNTIME}", headers={"Accept-Encoding": accepted})
    assert answer.headers["Content-Encoding"] == coding
    assert answer.headers["Content-Type"] == "application/wasm"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Content-Security-Policy"] == CSP_PAGE
    assert int(answer.headers["Content-Length"]) == (folder / (RUNTIME + suffix)).stat().st_size
    again = site.get(
        f"/{RUNTIME}", headers={"Accept-Encoding": accepted, "If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304


def test_a_client_that_names_no_coding_gets_its_files(site: httpx.Client) -> None:
    for name, coding in (("app.js", None), (RUNTIME, "gzip")):
        request = site.build_request("HEAD", f"/{name}")
        del request.headers["Accept-Encoding"]
        answer = site.send(request)
        assert (answer.status_code, answer.headers.get("Content-Encoding")) == (200, coding)


def test_a_file_is_packed_to_the_same_bytes_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = []
    for moment in (1.0e9, 1.7e9):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        packed.append(page._Text.of(b"the same").packed)
    assert packed[0] == packed[1]


def test_any_of_the_versions_that_a_client_has_is_known(site: httpx.Client) -> None:
    plain = {"Accept-Encoding": "identity"}
    tag = site.get("/app.js", headers=plain).headers["ETag"]
    for tags, status in ((f'"a" , {tag},"b"', 304), (tag[:-1] + 'x"', 200), ('"a"', 200), ("", 200)):
        assert site.get("/app.js", headers={**plain, "If-None-Match": tags}).status_code == status


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The types of a machine that knows those of scripts under other names, and no others."""
    monkeypatch.setattr(mimetypes, "_db", made := mimetypes.MimeTypes())
    known = made.types_map[True]
    known.clear()
    known |= {".js": "text/plain", ".mjs": "application/x-javascript", ".jpg": "image/jpeg"}
    page._learn_types.cache_clear()
    yield known
    page._learn_types.cache_clear()


def test_browsers_get_the_types_that_they_run_whatever_the_machine_calls_them(
    types: dict[str, str], site: httpx.Client
) -> None:
    expected = {
        "/app.js": "text/javascript; charset=utf-8",
        "/module.mjs": "text/javascript; charset=utf-8",
        "/engine.wasm": "application/wasm",
        "/engine.wasm.gz": "application/gzip",
        "/engine.wasm.br": "application/octet-stream",
        "/photo.jpg": "image/jpeg",
        "/notes.txt": "text/plain; charset=utf-8",
    }
    found = {name: site.get(name).headers["Content-Type"] for name in expected}
    assert found == expected


# --- what browsers keep ----------------------------------------------------------------------------------------------


def entry(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_list_of_files_has_each_as_it_is_served_and_the_runtime_unpacked(
    site: httpx.Client, folder: Path
) -> None:
    listed = site.get("/files.json")
    assert listed.headers["Content-Type"] == "application/json"
    files = listed.json()["files"]
    assert set(files) == {*TEXTS, *OTHERS, "index.html", "config.json", RUNTIME}
    for name in (*TEXTS, *OTHERS, "index.html", "config.json"):
        assert files[name] == entry(site.get(f"/{name}").content), name
    assert files[RUNTIME] == entry(b"the runtime")


def test_the_model_is_listed_where_there_is_one(folder: Path) -> None:
    with InProcess() as api:
        files = serving(folder, api.app.state.service).get("/files.json").json()["files"]
        for name in ("model/metadata.json", "model/model.onnx"):
            assert files[name] == entry(api.get(f"/{name}").content)


def test_a_model_whose_words_are_not_english_is_listed_as_it_is_served(folder: Path) -> None:
    metadata = {"labels": ["Mücke", "кот"], "weights": {"sha256": "0" * 64}}
    model = SimpleNamespace(metadata=metadata, weights=b"weights")
    service = SimpleNamespace(ready=lambda: SimpleNamespace(model=model))
    app = Starlette(routes=[*Page(folder).routes(), Route("/model/metadata.json", info.metadata)])
    app.state.service = service
    with httpx.Client(transport=AppTransport(app), base_url="http://purrdict.test") as client:
        files = client.get("/files.json").json()["files"]
        assert files["model/metadata.json"] == entry(client.get("/model/metadata.json").content)
    assert files["model/model.onnx"] == {"bytes": 7, "sha256": "0" * 64}


def test_the_configuration_says_that_the_page_may_be_kept_and_keeps_what_it_said(site: httpx.Client) -> None:
    answer = site.get("/config.json")
    assert answer.json() == {"api": "", "offline": True, "runtime": RUNTIME}
    assert answer.text.startswith('{\n  "api": ""'), "for people, too"


def test_the_version_is_that_of_all_files_and_of_nothing_else(site: httpx.Client, folder: Path) -> None:
    listed = site.get("/files.json").json()
    assert len(listed["version"]) == 16
    assert serving(folder).get("/files.json").json() == listed
    text = json.dumps(listed["files"], sort_keys=True).encode()
    assert listed["version"] == hashlib.sha256(text).hexdigest()[:16]
    (folder / "app.js").write_bytes(b"another")
    changed = site.get("/files.json").json()
    assert changed["version"] != listed["version"]
    assert changed["files"]["app.js"] == entry(b"another")


def test_a_file_that_was_edited_is_read_again(site: httpx.Client, folder: Path) -> None:
    path = folder / "app.js"
    before = path.stat()
    site.get("/app.js")
    path.write_bytes(path.read_bytes().upper())  # as long, but later
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert site.get("/app.js").text.startswith("APP.JS")
    path.write_bytes(b"at the same time, but shorter")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert site.get("/app.js").text == "at the same time, but shorter"
