"""Photos: found in a user's folder, decoded by the code that serves, checked before anybody trains on them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The photos are the user's own, so the service's limit against hostile uploads does not apply.
MAX_PIXELS = 1_000_000_000


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most so many of `count` numbers, evenly spaced: of photos sorted by class or kind, some of each."""
    return np.linspace(0, count - 1, min(most, count)).astype(np.int64)
