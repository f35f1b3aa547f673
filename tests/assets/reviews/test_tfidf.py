import math

import dagster as dg
import pyarrow as pa
import pytest

from assets.reviews.items import DUPLICATE_REVIEWS, ITEMS
from assets.reviews.term_counts import CONTRACT as TERM_COUNTS
from assets.reviews.tfidf import TFIDF, VOCABULARY, TfidfConfig, items_have_weights, tfidf, vocabulary_is_stable
from pipelines.io_manager import StepTables
from taproom.errors import InputError, TaproomError
from taproom.words.counting import DEFAULT_TOKEN_PATTERN

ROLLUP = ("items", "review_batches", "duplicate_reviews")
WEIGHTS = ("vocabulary", "tfidf")


def term_counts_of(*rows: tuple[str, str, dict[str, int]], patterns: dict[str, str] | None = None) -> pa.Table:
    patterns = patterns or {}
    return pa.Table.from_pylist(
        [
            {
                "batch": batch, "item_id": item, "token_pattern": patterns.get(batch, DEFAULT_TOKEN_PATTERN),
                "words": sorted(counts), "counts": [counts[word] for word in sorted(counts)],
            }
            for batch, item, counts in rows
        ],
        schema=TERM_COUNTS.schema,
    )  # fmt: skip


def items_of(**reviews: int) -> pa.Table:
    rows = [{"item_id": item, "item_name": item, "reviews": count} for item, count in sorted(reviews.items())]
    return pa.Table.from_pylist(rows, schema=ITEMS.schema)


def weighed(term_counts: pa.Table, items: pa.Table, duplicates: pa.Table | None = None, **config):
    """The tables vocabulary and tfidf, and {item: {word: weight}}."""
    none = DUPLICATE_REVIEWS.schema.empty_table()
    outputs = tfidf(TfidfConfig(**config), term_counts.to_reader(), none if duplicates is None else duplicates, items)
    words, weights = (output.value.rows for output in outputs)
    assert words.schema.equals(VOCABULARY.schema)
    assert weights.schema.equals(TFIDF.schema)
    names = words["word"].to_pylist()
    by_item = {
        row["item_id"]: {names[term]: weight for term, weight in zip(row["term_ids"], row["weights"], strict=True)}
        for row in weights.to_pylist()
    }
    return words, weights, by_item


def test_three_items_are_weighed_by_the_formula():
    counts = term_counts_of(
        ("b1", "ale", {"beer": 2, "pine": 3, "rare": 1}),
        ("b1", "ipa", {"beer": 1, "pine": 1}),
        ("b2", "stout", {"beer": 4, "smoke": 1}),
        ("b2", "ipa", {"smoke": 2}),
    )
    words, weights, by_item = weighed(counts, items_of(ale=2, ipa=2, stout=3))
    assert words.drop_columns("token_pattern").to_pylist() == [
        {"term_id": 0, "word": "beer", "document_frequency": 3, "count": 7, "idf": 0.0},
        {"term_id": 1, "word": "pine", "document_frequency": 2, "count": 4, "idf": pytest.approx(math.log(3 / 2))},
        {"term_id": 2, "word": "smoke", "document_frequency": 2, "count": 3, "idf": pytest.approx(math.log(3 / 2))},
    ]
    assert weights["words"].to_pylist() == [6, 4, 5]  # `rare` is no word of the vocabulary, yet a word of the ale
    assert by_item == {
        "ale": {"pine": pytest.approx(3 / 6 * math.log(3 / 2), rel=1e-15)},
        "ipa": {
            "pine": pytest.approx(1 / 4 * math.log(3 / 2), rel=1e-15),
            "smoke": pytest.approx(2 / 4 * math.log(3 / 2), rel=1e-15),
        },
        "stout": {"smoke": pytest.approx(1 / 5 * math.log(3 / 2), rel=1e-15)},
    }


@pytest.mark.slow
def test_the_vocabulary_tells_what_a_word_is():
    rows = [("b1", "ale", {"hop": 1}), ("b2", "ipa", {"hop": 1, "oak": 1}), ("b3", "stout", {"oak": 2})]

    def told(**patterns):
        words, _, _ = weighed(term_counts_of(*rows, patterns=patterns), items_of(ale=2, ipa=2, stout=2))
        return words["token_pattern"].to_pylist()

    assert told() == [DEFAULT_TOKEN_PATTERN] * 2
    assert told(b1="b+", b2="a+", b3="b+") == ["b+"] * 2  # that of most batches
    assert told(b1="c+", b2="b+", b3="a+") == ["a+"] * 2


def test_items_and_words_that_do_not_count_are_left_out():
    counts = term_counts_of(
        ("b1", "ale", {"hop": 1, "pine": 1, "smoke": 1}),
        ("b1", "ipa", {"hop": 1, "pine": 1}),
        ("b1", "odd", {"pine": 1, "smoke": 1}),
        ("b1", "stout", {"pine": 1, "smoke": 1}),
        ("b1", "tea", {"leaf": 1}),
    )
    words, weights, _ = weighed(counts, items_of(ale=2, ipa=2, odd=1, stout=2, tea=5), max_words=1)
    assert weights["item_id"].to_pylist() == ["ale", "ipa", "stout", "tea"]
    assert words["word"].to_pylist() == ["pine"]


def test_words_of_a_duplicate_are_taken_away():
    duplicate = pa.Table.from_pylist(
        [
            {
                "batch": "b2", "review_id": "r", "kept_in": "b1", "item_id": "ale",
                "words": ["hop", "pine"], "counts": [1, 2],
            }
        ],
        schema=DUPLICATE_REVIEWS.schema,
    )  # fmt: skip
    others = [("b1", "ipa", {"pine": 1, "smoke": 1}), ("b1", "stout", {"smoke": 1, "hop": 3})]
    with_it = term_counts_of(("b1", "ale", {"hop": 1, "pine": 2}), ("b2", "ale", {"hop": 1, "pine": 2}), *others)
    without = term_counts_of(("b1", "ale", {"hop": 1, "pine": 2}), *others)
    items = items_of(ale=2, ipa=2, stout=2)
    first, second = weighed(with_it, items, duplicate), weighed(without, items)
    assert first[0].equals(second[0])
    assert first[1].equals(second[1])


def test_a_duplicate_across_batches_weighs_as_if_it_never_were(write_csv, ingest, make, warehouse, themed_reviews):
    june = themed_reviews(items=8)
    july = [{**row, "review_id": f"july {row['review_id']}"} for row in themed_reviews(items=8)[:9]]
    august_repeats = june[:5]
    ingest(write_csv("a.csv", june))
    ingest(write_csv("b.csv", july))
    make(*ROLLUP, *WEIGHTS)
    alone = {table: warehouse.read(table) for table in (*WEIGHTS, "items")}
    ingest(write_csv("c.csv", august_repeats))
    make(*ROLLUP, *WEIGHTS)
    assert len(warehouse.read("duplicate_reviews")) == 5
    assert {table: warehouse.read(table) for table in alone} == alone
    assert warehouse.head("tfidf") == 0


def test_no_item_or_no_word_left_is_refused():
    counts = term_counts_of(("b1", "ale", {"pine": 1}), ("b1", "ipa", {"hop": 1}))
    with pytest.raises(TaproomError):
        weighed(counts, items_of(ale=2, ipa=2), min_reviews=4)
    with pytest.raises(TaproomError):
        weighed(counts, items_of(ale=2, ipa=2), min_document_frequency=2)


def test_items_all_the_same_are_refused():
    counts = term_counts_of(*(("b1", item, {"pine": 1}) for item in ("ale", "ipa", "stout")))
    with pytest.raises(InputError, match="so all weights are 0"):
        weighed(counts, items_of(ale=2, ipa=2, stout=2))


def test_items_without_a_known_word_are_warned_of():
    counts = term_counts_of(("b1", "ale", {"pine": 1}), ("b1", "ipa", {"pine": 1}), ("b1", "odd", {"x": 1}))
    _, weights, by_item = weighed(counts, items_of(ale=2, ipa=2, odd=2))
    assert by_item["odd"] == {}
    check = items_have_weights(weights)
    assert not check.passed
    assert check.metadata["items_without_weight"].value == 1


def test_a_vocabulary_that_loses_most_of_its_words_is_warned_of(warehouse):
    def vocabulary(*words):
        many = len(words)
        numbers = {"term_id": range(many), "document_frequency": [1] * many, "count": [1] * many, "idf": [0.5] * many}
        patterns = [DEFAULT_TOKEN_PATTERN] * many
        return VOCABULARY.table_of(
            word=words, token_pattern=patterns, **{name: list(values) for name, values in numbers.items()}
        )

    first, second = vocabulary("ale", "hop", "malt"), vocabulary("ale", "oak")
    warehouse.publish(VOCABULARY, first, since=None)
    context = dg.build_asset_check_context(resources={"io_manager": StepTables(warehouse)})
    assert vocabulary_is_stable(context, first).passed
    warehouse.publish(VOCABULARY, second, since=0)
    result = vocabulary_is_stable(context, second)
    assert not result.passed
    assert result.metadata["share_of_words_kept"].value == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("items", "counts", "said"),
    [
        ({"ale": 1, "ipa": 1}, {}, r"0 of 2 items have 2 \(`min_reviews`\)"),
        ({"ale": 2, "ipa": 2}, {"ale": {"a": 1}, "ipa": {"b": 1}}, "`min_document_frequency`.*`token_pattern`"),
    ],
)
def test_what_is_to_be_set_is_named(items, counts, said):
    rows = term_counts_of(*(("b1", item, words) for item, words in counts.items()))
    with pytest.raises(InputError, match=said):
        weighed(rows, items_of(**items))
