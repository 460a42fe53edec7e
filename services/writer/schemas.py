"""What a request may say. FastAPI makes the JSON schema of it; the prompts make words of it."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

MAX_NOTES = 4000
# Beside the notes a body holds a few short fields; a character of JSON takes up to 12 bytes (\ud83d\ude3a).
MAX_BODY_BYTES = 64_000

# Everything of C0 and C1 but tab and line ends: no text holds it, and terminals obey some of it.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

LANGUAGES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
Language = StrEnum("Language", {tag.upper(): tag for tag in LANGUAGES})  # type: ignore[misc]  # made of the table


class Task(StrEnum):
    """What to make of the notes."""

    LISTING = "listing"
    EMAIL = "email"
    FORMAT = "format"
    RESTYLE = "restyle"


class Tone(StrEnum):
    """How it should sound."""

    FRIENDLY = "friendly"
    FACTUAL = "factual"
    PLAYFUL = "playful"
    FORMAL = "formal"
    HEARTFELT = "heartfelt"


class Length(StrEnum):
    """About how many words: 60, 120, 220."""

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"


class Answer(BaseModel):
    """What /predict answered for the photo; its other fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    prediction: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=64),
        Field(description="The predicted label.", examples=["cat"]),
    ]
    confidence: Annotated[float, Field(ge=0, le=1, description="Of the prediction, 0 to 1.")] | None = None
    recognized: bool = Field(
        default=True, description="False where the photo looks like none of the classes."
    )

    @field_validator("prediction")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if _CONTROL.search(value) or "\n" in value:
            raise ValueError("one line of text is wanted")
        return value


class WriteRequest(BaseModel):
    """A text to write."""

    model_config = ConfigDict(extra="forbid")

    task: Task = Field(
        description="`listing`: an adoption text. `email`: an e-mail from key points. `format`: tidies a text and "
        "changes no fact. `restyle`: the same text in another tone."
    )
    notes: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NOTES),
        Field(
            description="The only source of facts, in any language.",
            examples=["Bella, 3 years, spayed, 4.2 kg, shy at first, loves windows"],
        ),
    ]
    answer: Answer | None = Field(default=None, description="What /predict answered for the photo, as it is.")
    tone: Tone = Field(default=Tone.FRIENDLY, description="Ignored by `format`, which keeps the text's own.")
    language: Language | None = Field(
        default=None,
        description="Language to write in; without it, the language of the notes.",
        examples=["en"],
    )
    length: Length = Field(
        default=Length.MEDIUM,
        description="About 60, 120 or 220 words; `format` and `restyle` stay as long as the notes.",
    )

    @field_validator("notes")
    @classmethod
    def _text_only(cls, value: str) -> str:
        value = value.replace("\r\n", "\n").replace("\r", "\n")
        if _CONTROL.search(value):
            raise ValueError("they hold characters that are no text; send plain text")
        return value
