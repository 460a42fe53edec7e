"""Pages of others that may show this one in a frame, as Hugging Face and Codespaces do."""

import json
import re

import pytest

from api._settings import SettingsError, read_settings
from tests.conftest import ROOT, InProcess

EVERY_KIND = [
    ("GET", "/", {"Accept": "text/html"}),
    ("GET", "/", {}),
    ("GET", "/index.html", {}),
    ("GET", "/app.js", {}),
    ("GET", "/docs", {}),
    ("GET", "/redoc", {}),
    ("GET", "/health", {}),
    ("GET", "/nowhere", {}),
    ("POST", "/predict", {}),
    ("GET", "/health/", {}),
]
SPACE = "https://huggingface.co"
CODESPACE = "https://*.vscode-cdn.net"


def test_every_response_may_be_framed_by_the_pages_that_frame_ancestors_names_and_by_no_other() -> None:
    app = InProcess(FRAME_ANCESTORS=f"{SPACE}, {CODESPACE}")
    for method, path, headers in EVERY_KIND:
        response = app.request(method, path, headers=headers)
        policies = response.headers.get_list("Content-Security-Policy")
        assert len(policies) == 1, path
        assert re.findall(r"frame-ancestors ([^;]*)", policies[0]) == [f"{SPACE} {CODESPACE}"], path
        # It knows no list of origins, and a browser that knows no policy would obey it.
        assert "X-Frame-Options" not in response.headers, path


def test_without_the_setting_no_page_may_frame_any_response() -> None:
    app = InProcess()
    for method, path, headers in EVERY_KIND:
        response = app.request(method, path, headers=headers)
        policy = response.headers["Content-Security-Policy"]
        assert re.findall(r"frame-ancestors ([^;]*)", policy) == ["'none'"], path
        assert response.headers["X-Frame-Options"] == "DENY", path


@pytest.mark.parametrize(
    "value",
    [
        "https://a.example; script-src *",
        "https://a.example script-src",
        "'self'",
        "'none'",
        "*",
        "https:",
        "https://*",
        "https://*.com",
        "https://a.*.example",
        "https://a.example/path",
        "https://a.example/",
        "huggingface.co",
        "null",
        "https://A.example",
        "https://a.example\r\nX: y",
    ],
)
def test_a_frame_ancestor_that_is_no_origin_stops_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^FRAME_ANCESTORS: "):
        read_settings({"FRAME_ANCESTORS": value})


@pytest.mark.parametrize(
    "value",
    [
        "https://huggingface.co",
        "http://localhost:5500",
        "https://*.github.dev",
        "https://*.a.example:8443",
        "vscode-file://vscode-app",
        "vscode-webview://*",
    ],
)
def test_an_origin_may_be_named_exactly_or_with_a_star_for_its_first_label(value: str) -> None:
    assert read_settings({"FRAME_ANCESTORS": value}).frame_ancestors == (value,)


def test_the_two_targets_that_show_the_page_in_a_frame_are_set_up_for_it() -> None:
    guide = (ROOT / "docs" / "DEPLOY.md").read_text(encoding="utf-8")
    space = guide.split("\n## Hugging Face Space")[1].split("\n## ")[0]
    assert re.search(rf"ENV FRAME_ANCESTORS={re.escape(SPACE)}\b.*>> space/Dockerfile", space)
    text = (ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    container = json.loads(re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE))
    # VS Code shows its preview in a frame of its own host, inside the codespace's page.
    ancestors = read_settings(container["containerEnv"]).frame_ancestors
    assert {"https://*.github.dev", CODESPACE} <= set(ancestors)


def test_the_compose_file_hands_the_setting_to_the_api() -> None:
    assert "FRAME_ANCESTORS: ${FRAME_ANCESTORS:-}" in (ROOT / "compose.yaml").read_text(encoding="utf-8")
