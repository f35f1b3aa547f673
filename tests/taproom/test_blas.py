import re
import subprocess
import sys

import pytest
import scipy.linalg  # noqa: F401  # loads its BLAS, as NumPy its own
from threadpoolctl import threadpool_info, threadpool_limits

from taproom.blas import blas_threads, one_thread


def threads() -> list[int]:
    """Threads of NumPy's BLAS and of SciPy's; OpenCV has one of its own, if a test before has loaded it."""
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return [each["num_threads"] for each in blas if re.search(r"(numpy|scipy)\.libs", each["filepath"])]


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


def test_one_thread_holds_for_openmp_too():
    import sklearn  # noqa: F401  # loads OpenMP

    with threadpool_limits(limits=2):
        with one_thread():
            assert {library["num_threads"] for library in threadpool_info()} == {1}
        assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "openmp"} == {2}


@pytest.mark.slow
def test_a_library_that_was_loaded_since_is_limited():
    code = """
from threadpoolctl import threadpool_info

from taproom.blas import blas_threads, one_thread

with blas_threads():
    before = len(threadpool_info())
import sklearn.cluster
with one_thread():
    assert len(threadpool_info()) > before
    print({library["num_threads"] for library in threadpool_info()})
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "{1}\n"
