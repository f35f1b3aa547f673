"""Synthetic text with the shape of real text: word frequencies fall as a power of their rank (Zipf, 1949)."""

import numpy as np
from scipy import sparse

ROWS_AT_ONCE = 2_000


def zipf_matrix(rows: int, columns: int, per_row: int, seed: int = 0) -> sparse.csr_array:
    """A (rows, columns) CSR of float64 with about `per_row` distinct columns a row, drawn with probability ~ 1/rank."""
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, columns + 1)
    cumulative = np.cumsum(weights / weights.sum())
    indptr, indices = [0], []
    for first in range(0, rows, ROWS_AT_ONCE):
        drawn = generator.random((min(ROWS_AT_ONCE, rows - first), 2 * per_row))
        for row in np.searchsorted(cumulative, drawn).clip(max=columns - 1).astype(np.int32):
            distinct = np.unique(row)
            indices.append(distinct)
            indptr.append(indptr[-1] + len(distinct))
    flat = np.concatenate(indices)
    return sparse.csr_array((generator.random(len(flat)) + 0.1, flat, indptr), shape=(rows, columns))


def zipf_texts(texts: int, words_per_text: int, vocabulary: int, seed: int = 0) -> list[str]:
    """Texts of words such as `w17`, drawn with probability ~ 1/rank."""
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, vocabulary + 1)
    cumulative = np.cumsum(weights / weights.sum())
    drawn = np.searchsorted(cumulative, generator.random((texts, words_per_text))).clip(max=vocabulary - 1)
    return [" ".join(f"w{word}" for word in row) for row in drawn]
