"""A recipe: everything apart from the photos that determines the model. One file, one result."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export import head
from export.body.extract import VIEWS
from export.errors import ExportError
from export.files import printable

FOLDER = Path(__file__).parent / "recipes"
DEFAULT = "lite0"
FOLDS = (2, 20)
MOST_C = 1e6


class RecipeError(ExportError):
    """The recipe is missing or invalid."""


@dataclass(frozen=True)
class Recipe:
    """What a file in export/recipes says.

    Attributes:
        body: the name of a body in model/bodies; a network that is trained starts from it.
        views: how each training photo is shown (export/body/extract.py), the unchanged photo first.
        few: with at most this many training photos, each is shown in every view instead.
        c: inverse strength of the head's weight decay.
        folds: how many the cross-validation has that chooses temperature and threshold.
        finetune: settings of a network to train before the head is fitted (export/finetune); empty for none.
    """

    name: str = DEFAULT
    about: str = ""
    body: str = "lite0"
    views: tuple[str, ...] = VIEWS[:2]
    few: int = 400
    c: float = head.C
    folds: int = 4
    finetune: dict[str, Any] = field(default_factory=dict)

    def views_for(self, photos: int) -> tuple[str, ...]:
        """The views of each photo when there are this many training photos."""
        return VIEWS if photos <= self.few and len(self.views) > 1 else self.views


def names() -> list[str]:
    """The recipes of this repository."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Recipe:
    """The recipe with this name, or the one in the file at this path. Raises RecipeError."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise RecipeError(f"There is no recipe {printable(name)}; there are {', '.join(names())}.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"The recipe {printable(path)} cannot be read: {reason}") from error
    if unknown := values.keys() - Recipe.__dataclass_fields__.keys():
        raise RecipeError(
            f"The recipe {printable(path)} has settings that are not known: {', '.join(sorted(unknown))}."
        )
    for setting, value in values.items():
        sound, wanted = _RULES[setting]
        if not sound(value):
            raise RecipeError(f"The recipe {printable(path)} has {setting} = {value!r}; it is {wanted}.")
    values.setdefault("name", printable(path.stem))
    return Recipe(**{**values, "views": tuple(values.get("views", VIEWS[:2]))})


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _views(value: Any) -> bool:
    if not isinstance(value, list) or not all(view in VIEWS for view in value):
        return False
    return value[:1] == [VIEWS[0]] and len(set(value)) == len(value)


# For each setting: a check of its value, and a description for the error.
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_text, "a text that is not empty"),
    "about": (lambda value: isinstance(value, str), "a text"),
    "body": (_text, "a text that is not empty"),
    "views": (_views, f"a list that must begin with {VIEWS[0]!r}, of different ones of {', '.join(VIEWS)}"),
    "few": (lambda value: _whole(value) and value >= 0, "a whole number, 0 or more"),
    "c": (
        lambda value: (_whole(value) or isinstance(value, float)) and 0 < value <= MOST_C,
        f"a number above 0, at most {MOST_C:,.0f}",
    ),
    "folds": (
        lambda value: _whole(value) and FOLDS[0] <= value <= FOLDS[1],
        f"a whole number from {FOLDS[0]} to {FOLDS[1]}",
    ),
    "finetune": (lambda value: isinstance(value, dict), "a table, [finetune]"),
}
