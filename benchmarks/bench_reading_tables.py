"""Claims: a load verifies every byte, in at most 1.5 times a plain read; one column costs little more than its bytes.

Peers: deltalake with pyarrow, which compares nothing; for the column also reading the files and hashing them.
"""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from measure import compare

import taproom
from assets.assays.events import EVENTS
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.warehouse import Warehouse

WELLS, EVENTS_PER_WELL, CHANNELS = 11, 10_000, 5
WIDE_ROWS, WIDE_COLUMNS = 100_000, 100


def main() -> None:
    """Write both tables, and time reading them."""
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(folder)
        reader = taproom.open(folder)
        write_events(warehouse)
        events = warehouse.uri("events")
        compare(
            f"load of {WELLS * EVENTS_PER_WELL:,} events in {WELLS} partitions",
            lambda: reader.load("events"),
            lambda: DeltaTable(events).to_pyarrow_dataset().to_table(),
            "deltalake + pyarrow",
            runs=15,
        )
        write_wide(warehouse)
        wide = warehouse.uri("wide")
        files = [Path(wide, file.path) for file in warehouse.files("wide")]
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        compare(
            f"one of {WIDE_COLUMNS} columns, files of {megabytes:.0f} MB",
            lambda: reader.load("wide", columns=["c0"]),
            lambda: [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
            "reading and hashing the files",
            runs=9,
        )
        compare(
            "the same",
            lambda: reader.load("wide", columns=["c0"]),
            lambda: DeltaTable(wide).to_pyarrow_dataset().to_table(columns=["c0"]),
            "deltalake + pyarrow",
            runs=9,
        )


def write_events(warehouse: Warehouse) -> None:
    """Events as of the embedded plates: a partition a well."""
    rng = np.random.default_rng(0)
    for well in range(WELLS):
        values = rng.gamma(2.0, 500.0, (EVENTS_PER_WELL, CHANNELS))
        rows = EVENTS.table_of(
            sample=[f"well_{well}"] * EVENTS_PER_WELL,
            event=np.arange(EVENTS_PER_WELL),
            plate=["plate"] * EVENTS_PER_WELL,
            well=[f"A{well}"] * EVENTS_PER_WELL,
            label=["CFP"] * EVENTS_PER_WELL,
            values=values.tolist(),
            transformed=np.arcsinh(values / 150).tolist(),
        )
        warehouse.publish(EVENTS, rows, since=warehouse.head("events"), partition=f"well_{well}")


def write_wide(warehouse: Warehouse) -> None:
    """A table of many columns of random numbers."""
    rng = np.random.default_rng(0)
    names = [f"c{number}" for number in range(WIDE_COLUMNS)]
    columns = tuple(Column(name, pa.float64(), "a number") for name in names)
    contract = Contract("wide", "a row", (Column("row", pa.int64(), "the row"), *columns), key=("row",))
    numbers = {name: rng.normal(size=WIDE_ROWS) for name in names}
    whole = contract.table_of(row=np.arange(WIDE_ROWS), **numbers)
    batches = pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches(max_chunksize=10_000))
    warehouse.publish(contract, batches, since=None)


if __name__ == "__main__":
    main()
