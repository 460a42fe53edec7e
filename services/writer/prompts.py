"""Prompts: files with a version in their names, and how a request fills them in.

`prompts/listing-1.toml` holds what the model is told (`system`), what it is given (`user`) and a temperature. The file
with the highest number is used; `start` events name it, so that a text can be traced to its prompt.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from string import Template

from services.writer.schemas import LANGUAGES, Answer, Length, Task, Tone, WriteRequest

NOTICE = "Draft written by a machine. Check every fact before you use it."

_WORDS = {Length.SHORT: 60, Length.MEDIUM: 120, Length.LONG: 220}
# A word of the languages offered takes a token or two; three leave room, and still end a model that goes on and on.
_TOKENS_PER_WORD = 3
# Tasks that keep the text's length: half a token a character is enough for every script but a few.
_SAME_LENGTH = (Task.FORMAT, Task.RESTYLE)
_LEAST_TOKENS = 128

_TONES = {
    Tone.FRIENDLY: "Tone: warm and friendly, in simple words.",
    Tone.FACTUAL: "Tone: factual and plain, without praise or exclamation marks.",
    Tone.PLAYFUL: "Tone: playful and light, with a little humour, never at the animal's expense.",
    Tone.FORMAL: "Tone: formal and polite.",
    Tone.HEARTFELT: "Tone: heartfelt, without pity and without exaggeration.",
}
_FIELDS = {"system": {"tone", "language", "length"}, "user": {"answer", "notes"}}

# What chat templates take for their own marks: llama.cpp reads them in the middle of a text too, and whoever wrote
# them into the notes would then speak as the system. Also the end of the notes, as the prompts mark it.
_MARKS = re.compile(
    r"<(?=\||/?(?:notes|s|bos|eos|think|start_of_turn|end_of_turn|start_of_image|im_start|im_end|system|unused\d+)\s*>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS)\])",
    re.IGNORECASE,
)
_HARMLESS = {"<": "‹", "[": "("}


class PromptError(ValueError):
    """A prompt file is missing or not understood; the message names it."""


@dataclass(frozen=True)
class Prompt:
    """One file of prompts/."""

    name: str
    system: Template
    user: Template
    temperature: float


@dataclass(frozen=True)
class Messages:
    """A request made ready for the engine."""

    prompt: str
    system: str
    user: str
    temperature: float
    max_tokens: int


def load(folder: Path) -> dict[Task, Prompt]:
    """The newest prompt of each task in `folder`.

    Raises:
        PromptError: a task has no prompt there, or a file is not understood.
    """
    newest: dict[str, tuple[int, Path]] = {}
    for path in folder.glob("*.toml"):
        if found := re.fullmatch(r"([a-z]+)-([1-9][0-9]{0,5})", path.stem):
            newest[found[1]] = max(newest.get(found[1], (0, path)), (int(found[2]), path))
    missing = [task.value for task in Task if task.value not in newest]
    if missing:
        raise PromptError(f"{folder} has no prompt for {', '.join(missing)}: {missing[0]}-1.toml is wanted.")
    return {task: _read(newest[task.value][1]) for task in Task}


def _read(path: Path) -> Prompt:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        system, user = Template(content["system"].strip()), Template(content["user"].strip())
        temperature = float(content["temperature"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PromptError(f"{path} cannot be read: {error}") from error
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise PromptError(f"{path} needs texts `system` and `user` and a number `temperature`.") from error
    for part, template in (("system", system), ("user", user)):
        if not template.is_valid() or set(template.get_identifiers()) - _FIELDS[part]:
            known = ", ".join(f"${name}" for name in sorted(_FIELDS[part]))
            raise PromptError(f"{path}: `{part}` may hold {known}, and $$ for a dollar sign.")
    if "notes" not in user.get_identifiers():
        raise PromptError(f"{path}: `user` must hold $notes.")
    return Prompt(path.stem, system, user, temperature)


def fill(prompt: Prompt, request: WriteRequest) -> Messages:
    """The messages for one request; its notes are in them once, and cannot end or imitate the prompt's own marks."""
    system = prompt.system.substitute(
        tone=_TONES[request.tone], language=_language(request), length=_length(request)
    )
    user = prompt.user.substitute(answer=_answer(request.answer), notes=harmless(request.notes))
    return Messages(prompt.name, system, user.strip(), prompt.temperature, max_tokens(request))


def harmless(text: str) -> str:
    """The text without anything that a chat template or the prompt would take for a mark of its own."""
    return _MARKS.sub(lambda mark: _HARMLESS[mark[0]], text)


def max_tokens(request: WriteRequest) -> int:
    """The most tokens that the engine may write for this request."""
    if request.task in _SAME_LENGTH:
        return max(_LEAST_TOKENS, len(request.notes) // 2 + _LEAST_TOKENS // 2)
    return _WORDS[request.length] * _TOKENS_PER_WORD


def _language(request: WriteRequest) -> str:
    if request.language is None:
        return "Language: write in the language of the notes."
    return f"Language: write in {LANGUAGES[request.language.value]}, whatever language the notes are in."


def _length(request: WriteRequest) -> str:
    if request.task in _SAME_LENGTH:
        return "Length: about as long as the text."
    return f"Length: about {_WORDS[request.length]} words, and less where the notes hold little."


def _answer(answer: Answer | None) -> str:
    if answer is None:
        return ""
    if not answer.recognized:
        return (
            "A classifier did not recognize what the photo shows. Say nothing about the kind of animal unless the "
            "notes do."
        )
    sure = "" if answer.confidence is None else f" ({answer.confidence:.0%} sure)"
    return (
        f"A classifier says that the photo shows: {harmless(answer.prediction)}{sure}. Where the notes say something "
        "else, the notes are right. Do not mention the classifier."
    )
