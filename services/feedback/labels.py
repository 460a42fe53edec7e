"""The labels that feedback may name: those of FEEDBACK_LABELS, or those that the classifier says it knows."""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

from services.feedback.schema import NEITHER

FRESH_S = 300
RETRY_S = 15
_TIMEOUT_S = 2
_MOST_BYTES = 4_000_000
log = logging.getLogger("purrdict.feedback")


class Labels:
    """Asks the classifier now and then; while it does not answer, what it said last counts."""

    def __init__(self, labels: Sequence[str], api_url: str | None) -> None:
        self._fixed, self._url = frozenset(labels), api_url
        self._known: frozenset[str] = frozenset()
        self._ask_after = 0.0

    def known(self) -> frozenset[str] | None:
        """The labels; None when nobody has said them yet, and then any label is taken. May block for two seconds."""
        if self._fixed or not self._url:
            return self._fixed or None
        if time.monotonic() >= self._ask_after:
            self._ask_after = time.monotonic() + FRESH_S
            try:
                # Of a model that was replaced the old labels stay known: its answers are still on people's screens.
                self._known |= _ask(self._url)
            except (OSError, ValueError) as error:
                self._ask_after = time.monotonic() + RETRY_S
                log.warning("the classifier at FEEDBACK_API_URL does not say its labels: %s", error)
        return self._known or None

    def problem(self, prediction: str, correction: str | None) -> str | None:
        """Why these cannot be labels, or None."""
        known = self.known()
        if known is None:
            return None
        for name, value in (("prediction", prediction), ("correction", correction)):
            if value is not None and value not in known and not (name == "correction" and value == NEITHER):
                some = ", ".join(sorted(known)[:40])
                return f"{name}: the model knows no such label. Send one of: {some}; as a correction also {NEITHER}."
        return None


def _ask(url: str) -> frozenset[str]:
    fetch = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    request = urllib.request.Request(f"{url}/model/info", headers={"Accept": "application/json"})  # noqa: S310 - http(s) only, checked in settings
    with fetch(request, timeout=_TIMEOUT_S) as answer:
        information: Any = json.loads(answer.read(_MOST_BYTES))
    classes = information.get("classes") if isinstance(information, dict) else None
    if not isinstance(classes, list) or not classes:
        raise ValueError("no classes in its answer")
    return frozenset(str(label) for label in classes)
