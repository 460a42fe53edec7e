"""A recipe is understood whole or refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from export import recipe


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("body", "5"), ("body", "' '"), ("name", "5"), ("about", "[]"), ("few", "'x'"), ("few", "-1"),
        ("few", "true"), ("folds", "2.5"), ("folds", "1000"), ("folds", "1"), ("folds", "true"), ("c", "inf"),
        ("c", "nan"), ("c", "true"), ("c", "0"), ("c", "-1.0"), ("c", "'much'"), ("c", "1" + "0" * 400),
        ("views", "['whole', 'whole']"), ("views", "'whole'"), ("views", "[]"), ("views", "[['whole']]"),
        ("views", "['whole', 'upside down']"), ("finetune", "3"),
    ],
)  # fmt: skip
def test_a_setting_with_a_wrong_type_or_value_is_refused_by_name(
    tmp_path: Path, setting: str, value: str
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{setting} = {value}\n", encoding="utf-8")
    with pytest.raises(recipe.RecipeError, match=rf"has {setting} = .*; it is a "):
        recipe.load(str(path))


def test_valid_settings_are_read_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("views = ['whole', 'zoomed']\nfew = 0\nc = 3\nfolds = 20\n", encoding="utf-8")
    loaded = recipe.load(str(path))
    assert (loaded.name, loaded.views, loaded.few, loaded.c, loaded.folds) == (
        "mine", ("whole", "zoomed"), 0, 3, 20,
    )  # fmt: skip


def test_every_setting_has_a_rule() -> None:
    assert recipe._RULES.keys() == recipe.Recipe.__dataclass_fields__.keys()
