"""A contract as a document of the Open Data Contract Standard, version 3.1.0 (https://bitol.io).

The standard has its own words for types, unique keys, references and rules; each of our rules that a batch of rows can
break is a query in DuckDB's SQL. Schedules and freshness come from the definitions of Dagster.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa
import yaml

from assets.table import OWNER, table_and_part
from pipelines.chains import BATCH_CHAINS
from pipelines.dagster_internals import fresh_for
from pipelines.jobs import REFRESH, SCHEDULES, TUNE
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.sql_names import sql_name

# Of Arrow's types, the standard's type and that of the column in a Delta table.
_TYPES = {
    "string": ("string", "string"),
    "bool": ("boolean", "boolean"),
    "int32": ("integer", "integer"),
    "int64": ("integer", "long"),
    "float": ("number", "float"),
    "double": ("number", "double"),
    "binary": ("string", "binary"),  # the standard has no type for bytes
    "timestamp": ("timestamp", "timestamp"),
    "list": ("array", "array"),
    "map": ("object", "map"),
}


def open_data_contract(contract: Contract, definitions: dg.Definitions) -> str:
    """The contract as YAML; `definitions` have the schedules and the freshness policy of its table."""
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"taproom-{contract.table}",
        "name": contract.table,
        "version": contract.version,
        "status": "active",
        "description": _description(contract),
        "servers": _servers(contract.table),
        "schema": [
            {
                "id": contract.table,
                "name": contract.table,
                "physicalType": "delta table",
                "dataGranularityDescription": contract.grain,
                "properties": [_property(contract, column) for column in contract.columns],
                **_relationships(contract),
                "quality": list(_quality(contract)),
                "customProperties": [{"property": "usualChange", "value": str(contract.usual)}],
            }
        ],
        "team": {"name": OWNER.removeprefix("team:"), "members": [{"username": OWNER, "role": "owner"}]},
        "support": [
            {
                "channel": OWNER,
                "scope": "issues",
                "description": "A version that breaks its contract is an error: report it.",
            }
        ],
        "slaProperties": list(_service_levels(contract.table, definitions)),
    }
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=110)


def _description(contract: Contract) -> dict[str, str]:
    return {
        "purpose": f"One row is {contract.grain}.",
        "usage": f'Read it with taproom.open().load("{contract.table}"), or as a Delta table with another reader.',
        **({"limitations": " ".join(contract.limits)} if contract.limits else {}),
    }


def _servers(table: str) -> list[dict[str, str]]:
    """Where the table is: in the default warehouse, and as a file in the folder of an export."""
    return [
        {
            "server": "warehouse",
            "type": "local",
            "path": f"data/warehouse/{table}",
            "format": "delta",
            "description": "The default warehouse, seen from the repo; $TAPROOM_WAREHOUSE names another.",
        },
        {
            "server": "export",
            "type": "local",
            "path": f"{table}.parquet",
            "format": "parquet",
            "description": "In the folder of an export (taproom export).",
        },
    ]


def _property(contract: Contract, column: Column) -> dict[str, Any]:
    references = [key for key in contract.foreign_keys if key.columns == (column.name,)]
    relationships = {"relationships": [_relationship(contract, key) for key in references]} if references else {}
    is_list = pa.types.is_list(column.type)
    return {
        "id": column.name,
        "name": column.name,
        **_type(column.type),
        "description": column.description,
        "required": not column.nullable,
        **(_primary_key(contract, column) if column.name in contract.key else {}),
        **({"partitioned": True, "partitionKeyPosition": 1} if column.name == contract.partition else {}),
        **({"transformSourceObjects": list(column.made_from)} if column.made_from else {}),
        "customProperties": [
            {"property": "arrowType", "value": str(column.type)},
            *([{"property": "unit", "value": column.unit}] if column.unit else []),
        ],
        **({"items": _type(column.type.value_type) | relationships} if is_list else relationships),
    }


def _primary_key(contract: Contract, column: Column) -> dict[str, Any]:
    return {"primaryKey": True, "primaryKeyPosition": contract.key.index(column.name) + 1}


def _type(kind: pa.DataType) -> dict[str, str]:
    logical, physical = next(names for prefix, names in _TYPES.items() if str(kind).startswith(prefix))
    return {"logicalType": logical, "physicalType": physical}


def _relationships(contract: Contract) -> dict[str, Any]:
    """References of several columns, which the standard has at the table; those of one column are at the column."""
    composite = [key for key in contract.foreign_keys if len(key.columns) > 1]
    return {"relationships": [_relationship(contract, key) for key in composite]} if composite else {}


def _relationship(contract: Contract, key: ForeignKey) -> dict[str, Any]:
    """A reference to the contract of another table, with the query that counts what it breaks."""
    target = [f"{key.table}.odcs.yaml#/schema/{key.table}/properties/{name}" for name in key.key]
    source = [f"{contract.table}.{name}" for name in key.columns]
    return {
        "type": "foreignKey",
        **({"from": source, "to": target} if len(source) > 1 else {"to": target[0]}),
        "customProperties": [{"property": "query", "value": key.query(contract.table, contract.schema)}],
    }


def _quality(contract: Contract) -> Iterator[dict[str, Any]]:
    """The rules, of which all but the last kind can be executed; nulls are forbidden by the properties' `required`."""
    key = list(contract.row_key)
    yield {
        "type": "library",
        "description": f"{', '.join(key)} is unique",
        "metric": "duplicateValues",
        "arguments": {"properties": key},
        "mustBe": 0,
    }
    if not contract.may_be_empty:
        yield {
            "type": "library",
            "description": "there is at least one row",
            "metric": "rowCount",
            "mustBeGreaterThan": 0,
        }
    for name in contract.single_valued:
        yield {
            "type": "sql",
            "description": f"{name} has one value in the whole table",
            "query": f"select count(distinct {sql_name(name)}) from {sql_name(contract.table)}",
            "mustBeLessOrEqualTo": 1,
        }
    for rule, query in contract.queries.items():
        yield {"type": "sql", "description": rule, "query": query, "mustBe": 0}
    for name in sorted(contract.volatile):
        yield {"type": "text", "description": f"{name} may differ between runs on the same inputs"}


def _service_levels(table: str, definitions: dg.Definitions) -> Iterator[dict[str, Any]]:
    """When the table is updated, and the age at which it counts as overdue."""
    graph = definitions.resolve_asset_graph()
    keys = {key for key in graph.materializable_asset_keys if table_and_part(key)[0] == table}
    selections = {job.name: job.selection.resolve(graph) for job in (*REFRESH.values(), TUNE)}
    for schedule in SCHEDULES:
        if not keys.isdisjoint(selections[schedule.job_name]):
            yield {
                "property": "frequency",
                "value": schedule.cron_schedule,
                "scheduler": "cron",
                "schedule": schedule.cron_schedule,
                "description": f"the schedule {schedule.name} ({schedule.execution_timezone}), if it is switched on",
            }
    for chain in BATCH_CHAINS:
        if table in chain.ingested:
            yield {
                "property": "frequency",
                "value": "when a batch arrives",
                "description": f"the sensor {chain.batches.inbox}, if it is switched on",
            }
    age = fresh_for(next(graph.get(key).freshness_policy for key in sorted(keys)))
    if age is not None:
        yield {
            "property": "latency",
            "value": int(age.total_seconds() // 3600),
            "unit": "h",
            "description": "the age at which Dagster reports the table as overdue",
        }
