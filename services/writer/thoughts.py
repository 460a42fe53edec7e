"""Some models think aloud in <think>...</think> first, and some engines send it as text: no draft begins with that."""

_OPEN, _CLOSE = "<think>", "</think>"


class Thoughts:
    """Takes a first <think> block, and blanks before the text, out of a stream of pieces."""

    def __init__(self) -> None:
        self._pending = ""
        self._state = "before"

    def without(self, piece: str) -> str:
        """The part of what has come so far that is text and was not given yet."""
        if self._state == "after":
            return piece
        self._pending += piece
        if self._state == "before":
            start = self._pending.lstrip()
            if not start.startswith(_OPEN):
                if _OPEN.startswith(start):
                    return ""  # too little to tell
                return self._text(start)
            self._state = "inside"
        _, closed, rest = self._pending.partition(_CLOSE)
        if not closed:
            # Only what may be the beginning of the end has to be kept.
            self._pending = self._pending[-len(_CLOSE) :]
            return ""
        self._state, self._pending = "before", rest
        return self.without("") if rest else ""

    def rest(self) -> str:
        """What was held back when the stream ended."""
        return self._pending.lstrip() if self._state == "before" else ""

    def _text(self, text: str) -> str:
        self._state, self._pending = "after", ""
        return text
