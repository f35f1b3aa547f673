"""Weights and neighbours of reviews, as the review chain finds them, without its tables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from corpus import corpus
from pyarrow import parquet

from taproom.maps.map_methods import ItemGraph
from taproom.maps.neighbors import choose_k, nearest
from taproom.words.counting import Counts, count_stream, count_words
from taproom.words.tfidf import select_words, weigh

THREADS = 2


def graph_of(
    item_ids: Sequence[str], texts: Sequence[str], categories: Mapping[str, str | None] | None = None
) -> ItemGraph:
    """TF-IDF weights of the words of at least two items, and the neighbours of all items with a weight."""
    return _graph(count_words(item_ids, texts, n_jobs=THREADS), categories=categories)


def synthetic_graph(items: int, words: int, tokens: int) -> ItemGraph:
    """The graph of a synthetic corpus, which is not held in memory."""
    stream = ((batch["item_id"].to_pylist(), batch["text"].to_pylist()) for batch in corpus(items, words, tokens))
    return _graph(count_stream(stream, n_jobs=THREADS), words)


def _graph(
    counts: Counts, most_words: int | None = None, categories: Mapping[str, str | None] | None = None
) -> ItemGraph:
    weights, _ = weigh(counts, select_words(counts, 2, most_words))
    weighted = np.flatnonzero(np.diff(weights.indptr))
    weights = weights[weighted]
    of_items = categories and np.array([categories[counts.item_ids[item]] for item in weighted], object)
    return ItemGraph(weights, *nearest(weights, choose_k(len(weighted)), n_jobs=THREADS), of_items)


def beer_reviews(path: Path, least_reviews: int = 2) -> tuple[list[str], list[str]]:
    """Beer names and texts of reviews, without empty texts and beers with fewer texts than that."""
    table = parquet.read_table(path, columns=["beer_name", "text"])
    table = table.filter(pc.not_equal(table["text"], ""))
    reviews = table.group_by("beer_name").aggregate([("text", "count")])
    enough = reviews.filter(pc.greater_equal(reviews["text_count"], least_reviews))["beer_name"]
    table = table.filter(pc.is_in(table["beer_name"], enough))
    return table["beer_name"].to_pylist(), table["text"].to_pylist()


def beer_styles(path: Path) -> dict[str, str]:
    """The most frequent style of each beer name, the first of several that are."""
    table = parquet.read_table(path, columns=["beer_name", "style"])
    styles: dict[str, Counter] = {}
    for name, style in zip(table["beer_name"].to_pylist(), table["style"].to_pylist(), strict=True):
        styles.setdefault(name, Counter())[style] += 1
    return {name: counts.most_common(1)[0][0] for name, counts in styles.items()}
