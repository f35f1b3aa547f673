"""The result of a comparison of two versions of a table, as text, as HTML and as JSON."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from taproom.warehouse.json_values import json_text, json_value

LONGEST_CELL = 60


@dataclass(frozen=True)
class ColumnChange:
    """How many rows have another value in a column, and by how much numbers differ at most.

    `largest_difference` is over pairs of finite numbers (of lists of equal length, entry by entry); None where there is
    no such pair.
    """

    column: str
    rows: int
    largest_difference: float | None


@dataclass(frozen=True)
class Difference:
    """What changed from version `old` to version `new` of a table.

    Attributes:
        table: its name.
        old, new: the versions.
        key: the columns that identify a row.
        columns_added, columns_gone: columns of only one version, with their types.
        types_changed: columns of both versions whose type changed, with the old and the new one. They are not compared.
        rows_before, rows_after: rows of the versions.
        rows_added, rows_gone, rows_changed: rows whose key is only in the new version, only in the old one, or in both
            with other values.
        columns_changed: the columns with other values, in the order of the table.
        first_added, first_gone: the first such rows by key, as dictionaries.
        first_changed: the first changed rows by key: `key`, and `columns` with the old and the new value of each column
            that changed.
        files_compared, files_equal: files that were read, and files of both versions with equal bytes, which were not.
    """

    table: str
    old: int
    new: int
    key: tuple[str, ...]
    columns_added: Mapping[str, str]
    columns_gone: Mapping[str, str]
    types_changed: Mapping[str, tuple[str, str]]
    rows_before: int
    rows_after: int
    rows_added: int
    rows_gone: int
    rows_changed: int
    columns_changed: tuple[ColumnChange, ...]
    first_added: Sequence[Mapping[str, Any]]
    first_gone: Sequence[Mapping[str, Any]]
    first_changed: Sequence[Mapping[str, Any]]
    files_compared: int
    files_equal: int

    @property
    def is_empty(self) -> bool:
        """Whether neither columns nor rows changed."""
        rows = self.rows_added + self.rows_gone + self.rows_changed
        return not (rows or self.columns_added or self.columns_gone or self.types_changed)

    def to_dict(self) -> dict[str, Any]:
        """All attributes, in the types of JSON (see `json_values`)."""
        return json_value(asdict(self) | {"columns_changed": [asdict(change) for change in self.columns_changed]})

    def __str__(self) -> str:
        """The difference as plain text."""
        return "\n".join([self._title, *self._schema_lines(), *self._row_lines()])

    def _repr_html_(self) -> str:
        """The difference as HTML, for notebooks."""
        lines = "".join(f"<li>{html.escape(line.strip())}</li>" for line in self._schema_lines())
        return f"<p><b>{html.escape(self._title)}</b></p>" + (f"<ul>{lines}</ul>" if lines else "") + self._tables()

    @property
    def _title(self) -> str:
        title = f"{self.table}: version {self.old} -> {self.new}, {self.rows_before:,} -> {self.rows_after:,} rows"
        if self.is_empty:
            return f"{title}, no difference"
        return (
            f"{title}: {self.rows_added:,} added, {self.rows_gone:,} gone, {self.rows_changed:,} changed "
            f"(key: {', '.join(self.key)})"
        )

    def _schema_lines(self) -> Iterator[str]:
        yield from (f"  column added: {name} ({kind})" for name, kind in self.columns_added.items())
        yield from (f"  column gone: {name} ({kind})" for name, kind in self.columns_gone.items())
        yield from (f"  type changed: {name} ({old} -> {new})" for name, (old, new) in self.types_changed.items())

    def _row_lines(self) -> Iterator[str]:
        for change in self.columns_changed:
            yield f"  {change.column}: {change.rows:,} rows{_at_most(change)}"
        for sign, rows in (("+", self.first_added), ("-", self.first_gone)):
            yield from (f"  {sign} {_cells(row)}" for row in rows)
        for row in self.first_changed:
            yield f"  ~ {_cells(row['key'])}: {_changes(row['columns'])}"

    def _tables(self) -> str:
        changed = [
            {**row["key"], **{name: f"{_cell(old)} → {_cell(new)}" for name, (old, new) in row["columns"].items()}}
            for row in self.first_changed
        ]
        columns = [
            {"column": each.column, "rows": each.rows, "largest difference": each.largest_difference}
            for each in self.columns_changed
        ]
        parts = (
            ("Columns changed", columns),
            ("First rows changed", changed),
            ("First rows added", self.first_added),
            ("First rows gone", self.first_gone),
        )
        return "".join(_html_table(title, rows) for title, rows in parts if rows)


def _at_most(change: ColumnChange) -> str:
    return "" if change.largest_difference is None else f", by {change.largest_difference:.6g} at most"


def _cells(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_cell(value)}" for name, value in row.items())


def _changes(columns: Mapping[str, Sequence[Any]]) -> str:
    return ", ".join(f"{name} {_cell(old)} -> {_cell(new)}" for name, (old, new) in columns.items())


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json_text(value)
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


def _html_table(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(row[name])) if name in row else ''}</td>" for name in names) + "</tr>"
        for row in rows
    )
    return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
