"""Two tables that tests write and damage: `notes`, written as a whole, and `mail`, in partitions."""

from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from taproom.warehouse.contracts import Between, Column, Contract
from taproom.warehouse.publishing import Origin

MEGABYTE = 2**20
ID = Column("id", pa.int64(), "number of the note")
TEXT = Column("text", pa.string(), "what it says")
BATCH = Column("batch", pa.string(), "where it came in")
COLLECTION = Column("collection", pa.string(), "what it belongs to")
NOTES = Contract("notes", "one note", (ID, TEXT), ("id",), invariants=(Between("id", 0),))
MAIL = Contract(
    "mail", "one letter", (ID, BATCH, TEXT, COLLECTION), ("id",), partition="batch", single_valued=("collection",)
)


def notes(*ids, text="ale"):
    return NOTES.table_of(id=ids, text=[text] * len(ids))


def mail(batch, *ids, collection="pub"):
    return MAIL.table_of(id=ids, batch=[batch] * len(ids), text=["ale"] * len(ids), collection=[collection] * len(ids))


def megabytes(count, first=0):
    """A batch for each megabyte; 64 of them fill a file."""
    for number in range(first, first + count):
        yield pa.record_batch([[number], ["x" * MEGABYTE]], schema=NOTES.schema)


def reader(batches, schema=NOTES.schema):
    return pa.RecordBatchReader.from_batches(schema, batches)


def ids(table):
    return table["id"].to_pylist()


def data_files(warehouse, table="notes"):
    folder = Path(warehouse.uri(table))
    return {str(path.relative_to(folder)) for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts}


def only_file(warehouse, version=None):
    (file,) = warehouse.files("notes", version)
    return Path(warehouse.uri("notes"), file.path)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def publish_from(warehouse, table, number, **inputs):
    contract = Contract(table, "one note", (ID, TEXT), ("id",))
    origin = Origin(inputs=inputs)
    return warehouse.publish(contract, notes(number), since=warehouse.head(table), origin=origin).version


AT_ONCE = timedelta(0)
