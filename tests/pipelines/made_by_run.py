"""What the tests of `make run` share: its configuration, and the tables that it makes."""

from pathlib import Path

import dagster as dg
import yaml

import taproom
from assets.table import CONTRACTS
from pipelines.definitions import defs
from taproom.warehouse.warehouse import Warehouse

ROOT = Path(__file__).resolve().parents[2]
TUNED = {"trials", "challenges", "champions"}

# Of one worker: worker processes take seconds to start, and searches and fits with several are tested on their own.
BRIEF = {"trials": 2, "workers": 1}


def write_config(folder: Path, ops: dict[str, dict]) -> Path:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"ops": {op: {"config": given} for op, given in ops.items()}}))
    return path


def tables_of(chain: str) -> list[str]:
    """All that a run makes for a chain."""
    of_chain = dg.AssetSelection.groups(chain).resolve(defs.resolve_asset_graph())
    return sorted(TUNED | {key.path[0] for key in of_chain})


def broken_rules(warehouse: Warehouse) -> dict[str, int]:
    """The rules and references of all tables that rows break, by their queries, with how many do."""
    reader = taproom.open(warehouse.root)
    made = [CONTRACTS[table] for table in warehouse.tables()]
    queries = {f"{each.table}: {rule}": query for each in made for rule, query in each.queries.items()} | {
        f"{each.table}: {key}": key.query(each.table, each.schema) for each in made for key in each.foreign_keys
    }
    # All in one query, which opens each table once.
    counts = reader.sql(f"select {', '.join(f'({query})' for query in queries.values())}").columns
    return {rule: count[0].as_py() for rule, count in zip(queries, counts, strict=True) if count[0].as_py()}


def changed(warehouse: Warehouse, before: dict[str, int]) -> set[str]:
    return {table for table, version in warehouse.heads().items() if before.get(table) != version}
