"""Settings: what each variable does, that wrong values stop the start, and that .env.example tells them all."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api import _settings
from api._settings import SettingsError, read_settings
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
