"""What a client hears of a photo that cannot be used, word for word."""

from api._photo.errors import ImageError, damaged, too_large


def test_a_photo_that_is_too_large_is_told_how_large_it_may_be() -> None:
    error = too_large(25_000_000, (5_000, 6_001))
    what = (
        "The photo has 5,000 x 6,001 pixels; at most 25 million are read. Make it smaller and send it again."
    )
    assert (str(error), error.status, error.damaged) == (what, 413, False)
    unknown = (
        "The photo has too many pixels; at most 0.5 million are read. Make it smaller and send it again."
    )
    assert str(too_large(500_000)) == unknown


def test_a_damaged_photo_is_told_from_what_is_none() -> None:
    error = damaged("PNG")
    what = "This PNG file is damaged or cut off. Send the whole file, or save it again."
    assert (str(error), error.status, error.damaged) == (what, 400, True)
    other = ImageError("Send a photo.")
    assert (str(other), other.status, other.damaged) == ("Send a photo.", 400, False)
