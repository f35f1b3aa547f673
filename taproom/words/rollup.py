"""Combining batches of reviews into items, with each review counted once.

Here belongs what needs all batches together. A review that occurs in several batches is counted in the first of them by
key, so the result does not depend on the order in which files arrived.
"""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError
from taproom.warehouse.content_hash import content_hash
from taproom.words.counting import tokens

_ITEM_COLUMNS = ["item_id", "item_name", "category", "overall"]


class ReviewRollup:
    """Collects reviews in ascending order of their batches, and returns items, batches and duplicates.

    Args:
        token_patterns: the regular expression that each batch's words were counted with.
    """

    def __init__(self, token_patterns: dict[str, str]) -> None:
        """Start without reviews."""
        self._token_patterns = token_patterns
        self._first_batch: dict[str, str] = {}
        self._counting: list[pa.RecordBatch] = []
        self._reviews: Counter[str] = Counter()
        self._duplicates: list[dict] = []

    def add(self, reviews: pa.RecordBatch) -> None:
        """Add reviews of one batch; a batch may be added in several pieces.

        Raises:
            InputError: a batch with a greater key was added before.
        """
        if not reviews.num_rows:
            return
        batch = reviews["batch"][0].as_py()
        last = next(reversed(self._reviews), "")
        if batch < last:
            raise InputError(f"The batch {batch!r} was added after {last!r}. Add batches in ascending order.")
        ids = reviews["review_id"].to_pylist()
        counts = [self._first_batch.setdefault(review_id, batch) == batch for review_id in ids]
        mask = pa.array(counts)
        self._duplicates.extend(map(self._duplicate, reviews.filter(pc.invert(mask)).to_pylist()))
        self._counting.append(reviews.select(_ITEM_COLUMNS).filter(mask))
        self._reviews[batch] += sum(counts)

    def items(self, schema: pa.Schema) -> pa.Table:
        """One row per item, by item id: most frequent name and category (ties: the first), reviews, mean overall."""
        reviews = pa.Table.from_batches(self._counting)
        names = _most_frequent(reviews, "item_name")
        categories = _most_frequent(reviews, "category")
        means = reviews.group_by("item_id").aggregate([("overall", "mean"), ([], "count_all")])
        joined = means.join(names, "item_id").join(categories, "item_id").sort_by("item_id")
        renamed = {"reviews": "count_all", "mean_overall": "overall_mean"}
        return pa.table([joined[renamed.get(name, name)] for name in schema.names], schema=schema)

    def batches(self, words_hashes: dict[str, str], schema: pa.Schema) -> pa.Table:
        """One row per batch, by key: its reviews without duplicates, its duplicates, the hash of its words."""
        repeated = Counter(duplicate["batch"] for duplicate in self._duplicates)
        rows = [
            {"batch": batch, "reviews": count, "duplicates": repeated[batch], "words_hash": words_hashes.get(batch, "")}
            for batch, count in sorted(self._reviews.items())
        ]
        return pa.Table.from_pylist(rows, schema=schema)

    def duplicates(self, schema: pa.Schema) -> pa.Table:
        """One row per review that an earlier batch also has, with the words to subtract for it."""
        rows = sorted(self._duplicates, key=lambda row: (row["batch"], row["review_id"]))
        return pa.Table.from_pylist(rows, schema=schema)

    def _duplicate(self, review: dict) -> dict:
        words, counts = [], []
        # Words are counted as in the batch. If the batch was never counted, there is nothing to subtract.
        if pattern := self._token_patterns.get(review["batch"]):
            found = Counter(tokens(review["text"], pattern))
            words = sorted(found)
            counts = [found[word] for word in words]
        kept = {name: review[name] for name in ("batch", "review_id", "item_id")}
        return {**kept, "kept_in": self._first_batch[review["review_id"]], "words": words, "counts": counts}


def token_patterns(term_counts: pa.Table) -> dict[str, str]:
    """The token pattern that each batch was counted with."""
    pairs = term_counts.group_by(["batch", "token_pattern"]).aggregate([])
    return dict(zip(pairs["batch"].to_pylist(), pairs["token_pattern"].to_pylist(), strict=True))


def batch_hashes(term_counts: pa.Table) -> dict[str, str]:
    """The content hash of each batch's rows, which are consecutive."""
    names = pc.run_end_encode(term_counts["batch"].combine_chunks())  # a batch's rows are consecutive
    ends = names.run_ends.to_pylist()
    starts = [0, *ends][: len(ends)]
    return {
        name: content_hash(term_counts.slice(start, end - start))
        for name, start, end in zip(names.values.to_pylist(), starts, ends, strict=True)
    }


def _most_frequent(reviews: pa.Table, column: str) -> pa.Table:
    """For each item the most frequent value of its reviews; ties: alphabetically first; null if no review has one."""
    counted = reviews.group_by(["item_id", column]).aggregate([([], "count_all")])
    # Nulls are sorted last, whatever their count: one review with a value is enough.
    known = counted.append_column("unknown", pc.is_null(counted[column]))
    order = [("item_id", "ascending"), ("unknown", "ascending"), ("count_all", "descending"), (column, "ascending")]
    best = known.sort_by(order).group_by("item_id", use_threads=False).aggregate([(column, "first")])
    return best.rename_columns({f"{column}_first": column})
