import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

import taproom
from assets.assays.plate_scales import (
    CONTRACT,
    PlateScalesConfig,
    applied_scales_are_small,
    plate_scales,
    plates_have_the_same_populations,
)
from pipelines.records import newest_materialization
from taproom.errors import InputError

COLUMNS = {name: name for name in ("plate", "well", "label")}
CLASS_TABLES = ("class_mixtures", "classes", "held_out_events", "share_errors")
CALL_TABLES = ("event_calls", "well_shares")


def row(**given):
    usual = {"plate": "P2", "channel": "green", "shift": 0.0, "scale": 1.0, "off": 0.0, "gain": 1.0, "unlike": 0.0,
             "reference": False, "applied": True}  # fmt: skip
    return usual | given


def rows(*given):
    return pa.Table.from_pylist(list(given), CONTRACT.schema)


@pytest.fixture
def two_days(plate, plate_of_wells, tmp_path, ingest_events, make, made_once):
    """The plate P1, and P2 with wells of the same kind, measured with other gains."""

    def read():
        lines = plate_of_wells("other.csv", events=300, seed=5).read_text().splitlines()
        moved = [lines[0]]
        for line in lines[1:]:
            _, well, _, green, red = line.split(",")
            moved.append(f"P2,{well},,{0.6 * float(green) + 1},{1.4 * float(red) - 2}")
        (tmp_path / "other.csv").write_text("\n".join(moved) + "\n")
        ingest_events(tmp_path / "other.csv", columns=COLUMNS)
        make("wells")
        return make("plate_scales")

    return made_once(read)


def test_a_plate_of_another_day_is_found_and_applied(two_days, warehouse, instance):
    scales = warehouse.read("plate_scales").to_pandas().set_index(["plate", "channel"])
    assert scales.reference.tolist() == [True, True, False, False]
    assert scales.applied.tolist() == [False, False, True, True]
    np.testing.assert_allclose(scales.loc["P2"]["scale"], [1 / 0.6, 1 / 1.4], rtol=0.06)
    assert (scales.loc["P2"].gain > 0.5).all()
    told = newest_materialization(instance, dg.AssetKey("plate_scales")).asset_materialization.metadata
    assert told["reference"].value == "P1"
    assert told["applied"].value == ["P2"]
    passed = {check.check_name: check.passed for check in two_days.get_asset_check_evaluations()}
    assert passed["plates_have_the_same_populations"]


def test_classes_of_one_day_call_the_wells_of_another(two_days, make, warehouse):
    quick = {"sizes": [2], "restarts": 1}
    make(*CLASS_TABLES, *CALL_TABLES, class_mixtures=quick, event_calls={"resamples": 5})
    calls = warehouse.read("event_calls").to_pandas()
    events = warehouse.read("events").to_pandas()
    values = np.stack(events["values"])
    other = (events.plate == "P2").to_numpy()
    green, red = values[:, 0] > 0.6 * 4 + 1, values[:, 1] > 1.4 * 4 - 2
    assert (calls.called[other & green & ~red] == "green").mean() > 0.98
    assert (calls.called[other & red & ~green] == "red").mean() > 0.98
    shares = warehouse.read("well_shares").to_pandas().set_index(["plate", "well", "class"]).share
    assert shares["P2", "A1", "green"] > 0.9
    assert shares["P2", "A3", "red"] > 0.9
    some = np.flatnonzero(other)[:50]
    table = {"green": values[some, 0], "red": values[some, 1]}
    assert taproom.call(table, plate="P2")["posteriors"].to_pylist() == calls.posteriors[some].map(list).tolist()
    assert taproom.call(table)["posteriors"].to_pylist() != calls.posteriors[some].map(list).tolist()
    with pytest.raises(InputError, match="no plate 'P9'"):
        taproom.call(table, plate="P9")


def test_it_can_be_switched_off_and_another_plate_be_the_reference(two_days, make, warehouse):
    make("plate_scales", plate_scales={"least_gain": None, "reference": "P2"})
    scales = warehouse.read("plate_scales").to_pandas().set_index(["plate", "channel"])
    assert not scales.applied.any()
    assert scales.reference.tolist() == [False, False, True, True]
    np.testing.assert_allclose(scales.loc["P1"]["scale"], [0.6, 1.4], rtol=0.06)


def test_a_single_plate_is_on_its_own_scale(plate, warehouse):
    table = plate_scales(
        PlateScalesConfig(),
        warehouse.read("events", columns=["sample", "event", "plate", "well", "label", "transformed"]),
        warehouse.read("wells"),
    ).rows
    assert table.select(["plate", "channel", "shift", "scale", "reference", "applied"]).to_pylist() == [
        {"plate": "P1", "channel": channel, "shift": 0.0, "scale": 1.0, "reference": True, "applied": False}
        for channel in ("green", "red")
    ]


@pytest.mark.parametrize(("unlike", "passed"), [(0.05, True), (0.3, False), (None, True)])
def test_a_plate_with_populations_of_its_own_is_warned_of(unlike, passed):
    result = plates_have_the_same_populations(rows(row(unlike=unlike)))
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)


@pytest.mark.parametrize(("off", "applied", "passed"), [(0.5, True, True), (1.5, True, False), (1.5, False, True)])
def test_a_large_scale_that_is_applied_is_warned_of(off, applied, passed):
    result = applied_scales_are_small(rows(row(off=0.1, applied=applied), row(off=off, channel="red", applied=applied)))
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert result.metadata["farthest_off"].value == ({"P2": off} if applied else {})
