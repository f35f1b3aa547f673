"""SQL over the tables of a warehouse, by DuckDB, which can read them and nothing else."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as pads

from taproom.errors import InputError

_TABLE_AT_VERSION = re.compile(r"(?P<table>\w+)@(?P<version>\d+)")
# No files, no network, no variables of the caller's program: only what is registered below.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "python_enable_replacements": "false",
}


def query_tables(
    query: str,
    versions: Mapping[str, int],
    open_table: Callable[[str, int | None], pads.Dataset],
) -> pa.Table:
    """The rows that a query gives.

    Args:
        query: one SELECT (or WITH, FROM, VALUES). A table is named `items`, or `"items@3"` for its version 3.
        versions: versions of tables that are named without one.
        open_table: gives a table at a version (None: the default one).

    Raises:
        InputError: it is not one statement that reads, or DuckDB refuses it.
        TaproomError: what `open_table` raises.
    """
    if not isinstance(query, str):
        raise InputError(f"The query {query!r} is no text. Wanted: one SELECT statement.")
    with duckdb.connect(config=_CONFIG) as connection:
        for name in _tables_named(connection, query):
            connection.register(name, open_table(*_table_and_version(name, versions)))
        connection.execute("set lock_configuration = true")
        try:
            return connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            raise InputError(f"DuckDB refused the query. {str(error).strip()}") from error


def _tables_named(connection: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    """The names of the tables in a query, without those that it defines itself.

    DuckDB's parser finds them. Its `get_table_names` does not do: it also binds columns, before there are tables.

    Raises:
        InputError: it is not one SELECT statement.
    """
    (text,) = connection.execute("select json_serialize_sql(?)", [query]).fetchall()[0]
    parsed = json.loads(text)
    if parsed["error"] or len(parsed["statements"]) != 1:
        raise InputError(f"One SELECT statement was wanted; tables can only be read. {_reason(query, parsed)}".strip())
    nodes = list(_nodes(parsed))
    defined = {entry["key"] for node in nodes for entry in node.get("cte_map", {}).get("map", ())}
    named = {
        node["table_name"] for node in nodes if node.get("type") == "BASE_TABLE" and node["schema_name"] in ("", "main")
    }
    return named - defined


def _reason(query: str, parsed: Mapping[str, Any]) -> str:
    """Why a query is not one SELECT statement; empty for another statement, of which DuckDB says only how it parses."""
    if not parsed["error"]:
        return f"{len(parsed['statements'])} statements were given."
    if parsed["error_type"] == "not implemented":
        return ""
    hint = ' A table at a version is quoted, as "items@3".' if _TABLE_AT_VERSION.search(query) else ""
    return f"DuckDB says: {parsed['error_message']}.{hint}"


def _nodes(parsed: Any) -> Iterator[dict[str, Any]]:
    """The nodes of a syntax tree."""
    if isinstance(parsed, dict):
        yield parsed
    for part in parsed.values() if isinstance(parsed, dict) else parsed:
        if isinstance(part, dict | list):
            yield from _nodes(part)


def _table_and_version(name: str, versions: Mapping[str, int]) -> tuple[str, int | None]:
    """The table and version that a name in a query means; DuckDB does not mind upper case."""
    if match := _TABLE_AT_VERSION.fullmatch(name):
        return match["table"].lower(), int(match["version"])
    return name.lower(), versions.get(name.lower())
