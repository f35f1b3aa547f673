"""Topics of a whole corpus: fit them, find the mixture of every document, and evaluate them.

Here belongs what combines weighting, fit and mixtures (`taproom.text.topics`) with the measures of
`taproom.text.coherence`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taproom.text.bag_of_words import Corpus
from taproom.text.coherence import diversity, npmi
from taproom.text.topics import TopicParameters, document_weights, fit_topics, mixtures, top_terms, topic_rows

# The weights that are factorized; figures and checks use the first one.
WEIGHTINGS = ("tfidf", "bag_of_words")


@dataclass(frozen=True)
class CorpusTopics:
    """The topics of one weighting.

    Attributes:
        topics: (d, terms) float64, as from `taproom.text.topics.fit_topics`.
        mixtures: (documents, d) float64, mixtures of all documents.
        top: (d,) arrays of the heaviest terms.
        npmi: (d,) float64, coherence of the heaviest terms in the corpus's reference documents.
    """

    topics: np.ndarray
    mixtures: np.ndarray
    top: list[np.ndarray]
    npmi: np.ndarray

    def rows(self, corpus: Corpus) -> list[dict]:
        """The rows of the table `topics`, without the column weighting."""
        return topic_rows(self.topics, self.mixtures[corpus.training], corpus.terms, self.npmi)

    def measures(self) -> dict[str, float]:
        """Mean coherence (NaN if no topic has one) and diversity."""
        known = self.npmi[~np.isnan(self.npmi)]
        return {"npmi": float(known.mean()) if len(known) else np.nan, "diversity": diversity(self.top)}


def fit_corpus(corpus: Corpus, weighting: str, parameters: TopicParameters) -> CorpusTopics:
    """Fit topics to the training documents, and find the mixture of every document.

    Raises:
        InputError: as `taproom.text.topics.fit_topics` does.
    """
    weights = document_weights(corpus.shares, corpus.idf if weighting == "tfidf" else None)
    topics = fit_topics(weights[corpus.training], parameters)
    top = top_terms(topics)
    return CorpusTopics(topics, mixtures(weights, topics), top, npmi(top, corpus.shares[corpus.reference]))


def mean_by_label(mixed: np.ndarray, labels: Sequence[str | None] | np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The mean mixture of the documents of each label.

    Args:
        mixed: (documents, d) float64, mixtures; rows of zeros are left out of the mean.
        labels: (documents,) label of each document; None becomes the label "no label".

    Returns:
        means: (labels, d) float64, NaN for labels without any mixture.
        labels: the labels, sorted.

    >>> mean_by_label(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), ["a", "a", None])
    (array([[0.5, 0.5],
           [0.5, 0.5]]), ['a', 'no label'])
    """
    names, label_of = np.unique([label or "no label" for label in labels], return_inverse=True)
    totals = np.zeros((len(names), mixed.shape[1]))
    np.add.at(totals, label_of, mixed)
    counts = np.bincount(label_of[mixed.any(axis=1)], minlength=len(names)).astype(float)
    counts[counts == 0] = np.nan
    return totals / counts[:, None], names.tolist()
