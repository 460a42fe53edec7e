"""`python -m api`: its arguments, and how each command ends."""

import contextlib
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

import api.__main__
from api._commands.output import CommandError, say
from tests.commands import run


class Commands:
    """Stands in for the commands: notes what each is called with, and returns `status` or raises it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.status: int | BaseException = 0

    def named(self, name: str) -> Any:
        def command(*arguments: Any, **options: Any) -> int:
            self.calls.append((name, arguments, options))
            if isinstance(self.status, BaseException):
                raise self.status
            return self.status

        return command


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands()
    monkeypatch.setattr(api.__main__, "serve", made.named("serve"))
    for name in ("predict", "tunnel"):
        module: Any = ModuleType(name)
        setattr(module, name, made.named(name))
        monkeypatch.setitem(sys.modules, f"api._commands.{name}", module)
    return made


def test_each_command_gets_its_arguments_and_its_status_is_the_programs(commands: Commands) -> None:
    commands.status = 7
    assert run("serve", "--host", "::1", "--port", "9000", "--workers", "3").returncode == 7
    assert run("predict", "a.jpg", "b").returncode == 7
    assert run("predict", "--json", "a.jpg").returncode == 7
    assert run("tunnel", "--host", "::1", "--port", "9001").returncode == 7
    (serve, first, _), (predict, photos, plain), (_, _, as_json), (tunnel, second, _) = commands.calls
    assert (serve, predict, tunnel) == ("serve", "predict", "tunnel")
    assert (first[0], first[1], first[3]) == ("::1", 9000, 3)
    assert (photos[0], plain, as_json) == (["a.jpg", "b"], {"as_json": False}, {"as_json": True})
    assert second[:2] == ("::1", 9001)
    assert first[2].max_pixels == photos[1].max_pixels == second[2].max_pixels


def test_without_arguments_one_process_serves_this_machine_alone(commands: Commands) -> None:
    run("serve")
    run("tunnel")
    run("serve", PORT="8765")
    run("serve", "--port", "9", PORT="8765")
    assert [call[1][:2] for call in commands.calls] == [
        ("127.0.0.1", 8000),
        ("127.0.0.1", 8000),
        ("127.0.0.1", 8765),
        ("127.0.0.1", 9),
    ]
    assert commands.calls[0][1][3] == 1


@pytest.mark.parametrize("port", ["1", "65535", "080"])
def test_a_port_is_a_number_that_a_port_can_have(commands: Commands, port: str) -> None:
    run("serve", "--port", port)
    assert commands.calls[0][1][1] == int(port)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "", "http", "8e3", "٨٠٨٠", "000080", "9" * 5000])
def test_what_is_no_port_is_refused_with_what_is_one(commands: Commands, port: str) -> None:
    result = run("serve", f"--port={port}")
    assert (result.returncode, commands.calls) == (2, [])
    assert result.stderr.endswith(f"argument --port: {port[:20]!r} must be a whole number from 1 to 65535\n")


@pytest.mark.parametrize("workers", ["1", "64", "002"])
def test_so_many_processes_may_be_asked_for(commands: Commands, workers: str) -> None:
    run("serve", "--workers", workers)
    assert commands.calls[0][1][3] == int(workers)


@pytest.mark.parametrize("workers", ["0", "65", "-1", "", "many", "1.5", "٢", "0002", "9" * 5000])
def test_no_other_number_of_processes_is_started(commands: Commands, workers: str) -> None:
    result = run("serve", f"--workers={workers}")
    assert (result.returncode, commands.calls) == (2, [])
    assert result.stderr.endswith(
        f"argument --workers: {workers[:20]!r} must be a whole number from 1 to 64\n"
    )


@pytest.mark.parametrize(
    ("arguments", "missing"), [((), "COMMAND"), (("predict",), "PHOTO"), (("bake",), "'bake'")]
)
def test_what_is_missing_is_named_with_the_usage(
    commands: Commands, arguments: tuple[str, ...], missing: str
) -> None:
    result = run(*arguments)
    assert (result.returncode, commands.calls) == (2, [])
    assert result.stderr.startswith("usage: python -m api ")
    assert missing in result.stderr.splitlines()[-1]


def test_help_names_the_commands_with_examples_and_each_option_with_its_default(commands: Commands) -> None:
    text = run("--help").stdout
    assert text.startswith("usage: python -m api [-h] COMMAND ...\n")
    for line in (
        "    serve     serve the API and the page",
        "    predict   classify photos",
        "    tunnel    serve, and open an ngrok tunnel",
        "  python -m api predict one.jpg two.png     a table of answers, without a server",
    ):
        assert line in text.splitlines()
    serve = " ".join(run("serve", "--help").stdout.split())
    assert serve.startswith("usage: python -m api serve ")
    assert "address to listen on (default: 127.0.0.1)" in serve
    assert "--workers N " in serve
    assert "(default: 1)" in serve
    assert "PHOTO [PHOTO ...]" in run("predict", "--help").stdout


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (CommandError("it is broken"), 2, "error: it is broken\n"),
    ],
)
def test_how_a_command_ends_is_told_as_shells_tell_it(
    commands: Commands, error: BaseException, status: int, said: str
) -> None:
    commands.status = error
    for arguments in (("serve",), ("predict", "a.jpg"), ("tunnel",)):
        result = run(*arguments)
        assert (result.returncode, result.stdout, result.stderr) == (status, "", said)


def test_a_setting_that_is_wrong_stops_it_before_anything_is_done(commands: Commands) -> None:
    result = run("predict", "a.jpg", THREADS="many")
    assert (result.returncode, commands.calls) == (2, [])
    assert result.stderr.startswith("error: THREADS")


def test_as_a_program_it_ends_with_that_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["api", "predict", "a.jpg"])
    monkeypatch.setenv("THREADS", "many")
    # Otherwise runpy warns that it is loaded already.
    monkeypatch.delitem(sys.modules, "api.__main__")
    with pytest.raises(SystemExit) as left:
        runpy.run_module("api", run_name="__main__")
    assert left.value.code == 2


# --- an output that takes nothing more -------------------------------------------------------------------------------


def test_a_reader_that_has_left_ends_it_in_silence(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*_: Any, **__: Any) -> NoReturn:
        say("a line")
        raise AssertionError("nobody has read it")

    monkeypatch.setattr(api.__main__, "serve", told)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as output, contextlib.redirect_stdout(output):
        assert api.__main__.main(["serve"]) == 141
        # As the interpreter does at its end: what is left to be written must not fail again.
        output.flush()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_once(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(CommandError, match=r"^the output cannot be written: No space left on device$"):
            say("a line")
        full.flush()


def test_a_line_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with open(writer, "w", encoding="utf-8") as output, open(reader, encoding="utf-8") as found:
        monkeypatch.setattr(sys, "stdout", output)
        say("a line")
        assert os.read(found.fileno(), 100) == b"a line\n"


def test_a_name_with_letters_that_the_output_has_not_got_is_written_with_their_numbers(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*_: Any, **__: Any) -> int:
        print("Кот", file=sys.stderr)
        say("Кот")
        return 0

    monkeypatch.setattr(api.__main__, "serve", told)
    result = run("serve", encoding="ascii")
    assert result.stdout == result.stderr == "\\u041a\\u043e\\u0442\n"
