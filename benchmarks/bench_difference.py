"""Claim: two versions of 1,000,000 rows with lists are compared faster than by pandas. Peer: its merge.

python benchmarks/bench_difference.py [ROWS]
"""

import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import pyarrow as pa

from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.warehouse import Warehouse

ENTRIES = 16
CONTRACT = Contract(
    table="events",
    grain="an event",
    columns=(
        Column("sample", pa.string(), "its sample"),
        Column("event", pa.int64(), "its number"),
        Column("log_density", pa.float64(), "a number"),
        Column("values", pa.list_(pa.float64()), "numbers"),
    ),
    key=("sample", "event"),
)
OURS = """
from taproom.warehouse.difference import diff
from taproom.warehouse.warehouse import Warehouse
found = diff(Warehouse(folder).storage, "events", 0)
print(found.rows_added, found.rows_gone, found.rows_changed)
"""
PEER = """
import numpy as np
from taproom.warehouse.warehouse import Warehouse
old, new = (Warehouse(folder).read("events", version).to_pandas() for version in (0, 1))
merged = old.merge(new, how="outer", on=["sample", "event"], suffixes=("_old", "_new"), indicator=True)
both = merged[merged["_merge"] == "both"]
changed = both["log_density_old"] != both["log_density_new"]
changed |= np.array([(old != new).any() for old, new in zip(both["values_old"], both["values_new"])])
print((merged["_merge"] == "right_only").sum(), (merged["_merge"] == "left_only").sum(), changed.sum())
"""


def main(rows: int) -> None:
    """Publish two versions, compare them both ways, print seconds and peak memory."""
    random = np.random.default_rng(0)
    values = random.normal(size=(rows + 100, ENTRIES))
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(folder)
        for version, events in enumerate((np.arange(rows), np.arange(100, rows + 100))):
            values[::10] += version
            table = CONTRACT.table_of(
                sample=[f"sample {event % 96}" for event in events],
                event=events,
                log_density=values[events, 0],
                values=[*values[events]],
            )
            warehouse.publish(CONTRACT, table, since=version - 1 if version else None)
        for name, code in (("ours", OURS), ("pandas", PEER)):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"folder = {folder!r}\n{code}"], check=True)
            seconds = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            print(f"{rows:,} rows: {name} {seconds:.2f} s, peak so far {peak:.2f} GB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
