"""The model card, from metadata that was written by hand: every part that there may be, and none that there is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from export.measure import tables
from export.publish import card

NEEDS_NO_BODY = True

FIGURES = {
    "photos": 1_200, "accuracy": 0.9, "accuracy_interval": [0.8, 0.95], "wrongly_unrecognized": 0.015,
    "per_class": {
        "cat": {"photos": 700, "precision": 0.91, "recall": 0.92},
        "dog": {"photos": 500, "precision": 0.93, "recall": 0.94},
    },
}  # fmt: skip


def described(**changes: Any) -> dict[str, Any]:
    training = {
        "command": "python -m export train photos", "publish_command": "python -m export publish", "commit": "abc123",
        "hardware": "a computer", "seconds": 61.4, "cpu_seconds": 100.6, "note": "",
        "classes": {name: {"train": 1_500, "val": 20, "test": 1_200} for name in ("cat", "dog")},
        "recipe": {"name": "lite0", "views": ["whole", "mirrored"], "c": 10.0, "folds": 5, "finetune": {}},
    }  # fmt: skip
    training |= changes.pop("training", {})
    return {
        "version": "1.2.0", "labels": ["cat", "dog", "a|b"], "architecture": "lite0 and a head",
        "parameters": 3_400_000, "input_size": 224, "temperature": 1.25, "chosen_on": "val",
        "thresholds": {"recognized": 0.5}, "latency_ms": 3.44, "created": "2026-11-26T06:00:00Z",
        "body": {"name": "lite0"},
        "weights": {"bytes": 3_800_000, "precision": "int8", "opset": 18, "sha256": "f00"},
        "metrics": {"test": FIGURES}, "training": training, **changes,
    }  # fmt: skip


def sections(metadata: dict[str, Any], folder: Path) -> dict[str, str]:
    """Heading → what stands below it."""
    text = card.write(metadata, folder)
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    parts = ("\n" + text).split("\n#")
    return {part.partition("\n")[0].lstrip("# "): part.partition("\n")[2].strip() for part in parts[1:]}


def test_the_card_of_a_plain_version(tmp_path: Path) -> None:
    found = sections(described(), tmp_path)
    assert list(found) == ["Purrdict 1.2.0", "Figures", "Training", "Limits", "Licence"]
    head = found["Purrdict 1.2.0"]
    assert head.startswith(
        "Tells apart cat, dog and a\\|b, and says when a photo shows none of them.\n\n| | |\n| --- | --- |"
    )
    for line in (
        "parameters | 3,400,000", "weights | 3.80 MB, int8, ONNX opset 18", "temperature | 1.250, chosen on val",
        "one photo on one thread | 3.4 ms on a computer", "published | 2026-11-26T06:00:00Z",
    ):  # fmt: skip
        assert f"| {line} |" in head
    figures = found["Figures"]
    assert figures.startswith(
        "On the test photos, through the code that serves them. Nothing was chosen on them.\n\n| figure"
    )
    assert tables.figures(FIGURES) in figures
    assert figures.endswith(tables.per_class(FIGURES))
    assert found["Licence"].startswith("The weights were trained on the photos above and on nothing else")


def test_training_is_told_with_its_photos_recipe_and_commands(tmp_path: Path) -> None:
    plain = sections(described(), tmp_path)["Training"]
    rows = [
        ("class", "train", "val", "test"),
        ("cat", "1,500", "20", "1,200"),
        ("dog", "1,500", "20", "1,200"),
    ]
    assert plain == "\n".join(
        [
            tables.aligned(rows),
            "",
            "- The body, lite0, was left as it is; only a head was fitted.",
            "- Recipe `lite0`: multinomial logistic regression, C = 10; photos shown whole and mirrored.",
            "- 61 seconds, 101 of CPU time, on a computer.",
            "- Commit `abc123`.",
            "",
            "```",
            "python -m export train photos",
            "python -m export publish",
            "```",
        ]
    )
    more = {
        "note": "More *dogs*.", "commit": None, "command": "one `two`\nthree", "publish_command": "",
        "recipe": {"name": "wild", "views": ["whole"], "c": 1.5, "folds": 5, "finetune": {"seed": 1}},
    }  # fmt: skip
    trained = sections(described(training=more, negatives={"used": 3_000, "left_out": 12}), tmp_path)[
        "Training"
    ]
    assert (
        "- The network was trained on these photos first, and then a head was fitted on its features. Beside these "
        "photos the head saw the features of 3,000 photos of other things that the body brings along (less 12 that "
        "look like one of the classes); each of them counts a tenth.\n"
    ) in trained
    assert "- Commit `unknown`.\n- More \\*dogs\\*.\n\n```\none 'two' three\n```" in trained
    assert "C = 1.5; photos shown whole." in trained


def test_a_command_that_did_both_stands_there_once(tmp_path: Path) -> None:
    same = {"command": "python3 dev.py train photos", "publish_command": "python3 dev.py train photos"}
    assert sections(described(training=same), tmp_path)["Training"].endswith(
        "```\npython3 dev.py train photos\n```"
    )


@pytest.mark.parametrize(
    ("count", "named"),
    [(12, "c00, c01, c02, c03, c04, c05, c06, c07, c08, c09, c10 and c11"), (13, "13 classes")],
)
def test_many_classes_are_counted(tmp_path: Path, count: int, named: str) -> None:
    labels = [f"c{number:02}" for number in range(count)]
    assert f"Tells apart {named}, and says" in card.write(described(labels=labels), tmp_path)


@pytest.mark.parametrize("count", [tables.MOST_ROWS, tables.MOST_ROWS + 2])
def test_of_very_many_classes_the_first_are_listed(tmp_path: Path, count: int) -> None:
    classes = {f"c{number:02}": {"train": 10 + number, "val": 1, "test": 1} for number in range(count)}
    found = sections(described(training={"classes": classes}), tmp_path)
    assert found["Training"].count("\n| c") == tables.MOST_ROWS
    assert ("\n\nand 2 more classes.\n" in found["Training"]) is (count > tables.MOST_ROWS)
    assert f"in 10 to {9 + count} photos of each" in found["Limits"].replace("\n", " ")


def test_where_all_classes_have_as_many_photos_one_number_says_so(tmp_path: Path) -> None:
    assert (
        "It knows these classes as they look in 1,500 photos of each."
        in sections(described(), tmp_path)["Limits"]
    )


def test_where_the_figures_come_from_is_said(tmp_path: Path) -> None:
    crossed = "By 5-fold cross-validation: each photo was judged by a head that was fitted without it"
    both = sections(
        described(metrics={"test": FIGURES, "cross_validation": FIGURES | {"photos": 77}}), tmp_path
    )
    assert list(both)[1:3] == ["Figures", "Cross-validation"]
    assert both["Cross-validation"].startswith(crossed)
    assert "| 77 " in both["Cross-validation"]
    assert "cross-validation" not in both["Figures"]
    alone = sections(
        described(metrics={"cross_validation": FIGURES}, negatives={"left_out": 1_234}), tmp_path
    )
    assert alone["Figures"].startswith(f"Test photos were not used, or there were too few. {crossed}")
    assert (
        "brings along (less 1,234 that look like one of the classes), and any that were given."
        in alone["Figures"]
    )
    assert "Cross-validation" not in alone
    val = sections(described(metrics={"val": FIGURES, "cross_validation": FIGURES}), tmp_path)
    assert "Test photos were not used" in val["Figures"]
    assert "(less" not in val["Figures"], "none were left out"
    val = sections(described(metrics={"val": FIGURES}), tmp_path)
    assert val["Figures"].startswith("On val. Temperature and threshold were chosen on the same photos")


def test_kinds_and_sources_have_tables_where_photos_have_them(tmp_path: Path) -> None:
    source = {"source": "a|phone", "photos": 5, "accuracy": 0.5, "accuracy_interval": [0.1, 0.9],
              "wrongly_unrecognized": 0.1, "expected_calibration_error": 0.2}  # fmt: skip
    kind = {"class": "cat", "kind": "black", "photos": 5, "right": 0.5, "unrecognized": 0.25}
    figures = FIGURES | {"by_source": [source], "by_kind": [kind]}
    found = sections(described(metrics={"test": figures}), tmp_path)
    assert list(found)[1:5] == [
        "Figures", "By where the photos come from, the least accurate first", "All together",
        "By kind of photo, the worst first",
    ]  # fmt: skip
    assert found["By where the photos come from, the least accurate first"] == tables.sources([source])
    assert tables.figures(figures) in found["All together"]
    assert found["By kind of photo, the worst first"] == tables.kinds([kind])


def test_problems_are_not_hidden(tmp_path: Path) -> None:
    found = sections(described(problems=["it is poor", "it is *bad*"]), tmp_path)
    assert found["Published all the same"] == "- it is poor.\n- it is \\*bad\\*."


def test_what_painting_the_heatmap_over_does_is_told(tmp_path: Path) -> None:
    masking = {"hot": {"changed": 0.5, "confidence": 0.25}, "cold": {"changed": 0.015, "confidence": 0.75}}
    found = sections(described(masking=masking), tmp_path)["Is the heatmap about what the answer is about?"]
    rows = [
        ("painted over", "answers changed or unrecognized", "probability left to the true label"),
        ("the hottest quarter", "50.0%", "25.0%"),
        ("the coldest quarter", "1.5%", "75.0%"),
    ]
    assert found.endswith(f"its mean colour.\n\n{tables.aligned(rows)}")


def run(seed: int, same: bool, accuracy: float, name: str = "wild") -> dict[str, Any]:
    return {
        "recipe": name, "seed": seed, "same_recipe": same, "photos": 9_000,
        "sources": {"phone": {"accuracy": accuracy, "unrecognized": accuracy / 10}},
        "neither_unrecognized": accuracy - 0.1, "latency_ms": 10 * accuracy, "bytes": 4_000_000 * accuracy,
        "seconds": 600 * accuracy,
    }  # fmt: skip


HEADING = (
    "run",
    "phone: accuracy, unrecognized",
    "other things unrecognized",
    "one photo",
    "file",
    "training",
)


def test_runs_with_other_seeds_have_a_mean_and_a_deviation(tmp_path: Path) -> None:
    found = sections(described(runs=[run(3, True, 0.9), run(4, True, 0.8)]), tmp_path)
    rows = [
        HEADING,
        ("seed 3", "90.00%, 9.00%", "80.00%", "9.0 ms", "3.60 MB", "9.0 min"),
        ("seed 4", "80.00%, 8.00%", "70.00%", "8.0 ms", "3.20 MB", "8.0 min"),
        ("mean", "85.00%, 8.50%", "75.00%", "8.5 ms", "3.40 MB", "8.5 min"),
        ("standard deviation", "7.07%, 0.71%", "7.07%", "0.7 ms", "0.28 MB", "0.7 min"),
    ]
    assert found["Seeds"] == (
        "Runs that differ in nothing but the seed. Published is seed 3, which was named before any was measured.\n\n"
        + tables.aligned(rows)
    )
    assert "What else was tried" not in found


def test_other_recipes_are_listed_and_the_published_one_last(tmp_path: Path) -> None:
    found = sections(described(runs=[run(3, True, 0.9), run(4, False, 0.8, "scratch")]), tmp_path)
    rows = [
        HEADING,
        ("`scratch`, 9,000 photos", "80.00%, 8.00%", "70.00%", "8.0 ms", "3.20 MB", "8.0 min"),
        ("`wild`, 9,000 photos", "90.00%, 9.00%", "80.00%", "9.0 ms", "3.60 MB", "9.0 min"),
    ]
    assert found["What else was tried"] == "The last one is published.\n\n" + tables.aligned(rows)
    assert "Seeds" not in found, "one run has no spread"


def test_the_plots_that_exist_are_shown(tmp_path: Path) -> None:
    for name in ("robustness.png", "confusion.png", "mistakes.png"):
        (tmp_path / name).write_bytes(b"")
    assert sections(described(), tmp_path)["Plots"] == (
        "![Confusion matrix](confusion.png)\n\n![Accuracy against compression and size of the upload](robustness.png)"
    )


def test_a_body_from_elsewhere_is_named_with_its_licence(tmp_path: Path) -> None:
    body = {
        "name": "lite0",
        "licence": "Apache-2.0",
        "source": {"package": "a-package 1.0", "trained_on": "ImageNet"},
    }
    said = sections(described(body=body), tmp_path)["Licence"].replace("\n", " ")
    assert said.startswith(
        "The body's weights are those of a-package 1.0 (Apache-2.0; trained on ImageNet), rounded to"
    )
