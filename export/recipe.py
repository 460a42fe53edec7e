"""A recipe: everything that decides what a model becomes, beside the photos. One file, one result."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export import head
from export.body.extract import VIEWS
from export.errors import ExportError
from export.files import printable

FOLDER = Path(__file__).parent / "recipes"
DEFAULT = "lite0"


class RecipeError(ExportError):
    """The recipe is missing or not understood."""


@dataclass(frozen=True)
class Recipe:
    """What a file in export/recipes says.

    Attributes:
        body: the name of a body in model/bodies; what a network that is trained starts from.
        views: how each training photo is shown, as it is at first (export/body/extract.py).
        few: up to so many training photos, each is shown in every way instead.
        c: inverse strength of the head's weight decay.
        folds: of the cross-validation that chooses temperature and threshold.
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
        """The views of each of so many training photos."""
        return VIEWS if photos <= self.few and len(self.views) > 1 else self.views


def names() -> list[str]:
    """The recipes of this repository."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Recipe:
    """The recipe of this name, or in the file of this path. Raises RecipeError."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise RecipeError(f"There is no recipe {printable(name)}; there are {', '.join(names())}.") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"The recipe {printable(path)} cannot be read: {error}") from error
    if unknown := values.keys() - Recipe.__dataclass_fields__.keys():
        raise RecipeError(
            f"The recipe {printable(path)} has settings that are not known: {', '.join(unknown)}."
        )
    values.setdefault("name", path.stem)
    try:
        recipe = Recipe(**{**values, "views": tuple(values.get("views", VIEWS[:2]))})
        sound = recipe.c > 0 and recipe.folds >= 2 and isinstance(recipe.finetune, dict)
    except TypeError:
        sound = False
    if not sound:
        raise RecipeError(
            f"The recipe {printable(path)} has a setting of the wrong kind; compare {DEFAULT}.toml."
        )
    if not recipe.views or recipe.views[0] != VIEWS[0] or not set(recipe.views) <= set(VIEWS):
        raise RecipeError(f"The recipe's views must begin with {VIEWS[0]!r} and be among {', '.join(VIEWS)}.")
    return recipe
