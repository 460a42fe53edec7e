"""What a process takes on at once."""

import pytest

from api._load import MAX_PHOTOS_WAITING, UPLOADS_OF_FULL_SIZE, Load, OverloadError


def test_uploads_together_hold_no_more_than_the_limit_and_give_it_back() -> None:
    load = Load(max_upload_bytes=10)
    with load.upload() as first, load.upload() as second:
        first.add(10 * UPLOADS_OF_FULL_SIZE - 5)
        second.add(5)
        with pytest.raises(OverloadError):
            second.add(1)
        assert load.bytes == load.max_bytes
    assert load.bytes == 0


def test_an_upload_that_fails_gives_its_bytes_back() -> None:
    load = Load(max_upload_bytes=10)
    with pytest.raises(OverloadError), load.upload() as upload:
        upload.add(load.max_bytes + 1)
    assert load.bytes == 0


def test_so_many_photos_wait_and_no_more() -> None:
    load = Load(max_upload_bytes=10)
    with load.work(MAX_PHOTOS_WAITING - 1):
        with load.work(1), pytest.raises(OverloadError, match="in a few seconds"), load.work(1):
            pass
        with load.work(1):
            pass
    assert load.photos == 0
