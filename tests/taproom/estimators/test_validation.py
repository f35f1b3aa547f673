import numpy as np
import pytest

from taproom.errors import InputError
from taproom.estimators.validation import seed_of, value_errors


def test_an_integer_is_the_seed_itself():
    assert seed_of(5) == seed_of(np.int64(5)) == 5


def test_a_generator_and_none_give_another_seed_each_time():
    generator = np.random.RandomState(0)
    assert len({seed_of(generator), seed_of(generator), seed_of(None), seed_of(None)}) == 4
    assert seed_of(np.random.RandomState(0)) == seed_of(np.random.RandomState(0))


def test_what_is_no_generator_is_refused():
    with pytest.raises(ValueError, match="cannot be used to seed"):
        seed_of("seven")


def test_input_errors_become_value_errors_with_the_same_message():
    with pytest.raises(ValueError, match="too few rows") as raised, value_errors():
        raise InputError("too few rows")
    assert isinstance(raised.value.__cause__, InputError)
