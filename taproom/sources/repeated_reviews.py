"""Reviews that stand in a file or a warehouse more than once: what makes them the same, and which of them counts.

An id says which review a row is only within its source, and not every source keeps its ids: an export that numbers its
rows gives the same id to another review next month. So rows are the same review if they have the same id, item and
reviewer, and

- the same content: then one is a duplicate of the other;
- or the same time, or mostly the same words: then the newer one is a correction, and replaces the older.

All others are reviews of their own. Here belongs this rule. It is applied within a file by `taproom.sources.reviews`,
and between batches by `taproom.words.rollup`.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from taproom.sources.rejected_rows import Reason
from taproom.sources.spool import Spool

IDENTITY = ("review_id", "item_id", "reviewer_id")

# The share of words that a correction has in common with what it corrects. Two texts on one item share a third.
COMMON_WORDS = 2 / 3
# An id that more rows of an item have is no id, so none of them corrects another.
MOST_VERSIONS = 50
ROWS_AT_ONCE = 10_000
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Repeated:
    """A row that does not count, and the position of the one that counts in its place."""

    review_id: str
    reason: Reason
    kept: int


def text_hash(text: str) -> bytes:
    """BLAKE2b of the text in UTF-8, 8 bytes. Two of n texts share it with a probability of n^2 / 2^65.

    >>> text_hash("Two Hearted Ale").hex()
    '3e9b279370f64ca3'
    """
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def hashes_of(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A hash of each text, uint64, shape (n,), within this process; a null is hashed as an empty text."""
    values = texts.fill_null("").to_numpy(zero_copy_only=False)
    import pandas as pd  # half a second, which loading the code location should not take

    return pd.util.hash_array(values, categorize=False)


def identities(reviews: pa.RecordBatch | pa.Table) -> np.ndarray:
    """What rows of the same id, item and reviewer have in common: a hash, uint64, shape (n,)."""
    combined = np.zeros(reviews.num_rows, np.uint64)
    for name in IDENTITY:
        combined = combined * _ODD + hashes_of(reviews[name])
    return combined


def repeated(hashes: np.ndarray) -> np.ndarray:
    """The positions of the hashes that occur more than once, ascending."""
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[inverse] > 1)


def content_of(review: Mapping[str, Any]) -> str:
    """A hash of what a row says, its batch and its id apart, as 16 hex digits."""
    said = [value for name, value in review.items() if name not in ("batch", "review_id")]
    return text_hash(repr(said)).hex()


def replacements(versions: Sequence[Mapping[str, Any]]) -> list[int | None]:
    """Which version of a review replaces which.

    Args:
        versions: rows of the same id, item and reviewer, all different, in the order in which they came: each with its
            `text` and its `time` (or None), by which a version is newer than another in the first place.

    Returns:
        For each version the position of the one that replaces it; None for those that count.

    >>> replacements([{"text": "a gud beer", "time": None}, {"text": "a beer", "time": None}, {"text": "x", "time": 1}])
    [1, None, None]
    """
    replaced_by: list[int | None] = [None] * len(versions)
    if len(versions) > MOST_VERSIONS:
        return replaced_by
    left = sorted(range(len(versions)), key=lambda place: _newness(versions[place], place))
    while left:
        newest = left.pop()
        chain = [newest]
        for place in reversed(left):
            if any(_is_correction(versions[place], versions[newer]) for newer in chain):
                replaced_by[place] = newest
                chain.append(place)
        left = [place for place in left if place not in chain]
    return replaced_by


def _newness(version: Mapping[str, Any], place: int) -> tuple:
    time = version["time"]
    return (time is not None, time, place) if time is not None else (False, place)


def _is_correction(older: Mapping[str, Any], newer: Mapping[str, Any]) -> bool:
    if older["time"] is not None and older["time"] == newer["time"]:
        return True
    before, after = Counter(older["text"].split()), Counter(newer["text"].split())
    return (before & after).total() >= COMMON_WORDS * max(before.total(), after.total())


class SettledReviews:
    """The reviews of one file, each once, and each with an id that no other has.

    A review whose id another one has, of another item or reviewer, gets a hash of its content behind its id.

    Args:
        spool: the reviews as they were read.
    """

    def __init__(self, spool: Spool):
        self._spool = spool
        self.repeated: dict[int, Repeated] = {}
        self._renamed: set[int] = set()
        hashes = np.concatenate([hashes_of(batch["review_id"]) for batch in spool])
        same_id = repeated(hashes)
        if len(same_id):
            self._settle(same_id)
            kept = [position for position in same_id.tolist() if position not in self.repeated]
            _, first = np.unique(hashes[kept], return_index=True)
            self._renamed = set(kept) - {kept[place] for place in first}

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The reviews that count, in batches."""
        start = 0
        for batch in self._spool:
            positions = range(start, start + batch.num_rows)
            start += batch.num_rows
            if not self._renamed.isdisjoint(positions):
                batch = self._with_own_ids(batch, positions)
            if not self.repeated.keys().isdisjoint(positions):
                batch = batch.filter(pa.array([position not in self.repeated for position in positions]))
            if batch.num_rows:
                yield batch

    def _settle(self, same_id: np.ndarray) -> None:
        candidates = self._spool.rows(same_id, IDENTITY)
        same = repeated(identities(candidates))
        positions = same_id[same].tolist()
        ids = candidates["review_id"].take(pa.array(same)).to_pylist()
        contents: dict[tuple, int] = {}
        last: dict[int, int] = {}
        versions: defaultdict[tuple, list[int]] = defaultdict(list)
        for position, review_id, row in zip(positions, ids, self._rows(positions), strict=True):
            identity = tuple(row[name] for name in IDENTITY)
            first = contents.setdefault((identity, content_of(row)), position)
            last[first] = position
            if first == position:
                versions[identity].append(position)
            else:
                self.repeated[position] = Repeated(review_id, Reason.DUPLICATE, first)
        for (review_id, *_), found in versions.items():
            if 1 < len(found) <= MOST_VERSIONS:
                in_order = sorted(found, key=last.__getitem__)
                rows = self._spool.rows(sorted(found), ["text", "time"]).to_pylist()
                by_position = dict(zip(sorted(found), rows, strict=True))
                for position, newer in zip(in_order, replacements([by_position[at] for at in in_order]), strict=True):
                    if newer is not None:
                        self.repeated[position] = Repeated(review_id, Reason.REPLACED, in_order[newer])

    def _rows(self, positions: Sequence[int]) -> Iterator[dict[str, Any]]:
        """The rows at some positions, ascending, of which few are in memory at once."""
        for first in range(0, len(positions), ROWS_AT_ONCE):
            yield from self._spool.rows(positions[first : first + ROWS_AT_ONCE]).to_pylist()

    def _with_own_ids(self, batch: pa.RecordBatch, positions: range) -> pa.RecordBatch:
        ids = batch["review_id"].to_pylist()
        for place in [place for place, position in enumerate(positions) if position in self._renamed]:
            (row,) = batch.slice(place, 1).to_pylist()
            ids[place] = f"{ids[place]}-{content_of(row)}"
        return batch.set_column(
            batch.schema.get_field_index("review_id"), batch.schema.field("review_id"), pa.array(ids)
        )
