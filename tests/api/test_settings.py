"""Settings: what each variable does, that wrong values stop the start, and that .env.example tells them all."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api import _settings
from api._settings import Settings, SettingsError, read_settings
from tests.conftest import ROOT, SETTINGS, clean_environment

PAGE_TABLE = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


def variables_read() -> set[str]:
    """The variables that the code asks for: read off the source, so that none can be forgotten here."""
    source = Path(_settings.__file__).read_text()
    return set(re.findall(r'(?:get\(|_[a-z]+\()"([A-Z][A-Z_]+)"', source))


def test_the_tests_clear_every_variable_before_they_start_a_server() -> None:
    assert set(SETTINGS) == variables_read()


def test_env_example_lists_every_variable_with_its_meaning() -> None:
    text = (ROOT / ".env.example").read_text()
    listed = re.findall(r"^#? ?([A-Z_]+)=", text, re.MULTILINE)
    assert sorted(listed) == sorted(variables_read())
    for name in listed:
        before = re.split(rf"^#? ?{name}=", text, maxsplit=1, flags=re.MULTILINE)[0].rstrip().splitlines()
        assert before[-1].startswith("#"), f"{name} has no comment above it"


def test_the_settings_page_lists_every_variable() -> None:
    assert set(PAGE_TABLE.findall((ROOT / "docs" / "SETTINGS.md").read_text())) == variables_read()


def test_only_the_settings_module_reads_the_environment() -> None:
    for path in (ROOT / "api").glob("*.py"):
        if path.name != "_settings.py":
            assert not re.search(r"os\.environ|getenv", path.read_text()), path.name


def test_an_empty_environment_gives_safe_defaults() -> None:
    settings = read_settings({})
    assert settings.allowed_origins == ()
    assert settings.api_keys == ()
    assert settings.max_upload_bytes == 4_500_000


def test_lists_are_split_at_commas_and_lose_their_blanks() -> None:
    settings = read_settings(
        {"ALLOWED_ORIGINS": " https://a.example , http://localhost:5500,", "API_KEYS": "one, two"}
    )
    assert settings.allowed_origins == ("https://a.example", "http://localhost:5500")
    assert settings.api_keys == ("one", "two")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_ORIGINS", "https://user.github.io/"),
        ("ALLOWED_ORIGINS", "user.github.io"),
        ("ALLOWED_ORIGINS", "https://*.example.com"),
        ("ALLOWED_ORIGINS", "null"),
        ("ALLOWED_ORIGINS", "*,https://a.example"),
        ("ALLOWED_ORIGINS", "https://A.example"),
        ("API_KEYS", ","),
        ("API_KEYS", "two words"),
        ("MODEL_VERSION", "../../etc"),
        ("MAX_UPLOAD_BYTES", "4.5MB"),
        ("MAX_UPLOAD_BYTES", "0"),
        ("MAX_PIXELS", "-1"),
        ("THREADS", "many"),
        ("ENABLE_DOCS", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
        ("PORT", "70000"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        read_settings({name: value})


def test_every_variable_arrives_in_its_own_setting_and_loses_its_blanks() -> None:
    given = {
        "ALLOWED_ORIGINS": "https://a.example", "FRAME_ANCESTORS": "https://b.example", "API_KEYS": "one",
        "MODEL_DIR": " /srv/models ", "MODEL_VERSION": " 1.2.3 ", "MAX_UPLOAD_BYTES": " 7 ", "MAX_PIXELS": "8",
        "THREADS": "9", "ENABLE_DOCS": " No ", "LOG_LEVEL": "debug", "PORT": "10", "ROOT_PATH": "/prod",
        "FEEDBACK_URL": "/feedback", "WRITER_URL": "https://w.example/", "METRICS_PORT": "11", "METRICS_KEY": "two",
        "FASTAPI_OTEL_AUTO_CONFIGURE": "ON", "NGROK_AUTHTOKEN": " three ", "WEB_CONCURRENCY": "2",
    }  # fmt: skip
    assert set(given) == variables_read() | {"WEB_CONCURRENCY"}
    assert read_settings(given) == Settings(
        allowed_origins=("https://a.example",), frame_ancestors=("https://b.example",), api_keys=("one",),
        model_dir=Path("/srv/models"), model_version="1.2.3", max_upload_bytes=7, max_pixels=8, threads=9,
        enable_docs=False, log_level="DEBUG", port=10, root_path="/prod", feedback_url="/feedback",
        writer_url="https://w.example/", metrics_port=11, metrics_key="two", fastapi_otel_auto_configure=True,
        ngrok_authtoken="three", workers_ignored=True,
    )  # fmt: skip


def test_what_is_empty_is_as_if_it_were_not_there() -> None:
    assert (
        read_settings(dict.fromkeys(variables_read() | {"WEB_CONCURRENCY"}, ""))
        == read_settings({})
        == Settings()
    )
    assert Settings() == Settings(
        (), (), (), ROOT / "model", None, 4_500_000, 40_000_000, None, True, "INFO", 8000, "", None, None, None, None,
        False, None, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("MAX_UPLOAD_BYTES", 1, 10**12), ("MAX_PIXELS", 1, 10**12), ("THREADS", 1, 256), ("PORT", 1, 65_535),
        ("METRICS_PORT", 1, 65_535),
    ],
)  # fmt: skip
def test_a_number_lies_between_its_bounds(name: str, least: int, most: int) -> None:
    for value in (least, most):
        assert getattr(read_settings({name: str(value)}), name.lower()) == value
    for wrong in (str(least - 1), str(most + 1), "-1", "+1", "1.0", "0x1", "\u0661", "1" + "0" * 13):
        with pytest.raises(
            SettingsError, match=f"^{name}: '.*' must be a whole number from {least} to {most}\\.$"
        ):
            read_settings({name: wrong})


@pytest.mark.parametrize(
    ("words", "value"), [(("1", "true", "YES", "On"), True), (("0", "false", "NO", "Off"), False)]
)
def test_a_switch_takes_the_usual_words(words: tuple[str, ...], value: bool) -> None:
    for word in words:
        settings = read_settings({"ENABLE_DOCS": word, "FASTAPI_OTEL_AUTO_CONFIGURE": word})
        assert (settings.enable_docs, settings.fastapi_otel_auto_configure) == (value, value)


@pytest.mark.parametrize(
    ("value", "ignored"),
    [("", False), ("1", False), (" 1 ", False), ("2", True), ("0", True), ("many", True)],
)
def test_a_number_of_processes_that_only_other_servers_know_is_noticed(value: str, ignored: bool) -> None:
    assert read_settings({"WEB_CONCURRENCY": value}).workers_ignored is ignored


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://a.example:443", "https://a.example"), ("http://a.example:80", "http://a.example"),
        ("https://a.example:80", "https://a.example:80"), ("http://a.example:443", "http://a.example:443"),
        ("https://a.example:4430", "https://a.example:4430"), ("http://[::1]:5500", "http://[::1]:5500"),
        ("http://a.example:65535", "http://a.example:65535"), ("capacitor://localhost", "capacitor://localhost"),
        ("safari-web-extension://7B0E", "safari-web-extension://7B0E"), ("*", "*"), ("http://a_b.example", "http://a_b.example"),
    ],
)  # fmt: skip
def test_origins_are_as_browsers_send_them(value: str, kept: str) -> None:
    assert read_settings({"ALLOWED_ORIGINS": f"{value},{value}"}).allowed_origins == (kept,)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("*,https://a.example", "either \\* .* not both"), ("null", "names nobody"), ("file:///a", "names nobody"),
        ("data://a", "names nobody"), ("blob://a", "names nobody"), ("about://blank", "names nobody"),
        ("filesystem://a", "names nobody"), ("javascript://a", "names nobody"),
        ("ws://a.example", "no page has the origin"),
        ("wss://a.example", "no page has the origin"), ("ftp://a.example", "no page has the origin"),
        ("http://a.example:65536", "is no origin"), ("https://A.example", "is no origin"),
        ("https://a.example/", "is no origin"),
    ],
)  # fmt: skip
def test_what_no_browser_sends_as_an_origin_is_refused_with_what_to_write(value: str, says: str) -> None:
    with pytest.raises(SettingsError, match=f"^ALLOWED_ORIGINS: .*{says}"):
        read_settings({"ALLOWED_ORIGINS": value})


@pytest.mark.parametrize(
    "value",
    [
        "https://*.example.com",
        "http://*.a.example.com:8080",
        "app://*",
        "https://a.example",
        "capacitor://localhost",
    ],
)
def test_a_frame_may_have_a_star_for_its_first_label(value: str) -> None:
    assert read_settings({"FRAME_ANCESTORS": f"{value}, {value}"}).frame_ancestors == (value,)


@pytest.mark.parametrize(
    "value",
    ["*", "https://*", "https://*.com", "https://a.*.com", "http://[::1]", "null", "data://x", "ws://a.example",
     "a; script-src *"],
)  # fmt: skip
def test_nothing_but_origins_gets_into_the_header_about_frames(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^FRAME_ANCESTORS: '.*' is no origin"):
        read_settings({"FRAME_ANCESTORS": value})


@pytest.mark.parametrize("name", ["FEEDBACK_URL", "WRITER_URL"])
def test_a_service_has_an_address_or_a_path(name: str) -> None:
    for value in ("/", "/feedback", "https://f.example", "http://f.example:8001/a/"):
        assert getattr(read_settings({name: value}), name.lower()) == value
    for wrong in (
        "feedback",
        "https://a@f.example",
        "/a?b",
        "/a#b",
        "https://f.example/?k=1",
        "ftp://f.example/",
        "/a b",
    ):
        with pytest.raises(SettingsError, match=f"^{name}: .* is no address of a service"):
            read_settings({name: wrong})


def test_a_version_cannot_climb_out_of_the_registry_and_a_path_not_out_of_the_host() -> None:
    for value in ("1", "1.0.0-rc.1+a"):
        assert read_settings({"MODEL_VERSION": value}).model_version == value
    for wrong in ("..", "1..2", ".1", "1/2", "1 2", "-1"):
        with pytest.raises(SettingsError, match=r"^MODEL_VERSION: .* is no version"):
            read_settings({"MODEL_VERSION": wrong})
    assert read_settings({"ROOT_PATH": "/"}).root_path == ""
    assert read_settings({"ROOT_PATH": "/a/b-c.d"}).root_path == "/a/b-c.d"
    for wrong in ("a", "/a/", "/.", "/a/..", "//a", "/a b"):
        with pytest.raises(SettingsError, match=r"^ROOT_PATH: .* is no path"):
            read_settings({"ROOT_PATH": wrong})


def test_a_key_is_what_a_header_can_carry() -> None:
    assert read_settings({"METRICS_KEY": "!~"}).metrics_key == "!~"
    for name, wrong in (
        ("METRICS_KEY", "a b"),
        ("METRICS_KEY", "\xe9"),
        ("METRICS_KEY", " "),
        ("API_KEYS", "a,\xe9"),
        ("API_KEYS", " "),
    ):
        with pytest.raises(SettingsError, match=f"^{name}: ") as caught:
            read_settings({name: wrong})
        assert wrong not in str(caught.value) or wrong == " "


@pytest.mark.parametrize("level", ["DEBUG", "info", "Warning", "ERROR", "critical"])
def test_every_level_of_the_log_may_be_written_in_any_case(level: str) -> None:
    assert read_settings({"LOG_LEVEL": level}).log_level == level.upper()


def test_a_setting_in_small_letters_is_refused_and_another_programs_word_is_not() -> None:
    with pytest.raises(SettingsError, match=r"^max_pixels: the setting is called MAX_PIXELS, in capitals\.$"):
        read_settings({"max_pixels": "1"})
    assert (
        read_settings({"port": "1", "threads": "1", "max_pixel": "1", "workers_ignored": "1"}) == Settings()
    )


def test_a_wrong_value_stops_the_start_without_a_traceback() -> None:
    command = [sys.executable, "-m", "api", "serve"]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=clean_environment(MAX_PIXELS="lots"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: MAX_PIXELS: 'lots'")


def test_no_message_and_no_repr_shows_a_key() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({"API_KEYS": "hush hush"})
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(read_settings({"API_KEYS": "hush", "NGROK_AUTHTOKEN": "hush"}))


def test_a_dotenv_file_fills_in_what_the_environment_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("MAX_PIXELS=123\nMAX_UPLOAD_BYTES=456\n")
    monkeypatch.setattr(_settings, "ROOT", tmp_path)
    # Set and taken away again, so that monkeypatch restores what load_dotenv writes into the environment.
    monkeypatch.setenv("MAX_PIXELS", "")
    monkeypatch.delenv("MAX_PIXELS")
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "789")
    settings = read_settings()
    assert (settings.max_pixels, settings.max_upload_bytes) == (123, 789)
    assert os.environ["MAX_UPLOAD_BYTES"] == "789"
