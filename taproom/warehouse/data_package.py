"""The description of exported tables as a Data Package, which many programs read.

Source: Data Package 2.0, https://datapackage.org/standard/data-package/, with Data Resource and Table Schema.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from taproom.warehouse.foreign_keys import ForeignKey

_PROFILES = "https://datapackage.org/profiles/2.0"
_MEDIA_TYPES = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv"}
_TYPES = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "uint": {"type": "integer"},
    "double": {"type": "number"},
    "float": {"type": "number"},
    "binary": {"type": "string", "format": "binary"},  # base64
    "timestamp": {"type": "datetime"},
    "date": {"type": "date"},
    "list": {"type": "array"},
    "map": {"type": "object"},
    "struct": {"type": "object"},
}


@dataclass(frozen=True)
class ExportedTable:
    """A version of a table, and the file that it was exported to.

    `grain` says what a row is; `key` are the columns that identify it, and `foreign_keys` those that refer to other
    tables; both are empty where the version does not record them.
    """

    table: str
    version: int
    time: datetime
    content_hash: str | None
    grain: str
    schema: pa.Schema
    key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    rows: int
    path: str
    format: str
    size_bytes: int
    sha256: str


def data_package(tables: Sequence[ExportedTable]) -> dict[str, Any]:
    """The content of `datapackage.json`. It was created when the newest of the versions was committed."""
    return {
        "$schema": f"{_PROFILES}/datapackage.json",
        "name": "taproom",
        "title": "Tables of Taproom",
        "created": max(table.time for table in tables).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "resources": [_resource(table, {each.table for each in tables}) for table in tables],
    }


def _resource(table: ExportedTable, package: Collection[str]) -> dict[str, Any]:
    return {
        "$schema": f"{_PROFILES}/dataresource.json",
        "name": table.table,
        "type": "table",
        "description": f"One row is {table.grain}.",
        "path": table.path,
        "format": table.format,
        "mediatype": _MEDIA_TYPES[table.format],
        **({"encoding": "utf-8"} if table.format == "csv" else {}),
        "bytes": table.size_bytes,
        "hash": f"sha256:{table.sha256}",
        "schema": {
            "$schema": f"{_PROFILES}/tableschema.json",
            "fields": [_field(column) for column in table.schema],
            **({"primaryKey": list(table.key)} if table.key else {}),
            **({"foreignKeys": foreign_keys} if (foreign_keys := _foreign_keys(table, package)) else {}),
        },
        "taproom": {"version": table.version, "rows": table.rows, "contentHash": table.content_hash},
    }


def _foreign_keys(table: ExportedTable, package: Collection[str]) -> list[dict[str, Any]]:
    """The foreign keys that Table Schema can express: of plain columns, to tables in the package."""
    return [
        {"fields": list(each.columns), "reference": {"resource": each.table, "fields": list(each.key)}}
        for each in table.foreign_keys
        if each.table in package and not any(pa.types.is_list(table.schema.field(name).type) for name in each.columns)
    ]


def _field(column: pa.Field) -> dict[str, Any]:
    metadata = {name.decode(): text.decode() for name, text in (column.metadata or {}).items()}
    return {
        "name": column.name,
        **next(kind for prefix, kind in _TYPES.items() if str(column.type).startswith(prefix)),
        **{name: metadata[name] for name in ("description", "unit") if name in metadata},
        **({} if column.nullable else {"constraints": {"required": True}}),
    }
