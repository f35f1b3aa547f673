"""The parts of a Parquet file that hold its columns, each with a hash, so that a reader can verify only what it reads.

A file is a sequence of column chunks, one for each row group and leaf column, and a footer that has their positions.
A commit has the hashes of these parts for the files that it wrote. With the footer verified, chunks can be verified one
by one.
"""

import hashlib
from collections.abc import Collection, Iterator
from itertools import pairwise, product
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq


class ByteRange(NamedTuple):
    """The bytes from `start` up to the next range's start (of the footer: up to the file's end), and their SHA-256."""

    start: int
    sha256: str


def byte_ranges(content: bytes) -> tuple[ByteRange, ...]:
    """The column chunks of a Parquet file, in order, and its footer.

    >>> import io
    >>> sink = io.BytesIO()
    >>> pq.write_table(pa.table({"beer": ["ale"], "abv": [5.0]}), sink)
    >>> [part.start for part in byte_ranges(sink.getvalue())][0]
    4
    >>> len(byte_ranges(sink.getvalue()))
    3
    """
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")  # length and magic number come last
    starts = [*_chunk_starts(pq.read_metadata(pa.BufferReader(content))), footer]
    parts = pairwise([*starts, len(content)])
    whole = memoryview(content)
    return tuple(ByteRange(start, hashlib.sha256(whole[start:end]).hexdigest()) for start, end in parts)


def chunks_of(metadata: pq.FileMetaData, columns: Collection[str]) -> list[int]:
    """The positions of the chunks of some columns in `byte_ranges`."""
    groups, leaves = metadata.num_row_groups, metadata.num_columns
    wanted = [leaf for leaf in range(leaves) if metadata.schema.column(leaf).path.split(".")[0] in columns]
    return [group * leaves + leaf for group, leaf in product(range(groups), wanted)]


def _chunk_starts(metadata: pq.FileMetaData) -> Iterator[int]:
    for group, leaf in product(range(metadata.num_row_groups), range(metadata.num_columns)):
        chunk = metadata.row_group(group).column(leaf)
        yield chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
