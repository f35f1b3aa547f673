"""The same corpus by other methods: how coherent, diverse and stable their topics are, and how near to the labels.

Here belong the methods that the lecture deck names for topics, and the comparison. NMF itself is in
`taproom.text.topics`, what topics are judged by in `taproom.text.coherence`.

Source: slides "Bag of Words" ("Given vectors, run k-means or Gaussian mixture model to find k clusters/topics") and
"Nonnegative matrix factorization (NMF)" ("Also see latent Dirichlet factorization (LDA)") of the lecture deck
(Jamieson, CSE546 2017). All are fitted by scikit-learn to the training documents that have a known word: LDA to their
counts, which its model is of, NMF to shares and to TF * log(1/DF) of length 1, all others to the latter.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import sparse

from taproom.compute import worker_processes
from taproom.errors import InputError
from taproom.progress import progress
from taproom.text.bag_of_words import Corpus
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

# Documents in a step of LDA's descent: see `lda`. The limits of a document's own iterations are looser than
# scikit-learn's, which halves the time and leaves the likelihood of held-out documents within 1 %.
LDA_BATCH, LDA_DOCUMENT_ITERATIONS, LDA_DOCUMENT_TOLERANCE = 256, 20, 1e-2
DOCUMENTS_FOR_LIKELIHOOD = 1_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MethodParameters:
    """What the methods are given.

    Attributes:
        topics: how many, of all methods; how NMF is fitted; and the first seed.
        seeds: fits of each method, with consecutive seeds.
        lda_passes: of LDA over the documents, at most.
        lda_tolerance: LDA has converged when a pass lowers the perplexity by less than this share.

    Raises:
        InputError: numbers that are out of range.
    """

    topics: TopicParameters = field(default_factory=TopicParameters)
    seeds: int = 2
    lda_passes: int = 5
    lda_tolerance: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse what nothing can be compared with."""
        if self.seeds < 1 or self.lda_passes < 1 or not self.lda_tolerance >= 0:
            raise InputError(
                f"{self.seeds} seeds, {self.lda_passes} passes of LDA and the tolerance {self.lda_tolerance} were "
                "given; wanted: at least 1 seed and 1 pass, and a tolerance that is not below 0."
            )


@dataclass(frozen=True)
class Comparison:
    """Rows of the table `topic_methods`, and why methods are left out."""

    rows: list[dict]
    left_out: dict[str, str]


class Fit(NamedTuple):
    """What a method found.

    Attributes:
        topics: (d, terms) float64, how much each word says of a topic; only the order of a topic's words counts.
        topic_of: from documents, as the method sees them, to the topic of each: (documents,) int64, -1 for none.
    """

    topics: np.ndarray
    topic_of: Callable[[sparse.csr_array], np.ndarray]


def compare(corpus: Corpus, parameters: MethodParameters | None = None, n_jobs: int | None = None) -> Comparison:
    """Fit each method with each seed to the training documents, and judge what it found.

    Rows are (method, topics, seeds, npmi, diversity, nmi, nmi_training, stability, seconds), means over the seeds:
    coherence of the ten top words in the corpus's reference documents (None, if no topic has two words); their
    diversity; normalised mutual information of the topics with the labels, in the test and in the training split (None
    with fewer than two labels); stability over the seeds (None for a single one). A labelled document without a known
    word is in no figure. A method that cannot be fitted is left out, with a warning in the log: it must not keep the
    others' rows back.

    Args:
        corpus: the documents.
        parameters: see `MethodParameters`, whose defaults are taken if there are none.
        n_jobs: workers as joblib counts them; they never change a bit of the result.

    Raises:
        InputError: fewer than two training documents with a known word.
    """
    parameters = parameters or MethodParameters()
    known = np.diff(corpus.shares.indptr) > 0
    check_documents(corpus.shares[corpus.training])
    seeds = range(parameters.topics.seed, parameters.topics.seed + parameters.seeds)
    tasks = list(product(METHODS, seeds))
    found: dict[str, list[_Outcome]] = {method: [] for method in METHODS}
    # Processes: most of these methods hold the interpreter's lock.
    with worker_processes(n_jobs) as run:
        fits = run(_attempt, ((method, corpus, known, seed, parameters) for method, seed in tasks))
        fits = progress(fits, doing="comparing topic methods", total=len(tasks), unit="fit")
        for (method, _), outcome in zip(tasks, fits, strict=True):
            found[method].append(outcome)
    left_out = {
        method: next(each for each in outcomes if isinstance(each, str))
        for method, outcomes in found.items()
        if any(isinstance(each, str) for each in outcomes)
    }
    for method, reason in left_out.items():
        logger.warning("%s is left out of the comparison: %s", method, reason)
    rows = [_row(method, found[method], corpus, known) for method in found if method not in left_out]
    return Comparison(rows, left_out)


def lda(counts: sparse.csr_array, seed: int, parameters: MethodParameters) -> Fit:
    """Latent Dirichlet allocation by online variational Bayes, over the documents in random orders until it converges.

    Its likelihood and its coherence do not rise together. On newsgroups (20 topics, two or three seeds), the perplexity
    of the test documents and NPMI are 5,230 and 0.15 after five passes (and 5,160 and 0.16 after 19, one seed). With
    scikit-learn's 128 documents a step they are 5,300 and 0.20 after four; with these and steps that begin smaller and
    shrink more slowly (offset 64, decay 0.6), 5,090 and 0.09 after eight. After ten passes of its batch descent, which
    take four times as long, they are 5,780 and 0.19.

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
    judged = counts[random.permutation(documents)[:DOCUMENTS_FOR_LIKELIHOOD]]
    before = np.inf
    for _ in range(parameters.lda_passes):
        model.partial_fit(counts[random.permutation(documents)])
        perplexity = model.perplexity(judged)
        if perplexity > (1 - parameters.lda_tolerance) * before:
            break
        before = perplexity
    logger.info("LDA with seed %d: perplexity %.1f after %d steps", seed, perplexity, model.n_batch_iter_ - 1)
    return Fit(model.components_, lambda documents: model.transform(documents).argmax(axis=1))


def nmf(weights: sparse.csr_array, seed: int, parameters: MethodParameters) -> Fit:
    """Nonnegative matrix factorization, as `taproom.text.topics` has it."""
    p = parameters.topics
    topics = fit_topics(weights, TopicParameters(p.topics, p.iterations, p.tolerance, seed))
    return Fit(topics, lambda documents: dominant_topics(mixtures(documents, topics)))


def k_means(weights: sparse.csr_array, seed: int, parameters: MethodParameters) -> Fit:
    """k-means; a topic's words are those of its mean.

    Source: Lloyd, Least Squares Quantization in PCM, 1982; Arthur and Vassilvitskii, k-means++, 2007.
    """
    from sklearn.cluster import KMeans

    model = KMeans(parameters.topics.topics, n_init=1, random_state=seed).fit(weights)
    return Fit(model.cluster_centers_, model.predict)


def gaussian_mixture(weights: sparse.csr_array, seed: int, parameters: MethodParameters) -> Fit:
    """A mixture of Gaussians with diagonal covariances in the space of the d first singular vectors.

    There, documents are made to have length 1 again, or how much of them lies in that space would set them apart more
    than where. A topic's words are those of the mean of its documents, each by its responsibility.

    On newsgroups, full covariances give topics as coherent and as near to the labels in three times the time.

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
    """A truncated singular value decomposition; a document's topic is the singular vector that it has most of, + or -.

    scikit-learn makes the largest entry of a singular vector positive; a topic's words are on that side.

    Source: Deerwester, Dumais, Furnas, Landauer and Harshman, Indexing by Latent Semantic Analysis, 1990.
    """
    from sklearn.decomposition import TruncatedSVD

    model = TruncatedSVD(parameters.topics.topics, random_state=seed).fit(weights)
    return Fit(model.components_, lambda documents: np.abs(model.transform(documents)).argmax(axis=1))


def _counts(corpus: Corpus) -> sparse.csr_array:
    """How often each document has each term, which its shares came from."""
    counts = corpus.shares.copy()
    counts.data = np.rint(counts.data * np.repeat(corpus.words, np.diff(counts.indptr)))
    return counts


def _tfidf(corpus: Corpus) -> sparse.csr_array:
    return document_weights(corpus.shares, corpus.idf)


def _shares(corpus: Corpus) -> sparse.csr_array:
    return document_weights(corpus.shares)


# By what they take, the slowest first, so that no worker is left with a long fit at the end.
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


class _Judged(NamedTuple):
    """A fit's top terms, the topics (documents,) of the documents with a known word, and its seconds."""

    top: list[np.ndarray]
    topic_of: np.ndarray
    seconds: float


# Or why there is none.
_Outcome = _Judged | str


def _attempt(method: str, corpus: Corpus, known: np.ndarray, seed: int, parameters: MethodParameters) -> _Outcome:
    from sklearn import cluster, decomposition, mixture  # noqa: F401  so that no clock counts their import
    from threadpoolctl import threadpool_limits

    given, fit = METHODS[method]
    seen = given(corpus)
    training = seen[known & corpus.training]
    try:
        with threadpool_limits(limits=1):
            started = time.perf_counter()
            found = fit(training, seed, parameters)
            seconds = time.perf_counter() - started
            return _Judged(top_terms(found.topics), found.topic_of(seen[known]), seconds)
    except (InputError, ValueError) as error:  # ours; scikit-learn's
        return str(error)


def _row(method: str, fits: list[_Judged], corpus: Corpus, known: np.ndarray) -> dict:
    reference = corpus.shares[corpus.reference]
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
    """Normalised mutual information of labels and topics among the chosen documents that are labelled."""
    from sklearn.metrics import normalized_mutual_info_score

    chosen = chosen & (labels != None)  # noqa: E711  of each element
    names = labels[chosen].astype(str)
    return float(normalized_mutual_info_score(names, topic_of[chosen])) if len(set(names)) > 1 else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
