"""The content hash: a hash of a table's rows that does not depend on files, chunks or buffers.

It is Dagster's data version, so two tables have the same hash exactly if they have the same rows in the same order.
Each leaf of a column (validity, lengths, values) is hashed as one stream of bytes, so that the hash does not depend on
where one batch ends and the next begins.
"""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import ContractError
from taproom.warehouse.contracts import map_entries


class ContentHash:
    """SHA-256 over the rows of a table with `schema`, updated batch by batch; `volatile` columns are left out."""

    def __init__(self, schema: pa.Schema, volatile: frozenset[str] = frozenset()) -> None:
        """Start the hash of an empty table of `schema`."""
        self._names = [name for name in schema.names if name not in volatile]
        self._leaves: dict[str, hashlib._Hash] = {}
        self._schema = [(name, str(schema.field(name).type)) for name in self._names]
        self.rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the rows of `batch`."""
        self.rows += batch.num_rows
        for name in self._names:
            for leaf, content in _leaves(name, batch.column(name)):
                self._leaves.setdefault(leaf, hashlib.sha256()).update(content)

    def hexdigest(self) -> str:
        """64 hex digits for all rows so far."""
        whole = hashlib.sha256(repr((self._schema, self.rows)).encode())
        if self.rows:  # batches without rows add leaves too, which must not count
            for leaf in sorted(self._leaves):
                whole.update(leaf.encode() + self._leaves[leaf].digest())
        return whole.hexdigest()


def content_hash(table: pa.Table, volatile: frozenset[str] = frozenset()) -> str:
    """The content hash of a table in memory: 64 hex digits.

    >>> whole = pa.table({"n": [1, 2, 3]})
    >>> chunked = pa.concat_tables([whole.slice(0, 1), whole.slice(1)])
    >>> content_hash(whole) == content_hash(chunked)
    True
    >>> content_hash(whole) == content_hash(whole.slice(1))
    False
    """
    whole = ContentHash(table.schema, volatile)
    for batch in table.to_batches():
        whole.update(batch)
    return whole.hexdigest()


def _leaves(name: str, values: pa.Array) -> Iterator[tuple[str, memoryview | bytes]]:
    """The byte streams of an array, each with its name; values under a null do not count."""
    yield f"{name}?", _bytes(values.is_valid())
    kind = values.type
    if pa.types.is_map(kind):
        keys, items = map_entries(values)
        yield f"{name}#", np.diff(values.drop_null().offsets).tobytes()
        yield from _leaves(f"{name}.key", keys)
        yield from _leaves(f"{name}.value", items)
    elif pa.types.is_list(kind):
        yield f"{name}#", _bytes(pc.fill_null(pc.list_value_length(values), 0))
        yield from _leaves(f"{name}.item", values.flatten())
    elif pa.types.is_struct(kind):
        for inner, part in zip(kind, values.flatten(), strict=True):
            yield from _leaves(f"{name}.{inner.name}", part)
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        filled = pc.fill_null(values, b"" if pa.types.is_binary(kind) else "") if values.null_count else values
        yield f"{name}#", _bytes(pc.binary_length(filled))
        yield f"{name}=", _text_bytes(filled)
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        yield f"{name}=", _bytes(pc.fill_null(values.cast(pa.int64() if kind.bit_width == 64 else pa.int32()), 0))
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        yield f"{name}=", _bytes(pc.fill_null(values, False if pa.types.is_boolean(kind) else 0))
    else:
        raise ContractError(
            f"{name} is of type {kind}, which has no content hash. Numbers, booleans, text, binary, timestamps and "
            "dates have one, and lists, maps and structs of these."
        )


def _bytes(values: pa.Array) -> bytes:
    return np.ascontiguousarray(values.to_numpy(zero_copy_only=False)).tobytes()


def _text_bytes(values: pa.Array) -> memoryview | bytes:
    _, offset_buffer, data = values.buffers()
    if data is None or not len(values):
        return b""
    offsets = np.frombuffer(offset_buffer, dtype=np.int32)[values.offset : values.offset + len(values) + 1]
    return memoryview(data)[offsets[0] : offsets[-1]]
