"""The quality suite: its checks pass good texts and find what is wrong with bad ones."""

import asyncio

import pytest

from services.writer.quality.checks import Note, check, load
from services.writer.quality.run import Row, Written, summary, table
from services.writer.schemas import Task
from tests.services.writer.conftest import Call, in_loop, service
from tests.services.writer.test_commands import run_command

NOTES = {note.name: note for note in load()}


def test_there_are_ten_notes_for_all_tasks_and_several_languages() -> None:
    assert len(NOTES) == 10
    assert {note.request.task for note in NOTES.values()} == set(Task)
    assert {note.request.language for note in NOTES.values()} >= {None, "de", "fr"}


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_a_good_text_by_a_person_is_flawless(note: Note) -> None:
    assert check(note, note.good).flawless, check(note, note.good)


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_the_notes_themselves_are_caught_where_they_hold_a_trap_or_lose_nothing(note: Note) -> None:
    # What the notes say cannot be called invented, but where the task forbids it.
    allowed = {"other tone", "told to do something else"}
    assert not check(note, note.request.notes).invented or note.name in allowed


@pytest.mark.parametrize(
    ("name", "old", "new", "lost", "invented"),
    [
        ("cat", "Bella", "Stella", ["Bella"], []),
        ("cat", "three", "five", [r"\b(3|three)\b"], []),
        ("cat", "4.2 kg", "4.2 kg, 7 years old and vaccinated", [], ["vaccinat", "7"]),
        ("deaf dog", "He is deaf", "He hears well", ["deaf"], []),
        ("in German", "Luna ist", "Luna ist geimpft und", [], ["geimpft"]),
        ("in Arabic", "هادئ", "هادئ ومطعم", [], ["مطعم"]),
        ("appointment", "15:30", "16:30", ["15:30|3:30"], ["16:30"]),
        ("appointment", "at 15:30", "at 3:30", [], []),
        ("appointment", "Lena", "[your name]", ["Lena"], ["["]),
        ("photo and notes disagree", "rabbit", "dog", ["rabbit|bunny"], ["dog"]),
        ("tidying", "room 6", "room 8", ["room 6"], []),
    ],
)
def test_a_changed_fact_is_found(name: str, old: str, new: str, lost: list[str], invented: list[str]) -> None:
    note = NOTES[name]
    assert old in note.good
    result = check(note, note.good.replace(old, new))
    assert (result.lost, result.invented) == (lost, invented)


@pytest.mark.parametrize(
    ("name", "other"),
    [("cat", "in German"), ("in German", "cat"), ("in Arabic", "cat"), ("e-mail in French", "cat")],
)
def test_a_text_in_another_language_is_found(name: str, other: str) -> None:
    assert not check(NOTES[name], NOTES[other].good).language


def test_a_text_that_is_too_long_too_short_or_cut_off_is_found() -> None:
    note = NOTES["cat"]
    assert not check(note, note.good * 5).length
    assert not check(note, "Bella is a cat.").length
    assert not check(note, note.good, complete=False).length
    assert not check(NOTES["tidying"], "Rocky").length


def written(note: Note, text: str, seconds: float = 1.0) -> Written:
    return Written(note.name, text, seconds, check(note, text))


def test_a_model_is_fit_when_a_person_could_use_nearly_all_its_texts() -> None:
    texts = [written(note, note.good, seconds) for seconds, note in enumerate(NOTES.values())]
    row = summary("person", texts)
    assert row == Row("person", 1.0, 0, 10, 10, 10, 5.0)
    assert row.fit
    vaccinated = [written(note, f"{note.good} 99 vaccinated") for note in list(NOTES.values())[:2]]
    assert not summary("inventor", vaccinated + texts[2:]).fit
    assert not summary("parrot", [written(note, "Bella is a cat.") for note in NOTES.values()]).fit


def test_the_table_has_a_line_for_each_model() -> None:
    lines = table([Row("a", 0.96, 1, 10, 9, 6, 2.5), Row("a-longer-name", 0.4, 7, 9, 3, 0, 0.5)]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["a", "a-longer-name"]
    assert lines[2].rstrip(" |").endswith("yes")
    assert lines[3].rstrip(" |").endswith("no")


@in_loop
async def test_the_command_measures_a_model_of_the_engine() -> None:
    async def parrots(call: Call) -> None:
        await call.say("Bella is a cat.")

    async with service(parrots) as (_, engine):
        address = engine.address
        result = await asyncio.to_thread(
            run_command, "quality", "--show", LLM_URL=address, LLM_MODEL="test-model"
        )
        assert len(engine.calls) == 10
    assert result.returncode == 1
    assert "| test-model |" in result.stdout
    assert result.stdout.splitlines()[-1].rstrip(" |").endswith("no")
    assert "lost: spayed" in result.stdout.replace(r"\b(3|three)\b, ", "")
