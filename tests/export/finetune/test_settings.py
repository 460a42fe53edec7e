"""The [finetune] table of a recipe: understood, or refused with what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from export import recipe
from export.finetune.network import ARCHITECTURES
from export.finetune.settings import Settings, read
from export.recipe import RecipeError


def test_the_recipes_of_this_repository_that_train_a_network_are_valid() -> None:
    tables = {name: recipe.load(name).finetune for name in recipe.names()}
    found = {name: read(table) for name, table in tables.items() if table}
    assert set(found) >= {"finetune", "scratch"}
    assert found["finetune"].network == ""
    assert found["scratch"].network in ARCHITECTURES


def test_missing_settings_have_their_defaults() -> None:
    assert read({}) == Settings()
    assert read({"learning_rate": 1}).learning_rate == 1.0


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"ema": 0.9}, r"not known: ema\. Known are .*ema_decay"),
        ({"network": "resnet50"}, "network must be empty or one of compact"),
        ({"unfreeze": "some"}, 'unfreeze must be "all" or a number'),
        ({"unfreeze": 0}, "unfreeze"),
        ({"unfreeze": True}, "unfreeze"),
        ({"norm": "group"}, "norm must be"),
        ({"sizes": "128:8"}, r"sizes must be pairs .* like \[\[128, 8\]"),
        ({"sizes": []}, "sizes must be pairs"),
        ({"sizes": [[128, 8, 1]]}, "sizes must be pairs"),
        ({"sizes": [[128.5, 8]]}, "sizes must be pairs"),
        ({"sizes": [[16, 8]]}, "sizes must be even numbers of at least 32"),
        ({"sizes": [[128, 0]]}, "at least one epoch"),
        ({"batch_size": 0}, "batch_size must be above 0"),
        ({"batch_size": 1.5}, "batch_size must be a whole number"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"learning_rate": -1}, "learning_rate must be at least 0"),
        ({"ema_decay": 1}, "ema_decay must be at least 0 and below 1"),
        ({"crop_scale": 0}, "crop_scale must be above 0"),
        ({"served_size": 31}, "served_size must be 0 or an even number"),
        ({"balance": 1.5}, "balance must be from 0 to 1"),
        ({"scenes": "rooms"}, "scenes must be a list"),
        ({"zoom_out": 0.2}, "scenes must be named where zoom_out is above 0"),
        ({"zoom_out": 1, "scenes": ["rooms"]}, "zoom_out must be at least 0 and below 1"),
        ({"start_from": 7}, "start_from must be text"),
        ({"pretrained_share": 1}, "pretrained_share must be at least 0 and below 1"),
        ({"pretrained_share": 0.4, "network": "tiny"}, "pretrained_share must be 0 where the network starts"),
        ({"colour": float("nan")}, "colour"),
    ],
)
def test_an_unknown_setting_is_refused_with_a_clear_error(table: dict[str, Any], why: str) -> None:
    with pytest.raises(RecipeError, match=why):
        read(table)


def test_the_schedule_names_the_size_of_each_epoch() -> None:
    settings = read({"sizes": [[80, 2], [112, 1]]})
    assert [settings.size_at(epoch) for epoch in range(settings.epochs)] == [80, 80, 112]
    assert (settings.input_size, settings.stored_size) == (112, 128)
    with pytest.raises(ValueError, match="past the end"):
        settings.size_at(3)


def test_the_served_size_is_the_last_one_unless_another_is_named() -> None:
    assert read({"sizes": [[80, 2], [112, 1]]}).input_size == 112
    assert read({"sizes": [[80, 2], [112, 1]], "served_size": 144}).input_size == 144
