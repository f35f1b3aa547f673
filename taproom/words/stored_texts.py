"""Counting the words of texts that are in a table: here, or on a cluster, a data file a block.

Here belongs how data files are shared out. Counting itself is in `taproom.words.counting`.

How, on a cluster: a worker reads a data file from the warehouse, counts its texts and writes the counts as a scratch
file. The step adds these up in the order of the data files. So neither texts nor counts pass through the scheduler.
"""

from collections.abc import Iterator
from dataclasses import replace

from taproom.compute import Made, cluster_address, workers
from taproom.progress import progress, silent
from taproom.warehouse.scratch import Scratch, scratch
from taproom.warehouse.table_version import TableVersion
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, Counts, add_counts, count_stream
from taproom.words.sparse import bytes_to_counts, counts_to_bytes


def count_stored(
    rows: TableVersion, item_column: str, token_pattern: str = DEFAULT_TOKEN_PATTERN, *, n_jobs: int | None = None
) -> Counts:
    """Count the words of each item over all of its texts, in rows of a table.

    Rows in several data files are counted on a cluster where there is one.

    Args:
        rows: with a column `text`, without nulls.
        item_column: the column with the item of each text, without nulls.
        token_pattern: see `taproom.words.counting.tokens`.
        n_jobs: threads of this machine, as joblib counts workers; the result does not depend on them.

    Returns:
        The counts, without items that have no word.

    Raises:
        InputError: as `taproom.words.counting.count_stream` does.
        UnknownTableError: the warehouse has no such version.
        DamagedFileError: a file's bytes are not those that were committed, or that a worker has written.
        ComputeError: as `taproom.compute.workers` does.
        StorageError: a worker, or this process, cannot read from the warehouse or write to it.
    """
    texts = replace(rows, columns=(item_column, "text"))
    files = texts.by_file() if cluster_address() else []
    # One file is counted faster by the threads of this process than by one worker.
    if len(files) < 2:
        return count_stream(_items_and_texts(texts), token_pattern, n_jobs=n_jobs)
    with scratch(texts.root) as counted, workers(Made(Scratch, (counted.root, counted.folder))) as run:
        names = run(_count_file, ((file, token_pattern) for file in files))
        names = progress(names, doing="counting words", total=len(files), unit="file")
        return add_counts(bytes_to_counts(counted.read(name)) for name in names)


def _count_file(counted: Scratch, texts: TableVersion, token_pattern: str) -> str:
    """On a worker: count the texts of a data file, and give the name of the scratch file with the counts."""
    with silent():
        counts = count_stream(_items_and_texts(texts), token_pattern)
    return counted.write(counts_to_bytes(counts))


def _items_and_texts(texts: TableVersion) -> Iterator[tuple[list[str], list[str]]]:
    for batch in texts.stream():
        items, strings = batch.columns
        yield items.to_pylist(), strings.to_pylist()
