"""Export: tables as Parquet or CSV files with a description, for programs that know nothing of Taproom.

An export is a folder with a file for each table, `datapackage.json` and `croissant.json`. It gets its name when it is
complete.

In CSV files, lists and maps are JSON text, bytes are base64, and times are ISO 8601 in UTC. Null is an empty field, and
empty text is `""`. Numbers that are not finite are `NaN`, `INF` and `-INF`, as in Table Schema.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from taproom.errors import InputError
from taproom.new_files import new_folder
from taproom.warehouse.catalog import existing_head, heads, open_version
from taproom.warehouse.croissant import croissant
from taproom.warehouse.data_package import ExportedTable, data_package
from taproom.warehouse.history import commit_of, foreign_keys_of, key_of
from taproom.warehouse.json_values import json_text
from taproom.warehouse.reading import stream
from taproom.warehouse.storage import Storage

FORMATS = ("parquet", "csv")
DESCRIPTIONS = {"datapackage.json": data_package, "croissant.json": croissant}


def export(
    storage: Storage,
    folder: str | os.PathLike,
    tables: Iterable[str] | Mapping[str, int | None] | None = None,
    *,
    format: Literal["parquet", "csv"] = "parquet",
) -> list[ExportedTable]:
    """Write tables to a new folder, as one file each, with descriptions (Data Package 2.0, Croissant 1.0).

    Tables are streamed, one verified file at a time, so memory does not grow with them.

    Args:
        storage: the warehouse.
        folder: the folder to make. It may exist if it is empty.
        tables: names of tables, or versions by name (None: the newest); all tables by default.
        format: "parquet" or "csv".

    Returns:
        What was exported, in the order of the tables.

    Raises:
        InputError: there is no such format, no table was named, or the folder is not empty.
        UnknownTableError: there is no such table or version.
        DamagedFileError: a file differs from what was committed.
        StorageError: the folder cannot be written to, for example because the disk is full. Nothing is left of it.
    """
    if format not in FORMATS:
        raise InputError(f"format={format!r} was given; wanted {' or '.join(map(repr, FORMATS))}")
    wanted = dict(tables) if isinstance(tables, Mapping) else dict.fromkeys(tables or sorted(heads(storage)))
    if not wanted:
        raise InputError(f"{storage.root} has no tables to export")
    newest = {table: existing_head(storage, table) for table in wanted}
    versions = {table: newest[table] if version is None else version for table, version in wanted.items()}
    with new_folder(folder) as part:
        exported = [_exported(storage, table, version, part, format) for table, version in versions.items()]
        for name, describe in DESCRIPTIONS.items():
            (part / name).write_text(json.dumps(describe(exported), ensure_ascii=False, indent=2), encoding="utf-8")
    return exported


def _exported(storage: Storage, table: str, version: int, folder: Path, format: str) -> ExportedTable:
    """Write a version of a table to a file in the folder."""
    rows = stream(storage, table, version)
    commit = commit_of(storage, table, version)
    path = folder / f"{table}.{format}"
    count = _write_parquet(rows, path) if format == "parquet" else _write_csv(rows, path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return ExportedTable(
        table=table,
        version=version,
        time=commit["time"],
        content_hash=commit["content_hash"],
        grain=open_version(storage, table, version).delta.metadata().description or f"a row of {table}",
        schema=rows.schema,
        key=key_of(storage, table, version) or (),
        foreign_keys=foreign_keys_of(storage, table, version),
        rows=count,
        path=path.name,
        format=format,
        size_bytes=path.stat().st_size,
        sha256=sha256,
    )


def _write_parquet(rows: pa.RecordBatchReader, path: Path) -> int:
    count = 0
    with pq.ParquetWriter(path, rows.schema, compression="zstd") as file:
        for batch in rows:
            file.write_batch(batch)
            count += batch.num_rows
    return count


def _write_csv(rows: pa.RecordBatchReader, path: Path) -> int:
    count = 0
    with path.open("wb") as file:
        _append_csv(pa.RecordBatch.from_pylist([], schema=rows.schema), file, header=True)
        for batch in rows:
            _append_csv(batch, file)
            count += batch.num_rows
    return count


def _append_csv(batch: pa.RecordBatch, file: BinaryIO, header: bool = False) -> None:
    cells = pa.RecordBatch.from_arrays([_as_text(column) for column in batch.columns], names=batch.schema.names)
    pa_csv.write_csv(cells, file, pa_csv.WriteOptions(include_header=header))


def _as_text(values: pa.Array) -> pa.Array:
    """A column as pyarrow can write it to CSV: text where CSV has no form of its own for the type."""
    kind = values.type
    if pa.types.is_map(kind):
        return _texts(None if value is None else json_text(dict(value)) for value in values.to_pylist())
    if pa.types.is_nested(kind):
        return _texts(None if value is None else json_text(value) for value in values.to_pylist())
    if pa.types.is_binary(kind):
        return _texts(None if value is None else base64.b64encode(value).decode() for value in values.to_pylist())
    if pa.types.is_timestamp(kind):
        return pc.strftime(values, "%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_floating(kind) and not pc.all(pc.is_finite(values), min_count=0).as_py():
        spelled = {"nan": "NaN", "-nan": "NaN", "inf": "INF", "-inf": "-INF"}
        return _texts(spelled.get(text, text) for text in values.cast(pa.string()).to_pylist())
    return values


def _texts(values: Iterable[str | None]) -> pa.Array:
    return pa.array(values, pa.string())
