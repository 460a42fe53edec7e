"""Labels as people read them, in sentences that stay short."""

import pytest

from api._labels import NAMED_AT_MOST, NAMED_CHARACTERS, either, purpose, shown


@pytest.mark.parametrize(
    ("label", "text"),
    [("Car_side", "Car side"), ("a__b \t_c", "a b c"), ("_a_", "a"), ("__", "__"), ("7", "7"), (" ", " ")],
)
def test_a_label_is_shown_with_blanks_for_its_underscores(label: str, text: str) -> None:
    assert shown(label) == text


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["cat"], "cat"), (["cat", "dog"], "cat or dog"), (["a_b", "c", "d"], "a b, c, or d"),
        (["a"] * NAMED_AT_MOST, "a, a, a, a, or a"), (["a"] * (NAMED_AT_MOST + 1), None),
        (["a" * (NAMED_CHARACTERS - 1), "b"], f"{'a' * (NAMED_CHARACTERS - 1)} or b"),
        (["a" * NAMED_CHARACTERS, "b"], None),
    ],
)  # fmt: skip
def test_a_few_short_labels_are_named(labels: list[str], text: str | None) -> None:
    assert either(labels) == text


def test_the_purpose_names_the_labels_or_counts_them() -> None:
    assert purpose([]) == "classifies photos"
    assert purpose(["cat", "dog"]) == "classifies photos: cat or dog"
    assert purpose(["a"] * 37) == "classifies photos into 37 classes"
