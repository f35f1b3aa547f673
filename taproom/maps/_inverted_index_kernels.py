"""Compiled loops of `taproom.maps.inverted_index`, apart from it so that importing that module does not load numba.

Sums over terms run in ascending order without fused or reordered arithmetic: a distance has the bits of a plain loop.
"""

import numpy as np
from numba import njit

RARE = -1


@njit(nogil=True, cache=True)
def add_rows(
    row_starts: np.ndarray,
    term_ids: np.ndarray,
    weights: np.ndarray,
    rows: np.ndarray,
    starts: np.ndarray,
    filled: np.ndarray,
    posting_rows: np.ndarray,
    posting_weights: np.ndarray,
    frequent_number: np.ndarray,
    frequent: np.ndarray,
    norms: np.ndarray,
) -> bool:
    """Add sparse rows to an inverted index; False where a term has no room left or a row with weights has no number.

    Row i is the item `rows[i]`. A term that is not rare goes to the dense line `frequent[frequent_number[term]]`.
    `filled` counts the weights of each term, `norms` sums the squared weights of each item.
    """
    for row, item in enumerate(rows):
        for entry in range(row_starts[row], row_starts[row + 1]):
            term, weight = term_ids[entry], weights[entry]
            if item < 0:
                return False
            if frequent_number[term] != RARE:
                frequent[frequent_number[term], item] = weight
            else:
                place = starts[term] + filled[term]
                if place == starts[term + 1]:
                    return False
                posting_rows[place], posting_weights[place] = item, weight
            filled[term] += 1
            norms[item] += weight * weight
    return True


@njit(nogil=True, cache=True)
def cosine_distances(
    term_ids: np.ndarray,
    weights: np.ndarray,
    starts: np.ndarray,
    posting_rows: np.ndarray,
    posting_weights: np.ndarray,
    frequent_number: np.ndarray,
    frequent: np.ndarray,
    norms: np.ndarray,
) -> np.ndarray:
    """Cosine distance of a text to every item; its terms ascend, so each item's sum over shared terms does too."""
    dots = np.zeros(len(norms))
    norm = 0.0
    for place, term in enumerate(term_ids):
        weight = weights[place]
        norm += weight * weight
        if frequent_number[term] != RARE:
            line = frequent[frequent_number[term]]
            for item in range(len(line)):
                dots[item] += weight * line[item]
        else:
            for posting in range(starts[term], starts[term + 1]):
                dots[posting_rows[posting]] += weight * posting_weights[posting]
    for item in range(len(norms)):
        dots[item] = max(0.0, 1.0 - dots[item] / np.sqrt(norm * norms[item]))
    return dots
