"""Rows of the table `images` as arrays."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taproom.errors import InputError
from taproom.images.image_arrays import labels_of, pixels_of
from taproom.sources.image_blocks import Images
from tests.image_files import SCHEMA, block, read


@settings(max_examples=30, deadline=None)
@given(
    pixels=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 5), st.just(3)).flatmap(
        lambda shape: arrays(np.uint8, shape)
    ),
    chunk=st.integers(1, 4),
)
def test_arrays_are_the_same_for_all_sizes_of_batches(pixels, chunk):
    names = [f"{number:02}" for number in range(len(pixels))]
    table, _ = read([Images(names, [None] * len(names), ["test"] * len(names), pixels)])
    chunked = pa.concat_tables(table.slice(start, chunk) for start in range(0, len(pixels), chunk))
    assert np.array_equal(pixels_of(chunked), pixels)


def test_rows_of_several_sizes_are_refused():
    table, _ = read([block(2), block(1, (2, 4), first=2)])
    with pytest.raises(InputError, match="heights 2 and widths 2, 4"):
        pixels_of(table)
    with pytest.raises(InputError, match="at least one"):
        pixels_of(table.slice(0, 0))
    wrong = table.slice(0, 2).set_column(4, SCHEMA.field("height"), [pa.array([3, 3], pa.int32())])
    with pytest.raises(InputError, match="without the 3 x 3 x 2 bytes"):
        pixels_of(wrong)


def test_labels_are_numbers_in_the_order_of_the_sorted_names():
    table, _ = read([block(2), block(1, label=None, first=2), block(1, label="ant", first=3)])
    numbers, names = labels_of(table)
    assert (numbers.tolist(), numbers.dtype, names) == ([1, 1, -1, 0], np.int64, ["ant", "cat"])
    assert labels_of(table.to_batches()[1])[0].tolist() == [-1]
