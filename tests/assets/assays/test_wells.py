import pytest

from taproom.errors import InputError

COLUMNS = {name: name for name in ("plate", "well", "label")}


def test_wells_of_all_samples_are_rolled_up(plate, warehouse):
    rows = warehouse.read("wells").to_pylist()
    assert [(row["plate"], row["well"], row["label"], row["events"]) for row in rows] == [
        ("P1", "A1", "green", 120), ("P1", "A2", "green", 120), ("P1", "A3", "red", 120), ("P1", "A4", "red", 120),
        ("P1", "A5", None, 120),
    ]  # fmt: skip
    assert {row["sample"] for row in rows} == {plate}
    assert rows[0]["channels"] == ["green", "red"]
    assert rows[0]["places"] == [0, 1]


def test_two_samples_that_claim_one_well_are_refused_and_nothing_is_lost(
    plate, plate_of_wells, ingest_events, make, warehouse
):
    other = ingest_events(plate_of_wells("again.csv", seed=1), columns=COLUMNS)
    with pytest.raises(InputError, match="are both well A1 of P1"):
        make("wells")
    assert {row["sample"] for row in warehouse.read("wells").to_pylist()} == {plate}
    make("wells", wells={"leave_out": [plate]})
    assert {row["sample"] for row in warehouse.read("wells").to_pylist()} == {other}


def test_a_channel_that_one_sample_lacks_has_no_place_there(plate, tmp_path, ingest_events, make, warehouse):
    (tmp_path / "one.csv").write_text("green\n1\n2\n")
    ingest_events(tmp_path / "one.csv", plate="P2", well="B1")
    with pytest.raises(InputError, match="1 channels are in all samples"):
        make("wells")
    make("wells", wells={"channels": ["*"]})
    assert warehouse.read("wells").to_pylist()[-1]["places"] == [0, None]


def test_a_well_that_was_named_anew_is_not_counted_twice(tmp_path, ingest_events, make, warehouse):
    path = tmp_path / "cells.csv"
    path.write_text("x,y\n1,2\n2,3\n")
    first, second = (ingest_events(path, plate="P1", well=well) for well in ("A1", "A2"))
    with pytest.raises(InputError, match=f"{first} and {second} are the same file"):
        make("wells")
    make("wells", wells={"leave_out": [first]})
    assert warehouse.read("wells")["well"].to_pylist() == ["A2"]


def test_channels_that_nothing_matches_are_refused(plate, make):
    with pytest.raises(InputError, match="0 channels match"):
        make("wells", wells={"channels": ["blue*"]})


def test_a_class_with_one_well_is_told(tmp_path, ingest_events, make):
    (tmp_path / "one.csv").write_text("green,red\n1,2\n2,3\n")
    ingest_events(tmp_path / "one.csv", label="green")
    check, *_ = make("wells").get_asset_check_evaluations()
    assert not check.passed
    assert check.metadata["classes_with_one_well"].value == ["green"]
