"""What goes wrong, as one exception with a sentence for the client."""


class WriterError(Exception):
    """No text, or no more of it: an HTTP status, what to do, and the seconds after which trying again may help."""

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
