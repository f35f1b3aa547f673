import shutil
from dataclasses import replace

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

import taproom
from assets.assays.events import EVENTS, SAMPLE_FILES, EventsConfig, batches_of, dropped, events
from pipelines.io_manager import StepTables
from taproom.errors import ContractError, InputError, SourceError
from tests.fcs_file import fcs_bytes

CELLS = np.array([[150.0, -150.0], [0.0, 300.0]])
MAP = "file,plate,well,label\ncells.fcs,P1,A1,CFP\nmixed.fcs,P1,A2,\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with the FCS files of a plate and its plate map."""
    path = tmp_path / "plate"
    path.mkdir()
    (path / "plate_map.csv").write_text(MAP)
    for name, values in (("cells.fcs", CELLS), ("mixed.fcs", CELLS + 1)):
        (path / name).write_bytes(fcs_bytes(values))
    return path


def fcs(folder, **more) -> dict:
    return {"source": "fcs", "path": str(folder), **more}


@pytest.mark.slow
def test_the_asset_called_directly_gives_events_a_sample_and_checks(folder, warehouse):
    given = fcs(folder / "cells.fcs", plate="P1", well="A1", label="CFP")
    ((key, _),) = batches_of(given).items()
    context = dg.build_asset_context(partition_key=key, resources={"io_manager": StepTables(warehouse)})
    outputs = list(events(context, EventsConfig(**given)))
    about, rows = (output.value.rows for output in outputs[:2])
    assert key.startswith("P1-A1-")
    assert rows["values"].to_pylist() == CELLS.tolist()
    np.testing.assert_allclose(rows["transformed"][0].as_py(), np.arcsinh([1, -1]))
    (sample,) = about.to_pylist()
    assert (sample["label"], sample["channels"], sample["events"]) == ("CFP", ["FL1-A", "FL2-A"], 2)
    assert sample["transforms"] == ["arcsinh(150)"] * 2
    assert all(check.passed for check in outputs[2:])


def test_a_folder_has_a_sample_for_each_row_of_its_plate_map(folder):
    described = batches_of(fcs(folder))
    assert [key.rsplit("-", 1)[0] for key in described] == ["P1-A1", "P1-A2"]
    assert [config["label"] for config in described.values()] == ["CFP", ""]


def test_every_file_of_a_folder_becomes_a_partition(folder, ingest_events, warehouse):
    for config in batches_of(fcs(folder)).values():
        ingest_events(**config)
    assert len(warehouse.read("events")) == 4
    samples = warehouse.read("samples").to_pylist()
    assert [(row["plate"], row["well"], row["label"]) for row in samples] == [("P1", "A1", "CFP"), ("P1", "A2", None)]


def test_a_corrected_label_replaces_the_sample_without_its_file_being_read_again(
    folder, ingest_events, warehouse, monkeypatch
):
    (folder / "cells.fcs").write_bytes(fcs_bytes(np.array([[150.0, np.nan], [np.inf, 300.0]])))
    ingest_events(**fcs(folder / "cells.fcs", plate="P1", well="A1", label="CFP"))
    events_then, samples_then = (warehouse.read(table) for table in ("events", "samples"))
    monkeypatch.setattr("taproom.sources.samples.read_fcs", lambda path: pytest.fail(f"{path} was read"))
    ingest_events(**fcs(folder / "cells.fcs", plate="P1", well="A1", label="RFP"))
    events_now, samples_now = (warehouse.read(table) for table in ("events", "samples"))
    assert events_now["label"].to_pylist() == ["RFP"] * 2
    assert events_now.drop(["label"]) == events_then.drop(["label"])
    assert samples_now["label"].to_pylist() == ["RFP"]
    assert samples_now.drop(["label", "events_hash"]) == samples_then.drop(["label", "events_hash"])
    assert samples_now["events_hash"] != samples_then["events_hash"]
    ingest_events(**fcs(folder / "cells.fcs", plate="P1", well="A1", label=""))
    assert warehouse.read("samples")["label"].to_pylist() == [None]


def test_events_of_a_sample_that_is_not_described_are_not_published(folder, ingest_events, warehouse, change_rows):
    ingest_events(**fcs(folder / "cells.fcs", plate="P1", well="A1"))
    other = pa.array(["other"] * len(CELLS))
    change_rows("assets.assays.events", EVENTS, lambda rows: rows.set_column(0, EVENTS.schema.field("sample"), other))
    with pytest.raises(ContractError, match="events: 2 references break the rule 'sample refers to sample of samples'"):
        ingest_events(**fcs(folder / "mixed.fcs", plate="P1", well="A2"))
    assert (warehouse.head("samples"), warehouse.head("events")) == (1, 0)


def test_a_sample_that_is_to_be_read_otherwise_is_read_again(folder, ingest_events, warehouse):
    for more in ({"label": "CFP"}, {"label": "RFP", "transform": "linear"}):
        ingest_events(**fcs(folder / "cells.fcs", plate="P1", well="A1", **more))
    assert warehouse.read("samples")["transforms"].to_pylist() == [["linear"] * 2]
    assert warehouse.read("samples")["label"].to_pylist() == ["RFP"]


def test_samples_that_an_earlier_version_has_read_stay_beside_new_ones(
    folder, ingest_events, warehouse, make, monkeypatch
):
    monkeypatch.setenv("TAPROOM_WAREHOUSE", warehouse.root)
    added = ("compensation", "repairs")
    key = ingest_events(**fcs(folder / "cells.fcs", plate="P1", well="A1", label="CFP"))
    old_events = warehouse.read("events").to_pylist()
    (old_sample,) = warehouse.read("samples").drop_columns(added).to_pylist()
    for table in ("events", "samples"):
        shutil.rmtree(warehouse.uri(table))
    earlier = replace(SAMPLE_FILES, columns=tuple(each for each in SAMPLE_FILES.columns if each.name not in added))
    for contract, rows in ((EVENTS, old_events), (earlier, [old_sample])):
        renamed = [{**row, "sample": "P0-A1", "plate": "P0"} for row in rows]
        warehouse.publish(contract, pa.Table.from_pylist(renamed, contract.schema), since=None, partition="P0-A1")
    assert ingest_events(**fcs(folder / "mixed.fcs", plate="P1", well="A2")) != key
    old, new = taproom.load("samples").to_pylist()
    assert old == {**old_sample, "sample": "P0-A1", "plate": "P0", "compensation": None, "repairs": None}
    assert new["repairs"] == []
    assert taproom.load("samples", 0).schema.names == earlier.schema.names
    make("wells")
    assert warehouse.read("wells")["plate"].to_pylist() == ["P0", "P1"]
    assert warehouse.check("samples").problems == ()


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        (fcs_bytes(CELLS)[:-4], "truncated"),
        (fcs_bytes(CELLS, {"TOT": 10**12}), "event_count"),
        (fcs_bytes(CELLS, {"P1B": 0}), "bit_width"),
        (b"PK\x03\x04 no cytometer wrote this", "not_fcs"),
    ],
)
def test_a_damaged_file_is_a_sample_without_events_that_says_why(
    folder, ingest_events, warehouse, make, content, damage
):
    good = ingest_events(**fcs(folder / "cells.fcs", plate="P1", well="A1"))
    (folder / "bad.fcs").write_bytes(content)
    bad = ingest_events(**fcs(folder / "bad.fcs", plate="P1", well="B1"))
    samples = {row["sample"]: row for row in warehouse.read("samples").to_pylist()}
    assert (samples[good]["damage"], samples[bad]["damage"], samples[bad]["events"]) == (None, damage, 0)
    assert "bad.fcs" in samples[bad]["detail"]
    make("wells")
    assert [row["sample"] for row in warehouse.read("wells").to_pylist()] == [good]


def test_missing_and_infinite_values_are_counted_and_null(folder, ingest_events, warehouse, instance):
    values = np.array([[np.nan, 1.0], [np.inf, -np.inf]])
    (folder / "odd.fcs").write_bytes(fcs_bytes(values))
    ingest_events(**fcs(folder / "odd.fcs", plate="P1", well="B1"))
    (sample,) = warehouse.read("samples").to_pylist()
    assert (sample["missing_values"], sample["infinite_values"]) == (1, 2)
    rows = warehouse.read("events")
    assert rows["values"].to_pylist() == [[None, 1.0], [None, None]]
    assert rows["transformed"][1].as_py() == [None, None]


def test_one_event_and_no_events_are_samples(folder, ingest_events, warehouse):
    for count in (0, 1):
        (folder / "few.fcs").write_bytes(fcs_bytes(CELLS[:count]))
        ingest_events(**fcs(folder / "few.fcs", plate="P1", well=f"B{count}"))
    assert sorted(warehouse.read("samples")["events"].to_pylist()) == [0, 1]


def test_a_table_has_its_own_plates_wells_and_labels(plate_of_wells, ingest_events, warehouse):
    path = plate_of_wells()
    key = ingest_events(path, columns={"plate": "plate", "well": "well", "label": "label"})
    (sample,) = warehouse.read("samples").to_pylist()
    assert key.startswith("plate.csv-")
    assert (sample["plate"], sample["well"], sample["label"]) == ("P1", None, None)
    assert (sample["channels"], sample["transforms"]) == (["green", "red"], ["linear"] * 2)


def test_a_table_without_columns_is_one_well(tmp_path, ingest_events, warehouse):
    (tmp_path / "iris.csv").write_text("width,length\n1,2\n3,4\n")
    ingest_events(tmp_path / "iris.csv", transform="arcsinh(5)", linear=["width"])
    row = warehouse.read("events").to_pylist()[1]
    assert (row["plate"], row["well"], row["label"]) == ("iris", "all", None)
    np.testing.assert_allclose(row["transformed"], [3, np.arcsinh(4 / 5)])


def test_what_cannot_be_is_refused_in_a_sentence(folder, ingest_events):
    with pytest.raises(SourceError, match="there is no file"):
        ingest_events(folder / "none.csv")
    (folder / "t.csv").write_text("x\n1\n")
    with pytest.raises(SourceError, match="columns names"):
        ingest_events(folder / "t.csv", columns={"lable": "x"})
    with pytest.raises(InputError):
        ingest_events(folder / "t.csv", transform="arcsinh(0)")
    (folder / "plate_map.csv").write_text(MAP + "x.fcs,P1,A1,CFP\n")
    with pytest.raises(SourceError, match="two wells with one name"):
        batches_of(fcs(folder))


def test_a_damaged_table_is_a_sample_that_says_why_and_columns_left_out_are_told(tmp_path, ingest_events, warehouse):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "words.csv").write_text("x,y,note\n1,2,hello\n")
    for name in ("cut.parquet", "words.csv"):
        ingest_events(tmp_path / name)
    cut, words = warehouse.read("samples").to_pylist()
    assert (cut["damage"], cut["events"]) == ("unreadable", 0)
    assert (words["damage"], words["detail"]) == (None, "left out note: no numbers")


def test_a_changed_file_is_not_taken_for_the_sample(folder, warehouse, instance):
    given = EventsConfig(**fcs(folder / "cells.fcs", plate="P1", well="A1"))
    resources = {"io_manager": StepTables(warehouse)}
    for config, told in ((given, "Has the file changed"), (EventsConfig(), "none of the embedded samples")):
        with pytest.raises(SourceError, match=told):
            list(events(dg.build_asset_context(partition_key="P1-A1-00000000", resources=resources), config))


def test_the_embedded_samples_are_known_without_fetching_them(monkeypatch):
    monkeypatch.setattr("assets.assays.events.member", None)
    keys = list(batches_of({}))
    assert len(keys) == 11
    assert keys[0].startswith("Plate01-A4-")


def test_a_dropped_fcs_file_waits_for_its_row_in_the_plate_map(folder):
    assert dropped(folder / "cells.fcs", {}).called == "P1-A1"
    assert dropped(folder / "cells.fcs", {"transform": "linear"}).config["label"] == "CFP"
    assert "plate_map.csv" in dropped(folder / "other.fcs", {}).waits_for
    (folder / "plate_map.csv").write_text("file;plate;well;label\n")
    assert "a valid plate map" in dropped(folder / "cells.fcs", {}).waits_for
    (folder / "plate_map.csv").unlink()
    assert dropped(folder / "cells.fcs", {}).waits_for
    assert dropped(folder / "table.csv", {}).config == {"source": "table", "path": str(folder / "table.csv")}
