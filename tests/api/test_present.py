"""Several labels in one photo: the rule, and what the answer says of it."""

import json
import subprocess
from typing import Any

import numpy as np
import pytest
from PIL import Image

from api._answers import Answer
from api._classifier import Prediction
from api._present import RULE, Rule, confirmed, places
from tests.conftest import ROOT, require_program

LEFT, RIGHT = np.zeros((2, 4, 4), np.float32)
LEFT[1:3, 0] = 1
RIGHT[1:3, 3] = 1


def test_a_label_with_evidence_elsewhere_is_looked_at_again_where_that_is() -> None:
    assert places([0.9, 0.1], np.stack([LEFT, RIGHT]), 100) == [(1, (0, 50, 100, 100))]


@pytest.mark.parametrize(
    ("probabilities", "maps"),
    [
        ([1 - RULE.least_probability / 2, RULE.least_probability / 2], [LEFT, RIGHT]),
        ([0.9, 0.1], [LEFT, LEFT]),
        ([0.9, 0.1], [LEFT, np.zeros_like(LEFT)]),
    ],
    ids=["improbable", "in the same place", "without evidence"],
)
def test_other_labels_are_not_looked_at_again(probabilities: list[float], maps: list[Any]) -> None:
    assert places(probabilities, np.stack(maps), 100) == []


@pytest.mark.parametrize(
    ("quarter", "box"),
    [
        ((slice(0, 2), slice(0, 4)), (0, 0, 50, 101)),
        ((slice(3, 5), slice(0, 4)), (51, 0, 101, 101)),
        ((slice(1, 3), slice(0, 2)), (0, 0, 101, 50)),
        ((slice(1, 3), slice(3, 5)), (0, 51, 101, 101)),
    ],
    ids=["upper", "lower", "left", "right"],
)
def test_the_second_look_is_at_the_half_with_the_labels_evidence(quarter: Any, box: Any) -> None:
    everywhere, there = np.full((5, 5), 0.5, np.float32), np.zeros((5, 5), np.float32)
    there[quarter] = 1
    assert places([0.9, 0.1], np.stack([everywhere, there]), 101) == [(1, box)]


def test_what_the_rule_asks_for_exactly_is_enough() -> None:
    everywhere = np.ones((4, 4), np.float32)  # half of its evidence is on the right, all of the other's
    rule = Rule(least_probability=0.25, least_advantage=0.5)
    assert places([0.75, 0.25], np.stack([everywhere, RIGHT]), 100, rule) == [(1, (0, 50, 100, 100))]
    assert confirmed(RULE.least_second_look, True)


def test_faint_evidence_counts_by_where_it_is() -> None:
    assert places([0.9, 0.1], np.stack([LEFT, RIGHT / 1_000]), 100) == [(1, (0, 50, 100, 100))]


def test_the_second_look_counts_only_where_it_recognizes_the_label_and_is_sure() -> None:
    assert confirmed(0.99, True)
    assert not confirmed(0.99, False)
    assert not confirmed(RULE.least_second_look - 0.01, True)


def test_the_page_has_the_same_rule() -> None:
    """The same numbers, and the same places for maps of chance."""
    random = np.random.default_rng(0)
    cases = []
    for _ in range(50):
        labels, rows, columns = random.integers(2, 5), random.integers(2, 9), random.integers(2, 9)
        cases.append(
            {
                "probabilities": random.dirichlet(np.ones(labels)).round(4).tolist(),
                "maps": (random.random((labels, rows, columns)) ** 3).round(3).tolist(),
                "size": int(random.integers(32, 300)),
            }
        )
    script = (
        "import { RULE, places } from './web/local/present.js';"
        f"const found = {json.dumps(cases)}.map(({{probabilities, maps, size}}) =>"
        "places(probabilities, maps, size).map(({label, box}) => [label, box]));"
        "console.log(JSON.stringify([RULE, found]));"
    )
    node = [require_program("node"), "--input-type=module", "--eval", script]
    rule, found = json.loads(subprocess.run(node, cwd=ROOT, capture_output=True, check=True).stdout)
    assert list(rule.values()) == list(vars(RULE).values())
    for case, there in zip(cases, found, strict=True):
        here = places(case["probabilities"], np.array(case["maps"], np.float32), case["size"])
        assert [[label, list(box)] for label, box in here] == there


def _prediction(**more: Any) -> Prediction:
    return Prediction("cat", 0.9, {"cat": 0.9, "dog": 0.1}, True, 0.99, **more)


def test_a_photo_of_both_names_both_with_a_map_of_each() -> None:
    answer = Answer.of(_prediction(heatmap=LEFT, present=("cat", "dog"), heatmaps=(LEFT, RIGHT))).model_dump()
    assert answer["present"] == ["cat", "dog"]
    assert [heatmap["label"] for heatmap in answer["heatmaps"]] == ["cat", "dog"]
    assert answer["heatmaps"][1]["values"] == RIGHT.tolist()
    assert answer["heatmap"]["label"] == "cat"


def test_a_photo_of_one_has_one_map() -> None:
    answer = Answer.of(_prediction(heatmap=LEFT, present=("cat",), heatmaps=(LEFT,))).model_dump()
    assert answer["present"] == ["cat"]
    assert answer["heatmaps"] is None


def test_a_cat_alone_is_present_alone_and_coffee_is_nothing(cat: Image.Image, coffee: Image.Image) -> None:
    from tests.conftest import InProcess, encode

    app = InProcess()
    said = [
        app.post("/predict", files={"file": ("a.jpg", encode(photo))}).json()["present"]
        for photo in (cat, coffee)
    ]
    assert said == [["cat"], []]
