import pytest
import scipy.linalg  # noqa: F401  # loads its BLAS, as NumPy its own
from threadpoolctl import threadpool_info, threadpool_limits

from taproom.blas import blas_threads


def threads() -> list[int]:
    """Threads of each BLAS that is loaded."""
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_every_blas_uses_so_many_threads_in_the_block_and_as_many_as_before_after_it():
    assert len(threads()) >= 2
    with threadpool_limits(limits=2, user_api="blas"):
        with blas_threads():
            assert set(threads()) == {1}
            with blas_threads(2):
                assert set(threads()) == {2}
            assert set(threads()) == {1}
        assert set(threads()) == {2}


def test_after_an_error_too():
    def fail() -> None:
        with blas_threads():
            raise ValueError("of the block")

    with threadpool_limits(limits=2, user_api="blas"):
        with pytest.raises(ValueError, match="of the block"):
            fail()
        assert set(threads()) == {2}
