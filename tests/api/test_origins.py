"""Pages and apps on other origins: which may be allowed, and what their preflights get."""

import pytest

from api._settings import SettingsError, load
from tests.conftest import InProcess

APPS = [
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "https://tauri.localhost",
    "chrome-extension://aapocclcgogkmnckokdopfmhonfmgoek",
    "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
    "safari-web-extension://7B0E1D6A-0C4F-4C0B-9C5A-1F2E3D4C5B6A",
    "app://obsidian.md",
    "app://.",
    "capacitor-electron://-",
    "http://my_app:3000",
    "http://[::1]:5500",
]


@pytest.mark.parametrize("origin", APPS)
def test_the_origin_of_an_app_can_be_allowed_like_that_of_a_page(origin: str) -> None:
    app = InProcess(ALLOWED_ORIGINS=f"https://a.example,{origin}")
    answer = app.get("/health", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    for other in (f"{origin}.evil", origin.replace("://", "://x"), "null", "capacitor://evil"):
        assert "Access-Control-Allow-Origin" not in app.get("/health", headers={"Origin": other}).headers


@pytest.mark.parametrize(
    ("origin", "says"),
    [
        ("null", "every sandboxed frame"),
        ("file://", "every sandboxed frame"),
        ("file://localhost", "every sandboxed frame"),
        ("data://a", "every sandboxed frame"),
        ("wss://a.example", "http or https"),
        ("capacitor://", "no origin"),
        ("capacitor://localhost/", "no origin"),
        ("capacitor://localhost/index.html", "no origin"),
        ("chrome-extension://*", "no origin"),
        ("capacitor:localhost", "no origin"),
        ("1app://localhost", "no origin"),
        ("javascript:alert(1)", "no origin"),
        ("https://user@a.example", "no origin"),
        ("https://a.example:99999", "no origin"),
        ("https://a.example?x", "no origin"),
        ("https://A.example", "no origin"),
        ("tauri://local host", "no origin"),
    ],
)
def test_what_no_page_or_app_has_as_its_origin_stops_the_start_and_says_why(origin: str, says: str) -> None:
    with pytest.raises(SettingsError, match=r"^ALLOWED_ORIGINS: ") as caught:
        load({"ALLOWED_ORIGINS": origin})
    assert says in str(caught.value)
