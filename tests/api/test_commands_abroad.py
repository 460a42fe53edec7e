"""`python -m api` on other machines than the authors': their encodings, shells, pipes and folders."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from api._commands.paths import find
from tests import commands
from tests.conftest import ROOT, clean_environment, free_port

CYRILLIC = "Кошка.jpg"


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[bytes]:
    """A command whose output goes into pipes, as bytes."""
    return subprocess.Popen(
        [sys.executable, "-m", "api", *map(str, arguments)],
        cwd=ROOT,
        env=clean_environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def program(*arguments: str | Path, **environment: str) -> tuple[int, bytes, bytes]:
    """Exit status, output and errors of a command in a process of its own."""
    process = start(*arguments, **environment)
    out, err = process.communicate(timeout=60)
    assert b"Traceback" not in out + err, err.decode(errors="replace")
    return process.returncode, out, err


def run(*arguments: str | Path, encoding: str = "utf-8") -> tuple[int, str, str]:
    """The same in this process."""
    result = commands.run(*arguments, encoding=encoding)
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path: Path, cat_jpeg: bytes) -> Path:
    """A folder with one photo whose name has letters that few encodings know."""
    (tmp_path / CYRILLIC).write_bytes(cat_jpeg)
    return tmp_path


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437", "utf-8", "utf-16"])
@pytest.mark.parametrize("json_lines", [False, True])
def test_a_name_that_the_terminal_cannot_write_is_answered_all_the_same(
    folder: Path, encoding: str, json_lines: bool
) -> None:
    options = ["--json"] if json_lines else []
    status, line, err = run("predict", *options, folder, encoding=encoding)
    assert (status, err) == (0, "")
    if json_lines:
        assert json.loads(line)["file"].endswith(CYRILLIC)
    else:
        assert line.split()[1] == "cat"
        assert line.split()[0].endswith((CYRILLIC, "\\u041a\\u043e\\u0448\\u043a\\u0430.jpg"))


@pytest.mark.process
@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_under_an_ascii_locale_the_same_is_answered(folder: Path, locale: dict[str, str]) -> None:
    status, out, err = program("predict", folder, **locale)
    assert (status, err) == (0, b"")
    assert b" cat " in out


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are no bytes")
def test_a_file_name_that_is_no_text_is_answered(tmp_path: Path, cat_jpeg: bytes) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.jpg")).write_bytes(cat_jpeg)
    status, out, err = program("predict", tmp_path)
    assert (status, err) == (0, b"")
    assert b" cat " in out
    status, out, _ = program("predict", tmp_path / "nowhere", os.fsdecode(b"nowhere-\xff.jpg"))
    assert status == 1


@pytest.mark.parametrize("pattern", ["*.jpg", "К*.jpg", "?????.jpg", "**/*.jpg"])
def test_wildcards_that_the_shell_left_alone_are_expanded(folder: Path, pattern: str) -> None:
    status, out, err = run("predict", "--json", folder / pattern)
    assert (status, err) == (0, "")
    assert [json.loads(line)["file"] for line in out.splitlines()] == [str(folder / CYRILLIC)]


def test_a_wildcard_that_matches_nothing_is_said(folder: Path) -> None:
    status, out, err = run("predict", folder / "*.gif")
    assert (status, out) == (1, "")
    assert "no file matches" in err


def test_a_file_whose_name_looks_like_a_wildcard_is_that_file(tmp_path: Path, cat_jpeg: bytes) -> None:
    (tmp_path / "cat[1].jpg").write_bytes(cat_jpeg)
    (tmp_path / "cat1.jpg").write_bytes(b"another file")
    status, out, _ = run("predict", "--json", tmp_path / "cat[1].jpg")
    assert status == 0
    assert json.loads(out)["prediction"] == "cat"


BESIDE_PHOTOS = [
    ".thumbnails/1.jpg", ".nomedia", "._Кошка.jpg", ".trashed-1-cat.jpg", "Thumbs.db", "desktop.ini", "IMG_1.AAE",
    "Кошка.jpg.xmp", "Кошка.json", "Кошка.jpg.supplemental-metadata.json", "Кошка.MOV", "Кошка.THM", "@eaDir/a.jpg",
    "__MACOSX/._a.jpg", ".picasa.ini",
]  # fmt: skip


def test_what_phones_and_computers_put_beside_photos_is_left_out_and_counted(folder: Path) -> None:
    for name in BESIDE_PHOTOS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no photo")
    status, out, err = run("predict", "--json", folder)
    assert [json.loads(line)["file"] for line in out.splitlines()] == [str(folder / CYRILLIC)]
    assert status == 0
    assert err.startswith("left out: 8 files ")


def test_a_folder_in_a_hidden_folder_is_searched_when_it_is_named(tmp_path: Path, cat_jpeg: bytes) -> None:
    hidden = tmp_path / ".cache" / "photos"
    hidden.mkdir(parents=True)
    (hidden / "cat.jpg").write_bytes(cat_jpeg)
    assert run("predict", hidden)[0] == 0


def test_a_file_that_was_named_is_read_whatever_it_is_called(tmp_path: Path, cat_jpeg: bytes) -> None:
    (tmp_path / "cat.json").write_bytes(cat_jpeg)
    assert run("predict", tmp_path / "cat.json")[0] == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE")
def test_a_reader_that_has_had_enough_ends_it_in_silence(folder: Path, cat_jpeg: bytes) -> None:
    for number in range(40):
        (folder / f"{number}.jpg").write_bytes(cat_jpeg)
    process = start("predict", folder)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=60) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said(folder: Path) -> None:
    command = [sys.executable, "-m", "api", "predict", str(folder)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command,
            cwd=ROOT,
            env=clean_environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert result.returncode == 2
    assert result.stderr.startswith(b"error: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "host", ["no.such.host.invalid", "300.1.1.1", "a" * 70, "..", "ho st", "203.0.113.1", "é" * 80]
)
def test_an_address_that_is_not_this_machines_is_refused_with_a_sentence(host: str) -> None:
    status, out, err = run("serve", "--host", host, "--port", "8123")
    assert status == 2
    assert err.startswith("error: cannot listen on ")
    assert len(err.splitlines()) == 1
    assert out == "", "no address may be promised where nothing listens"


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to a process")
def test_ctrl_c_ends_it_without_a_traceback(folder: Path, cat_jpeg: bytes) -> None:
    for number in range(400):
        (folder / f"{number}.jpg").write_bytes(cat_jpeg)
    process = start("predict", folder)
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"")


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE")
def test_a_server_whose_log_nobody_reads_any_more_serves_on_in_silence() -> None:
    port = free_port()
    process = start("serve", "--port", str(port))
    assert process.stdout
    try:
        for _ in range(3):
            process.stdout.readline()
        process.stdout.close()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            for attempt in range(100):
                try:
                    client.get("/health")
                    break
                except httpx.TransportError:
                    assert attempt < 99
                    time.sleep(0.1)
            assert [client.get("/health").status_code for _ in range(3)] == [200] * 3
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert err == b""


@pytest.mark.parametrize("name", ["a" * 300, "photo.jpg/inside"])
def test_a_path_that_cannot_be_is_a_row_like_any_other(folder: Path, name: str) -> None:
    (folder / "photo.jpg").write_bytes(b"a file, no folder")
    status, out, _ = run("predict", folder / name)
    assert status == 1
    assert "error" in out


def test_a_folder_that_may_not_be_read_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "locked").mkdir()
    scan = os.scandir

    def barred(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", barred)
    found = find([str(folder)])
    assert found.files == [folder / CYRILLIC]
    assert found.problems == [f"{folder / 'locked'} cannot be read: Permission denied"]


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="HOME is no variable of Windows")
def test_a_home_that_cannot_be_written_is_no_obstacle(folder: Path) -> None:
    home = folder / "home-is-a-file"
    home.write_text("x")
    for value in (str(home), "/nonexistent", ""):
        status, _, err = program(
            "predict", folder / CYRILLIC, HOME=value, XDG_CACHE_HOME=value, MPLCONFIGDIR=value
        )
        assert (status, err) == (0, b"")
