"""Exports, read by frictionless (Data Package) and mlcroissant (Croissant)."""

import json

import pyarrow as pa
import pytest

from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.export import export
from taproom.warehouse.foreign_keys import ForeignKey
from tests.taproom.warehouse.tables import NOTES, notes
from tests.validators import pytestmark, run

__all__ = ["pytestmark"]

DATA_PACKAGE = """
import json, sys
from frictionless import Package, validate

report = validate(sys.argv[1])
errors = [[task.name, error.type] for task in report.tasks for error in task.errors]
print(json.dumps([[error.type for error in report.errors], errors]))
"""
DATA_PACKAGE_ALONE = """
import json, sys
from frictionless import Package

with open(sys.argv[1]) as file:
    print(json.dumps([error.message for error in Package.metadata_validate(json.load(file))]))
"""
CROISSANT = """
import json, sys
import mlcroissant

dataset = mlcroissant.Dataset(sys.argv[1])
texts = lambda value: value.decode() if isinstance(value, bytes) else value
print(json.dumps([list(dataset.metadata.issues.errors), {
    records.name: [{name: texts(value) for name, value in row.items()} for row in dataset.records(records.name)]
    for records in dataset.metadata.record_sets
}], default=str))
"""
REPLIES = Contract(
    "replies",
    "a reply to a note",
    (
        Column("id", pa.int64(), "number"),
        Column("to", pa.int64(), "the note", nullable=True),
        Column("weights", pa.list_(pa.float64()), "of its words", nullable=True),
        Column("time", pa.timestamp("us", tz="UTC"), "when", nullable=True),
        Column("right", pa.bool_(), "whether it is", nullable=True),
    ),
    ("id",),
    foreign_keys=(ForeignKey(("to",), "notes", ("id",)),),
)


@pytest.fixture
def filled(warehouse):
    warehouse.publish(NOTES, notes(1, 2), since=None)
    replies = {"id": [1, 2], "to": [2, None], "weights": [[0.5, 0.25], None], "time": [0, None], "right": [True, None]}
    warehouse.publish(REPLIES, REPLIES.table_of(**replies), since=None)
    return warehouse


def test_a_package_of_csv_files_is_valid_with_its_foreign_keys(filled, tmp_path):
    export(filled.storage, tmp_path / "out", format="csv")
    assert run(DATA_PACKAGE, "datapackage.json", folder=tmp_path / "out") == [[], []]


def test_a_reference_without_a_row_is_found(filled, tmp_path):
    filled.publish(NOTES, notes(1), since=0)
    export(filled.storage, tmp_path / "out", format="csv")
    assert run(DATA_PACKAGE, "datapackage.json", folder=tmp_path / "out") == [[], [["replies", "foreign-key"]]]


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_the_description_of_a_package_is_valid(filled, tmp_path, format):
    export(filled.storage, tmp_path / "out", format=format)
    assert run(DATA_PACKAGE_ALONE, "datapackage.json", folder=tmp_path / "out") == []


def test_croissant_reads_the_rows_of_parquet_files(filled, tmp_path):
    export(filled.storage, tmp_path / "out")
    errors, rows = run(CROISSANT, tmp_path / "out" / "croissant.json")
    assert errors == []
    assert rows["notes"] == [{"notes/id": 1, "notes/text": "ale"}, {"notes/id": 2, "notes/text": "ale"}]
    assert rows["replies"][0]["replies/weights"] == [0.5, 0.25]


def test_croissant_is_valid_for_csv_files(filled, tmp_path):
    export(filled.storage, tmp_path / "out", format="csv")
    errors, rows = run(CROISSANT, tmp_path / "out" / "croissant.json")
    assert (errors, len(rows["notes"])) == ([], 2)
    assert json.loads(rows["replies"][0]["replies/weights"]) == [0.5, 0.25]
