"""The objective of the search for word vectors' parameters: are the words of one document similar to each other?

The vocabulary of held-out documents is split in two at random, and each document with it into two halves that have no
word in common. Vectors are good if one half of a document is nearer (by the cosine of mean vectors) to its own other
half than to other documents' other halves. As no word is in both halves, only what training has learned can relate
them: vectors before training, like any others without meaning, score 0.5. The first and the second half of a text
would not do, since they share words: on 20 Newsgroups, 64 dimensions that are hardly trained (steps of 1e-4, 1,500
documents) score 0.76 by such halves, and the defaults 0.60; with the vocabulary split, they score 0.50 and 0.74.

In a mean vector, a word with the share p of all words has the weight a / (a + p) with a = 1e-3, so that words that
occur in all documents do not dominate.

The score measures similarity of subject. Analogies, which are about relations, need not agree with it: on all of 20
Newsgroups, in two epochs, steps of 0.1 instead of 0.04 raise the score from 0.93 to 0.96, but lower the accuracy on
analogies from 3.5 % to 3.0 %.

Only training documents are used, and the budget is the number of documents to train on. With few documents, settings
that train more (longer steps, more epochs) win; with more documents that matters less and less. A search should
therefore end with a budget close to the size of the corpus.

Source: the weights are the smooth inverse frequency of Arora, Liang and Ma, A Simple but Tough-to-Beat Baseline for
Sentence Embeddings, 2017, without their removal of a common component.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from taproom.errors import InputError
from taproom.search.space import Parameters
from taproom.text.word_vectors import TrainedVectors, WordVectorParameters, train
from taproom.words.counting import DEFAULT_TOKEN_PATTERN, numbered_tokens

# Maximum numbers of documents: for validation, for the fresh ones, and to train on.
MOST_VALIDATION = 500
MOST_FRESH = 1_000
MOST_FITTED = 4_000
# Shares of a small corpus that are for validation, and fresh.
JUDGED_SHARES = (0.15, 0.3)
LEAST_DOCUMENTS = 20
# Longer documents are cut; a few very long ones would otherwise take most of the memory.
MOST_CHARACTERS = 4_000
SMOOTH = 1e-3


@dataclass(frozen=True, eq=False)
class SplitDocuments:
    """Documents, each split into two halves without common words.

    Attributes:
        words: (words,) str.
        halves: two matrices (documents, words) CSR of float64, how often each document has each word; every word occurs
            in one of them only.
    """

    words: Sequence[str]
    halves: tuple[sparse.csr_array, sparse.csr_array]


@dataclass(frozen=True, eq=False)
class WordVectorsObjective:
    """How often a document's own other half is nearer than another document's; higher is better, 0.5 is chance.

    The budget is the number of documents to train on.

    Attributes:
        fitted: texts to train on, in an order that depends on the seed.
        validation, fresh: the documents that give the score, and those for a comparison with the champion.
        token_pattern: see `taproom.words.counting.tokens`.
    """

    fitted: Sequence[str]
    validation: SplitDocuments
    fresh: SplitDocuments
    token_pattern: str = DEFAULT_TOKEN_PATTERN

    @classmethod
    def of(cls, documents: pa.Table, seed: int, token_pattern: str = DEFAULT_TOKEN_PATTERN) -> "WordVectorsObjective":
        """Build the objective from the columns text and split of the table `documents`.

        Raises `InputError` with fewer than 20 training documents, or as `taproom.words.counting.tokens` does.
        """
        places = np.flatnonzero(pc.equal(documents["split"], "training").to_numpy())
        if len(places) < LEAST_DOCUMENTS:
            raise InputError(
                f"There are {len(places)} training documents; wanted: at least {LEAST_DOCUMENTS}, to train on some "
                "and judge on others."
            )
        random = np.random.default_rng(seed)
        judged = [
            min(most, int(share * len(places)))
            for most, share in zip((MOST_VALIDATION, MOST_FRESH), JUDGED_SHARES, strict=True)
        ]
        drawn = random.permutation(places)[: sum(judged) + MOST_FITTED]
        texts = pc.utf8_slice_codeunits(documents["text"].take(drawn), 0, MOST_CHARACTERS).to_pylist()
        parts = (texts[: judged[0]], texts[judged[0] : sum(judged)])
        validation, fresh = (_split(some, token_pattern, np.random.default_rng(seed)) for some in parts)
        return cls(texts[sum(judged) :], validation, fresh, token_pattern)

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """The mean score of the validation documents. Raises `InputError` as `train` does."""
        return float(_own_nearer(self.validation, self._train(parameters, budget, seed)).mean())

    def fresh_scores(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """The score of each fresh document, (documents,) float64. Raises `InputError` as `train` does."""
        return _own_nearer(self.fresh, self._train(parameters, budget, seed))

    def _train(self, parameters: Parameters, budget: int, seed: int) -> TrainedVectors:
        chosen = WordVectorParameters(**{"seed": seed, **parameters})
        return train([self.fitted[:budget]], chosen, self.token_pattern)


def _split(texts: Sequence[str], token_pattern: str, random: np.random.Generator) -> SplitDocuments:
    """Split each text in two by a random half of the vocabulary."""
    words, numbers, starts = numbered_tokens(texts, token_pattern)
    in_first = random.random(len(words)) < 0.5
    counts = sparse.csr_array((np.ones(len(numbers)), numbers.copy(), starts), shape=(len(texts), len(words)))
    counts.sum_duplicates()

    def half(chosen: np.ndarray) -> sparse.csr_array:
        found = counts.copy()
        found.data *= chosen[found.indices]
        found.eliminate_zeros()
        return found

    return SplitDocuments(words.to_pylist(), (half(in_first), half(~in_first)))


def _own_nearer(documents: SplitDocuments, trained: TrainedVectors) -> np.ndarray:
    """For each document, the share of others whose second half is farther from its first half than its own is.

    A tie counts 0.5. A document that has no known word in one of its halves scores 0.5, and is not among the
    others.
    """
    vectors = _weighted(documents.words, trained)
    one, other = (half @ vectors for half in documents.halves)
    known = one.any(axis=1) & other.any(axis=1)
    shares = np.full(len(known), 0.5)
    if known.sum() > 1:
        cosines = _unit(one[known]) @ _unit(other[known]).T
        own = np.diag(cosines)[:, None]
        farther, as_far = (cosines < own).sum(axis=1), (cosines == own).sum(axis=1) - 1
        shares[known] = (farther + as_far / 2) / (known.sum() - 1)
    return shares


def _weighted(words: Sequence[str], trained: TrainedVectors) -> np.ndarray:
    """The vector of each word times its weight, zeros for unknown words: (words, D) float64."""
    row_of = {word: row for row, word in enumerate(trained.words)}
    rows = np.array([row_of.get(word, -1) for word in words])
    known = rows >= 0
    vectors = np.zeros((len(words), trained.vectors.shape[1]))
    shares = trained.counts[rows[known]] / trained.tokens
    vectors[known] = trained.vectors[rows[known]] * (SMOOTH / (SMOOTH + shares))[:, None]
    return vectors


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
