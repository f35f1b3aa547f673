"""What changed between two versions of a table: `diff` counts and shows it, `changes` gives the rows themselves.

The rows of both versions are joined on the table's key by DuckDB, which keeps to `MEMORY_LIMIT` by writing to a
temporary folder. Files are verified and read one at a time; files with equal bytes in both versions are not read.
"""

import math
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from taproom.errors import InputError, StorageError, TaproomError
from taproom.object_store import reason
from taproom.warehouse import reading
from taproom.warehouse.catalog import existing_head, open_version
from taproom.warehouse.data_files import DataFile
from taproom.warehouse.delta_log import Snapshot
from taproom.warehouse.difference_report import ColumnChange, Difference
from taproom.warehouse.history import key_of
from taproom.warehouse.sql_names import sql_name
from taproom.warehouse.storage import Storage

if TYPE_CHECKING:
    import duckdb

# Of DuckDB. A file that is read adds its rows, of about 64 MB.
MEMORY_LIMIT = "1GB"

# Larger versions are compared only if somebody asks for it. 100,000 rows take about 0.3 s.
MAX_COMPARED_ROWS = 200_000
MAX_COMPARED_BYTES = 32 * 2**20


def diff(
    storage: Storage,
    table: str,
    old: int,
    new: int | None = None,
    *,
    key: Sequence[str] | None = None,
    partitions: Iterable[str] | None = None,
    ignore: Collection[str] = (),
    rtol: float = 0.0,
    atol: float = 0.0,
    first: int = 10,
) -> Difference:
    """Compare two versions of a table.

    Rows are matched by key. Two values are equal if both are null, both NaN, or the same; floating-point numbers, also
    those in lists, if abs(new - old) <= atol + rtol * abs(old), as in `numpy.isclose`. 0.0 equals -0.0.

    Args:
        storage: the warehouse.
        table: its name.
        old: the version to compare with.
        new: the version to compare; None for the newest.
        key: columns that identify a row; by default those of the table's contract.
        partitions: compare these partitions only.
        ignore: columns that are not compared.
        rtol: relative tolerance of floating-point numbers.
        atol: absolute tolerance of floating-point numbers.
        first: how many rows of each kind are shown.

    Raises:
        UnknownTableError: there is no such table or version.
        InputError: a version does not record its key, so `key` has to be given; the key is not unique; a column of it
            is missing in a version or has another type there; there is no column to ignore; or a number is negative.
        DamagedFileError: a file differs from what was committed.
        StorageError: the temporary folder is full.
    """
    if not (0 <= rtol < math.inf and 0 <= atol < math.inf and first >= 0):
        raise InputError(f"rtol={rtol}, atol={atol} and first={first} were given; wanted numbers of at least 0")
    versions = _Versions(storage, table, old, new, key, partitions)
    if unknown := set(ignore) - {name for schema in versions.schemas for name in schema.names}:
        known = ", ".join(versions.schemas[1].names)
        raise InputError(f"{table} has no columns {sorted(unknown)} to ignore; it has: {known}")
    with _joined(versions, ignore, _Tolerance(rtol, atol)) as joined:
        return joined.difference(first)


@dataclass(frozen=True)
class Changes:
    """What a consumer that has version `since` of a table needs to have version `version`.

    Delete the rows with the keys in `gone`, and replace or add the rows in `rows` by key. `rows` has the columns of the
    table and can be read once; `gone` has the columns of the key.
    """

    table: str
    since: int
    version: int
    key: tuple[str, ...]
    rows: pa.RecordBatchReader
    gone: pa.Table


def changes(
    storage: Storage,
    table: str,
    since_version: int,
    version: int | None = None,
    *,
    key: Sequence[str] | None = None,
) -> Changes:
    """The rows added or changed, and the keys gone, since a version of a table.

    If its columns have changed, all rows of the new version are given.

    Args:
        storage: the warehouse.
        table: its name.
        since_version: the version that the consumer has.
        version: the version that the consumer wants; None for the newest.
        key: columns that identify a row; by default those of the table's contract.

    Raises:
        UnknownTableError, InputError, DamagedFileError, StorageError: as `diff` does.
    """
    versions = _Versions(storage, table, since_version, version, key)
    with ExitStack() as stack:
        all_rows = not versions.have_equal_columns
        joined = stack.enter_context(_joined(versions, (), _Tolerance(0, 0), all_rows))
        schema = reading.stream(storage, table, versions.new.version).schema
        gone = joined.gone(schema)
        comparison = stack.pop_all()  # is kept for as long as rows are read

    def batches() -> Iterator[pa.RecordBatch]:
        with comparison:
            for batch in joined.added_and_changed():
                yield batch.cast(schema)

    rows = pa.RecordBatchReader.from_batches(schema, batches())
    return Changes(table, versions.old.version, versions.new.version, versions.key, rows, gone)


class _Versions:
    """The two versions that are compared: their schemas, key and files."""

    def __init__(
        self,
        storage: Storage,
        table: str,
        old: int,
        new: int | None,
        key: Sequence[str] | None,
        partitions: Iterable[str] | None = None,
    ) -> None:
        self.storage, self.table = storage, table
        self.partitions = None if partitions is None else set(partitions)
        self.old = open_version(storage, table, old)
        self.new = open_version(storage, table, existing_head(storage, table) if new is None else new)
        self.files = {side.version: self._files(side) for side in (self.old, self.new)}
        self.equal = self._equal_files()
        self.key = self._checked_key(key)
        for version in {self.old.version, self.new.version}:
            if self.key != key_of(storage, table, version):  # that was checked before the rows were committed
                self._check_unique(version)

    @property
    def schemas(self) -> tuple[pa.Schema, pa.Schema]:
        """The columns of the old and of the new version."""
        return self.old.arrow_schema, self.new.arrow_schema

    @property
    def have_equal_columns(self) -> bool:
        """Whether names, types and order of the columns are the same."""
        return self.schemas[0].equals(self.schemas[1])

    def rows(self, side: Snapshot) -> int:
        """Number of rows of a version."""
        return sum(file.rows for file in self.files[side.version])

    def stream(self, side: Snapshot) -> pa.RecordBatchReader:
        """The rows of a version that are not in equal files."""
        return reading.stream(
            self.storage, self.table, side.version, partitions=self.partitions, skipped=self.equal[side.version]
        )

    def _files(self, side: Snapshot) -> list[DataFile]:
        return [file for file in side.files if self.partitions is None or file.partition in self.partitions]

    def _equal_files(self) -> dict[int, set[DataFile]]:
        """The files of each version whose rows are also in a file of the other."""
        if not self.have_equal_columns:
            return {version: set() for version in self.files}
        old, new = ({(file.partition, file.sha256) for file in self.files[s.version]} for s in (self.old, self.new))
        return {
            version: {file for file in files if (file.partition, file.sha256) in old & new}
            for version, files in self.files.items()
        }

    def _checked_key(self, given: Sequence[str] | None) -> tuple[str, ...]:
        key = tuple(given) if given else key_of(self.storage, self.table, self.new.version)
        if not key:
            raise InputError(
                f"Version {self.new.version} of {self.table} does not record the key of its rows: an older release has "
                "committed it. Give the columns that identify a row as `key`."
            )
        for name in key:
            kinds = [schema.field(name).type if name in schema.names else "missing" for schema in self.schemas]
            if kinds[0] != kinds[1] or "missing" in kinds:
                raise InputError(
                    f"Rows of {self.table} are matched by {', '.join(key)}, but {name} is {kinds[0]} in version "
                    f"{self.old.version} and {kinds[1]} in version {self.new.version}. Give columns of both as `key`."
                )
        return key

    def _check_unique(self, version: int) -> None:
        """Check that the key identifies the rows of a version."""
        keys = reading.stream(
            self.storage, self.table, version, partitions=self.partitions, columns=self.key
        ).read_all()
        if keys.group_by(list(self.key)).aggregate([]).num_rows < keys.num_rows:
            raise InputError(
                f"{', '.join(self.key)} is not unique in version {version} of {self.table}; `key` has to identify a row"
            )


@dataclass(frozen=True)
class _Tolerance:
    """When two floating-point numbers count as equal."""

    relative: float
    absolute: float

    def differ(self, kind: pa.DataType, old: str, new: str) -> str:
        """SQL: whether two values of a type differ."""
        distinct = f"{old} is distinct from {new}"
        if not (self.relative or self.absolute):
            return distinct
        if pa.types.is_floating(kind):
            return f"({distinct} and not {self._close(old, new)})"
        if pa.types.is_list(kind) and pa.types.is_floating(kind.value_type):
            entries = f"list_zip({old}, {new})"
            close = f"(x[1] is not distinct from x[2] or {self._close('x[1]', 'x[2]')})"
            close = f"len({old}) = len({new}) and list_bool_and(list_transform({entries}, lambda x: {close}))"
            return f"({distinct} and not coalesce({close}, false))"
        return distinct

    def _close(self, old: str, new: str) -> str:
        old, new = f"{old}::double", f"{new}::double"
        limit = f"{self.absolute!r}::double + {self.relative!r}::double * abs({old})"
        return f"coalesce(isfinite({old}) and isfinite({new}) and abs({new} - {old}) <= {limit}, false)"


@dataclass(frozen=True)
class _Joined:
    """The rows that differ, in the DuckDB table `differing`.

    Its columns: `kind` (added, gone or changed); `o0`, `o1` ... and `n0`, `n1` ..., the columns of the old and of the
    new version by position; `d0`, `d1` ..., whether the column of the new version at that position differs.
    """

    versions: _Versions
    database: "duckdb.DuckDBPyConnection"
    compared: Sequence[str]

    def difference(self, first: int) -> Difference:
        old, new = self.versions.schemas
        kinds = dict(self.database.execute("select kind, count(*) from differing group by kind").fetchall())
        equal = self.versions.equal
        return Difference(
            table=self.versions.table,
            old=self.versions.old.version,
            new=self.versions.new.version,
            key=self.versions.key,
            columns_added={name: str(new.field(name).type) for name in new.names if name not in old.names},
            columns_gone={name: str(old.field(name).type) for name in old.names if name not in new.names},
            types_changed=_types_changed(old, new),
            rows_before=self.versions.rows(self.versions.old),
            rows_after=self.versions.rows(self.versions.new),
            rows_added=kinds.get("added", 0),
            rows_gone=kinds.get("gone", 0),
            rows_changed=kinds.get("changed", 0),
            columns_changed=tuple(self._columns_changed()),
            first_added=self._first("added", "n", new, first),
            first_gone=self._first("gone", "o", old, first),
            first_changed=self._first_changed(first),
            files_compared=sum(len(files) - len(equal[side]) for side, files in self.versions.files.items()),
            files_equal=len(equal[self.versions.new.version]),
        )

    def added_and_changed(self) -> Iterator[pa.RecordBatch]:
        """The new rows, with the names of the new version's columns."""
        names = self.versions.schemas[1].names
        query = f"select {_named('n', names)} from differing where kind != 'gone'"
        yield from self.database.sql(query).to_arrow_reader()

    def gone(self, schema: pa.Schema) -> pa.Table:
        """The keys that are gone, in the types of `schema`."""
        old = self.versions.schemas[0]
        wanted = ", ".join(f"o{old.names.index(name)} as {sql_name(name)}" for name in self.versions.key)
        keys = self.database.sql(f"select {wanted} from differing where kind = 'gone'").to_arrow_table()
        return keys.cast(pa.schema([schema.field(name) for name in self.versions.key]))

    def _columns_changed(self) -> Iterator[ColumnChange]:
        old, new = self.versions.schemas
        for name in self.compared:
            before, after = old.names.index(name), new.names.index(name)
            farthest = _largest_difference(new.field(name).type, f"o{before}", f"n{after}")
            query = f"select count(*), max({farthest}) from differing where kind = 'changed' and d{after}"
            rows, largest = self.database.execute(query).fetchall()[0]
            if rows:
                yield ColumnChange(name, rows, None if largest is None else float(largest))

    def _first(self, kind: str, side: str, schema: pa.Schema, first: int) -> list[dict[str, Any]]:
        order = ", ".join(f"{side}{schema.names.index(name)}" for name in self.versions.key)
        rows = f"select {_named(side, schema.names)} from differing where kind = '{kind}'"
        return self.database.sql(f"{rows} order by {order} limit {first}").to_arrow_table().to_pylist()

    def _first_changed(self, first: int) -> list[dict[str, Any]]:
        old, new = self.versions.schemas
        places = {name: new.names.index(name) for name in new.names}
        order = ", ".join(f"n{places[name]}" for name in self.versions.key)
        query = f"select * from differing where kind = 'changed' order by {order} limit {first}"
        return [
            {
                "key": {name: row[f"n{places[name]}"] for name in self.versions.key},
                "columns": {
                    name: [row[f"o{old.names.index(name)}"], row[f"n{places[name]}"]]
                    for name in self.compared
                    if row[f"d{places[name]}"]
                },
            }
            for row in self.database.sql(query).to_arrow_table().to_pylist()
        ]


@dataclass
class _Source:
    """Batches for DuckDB, which would replace an error that is raised while it reads them by one of its own."""

    reader: pa.RecordBatchReader
    error: TaproomError | None = field(default=None, init=False)

    def batches(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self.reader.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self.reader
        except TaproomError as error:
            self.error = error
            raise


@contextmanager
def _joined(
    versions: _Versions, ignore: Collection[str], tolerance: _Tolerance, all_rows: bool = False
) -> Iterator[_Joined]:
    """Join the two versions; the rows that differ are kept in a temporary database while the context is open.

    With `all_rows`, those with equal values are kept too, as changed ones.
    """
    import duckdb  # here, since other readers do without

    old, new = versions.schemas
    left_out = {*versions.key, *ignore, *_types_changed(old, new)}
    compared = [name for name in new.names if name in old.names and name not in left_out]
    sources = [_Source(versions.stream(side)) for side in (versions.old, versions.new)]
    with tempfile.TemporaryDirectory(prefix="taproom-diff-") as folder:
        try:
            with duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "temp_directory": folder}) as database:
                database.execute("set enable_progress_bar = false")  # it would be printed among what the caller prints
                for name, source in zip(("old_rows", "new_rows"), sources, strict=True):
                    database.register(name, source.batches())
                database.execute(_join(versions, compared, tolerance, all_rows))
                yield _Joined(versions, database, compared)
        except duckdb.Error as error:
            for source in sources:
                if source.error:
                    raise source.error from None
            both = f"versions {versions.old.version} and {versions.new.version} of {versions.table}"
            raise StorageError(
                f"{both} could not be compared in {folder}: {reason(error)}. Free some space there, or set TMPDIR to a "
                "folder with more."
            ) from error


def _join(versions: _Versions, compared: Sequence[str], tolerance: _Tolerance, all_rows: bool) -> str:
    """SQL: make the table `differing` of the rows of `old_rows` and `new_rows`."""
    old, new = versions.schemas
    both = [name for name in new.names if name in old.names]
    sides = {name: (f"o.o{old.names.index(name)}", f"n.n{new.names.index(name)}") for name in both}
    differ = {name: tolerance.differ(new.field(name).type, *sides[name]) for name in compared}
    flags = [f"coalesce({sql}, false) as d{new.names.index(name)}" for name, sql in differ.items()]
    conditions = ["o.present is null", "n.present is null", *differ.values(), *(["true"] if all_rows else [])]
    matched = " and ".join("{} is not distinct from {}".format(*sides[name]) for name in versions.key)
    kind = "case when o.present is null then 'added' when n.present is null then 'gone' else 'changed' end as kind"
    return f"""
        create table differing as
        select {", ".join([kind, "o.* exclude (present)", "n.* exclude (present)", *flags])}
        from (select true as present, {_numbered("o", old.names)} from old_rows) o
        full join (select true as present, {_numbered("n", new.names)} from new_rows) n on {matched}
        where {" or ".join(conditions)}
    """


def _types_changed(old: pa.Schema, new: pa.Schema) -> dict[str, tuple[str, str]]:
    both = [name for name in new.names if name in old.names]
    kinds = {name: (old.field(name).type, new.field(name).type) for name in both}
    return {name: (str(before), str(after)) for name, (before, after) in kinds.items() if before != after}


def _largest_difference(kind: pa.DataType, old: str, new: str) -> str:
    """SQL: by how much two values differ; null where that is no finite number."""
    if pa.types.is_list(kind) and is_number(kind.value_type):
        distance = _distance(kind.value_type, "x[1]", "x[2]")
        distances = f"list_max(list_transform(list_zip({old}, {new}), lambda x: {distance}))"
        return f"case when len({old}) = len({new}) then {distances} end"
    return _distance(kind, old, new) if is_number(kind) else "null"


def _distance(kind: pa.DataType, old: str, new: str) -> str:
    if pa.types.is_integer(kind):
        return f"abs({new}::hugeint - {old}::hugeint)::double"
    old, new = f"{old}::double", f"{new}::double"
    return f"case when isfinite({old}) and isfinite({new}) then abs({new} - {old}) end"


def is_number(kind: pa.DataType) -> bool:
    """Whether values of a type have a distance."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _numbered(side: str, names: Sequence[str]) -> str:
    """SQL: columns by name, as columns by position."""
    return ", ".join(f"{sql_name(name)} as {side}{place}" for place, name in enumerate(names))


def _named(side: str, names: Sequence[str]) -> str:
    """SQL: columns by position, as columns by name."""
    return ", ".join(f"{side}{place} as {sql_name(name)}" for place, name in enumerate(names))
