"""Combining batches of reviews into items, with each review counted once.

Here belongs what needs all batches together. Which rows of several batches are the same review, and which of them is a
correction, is decided by `taproom.sources.repeated_reviews`. Of the same content the one in the first batch by key is
counted, whichever arrived first; of a review and its correction the newer one, by its time or else by the batch that
arrived later.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError
from taproom.sources.repeated_reviews import IDENTITY, content_of, identities, repeated, replacements
from taproom.sources.spool import Spool
from taproom.warehouse.content_hash import content_hash
from taproom.words.counting import tokens

_ITEM_COLUMNS = ["item_id", "item_name", "category", "overall"]


class ReviewRollup:
    """Collects reviews in ascending order of their batches, and returns items, batches and duplicates.

    The reviews wait in a temporary file until all of them are known.

    Args:
        token_patterns: the regular expression that each batch's words were counted with.
        arrivals: a number for each batch, larger for one that arrived later; by default batches arrive in the order of
            their keys.
    """

    def __init__(self, token_patterns: dict[str, str], arrivals: Mapping[str, int] | None = None) -> None:
        """Start without reviews."""
        self._token_patterns = token_patterns
        self._arrivals = arrivals or {}
        self._spool: Spool | None = None
        self._identities: list[np.ndarray] = []
        self._batches: Counter[str] = Counter()

    def add(self, reviews: pa.RecordBatch) -> None:
        """Add reviews of one batch; a batch may be added in several pieces.

        Raises:
            InputError: a batch with a greater key was added before.
        """
        if not reviews.num_rows:
            return
        batch = reviews["batch"][0].as_py()
        last = next(reversed(self._batches), "")
        if batch < last:
            raise InputError(f"The batch {batch!r} was added after {last!r}. Add batches in ascending order.")
        self._spool = self._spool or Spool(reviews.schema)
        self._spool.add(reviews)
        self._identities.append(identities(reviews))
        self._batches[batch] += reviews.num_rows

    def items(self, schema: pa.Schema) -> pa.Table:
        """One row per item, by item id.

        Columns: most frequent name and category (ties: the first), spellings of the name, reviews, mean overall score.
        """
        reviews = pa.Table.from_batches(self._counting())
        names = _most_frequent(reviews, "item_name")
        categories = _most_frequent(reviews, "category")
        means = reviews.group_by("item_id").aggregate([("overall", "mean"), ([], "count_all")])
        joined = means.join(names, "item_id").join(categories, "item_id").sort_by("item_id")
        spellings = _spellings(reviews)
        lists = pa.array([spellings.get(item, []) for item in joined["item_id"].to_pylist()], pa.list_(pa.string()))
        renamed = {"reviews": "count_all", "mean_overall": "overall_mean"}
        joined = joined.append_column("spellings", lists)
        return pa.table([joined[renamed.get(name, name)] for name in schema.names], schema=schema)

    def batches(self, words_hashes: dict[str, str], schema: pa.Schema) -> pa.Table:
        """One row per batch, by key: reviews that are counted, duplicates, replaced ones, a hash of the words."""
        uncounted = Counter((row["batch"], row["reason"]) for row in self._uncounted.values())
        rows = [
            {
                "batch": batch,
                "reviews": count - uncounted[batch, "duplicate"] - uncounted[batch, "replaced"],
                "duplicates": uncounted[batch, "duplicate"],
                "replaced": uncounted[batch, "replaced"],
                "words_hash": words_hashes.get(batch, ""),
            }
            for batch, count in sorted(self._batches.items())
        ]
        return pa.Table.from_pylist(rows, schema=schema)

    def duplicates(self, schema: pa.Schema) -> pa.Table:
        """One row per review that is not counted, with the words to subtract for it."""
        rows = sorted(self._uncounted.values(), key=lambda row: (row["batch"], row["review_id"]))
        return pa.Table.from_pylist(rows, schema=schema)

    def _counting(self) -> Iterator[pa.RecordBatch]:
        """What items need of the reviews that count."""
        start = 0
        for batch in self._spool or ():
            positions = range(start, start + batch.num_rows)
            start += batch.num_rows
            mask = pa.array([position not in self._uncounted for position in positions], pa.bool_())
            yield batch.select(_ITEM_COLUMNS).filter(mask)

    @cached_property
    def _uncounted(self) -> dict[int, dict]:
        """The reviews that do not count, as rows of the duplicates, by their position."""
        if self._spool is None:
            return {}
        positions = repeated(np.concatenate(self._identities)).tolist()
        versions: defaultdict[tuple, dict[int, dict]] = defaultdict(dict)
        for position, review in zip(positions, self._spool.rows(positions).to_pylist(), strict=True):
            versions[tuple(review[name] for name in IDENTITY)][position] = review
        uncounted = {}
        for found in versions.values():
            for position, (reason, kept) in _settled(found, self._arrivals).items():
                uncounted[position] = self._duplicate(found[position], reason, found[kept]["batch"])
        return uncounted

    def _duplicate(self, review: dict, reason: str, kept_in: str) -> dict:
        words, counts = [], []
        # Words are counted as in the batch. If the batch was never counted, there is nothing to subtract.
        if pattern := self._token_patterns.get(review["batch"]):
            found = Counter(tokens(review["text"], pattern))
            words = sorted(found)
            counts = [found[word] for word in words]
        kept = {name: review[name] for name in ("batch", "review_id", "item_id")}
        return {**kept, "reason": reason, "kept_in": kept_in, "words": words, "counts": counts}


def _settled(reviews: Mapping[int, dict], arrivals: Mapping[str, int]) -> dict[int, tuple[str, int]]:
    """Of rows of the same id, item and reviewer those that do not count: why, and the position of the one that does."""
    first: dict[str, int] = {}
    contents = {position: content_of(review) for position, review in reviews.items()}
    for position in reviews:
        first.setdefault(contents[position], position)
    arrived = {
        content: max((arrivals.get(reviews[at]["batch"], 0), at) for at in reviews if contents[at] == content)
        for content in first
    }
    in_order = [first[content] for content in sorted(first, key=arrived.__getitem__)]
    newer = dict(zip(in_order, replacements([reviews[at] for at in in_order]), strict=True))
    uncounted = {at: ("replaced", in_order[by]) for at, by in newer.items() if by is not None}
    for position, content in contents.items():
        if position != first[content]:
            uncounted[position] = uncounted.get(first[content], ("duplicate", first[content]))
    return uncounted


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


def same_but_for_case(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ only in upper and lower case: the names of each ascending, and the groups, too.

    >>> same_but_for_case(["Pale Ale", "Stout", "pale ale", "Pale Ale"])
    [['Pale Ale', 'pale ale']]
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[name.casefold()].add(name)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _most_frequent(reviews: pa.Table, column: str) -> pa.Table:
    """For each item the most frequent value of its reviews; ties: alphabetically first; null if no review has one."""
    counted = reviews.group_by(["item_id", column]).aggregate([([], "count_all")])
    # Nulls are sorted last, whatever their count: one review with a value is enough.
    known = counted.append_column("unknown", pc.is_null(counted[column]))
    order = [("item_id", "ascending"), ("unknown", "ascending"), ("count_all", "descending"), (column, "ascending")]
    best = known.sort_by(order).group_by("item_id", use_threads=False).aggregate([(column, "first")])
    return best.rename_columns({f"{column}_first": column})


def _spellings(reviews: pa.Table) -> dict[str, list[str]]:
    """The names of each item that has several, the most frequent one first."""
    counted = reviews.group_by(["item_id", "item_name"]).aggregate([([], "count_all")])
    order = [("item_id", "ascending"), ("count_all", "descending"), ("item_name", "ascending")]
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for row in counted.sort_by(order).select(["item_id", "item_name"]).to_pylist():
        spellings[row["item_id"]].append(row["item_name"])
    return {item: names for item, names in spellings.items() if len(names) > 1}
