"""How far a version of a table is from the one before it, and what of that is more than usual."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from taproom.warehouse import reading
from taproom.warehouse.catalog import open_version
from taproom.warehouse.contracts import Contract, Usual
from taproom.warehouse.difference import is_number
from taproom.warehouse.sql_names import sql_name
from taproom.warehouse.storage import Storage

if TYPE_CHECKING:
    import duckdb

# The distributions of fewer rows differ by chance alone: the Kolmogorov-Smirnov statistic of two samples of 100 rows
# exceeds 0.28 in one of 1,000 cases.
MIN_ROWS = 100
MIN_ROWS_OF_CATEGORY = 10  # on average; a column of texts with more values is not one of categories
SAMPLE = 2_000  # rows


@dataclass(frozen=True)
class VersionChange:
    """How far a version is from the one before it.

    Attributes:
        rows_before, rows_after: rows of the two versions.
        rows_added, rows_gone: rows with a key of only one version; None if the versions are too large to be compared.
        drift: the distance of the distributions of each compared column, as `drift` gives it.
    """

    rows_before: int
    rows_after: int
    rows_added: int | None = None
    rows_gone: int | None = None
    drift: Mapping[str, float] = field(default_factory=dict)

    @property
    def added(self) -> float:
        """Rows added, as a share of the rows before; of large versions, how much the number of rows grew."""
        added = max(self.rows_after - self.rows_before, 0) if self.rows_added is None else self.rows_added
        return added / max(self.rows_before, 1)

    @property
    def gone(self) -> float:
        """Rows gone, as a share of the rows before; of large versions, how much the number of rows fell."""
        gone = max(self.rows_before - self.rows_after, 0) if self.rows_gone is None else self.rows_gone
        return gone / max(self.rows_before, 1)

    def beyond(self, usual: Usual) -> list[str]:
        """What is more than usual, as sentences with the limit; none if all is as usual.

        >>> VersionChange(100, 60, rows_added=0, rows_gone=40, drift={"abv": 0.05}).beyond(Usual(gone=0.3))
        ['40% of the rows before are gone (usual: at most 30%)']
        """
        return [
            *_more_rows("added", self.added, usual.added),
            *_more_rows("gone", self.gone, usual.gone),
            *(
                f"the distribution of {column} moved by {distance:.2f} (usual: at most {usual.drift:g})"
                for column, distance in self.drift.items()
                if distance > usual.drift
            ),
        ]


def _more_rows(kind: str, share: float, limit: float) -> Iterator[str]:
    if share > limit:
        yield f"{share:,.0%} of the rows before are {kind} (usual: at most {limit:,.0%})"


def drift(
    storage: Storage, contract: Contract, old: int, new: int, *, partition: str | None = None
) -> dict[str, float]:
    """The distance of the distributions of each column in two versions of a table, from 0 (equal) to 1 (disjoint).

    Numbers, and those in lists, are compared by the two-sample Kolmogorov-Smirnov statistic: the largest difference of
    the empirical distribution functions (Kolmogorov 1933, Smirnov 1939; the `statistic` of `scipy.stats.ks_2samp`).
    Null counts as larger than any number. Texts and booleans are compared by the total variation distance: half the
    sum of the absolute differences of the values' shares.

    Left out are columns of the key, volatile columns, those that are not in both versions with the same type, and
    those of texts with fewer than `MIN_ROWS_OF_CATEGORY` rows for each value. With fewer than `MIN_ROWS` rows, all are
    left out. Of large versions, a sample is compared: about `SAMPLE` rows of the smaller one, with the same keys.

    Args:
        storage: the warehouse.
        contract: of the table.
        old: the version to compare with.
        new: the version to compare.
        partition: compare this partition only.

    Raises:
        UnknownTableError: there is no such table or version.
        DamagedFileError: a file differs from what was committed.
    """
    import duckdb  # here, since definitions are loaded without

    snapshots = [open_version(storage, contract.table, version) for version in (old, new)]
    rows = [sum(file.rows for file in each.files if partition in (None, file.partition)) for each in snapshots]
    if min(rows) < MIN_ROWS:
        return {}
    schemas = [each.arrow_schema for each in snapshots]
    names = [column.name for column in contract.columns if _is_compared(contract, column.name, *schemas)]
    key = [name for name in contract.row_key if all(name in schema.names for schema in schemas)]
    one_of = -(-min(rows) // SAMPLE)
    with duckdb.connect() as database:
        for side, version in (("old", old), ("new", new)):
            partitions = None if partition is None else [partition]
            stored = reading.stream(storage, contract.table, version, partitions=partitions, columns=[*key, *names])
            database.register("stored", stored)
            database.execute(f"create table {side} as select * from stored where {_is_in_sample(key, one_of)}")
            database.unregister("stored")
        found = {name: _distance(database, schemas[1].field(name)) for name in names}
    return {name: distance for name, distance in found.items() if distance is not None}


def _is_compared(contract: Contract, name: str, old: pa.Schema, new: pa.Schema) -> bool:
    if name in contract.row_key or name in contract.volatile or not (name in old.names and name in new.names):
        return False
    kind = new.field(name).type
    return old.field(name).type == kind and (_is_category(kind) or is_number(_entry(kind)))


def _entry(kind: pa.DataType) -> pa.DataType:
    """The type of the entries of a list; of anything else, the type itself."""
    return kind.value_type if pa.types.is_list(kind) else kind


def _is_category(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_boolean(kind)


def _is_in_sample(key: Sequence[str], one_of: int) -> str:
    """SQL: whether a row is in a sample of one row of `one_of`, which is chosen by the key."""
    return f"hash({', '.join(map(sql_name, key))}) % {one_of} = 0" if key and one_of > 1 else "true"


def _distance(database: "duckdb.DuckDBPyConnection", column: pa.Field) -> float | None:
    """The distance of the distributions of a column in the tables `old` and `new`; None if it cannot be compared."""
    value = f"unnest({sql_name(column.name)})" if pa.types.is_list(column.type) else sql_name(column.name)
    counts = f"""
        select value, count(*) filter (side = 'old') as before, count(*) filter (side = 'new') as after
        from (select {value} as value, 'old' as side from old union all select {value}, 'new' from new)
        group by value
    """
    categories, before, after = _row(database, f"select count(*), sum(before), sum(after) from ({counts})")
    if not before or not after:
        return None
    if not _is_category(column.type):
        passed = "over (order by value nulls last)"
        difference = f"abs(sum(before) {passed} / {before} - sum(after) {passed} / {after})"
        return _row(database, f"select max(difference) from (select {difference} as difference from ({counts}))")[0]
    if categories * MIN_ROWS_OF_CATEGORY > min(before, after):
        return None
    return _row(database, f"select sum(abs(before / {before} - after / {after})) / 2 from ({counts})")[0]


def _row(database: "duckdb.DuckDBPyConnection", query: str) -> tuple[Any, ...]:
    return database.execute(query).fetchall()[0]
