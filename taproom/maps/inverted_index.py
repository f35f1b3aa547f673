"""The inverted index of weighted items: of each term, the items that have it and its weights there.

Here belongs what finds the cosine distances of a text to all items: the index, how it is built from the table `tfidf`,
and the files in the cache folder that large indexes are mapped from. What the distances are for is in
`taproom.maps.out_of_sample`.

An index is a function of its tables, so a file of the cache is named by their content hashes. It is mapped, not read:
processes share its pages. Its SHA-256 is compared whenever it is mapped, and a damaged file is replaced.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError, StorageError
from taproom.new_files import new_file
from taproom.sources.cache import cache_folder
from taproom.warehouse.content_hash import content_hash
from taproom.warehouse.warehouse import Warehouse

logger = logging.getLogger(__name__)

# From this share of the items on, a line of all items' weights is faster to add than a list, and no longer by much.
FREQUENT_SHARE = 0.5
# An index of fewer weights is built in half a second, so it is not worth a file.
SMALLEST_IN_CACHE = 2_000_000
# Of all indexes in the cache folder. The one that was used last stays, however large it is.
MAX_CACHE_BYTES = 8 * 2**30

_LAYOUT = 1  # of the files; a change of what is in them needs another number
_SHA256_BYTES = 32
_HASHED_AT_ONCE = 64 * 2**20


@dataclass(frozen=True)
class InvertedIndex:
    """Lists of items and weights for rare terms, and for frequent ones a line of all items' weights.

    Attributes:
        starts: (terms + 1,) int64, where the list of each term begins in `items` and `weights`.
        items: int32 numbers of items, ascending in each list.
        weights: float64, their weights.
        frequent_number: (terms,) int64, the line of each frequent term; -1 for rare ones.
        frequent: (frequent terms, items) float64 weights.
        squared_norms: (items,) float64, the sum of the squared weights of each item.
    """

    starts: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    frequent_number: np.ndarray
    frequent: np.ndarray
    squared_norms: np.ndarray

    def cosine_distances(self, term_ids: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The cosine distance of a text to each item: (items,) float64.

        Args:
            term_ids: (m,) int64, its terms, ascending.
            weights: (m,) float64, their weights.
        """
        from taproom.maps import _inverted_index_kernels as kernels

        return kernels.cosine_distances(
            term_ids, weights, self.starts, self.items, self.weights,
            self.frequent_number, self.frequent, self.squared_norms,
        )  # fmt: skip


def load_index(
    warehouse: Warehouse, versions: Mapping[str, int], vocabulary: pa.Table, item_ids: pa.StringArray
) -> InvertedIndex:
    """The index of a version of `tfidf`; a large one is mapped from the cache folder, and built only once.

    Where the cache folder cannot be written to, it is built in memory each time, with a warning in the log.

    Args:
        warehouse: has the table `tfidf`.
        versions: the versions of `tfidf` and `vocabulary`, by table.
        vocabulary: the rows of that version of `vocabulary`.
        item_ids: (items,) the items; item i of the index is `item_ids[i]`.

    Raises:
        InputError: the tables have other words or items.
        UnknownTableError: there is no such version.
        DamagedFileError: a file of `tfidf` is not what was committed.
    """
    lengths = np.where(vocabulary["idf"].to_numpy() > 0, vocabulary["document_frequency"].to_numpy(), 0)
    if lengths.sum() < SMALLEST_IN_CACHE:
        return _built(warehouse, versions["tfidf"], item_ids, lengths)
    path = cache_folder() / "inverted_indexes" / f"{_key(warehouse, versions, item_ids)}.arrow"
    if (index := _mapped(path)) is None:
        index = _built(warehouse, versions["tfidf"], item_ids, lengths)
        _keep(index, path)
        index = _mapped(path) or index  # with pages that others share, instead of memory of this process alone
    return index


def _built(warehouse: Warehouse, version: int, item_ids: pa.StringArray, lengths: np.ndarray) -> InvertedIndex:
    """Turn the rows of `tfidf` around as they stream by; `lengths` are those of the terms' lists."""
    from taproom.maps import _inverted_index_kernels as kernels
    from taproom.words.sparse import lists_to_csr

    items = len(item_ids)
    is_frequent = lengths > FREQUENT_SHARE * items
    index = InvertedIndex(
        starts=np.concatenate([[0], np.cumsum(np.where(is_frequent, 0, lengths))]),
        items=np.empty(lengths[~is_frequent].sum(), np.int32),
        weights=np.empty(lengths[~is_frequent].sum()),
        frequent_number=np.where(is_frequent, np.cumsum(is_frequent) - 1, kernels.RARE),
        frequent=np.zeros((is_frequent.sum(), items)),
        squared_norms=np.zeros(items),
    )
    filled = np.zeros_like(lengths)
    fits = True
    for batch in warehouse.stream("tfidf", version, columns=["item_id", "term_ids", "weights"]):
        rows = lists_to_csr(batch["term_ids"], batch["weights"], len(lengths))
        numbers = pc.fill_null(pc.index_in(batch["item_id"], value_set=item_ids), -1).to_numpy()
        fits = fits and kernels.add_rows(
            rows.indptr, rows.indices, rows.data, numbers, index.starts, filled, index.items, index.weights,
            index.frequent_number, index.frequent, index.squared_norms,
        )  # fmt: skip
    if not fits or not np.array_equal(filled, lengths) or not index.squared_norms.all():
        raise InputError(
            f"The vocabulary, the weights (tfidf, version {version}) and the map in {warehouse.root} are not of one "
            "making: they have other words or items. Make item_map, and what it is made from, again (`make run`)."
        )
    for array in vars(index).values():
        array.setflags(write=False)  # as mapped arrays are, so that one compiled function takes both
    return index


def _key(warehouse: Warehouse, versions: Mapping[str, int], item_ids: pa.StringArray) -> str:
    """32 hex digits of all that an index depends on."""
    hashes = [warehouse.commit_of(table, versions[table])["content_hash"] for table in ("vocabulary", "tfidf")]
    made_from = [_LAYOUT, FREQUENT_SHARE, *hashes, content_hash(pa.table({"item_id": item_ids}))]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:32]


def _mapped(path: Path) -> InvertedIndex | None:
    """The index in a file of the cache; None where there is none that is intact."""
    if not path.exists():
        return None
    try:
        content = pa.memory_map(str(path)).read_buffer()
    except OSError as error:
        logger.warning("%s cannot be read, so the index is built again: %s", path, error)
        return None
    rows, digest = content[:-_SHA256_BYTES], content[-_SHA256_BYTES:]
    if _digest(rows) != digest:
        logger.warning("%s is damaged, so the index is built again.", path)
        return None
    with suppress(OSError):  # of a cache that others may only read
        os.utime(path)
    row = pa.ipc.open_file(rows).get_batch(0)
    arrays = {name: row[name].values.to_numpy() for name in row.schema.names}
    arrays["frequent"] = arrays["frequent"].reshape(-1, len(arrays["squared_norms"]))
    return InvertedIndex(**arrays)


def _keep(index: InvertedIndex, path: Path) -> None:
    """Write an index to a file of the cache: Arrow's file format, a row with a list for each array; then the hash."""
    arrays = {field.name: pa.array(getattr(index, field.name).ravel()) for field in fields(index)}
    row = pa.record_batch({name: _in_one_list(array) for name, array in arrays.items()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with new_file(path) as part:
            with pa.ipc.new_file(str(part), row.schema) as writer:
                writer.write_batch(row)
            digest = _digest(pa.memory_map(str(part)).read_buffer())
            with part.open("ab") as file:
                file.write(digest)
        _delete_oldest(path.parent)
    except (OSError, StorageError) as error:
        logger.warning("The index of the map is not kept, so it is built again each time. %s", error)


def _in_one_list(values: pa.Array) -> pa.LargeListArray:
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)


def _digest(content: pa.Buffer) -> bytes:
    """The SHA-256 of the SHA-256 of each 64 MB, which are computed in parallel."""
    pieces = (content[first : first + _HASHED_AT_ONCE] for first in range(0, len(content), _HASHED_AT_ONCE))
    with ThreadPoolExecutor() as threads:
        hashes = threads.map(lambda piece: hashlib.sha256(piece).digest(), pieces)
        return hashlib.sha256(b"".join(hashes)).digest()


def _delete_oldest(folder: Path) -> None:
    """Delete the files that were used longest ago, so that the others have at most `MAX_CACHE_BYTES`.

    Among them are the unfinished files of processes that were killed.
    """
    size = 0
    by_use = sorted(((path.stat(), path) for path in folder.iterdir()), key=lambda each: -each[0].st_mtime_ns)
    for number, (status, path) in enumerate(by_use):
        size += status.st_size
        if number and size > MAX_CACHE_BYTES:
            path.unlink(missing_ok=True)
