"""docs/SECURITY.md says what the code does: its limits are the code's, its tests exist."""

import re

from api import _admission, _server
from api._photo import heic, limits
from api._photo.boxes import MAX_ITEMS
from api._routes import body
from api._settings import DEFAULT_MAX_UPLOAD_BYTES
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "SECURITY.md").read_text()


def test_every_promise_names_tests_that_exist() -> None:
    table = PAGE.split("## Promises")[1].split("The quick part")[0]
    promises = re.findall(r"^\| .+ \| .+ \| (.*`test.*) \|$", table, re.MULTILINE)
    assert len(promises) >= 12
    for cell in promises:
        named = re.findall(r"`((?:tests/)[\w/.]+|(?:\w+/)?test_\w+\.py)`", cell)
        assert named, cell
        for name in named:
            beside = [ROOT / name, ROOT / "tests/hostile" / name, ROOT / "tests/api" / name]
            assert any(path.exists() for path in beside), name


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    stated = {
        f"{DEFAULT_MAX_UPLOAD_BYTES:,} bytes",
        f"{limits.DEFAULT_MAX_PIXELS // 10**6} million of a JPEG",
        f"{int(limits.DEFAULT_MAX_PIXELS * limits.WHOLE_SHARE) // 10**6} million of the other formats",
        f"{limits.MAX_SCANS} scans, {limits.MAX_SCANNED_PIXELS // 10**6} million scanned pixels",
        f"{limits.MAX_JPEG_SEGMENTS:,} segments",
        f"{limits.MAX_PNG_CHUNKS:,} chunks; {limits.MAX_TIFF_PIECES:,} strips or tiles",
        f"{heic.DECODED_SHARE:g} and {heic.PAINTED_SHARE:g} times",
        f"{MAX_ITEMS:,} tiles, {heic.MAX_UNITS:,} units",
        f"{limits.MAX_BMP_RUN_PIXELS // 10**6} million pixels",
        f"| photos of a batch | {body.MAX_BATCH} |",
        f"{body.READ_TIMEOUT_S:g} s, then 408",
        f"| {_server.MAX_HEAD_BYTES:,}, then 400",
        f"{_server.HEADER_TIMEOUT_S:g} s; {_server.WRITE_TIMEOUT_S:g} s",
        f"{_server.LINGER_S:g} s or {_server.LINGER_BYTES:,} bytes",
        f"{_admission.UPLOADS_OF_FULL_SIZE} uploads of full size, {_admission.MAX_PHOTOS_WAITING} photos waiting",
    }
    assert {words for words in stated if words not in PAGE} == set()
