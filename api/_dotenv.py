"""The `.env` file, read so strictly that nothing in it is ignored by mistake.

A line that nobody understands may be the one that names the API keys, and a service that starts without them is open to
everybody. So whatever is unclear stops the start. No message quotes the file: it holds secrets.
"""

import codecs
import difflib
import io
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import Variable, parse_variables

# How like a setting's name another must be to count as a misspelling of it, from 0 to 1: API_KEY is, WEB_PORT is not.
_ALIKE = 0.85
_SHORTEST_ALIKE = 6


class DotenvError(ValueError):
    """The file cannot be used; the message says which line, and quotes nothing of it."""


def read_dotenv(path: Path, settings: Collection[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that the file sets, with `${NAME}` in their values replaced.

    Args:
        settings: the names of Purrdict's own variables; other programs may have theirs in the same file.
        environment: what `${NAME}` may refer to, beside the lines above it.

    Raises:
        DotenvError: the file cannot be read or is no UTF-8, or a line cannot be understood.
    """
    values: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(_text(path))):
        name, where = binding.key, f"{path.name}, line {_line(binding)}"
        if binding.error or (name is not None and binding.value is None):
            raise DotenvError(
                f"{where}: not understood. Write NAME=value, a text with quotes in one pair of them."
            )
        if name is None or binding.value is None:
            continue  # a comment, an empty line
        if meant := _meant(name, settings):
            raise DotenvError(f"{where}: {name} is no setting. Did you mean {meant}?".replace("\u200b", ""))
        value = _filled_in(binding.value, {**values, **environment}, where if name in settings else None)
        if name in settings and values.get(name, value) != value:
            raise DotenvError(
                f"{where}: {name} stands there a second time, with another value. Keep one of them."
            )
        values[name] = value
    return values


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DotenvError(
            f"{path.name} cannot be read: {error.strerror}. Repair it, or take it away."
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = (
            "UTF-16, as PowerShell writes it,"
            if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            else "not"
        )
        raise DotenvError(f"{path.name} is {kind} UTF-8. Save it again, as UTF-8.") from error
    if "\0" in text:
        raise DotenvError(f"{path.name} has NUL bytes in it, like UTF-16 has. Save it again, as UTF-8.")
    return text


def _line(binding: Binding) -> int:
    # Empty lines and comments in front of it count as part of it.
    text = binding.original.string
    before = text[: len(text) - len(text.lstrip())]
    return binding.original.line + len(re.findall(r"\r\n|\n|\r", before))


def _meant(name: str, settings: Collection[str]) -> str | None:
    """The setting that this name is a misspelling of."""
    if name in settings:
        return None
    plain = {_plain(setting): setting for setting in settings}
    for word in re.findall(r"[\w\u200b-]+", name):
        if _plain(word) in plain:
            return plain[_plain(word)]
    if len(_plain(name)) < _SHORTEST_ALIKE:
        return None
    near = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=_ALIKE)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z]", "", name.upper())


def _filled_in(value: str, known: Mapping[str, str], where: str | None) -> str:
    """The value with its `${NAME}` replaced; with `where`, a name that is not set is an error."""
    atoms = list(parse_variables(value))
    for atom in atoms:
        if where and isinstance(atom, Variable) and atom.default is None and atom.name not in known:
            raise DotenvError(f"{where}: it refers to ${{{atom.name}}}, which is not set.")
    return "".join(atom.resolve(known) for atom in atoms)
