"""`.env`: what stands there is in force; what cannot be understood stops the start instead of opening the service."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from api import _settings
from api._dotenv import DotenvError, read_dotenv
from api._settings import Settings, SettingsError, read_settings
from tests.api.test_settings import variables_read
from tests.conftest import ROOT

Write = Callable[[bytes | str], Path]


@pytest.fixture
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the `.env` that the settings then read; the environment itself is empty."""
    monkeypatch.setattr(_settings, "ROOT", tmp_path)
    monkeypatch.setattr(os, "environ", {})

    def write(content: bytes | str) -> Path:
        path = tmp_path / ".env"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    "line",
    [
        "API_KEYS=secret",
        "API_KEYS = secret",
        "export API_KEYS=secret",
        "API_KEYS='secret'",
        'API_KEYS="secret"  # mine',
        "API_KEYS=secret  # mine",
        "# a comment\n\nAPI_KEYS=secret",
        "API_KEYS=secret\r\nMAX_PIXELS=7\r\n",
        "\ufeffAPI_KEYS=secret",
        "WEB_PORT=8090\nOPENAI_API_KEY=other\nAPI_KEYS=secret",
        "API_KEYS=secret\nAPI_KEYS=secret",
        "PART=secret\nAPI_KEYS=${PART}",
        "API_KEYS=${NOWHERE:-secret}",
    ],
)
def test_a_key_in_dotenv_is_in_force_however_it_is_written(dotenv: Write, line: str) -> None:
    dotenv(line)
    assert read_settings().api_keys == ("secret",)


MISUNDERSTOOD = {
    "a colon": b"API_KEYS: secret",
    "a blank": b"API_KEYS secret",
    "an open quote": b'API_KEYS="secret',
    "an open quote over several lines": b'API_KEYS="secret\nMAX_PIXELS=7\nENABLE_DOCS=false\n',
    "words behind the quote": b'API_KEYS="secret" and more',
    "no value": b"API_KEYS",
    "no value, and it on the next line": b"API_KEYS\n=secret",
    "a command of Windows": b"set API_KEYS=secret",
    "PowerShell": b'$env:API_KEYS="secret"',
    "YAML": b"- API_KEYS=secret",
    "a quoted name": b'"API_KEYS"=secret',
    "another case": b"api_keys=secret",
    "a name with a hyphen": b"API-KEYS=secret",
    "a letter too few": b"API_KEY=secret",
    "no underscore": b"APIKEYS=secret",
    "a zero-width space in the name": "API_KEYS\u200b=secret".encode(),
    "twice, and empty the second time": b"API_KEYS=secret\n\nAPI_KEYS=\n",
    "twice, differently": b"API_KEYS=secret\nAPI_KEYS=other",
    "a variable that is not set": b"API_KEYS=${SECRET_FROM_ELSEWHERE}",
    "UTF-16 of PowerShell": "API_KEYS=secret".encode("utf-16"),
    "UTF-16, big-endian": b"\xfe\xff" + "API_KEYS=secret".encode("utf-16-be"),
    "UTF-16 without a mark": "API_KEYS=secret\r\n".encode("utf-16-le"),
    "UTF-32": "API_KEYS=secret".encode("utf-32"),
    "bytes that are no UTF-8": b"# caf\xe9\nAPI_KEYS=secret",
    "a NUL": b"API_KEYS=sec\0ret",
    "a key of two words": b'API_KEYS="sec ret"',
    "curly quotes": "API_KEYS=“secret”".encode(),
}


@pytest.mark.parametrize("content", MISUNDERSTOOD.values(), ids=MISUNDERSTOOD)
def test_a_protection_that_is_not_understood_stops_the_start_and_shows_no_secret(
    dotenv: Write, content: bytes
) -> None:
    dotenv(content)
    with pytest.raises(SettingsError, match=r"\.env|API_KEYS") as caught:
        read_settings()
    assert "sec" not in str(caught.value).replace("second", "").replace("SECRET_FROM_ELSEWHERE", "")
    assert str(caught.value).endswith((".", "?"))


@pytest.mark.parametrize("name", ["ALLOWED_ORIGIN", "MAX_UPLOAD_BYTE", "NGROK_AUTH_TOKEN", "enable_docs"])
def test_a_name_that_is_nearly_a_settings_one_is_told_with_the_right_one(dotenv: Write, name: str) -> None:
    dotenv(f"\n{name}=1\n")
    with pytest.raises(
        SettingsError, match=rf"^\.env, line 2: {name} is no setting\. Did you mean [A-Z_]+\?"
    ):
        read_settings()


def test_lines_of_other_programs_in_dotenv_are_left_alone(dotenv: Write) -> None:
    dotenv(
        "WEB_PORT=8090\nPURRDICT_VENV=/x\nOPENAI_API_KEY=k\nREPORT=${NOWHERE}\nVERCEL_PYTHON_COMPILEALL=1\nHOST=h\n"
    )
    assert read_settings() == read_settings({})


def test_an_empty_key_is_still_no_key(dotenv: Write) -> None:
    dotenv((ROOT / ".env.example").read_bytes())
    assert read_settings() == read_settings({})


def test_a_dotenv_that_cannot_be_read_stops_the_start(dotenv: Write, tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match=r"^\.env cannot be read: "):
        read_settings()
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").mkdir()  # what Docker makes of a file that is not there
    with pytest.raises(SettingsError, match=r"^\.env cannot be read: "):
        read_settings()


def test_a_dotenv_that_an_editor_renamed_stops_the_start(dotenv: Write, tmp_path: Path) -> None:
    (tmp_path / ".env.txt").write_bytes(b"API_KEYS=secret")
    with pytest.raises(SettingsError, match=r"^\.env\.txt: .*\.env\b"):
        read_settings()
    dotenv("API_KEYS=secret")
    assert read_settings().api_keys == ("secret",)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_a_dotenv_that_is_a_pipe_of_a_password_manager_is_read(dotenv: Write, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    with subprocess.Popen(
        ["sh", "-c", 'printf API_KEYS=secret > "$0"', tmp_path / ".env"], env={"PATH": os.defpath}
    ):
        assert read_settings().api_keys == ("secret",)


@pytest.mark.parametrize("value", [" ", "\t", " , "])
def test_keys_of_nothing_but_blanks_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^API_KEYS: "):
        read_settings({"API_KEYS": value})


@pytest.mark.parametrize("name", ["api_keys", "Api_Keys", "max_pixels"])
def test_a_variable_of_the_environment_in_another_case_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: .*{name.upper()}"):
        read_settings({name: "5"})


def test_a_folder_of_a_user_who_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^MODEL_DIR: "):
        read_settings({"MODEL_DIR": "~nobody-by-this-name/model"})


def test_every_setting_is_a_field_by_its_own_name() -> None:
    # _dotenv.py takes the names from the fields; one of them says what became of another program's variable.
    assert {field.name.upper() for field in fields(Settings)} - {"WORKERS_IGNORED"} == variables_read()


def test_a_dotenv_that_is_not_understood_stops_the_command_without_a_traceback(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from api import _settings, __main__; "
        "_settings.ROOT = pathlib.Path(sys.argv[1]); sys.exit(__main__.main(['serve', '--port', '1']))"
    )
    (tmp_path / ".env").write_bytes("API_KEYS=secret".encode("utf-16"))
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 2
    assert re.fullmatch(r"error: \.env [^\n]*UTF-8[^\n]*\.\n", result.stderr)


def refusal(path: Path, content: bytes | str, *settings: str) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DotenvError) as caught:
        read_dotenv(path, settings or ("API_KEYS",), {})
    return str(caught.value)


def test_a_refusal_names_the_file_the_line_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    unclear = "not understood. Write NAME=value, a text with quotes in one pair of them."
    assert refusal(path, "API_KEYS") == f".env, line 1: {unclear}"
    assert refusal(path, "# a\n\n \t\r\n\rA=1\n\nAPI_KEYS: b\n") == f".env, line 7: {unclear}"
    assert refusal(path, "API_KEYS=a\nAPI_KEYS=b") == (
        ".env, line 2: API_KEYS stands there a second time, with another value. Keep one of them."
    )
    assert refusal(path, "A=1\nAPI_KEYS=${A}${B}") == ".env, line 2: it refers to ${B}, which is not set."
    assert refusal(path, "api-key=a") == ".env, line 1: api-key is no setting. Did you mean API_KEYS?"
    assert refusal(path, "API_K\u200bEYS=a") == ".env, line 1: API_KEYS is no setting. Did you mean API_KEYS?"


def test_a_file_in_another_encoding_is_told_which(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    for mark, kind in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        said = refusal(path, mark + "API_KEYS=é".encode(kind))
        assert "UTF-16, as PowerShell writes it," in said
        assert said.endswith("Save it again, as UTF-8.")
    assert refusal(path, b"caf\xe9=1") == ".env is not UTF-8. Save it again, as UTF-8."
    assert refusal(path, b"A=\0") == ".env has NUL bytes in it, like UTF-16 has. Save it again, as UTF-8."
    path.unlink()
    with pytest.raises(DotenvError, match=r"^\.env cannot be read: No such file or directory\. Repair it"):
        read_dotenv(path, ("API_KEYS",), {})


def test_what_a_value_refers_to_is_the_environment_before_the_lines_above(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "HOST=file\nOTHER=${NOWHERE}x\nAPI_KEYS=${HOST}-${NAME}-${NONE:-d}\nAPI_KEYS=${HOST}-${NAME}-d\n"
    )
    values = {"HOST": "file", "OTHER": "x", "API_KEYS": "env-n-d"}
    assert read_dotenv(path, ("API_KEYS",), {"HOST": "env", "NAME": "n"}) == values


@pytest.mark.parametrize(
    ("name", "setting", "alike"),
    [
        ("THREAD", "THREADS", True), ("TREADS", "THREADS", True), ("TREAD", "THREADS", False), ("PORTS", "PORT", False),
        ("WEB_PORT", "PORT", False), ("MY.API_KEYS", "API_KEYS", True),
        ("API_KEYS", "API_KEYS", False), ("METRICS_KEYS", "METRICS_KEY", True), ("DATABASE_URL", "FEEDBACK_URL", False),
    ],
)  # fmt: skip
def test_a_name_counts_as_a_misspelling_where_it_is_nearly_a_settings(
    tmp_path: Path, name: str, setting: str, alike: bool
) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{name}=7")
    if alike:
        assert f"Did you mean {setting}?" in refusal(path, f"{name}=7", setting)
    else:
        assert read_dotenv(path, (setting,), {}) == {name: "7"}
