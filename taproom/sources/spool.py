"""Record batches kept in a temporary file, for what can only be settled once all rows have been seen.

Here belongs how rows wait on disk, so that memory holds one batch at a time. What is settled belongs to whoever reads
them again.
"""

import tempfile
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa


class Spool:
    """Takes record batches of one schema, and gives them again as often as wanted; the file is gone with the object.

    >>> spool = Spool(pa.schema({"item_id": pa.string()}))
    >>> for ids in (["ale", "bock"], ["stout"]):
    ...     spool.add(pa.record_batch({"item_id": ids}))
    >>> [batch.num_rows for batch in spool], spool.rows([0, 2]).to_pylist()
    ([2, 1], [{'item_id': 'ale'}, {'item_id': 'stout'}])
    """

    def __init__(self, schema: pa.Schema):
        self._schema = schema
        self._file = tempfile.NamedTemporaryFile(prefix="taproom-", suffix=".arrow")  # noqa: SIM115 (as long as the object)
        weakref.finalize(self, self._file.close)
        self._writer = pa.ipc.new_file(self._file.name, schema)
        self._is_open = True
        self._starts = [0]

    def __len__(self) -> int:
        """The number of rows so far."""
        return self._starts[-1]

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep a batch; none can be added once they have been read."""
        self._writer.write_batch(batch)
        self._starts.append(len(self) + batch.num_rows)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches, in their order."""
        if self._is_open:
            self._writer.close()
            self._is_open = False
        with pa.memory_map(self._file.name) as file:
            reader = pa.ipc.open_file(file)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number)

    def rows(self, positions: np.ndarray | Sequence[int], columns: Sequence[str] | None = None) -> pa.Table:
        """The rows at some positions, ascending, counted over all batches from 0; all of their columns, or some."""
        names = list(columns or self._schema.names)
        wanted = np.asarray(positions, np.int64)
        cuts = np.searchsorted(wanted, self._starts)
        batches = [
            batch.select(names).take(pa.array(wanted[first:last] - start))
            for batch, start, first, last in zip(self, self._starts, cuts, cuts[1:], strict=False)
            if last > first
        ]
        return pa.Table.from_batches(batches) if batches else self._schema.empty_table().select(names)
