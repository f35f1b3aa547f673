"""What a search of the topics' parameters is judged by: documents that the topics were not fitted to.

The score is a sum of two shares. Coherence (mean NPMI of the topics' ten heaviest words in held-out documents) alone
favours few and safe topics, those of a corpus's most distinct themes. The explained share, 1 - ||A - W H||^2 / ||A||^2
of held-out documents, alone favours as many topics as can be had. So more topics are better as long as they explain
more than they lose in coherence. Of 20 Newsgroups, 5 topics explain 0.02 and 40 explain 0.05, while coherence changes
by a tenth or more: it decides mostly, and the share between settings whose coherence is alike. Weights are
TF * log(1/DF), the weighting that is shown where one will do.

Judged are training documents alone, so that the coherence that the product tells of its test documents stays untold.
DF is that of the table `terms`, of all training documents: the one thing that fresh documents share in, which the
product's own documents do as well. The vocabulary is chosen anew of the documents that are fitted to, by the least
document frequency that `terms` has: of a tenth of the documents, most of its words are too rare for any topic.

A coherence has no units of its own: it is of all documents together, and of few documents it is another quantity, as
most pairs of words then never meet. The units of what is fresh are therefore the influences of blocks of documents: by
how much the score of all fresh documents would fall without a block. They are scaled so that their mean is the score
of all fresh documents, and their standard error the jackknife's.

Source: slide "Nonnegative matrix factorization (NMF)" of the lecture deck (Jamieson, CSE546 2017); NPMI as in
`taproom.text.coherence`; Tukey 1958, and Efron and Stein, The jackknife estimate of variance, 1981.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.errors import InputError
from taproom.search.space import Parameters
from taproom.text.bag_of_words import corpus_of
from taproom.text.coherence import npmi
from taproom.text.topics import TopicParameters, document_weights, fit_topics, mixtures, top_terms

# The share of the documents that is for validation, and that is fresh, and how many at most. In fewer, most pairs of a
# topic's rarer words never meet: 20 topics of 1,000 newsgroup messages have an NPMI of 0.16 in 2,000, 0.23 in 3,400.
JUDGED_SHARE = 0.3
MOST_JUDGED = 4_000
MOST_FITTED = 10_000
BLOCKS = 20
LEAST_DOCUMENTS = 20


@dataclass(frozen=True, eq=False)
class TopicsObjective:
    """Held-out coherence plus explained share, see the module; higher is better. The budget is documents fitted to.

    Attributes:
        fitted, validation, fresh: (documents, terms) CSR of float64 each, weights TF * log(1/DF) in rows of length 1,
            in an order that the seed decides.
        least_frequency: in how many of the documents fitted to a term must be.
    """

    fitted: sparse.csr_array
    validation: sparse.csr_array
    fresh: sparse.csr_array
    least_frequency: int

    @classmethod
    def of(cls, bag_of_words: pa.Table, terms: pa.Table, seed: int) -> "TopicsObjective":
        """From the tables of these names. Raises `InputError` with fewer than 20 training documents with terms."""
        corpus = corpus_of(bag_of_words, terms)
        weights = document_weights(corpus.shares[corpus.training], corpus.idf)
        places = np.flatnonzero(np.diff(weights.indptr))
        if len(places) < LEAST_DOCUMENTS:
            raise InputError(
                f"{len(places)} training documents have a term; wanted: at least {LEAST_DOCUMENTS}, to fit topics to "
                "some and judge them on others."
            )
        drawn = np.random.default_rng(seed).permutation(places)
        judged = min(MOST_JUDGED, int(JUDGED_SHARE * len(drawn)))
        validation, fresh, fitted = np.split(drawn, [judged, 2 * judged])
        parts = (weights[rows] for rows in (fitted[:MOST_FITTED], validation, fresh))
        return cls(*parts, least_frequency=pc.min(terms["document_frequency"]).as_py())

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """Mean NPMI in the validation documents plus their explained share. Raises `InputError` as `fit_topics`."""
        topics = self._fit(parameters, budget, seed)
        return _coherence(topics, self.validation) + float(_explained(topics, self.validation).mean())

    def fresh_scores(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """The influences of blocks on the score of the fresh documents, whose mean is that score: (units,) float64.

        There are 20 blocks, or as many as fresh documents where these are fewer. Raises as `score`.
        """
        topics = self._fit(parameters, budget, seed)
        explained = _explained(topics, self.fresh)
        blocks = min(BLOCKS, len(explained))
        block_of = np.arange(len(explained)) * blocks // len(explained)
        others = [np.flatnonzero(block_of != block) for block in range(blocks)]
        without = np.array([_coherence(topics, self.fresh[rows]) + explained[rows].mean() for rows in others])
        return _coherence(topics, self.fresh) + explained.mean() - (blocks - 1) * (without - without.mean())

    def _fit(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """Topics (d, terms), whose terms that are too rare weigh nothing."""
        documents = self.fitted[:budget]
        frequent = np.bincount(documents.indices, minlength=documents.shape[1]) >= self.least_frequency
        found = fit_topics(documents[:, np.flatnonzero(frequent)], TopicParameters(**{"seed": seed, **parameters}))
        topics = np.zeros((len(found), documents.shape[1]))
        topics[:, frequent] = found
        return topics


def _coherence(topics: np.ndarray, documents: sparse.csr_array) -> float:
    """Mean NPMI; a topic of a single word, which has none, counts as 0, as words that meet by chance do."""
    return float(np.nan_to_num(npmi(top_terms(topics), documents), nan=0.0).mean())


def _explained(topics: np.ndarray, documents: sparse.csr_array) -> np.ndarray:
    """1 - ||a - w H||^2 of each document a of length 1, for the best w >= 0: (documents,) float64.

    A mixture u has the direction of that w, so w = s u with the best s = (a H' u) / ||u H||^2, and what is explained is
    s (a H' u).
    """
    mixed = mixtures(documents, topics)
    along = ((documents @ topics.T) * mixed).sum(axis=1)
    squares = ((mixed @ (topics @ topics.T)) * mixed).sum(axis=1)
    return np.divide(along**2, squares, out=np.zeros(len(mixed)), where=squares > 0)
