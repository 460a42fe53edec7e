"""What a process takes on at once."""

import pytest

from api._admission import MAX_PHOTOS_WAITING, UPLOADS_OF_FULL_SIZE, Admission, OverloadError


def test_uploads_together_hold_no_more_than_the_limit_and_give_it_back() -> None:
    admission = Admission(max_upload_bytes=10)
    with admission.upload() as first, admission.upload() as second:
        first.add(10 * UPLOADS_OF_FULL_SIZE - 5)
        second.add(5)
        with pytest.raises(OverloadError) as refused:
            second.add(1)
        assert refused.value.reason == "bytes_held"
        assert admission.bytes == admission.max_bytes
    assert admission.bytes == 0


def test_an_upload_that_fails_gives_its_bytes_back() -> None:
    admission = Admission(max_upload_bytes=10)
    with pytest.raises(OverloadError), admission.upload() as upload:
        upload.add(admission.max_bytes + 1)
    assert admission.bytes == 0


def test_so_many_photos_wait_and_no_more() -> None:
    admission = Admission(max_upload_bytes=10)
    with admission.work(MAX_PHOTOS_WAITING - 1):
        with (
            admission.work(1),
            pytest.raises(OverloadError, match="in a few seconds") as refused,
            admission.work(1),
        ):
            pass
        assert refused.value.reason == "photos_waiting"
        with admission.work(1):
            pass
    assert admission.photos == 0


def test_who_watches_is_told_whenever_the_bytes_or_the_photos_change() -> None:
    admission, told = Admission(max_upload_bytes=10), []
    admission.watch = lambda held, photos: told.append((held, photos))
    with admission.upload() as upload:
        upload.add(3)
        upload.add(4)
        with admission.work(2):
            pass
    assert told == [(3, 0), (7, 0), (7, 2), (7, 0), (0, 0)]
