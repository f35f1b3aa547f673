"""The words of every item, with which the page of the map places a text as `taproom.place` does.

The page loads them once somebody wants to place a text. The weight of a word in an item is TF * log(1/DF): the page has
the counts, which are small whole numbers, and multiplies. So it has the weights of `tfidf` without rounding, in half
the space of 16 bits each.
"""

from typing import Any

import numpy as np
import pyarrow.compute as pc

from taproom.errors import InputError
from taproom.maps.out_of_sample import FAR_ITEMS, FIRST_STEP, MARGIN, STEPS, WITHIN_SHARE, far_candidates
from taproom.pages.item_map_data import ITEMS, shown_items
from taproom.pages.scripts import packed, packed_indices, packed_varints
from taproom.warehouse.warehouse import Warehouse
from taproom.words.sparse import lists_to_csr

WEIGHTS = 4_000_000  # 8 MB


def map_bags_data(warehouse: Warehouse, limit: int = WEIGHTS) -> dict[str, Any]:
    """What it takes to place a text on the map that `item_map_data` shows; or why that is not possible.

    Returns:
        `unavailable`, a sentence, if the map has more than `limit` weights or more items than the page shows. Else the
        words in alphabetical order, and for each word the items that have it, as places on the page, and its counts.

    Raises:
        UnknownTableError: there is no map, or a table that it was made from is gone.
        DamagedFileError: a table is damaged.
        InputError: the tables that the map was made from do not fit together.
    """
    shown = shown_items(warehouse)
    vocabulary = warehouse.read("vocabulary", shown.inputs.get("vocabulary"))
    idf, frequency = vocabulary["idf"].to_numpy(), vocabulary["document_frequency"].to_numpy()
    weights = int(frequency[idf > 0].sum())
    if len(shown.item_ids) < shown.count or weights > limit:
        return {
            "unavailable": f"This map has {shown.count:,} items with {weights:,} weights of words. The page places "
            f"texts on maps of at most {ITEMS:,} items and {limit:,} weights; taproom.place(text) places them on any."
        }
    if "token_pattern" not in vocabulary.column_names:
        raise InputError("This version of vocabulary does not say what a word is. Make it again (`make run`).")
    tfidf = warehouse.read("tfidf", shown.inputs.get("tfidf"))
    items = tfidf.take(pc.index_in(shown.item_ids, value_set=tfidf["item_id"].combine_chunks()))
    of_word = lists_to_csr(items["term_ids"], items["weights"], len(vocabulary)).tocsc()
    total = items["words"].to_numpy()
    counts = of_word.data * total[of_word.indices] / np.repeat(idf, np.diff(of_word.indptr))
    if not np.allclose(counts, np.rint(counts), atol=1e-6) or not np.array_equal(
        np.diff(of_word.indptr), np.where(idf > 0, frequency, 0)
    ):
        raise InputError(
            "The weights (tfidf) are not those of whole counts of the words of the vocabulary. Make tfidf, and what is "
            "made from it, again (`make run`)."
        )
    by_id = np.argsort(pc.rank(shown.item_ids).to_numpy())
    first = warehouse.stream("neighbors", shown.inputs.get("neighbors"), columns=["distances"]).read_next_batch()
    k = len(first["distances"][0])
    return {
        "version": shown.version,
        "token_pattern": vocabulary["token_pattern"][0].as_py(),
        "documents": document_count(idf, frequency),
        "words": vocabulary["word"].to_pylist(),
        "document_frequency": packed_varints(np.diff(of_word.indptr)),
        "postings": packed_varints(_postings(of_word.indptr, of_word.indices, np.rint(counts).astype(np.int64))),
        "words_of_item": packed(total.astype(np.uint32)),
        "by_id": packed_indices(by_id),
        "far": packed_indices(by_id[far_candidates(len(by_id), k)]),
        "k": k,
        "far_items": FAR_ITEMS,
        "margin": MARGIN,
        "within_share": WITHIN_SHARE,
        "steps": STEPS,
        "first_step": FIRST_STEP,
    }


def document_count(idf: np.ndarray, frequency: np.ndarray) -> int:
    """The number of documents that DF is a share of, where idf = log(documents / frequency), both (words,).

    >>> document_count(np.log([5.0, 2.5]), np.array([1, 2]))
    5
    """
    return int(np.rint(np.exp(idf[0]) * frequency[0]))


def _postings(starts: np.ndarray, items: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Word by word, each item as its distance from the one before (from -1), doubled, plus 1 if a count follows.

    Most counts are 1, and do not follow.

    >>> _postings(np.array([0, 2, 3]), np.array([0, 5, 2]), np.array([1, 4, 1])).tolist()
    [2, 11, 4, 6]
    """
    gaps = np.diff(items, prepend=-1)
    first = starts[:-1][np.diff(starts) > 0]
    gaps[first] = items[first] + 1
    is_many = counts > 1
    places = np.arange(len(items)) + np.cumsum(is_many) - is_many
    numbers = np.empty(len(items) + is_many.sum(), np.int64)
    numbers[places] = 2 * gaps + is_many
    numbers[places[is_many] + 1] = counts[is_many]
    return numbers
