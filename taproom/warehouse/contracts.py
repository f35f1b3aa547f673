"""Contracts: what a table guarantees, checked before anything is published.

A contract is written once, beside the asset that makes the table. From it come the check (here), the column schema in
the Dagster UI, the Open Data Contract under `data/contracts/`, and the reader's documentation. A comparison with
earlier versions of a table is an asset check, not a contract: of it, only the limits are here (`Usual`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import ContractError
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.list_entries import list_entries
from taproom.warehouse.sql_names import sql_name

# What Arrow counts as white space, for regular expressions of DuckDB, whose own class has less.
_WHITE_SPACE = r"[\x09-\x0D\x1C-\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]"


@dataclass(frozen=True)
class Column:
    """A column: its exact Arrow type, whether it may be null, and what its values mean.

    A `volatile` column may differ between two runs on the same inputs (durations, wall-clock times), so it is left out
    of the content hash. `made_from` are the columns of other tables that its values are made from, as "table.column",
    without those that only choose or order rows; empty: none (parameters, random draws), or not stated.
    """

    name: str
    type: pa.DataType
    description: str
    unit: str | None = None
    nullable: bool = False
    volatile: bool = False
    made_from: tuple[str, ...] = ()

    def arrow_field(self) -> pa.Field:
        """The Arrow field, with description and unit in its metadata."""
        metadata = {"description": self.description} | ({"unit": self.unit} if self.unit else {})
        return pa.field(self.name, self.type, nullable=self.nullable, metadata=metadata)


class Invariant(Protocol):
    """A rule that can be checked for each batch of rows alone."""

    def __str__(self) -> str:
        """The rule as a sentence."""

    def broken_rows(self, rows: pa.RecordBatch) -> np.ndarray:
        """Which rows break it: bool, shape (rows,)."""

    def broken_sql(self, schema: pa.Schema) -> str:
        """The same as a condition in DuckDB's SQL, for rows of this schema: true for those that break it."""


@dataclass(frozen=True)
class Between:
    """Numbers (or the numbers of a list) are finite and in [low, high]; nulls are allowed where the column allows them.

    >>> rule = Between("share", 0, 1)
    >>> str(rule)
    'share is finite, at least 0, at most 1'
    >>> rule.broken_rows(pa.record_batch({"share": [0.5, 1.5, None]}))
    array([False,  True, False])
    >>> rule.broken_sql(pa.schema({"share": pa.float64()}))
    'not (isfinite("share"::double) and "share"::double >= 0 and "share"::double <= 1)'
    """

    column: str
    low: float = -np.inf
    high: float = np.inf

    def __str__(self) -> str:
        bounds = (("at least", self.low), ("at most", self.high))
        limits = [f"{name} {bound:g}" for name, bound in bounds if np.isfinite(bound)]
        return ", ".join([f"{self.column} is finite", *limits])

    def broken_rows(self, rows: pa.RecordBatch) -> np.ndarray:
        values, row_of = list_entries(rows.column(self.column))
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        valid = np.isfinite(numbers) & (numbers >= self.low) & (numbers <= self.high)
        valid |= values.is_null().to_numpy(zero_copy_only=False)
        return _mask(row_of[~valid], rows.num_rows)

    def broken_sql(self, schema: pa.Schema) -> str:
        def outside(value: str) -> str:
            bounds = ((">=", self.low), ("<=", self.high))
            # DuckDB rounds a bound to single precision where the number has it, and 0.1 becomes the next larger one.
            limits = [f"{value}::double {sign} {bound:.17g}" for sign, bound in bounds if np.isfinite(bound)]
            return f"not ({' and '.join([f'isfinite({value}::double)', *limits])})"

        return _sql_of_any(schema.field(self.column), outside)


@dataclass(frozen=True)
class NotBlank:
    """Each text (or text of a list) has at least one character that is not white space."""

    column: str

    def __str__(self) -> str:
        return f"{self.column} is not blank"

    def broken_rows(self, rows: pa.RecordBatch) -> np.ndarray:
        values, row_of = list_entries(rows.column(self.column))
        blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0)
        return _mask(row_of[pc.fill_null(blank, False).to_numpy(zero_copy_only=False)], rows.num_rows)

    def broken_sql(self, schema: pa.Schema) -> str:
        return _sql_of_any(schema.field(self.column), lambda value: f"regexp_full_match({value}, '{_WHITE_SPACE}*')")


@dataclass(frozen=True)
class OneOf:
    """Each text is one of a fixed set of words; nulls are allowed where the column allows them."""

    column: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.column} is one of {', '.join(self.words)}"

    def broken_rows(self, rows: pa.RecordBatch) -> np.ndarray:
        known = pc.is_in(rows.column(self.column), value_set=pa.array([*self.words, None], pa.string()))
        return ~known.to_numpy(zero_copy_only=False)

    def broken_sql(self, schema: pa.Schema) -> str:
        words = ", ".join("'" + word.replace("'", "''") + "'" for word in self.words)
        return f"{sql_name(self.column)} not in ({words})"


@dataclass(frozen=True)
class SameLength:
    """Two list columns have the same number of entries in each row."""

    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.first} and {self.second} are equally long"

    def broken_rows(self, rows: pa.RecordBatch) -> np.ndarray:
        lengths = (pc.list_value_length(rows.column(name)) for name in (self.first, self.second))
        return pc.not_equal(*(pc.fill_null(length, 0) for length in lengths)).to_numpy(zero_copy_only=False)

    def broken_sql(self, schema: pa.Schema) -> str:
        first, second = (f"coalesce(len({sql_name(name)}), 0)" for name in (self.first, self.second))
        return f"{first} <> {second}"


@dataclass(frozen=True)
class Ascending:
    """The entries of each list are in ascending order (strictly, unless `ties` are allowed)."""

    column: str
    ties: bool = False

    def __str__(self) -> str:
        return f"{self.column} is {'in' if self.ties else 'in strictly'} ascending order within a row"

    def broken_rows(self, rows: pa.RecordBatch) -> np.ndarray:
        values, row_of = list_entries(rows.column(self.column))
        grows = (pc.less_equal if self.ties else pc.less)(values[:-1], values[1:]) if len(values) > 1 else None
        if grows is None:
            return np.zeros(rows.num_rows, dtype=bool)
        falls = ~pc.fill_null(grows, False).to_numpy(zero_copy_only=False) & (row_of[:-1] == row_of[1:])
        return _mask(row_of[1:][falls], rows.num_rows)

    def broken_sql(self, schema: pa.Schema) -> str:
        column = sql_name(self.column)
        entry, following = f"{column}[i]", f"{column}[i + 1]"
        grows = f"{entry} {'<=' if self.ties else '<'} {following}"
        if pa.types.is_floating(schema.field(self.column).type.value_type):  # in DuckDB, NaN is larger than all numbers
            grows += f" and not isnan({entry}) and not isnan({following})"
        return f"len(list_filter(range(1, len({column})), lambda i: not coalesce({grows}, false))) > 0"


@dataclass(frozen=True)
class SumsTo:
    """The entries of each list sum to `total`, up to rounding; nulls are allowed where the column allows them."""

    column: str
    total: float

    def __str__(self) -> str:
        return f"{self.column} sums to {self.total:g}"

    def broken_rows(self, rows: pa.RecordBatch) -> np.ndarray:
        values, row_of = list_entries(rows.column(self.column))
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        sums = np.bincount(row_of, weights=numbers, minlength=rows.num_rows)
        off = ~np.isclose(sums, self.total, rtol=0, atol=1e-9 * max(1.0, abs(self.total)))
        return off & rows.column(self.column).is_valid().to_numpy(zero_copy_only=False)

    def broken_sql(self, schema: pa.Schema) -> str:
        column = sql_name(self.column)
        off = f"abs(coalesce(list_sum({column}), 0) - {self.total:.17g}) > {1e-9 * max(1.0, abs(self.total)):.17g}"
        return f"list_count({column}) < len({column}) or {off} and {column} is not null"


@dataclass(frozen=True)
class Usual:
    """How far a version usually is from the one before it; the asset check `usual_version` warns beyond that.

    Attributes:
        added: rows with a new key, as a share of the rows before: 1.0 doubles the table. `math.inf`: any number.
        gone: rows whose key is gone, as a share of the rows before.
        drift: largest distance of the distributions of a column, from 0 to 1 (`taproom.warehouse.version_change`).
        reason: why these are the limits.
    """

    added: float = 1.0
    gone: float = 0.3
    drift: float = 0.3
    reason: str = (
        "one more batch of the same kind, another seed and a small change of the settings keep most rows and the "
        "distributions of the columns"
    )

    def __str__(self) -> str:
        parts = [
            f"at most {limit:.0%} of the rows before {what}"
            for what, limit in (("are added", self.added), ("are gone", self.gone))
            if np.isfinite(limit)
        ]
        if self.drift < 1:
            parts.append(f"the distribution of no column moves by more than {self.drift:g}")
        return f"{', '.join(parts) or 'any change is usual'} ({self.reason})"


# Kinds of tables; the numbers are from pairs of real versions (docs/tables.md).
FOLLOWS_BATCHES = Usual(
    added=np.inf,
    drift=0.5,
    reason="it is made from all batches; one more may have any size, and if it is as large as all before, it moves "
    "distributions by up to a half",
)
COUNTS_BATCHES = Usual(
    added=np.inf, drift=0.8, reason="it counts over all batches; one more may have any size, and counts grow with each"
)
FOLLOWS_SETTINGS = Usual(
    added=np.inf,
    gone=np.inf,
    drift=0.5,
    reason="the seed and the settings, which a new champion changes, decide which rows there are",
)


@dataclass(frozen=True)
class Contract:
    """The columns, the key and the invariants of the table `table`.

    `grain` says what one row is; `key` are the columns that identify it (within a partition, if there are partitions);
    `partition` is the column that names the partition; `single_valued` columns have one value in the whole table and
    in all its versions; `usual` says how far a version usually is from the one before.

    >>> beers = Contract(
    ...     table="beers",
    ...     grain="a beer",
    ...     columns=(
    ...         Column("beer_id", pa.string(), "the beer"),
    ...         Column("abv_percent", pa.float64(), "alcohol", unit="%", nullable=True),
    ...     ),
    ...     key=("beer_id",),
    ...     invariants=(Between("abv_percent", 0, 100),),
    ... )
    >>> rows = beers.table_of(beer_id=["stout", "porter"], abv_percent=[5.0, None])
    >>> sum(batch.num_rows for batch in beers.checked(rows.to_batches()))
    2
    """

    table: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    invariants: tuple[Invariant, ...] = ()
    partition: str | None = None
    single_valued: tuple[str, ...] = ()
    may_be_empty: bool = False
    foreign_keys: tuple[ForeignKey, ...] = ()
    limits: tuple[str, ...] = ()
    version: str = "1.0.0"
    usual: Usual = Usual()
    schema: pa.Schema = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Build the schema, and check that the contract has all columns that it refers to."""
        object.__setattr__(self, "schema", pa.schema([column.arrow_field() for column in self.columns]))
        referring = {name for foreign_key in self.foreign_keys for name in foreign_key.columns}
        named = {*self.key, *self.single_valued, *([self.partition] if self.partition else []), *referring}
        if unknown := named - set(self.schema.names):
            raise ContractError(f"the contract of {self.table} refers to {sorted(unknown)}, which it has no column for")

    @property
    def row_key(self) -> tuple[str, ...]:
        """The columns that identify a row in the whole table: the partition's and the key's."""
        return tuple(dict.fromkeys([*([self.partition] if self.partition else []), *self.key]))

    @property
    def volatile(self) -> frozenset[str]:
        """Names of the columns that may differ between two runs on the same inputs."""
        return frozenset(column.name for column in self.columns if column.volatile)

    @property
    def guarantees(self) -> list[str]:
        """What the contract guarantees besides the columns' types, each as a sentence."""
        single = [f"{name} has one value in the whole table" for name in self.single_valued]
        rows = [] if self.may_be_empty else ["there is at least one row"]
        rules = map(str, (*self.invariants, *self.foreign_keys))
        return [f"{', '.join(self.key)} is unique", *rows, *single, *rules]

    @property
    def rules(self) -> list[str]:
        """What the contract guarantees, and what it does not: which columns are volatile."""
        volatile = [f"{name} may differ between runs on the same inputs" for name in sorted(self.volatile)]
        return [*self.guarantees, *volatile]

    @property
    def queries(self) -> dict[str, str]:
        """For each invariant, by its sentence, a query in DuckDB's SQL that counts the rows which break it."""
        count = f"select count(*) from {sql_name(self.table)} where "
        return {str(each): count + each.broken_sql(self.schema) for each in self.invariants}

    def table_of(self, **columns: Any) -> pa.Table:
        """A table of this contract's schema from one sequence or Arrow array per column."""
        return pa.table([columns[name] for name in self.schema.names], schema=self.schema)

    def checked(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Check `batches` and yield them, one by one.

        Schema, nulls and invariants are checked for each batch. Unique keys, single-valued columns and the number of
        rows are checked after the last batch, because they need all of them.

        Raises:
            ContractError: a batch, or all of them together, break the contract.
        """
        keys: list[pa.RecordBatch] = []
        rows = 0
        for batch in batches:
            self.check_schema(batch.schema)
            self._check_nulls(batch)
            self._check_invariants(batch, first_row=rows)
            keys.append(batch.select(list(dict.fromkeys([*self.key, *self.single_valued]))))
            rows += batch.num_rows
            yield batch
        if not rows and not self.may_be_empty:
            raise ContractError(f"{self.table}: no rows were given, at least one was wanted")
        if rows:
            self._check_whole(pa.Table.from_batches(keys))

    def check_schema(self, given: pa.Schema) -> None:
        """Check that names, types, nullability and order of the columns are exactly the contract's.

        Raises:
            ContractError: they are not.
        """
        if given.equals(self.schema):
            return
        by_name = {column.name: column for column in given}
        wrong = [
            f"{wanted.name}: {column_type(by_name.get(wanted.name))} was given, {column_type(wanted)} was wanted"
            for wanted in self.schema
            if wanted.name not in by_name or wanted != by_name[wanted.name]
        ]
        extra = [f"{name}: not in the contract" for name in by_name if name not in self.schema.names]
        found = "; ".join(wrong + extra) or f"the order {given.names} was given, {self.schema.names} was wanted"
        raise ContractError(f"{self.table}: the columns are not the contract's. {found}")

    def _check_nulls(self, batch: pa.RecordBatch) -> None:
        for wanted, values in zip(self.schema, batch.columns, strict=True):
            if has_forbidden_null(wanted, values):
                raise ContractError(f"{self.table}: {wanted.name} has nulls, the contract wants none")

    def _check_invariants(self, batch: pa.RecordBatch, first_row: int) -> None:
        for invariant in self.invariants:
            broken = np.flatnonzero(invariant.broken_rows(batch))
            if broken.size:
                example = batch.select(list(self.key)).slice(int(broken[0]), 1).to_pylist()[0]
                raise ContractError(
                    f"{self.table}: {broken.size} rows break the rule '{invariant}'; "
                    f"the first is row {first_row + broken[0]}, {example}"
                )

    def _check_whole(self, keys: pa.Table) -> None:
        counted = keys.select(list(self.key)).group_by(list(self.key)).aggregate([([], "count_all")])
        twice = counted.filter(pc.greater(counted["count_all"], 1))
        if twice.num_rows:
            example = twice.drop_columns("count_all").slice(0, 1).to_pylist()[0]
            raise ContractError(
                f"{self.table}: {twice.num_rows} keys stand more than once, for example {example}; "
                f"{', '.join(self.key)} must be unique"
            )
        for name in self.single_valued:
            values = keys[name].unique()
            if len(values) > 1:
                raise ContractError(f"{self.table}: {name} has the values {values.to_pylist()[:3]}, one was wanted")


def map_entries(values: pa.MapArray) -> tuple[pa.Array, pa.Array]:
    """All keys and all values of a map column, without those under its nulls (Arrow's `flatten` does not take maps)."""
    present = values.drop_null()
    inner = slice(present.offsets[0].as_py(), present.offsets[-1].as_py())
    return present.keys[inner], present.items[inner]


def has_forbidden_null(wanted: pa.Field, values: pa.Array) -> bool:
    """Whether `values` has a null where the field, or a field nested in its type, allows none."""
    if not wanted.nullable and values.null_count:
        return True
    kind = wanted.type
    if pa.types.is_map(kind):
        return has_forbidden_null(kind.item_field, map_entries(values)[1])  # a key cannot be null
    if pa.types.is_list(kind):
        return has_forbidden_null(kind.value_field, values.flatten())
    if pa.types.is_struct(kind):
        parts = values.drop_null().flatten()
        return any(has_forbidden_null(inner, part) for inner, part in zip(kind, parts, strict=True))
    return False


def column_type(column: pa.Field | None) -> str:
    """The type of a column as messages name it, and whether it may be null."""
    return "nothing" if column is None else f"{column.type}{'' if column.nullable else ' not null'}"


def _sql_of_any(column: pa.Field, condition: Callable[[str], str]) -> str:
    """A condition on a value as SQL: of the column, or of any entry of a list column."""
    name = sql_name(column.name)
    if not pa.types.is_list(column.type):
        return condition(name)
    return f"len(list_filter({name}, lambda value: {condition('value')})) > 0"


def _mask(rows: np.ndarray, count: int) -> np.ndarray:
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    return mask
