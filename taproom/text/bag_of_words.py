"""Documents as bags of words: which words count, and what share of a document each of them is.

Here belongs what turns counted documents into the rows of `terms` and `bag_of_words`. Counting is in
`taproom.words.counting`, the choice of words and their weights in `taproom.words.tfidf`; topics are in
`taproom.text.topics`.

Source: slide "Bag of Words" of the lecture deck (Jamieson, CSE546 2017): x_ij is the proportion of times that word j
occurred in document i.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.words.counting import Counts, count_stream
from taproom.words.sparse import csr_to_lists, lists_to_csr
from taproom.words.tfidf import select_frequent, shares

DOCUMENTS_AT_ONCE = 10_000
_ABOUT = ["document_id", "label", "split"]


@dataclass(frozen=True)
class Bags:
    """Documents and how often each says each word.

    Attributes:
        documents: document_id, label and split of each document, by document_id.
        words: (words,) object array of str, ascending.
        counts: (documents, words) CSR of int64; the row of a document without a word is empty.
    """

    documents: pa.Table
    words: np.ndarray
    counts: sparse.csr_array


@dataclass(frozen=True)
class Terms:
    """The words that count, by the training documents.

    Attributes:
        columns: (terms,) int64, ascending columns of the counts.
        document_frequency: (terms,) int64, training documents that have the word.
        count: (terms,) int64, how often it occurs in them.
        idf: (terms,) float64, log(1/DF), DF the share of training documents with words that have the word.
    """

    columns: np.ndarray
    document_frequency: np.ndarray
    count: np.ndarray
    idf: np.ndarray


def count_documents(documents: Iterable[pa.RecordBatch], token_pattern: str, n_jobs: int | None = None) -> Bags:
    """Count the words of documents as they stream by (columns document_id, label, split, text).

    Raises:
        InputError: as `taproom.words.counting.count_stream` does.
    """
    about: list[pa.RecordBatch] = []

    def streamed() -> Iterator[tuple[list[str], list[str]]]:
        for batch in documents:
            about.append(batch.select(_ABOUT))
            yield batch["document_id"].to_pylist(), batch["text"].to_pylist()

    counted = count_stream(streamed(), token_pattern, n_jobs=n_jobs)
    by_id = pa.Table.from_batches(about).sort_by("document_id")
    said = np.zeros(len(by_id), np.int64)
    rows = pc.index_in(pa.array(counted.item_ids, pa.string()), value_set=by_id["document_id"].combine_chunks())
    said[rows.to_numpy()] = np.diff(counted.counts.indptr)
    # Of the type of the indices, which would take twice the room else.
    starts = np.concatenate([[0], np.cumsum(said)]).astype(counted.counts.indices.dtype)
    counts = sparse.csr_array((counted.counts.data, counted.counts.indices, starts), (len(by_id), len(counted.words)))
    return Bags(by_id, counted.words, counts)


def choose_terms(
    bags: Bags, min_document_frequency: int = 1, max_document_share: float = 1.0, max_words: int | None = None
) -> Terms:
    """The words worth keeping: `taproom.words.tfidf.select_frequent` on the training documents with words.

    Raises:
        InputError: no word is left, or as `select_frequent` does.
    """
    training = pc.equal(bags.documents["split"], "training").to_numpy(zero_copy_only=False)
    training &= np.diff(bags.counts.indptr) > 0
    frequency, occurrences = np.zeros((2, len(bags.words)), np.int64)
    for some in _some_documents(bags):  # all of the training documents at once would be most of the counts once more
        counts = bags.counts[some][training[some]]
        frequency += np.bincount(counts.indices, minlength=len(frequency))
        occurrences += np.asarray(counts.sum(axis=0)).ravel()
    documents = int(training.sum())
    columns = select_frequent(frequency, documents, min_document_frequency, max_words, max_document_share)
    return Terms(columns, frequency[columns], occurrences[columns], np.log(documents / frequency[columns]))


class BagRows:
    """The rows of `bag_of_words` by document_id, in the schema of that table, and what was found on the way.

    Attributes:
        without_terms: documents so far that have none of the terms.
        shares: how many shares there are so far.
    """

    def __init__(self, bags: Bags, terms: Terms, schema: pa.Schema) -> None:
        """Nothing is written out yet."""
        self._bags = bags
        self._columns = terms.columns
        self._schema = schema
        self.without_terms = self.shares = 0

    def reader(self) -> pa.RecordBatchReader:
        """Stream them some documents at a time: written out they take several times the room of the counts."""
        return pa.RecordBatchReader.from_batches(self._schema, map(self._batch, _some_documents(self._bags)))

    def _batch(self, some: slice) -> pa.RecordBatch:
        about = self._bags.documents.slice(some.start, some.stop - some.start)
        counts = Counts(about["document_id"], self._bags.words, self._bags.counts[some])
        found = shares(counts, self._columns)
        found.sort_indices()
        self.without_terms += int((np.diff(found.indptr) == 0).sum())
        self.shares += found.nnz
        term_ids, values = csr_to_lists(found)
        words = np.asarray(counts.counts.sum(axis=1)).ravel()
        rows = {**{name: about[name] for name in _ABOUT}, "words": words, "term_ids": term_ids, "shares": values}
        table = pa.table([rows[name] for name in self._schema.names], schema=self._schema)
        return table.combine_chunks().to_batches()[0]


def _some_documents(bags: Bags) -> Iterator[slice]:
    """Consecutive documents, some at a time."""
    count = len(bags.documents)
    for first in range(0, count, DOCUMENTS_AT_ONCE):
        yield slice(first, min(first + DOCUMENTS_AT_ONCE, count))


@dataclass(frozen=True)
class Corpus:
    """The tables `bag_of_words` and `terms` as arrays.

    Attributes:
        document_ids: (documents,) ascending.
        labels: (documents,) object array of str, None where unknown.
        training: (documents,) bool.
        words: (documents,) int64, number of words in each document.
        shares: (documents, terms) CSR of float64.
        terms: (terms,) object array of str.
        idf: (terms,) float64.
    """

    document_ids: pa.ChunkedArray
    labels: np.ndarray
    training: np.ndarray
    words: np.ndarray
    shares: sparse.csr_array
    terms: np.ndarray
    idf: np.ndarray

    @property
    def reference(self) -> np.ndarray:
        """The documents that topics are judged on, (documents,) bool: the test split, or without one the training's."""
        return self.training if self.training.all() else ~self.training


def corpus_of(bag_of_words: pa.Table, terms: pa.Table) -> Corpus:
    """The corpus that the tables hold; the shares share their memory."""
    return Corpus(
        document_ids=bag_of_words["document_id"],
        labels=bag_of_words["label"].to_numpy(),
        training=pc.equal(bag_of_words["split"], "training").to_numpy(),
        words=bag_of_words["words"].to_numpy(),
        shares=lists_to_csr(bag_of_words["term_ids"], bag_of_words["shares"], len(terms)),
        terms=terms["word"].to_numpy(),
        idf=terms["idf"].to_numpy(),
    )
