"""Word vectors in the formats of word2vec, which gensim, spaCy, fastText's tools and others read.

Source: Mikolov's word2vec.c (2013). A line with the numbers of words and dimensions; then, in the text format, a line a
word, with its numbers as decimals, and in the binary format, the word, a blank, its numbers as little-endian float32,
and an end of line.
"""

import os
import re
from collections.abc import Iterator

import numpy as np

from taproom.errors import UnknownTableError
from taproom.new_files import new_file
from taproom.warehouse.warehouse import Warehouse


def export_word_vectors(
    warehouse: Warehouse, target: str | os.PathLike, *, binary: bool = False, version: int | None = None
) -> None:
    """Write the vectors of `word_vectors` to a file, the most frequent word first.

    Numbers keep all their bits in both formats. Both end a word at a blank, so a blank within one becomes `_`, as in
    word2vec's phrases (and `__` where there is such a word already).

    Args:
        warehouse: where the table is.
        target: the file to make.
        binary: write the binary format instead of the text format.
        version: a version of the table; None for the newest.

    Raises:
        UnknownTableError: there is no such version, or there are no word vectors yet.
        InputError: `target` exists.
        StorageError: `target` cannot be written.
    """
    version = warehouse.head("word_vectors") if version is None else version
    if version is None:
        raise UnknownTableError(f"There are no word vectors in {warehouse.root}; make them (`make run`).")
    with new_file(target) as part, part.open("wb") as file:
        words = sum(data_file.rows for data_file in warehouse.files("word_vectors", version))
        for place, (word, vector) in enumerate(_vectors(warehouse, version)):
            if place == 0:
                file.write(f"{words} {len(vector)}\n".encode())
            numbers = vector.astype("<f4").tobytes() if binary else " ".join(vector.astype(str)).encode()
            file.write(word.encode() + b" " + numbers + b"\n")


def _vectors(warehouse: Warehouse, version: int) -> Iterator[tuple[str, np.ndarray]]:
    """Each word, as it is written, with its vector (float32)."""
    taken: set[str] = set()
    for batch in warehouse.stream("word_vectors", version, columns=["word", "vector"]):
        vectors = batch["vector"].flatten().to_numpy().reshape(batch.num_rows, -1)
        for word, vector in zip(batch["word"].to_pylist(), vectors, strict=True):
            written = re.sub(r"\s", "_", word)
            while written in taken:
                written += "_"
            taken.add(written)
            yield written, vector
