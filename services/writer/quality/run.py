"""Writes the ten texts with each model, checks them and prints a table: which models are fit for the job."""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from services.writer.engine import Engine
from services.writer.errors import WriterError
from services.writer.job import Writer
from services.writer.quality.checks import Note, Result, check, load
from services.writer.settings import Settings

# Of ten texts: a volunteer reads each, but must not have to repair most of them.
_FACTS = 0.95
_MOST_WITH_INVENTIONS = 1
_LEAST_IN_LANGUAGE = 10
_LEAST_OF_LENGTH = 8


@dataclass
class Written:
    """One text and what the checks found."""

    note: str
    text: str
    seconds: float
    result: Result


@dataclass(frozen=True)
class Row:
    """A model's line of the table; counts are of ten texts."""

    model: str
    facts: float
    with_inventions: int
    in_language: int
    of_length: int
    flawless: int
    seconds: float

    @property
    def fit(self) -> bool:
        return (
            self.facts >= _FACTS
            and self.with_inventions <= _MOST_WITH_INVENTIONS
            and self.in_language >= _LEAST_IN_LANGUAGE
            and self.of_length >= _LEAST_OF_LENGTH
        )


def summary(model: str, written: list[Written]) -> Row:
    """The line of a model from all its texts."""
    results = [one.result for one in written]
    asked = sum(result.facts for result in results)
    return Row(
        model,
        1 - sum(len(result.lost) for result in results) / asked,
        sum(bool(result.invented) for result in results),
        sum(result.language for result in results),
        sum(result.length for result in results),
        sum(result.flawless for result in results),
        sorted(one.seconds for one in written)[len(written) // 2],
    )


def run(settings: Settings, models: list[str], json_path: Path | None, show: bool) -> int:
    """Measures these models; returns 0 if one is fit, 1 if none is or the engine failed."""
    rows: list[Row] = []
    details: dict[str, Any] = {}
    for model in models:
        try:
            written = asyncio.run(
                _write_all(replace(settings, llm_model=model, llm_seed=settings.llm_seed or 1), show)
            )
        except WriterError as error:
            print(f"error: {model}: {error.detail}", file=sys.stderr)
            continue
        rows.append(summary(model, written))
        details[model] = {**asdict(rows[-1]), "fit": rows[-1].fit, "texts": [asdict(one) for one in written]}
    if not rows:
        return 1
    print(table(rows))
    if json_path:
        json_path.write_text(json.dumps(details, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return 0 if any(row.fit for row in rows) else 1


async def _write_all(settings: Settings, show: bool) -> list[Written]:
    engine = Engine(settings)
    writer = Writer(settings, engine)
    written = []
    try:
        notes = load()
        for number, note in enumerate(notes, 1):
            print(f"{settings.llm_model}: {number} of {len(notes)}, {note.name}", file=sys.stderr, flush=True)
            written.append(await _write_one(writer, note))
            if show:
                _show(written[-1])
    finally:
        await engine.aclose()
    return written


async def _write_one(writer: Writer, note: Note) -> Written:
    pieces: list[str] = []
    reasons: list[str] = []

    async def emit(name: str, data: dict[str, Any]) -> None:
        if name == "delta":
            pieces.append(data["text"])
        elif name == "done":
            reasons.append(data["finish_reason"])

    began = monotonic()
    await writer.write(note.request, emit, {})
    text = "".join(pieces)
    return Written(note.name, text, monotonic() - began, check(note, text, reasons == ["stop"]))


def _show(written: Written) -> None:
    result = written.result
    wrong = [f"lost: {', '.join(result.lost)}"] if result.lost else []
    wrong += [f"invented: {', '.join(result.invented)}"] if result.invented else []
    wrong += [] if result.language else ["wrong language"]
    wrong += [] if result.length else ["wrong length"]
    print(f"\n--- {written.note}: {'; '.join(wrong) or 'flawless'}\n{written.text}\n", flush=True)


def table(rows: list[Row]) -> str:
    """The table, as Markdown that a terminal shows well."""
    head = (
        "model",
        "facts kept",
        "with inventions",
        "in the language",
        "of the length",
        "flawless",
        "median s",
        "fit",
    )
    lines = [
        (
            row.model,
            f"{row.facts:.0%}",
            f"{row.with_inventions} of 10",
            f"{row.in_language} of 10",
            f"{row.of_length} of 10",
            f"{row.flawless} of 10",
            f"{row.seconds:.1f}",
            "yes" if row.fit else "no",
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in [head, rule, *lines]
    )
