"""Topics of a corpus by nonnegative matrix factorization, and the mixture of topics that a document is.

Here belong the weights that documents are factorised by, the fit, a document's mixture, and the rows that topics are
kept as. How good topics are is told by `taproom.text.coherence`, other ways to find them are in
`taproom.text.topic_methods`.

Source: slides "Bag of Words" and "Nonnegative matrix factorization (NMF)" of the lecture deck (Jamieson, CSE546 2017):
min ||A - W H^T||_F^2 over W, H >= 0, where A has a row for each document, and each column of H is a topic. Here a topic
is a row, so that arrays and tables read the same way, and has length 1 (L2), so that W says how much of a document is
of which topic; the deck leaves the scale open.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.errors import InputError
from taproom.words.sparse import lists_to_csr

TOP_WORDS = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TopicParameters:
    """How topics are fitted.

    Attributes:
        topics: how many, d.
        iterations: of coordinate descent, at most.
        tolerance: the descent ends when a step is so much smaller than the first one.
        seed: of the singular value decomposition that the start is made from; nothing else is random.

    Raises:
        InputError: numbers that are out of range.
    """

    topics: int = 20
    iterations: int = 200
    tolerance: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no fit can be made with."""
        if self.topics < 1 or self.iterations < 1 or not self.tolerance >= 0 or self.seed < 0:
            raise InputError(
                f"{self.topics} topics, {self.iterations} iterations, the tolerance {self.tolerance} and the seed "
                f"{self.seed} were given; wanted: at least 1 topic and 1 iteration, and neither of the others below 0."
            )


def document_weights(shares: sparse.csr_array, idf: np.ndarray | None = None) -> sparse.csr_array:
    """What documents are factorised by: their shares TF as they are, or TF * log(1/DF) as rows of length 1 (L2).

    A row depends on its own document alone, to the bit.

    Args:
        shares: (documents, terms) float64, the share that a term has of a document's words.
        idf: (terms,) float64, log(1/DF) of each term; None for the plain shares.

    Returns:
        (documents, terms) float64 without stored zeros; a document without any weight has an empty row.

    Raises:
        InputError: as many terms in both are wanted, and numbers that are finite and not negative.
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
        raise InputError("Some weights of words are negative or not finite; shares and log(1/DF) never are.")
    weights.eliminate_zeros()
    if idf is not None:
        lengths = np.sqrt(weights.multiply(weights).sum(axis=1))
        weights.data /= np.repeat(lengths, np.diff(weights.indptr))
    return weights


def fit_topics(weights: sparse.csr_array, parameters: TopicParameters | None = None) -> np.ndarray:
    """The topics H of min ||A - W H||_F^2 with W, H >= 0, by scikit-learn's coordinate descent.

    The start is nonnegative double singular value decomposition, which keeps the zeros of its vectors zero: topics come
    out sparse and, with any seed, nearly the same.

    Args:
        weights: (documents, terms) float64 A, as from `document_weights`.
        parameters: see `TopicParameters`, whose defaults are taken if there are none.

    Returns:
        (d, terms) float64, not negative, rows of length 1 (L2), in descending order of the documents' mixtures' sum;
        of equal sums the topic comes first whose heaviest term does.

    Raises:
        InputError: fewer than two documents with words, more topics than the matrix has ranks, or topics that the fit
            left without any word.

    Source: Cichocki and Phan 2009 (the descent); Boutsidis and Gallopoulos 2008 (the start).
    """
    from sklearn.decomposition import NMF
    from threadpoolctl import threadpool_limits

    parameters = parameters or TopicParameters()
    with threadpool_limits(limits=1, user_api="blas"), warnings.catch_warnings():
        # Of the limit of iterations, which the log tells, and of an error that is 0 up to rounding.
        warnings.simplefilter("ignore")
        check_rank(weights, parameters.topics, parameters.seed)
        fit = NMF(
            parameters.topics,
            init="nndsvd",
            tol=parameters.tolerance,
            max_iter=parameters.iterations,
            random_state=parameters.seed,
        ).fit(weights)
    logger.info("%d topics after %d iterations, error %.6g", len(fit.components_), fit.n_iter_, fit.reconstruction_err_)
    lengths = np.sqrt((fit.components_**2).sum(axis=1))
    if not lengths.all():
        raise InputError(
            f"{(lengths == 0).sum()} of {len(lengths)} topics have no word left after the fit: the corpus does not "
            f"hold so many. Ask for {(lengths > 0).sum()} or fewer."
        )
    topics = fit.components_ / lengths[:, None]
    total = mixtures(weights, topics).sum(axis=0)
    return topics[np.lexsort((topics.argmax(axis=1), -total))]


def mixtures(weights: sparse.csr_array, topics: np.ndarray) -> np.ndarray:
    """Which share of each document is of each topic: the exact w >= 0 of min ||a - w H||^2, scaled to the sum 1.

    Each document is solved by itself, so its row has the same bits whatever other documents there are.

    Args:
        weights: (documents, terms) float64 A, made as those that the topics were fitted to.
        topics: (d, terms) float64 H, as from `fit_topics`.

    Returns:
        (documents, d) float64; rows of zeros for documents that share no word with any topic.

    Raises:
        InputError: another number of terms.

    Source: Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23, by SciPy.
    """
    from scipy.optimize import nnls
    from threadpoolctl import threadpool_limits

    if weights.shape[1] != topics.shape[1]:
        raise InputError(
            f"The documents have {weights.shape[1]} terms and the topics {topics.shape[1]}. Weigh the documents with "
            "the vocabulary that the topics were fitted with."
        )
    with threadpool_limits(limits=1, user_api="blas"):
        # What of a document lies outside the topics' span adds the same to every ||a - w H||^2.
        span, within_span = np.linalg.qr(topics.T)
        projected = weights @ span
        found = np.array([nnls(within_span, document, maxiter=30 * len(topics))[0] for document in projected])
    found = found.reshape(len(projected), len(topics))
    total = found.sum(axis=1, keepdims=True)
    return np.divide(found, total, out=np.zeros_like(found), where=total > 0)


def dominant_topics(mixed: np.ndarray) -> np.ndarray:
    """The topic that each document has most of, the first of equals, -1 for rows of zeros: (documents,) int64."""
    return np.where(mixed.any(axis=1), mixed.argmax(axis=1), -1)


def top_terms(topics: np.ndarray, count: int = TOP_WORDS) -> list[np.ndarray]:
    """The terms that weigh most in each topic, heaviest first, of equals the first one: (d,) arrays of int64.

    A topic that has fewer than `count` terms with a positive weight gives only those.
    """
    heaviest = np.argsort(-topics, axis=1, kind="stable")[:, :count]
    return [terms[topic[terms] > 0] for topic, terms in zip(topics, heaviest, strict=True)]


def topic_rows(topics: np.ndarray, mixed: np.ndarray, words: Sequence[str], npmi: Sequence[float]) -> list[dict]:
    """Rows (topic, share, top_words, npmi, term_ids, weights) of the table `topics`, one a topic.

    Args:
        topics: (d, terms) float64, as from `fit_topics`.
        mixed: (documents, d) float64, the mixtures of the documents whose shares are told.
        words: (terms,) str.
        npmi: (d,) float64 of the topics' `top_terms`; NaN becomes None.
    """
    # Not the mean: documents without a mixture would be missing from the sum.
    shares = mixed.sum(axis=0) / mixed.sum()
    return [
        {
            "topic": place,
            "share": float(shares[place]),
            "top_words": [str(words[term]) for term in top],
            "npmi": None if np.isnan(npmi[place]) else float(npmi[place]),
            "term_ids": np.flatnonzero(topic).astype(np.int32),
            "weights": topic[np.flatnonzero(topic)],
        }
        for place, (topic, top) in enumerate(zip(topics, top_terms(topics), strict=True))
    ]


def topics_of_table(table: pa.Table, weighting: str, terms: int) -> np.ndarray:
    """The topics (d, terms) that the table `topics` has of a weighting, in their order; the inverse of `topic_rows`.

    Raises:
        InputError: the table has no topics of this weighting, or terms beyond the vocabulary's.
    """
    rows = table.filter(pc.equal(table["weighting"], weighting)).sort_by("topic")
    if not len(rows):
        raise InputError(
            f"There are no topics of the weighting {weighting!r}, but of "
            f"{', '.join(map(repr, sorted(table['weighting'].unique().to_pylist()))) or 'none at all'}. "
            "Ask for one of these."
        )
    return lists_to_csr(rows["term_ids"], rows["weights"], terms).toarray()


def check_documents(weights: sparse.csr_array) -> None:
    """Raise an InputError if fewer than two documents have words."""
    documents = int((np.diff(weights.indptr) > 0).sum())
    if documents < 2:
        raise InputError(
            f"{documents} documents to fit topics to have a known word; topics are what documents share, so at least 2 "
            "are needed. Bring more documents, or lower the minimum document frequency."
        )


def check_rank(weights: sparse.csr_array, wanted: int, seed: int = 0) -> None:
    """Raise an InputError if fewer than two documents have words, or the matrix has a lower rank than is wanted.

    Counted are singular values that stand out from rounding errors, of the `wanted` largest.
    """
    from sklearn.utils.extmath import randomized_svd

    check_documents(weights)
    values = randomized_svd(weights, wanted, random_state=seed)[1]
    rank = int((values > values[0] * max(weights.shape) * np.finfo(np.float64).eps).sum())
    if rank < wanted:
        raise InputError(
            f"{wanted} topics were asked for, but the {weights.shape[0]} documents with {weights.shape[1]} terms have "
            f"only the rank {rank}. Ask for {rank} topics or fewer, or bring more documents."
        )
