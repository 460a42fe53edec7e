"""Labels as people read them. Over the wire they stay what they are: names that programs compare."""

import re
from collections.abc import Sequence

# More, or longer ones, are counted instead of named. The page does the same (web/lib/text.js).
NAMED_AT_MOST = 5
NAMED_CHARACTERS = 60

_GAPS = re.compile(r"[_\s]+")


def shown(label: str) -> str:
    """A label without the underscores that folders have for spaces: "Car_side" → "Car side"."""
    return _GAPS.sub(" ", label).strip() or label


def either(labels: Sequence[str]) -> str | None:
    """ "daisy, rose, or tulip", or None where the labels are too many or too long for a sentence."""
    names = [shown(label) for label in labels]
    if len(names) > NAMED_AT_MOST or sum(map(len, names)) > NAMED_CHARACTERS:
        return None
    if len(names) < 3:
        return " or ".join(names)
    return f"{', '.join(names[:-1])}, or {names[-1]}"


def purpose(labels: Sequence[str]) -> str:
    """What a service with these labels does, less its name: "classifies photos: cat or dog"."""
    if not labels:
        return "classifies photos"
    named = either(labels)
    return f"classifies photos: {named}" if named else f"classifies photos into {len(labels)} classes"
