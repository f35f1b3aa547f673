"""What the tests of `make run` share: its configuration, and the tables that it makes."""

from pathlib import Path

import dagster as dg
import yaml

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


def changed(warehouse: Warehouse, before: dict[str, int]) -> set[str]:
    return {table for table, version in warehouse.heads().items() if before.get(table) != version}
