"""What can be wrong with a photo, as sentences for the client."""


class ImageError(ValueError):
    """The photo cannot be used; the message tells the client what to do.

    Attributes:
        status: the HTTP status that says so: 400 for what is no readable image, 413 for too many pixels, 503 where the
            decoder cannot be loaded at this moment.
        damaged: whether it is a photo of a known format that its decoder could not read.
    """

    def __init__(self, message: str, status: int = 400, *, damaged: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.damaged = damaged


def damaged(name: str) -> ImageError:
    """The error for a file that its decoder cannot read."""
    return ImageError(
        f"This {name} file is damaged or cut off. Send the whole file, or save it again.", damaged=True
    )


def too_large(max_pixels: int, size: tuple[int, int] | None = None) -> ImageError:
    """The error for a photo with more than `max_pixels`; `size` is its width and height, where they are known."""
    what = f"The photo has {size[0]:,} x {size[1]:,} pixels" if size else "The photo has too many pixels"
    return ImageError(
        f"{what}; at most {max_pixels / 1e6:g} million are read. Make it smaller and send it again.", 413
    )
