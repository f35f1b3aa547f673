"""Comparison of methods that find topics: coherence, diversity, stability, agreement with labels, and time.

Here belong the methods that the lecture deck names for topics, and the comparison. NMF itself is in
`taproom.text.topics`, the measures are in `taproom.text.coherence`.

Source: slides "Bag of Words" ("Given vectors, run k-means or Gaussian mixture model to find k clusters/topics") and
"Nonnegative matrix factorization (NMF)" ("Also see latent Dirichlet factorization (LDA)") of the lecture deck
(Jamieson, CSE546 2017). All methods are fitted by scikit-learn to the training documents that have a known word: LDA to
their counts, which it models, NMF to shares and to TF * log(1/DF) of length 1, and all others to the latter.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from taproom.blas import one_thread
from taproom.compute import Made, made_here, workers
from taproom.errors import InputError
from taproom.progress import progress
from taproom.text.bag_of_words import Corpus, corpus_of
from taproom.text.coherence import diversity, npmi, stability
from taproom.text.topics import (
    TopicParameters,
    check_documents,
    document_weights,
    dominant_topics,
    fit_topics,
    mixtures,
    top_terms,
)
from taproom.warehouse.table_version import TableVersion

# Documents in a step of LDA: see `lda`. The limits of the iterations for a document are looser than scikit-learn's
# defaults, which more than halves the time; the perplexity of held-out documents rises by 2 to 3 %.
LDA_BATCH, LDA_DOCUMENT_ITERATIONS, LDA_DOCUMENT_TOLERANCE = 256, 10, 1e-2
DOCUMENTS_FOR_LIKELIHOOD = 1_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MethodParameters:
    """Parameters of the comparison.

    Attributes:
        topics: number of topics of all methods, the fit of NMF, and the first seed.
        seeds: number of fits of each method, with consecutive seeds.
        lda_passes: maximum number of passes of LDA over the documents.
        lda_tolerance: LDA has converged when a pass lowers the perplexity by less than this share.

    Raises:
        InputError: a parameter is out of range.
    """

    topics: TopicParameters = field(default_factory=TopicParameters)
    seeds: int = 2
    lda_passes: int = 5
    lda_tolerance: float = 1e-3

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.seeds < 1 or self.lda_passes < 1 or not self.lda_tolerance >= 0:
            raise InputError(
                f"{self.seeds} seeds, {self.lda_passes} passes of LDA and the tolerance {self.lda_tolerance} were "
                "given; wanted: at least 1 seed and 1 pass, and a tolerance of 0 or more."
            )


@dataclass(frozen=True)
class Comparison:
    """Rows of the table `topic_methods`, and the methods that could not be fitted, each with the reason."""

    rows: list[dict[str, Any]]
    left_out: dict[str, str]


class Fit(NamedTuple):
    """A fitted method.

    Attributes:
        topics: (d, terms) float64, the weight of each word in each topic; only the order of a topic's words is used.
        topic_of: a function from documents, in the form that the method is fitted to, to the topic of each,
            (documents,) int64, -1 for none.
    """

    topics: np.ndarray
    topic_of: Callable[[sparse.csr_array], np.ndarray]


def compare(
    corpus: Corpus | Made[Corpus], parameters: MethodParameters | None = None, n_jobs: int | None = None
) -> Comparison:
    """Fit each method with each seed to the training documents, and evaluate the topics.

    A method that cannot be fitted is left out, with a warning in the log, so that the others still have their rows.

    Args:
        corpus: the documents; methods are fitted to a `Made` corpus on a cluster where there is one.
        parameters: parameters of the comparison; None for the defaults.
        n_jobs: number of worker processes, as for joblib; only `seconds` depends on it.

    Returns:
        Rows (method, topics, seeds, npmi, diversity, nmi, nmi_training, stability, seconds) with means over the seeds.
        `npmi` is the coherence of the ten top words in the corpus's reference documents (None if no topic has two
        words), `nmi` and `nmi_training` are the normalized mutual information of topics and labels in the test and in
        the training split (None with fewer than two labels), `stability` is None for a single seed. Documents without
        a known word are left out of `nmi` and `nmi_training`.

    Raises:
        InputError: fewer than two training documents have a known word.
        ComputeError: as `taproom.compute.workers` does.
    """
    parameters = parameters or MethodParameters()
    documents = made_here(corpus)
    check_documents(documents.shares[documents.training])
    seeds = range(parameters.topics.seed, parameters.topics.seed + parameters.seeds)
    tasks = list(product(METHODS, seeds))
    found: dict[str, list[_Evaluated]] = {method: [] for method in METHODS}
    left_out: dict[str, str] = {}
    # Processes instead of threads, since most of these methods hold the GIL.
    with workers(corpus, n_jobs, prefer="processes") as run:
        fits = run(_attempt, ((method, seed, parameters) for method, seed in tasks))
        fits = progress(fits, doing="comparing topic methods", total=len(tasks), unit="fit")
        for (method, _), outcome in zip(tasks, fits, strict=True):
            if isinstance(outcome, str):
                left_out.setdefault(method, outcome)
            else:
                found[method].append(outcome)
    for method, reason in left_out.items():
        logger.warning("%s is left out of the comparison: %s", method, reason)
    rows = [_row(method, found[method], documents) for method in found if method not in left_out]
    return Comparison(rows, left_out)


def stored_corpus(bag_of_words: TableVersion, terms: TableVersion) -> Corpus:
    """The corpus, read from versions of the tables; a worker of a cluster makes it so.

    Raises:
        StorageError: the storage fails.
    """
    return corpus_of(bag_of_words.read(), terms.read())


def lda(counts: sparse.csr_array, seed: int, parameters: MethodParameters) -> Fit:
    """Latent Dirichlet allocation by online variational Bayes, in passes over the shuffled documents until convergence.

    A better likelihood does not imply better coherence. On newsgroups (20 topics, two seeds), the perplexity of the
    test documents is 5,370, NPMI 0.17 and agreement with the labels 0.50 after three passes; 5,270, 0.16 and 0.50 after
    five; with 20 iterations for each document instead of 10, which take a quarter as long again, 5,170, 0.16 and 0.48.
    With scikit-learn's default of 128 documents per step (and 20 iterations) they are 5,300 and 0.20 after four passes;
    with these and steps that start smaller and shrink more slowly (offset 64, decay 0.6), 5,090 and 0.09 after eight.
    After ten passes of scikit-learn's batch method they are 5,780 and 0.19.

    Source: Blei, Ng and Jordan, Latent Dirichlet Allocation, JMLR 2003; Hoffman, Blei and Bach, Online Learning for
    Latent Dirichlet Allocation, NIPS 2010.
    """
    from sklearn.decomposition import LatentDirichletAllocation

    documents = counts.shape[0]
    model = LatentDirichletAllocation(
        parameters.topics.topics,
        learning_method="online",
        batch_size=LDA_BATCH,
        max_doc_update_iter=LDA_DOCUMENT_ITERATIONS,
        mean_change_tol=LDA_DOCUMENT_TOLERANCE,
        total_samples=documents,
        random_state=seed,
    )
    random = np.random.default_rng(seed)
    sample = counts[random.permutation(documents)[:DOCUMENTS_FOR_LIKELIHOOD]]
    before = np.inf
    for _ in range(parameters.lda_passes):
        model.partial_fit(counts[random.permutation(documents)])
        perplexity = model.perplexity(sample)
        if perplexity > (1 - parameters.lda_tolerance) * before:
            break
        before = perplexity
    logger.info("LDA with seed %d: perplexity %.1f after %d steps", seed, perplexity, model.n_batch_iter_ - 1)
    return Fit(model.components_, lambda documents: model.transform(documents).argmax(axis=1))


def nmf(weights: sparse.csr_array, seed: int, parameters: MethodParameters) -> Fit:
    """Nonnegative matrix factorization by `taproom.text.topics`."""
    p = parameters.topics
    topics = fit_topics(weights, TopicParameters(p.topics, p.iterations, p.tolerance, seed))
    return Fit(topics, lambda documents: dominant_topics(mixtures(documents, topics)))


def k_means(weights: sparse.csr_array, seed: int, parameters: MethodParameters) -> Fit:
    """k-means; the words of a topic are those of its cluster centre.

    Source: Lloyd, Least Squares Quantization in PCM, 1982; Arthur and Vassilvitskii, k-means++, 2007.
    """
    from sklearn.cluster import KMeans

    model = KMeans(parameters.topics.topics, n_init=1, random_state=seed).fit(weights)
    return Fit(model.cluster_centers_, model.predict)


def gaussian_mixture(weights: sparse.csr_array, seed: int, parameters: MethodParameters) -> Fit:
    """A mixture of Gaussians with diagonal covariances in the space of the first d singular vectors.

    In that space documents are scaled to length 1 again; otherwise they would differ mostly in how much of them lies in
    the space. The words of a topic are those of the mean of its documents, weighted by their responsibilities.

    On newsgroups, full covariances take three times as long, without better coherence or agreement with the labels.

    Source: part "Mixtures of Gaussians" of the lecture deck (Jamieson, CSE546 2016).
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.mixture import GaussianMixture
    from sklearn.preprocessing import normalize

    space = TruncatedSVD(parameters.topics.topics, random_state=seed)
    reduced = normalize(space.fit_transform(weights))
    model = GaussianMixture(parameters.topics.topics, covariance_type="diag", random_state=seed).fit(reduced)
    topics = (weights.T @ model.predict_proba(reduced)).T
    return Fit(topics, lambda documents: model.predict(normalize(space.transform(documents))))


def latent_semantic_analysis(weights: sparse.csr_array, seed: int, parameters: MethodParameters) -> Fit:
    """A truncated singular value decomposition; a document's topic is its coordinate of largest magnitude.

    scikit-learn makes the largest entry of a singular vector positive; the words of a topic are those with positive
    entries.

    Source: Deerwester, Dumais, Furnas, Landauer and Harshman, Indexing by Latent Semantic Analysis, 1990.
    """
    from sklearn.decomposition import TruncatedSVD

    model = TruncatedSVD(parameters.topics.topics, random_state=seed).fit(weights)
    return Fit(model.components_, lambda documents: np.abs(model.transform(documents)).argmax(axis=1))


def _known(corpus: Corpus) -> np.ndarray:
    """The documents that have a known word: (documents,) bool."""
    return np.diff(corpus.shares.indptr) > 0


def _counts(corpus: Corpus) -> sparse.csr_array:
    """The counts (documents, terms) that the corpus's shares were computed from."""
    counts = corpus.shares.copy()
    counts.data = np.rint(counts.data * np.repeat(corpus.words, np.diff(counts.indptr)))
    return counts


def _tfidf(corpus: Corpus) -> sparse.csr_array:
    return document_weights(corpus.shares, corpus.idf)


def _shares(corpus: Corpus) -> sparse.csr_array:
    return document_weights(corpus.shares)


# Each method's input and fit. The slowest are first, so that no worker starts a long fit at the end.
METHODS: dict[
    str,
    tuple[Callable[[Corpus], sparse.csr_array], Callable[[sparse.csr_array, int, MethodParameters], Fit]],
] = {
    "lda": (_counts, lda),
    "k_means": (_tfidf, k_means),
    "nmf_tfidf": (_tfidf, nmf),
    "nmf_bag_of_words": (_shares, nmf),
    "gaussian_mixture": (_tfidf, gaussian_mixture),
    "latent_semantic_analysis": (_tfidf, latent_semantic_analysis),
}


class _Evaluated(NamedTuple):
    """The top terms of a fit, the topic (int32) of each document with a known word, and the seconds it took."""

    top: list[np.ndarray]
    topic_of: np.ndarray
    seconds: float


def _attempt(corpus: Corpus, method: str, seed: int, parameters: MethodParameters) -> _Evaluated | str:
    """Fit a method with a seed; the reason as a string if it cannot be fitted."""
    from sklearn import cluster, decomposition, mixture  # noqa: F401  imported before the time is measured

    given, fit = METHODS[method]
    seen, known = given(corpus), _known(corpus)
    training = seen[known & corpus.training]
    try:
        with one_thread():
            started = time.perf_counter()
            found = fit(training, seed, parameters)
            seconds = time.perf_counter() - started
            return _Evaluated(top_terms(found.topics), found.topic_of(seen[known]).astype(np.int32), seconds)
    except (InputError, ValueError) as error:  # scikit-learn raises ValueError
        return str(error)


def _row(method: str, fits: list[_Evaluated], corpus: Corpus) -> dict[str, Any]:
    reference, known = corpus.shares[corpus.reference], _known(corpus)
    coherence = np.concatenate([npmi(fit.top, reference) for fit in fits])
    labels, training = corpus.labels[known], corpus.training[known]
    return {
        "method": method,
        "topics": len(fits[0].top),
        "seeds": len(fits),
        "npmi": _mean(each for each in coherence if not np.isnan(each)),
        "diversity": _mean(diversity(fit.top) for fit in fits),
        "nmi": _mean(_agreement(labels, fit.topic_of, ~training) for fit in fits),
        "nmi_training": _mean(_agreement(labels, fit.topic_of, training) for fit in fits),
        "stability": stability([fit.top for fit in fits]),
        "seconds": _mean(fit.seconds for fit in fits),
    }


def _agreement(labels: np.ndarray, topic_of: np.ndarray, chosen: np.ndarray) -> float | None:
    """Normalized mutual information of labels and topics in the chosen documents that have a label."""
    from sklearn.metrics import normalized_mutual_info_score

    chosen = chosen & (labels != None)  # noqa: E711  elementwise
    names = labels[chosen].astype(str)
    return float(normalized_mutual_info_score(names, topic_of[chosen])) if len(set(names)) > 1 else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
