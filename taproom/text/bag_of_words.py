"""Documents as bags of words: the selected terms, and the share of each term among the words of a document.

Here belongs what turns counted documents into the rows of `terms` and `bag_of_words`, and those tables into arrays.
Counting is in `taproom.words.counting`, selecting and weighting words in `taproom.words.tfidf`, and topics are in
`taproom.text.topics`.

Source: slide "Bag of Words" of the lecture deck (Jamieson, CSE546 2017): x_ij is the proportion of times that word j
occurred in document i.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.compute import cluster_address
from taproom.warehouse.table_version import TableVersion
from taproom.words.counting import Counts, count_stream
from taproom.words.sparse import csr_to_lists, lists_to_csr
from taproom.words.stored_texts import count_stored
from taproom.words.tfidf import select_frequent, shares

DOCUMENTS_AT_ONCE = 10_000
_DOCUMENT_COLUMNS = ["document_id", "label", "split"]


@dataclass(frozen=True)
class Bags:
    """Documents and how often each word occurs in each.

    Attributes:
        documents: document_id, label and split of each document, sorted by document_id.
        words: (words,) object array of str, ascending.
        counts: (documents, words) CSR of int64; a document without words has an empty row.
    """

    documents: pa.Table
    words: np.ndarray
    counts: sparse.csr_array


@dataclass(frozen=True)
class Terms:
    """The selected words, with their statistics in the training documents.

    Attributes:
        columns: (terms,) int64, ascending columns of the counts.
        document_frequency: (terms,) int64, number of training documents that have the word.
        count: (terms,) int64, number of occurrences in the training documents.
        idf: (terms,) float64, log(1/DF), where DF is the share of the nonempty training documents that have the word.
    """

    columns: np.ndarray
    document_frequency: np.ndarray
    count: np.ndarray
    idf: np.ndarray


def count_documents(
    documents: TableVersion | Iterable[pa.RecordBatch], token_pattern: str, n_jobs: int | None = None
) -> Bags:
    """Count the words of documents.

    Args:
        documents: batches with the columns document_id, label, split and text; or a version of a table of these, which
            is counted on a cluster where there is one.
        token_pattern: see `taproom.words.counting.tokens`.
        n_jobs: see `taproom.words.counting.count_stream`.

    Raises:
        InputError: as `taproom.words.counting.count_stream` does.
        ComputeError, DamagedFileError, StorageError: as `taproom.words.stored_texts.count_stored` does.
    """
    if not isinstance(documents, TableVersion):
        return _count_stream(documents, token_pattern, n_jobs)
    if cluster_address() is None:
        return _count_stream(documents.stream(), token_pattern, n_jobs)
    counted = count_stored(documents, "document_id", token_pattern, n_jobs=n_jobs)
    return _bags(replace(documents, columns=tuple(_DOCUMENT_COLUMNS)).read(), counted)


def _count_stream(documents: Iterable[pa.RecordBatch], token_pattern: str, n_jobs: int | None) -> Bags:
    """Count documents as they pass, so that they are read once."""
    seen: list[pa.RecordBatch] = []

    def streamed() -> Iterator[tuple[list[str], list[str]]]:
        for batch in documents:
            seen.append(batch.select(_DOCUMENT_COLUMNS))
            yield batch["document_id"].to_pylist(), batch["text"].to_pylist()

    counted = count_stream(streamed(), token_pattern, n_jobs=n_jobs)
    return _bags(pa.Table.from_batches(seen), counted)


def _bags(documents: pa.Table, counted: Counts) -> Bags:
    """The counts with a row for each document, also for those without words."""
    by_id = documents.sort_by("document_id")
    distinct_words = np.zeros(len(by_id), np.int64)
    rows = pc.index_in(pa.array(counted.item_ids, pa.string()), value_set=by_id["document_id"].combine_chunks())
    distinct_words[rows.to_numpy()] = np.diff(counted.counts.indptr)
    # The same type as the indices, or SciPy would copy those to the wider type.
    starts = np.concatenate([[0], np.cumsum(distinct_words)]).astype(counted.counts.indices.dtype)
    counts = sparse.csr_array((counted.counts.data, counted.counts.indices, starts), (len(by_id), len(counted.words)))
    return Bags(by_id, counted.words, counts)


def choose_terms(
    bags: Bags, min_document_frequency: int = 1, max_document_share: float = 1.0, max_words: int | None = None
) -> Terms:
    """Select words by `taproom.words.tfidf.select_frequent` on the training documents that have words.

    Args:
        bags: all documents.
        min_document_frequency: minimum number of training documents that have a word.
        max_document_share: maximum share of the training documents that have a word, in (0, 1].
        max_words: maximum number of words; None for no limit.

    Raises:
        InputError: as `select_frequent` does.
    """
    training = pc.equal(bags.documents["split"], "training").to_numpy(zero_copy_only=False)
    training &= np.diff(bags.counts.indptr) > 0
    frequency, occurrences = np.zeros((2, len(bags.words)), np.int64)
    for some in _some_documents(bags):  # the training documents are most of the counts, too large to copy at once
        counts = bags.counts[some][training[some]]
        frequency += np.bincount(counts.indices, minlength=len(frequency))
        occurrences += np.asarray(counts.sum(axis=0)).ravel()
    documents = int(training.sum())
    columns = select_frequent(frequency, documents, min_document_frequency, max_words, max_document_share)
    return Terms(columns, frequency[columns], occurrences[columns], np.log(documents / frequency[columns]))


class BagRows:
    """The rows of the table `bag_of_words`, sorted by document_id.

    Attributes:
        without_terms: number of documents without any of the terms, among the rows read so far.
        shares: number of shares in the rows read so far.
    """

    def __init__(self, bags: Bags, terms: Terms, schema: pa.Schema) -> None:
        """Start with no rows read."""
        self._bags = bags
        self._columns = terms.columns
        self._schema = schema
        self.without_terms = self.shares = 0

    def reader(self) -> pa.RecordBatchReader:
        """Stream the rows, since they take several times the memory of the counts."""
        return pa.RecordBatchReader.from_batches(self._schema, map(self._batch, _some_documents(self._bags)))

    def _batch(self, some: slice) -> pa.RecordBatch:
        documents = self._bags.documents.slice(some.start, some.stop - some.start)
        counts = Counts(documents["document_id"].to_numpy(), self._bags.words, self._bags.counts[some])
        found = shares(counts, self._columns)
        found.sort_indices()
        self.without_terms += int((np.diff(found.indptr) == 0).sum())
        self.shares += found.nnz
        term_ids, values = csr_to_lists(found)
        words = np.asarray(counts.counts.sum(axis=1)).ravel()
        rows = {
            **{name: documents[name] for name in _DOCUMENT_COLUMNS},
            "words": words,
            "term_ids": term_ids,
            "shares": values,
        }
        table = pa.table([rows[name] for name in self._schema.names], schema=self._schema)
        return table.combine_chunks().to_batches()[0]


def _some_documents(bags: Bags) -> Iterator[slice]:
    """Slices of `DOCUMENTS_AT_ONCE` consecutive documents."""
    count = len(bags.documents)
    for first in range(0, count, DOCUMENTS_AT_ONCE):
        yield slice(first, min(first + DOCUMENTS_AT_ONCE, count))


@dataclass(frozen=True)
class Corpus:
    """The tables `bag_of_words` and `terms` as arrays.

    Attributes:
        document_ids: (documents,) ascending.
        labels: (documents,) object array of str, None where unknown.
        training: (documents,) bool, whether the document is in the training split.
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
        """The documents that topics are evaluated on, (documents,) bool: the test split or, if empty, all."""
        return self.training if self.training.all() else ~self.training


def corpus_of(bag_of_words: pa.Table, terms: pa.Table) -> Corpus:
    """Convert the two tables to arrays; `shares` uses the memory of the table where it can."""
    return Corpus(
        document_ids=bag_of_words["document_id"],
        labels=bag_of_words["label"].to_numpy(),
        training=pc.equal(bag_of_words["split"], "training").to_numpy(),
        words=bag_of_words["words"].to_numpy(),
        shares=lists_to_csr(bag_of_words["term_ids"], bag_of_words["shares"], len(terms)),
        terms=terms["word"].to_numpy(),
        idf=terms["idf"].to_numpy(),
    )
