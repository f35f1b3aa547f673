"""Topics by nonnegative matrix factorization, and the mixture of topics of each document.

Here belong the weights to factorize, the fit, the mixtures, and the conversion of topics to and from table rows.
Measures of topics are in `taproom.text.coherence`, other methods in `taproom.text.topic_methods`.

Source: slides "Bag of Words" and "Nonnegative matrix factorization (NMF)" of the lecture deck (Jamieson, CSE546 2017):
min ||A - W H^T||_F^2 over W, H >= 0, where A has a row for each document, and each column of H is a topic. In this
package a topic is a row, as in the table. The deck leaves the scale of topics open; here they have length 1 (L2), so
that the rows of W are comparable between topics.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.blas import blas_threads
from taproom.errors import InputError
from taproom.words.sparse import lists_to_csr

TOP_WORDS = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TopicParameters:
    """Parameters of the fit.

    Attributes:
        topics: number of topics, d.
        iterations: maximum number of iterations of coordinate descent.
        tolerance: the descent stops when the ratio of a step to the first one falls below this.
        seed: seed of the randomized singular value decomposition that initializes the fit; nothing else is random.

    Raises:
        InputError: a parameter is out of range.
    """

    topics: int = 20
    iterations: int = 200
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.topics < 1 or self.iterations < 1 or not self.tolerance >= 0 or self.seed < 0:
            raise InputError(
                f"{self.topics} topics, {self.iterations} iterations, the tolerance {self.tolerance} and the seed "
                f"{self.seed} were given; wanted: at least 1 topic and 1 iteration, and no negative tolerance or seed."
            )


def document_weights(shares: sparse.csr_array, idf: np.ndarray | None = None) -> sparse.csr_array:
    """The weights to factorize: the shares TF as they are, or TF * log(1/DF) with rows scaled to length 1 (L2).

    Each row depends only on its own document.

    Args:
        shares: (documents, terms) float64, the share of each term among a document's words.
        idf: (terms,) float64, log(1/DF) of each term; None for the plain shares.

    Returns:
        (documents, terms) float64 without stored zeros; a document without any weight has an empty row.

    Raises:
        InputError: the numbers of terms differ, or a weight is negative or not finite.

    >>> document_weights(sparse.csr_array([[0.3, 0.4, 0.3]]), idf=np.array([1.0, 1.0, 0.0])).toarray().round(3)
    array([[0.6, 0.8, 0. ]])
    """
    if idf is not None and len(idf) != shares.shape[1]:
        raise InputError(
            f"There are {len(idf)} inverse document frequencies for {shares.shape[1]} terms. Take both from one "
            "vocabulary."
        )
    weights = sparse.csr_array(shares, dtype=np.float64, copy=True)
    if idf is not None:
        weights.data *= idf[weights.indices]
    if not (np.isfinite(weights.data).all() and (weights.data >= 0).all()):
        raise InputError("Some weights are negative or not finite. Give shares and log(1/DF), which never are.")
    weights.eliminate_zeros()
    if idf is not None:
        lengths = np.sqrt(weights.multiply(weights).sum(axis=1))
        weights.data /= np.repeat(lengths, np.diff(weights.indptr))
    return weights


def fit_topics(weights: sparse.csr_array, parameters: TopicParameters | None = None) -> np.ndarray:
    """The topics H that minimize ||A - W H||_F^2 over W, H >= 0, by scikit-learn's coordinate descent.

    It computes in single precision: in half the time it reaches the same error, to six digits.

    The fit is initialized by nonnegative double singular value decomposition (NNDSVD), whose zeros stay zero. Topics
    are therefore sparse, and nearly the same for any seed.

    Args:
        weights: (documents, terms) float64 A, as from `document_weights`.
        parameters: parameters of the fit; None for the defaults.

    Returns:
        (d, terms) float64, nonnegative, rows of length 1 (L2), in descending order of the sum of the documents'
        mixtures; ties: the topic with the first heaviest term.

    Raises:
        InputError: fewer than two documents have words, there are more topics than the rank of the matrix, or the fit
            left a topic without any word.

    Source: Cichocki and Phan, Fast Local Algorithms for Large Scale Nonnegative Matrix and Tensor Factorizations, 2009;
    Boutsidis and Gallopoulos, SVD Based Initialization, 2008.

    >>> weights = sparse.csr_array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]])
    >>> fit_topics(weights, TopicParameters(topics=2)).round(2)
    array([[0.71, 0.71, 0.  , 0.  ],
           [0.  , 0.  , 0.71, 0.71]])
    """
    from sklearn.decomposition import NMF

    parameters = parameters or TopicParameters()
    with blas_threads(), warnings.catch_warnings():
        # Warnings about the limit of iterations, which is logged below, and about an error that is 0 up to rounding.
        warnings.simplefilter("ignore")
        check_rank(weights, parameters.topics, parameters.seed)
        fit = NMF(
            parameters.topics,
            init="nndsvd",
            tol=parameters.tolerance,
            max_iter=parameters.iterations,
            random_state=parameters.seed,
        ).fit(weights.astype(np.float32))
    logger.info("%d topics after %d iterations, error %.6g", len(fit.components_), fit.n_iter_, fit.reconstruction_err_)
    found = fit.components_.astype(np.float64)
    lengths = np.sqrt((found**2).sum(axis=1))
    if not lengths.all():
        raise InputError(
            f"{(lengths == 0).sum()} of {len(lengths)} topics have no word after the fit: the corpus has fewer topics. "
            f"Request {(lengths > 0).sum()} or fewer."
        )
    topics = found / lengths[:, None]
    total = mixtures(weights, topics).sum(axis=0)
    return topics[np.lexsort((topics.argmax(axis=1), -total))]


def mixtures(weights: sparse.csr_array, topics: np.ndarray) -> np.ndarray:
    """The share of each topic in each document: the exact w >= 0 that minimizes ||a - w H||^2, scaled to the sum 1.

    Each document is solved by itself, so its row is the same, bit for bit, whatever the other documents are.

    Args:
        weights: (documents, terms) float64 A, computed like those that the topics were fitted to.
        topics: (d, terms) float64 H, as from `fit_topics`.

    Returns:
        (documents, d) float64; a row of zeros for a document that has no word in common with any topic.

    Raises:
        InputError: the numbers of terms differ.

    Source: Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23, by SciPy.

    >>> mixtures(sparse.csr_array([[3.0, 1.0], [0.0, 0.0]]), np.eye(2))
    array([[0.75, 0.25],
           [0.  , 0.  ]])
    """
    from scipy.optimize import nnls

    if weights.shape[1] != topics.shape[1]:
        raise InputError(
            f"The documents have {weights.shape[1]} terms and the topics {topics.shape[1]}. Weight the documents with "
            "the vocabulary that the topics were fitted with."
        )
    with blas_threads():
        # The part of a document outside the span of the topics is the same for all w, so it can be left out.
        span, within_span = np.linalg.qr(topics.T)
        projected = weights @ span
        found = np.array([nnls(within_span, document, maxiter=30 * len(topics))[0] for document in projected])
    found = found.reshape(len(projected), len(topics))
    total = found.sum(axis=1, keepdims=True)
    return np.divide(found, total, out=np.zeros_like(found), where=total > 0)


def dominant_topics(mixed: np.ndarray) -> np.ndarray:
    """The topic with the largest share in each document; ties: the first; -1 for rows of zeros: (documents,) int64.

    >>> dominant_topics(np.array([[0.2, 0.8], [0.5, 0.5], [0.0, 0.0]]))
    array([ 1,  0, -1])
    """
    return np.where(mixed.any(axis=1), mixed.argmax(axis=1), -1)


def top_terms(topics: np.ndarray, count: int = TOP_WORDS) -> list[np.ndarray]:
    """The heaviest terms of each topic, heaviest first; ties: the first term: (d,) arrays of int64.

    A topic with fewer than `count` terms of positive weight has only those.

    >>> top_terms(np.array([[0.1, 0.9, 0.0], [0.2, 0.3, 0.8]]), count=2)
    [array([1, 0]), array([2, 1])]
    """
    heaviest = np.argsort(-topics, axis=1, kind="stable")[:, :count]
    return [terms[topic[terms] > 0] for topic, terms in zip(topics, heaviest, strict=True)]


def topic_rows(
    topics: np.ndarray, mixed: np.ndarray, words: Sequence[str] | np.ndarray, npmi: Sequence[float] | np.ndarray
) -> list[dict[str, Any]]:
    """Rows (topic, share, top_words, npmi, term_ids, weights) of the table `topics`, one per topic.

    Args:
        topics: (d, terms) float64, as from `fit_topics`.
        mixed: (documents, d) float64, mixtures of the documents that `share` is computed from.
        words: (terms,) str.
        npmi: (d,) float64 of the topics' `top_terms`; NaN becomes None.
    """
    # Not the mean, since documents without a mixture have rows of zeros.
    shares = mixed.sum(axis=0) / mixed.sum()
    return [
        {
            "topic": number,
            "share": float(shares[number]),
            "top_words": [str(words[term]) for term in top],
            "npmi": None if np.isnan(npmi[number]) else float(npmi[number]),
            "term_ids": np.flatnonzero(topic).astype(np.int32),
            "weights": topic[np.flatnonzero(topic)],
        }
        for number, (topic, top) in enumerate(zip(topics, top_terms(topics), strict=True))
    ]


def topics_of_table(table: pa.Table, weighting: str, terms: int) -> np.ndarray:
    """The topics (d, terms) of a weighting in the table `topics`, in order; the inverse of `topic_rows`.

    Raises:
        InputError: the table has no topics of this weighting, or a term id is not in the vocabulary.
    """
    rows = table.filter(pc.equal(table["weighting"], weighting)).sort_by("topic")
    if not len(rows):
        raise InputError(
            f"There are no topics of the weighting {weighting!r}. Use one of these: "
            f"{', '.join(map(repr, sorted(table['weighting'].unique().to_pylist()))) or 'none'}."
        )
    return lists_to_csr(rows["term_ids"], rows["weights"], terms).toarray()


def check_documents(weights: sparse.csr_array) -> None:
    """Raise an InputError if fewer than two documents have words."""
    documents = int((np.diff(weights.indptr) > 0).sum())
    if documents < 2:
        raise InputError(
            f"{documents} documents to fit topics to have a known word; at least 2 are needed. Add documents, or lower "
            "the minimum document frequency."
        )


def check_rank(weights: sparse.csr_array, wanted: int, seed: int = 0) -> None:
    """Raise an InputError if fewer than two documents have words, or the rank of the matrix is below `wanted`.

    The rank is the number of singular values, among the `wanted` largest, that exceed rounding errors.
    """
    from sklearn.utils.extmath import randomized_svd

    check_documents(weights)
    # Without iterations: a value that is 0 is found as well, and those above it come out large enough.
    values = randomized_svd(weights, wanted, n_iter=0, random_state=seed)[1]
    rank = int((values > values[0] * max(weights.shape) * np.finfo(np.float64).eps).sum())
    if rank < wanted:
        raise InputError(
            f"{wanted} topics were requested, but the {weights.shape[0]} documents with {weights.shape[1]} terms have "
            f"only the rank {rank}. Request {rank} topics or fewer, or add documents."
        )
