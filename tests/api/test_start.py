"""What a start puts off, and that it comes back afterwards."""

import gc

import pydantic

from api._start import quick


def test_garbage_is_collected_again_after_a_start_even_one_that_failed() -> None:
    for failure in (None, RuntimeError("no")):
        try:
            with quick():
                assert not gc.isenabled()
                if failure:
                    raise failure
        except RuntimeError:
            pass
        assert gc.isenabled()


def test_validators_are_built_at_once_again_after_a_start() -> None:
    with quick():

        class Early(pydantic.BaseModel):
            name: str

    class Late(pydantic.BaseModel):
        name: str

    assert not Early.__pydantic_complete__
    assert Late.__pydantic_complete__
    assert Early(name="built when it is needed").name
