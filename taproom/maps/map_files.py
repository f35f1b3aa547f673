"""The maps of items and of words as files: CSV for spreadsheets, and GeoJSON for programs that draw points.

GeoJSON (RFC 7946) has longitude and latitude. A map of items has neither: its coordinates are those of the table
and have no unit, and `"crs": null` says so to programs that know the older GeoJSON of 2008.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from taproom.errors import InputError
from taproom.new_files import new_file
from taproom.warehouse.catalog import existing_head
from taproom.warehouse.warehouse import Warehouse

TABLES = ("item_map", "word_map")


def export_map(
    warehouse: Warehouse,
    target: str | os.PathLike,
    *,
    table: str = "item_map",
    dimension: int = 2,
    version: int | None = None,
) -> None:
    """Write a map to a file, whose name ends in `.csv` or `.geojson`.

    Args:
        warehouse: where the map is.
        target: the file to make.
        table: "item_map" or "word_map".
        dimension: of the map, 2 or 3.
        version: a version of the table; None for the newest.

    Raises:
        InputError: there is no map of that table or dimension, the file's name has another ending, or it exists.
        UnknownTableError: there is no such version, or there is no map yet.
        StorageError: `target` cannot be written.
    """
    suffix = Path(target).suffix.lower()
    if suffix not in (".csv", ".geojson"):
        raise InputError(f"{target} was given; wanted a name that ends in .csv or .geojson")
    if table not in TABLES:
        raise InputError(f"{table!r} is no map; wanted {' or '.join(map(repr, TABLES))}")
    rows = warehouse.read(table, existing_head(warehouse.storage, table) if version is None else version)
    points = _points(rows, dimension)
    with new_file(target) as part, part.open("wb") as file:
        if suffix == ".csv":
            pa_csv.write_csv(points, file)
        else:
            features = {"type": "FeatureCollection", "crs": None, "features": list(_features(points))}
            file.write(json.dumps(features, ensure_ascii=False).encode())


def _points(rows: pa.Table, dimension: int) -> pa.Table:
    """The rows of a map, with its coordinates only."""
    if "dimension" in rows.schema.names:
        found = rows.filter(pc.equal(rows["dimension"], dimension)).drop_columns("dimension")
        known = sorted(rows["dimension"].unique().to_pylist())
    else:
        known = [len(_axes(rows))]
        found = rows if dimension in known else rows.slice(0, 0)
    if not found.num_rows:
        raise InputError(f"dimension={dimension} was given; wanted {' or '.join(map(str, known))}")
    return found.drop_columns(_axes(found)[dimension:])


def _axes(points: pa.Table) -> list[str]:
    return [name for name in ("x", "y", "z") if name in points.schema.names]


def _features(points: pa.Table) -> Iterator[Mapping[str, Any]]:
    axes = _axes(points)
    for row in points.to_pylist():
        coordinates = [row.pop(axis) for axis in axes]
        yield {"type": "Feature", "geometry": {"type": "Point", "coordinates": coordinates}, "properties": row}
