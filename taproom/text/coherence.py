"""Measures of topics that use only their top words: coherence, diversity, stability.

Here belong measures that apply to the topics of any method, whatever its weights mean. A topic is given as its terms,
heaviest first, as from `taproom.text.topics.top_terms`. The comparison of methods is in `taproom.text.topic_methods`.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy import sparse

from taproom.errors import InputError


def npmi(top_terms: Sequence[np.ndarray], counts: sparse.csr_array) -> np.ndarray:
    """Coherence of each topic: the mean normalized pointwise mutual information (NPMI) of its pairs of words.

    The NPMI of words x, y with the relative document frequencies p(x), p(y), p(x, y) is
    log(p(x, y) / (p(x) p(y))) / -log p(x, y): 1 if they only occur together, 0 if they are independent, and -1 if they
    never occur together, which includes words that do not occur at all.

    Args:
        top_terms: (d,) arrays of term ids.
        counts: (documents, terms), nonzero where a document has a term. Documents without any term count, too.

    Returns:
        (d,) float64 in [-1, 1]; NaN for a topic of fewer than two terms.

    Raises:
        InputError: there are no documents.

    Source: Bouma, Normalized (Pointwise) Mutual Information in Collocation Extraction, 2009; Lau, Newman and Baldwin,
    Machine Reading Tea Leaves, 2014. Their windows of words are whole documents here.

    >>> counts = sparse.csr_array([[1, 1, 0], [2, 1, 0], [0, 0, 1], [0, 0, 1]])
    >>> npmi([np.array([0, 1]), np.array([0, 2])], counts)
    array([ 1., -1.])
    """
    if not counts.shape[0]:
        raise InputError(
            "There are no documents to count pairs of words in. Give the documents of the test or training split."
        )
    columns = sparse.csc_array(counts)
    return np.array([_mean_npmi(columns[:, terms]) for terms in top_terms])


def diversity(top_terms: Sequence[np.ndarray]) -> float:
    """The share of distinct terms among the terms of all topics: 1 if no two topics have a term in common.

    Source: Dieng, Ruiz and Blei, Topic Modeling in Embedding Spaces, TACL 2020 (with 25 words per topic).

    >>> diversity([np.array([0, 1]), np.array([1, 2])])
    0.75
    """
    terms = np.concatenate(top_terms)
    return len(np.unique(terms)) / len(terms)


def matched_jaccard(top_terms: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    """Agreement of two sets of topics, from 0 to 1, regardless of their order.

    Topics are matched one to one so that the sum of the Jaccard indices of their terms is maximal. The sum is divided
    by the number of topics in the larger set.

    Source: Greene, O'Callaghan and Cunningham, How Many Topics? Stability Analysis for Topic Models, ECML 2014, who
    average the index over the depths of the lists.

    >>> matched_jaccard([np.array([0, 1]), np.array([2, 3])], [np.array([2, 3]), np.array([0, 1])])
    1.0
    """
    from scipy.optimize import linear_sum_assignment

    agreement = np.array([[_jaccard(set(one), set(other)) for other in others] for one in top_terms])
    return float(agreement[linear_sum_assignment(agreement, maximize=True)].sum() / max(agreement.shape))


def stability(fits: Sequence[Sequence[np.ndarray]]) -> float | None:
    """The mean `matched_jaccard` over all pairs of fits; None for a single fit."""
    pairs = [matched_jaccard(one, other) for one, other in combinations(fits, 2)]
    return float(np.mean(pairs)) if pairs else None


def _mean_npmi(documents: sparse.csc_array) -> float:
    """Mean NPMI over all pairs of columns of (documents, terms)."""
    present = (documents != 0).astype(np.float64)
    together = (present.T @ present).toarray() / present.shape[0]
    alone = np.diag(together)
    pairs = np.triu_indices(len(alone), 1)
    joint, independent = together[pairs], np.outer(alone, alone)[pairs]
    if not len(joint):
        return np.nan
    found = np.full(len(joint), -1.0)
    found[joint == 1] = 1.0  # the limit of what would be 0 / 0
    defined = (joint > 0) & (joint < 1)
    found[defined] = np.log(joint[defined] / independent[defined]) / -np.log(joint[defined])
    return float(found.mean())


def _jaccard(one: set, other: set) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0
