"""The files of the page as the API serves them: packed, named with their digests, and never two versions mixed."""

import gzip
import hashlib
import json

import pytest

from deploy import site
from tests.conftest import ROOT, InProcess

WEB = ROOT / "web"
RUNTIME = "vendor/onnxruntime-web/ort-wasm-simd-threaded.reduced.wasm"


@pytest.fixture(scope="module")
def app() -> InProcess:
    return InProcess()


@pytest.mark.parametrize(
    "path", ["/style.css", "/app.js", "/words/de.js", "/manifest.json", "/icons/icon.svg"]
)
def test_text_goes_out_gzipped_to_who_takes_it_and_plain_to_others(app: InProcess, path: str) -> None:
    packed = app.get(path, headers={"Accept-Encoding": "gzip, br"})
    plain = app.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.content == plain.content == (WEB / path[1:]).read_bytes()
    assert int(packed.headers["Content-Length"]) < len(plain.content)
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert packed.headers["ETag"] != plain.headers["ETag"]


def test_gzip_that_is_refused_is_not_sent(app: InProcess) -> None:
    assert "Content-Encoding" not in app.get("/app.js", headers={"Accept-Encoding": "gzip;q=0"}).headers


def test_a_file_that_has_not_changed_is_not_sent_again(app: InProcess) -> None:
    first = app.get("/app.js", headers={"Accept-Encoding": "gzip"})
    again = app.get("/app.js", headers={"Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_itself_is_gzipped_too_and_still_depends_on_who_asks(app: InProcess) -> None:
    page = app.get("/", headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
    assert page.headers["Content-Encoding"] == "gzip"
    assert "<!doctype html>" in page.text


@pytest.mark.parametrize(
    ("accepted", "coding", "suffix"), [("gzip, br", "br", ".br"), ("gzip", "gzip", ".gz")]
)
def test_the_runtime_goes_out_as_the_client_takes_it(
    app: InProcess, accepted: str, coding: str, suffix: str
) -> None:
    answer = app.request("HEAD", f"/{RUNTIME}", headers={"Accept-Encoding": accepted})
    assert answer.headers["Content-Type"] == "application/wasm"
    assert answer.headers["Content-Encoding"] == coding
    assert int(answer.headers["Content-Length"]) == (WEB / (RUNTIME + suffix)).stat().st_size


def test_the_model_goes_out_gzipped_to_who_takes_it_and_as_it_is_to_others(app: InProcess) -> None:
    path = "/model/model.onnx"
    version = (ROOT / "model/latest").read_text().strip()
    weights = (ROOT / "model/versions" / version / "model.onnx").read_bytes()
    packed = app.get(path, headers={"Accept-Encoding": "gzip, br"})
    plain = app.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.content == plain.content == weights
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert int(packed.headers["Content-Length"]) < 0.8 * len(weights)
    assert int(plain.headers["Content-Length"]) == len(weights)
    assert {packed.headers["Vary"], plain.headers["Vary"]} == {"Accept-Encoding"}
    assert packed.headers["ETag"] != plain.headers["ETag"]


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_a_model_that_has_not_changed_is_not_sent_again(app: InProcess, coding: str) -> None:
    asked = {"Accept-Encoding": coding}
    first = app.request("HEAD", "/model/model.onnx", headers=asked)
    again = app.get("/model/model.onnx", headers={**asked, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_files_json_names_every_file_with_the_digest_of_what_is_served(app: InProcess) -> None:
    listed = app.get("/files.json").json()
    assert len(listed["version"]) == 16
    for name in (
        "index.html",
        "app.js",
        "config.json",
        "model/metadata.json",
        "model/model.onnx",
        "samples/coffee.jpg",
    ):
        content = app.get(f"/{name}").content
        assert listed["files"][name] == {
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }, name
    whole = gzip.decompress((WEB / f"{RUNTIME}.gz").read_bytes())
    assert listed["files"][RUNTIME]["sha256"] == hashlib.sha256(whole).hexdigest()
    assert not {f"{RUNTIME}.gz", f"{RUNTIME}.br", "files.json"} & set(listed["files"])


def test_another_model_is_another_version_of_the_page() -> None:
    versions = {
        InProcess(MODEL_VERSION=version).get("/files.json").json()["version"]
        for version in ("1.0.0", "0.2.0")
    }
    assert len(versions) == 2


def test_the_page_is_told_that_it_may_be_kept_and_where_the_runtime_is(app: InProcess) -> None:
    config = app.get("/config.json").json()
    assert config == {**json.loads((WEB / "config.json").read_text()), "offline": True, "runtime": RUNTIME}


def test_a_site_names_its_files_in_the_same_way(tmp_path, app: InProcess) -> None:  # type: ignore[no-untyped-def]
    site.write(
        tmp_path / "site",
        "https://api.example",
        "https://page.example/purrdict",
        feedback="https://f.example",
    )
    files = json.loads((tmp_path / "site/files.json").read_text())["files"]
    here = app.get("/files.json").json()["files"]
    same = set(files) & set(here) - {"config.json", "index.html", "model/metadata.json"}
    assert "app.js" in same
    assert "model/model.onnx" in same
    assert {name: files[name] for name in same} == {name: here[name] for name in same}
    assert f"{RUNTIME}.gz" in files
    assert (
        gzip.decompress((tmp_path / "site/model/model.onnx.gz").read_bytes())
        == (tmp_path / "site/model/model.onnx").read_bytes()
    )
    config = json.loads((tmp_path / "site/config.json").read_text())
    assert config["api"] == "https://api.example"
    assert config["feedback"] == "https://f.example"
    assert config["offline"] is True
    assert config["weights"] == "model.onnx.gz"
    assert (
        'content="https://page.example/purrdict/icons/preview.png"'
        in (tmp_path / "site/index.html").read_text()
    )


@pytest.mark.parametrize(("keys", "required"), [("", False), ("a", True)])
def test_health_says_whether_predicting_takes_a_key(keys: str, required: bool) -> None:
    assert InProcess(API_KEYS=keys).get("/health").json()["key_required"] is required


def test_services_beside_the_api_are_named_where_there_are_any(app: InProcess) -> None:
    assert not {"feedback", "writer"} & set(app.get("/").json()["endpoints"])
    with_both = InProcess(FEEDBACK_URL="/feedback", WRITER_URL="https://writer.example/")
    endpoints = with_both.get("/").json()["endpoints"]
    assert (endpoints["feedback"], endpoints["writer"]) == ("/feedback", "https://writer.example/")


@pytest.mark.parametrize(
    "value", ["feedback", "ftp://x/", "https://user:secret@x/", "https://x/?key=1", "javascript:alert(1)"]
)
def test_an_address_of_a_service_that_cannot_be_one_stops_the_start(value: str) -> None:
    from api._settings import SettingsError, read_settings

    with pytest.raises(SettingsError, match="FEEDBACK_URL"):
        read_settings({"FEEDBACK_URL": value})
