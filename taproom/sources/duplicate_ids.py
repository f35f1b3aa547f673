"""Ids that repeat within a file, found while the file is read: each id is compared by its hash.

Here belongs the index of the ids seen so far. What an id is made of belongs to `taproom.sources.review_fields`;
duplicates between files are found where all batches meet.

Source: O'Neil, Cheng, Gawlick and O'Neil (1996), "The log-structured merge-tree", for the index.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

# Merging takes several times the memory of a run, so runs above this size are not merged any more.
LONGEST_RUN = 2**22


def text_hash(text: str) -> bytes:
    """BLAKE2b of the text in UTF-8, 8 bytes.

    >>> text_hash("Two Hearted Ale").hex()
    '3e9b279370f64ca3'
    """
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class SeenIds:
    """The hash of every id so far and the line it was first seen on, in 16 bytes an id.

    They are kept in sorted runs, which are merged as they grow. Two of n different ids share a 64-bit hash with a
    probability of n^2 / 2^65: 3 in a million for 10 million.

    >>> seen = SeenIds()
    >>> seen.first_lines(["a", "b", "a"], [1, 2, 3])
    array([1, 2, 1])
    >>> seen.first_lines(["c", "b"], [4, 5])
    array([4, 2])
    """

    def __init__(self) -> None:
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

    def first_lines(self, ids: Sequence[str], lines: Sequence[int]) -> np.ndarray:
        """The line each id was first seen on, which is its own line for a new id.

        Args:
            ids: n ids; they are remembered.
            lines: the n lines they are on, none of which was given before.

        Returns:
            int64, shape (n,).
        """
        hashes, first, inverse = np.unique(_hashes(ids), return_index=True, return_inverse=True)
        own = np.array(lines, np.int64)[first]
        seen = own.copy()
        for run_hashes, run_lines in self._runs:
            at = np.minimum(np.searchsorted(run_hashes, hashes), len(run_hashes) - 1)
            found = run_hashes[at] == hashes
            seen[found] = run_lines[at[found]]
        new = seen == own
        if new.any():
            self._add(hashes[new], own[new])
        return seen[inverse]

    def _add(self, hashes: np.ndarray, lines: np.ndarray) -> None:
        while self._runs and len(self._runs[-1][0]) <= min(2 * len(hashes), LONGEST_RUN):
            run_hashes, run_lines = self._runs.pop()
            hashes, lines = np.concatenate([run_hashes, hashes]), np.concatenate([run_lines, lines])
            order = np.argsort(hashes, kind="stable")
            hashes, lines = hashes[order], lines[order]
        self._runs.append((hashes, lines))


def _hashes(ids: Iterable[str]) -> np.ndarray:
    return np.frombuffer(b"".join(map(text_hash, ids)), np.uint64)
