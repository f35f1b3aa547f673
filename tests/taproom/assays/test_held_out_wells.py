import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.assays.held_out_wells import FOLDS, balanced_rows, left_out_groups, only_wells


def test_a_well_is_in_one_group_and_the_only_well_of_a_class_in_folds():
    labels = np.array(["a"] * 6 + ["b"] * 12 + ["a"] * 2)
    wells = np.array(["w1"] * 3 + ["w2"] * 3 + ["w3"] * 12 + ["w2"] * 2)
    groups = left_out_groups(labels, wells)
    assert only_wells(labels, wells) == {"w3": "b"}
    assert len(set(groups[wells == "w1"])) == len(set(groups[wells == "w2"])) == 1
    assert len(set(groups[wells == "w3"])) == FOLDS
    assert not set(groups[wells == "w3"]) & set(groups[wells != "w3"])
    assert len(set(groups)) == 2 + FOLDS


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), events=st.integers(1, 60), classes=st.integers(1, 4), wells=st.integers(1, 5))
def test_every_class_has_events_without_any_group_and_groups_split_no_other_well(seed, events, classes, wells):
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=events).astype(str)
    of_wells = random.integers(wells, size=events).astype(str)
    groups = left_out_groups(labels, of_wells)
    only = only_wells(labels, of_wells)
    for well in np.unique(of_wells):
        inside = groups[of_wells == well]
        assert len(set(inside)) == (min(FOLDS, len(inside)) if well in only else 1)
        if well not in only:
            assert set(labels[of_wells != well]) == set(labels)


def test_each_well_of_a_class_gives_as_many_events():
    labels = np.array(["a"] * 90 + ["b"] * 50)
    wells = np.array(["w1"] * 60 + ["w2"] * 30 + ["w3"] * 50)
    for cap, wanted in ((40, {"w1": 30, "w2": 30, "w3": 40}), (7, {"w1": 7, "w2": 7, "w3": 7})):
        rows = balanced_rows(labels, wells, cap, seed=0)
        assert dict(zip(*np.unique(wells[rows], return_counts=True), strict=True)) == wanted
        assert (np.diff(rows) > 0).all()
        np.testing.assert_array_equal(rows, balanced_rows(labels, wells, cap, seed=0))
    assert not np.array_equal(balanced_rows(labels, wells, 7, seed=1), rows)
