"""Checks of one text: facts kept, nothing invented, the right language, about the right length."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.writer.schemas import Task, WriteRequest

_WORDS = {"short": 60, "medium": 120, "long": 220}
# Words that hardly any text of the language does without, and other languages do not have.
_COMMON = {
    "en": "the and is a of to with his her for you at not",
    "de": "der die das und ist ein eine mit für nicht sie er zu",
    "fr": "le la les et est un une avec pour nous de ce vous",
}
# Share of the text's words (letters, for Arabic) that have to be of the language.
_LEAST_COMMON = 0.12
_LEAST_LETTERS = 0.8
# Digits of other scripts count as their value.
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)?")


@dataclass(frozen=True)
class Note:
    """A note of notes.toml."""

    name: str
    request: WriteRequest
    facts: tuple[str, ...]
    traps: tuple[str, ...]
    good: str


@dataclass
class Result:
    """What the checks found in one text."""

    lost: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    language: bool = True
    length: bool = True
    facts: int = 0

    @property
    def flawless(self) -> bool:
        return not self.lost and not self.invented and self.language and self.length


def load() -> list[Note]:
    """The ten notes."""
    content: dict[str, Any] = tomllib.loads(
        Path(__file__).with_name("notes.toml").read_text(encoding="utf-8")
    )
    own = {"name", "facts", "traps", "good"}
    return [
        Note(
            entry["name"],
            WriteRequest.model_validate({key: value for key, value in entry.items() if key not in own}),
            tuple(entry["facts"]),
            tuple(entry["traps"]),
            entry["good"],
        )
        for entry in content["note"]
    ]


def check(note: Note, text: str, complete: bool = True) -> Result:
    """Holds a text against its note; `complete` is false where it was cut off at the limit."""
    flags = re.IGNORECASE
    return Result(
        lost=[fact for fact in note.facts if not re.search(fact, text, flags)],
        invented=[found[0] for trap in note.traps if (found := re.search(trap, text, flags))]
        + _numbers(note, text),
        language=_in_language(note, text),
        length=complete and _length_fits(note, text),
        facts=len(note.facts),
    )


def _numbers(note: Note, text: str) -> list[str]:
    """Numbers of the text that are not in the notes: ages, prices and telephone numbers that nobody gave."""
    known = {_value(number) for number in _NUMBER.findall(note.request.notes)}
    # 15:30 may become half past three, written 3:30.
    known |= {
        _value(f"{int(hours) - 12}:{minutes}")
        for hours, minutes in re.findall(r"\b(1[3-9]|2[0-3]):(\d\d)", note.request.notes)
    }
    return [number for number in _NUMBER.findall(text) if _value(number) not in known]


def _value(number: str) -> str:
    return "".join(str(int(sign)) if sign.isdigit() else "." for sign in number)


def _in_language(note: Note, text: str) -> bool:
    language = (
        note.request.language.value
        if note.request.language
        else ("ar" if re.search("[؀-ۿ]", note.request.notes) else "en")
    )
    if language == "ar":
        letters = [sign for sign in text if sign.isalpha()]
        return bool(letters) and sum("؀" <= sign <= "ۿ" for sign in letters) / len(letters) >= _LEAST_LETTERS
    words = re.findall(r"[^\W\d_]+", text.lower())
    return (
        bool(words) and sum(word in _COMMON[language].split() for word in words) / len(words) >= _LEAST_COMMON
    )


def _length_fits(note: Note, text: str) -> bool:
    words = len(text.split())
    if note.request.task in (Task.FORMAT, Task.RESTYLE):
        asked = len(note.request.notes.split())
        return 0.6 * asked <= words <= 1.6 * asked
    asked = _WORDS[note.request.length.value]
    # Few notes make few words, which is better than inventing some.
    return asked / 4 <= words <= 1.5 * asked
