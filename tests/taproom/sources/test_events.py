import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taproom.errors import InputError
from taproom.sources.events import as_lists, compared_channels, event_matrix, from_lists, roll_up, transform_all

WELL_NAMES = ["plate", "well", "sample", "label"]


def table(sample: str, well: str = "A1", label: str | None = "CFP", count: int = 2, width: int = 2) -> pa.Table:
    values = np.arange(count * width, dtype=float).reshape(count, width)
    return pa.table(
        {
            "sample": [sample] * count,
            "event": np.arange(count),
            "plate": ["P1"] * count,
            "well": [well] * count,
            "label": pa.array([label] * count, pa.string()),
            "transformed": as_lists(values),
        }
    )


def wells_table(**places: list) -> pa.Table:
    channels = len(next(iter(places.values())))
    return pa.table(
        {
            "sample": list(places),
            "channels": [[f"c{i}" for i in range(channels)]] * len(places),
            "transforms": [["linear"] * channels] * len(places),
            "places": pa.array(list(places.values()), pa.list_(pa.int32())),
        }
    )


@given(arrays(float, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.floats(allow_infinity=False)))
def test_lists_give_the_values_back_and_hold_missing_ones_as_null(values):
    lists = as_lists(values)
    assert lists.flatten().null_count == np.isnan(values).sum()
    np.testing.assert_array_equal(from_lists(lists, values.shape[1]), values)
    np.testing.assert_array_equal(from_lists(pa.chunked_array([lists[:1], lists[1:]]), values.shape[1]), values)


def test_infinite_values_become_missing_and_each_channel_has_its_own_scale():
    values = np.array([[150.0, 1.0], [np.inf, -np.inf], [np.nan, 3.0]])
    moved = transform_all(values, ["arcsinh(150)", "linear"])
    np.testing.assert_allclose(moved, [[np.arcsinh(1.0), 1.0], [np.nan, np.nan], [np.nan, 3.0]])


def test_the_areas_are_compared_where_there_are_some():
    names = ["Time", "FSC-A", "FSC-H", "B1-A"]
    assert compared_channels([names], [["linear"] + ["arcsinh(150)"] * 3]) == {
        "FSC-A": "arcsinh(150)", "B1-A": "arcsinh(150)"
    }  # fmt: skip


def test_without_areas_the_transformed_channels_are_compared_and_without_these_all():
    names = ["Time", "FL1", "FL2"]
    assert list(compared_channels([names], [["linear", "arcsinh(5)", "arcsinh(5)"]])) == ["FL1", "FL2"]
    assert list(compared_channels([["x", "y"]], [["linear", "linear"]])) == ["x", "y"]


def test_patterns_choose_channels_of_any_sample():
    found = compared_channels([["FL1", "FL2"], ["FL2", "FL3", "x"]], [["linear"] * 2, ["linear"] * 3], ["FL*"])
    assert list(found) == ["FL1", "FL2", "FL3"]


def test_no_channel_and_two_scales_are_refused():
    with pytest.raises(InputError, match="0 channels match"):
        compared_channels([["x"]], [["linear"]], ["FL*"])
    with pytest.raises(InputError, match="1 channels are in all samples"):
        compared_channels([["x", "y"], ["x", "z"]], [["linear"] * 2] * 2)
    with pytest.raises(InputError, match=r"x is linear in one sample and arcsinh\(5\) in another"):
        compared_channels([["x"], ["x"]], [["linear"], ["arcsinh(5)"]])


def roll(*tables: pa.Table, left_out: tuple = ()) -> list:
    names = [name for each in tables for name in each["sample"].unique().to_pylist()]
    batches = [batch for each in tables for batch in each.to_batches(max_chunksize=1)]
    ids = pa.array(names, pa.string())
    return roll_up(batches, pa.table({"sample": ids, "content_sha256": ids}), left_out)


def test_wells_are_counted_over_all_batches_and_sorted():
    found = roll(table("b", "B1", None, 3), table("a", "A1", "CFP", 2))
    assert [[row[name] for name in WELL_NAMES] + [row["events"]] for row in found] == [
        ["P1", "A1", "a", "CFP", 2],
        ["P1", "B1", "b", None, 3],
    ]


def test_a_well_with_several_labels_has_none_itself():
    (well,) = roll(pa.concat_tables([table("a", label="CFP"), table("a", label="RFP")]))
    assert (well["label"], well["events"]) == (None, 4)


def test_two_samples_of_one_well_are_refused_until_one_is_left_out():
    with pytest.raises(InputError, match="a and b are both well A1 of P1"):
        roll(table("a"), table("b"))
    (well,) = roll(table("a"), table("b"), left_out=("a",))
    assert well["sample"] == "b"


def test_nothing_to_roll_up_is_refused():
    with pytest.raises(InputError, match="no sample has any event"):
        roll(table("a", count=0))
    with pytest.raises(InputError, match="no such samples"):
        roll(table("a"), left_out=("b",))
    with pytest.raises(InputError, match="every sample is left out"):
        roll(table("a"), left_out=("a",))


def test_a_channel_that_a_sample_lacks_is_missing_there():
    events = pa.concat_tables([table("a", width=2), table("b", "B1", width=3)])
    matrix = event_matrix(events, wells_table(a=[1, None], b=[0, 2]))
    np.testing.assert_array_equal(matrix.values, [[1, np.nan], [3, np.nan], [0, 2], [3, 5]])
    assert matrix.channels == ("c0", "c1")
    assert matrix.wells.tolist() == ["P1 A1"] * 2 + ["P1 B1"] * 2


def test_samples_that_are_not_wells_do_not_count():
    events = pa.concat_tables([table("a"), table("b", "B1")])
    matrix = event_matrix(events, wells_table(b=[0, 1]))
    assert matrix.rows["sample"].to_pylist() == ["b", "b"]
    assert matrix.labels.tolist() == ["CFP", "CFP"]
    assert len(matrix.where(np.array([True, False])).values) == 1


def test_events_are_taken_by_sample_and_number():
    matrix = event_matrix(pa.concat_tables([table("a"), table("b", "B1")]), wells_table(a=[0, 1], b=[0, 1]))
    taken = matrix.take(pa.table({"sample": ["b", "a"], "event": [1, 0]}))
    np.testing.assert_array_equal(taken.values, [[2, 3], [0, 1]])
    with pytest.raises(InputError, match="there is no event"):
        matrix.take(pa.table({"sample": ["c"], "event": [0]}))


def test_channels_that_are_not_there_are_named():
    matrix = event_matrix(table("a"), wells_table(a=[0, 1]))
    assert matrix.places(["c1", "c0"]) == [1, 0]
    with pytest.raises(InputError, match=r"there are no channels \['c9'\]"):
        matrix.places(["c9"])
    with pytest.raises(InputError, match="have no events"):
        event_matrix(table("a"), wells_table(b=[0, 1]))
