"""A body is whole or refused; what it keeps of negatives is enough."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from export.body import body as bodies
from tests.conftest import ROOT

LITE0 = ROOT / "model" / "bodies" / "lite0"


def test_the_published_body_states_its_source_and_keeps_its_size_limit() -> None:
    body = bodies.load(LITE0)
    assert body.metadata["licence"] == "Apache-2.0"
    assert len(body.metadata["source"]["sha256"]) == 64
    assert len(body.graph) < 4e6
    assert (LITE0 / bodies.FEATURES).stat().st_size < 4e6
    assert len(body.negatives) == len(body.kinds) == sum(body.metadata["negatives"]["kinds"].values())
    assert len(set(body.kinds)) > 30


def test_features_are_normalised_so_that_every_head_finds_them_alike() -> None:
    body = bodies.load(LITE0)
    norms = (body.negatives**2).sum(axis=1)
    # Three parts of the features, each with a mean squared norm of one.
    assert norms.mean() == pytest.approx(3, rel=0.15)
    assert np.abs(body.negatives.mean(axis=0)).max() < 0.05


@pytest.mark.parametrize("name", [bodies.GRAPH, bodies.FEATURES])
def test_a_body_whose_file_was_cut_off_is_refused(tmp_path: Path, name: str) -> None:
    copy = shutil.copytree(LITE0, tmp_path / "body")
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-100])
    with pytest.raises(bodies.BodyError, match="sha256"):
        bodies.load(copy)


def test_a_missing_body_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(bodies.BodyError, match="cannot be used"):
        bodies.load(tmp_path)


@pytest.mark.parametrize("channels", [6, 7])
def test_four_bits_keep_a_feature_to_a_tenth_of_its_spread(channels: int) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(2000, channels)).astype(np.float32)
    features[:, 0] = np.maximum(features[:, 0], 0)
    kept = bodies.decode(**bodies.encode(features))
    assert kept.shape == features.shape
    assert np.sqrt(((kept - features) ** 2).mean()) < 0.12


def test_a_body_may_have_no_negatives() -> None:
    kept = bodies.decode(**bodies.encode(np.zeros((0, 5), np.float32)))
    assert kept.shape == (0, 5)
