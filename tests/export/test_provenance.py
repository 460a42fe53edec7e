"""The command in a model card can be read anywhere and says nothing of the machine where it was typed."""

from __future__ import annotations

import shlex

import pytest

from export.provenance import as_command


def words(*typed: str) -> list[str]:
    return shlex.split(as_command(list(typed)))[3:]


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("/home/alice/secret/photos", "photos"), ("/home/alice/photos/", "photos"), ("../../bob/n", "n"),
        ("photos/../../bob/n", "n"), ("C:\\Users\\bob\\neg", "neg"), ("C:/Users/bob/neg", "neg"), ("..\\n", "n"),
        ("\\\\server\\share\\neg", "neg"), ("~bob/neg", "neg"), ("~bob", "photos"), ("/", "photos"),
        ("..", "photos"), ("C:\\", "photos"), (".", "."), ("photos", "photos"), ("photos/a b", "photos/a b"),
    ],
)  # fmt: skip
def test_a_path_outside_the_working_directory_is_reduced_to_its_last_part(word: str, kept: str) -> None:
    assert words("train", word) == ["train", kept]
    assert words("train", "--neither", word) == ["train", "--neither", kept]
    assert words("train", f"--neither={word}") == ["train", f"--neither={kept}"]


@pytest.mark.parametrize("option", ["--cache", "--cach", "--c"])
def test_the_cache_option_is_left_out_of_the_kept_command_however_it_was_typed(option: str) -> None:
    assert words("train", "p", option, "/home/alice/c", "--publish") == ["train", "p", "--publish"]
    assert words("train", "p", f"{option}=/home/alice/c", "--publish") == ["train", "p", "--publish"]
    assert words("train", "p", option) == ["train", "p"]


@pytest.mark.parametrize("option", ["--note", "--no", "--n"])
def test_a_note_stays_as_it_was_typed(option: str) -> None:
    note = "/etc/passwd is fine"
    assert words("publish", option, note, "--run", "/r/x") == ["publish", option, note, "--run", "x"]
    assert words("publish", f"{option}={note}") == ["publish", f"{option}={note}"]
    assert words("publish", option) == ["publish", option]


def test_an_abbreviated_neither_is_not_taken_for_note() -> None:
    assert words("train", "p", "--n", "/home/alice/n") == ["train", "p", "--n", "n"]


def test_a_name_that_is_not_utf8_can_be_written() -> None:
    typed = as_command(["train", "/home/alice/\udcff\udcfe", "--out=r\udcff"])
    assert typed.encode("utf-8")
    assert "udcfe" in typed
    assert "alice" not in typed
