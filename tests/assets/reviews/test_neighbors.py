import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.reviews.neighbors import (
    CONTRACT,
    NeighborsConfig,
    neighbors,
    neighbors_are_exact,
    neighbors_share_words,
)
from assets.reviews.tfidf import TFIDF, VOCABULARY
from taproom.errors import TaproomError

CHAIN = ("items", "review_batches", "duplicate_reviews", "vocabulary", "tfidf", "neighbors")


def tfidf_of(**weights: dict[int, float]) -> pa.Table:
    rows = [
        {"item_id": item, "words": 10, "term_ids": sorted(row), "weights": [row[term] for term in sorted(row)]}
        for item, row in sorted(weights.items())
    ]
    return pa.Table.from_pylist(rows, schema=TFIDF.schema)


def vocabulary_of(words: int) -> pa.Table:
    return VOCABULARY.table_of(
        term_id=np.arange(words, dtype=np.int32), word=[f"word{n}" for n in range(words)],
        document_frequency=[1] * words, count=[1] * words, idf=[1.0] * words,
        token_pattern=["."] * words,
    )  # fmt: skip


@pytest.fixture
def found(stored):
    def find(tfidf: pa.Table, words: int = 3, **config) -> tuple[dict, dict]:
        draft = neighbors(NeighborsConfig(workers=1, **config), stored(TFIDF, tfidf), vocabulary_of(words))
        assert draft.rows.schema.equals(CONTRACT.schema)
        return {row["item_id"]: row for row in draft.rows.to_pylist()}, draft.final_metadata()

    return find


@pytest.mark.slow
def test_neighbors_are_the_nearest_by_angle_without_the_item_itself(found):
    tfidf = tfidf_of(a={0: 1.0}, b={0: 3.0, 1: 3.0}, c={1: 2.0}, d={0: 1.0, 1: 0.1})
    rows, _ = found(tfidf, k=3)
    assert rows["a"]["neighbor_ids"] == ["d", "b", "c"]
    assert rows["a"]["distances"] == pytest.approx([1 - 1 / np.sqrt(1.01), 1 - np.sqrt(0.5), 1])


def test_ties_go_to_the_smaller_id(found):
    rows, told = found(tfidf_of(a={0: 1.0}, b={1: 1.0}, c={1: 2.0}, d={1: 3.0}), k=2)
    assert rows["a"]["neighbor_ids"] == ["b", "c"]
    assert rows["d"]["neighbor_ids"] == ["b", "c"]
    assert rows["d"]["distances"] == pytest.approx([0, 0], abs=1e-15)
    assert told["k"] == 2


def test_an_item_without_any_weighted_word_is_left_out_and_counted(found):
    rows, told = found(tfidf_of(a={0: 1.0}, b={0: 1.0, 1: 1.0}, silent={}), k=1)
    assert sorted(rows) == ["a", "b"]
    assert told["items"] == 2


def test_more_neighbors_than_items_are_refused_or_cut(found):
    tfidf = tfidf_of(a={0: 1.0}, b={0: 1.0, 1: 1.0}, c={1: 1.0})
    rows, _ = found(tfidf)
    assert all(len(row["neighbor_ids"]) == 1 for row in rows.values())
    with pytest.raises(TaproomError, match="2"):
        found(tfidf, k=50)


@pytest.mark.parametrize("tfidf", [tfidf_of(a={0: 1.0}), tfidf_of(a={}, b={}, c={})], ids=["one item", "no weights"])
def test_too_few_items_for_any_neighbor_are_refused(found, tfidf):
    with pytest.raises(TaproomError):
        found(tfidf)


def test_the_check_finds_wrong_distances(stored):
    tfidf = tfidf_of(a={0: 1.0}, b={0: 3.0, 1: 3.0}, c={1: 2.0}, silent={})
    right = neighbors(NeighborsConfig(k=2, workers=1), stored(TFIDF, tfidf), vocabulary_of(2)).rows
    assert neighbors_are_exact(stored(CONTRACT, right), tfidf.to_reader(), vocabulary_of(2)).passed
    wrong = CONTRACT.table_of(**dict(right.to_pydict(), distances=[[0.0, 1.0]] * 3))
    check = neighbors_are_exact(stored(CONTRACT, wrong), tfidf.to_reader(), vocabulary_of(2))
    assert not check.passed
    assert check.metadata["largest_difference"].value > 0.1


def test_with_many_items_most_of_the_nearest_are_found_and_the_check_says_how_many(
    write_csv, ingest, make, warehouse, themed_reviews
):
    ingest(write_csv("a.csv", themed_reviews()))
    run = make(*CHAIN, neighbors={"exact_up_to": 39})
    (made,) = [event for event in run.get_asset_materialization_events() if event.asset_key == dg.AssetKey("neighbors")]
    assert 0.95 <= made.materialization.metadata["recall"].value <= 1
    assert made.materialization.metadata["share_of_length_searched"].value < 1
    (check,) = [each for each in run.get_asset_check_evaluations() if each.check_name == "neighbors_are_exact"]
    assert check.passed
    assert check.metadata["recall"].value >= 0.95
    run = make("neighbors", neighbors={"exact_up_to": 40})
    (made,) = [event for event in run.get_asset_materialization_events() if event.asset_key == dg.AssetKey("neighbors")]
    assert made.materialization.metadata["share_of_length_searched"].value == 1


def test_the_check_finds_that_too_many_of_the_nearest_are_missing(stored):
    items = 60
    tfidf = tfidf_of(**{f"item {item:02}": {0: 1.0 + item, 1: items - item} for item in range(items)})
    table = neighbors(NeighborsConfig(k=2, workers=1), stored(TFIDF, tfidf), vocabulary_of(2)).rows
    farther = neighbors(NeighborsConfig(k=4, workers=1), stored(TFIDF, tfidf), vocabulary_of(2)).rows
    lists = {name: [row[2:] for row in farther[name].to_pylist()] for name in ("neighbor_ids", "distances")}
    missed = CONTRACT.table_of(item_id=table["item_id"], **lists)
    config = {"exact_up_to": items - 1}
    check = neighbors_are_exact(stored(CONTRACT, missed, config), tfidf.to_reader(), vocabulary_of(2))
    assert check.metadata["largest_difference"].value < 1e-9
    assert not check.passed
    assert check.metadata["recall"].value < 0.2
    assert neighbors_are_exact(stored(CONTRACT, table, config), tfidf.to_reader(), vocabulary_of(2)).passed


@pytest.mark.parametrize(("k", "share"), [(2, 0.0), (4, 3 * 2 / (24 * 4))])
def test_neighbors_without_a_word_in_common_are_warned_of(stored, k, share):
    english = {f"en {item:02}": {0: 1.0, 1 + item % 5: 1.0} for item in range(21)}
    german = {f"de {item}": {6: 1.0, 7 + item: 1.0} for item in range(3)}
    tfidf = tfidf_of(**english, **german)
    table = neighbors(NeighborsConfig(k=k, workers=1), stored(TFIDF, tfidf), vocabulary_of(10)).rows
    check = neighbors_share_words(table)
    assert (check.passed, check.severity) == (share == 0, dg.AssetCheckSeverity.WARN)
    assert check.metadata["share_without_common_word"].value == pytest.approx(share)
    assert check.metadata["items_with_such_neighbors"].value == (3 if share else 0)
    assert all(key in check.metadata["what_to_set"].value for key in ("`k`", "`min_reviews`", "`token_pattern`"))


def test_themes_are_each_others_neighbors_whatever_the_workers(write_csv, ingest, make, warehouse, themed_reviews):
    ingest(write_csv("a.csv", themed_reviews()))
    assert make(*CHAIN).success
    table = warehouse.read("neighbors")
    theme = {f"item {item:03d}": item % 4 for item in range(40)}
    for row in table.to_pylist():
        assert len(row["neighbor_ids"]) == 4  # a tenth of the 40 items
        assert row["item_id"] not in row["neighbor_ids"]
        assert {theme[neighbor] for neighbor in row["neighbor_ids"]} == {theme[row["item_id"]]}
    make("neighbors", neighbors={"workers": 1})
    assert len({commit["content_hash"] for commit in warehouse.history("neighbors")}) == 1


def test_reviews_that_make_no_map_are_refused_and_the_tables_stay(
    write_csv, ingest, make, warehouse, themed_reviews, subtests
):
    counts = {"x": 4, "y": 4, "z": 5}
    same = [
        {"review_id": f"{x} {n}", "item_id": x, "text": "pine hop"} for x, count in counts.items() for n in range(count)
    ]
    ingest(write_csv("a.csv", [*themed_reviews(items=12), *same]))
    make(*CHAIN)
    before = {table: warehouse.read(table) for table in ("vocabulary", "tfidf", "neighbors")}
    for what, min_reviews in {"items all the same": 4, "one item": 5, "no item": 6}.items():
        with subtests.test(what):
            with pytest.raises(TaproomError):
                make(*CHAIN, tfidf={"min_reviews": min_reviews, "min_document_frequency": 1})
            assert {table: warehouse.read(table) for table in before} == before
