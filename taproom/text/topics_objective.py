"""The objective of the search for topics' parameters: how well topics describe documents they were not fitted to.

The score is the sum of two numbers. Coherence (mean NPMI of the topics' ten heaviest words in held-out documents) alone
favours few, safe topics: a corpus's most distinct subjects. The explained share, 1 - ||A - W H||^2 / ||A||^2 of the
held-out documents, alone favours as many topics as possible. With the sum, more topics are better as long as they
explain more than they lose in coherence. On 20 Newsgroups, 5 topics explain 0.02 and 40 explain 0.05, while coherence
changes by a tenth or more: coherence mostly decides, and the explained share decides between settings of similar
coherence. Weights are TF * log(1/DF), the weighting that figures and checks use.

Only training documents are used, so that the test documents' coherence in the table `topics` has not been tuned to.
DF is taken from the table `terms` and hence from all training documents, the held-out ones included, as in the product
itself. The vocabulary is chosen again from the documents that topics are fitted to, by the minimum document frequency
in `terms`: in a tenth of the documents, most of its words are too rare for any topic.

Coherence is not a mean over documents: it is computed from all documents together, and from few documents it is another
quantity, as most pairs of words then never occur together. The scores of fresh documents are therefore the influences
of blocks of documents: how much the score of all fresh documents would fall without a block. They are scaled so that
their mean is the score of all fresh documents, and their standard error is the jackknife's.

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

# The share of the documents that is for validation, the share that is fresh, and the maximum of either. In fewer, most
# pairs of a topic's rarer words never occur together: 20 topics fitted to 1,000 newsgroup messages have an NPMI of 0.16
# in 2,000 messages and of 0.23 in 3,400.
JUDGED_SHARE = 0.3
MOST_JUDGED = 4_000
MOST_FITTED = 10_000
BLOCKS = 20
LEAST_DOCUMENTS = 20


@dataclass(frozen=True, eq=False)
class TopicsObjective:
    """Held-out coherence plus explained share, see the module; higher is better.

    The budget is the number of documents to fit topics to.

    Attributes:
        fitted, validation, fresh: (documents, terms) CSR of float64 each, weights TF * log(1/DF) in rows of length 1,
            in an order that depends on the seed.
        least_frequency: minimum number of the documents fitted to that must have a term.
    """

    fitted: sparse.csr_array
    validation: sparse.csr_array
    fresh: sparse.csr_array
    least_frequency: int

    @classmethod
    def of(cls, bag_of_words: pa.Table, terms: pa.Table, seed: int) -> "TopicsObjective":
        """Build the objective from the tables of these names.

        Raises `InputError` with fewer than 20 training documents with terms.
        """
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
        least_frequency = pc.min(terms["document_frequency"]).as_py()
        return cls(weights[fitted[:MOST_FITTED]], weights[validation], weights[fresh], least_frequency)

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """Mean NPMI in the validation documents plus their explained share.

        Raises `InputError` as `fit_topics` does.
        """
        topics = self._fit(parameters, budget, seed)
        return _coherence(topics, self.validation) + float(_explained(topics, self.validation).mean())

    def fresh_scores(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """The influences of blocks of fresh documents on their score, (blocks,) float64; their mean is that score.

        There are 20 blocks, or one for each fresh document if there are fewer. Raises `InputError` as `fit_topics`
        does.
        """
        topics = self._fit(parameters, budget, seed)
        explained = _explained(topics, self.fresh)
        blocks = min(BLOCKS, len(explained))
        block_of = np.arange(len(explained)) * blocks // len(explained)
        others = [np.flatnonzero(block_of != block) for block in range(blocks)]
        without = np.array([_coherence(topics, self.fresh[rows]) + explained[rows].mean() for rows in others])
        return _coherence(topics, self.fresh) + explained.mean() - (blocks - 1) * (without - without.mean())

    def _fit(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """Topics (d, terms); the weight of a term that is too rare is 0."""
        documents = self.fitted[:budget]
        frequent = np.bincount(documents.indices, minlength=documents.shape[1]) >= self.least_frequency
        found = fit_topics(documents[:, np.flatnonzero(frequent)], TopicParameters(**{"seed": seed, **parameters}))
        topics = np.zeros((len(found), documents.shape[1]))
        topics[:, frequent] = found
        return topics


def _coherence(topics: np.ndarray, documents: sparse.csr_array) -> float:
    """Mean NPMI; a topic of a single word, which has none, counts as 0, the NPMI of independent words."""
    return float(np.nan_to_num(npmi(top_terms(topics), documents), nan=0.0).mean())


def _explained(topics: np.ndarray, documents: sparse.csr_array) -> np.ndarray:
    """1 - ||a - w H||^2 of each document a of length 1, for the w >= 0 that maximizes it: (documents,) float64.

    A mixture u is that w scaled to the sum 1, so w = s u with s = (a H' u) / ||u H||^2, and the explained share is
    s (a H' u).
    """
    mixed = mixtures(documents, topics)
    along = ((documents @ topics.T) * mixed).sum(axis=1)
    squares = ((mixed @ (topics @ topics.T)) * mixed).sum(axis=1)
    return np.divide(along**2, squares, out=np.zeros(len(mixed)), where=squares > 0)
