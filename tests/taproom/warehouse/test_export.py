import csv
import errno
import hashlib
import json
import math
import re
import resource
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taproom.errors import DamagedFileError, InputError, StorageError, UnknownTableError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.export import export
from taproom.warehouse.foreign_keys import ForeignKey
from tests.taproom.warehouse.tables import MAIL, NOTES, flip, mail, notes

LABELS = Contract(
    "labels",
    "a label",
    (
        Column("id", pa.int64(), "number"),
        Column("text", pa.string(), "what it says", nullable=True),
        Column("abv", pa.float64(), "alcohol", unit="%", nullable=True),
        Column("weights", pa.list_(pa.float64()), "of words", nullable=True),
        Column("scores", pa.map_(pa.string(), pa.float64()), "by name", nullable=True),
        Column("time", pa.timestamp("us", tz="UTC"), "when", nullable=True),
        Column("pixels", pa.binary(), "of the label"),
        Column("fresh", pa.bool_(), "whether it is"),
    ),
    ("id",),
)
TIME = datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)


@pytest.fixture
def labels(warehouse):
    rows = LABELS.table_of(
        id=[1, 2, 3],
        text=['=a "b",\nc', "", None],
        abv=[0.1, math.nan, None],
        weights=[[0.1, None, -math.inf], [], None],
        scores=[[("aroma", 4.5)], [], None],
        time=[TIME, None, None],
        pixels=[b"\0\xff", b"", b"x"],
        fresh=[True, False, True],
    )
    warehouse.publish(LABELS, rows, since=None)
    return warehouse


def description(folder) -> dict:
    return json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))


def check_package(folder) -> None:
    """What the JSON Schemas of Data Package 2.0 require of a package, its resources and their schemas."""
    package = description(folder)
    assert package["$schema"] == "https://datapackage.org/profiles/2.0/datapackage.json"
    assert package["resources"]
    datetime.fromisoformat(package["created"])
    for each in package["resources"]:
        assert re.fullmatch(r"[a-z0-9_.-]+", each["name"])
        assert each["type"] == "table"
        content = (folder / each["path"]).read_bytes()
        assert each["bytes"] == len(content)
        assert each["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        fields = each["schema"]["fields"]
        kinds = {"string", "boolean", "integer", "number", "datetime", "date", "array", "object"}
        assert {field["type"] for field in fields} <= kinds
        assert set(each["schema"]["primaryKey"]) <= {field["name"] for field in fields}


def test_parquet_files_have_the_rows_and_the_schema_of_the_contract(labels, tmp_path):
    (exported,) = export(labels.storage, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "labels.parquet",
        "datapackage.json",
        "croissant.json",
    }
    check_package(tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "labels.parquet")
    assert rows.schema.equals(LABELS.schema)
    assert repr(rows.to_pylist()) == repr(labels.read("labels").to_pylist())
    assert (exported.rows, exported.version, exported.key) == (3, 0, ("id",))
    (described,) = description(tmp_path / "out")["resources"]
    assert described["description"] == "One row is a label."
    assert described["schema"]["fields"][2] == {
        "name": "abv",
        "type": "number",
        "description": "alcohol",
        "unit": "%",
    }
    assert described["schema"]["fields"][0]["constraints"] == {"required": True}


def test_csv_files_have_lists_as_json_and_no_value_is_lost(labels, tmp_path):
    export(labels.storage, tmp_path / "out", ["labels"], format="csv")
    check_package(tmp_path / "out")
    with (tmp_path / "out" / "labels.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == LABELS.schema.names
    assert rows == [
        [
            "1",
            '=a "b",\nc',
            "0.1",
            '[0.1, null, "-INF"]',
            '{"aroma": 4.5}',
            "2026-01-02T03:04:05.600000Z",
            "AP8=",
            "true",
        ],
        ["2", "", "NaN", "[]", "{}", "", "", "false"],
        ["3", "", "", "", "", "", "eA==", "true"],
    ]
    assert b'\n2,"",' in (tmp_path / "out" / "labels.csv").read_bytes()  # empty text
    assert b"\n3,,," in (tmp_path / "out" / "labels.csv").read_bytes()  # null


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_croissant_describes_files_and_fields(labels, tmp_path, format):
    export(labels.storage, tmp_path / "out", format=format)
    described = json.loads((tmp_path / "out" / "croissant.json").read_text(encoding="utf-8"))
    assert (described["@type"], described["conformsTo"]) == ("sc:Dataset", "http://mlcommons.org/croissant/1.0")
    (file,) = described["distribution"]
    content = (tmp_path / "out" / file["contentUrl"]).read_bytes()
    assert file["sha256"] == hashlib.sha256(content).hexdigest()
    assert file["contentSize"] == f"{len(content)} B"
    (records,) = described["recordSet"]
    assert records["key"] == [{"@id": "labels/id"}]
    kinds = {field["name"]: (field["dataType"], field.get("repeated", False)) for field in records["field"]}
    assert [*kinds] == LABELS.schema.names
    assert kinds["id"] == ("sc:Integer", False)
    assert kinds["weights"] == (("sc:Float", True) if format == "parquet" else ("sc:Text", False))
    assert {field["source"]["fileObject"]["@id"] for field in records["field"]} == {file["@id"]}


REPLIES = Contract(
    "replies",
    "a reply to notes",
    (
        Column("id", pa.int64(), "number"),
        Column("to", pa.int64(), "the note"),
        Column("others", pa.list_(pa.int64()), "other notes"),
    ),
    ("id",),
    foreign_keys=(ForeignKey(("to",), "notes", ("id",)), ForeignKey(("others",), "notes", ("id",))),
)


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_foreign_keys_of_plain_columns_refer_to_tables_in_the_package(warehouse, tmp_path, format):
    warehouse.publish(NOTES, notes(1, 2), since=None)
    warehouse.publish(REPLIES, REPLIES.table_of(id=[1], to=[2], others=[[1]]), since=None)
    export(warehouse.storage, tmp_path / "both", format=format)
    check_package(tmp_path / "both")
    schemas = {each["name"]: each["schema"] for each in description(tmp_path / "both")["resources"]}
    assert schemas["replies"]["foreignKeys"] == [
        {"fields": ["to"], "reference": {"resource": "notes", "fields": ["id"]}}
    ]
    assert "foreignKeys" not in schemas["notes"]
    (exported,) = export(warehouse.storage, tmp_path / "alone", ["replies"], format=format)
    assert exported.foreign_keys == REPLIES.foreign_keys
    assert "foreignKeys" not in description(tmp_path / "alone")["resources"][0]["schema"]


def test_versions_and_partitions(warehouse, tmp_path):
    for number in range(3):
        warehouse.publish(NOTES, notes(*range(number + 1)), since=number - 1 if number else None)
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    warehouse.publish(MAIL, mail("b", 1), since=0, partition="b")
    exported = export(warehouse.storage, tmp_path / "out", {"notes": 1, "mail": None}, format="csv")
    assert [(each.table, each.version, each.rows) for each in exported] == [("notes", 1, 2), ("mail", 1, 2)]
    assert exported[1].key == ("batch", "id")
    assert (tmp_path / "out" / "mail.csv").read_text().splitlines()[1] == '1,"a","ale","pub"'
    assert [each.table for each in export(warehouse.storage, tmp_path / "all")] == ["mail", "notes"]


def test_a_table_without_rows_has_columns(warehouse, tmp_path):
    contract = Contract("wishes", "a wish", LABELS.columns, ("id",), may_be_empty=True)
    warehouse.publish(contract, contract.schema.empty_table(), since=None)
    export(warehouse.storage, tmp_path / "csv", format="csv")
    assert (tmp_path / "csv" / "wishes.csv").read_text() == ",".join(f'"{name}"' for name in LABELS.schema.names) + "\n"
    export(warehouse.storage, tmp_path / "parquet")
    assert pq.read_table(tmp_path / "parquet" / "wishes.parquet").num_rows == 0


def test_what_is_asked_for_wrongly_is_refused_and_leaves_nothing(labels, tmp_path):
    with pytest.raises(InputError, match="format='xlsx' was given; wanted 'parquet' or 'csv'"):
        export(labels.storage, tmp_path / "out", format="xlsx")
    with pytest.raises(UnknownTableError, match="no table 'label'"):
        export(labels.storage, tmp_path / "out", ["label"])
    with pytest.raises(UnknownTableError, match="version 9 was wanted"):
        export(labels.storage, tmp_path / "out", {"labels": 9})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        export(labels.storage, tmp_path / "full")
    (file,) = labels.files("labels")
    flip(Path(labels.uri("labels"), file.path), 10)
    with pytest.raises(DamagedFileError):
        export(labels.storage, tmp_path / "out")
    assert [path.name for path in tmp_path.glob("*out*")] == []
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_full_disk_is_named_and_leaves_nothing(warehouse, tmp_path, format):
    warehouse.publish(NOTES, notes(*range(50_000)), since=None)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, hard))
    try:
        with pytest.raises(StorageError, match=r"out could not be written: .*Free some space") as refusal:
            export(warehouse.storage, tmp_path / "out", format=format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusal.value.__cause__.errno in (errno.ENOSPC, errno.EFBIG)
    assert [path.name for path in tmp_path.glob("*out*")] == []
