"""Foreign keys: columns whose values are keys of rows in another table.

A table is checked against the version of the other that it was made from, before it is committed (`publishing`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from taproom.errors import ContractError
from taproom.warehouse.sql_names import sql_name

_ROW = "row number"  # unlike the name of any column


@dataclass(frozen=True)
class ForeignKey:
    """The values of `columns` are those of `key` in a row of the table `table`.

    Of a list column, each entry is such a value. A reference with a null refers to nothing.

    >>> reference = ForeignKey(("neighbor_ids",), "items", ("item_id",))
    >>> str(reference)
    'neighbor_ids refers to item_id of items'
    """

    columns: tuple[str, ...]
    table: str
    key: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that there are as many columns as the key has."""
        if len(self.columns) != len(self.key):
            raise ContractError(f"the foreign key {self} has {len(self.columns)} columns, {len(self.key)} were wanted")

    def __str__(self) -> str:
        return f"{', '.join(self.columns)} refers to {', '.join(self.key)} of {self.table}"

    def query(self, table: str, schema: pa.Schema) -> str:
        """A query in DuckDB's SQL that counts the references of `table`, of this schema, to rows that are not there.

        >>> reference = ForeignKey(("item_id",), "items", ("item_id",))
        >>> print(reference.query("tfidf", pa.schema({"item_id": pa.string()})))
        select count(*) from (select "item_id" as c0 from "tfidf") as r
        where c0 is not null and not exists (select 1 from "items" as t where t."item_id" = r.c0)
        """
        columns = [
            f"unnest({sql_name(name)})" if pa.types.is_list(schema.field(name).type) else sql_name(name)
            for name in self.columns
        ]
        selected = ", ".join(f"{column} as c{number}" for number, column in enumerate(columns))
        present = " and ".join(f"c{number} is not null" for number in range(len(columns)))
        equal = " and ".join(f"t.{sql_name(name)} = r.c{number}" for number, name in enumerate(self.key))
        return (
            f"select count(*) from (select {selected} from {sql_name(table)}) as r\n"
            f"where {present} and not exists (select 1 from {sql_name(self.table)} as t where {equal})"
        )

    def references(self, rows: pa.RecordBatch, first_row: int = 0) -> pa.Table:
        """The references of rows: the row of each, counted from `first_row` (int64), and the key's columns."""
        from taproom.warehouse.list_entries import list_entries  # here: readers have no NumPy

        entries, row_of = list_entries(rows.column(self.columns[0]))
        others = [rows.column(name).take(pa.array(row_of)) for name in self.columns[1:]]
        values = dict(zip(self.key, [entries, *others], strict=True))
        return pa.table({_ROW: row_of + first_row, **values}).drop_null()

    def missing(self, references: pa.Table, keys: pa.Table) -> pa.Table:
        """Those of the references that no row of `keys` has, by their row."""
        return references.join(keys, keys=list(self.key), join_type="left anti").sort_by(
            [(name, "ascending") for name in (_ROW, *self.key)]
        )


def checked_references(
    table: str, foreign_key: ForeignKey, keys: pa.Table, version: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `table`, and check them against the keys of the version that they refer to.

    A comparison reads all keys. So references are collected until there are as many as keys, and the time does not grow
    with the number of batches.

    Raises:
        ContractError: rows refer to rows that are not there. The batch that has them may have been yielded before.
    """

    def check(references: list[pa.Table]) -> None:
        missing = foreign_key.missing(pa.concat_tables(references), keys)
        if missing.num_rows:
            row, *_ = missing[_ROW].to_pylist()
            example = missing.drop_columns(_ROW).slice(0, 1).to_pylist()[0]
            raise ContractError(
                f"{table}: {missing.num_rows} references break the rule '{foreign_key}', version {version}; the first "
                f"is in row {row}, {example}. Make {table} again from tables that belong together"
            )

    rows, collected, waiting = 0, [], 0
    for batch in batches:
        collected.append(foreign_key.references(batch, rows))
        rows += batch.num_rows
        waiting += collected[-1].num_rows
        if waiting >= keys.num_rows:
            check(collected)
            collected, waiting = [], 0
        yield batch
    if collected:
        check(collected)
