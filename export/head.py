"""The head: multinomial logistic regression on a body's features, with "none of these" as its reference class.

"None of these" needs no output of its own: its logit is fixed at zero.
Result: on EfficientNet-Lite0's features and 100 photos of each of five flowers 90.4 % of the test photos, fitted in a
second (`python -m benchmarks own-classes`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.files import working_array
from export.photos import evenly

# How many photos are copied at a time.
CHUNK = 10_000
Floats = NDArray[np.floating[Any]]

# Inverse strength of the weight decay, for features with a mean squared norm of about one. Anything from 10 to 100
# gives the same accuracy within a point.
C = 10.0
# More iterations change no answer.
MAX_STEPS, TOLERANCE = 500, 1e-5
# The largest weight of a photo, relative to a photo of the largest class.
MOST_WEIGHT = 20.0
# The weight of one of the negatives that come with the body. Compared with 1, this is better by 0.8 points of accuracy
# and 1.6 of rejection at 2 % false rejections (flowers, 20 photos a class), 0.6 and 0.3 (100 a class), by 0.5 and 0.1
# (rubbish, 20) and -0.5 and 0.1 (100), on photos of train that were left out, two or three draws each.
NEGATIVE_WEIGHT = 0.1
# See `show_a_class`.
NEAREST = 0.7
# See `with_their_kinds`. For 9,000 cats and dogs 42 % of the dogs and 19 % of the cats that the body brings along are
# noticed, for five flowers 28 to 47 % of its flowers, for rubbish 44 to 74 % of its trash; of a kind that shows
# something else 16 % at most.
KIND_SHARE = 0.18


@dataclass(frozen=True)
class Head:
    """`weights` float32 [K, C] and `bias` float32 [K], for normalised features."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: Floats) -> NDArray[np.float64]:
        """One logit for each label, float64 [N, K], for features [N, C]; the logit of "none of these" is zero."""
        return np.asarray(features @ self.weights.T + self.bias, dtype=np.float64)


def fit(
    features: Floats, targets: NDArray[np.int64], labels: int, c: float = C, emphasis: Floats | None = None
) -> Head:
    """Fit a head on normalised features [N, C]; the target `labels` stands for "none of these".

    Photos of small classes get larger weights, so that all labels weigh the same. `emphasis` [N] multiplies them.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    weights_of_photos = _weights(targets, labels) * (1.0 if emphasis is None else emphasis)
    model = LogisticRegression(C=c, max_iter=MAX_STEPS, tol=TOLERANCE)
    # More threads make the small matrix products of a fit slower, much slower on a busy machine.
    threads = 1 if len(features) < 50_000 else None
    with warnings.catch_warnings(), threadpool_limits(threads):
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.asarray(features, dtype=np.float32), targets, sample_weight=weights_of_photos)
    found = list(model.classes_)
    weights = np.zeros((labels + 1, features.shape[1]))
    # A class without photos here (in a fold, say) is never the answer.
    bias = np.full(labels + 1, -1e4)
    if len(found) == 2:  # with two classes scikit-learn gives one row, for the second class
        weights[found[1]], bias[found[1]] = model.coef_[0], model.intercept_[0]
        bias[found[0]] = 0.0
    else:
        weights[found], bias[found] = model.coef_, model.intercept_
    if labels in found:
        weights -= weights[labels]
        bias -= bias[labels]
    return Head(weights[:labels].astype(np.float32), bias[:labels].astype(np.float32))


def _weights(targets: NDArray[np.int64], labels: int) -> NDArray[np.float64]:
    counts = np.bincount(targets, minlength=labels + 1)[: labels + 1].astype(float)
    largest = counts[:labels].max()
    weights = np.minimum(largest / np.maximum(counts, 1), MOST_WEIGHT)
    weights[labels] = 1.0
    return np.asarray(weights[targets])


def folds(targets: NDArray[np.int64], count: int, seed: int = 0) -> NDArray[np.int64]:
    """The fold, 0 to count - 1, of each photo: every class is spread evenly over the folds."""
    random = np.random.default_rng(seed)
    fold = np.zeros(len(targets), dtype=np.int64)
    for target in np.unique(targets):
        rows = random.permutation(np.flatnonzero(targets == target))
        fold[rows] = (np.arange(len(rows)) + random.integers(count)) % count
    return fold


@dataclass(frozen=True)
class Negatives:
    """Features [M, C] of photos of none of the labels: the body's, and the user's own after them.

    The user's own show what is likely to be sent, so together they weigh as much as one of the classes.
    """

    features: Floats
    own: int = 0

    def __len__(self) -> int:
        return len(self.features)

    def emphasis(self, largest: int) -> Floats:
        """The weight of each, when the largest class has this many photos."""
        many = len(self) - self.own
        return np.repeat(
            [NEGATIVE_WEIGHT, min(max(1.0, largest / max(self.own, 1)), MOST_WEIGHT)], [many, self.own]
        )

    def take(self, rows: NDArray[np.bool_]) -> Negatives:
        """Only these rows."""
        return Negatives(self.features[rows], int(rows[len(self) - self.own :].sum()))


def fit_views(
    features: Floats, targets: NDArray[np.int64], negatives: Negatives, labels: int, c: float = C
) -> Head:
    """Fit on several views of each photo, [N, views, C], and on negatives."""
    count, views, channels = features.shape
    rows = working_array((count * views + len(negatives), channels))
    for first in range(0, count, CHUNK):
        some = features[first : first + CHUNK].reshape(-1, channels)
        rows[first * views : first * views + len(some)] = some
    rows[count * views :] = negatives.features
    wanted = np.concatenate([np.repeat(targets, views), np.full(len(negatives), labels)])
    largest = int(np.bincount(targets).max()) * views
    emphasis = np.concatenate([np.ones(len(targets) * views), negatives.emphasis(largest)])
    return fit(rows, wanted, labels, c, emphasis)


def out_of_fold(
    features: Floats, targets: NDArray[np.int64], negatives: Negatives, labels: int, count: int, c: float = C
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Logits [N, K] of the photos and [M, K] of the negatives, each by a head that was fitted without it; and the fold,
    [N + M], of each.

    Photos are judged by their first view, the whole photo.
    """
    # The user's own negatives are spread over the folds like a class of their own.
    kinds = np.full(len(negatives), labels)
    kinds[len(negatives) - negatives.own :] += 1
    fold = folds(np.concatenate([targets, kinds]), count)
    own, others = fold[: len(targets)], fold[len(targets) :]
    logits, negative_logits = np.zeros((len(targets), labels)), np.zeros((len(negatives), labels))
    for number in range(count):
        head = fit_views(
            features[own != number], targets[own != number], negatives.take(others != number), labels, c
        )
        logits[own == number] = head.logits(features[own == number, 0])
        negative_logits[others == number] = head.logits(negatives.features[others == number])
    return logits, negative_logits, fold


def show_a_class(
    negatives: Floats, features: Floats, targets: NDArray[np.int64], nearest: float = NEAREST
) -> NDArray[np.bool_]:
    """Which negatives [M, C] show one of the classes: bool [M].

    A negative does when it is nearer to a photo of a class than most photos of that class are to one another: its
    cosine similarity to the most similar one is above the quantile `nearest` of theirs.
    """
    negatives = _unit(negatives)
    found = np.zeros(len(negatives), dtype=bool)
    for target in np.unique(targets):
        own = _unit(features[targets == target])
        if len(own) < 2:
            continue
        # A few hundred photos show how near those of a class are to one another; memory grows with their square.
        some = own[evenly(len(own), 1000)]
        among = some @ some.T
        np.fill_diagonal(among, -1.0)
        found |= (negatives @ own.T).max(axis=1) > np.quantile(among.max(axis=1), nearest)
    return found


def with_their_kinds(
    shown: NDArray[np.bool_], kinds: Sequence[str], share: float = KIND_SHARE
) -> NDArray[np.bool_]:
    """`shown` [M], extended to all negatives of a kind when at least `share` of that kind are shown: only some dogs
    look like the user's dogs, but all of them are dogs."""
    numbers = np.unique(np.array(kinds), return_inverse=True)[1]
    shares = np.bincount(numbers, shown) / np.bincount(numbers)
    return shown | (shares >= share)[numbers]


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9))
