"""Events of wells, and the values of those that a page shows."""

import numpy as np
import pyarrow as pa
import pytest

from taproom.pages.shown_events import read_events

# One sample with two wells (a table), and one that lacks a channel (a file).
WELLS = pa.table(
    {
        "plate": ["P", "P", "Q"],
        "well": ["A1", "A2", "A1"],
        "sample": ["table", "table", "file"],
        "events": [4, 2, 3],
        "places": pa.array([[1, 0], [1, 0], [0, None]], pa.list_(pa.int32())),
    }
)


@pytest.fixture
def batches():
    of_table = pa.record_batch(
        {
            "sample": ["table"] * 6,
            "event": np.arange(6),
            "plate": ["P"] * 6,
            "well": ["A1", "A2", "A1", "A1", "A2", "A1"],
            "transformed": [[float(event), None if event == 5 else event + 0.5] for event in range(6)],
        }
    )
    of_file = pa.record_batch(
        {
            "sample": ["file"] * 3,
            "event": np.arange(3),
            "plate": ["Q"] * 3,
            "well": ["A1"] * 3,
            "transformed": [[10.0], [11.0], [12.0]],
        }
    )
    left_out = of_file.set_column(0, "sample", pa.array(["left out"] * 3))
    # a well in two batches, as of a large file
    return [left_out, of_file, of_table.slice(0, 3), of_table.slice(3)]


def test_values_are_in_the_order_of_wells_and_channels(batches):
    events = read_events(batches, WELLS, most=10)
    expected = [[0.5, 0], [2.5, 2], [3.5, 3], [np.nan, 5], [1.5, 1], [4.5, 4], [10, np.nan], [11, np.nan], [12, np.nan]]
    np.testing.assert_array_equal(events.values, expected)


def test_of_many_events_some_are_shown_evenly_spread(batches):
    events = read_events(batches, WELLS, most=2)
    np.testing.assert_array_equal(events.values[:, 1], [2, 5, 1, 4, np.nan, np.nan])
    assert np.sort(events.place).tolist() == [-1, -1, -1, 0, 1, 2, 3, 4, 5]


def test_rows_of_other_tables_are_found(batches):
    events = read_events(batches, WELLS, most=1)
    rows = pa.record_batch({"sample": ["file", "table", "other", "table"], "event": [2, 4, 0, 6]})
    found = events.find(rows)
    assert events.well[found[:2]].tolist() == [2, 1]
    assert found[2:].tolist() == [-1, -1]
    assert events.values[events.place[found[1]]].tolist() == [4.5, 4.0]
