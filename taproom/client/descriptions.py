"""What a reader should know of a table, as its newest (or pinned) commit and its schema say.

A version that was committed by an older release has no key, rules, limits and contract version on record.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from taproom.html import html_table
from taproom.warehouse.catalog import head, open_version
from taproom.warehouse.delta_log import TableLog
from taproom.warehouse.storage import Storage


@dataclass(frozen=True)
class ColumnDescription:
    """A column: name, Arrow type, whether it may be null, meaning and unit.

    `made_from` are the columns of other tables that it is made from ("table.column"); empty: none, or not on record.
    """

    name: str
    type: str
    nullable: bool
    description: str
    unit: str | None
    made_from: tuple[str, ...]


@dataclass(frozen=True)
class TableDescription:
    """A version of a table.

    Attributes:
        table: name of the table.
        version: the version that is described.
        newest: the newest version; versions count from 0.
        grain: what one row is.
        rows: number of rows; None where the files do not say.
        made: when it was committed (UTC).
        columns: in the table's order.
        key: the columns that identify a row (within a partition, if there are partitions); None: not on record.
        rules: what else is guaranteed; None: not on record.
        limits: what the rows do not allow to conclude, a sentence each.
        contract_version: version of the contract; None: not on record.
        partition: the column that the table is partitioned by.
        made_from: tables that it was made from, with the version.
        outdated: those of them that have a newer version, with that version. Empty: the table is fresh, as recorded.
        used_for: tables whose newest version was made from this table.
    """

    table: str
    version: int
    newest: int
    grain: str
    rows: int | None
    made: datetime
    columns: tuple[ColumnDescription, ...]
    key: tuple[str, ...] | None
    rules: tuple[str, ...] | None
    limits: tuple[str, ...]
    contract_version: str | None
    partition: str | None
    made_from: Mapping[str, int]
    outdated: Mapping[str, int]
    used_for: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The attributes, with what JSON can hold: the time as ISO 8601."""
        return {**asdict(self), "made": self.made.isoformat()}

    def __str__(self) -> str:
        columns = [
            f"  {column.name}: {column.type}{'' if column.nullable else ', not null'}{_in_unit(column)}"
            f"\n      {column.description}"
            + (f"\n      made from {', '.join(column.made_from)}" if column.made_from else "")
            for column in self.columns
        ]
        return "\n".join([f"{self._title}", *self._facts(), "columns:", *columns])

    def _repr_html_(self) -> str:
        rows = [
            (
                column.name,
                column.type,
                "" if column.nullable else "not null",
                column.unit,
                column.description,
                ", ".join(column.made_from),
            )
            for column in self.columns
        ]
        facts = html_table(self._title, (), [fact.split(": ", 1) for fact in self._facts()])
        return facts + html_table("columns", ("column", "type", "nulls", "unit", "meaning", "made from"), rows)

    @property
    def _title(self) -> str:
        return f"{self.table}, version {self.version} of 0 to {self.newest}"

    def _facts(self) -> list[str]:
        unknown = "not on record"
        newer = "".join(f"; {table} has version {version} now" for table, version in self.outdated.items())
        made_from = ", ".join(f"{table}@{version}" for table, version in self.made_from.items())
        facts = {
            "a row is": self.grain or unknown,
            "rows": unknown if self.rows is None else f"{self.rows:,}",
            "made": f"{self.made:%Y-%m-%d %H:%M} UTC",
            "key": unknown if self.key is None else ", ".join(self.key),
            "partitioned by": self.partition or "nothing",
            "made from": (made_from or "no other table") + newer,
            "used for": ", ".join(self.used_for) or "no other table",
            "rules": unknown if self.rules is None else "; ".join(self.rules),
            "limits": " ".join(self.limits) or "none on record",
            "contract version": self.contract_version or unknown,
        }
        return [f"{name}: {value}" for name, value in facts.items()]


@dataclass(frozen=True)
class TableList:
    """The tables of a warehouse: their names, each with its version and what one row is."""

    rows: tuple[tuple[str, int, str, datetime], ...]

    def __iter__(self) -> Iterator[str]:
        return (name for name, *_ in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, name: object) -> bool:
        return name in set(self)

    def __repr__(self) -> str:
        width = max((len(name) for name in self), default=0)
        return "\n".join(f"{name:<{width}}  {f'@{version}':<5} {grain}" for name, version, grain, _ in self.rows)

    def _repr_html_(self) -> str:
        rows = ((name, version, grain, f"{made:%Y-%m-%d %H:%M}") for name, version, grain, made in self.rows)
        return html_table(f"{len(self)} tables", ("table", "version", "a row is", "made (UTC)"), rows)


class History(list[dict[str, Any]]):
    """The versions of a table, as `taproom.warehouse.history` describes them, newest first."""

    def __str__(self) -> str:
        return "\n".join(
            f"{each['version']:>4}  {each['time']:%Y-%m-%d %H:%M}  {_count(each['rows']):>11} rows  {_inputs(each)}"
            for each in self
        )

    def _repr_html_(self) -> str:
        header = ("version", "made (UTC)", "partition", "rows", "made from")
        rows = (
            (each["version"], f"{each['time']:%Y-%m-%d %H:%M}", each["partition"], each["rows"], _inputs(each))
            for each in self
        )
        return html_table(f"{len(self)} versions", header, rows)


def _count(rows: int | None) -> str:
    return "" if rows is None else f"{rows:,}"


def _inputs(commit: Mapping[str, Any]) -> str:
    return ", ".join(f"{table}@{version}" for table, version in commit["inputs"].items())


def list_tables(storage: Storage, versions: Mapping[str, int]) -> TableList:
    """The list of the tables at these versions; raises `DamagedLogError`."""
    rows = []
    for table, version in sorted(versions.items()):
        entry = TableLog(storage, table).entry(version)
        rows.append((table, version, entry.metadata.get("contract", {}).get("grain", ""), entry.time))
    return TableList(tuple(rows))


def describe_table(storage: Storage, table: str, version: int, others: Mapping[str, int]) -> TableDescription:
    """Describe a version of a table; `others` are the versions of all tables to compare its inputs with.

    Raises:
        UnknownTableError: there is no such table or version.
        DamagedLogError: a log is damaged.
    """
    snapshot = open_version(storage, table, version)
    metadata = snapshot.entry.metadata
    contract = metadata.get("contract", {})
    made_from = {name: number for name, number in metadata.get("inputs", {}).items() if name != table}
    return TableDescription(
        table=table,
        version=version,
        newest=version if (newest := head(storage, table)) is None else newest,
        grain=contract.get("grain") or snapshot.delta.metadata().description or "",
        rows=metadata.get("table_rows"),
        made=snapshot.entry.time,
        columns=tuple(_column(field, contract.get("made_from", {})) for field in snapshot.arrow_schema),
        key=tuple(contract["key"]) if contract else None,
        rules=tuple(contract["rules"]) if contract else None,
        limits=tuple(contract.get("limits", ())),
        contract_version=contract.get("version"),
        partition=snapshot.partition_column,
        made_from=made_from,
        outdated={name: others[name] for name, number in made_from.items() if others.get(name, number) > number},
        used_for=tuple(
            name
            for name, number in others.items()
            if name != table and table in TableLog(storage, name).entry(number).metadata.get("inputs", {})
        ),
    )


def _column(field: Any, made_from: Mapping[str, Sequence[str]]) -> ColumnDescription:
    about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    return ColumnDescription(
        field.name,
        str(field.type),
        field.nullable,
        about.get("description", ""),
        about.get("unit"),
        tuple(made_from.get(field.name, ())),
    )


def _in_unit(column: ColumnDescription) -> str:
    return f", in {column.unit}" if column.unit else ""
