"""What a search of the word vectors' parameters is judged by: whether a document's words are alike, if they differ.

The words of held-out documents are parted in two by lot, and so each document in two: its words of either side. Vectors
are good if a document's one side is nearer (by the cosine of mean vectors) to its own other side than to other
documents' other sides. As no word is on both sides, only what training has told of words can tell: vectors as they are
before training get 0.5, as any others without sense do. The first and the second half of a document, which have words
in common, would not do: on 20 Newsgroups, 64 dimensions that are hardly trained (steps of 1e-4, 1,500 documents) get
0.76 by these, and the defaults 0.60; by words parted it is 0.50 and 0.74.

In a mean, a word with the share p of all words weighs a / (a + p) with a = 1e-3, so that words which are in all
documents do not rule it.

What this measures is likeness of subject. Analogies, which ask for relations, need not agree: on all of 20 Newsgroups
steps of 0.1 instead of 0.04 raise this score from 0.93 to 0.96, and 3.0 % instead of 3.5 % of the analogies are right.

Documents are training documents, and the budget is how many are trained on. With few of them, those settings win that
train more (longer steps, more epochs), which matters less and less with more: a search should end near what the product
has.

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

# Documents at most: for validation, fresh, and to train on.
MOST_VALIDATION = 500
MOST_FRESH = 1_000
MOST_FITTED = 4_000
# Of small corpora: for validation, and fresh.
JUDGED_SHARES = (0.15, 0.3)
LEAST_DOCUMENTS = 20
# Of a document; the longest ones would else be most of what is held.
MOST_CHARACTERS = 4_000
SMOOTH = 1e-3


@dataclass(frozen=True, eq=False)
class PartedDocuments:
    """Documents, each parted in two.

    Attributes:
        words: (words,) str.
        sides: two matrices (documents, words) CSR of float64, how often each document has each word; a word is in one.
    """

    words: Sequence[str]
    sides: tuple[sparse.csr_array, sparse.csr_array]


@dataclass(frozen=True, eq=False)
class WordVectorsObjective:
    """How often a document's own other side is nearer than another's; higher is better, 0.5 is chance.

    The budget is the number of documents that are trained on.

    Attributes:
        fitted: texts, in an order that the seed decides.
        validation, fresh: what is judged on.
        token_pattern: see `taproom.words.counting.tokens`.
    """

    fitted: Sequence[str]
    validation: PartedDocuments
    fresh: PartedDocuments
    token_pattern: str = DEFAULT_TOKEN_PATTERN

    @classmethod
    def of(cls, documents: pa.Table, seed: int, token_pattern: str = DEFAULT_TOKEN_PATTERN) -> "WordVectorsObjective":
        """From the columns text and split of the table `documents`.

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
        validation, fresh, fitted = texts[: judged[0]], texts[judged[0] : sum(judged)], texts[sum(judged) :]
        parted = (_parted(some, token_pattern, np.random.default_rng(seed)) for some in (validation, fresh))
        return cls(fitted, *parted, token_pattern)

    def score(self, parameters: Parameters, budget: int, seed: int) -> float:
        """The mean over validation documents. Raises `InputError` as `train`."""
        return float(_own_nearer(self.validation, self._train(parameters, budget, seed)).mean())

    def fresh_scores(self, parameters: Parameters, budget: int, seed: int) -> np.ndarray:
        """The share of other fresh documents farther than its own, of each: (documents,). Raises as `score`."""
        return _own_nearer(self.fresh, self._train(parameters, budget, seed))

    def _train(self, parameters: Parameters, budget: int, seed: int) -> TrainedVectors:
        settled = WordVectorParameters(**{"seed": seed, **parameters})
        return train([self.fitted[:budget]], settled, self.token_pattern)


def _parted(texts: Sequence[str], token_pattern: str, random: np.random.Generator) -> PartedDocuments:
    """Cut each text in two, by a lot that is drawn for each word."""
    words, numbers, starts = numbered_tokens(texts, token_pattern)
    on_first = random.random(len(words)) < 0.5
    said = sparse.csr_array((np.ones(len(numbers)), numbers.copy(), starts), shape=(len(texts), len(words)))
    said.sum_duplicates()
    sides = []
    for chosen in (on_first, ~on_first):
        side = said.copy()
        side.data *= chosen[side.indices]
        side.eliminate_zeros()
        sides.append(side)
    return PartedDocuments(words.to_pylist(), tuple(sides))


def _own_nearer(documents: PartedDocuments, trained: TrainedVectors) -> np.ndarray:
    """The share of other documents whose second side is farther from a document's first than its own; ties half.

    A document without a known word on either side gets 0.5, and is no other.
    """
    vectors = _weighted(documents.words, trained)
    one, other = (side @ vectors for side in documents.sides)
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
