"""The published model still answers what it answered when it was published."""

from __future__ import annotations

import json

import pytest

from tests.export import stored_outputs

# Processors round the int8 sums to float32 in another order.
TOLERANCE = 0.03


def test_the_published_model_answers_as_it_did_when_it_was_published() -> None:
    stored = json.loads(stored_outputs.STORED.read_text())
    now = stored_outputs.answers()
    assert now["version"] == stored["version"], "run `python -m tests.export.stored_outputs` after publishing"
    for name, expected in stored["answers"].items():
        got = now["answers"][name]
        assert got["probabilities"] == pytest.approx(expected["probabilities"], abs=TOLERANCE), name
        assert got["recognized"] == pytest.approx(expected["recognized"], abs=TOLERANCE), name


def test_chelsea_is_a_cat() -> None:
    probabilities = stored_outputs.answers()["answers"]["chelsea"]["probabilities"]
    assert max(probabilities, key=probabilities.__getitem__) == "cat"
