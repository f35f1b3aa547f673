import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from taproom._random_kernels import below, mixed

# The first outputs of the authors' splitmix64.c for the seed 1234567.
OUTPUTS = [
    6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
]  # fmt: skip
STEP = 0x9E3779B97F4A7C15


def test_the_bits_of_a_counter_are_those_of_splitmix64():
    counters = [(1234567 + (draw + 1) * STEP) % 2**64 for draw in range(len(OUTPUTS))]
    assert [int(mixed(np.uint64(counter))) % 2**64 for counter in counters] == OUTPUTS


@given(bits=st.integers(0, 2**64 - 1), limit=st.integers(1, 2**32))
def test_an_integer_below_a_limit_is_a_share_of_it_without_rounding(bits: int, limit: int):
    assert below(np.uint64(bits), limit) == (bits >> 32) * limit >> 32
