import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.text.bag_of_words import BAG_OF_WORDS, TERMS
from assets.text.documents import CONTRACT as DOCUMENTS
from taproom.cluster import taken_usages
from taproom.errors import InputError
from taproom.text.bag_of_words import BagRows, choose_terms, corpus_of, count_documents
from taproom.words.counting import DEFAULT_TOKEN_PATTERN

WORDS = st.lists(st.sampled_from(["ale", "stout", "porter", "lager", "x"]), max_size=12).map(" ".join)


def documents_of(texts, training=None):
    rows = {
        "document_id": [f"d{number:02}" for number in range(len(texts))],
        "label": ["odd" if number % 2 else None for number in range(len(texts))],
        "split": ["training" if fits else "test" for fits in (training or [True] * len(texts))],
        "text": texts,
    }
    return pa.record_batch([pa.array(values, pa.string()) for values in rows.values()], list(rows))


def table_of(bags, terms):
    return BagRows(bags, terms, BAG_OF_WORDS.schema).reader().read_all()


@settings(max_examples=40, deadline=None)
@given(st.lists(WORDS, min_size=3, max_size=8), st.integers(1, 3))
def test_rows_are_those_counted_by_hand_in_whatever_pieces_documents_come(texts, piece):
    texts = [*texts, "ale stout", "ale"]
    documents = documents_of(texts)
    pieces = [documents.slice(first, piece) for first in range(0, len(texts), piece)]
    bags = count_documents(pieces[::-1], DEFAULT_TOKEN_PATTERN, n_jobs=1)
    terms = choose_terms(bags)
    names = bags.words[terms.columns]
    for text, row in zip(texts, table_of(bags, terms).to_pylist(), strict=True):
        said = [word for word in text.split() if len(word) > 1]
        assert row["words"] == len(said)
        found = {names[term]: share for term, share in zip(row["term_ids"], row["shares"], strict=True)}
        assert found == {word: said.count(word) / len(said) for word in said}


@pytest.mark.slow
def test_a_cluster_gives_the_same_bags_and_is_sent_neither_documents_nor_counts(stored, on_cluster, monkeypatch):
    for limit in ("BYTES_PER_BATCH", "BYTES_PER_FILE"):
        monkeypatch.setattr(f"taproom.warehouse.data_files.{limit}", 1_000)
    documents = documents_of(["!", *(f"ale {number} stout" for number in range(100))])
    table = pa.Table.from_batches([documents]).add_column(0, "corpus", pa.array(["c"] * len(documents)))
    version = stored(DOCUMENTS, table.cast(DOCUMENTS.schema))
    taken_usages()
    here, there = (count_documents(each, r"\w+") for each in (version.stream(), version))
    (usage,) = taken_usages()
    assert there.documents.equals(here.documents)
    assert there.words.tolist() == here.words.tolist()
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(there.counts, part), getattr(here.counts, part))
    assert usage.blocks == len(version.by_file()) > 2
    assert usage.largest_sent < 1_500
    assert usage.largest_received < 100


def test_test_documents_choose_no_word_and_weigh_none():
    bags = count_documents(
        [documents_of(["ale stout", "ale porter", "lager ale", "ale ale"], [True, True, False, False])],
        DEFAULT_TOKEN_PATTERN,
    )
    terms = choose_terms(bags)
    assert bags.words[terms.columns].tolist() == ["ale", "porter", "stout"]
    assert terms.document_frequency.tolist() == [2, 1, 1]
    assert terms.count.tolist() == [2, 1, 1]
    assert terms.idf == pytest.approx([0, np.log(2), np.log(2)])
    assert table_of(bags, terms)["shares"].to_pylist()[2] == [0.5]


def test_a_corpus_is_what_its_tables_hold():
    bags = count_documents([documents_of(["ale stout", "", "ale"], [True, True, False])], DEFAULT_TOKEN_PATTERN)
    terms = choose_terms(bags)
    table = TERMS.table_of(
        term_id=np.arange(2, dtype=np.int32),
        word=bags.words[terms.columns],
        document_frequency=terms.document_frequency,
        count=terms.count,
        idf=terms.idf,
        token_pattern=pa.repeat(DEFAULT_TOKEN_PATTERN, 2),
    )
    corpus = corpus_of(table_of(bags, terms), table)
    assert corpus.shares.toarray().tolist() == [[0.5, 0.5], [0, 0], [1, 0]]
    assert corpus.labels.tolist() == [None, "odd", None]
    assert corpus.training.tolist() == [True, True, False]
    assert corpus.reference.tolist() == [False, False, True]
    assert corpus.terms.tolist() == ["ale", "stout"]


def test_without_a_word_in_the_training_documents_nothing_is_chosen():
    bags = count_documents([documents_of(["", "ale"], [True, False])], DEFAULT_TOKEN_PATTERN)
    with pytest.raises(InputError, match="raise the maximum share, or add texts"):
        choose_terms(bags)
