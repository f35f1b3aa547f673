import re

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from benchmarks.corpus import REVIEW_WORDS, SCHEMA, STYLES, corpus, spelled, write_corpus
from taproom.errors import InputError
from taproom.maps.neighbors import nearest
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, count_words
from taproom.words.tfidf import select_words, weigh

SIZE = {"items": 400, "words": 5_000, "tokens": 400_000}


@pytest.fixture(scope="module")
def reviews() -> pa.Table:
    return pa.Table.from_batches(corpus(**SIZE))


@pytest.fixture(scope="module")
def counts(reviews):
    return count_words(reviews["item_id"].to_pylist(), reviews["text"].to_pylist())


def test_it_has_the_size_that_was_asked_for(reviews, counts):
    assert reviews.schema.equals(SCHEMA)
    assert counts.counts.shape == (SIZE["items"], SIZE["words"])
    assert counts.counts.sum() == pytest.approx(SIZE["tokens"], rel=0.02)
    lengths = [len(text.split(" ")) for text in reviews["text"].to_pylist()]
    assert (min(lengths), max(lengths)) == REVIEW_WORDS


def test_every_word_is_in_two_items(counts):
    assert np.bincount(counts.counts.indices).min() >= 2


def test_every_item_has_two_reviews_and_some_have_many(reviews):
    per_item = reviews["item_id"].value_counts().field("counts").to_numpy()
    assert per_item.min() >= 2
    assert per_item.max() > 5 * np.median(per_item)


def test_frequencies_fall_as_a_power_of_the_rank(counts):
    by_word = np.sort(counts.counts.sum(axis=0))[::-1]
    slope, _ = np.polyfit(np.log(np.arange(1, 1001)), np.log(by_word[:1000]), 1)
    assert -1.3 < slope < -0.7


def test_neighbors_share_a_style(reviews, counts):
    weights, _ = weigh(counts, select_words(counts))
    indices, _ = nearest(weights, 5)
    style = dict(zip(reviews["item_id"].to_pylist(), reviews["category"].to_pylist(), strict=True))
    assert len(set(style.values())) == STYLES
    styles = np.array([style[item] for item in counts.item_ids])
    assert (styles[indices] == styles[:, None]).mean() > 10 / STYLES


def test_the_seed_alone_decides(reviews):
    assert pa.Table.from_batches(corpus(**SIZE)).equals(reviews)
    assert not pa.Table.from_batches(corpus(**SIZE, seed=1)).equals(reviews)


def test_words_are_pronounceable_and_differ():
    words = spelled(20_000)
    assert len(set(words)) == 20_000
    assert all(re.fullmatch("([b-z][aeiou])+", word) for word in words)
    assert all(re.fullmatch(DEFAULT_TOKEN_PATTERN, word) for word in words)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reviews.parquet", "reviews.csv", "reviews.csv.gz"])
def test_files_hold_the_reviews(tmp_path, name, reviews):
    write_corpus(tmp_path / name, **SIZE)
    read = pa.parquet.read_table if name.endswith("parquet") else pa.csv.read_csv
    assert read(tmp_path / name).equals(reviews)


@pytest.mark.parametrize("wrong", [{"items": 10}, {"words": 10}, {"tokens": 10_000}, {"words": 200_000}])
def test_sizes_that_make_no_corpus_are_refused(wrong):
    with pytest.raises(InputError, match="do not make a corpus"):
        next(corpus(**{**SIZE, **wrong}))
