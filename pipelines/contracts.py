"""The contracts as Open Data Contract Standard files, one a table, under `data/contracts/`.

    python -m pipelines.contracts          writes the files
    python -m pipelines.contracts --check  exits 1 if a file differs from its contract

The files are generated for readers who do not use Python; what is checked are the contracts in `assets/`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import yaml

import pipelines.definitions  # noqa: F401  declares every contract
from assets.table import CONTRACTS, OWNER
from taproom.warehouse.contracts import Column, Contract

FOLDER = Path(__file__).resolve().parents[1] / "data" / "contracts"
_LOGICAL = {
    "string": "string",
    "bool": "boolean",
    "int": "integer",
    "double": "number",
    "float": "number",
    "binary": "string",  # the standard has no type for bytes; `physicalType` has it
    "timestamp": "timestamp",
    "list": "array",
    "map": "object",
}


def open_data_contract(contract: Contract) -> str:
    """The contract as YAML, in version 3.0.2 of the Open Data Contract Standard (bitol.io)."""
    document = {
        "apiVersion": "v3.0.2",
        "kind": "DataContract",
        "id": f"taproom-{contract.table}",
        "name": contract.table,
        "version": "1.0.0",
        "status": "active",
        "description": {"purpose": f"One row is {contract.grain}."},
        "team": [{"username": OWNER, "role": "owner"}],
        "schema": [
            {
                "name": contract.table,
                "physicalType": "delta table",
                "dataGranularityDescription": contract.grain,
                "properties": [_property(contract, column) for column in contract.columns],
                "quality": [{"type": "text", "description": rule} for rule in contract.rules],
            }
        ],
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)


def drifted(folder: Path = FOLDER) -> list[str]:
    """Names of the files that are missing, out of date, or belong to no table."""
    wanted = {f"{table}.odcs.yaml": open_data_contract(contract) for table, contract in CONTRACTS.items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.odcs.yaml")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(folder: Path = FOLDER) -> None:
    """Write one file a contract to the folder, and delete the files there that belong to no table."""
    for path in folder.glob("*.odcs.yaml"):
        path.unlink()
    for table, contract in CONTRACTS.items():
        (folder / f"{table}.odcs.yaml").write_text(open_data_contract(contract), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files; return the exit status."""
    if "--check" not in (sys.argv[1:] if arguments is None else arguments):
        write()
        return 0
    for name in (names := drifted()):
        print(f"data/contracts/{name} differs from its contract. Run `make contracts` and commit the change.")
    return 1 if names else 0


def _property(contract: Contract, column: Column) -> dict:
    return {
        "name": column.name,
        "logicalType": _logical(column.type),
        "physicalType": str(column.type),
        "description": column.description,
        "required": not column.nullable,
        **(_primary_key(contract, column) if column.name in contract.key else {}),
        **({"partitioned": True, "partitionKeyPosition": 1} if column.name == contract.partition else {}),
        **({"customProperties": [{"property": "unit", "value": column.unit}]} if column.unit else {}),
    }


def _primary_key(contract: Contract, column: Column) -> dict:
    return {"primaryKey": True, "primaryKeyPosition": contract.key.index(column.name) + 1}


def _logical(kind: pa.DataType) -> str:
    return next(logical for prefix, logical in _LOGICAL.items() if str(kind).startswith(prefix))


if __name__ == "__main__":
    sys.exit(main())
