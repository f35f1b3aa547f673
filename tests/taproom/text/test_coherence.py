import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from taproom.errors import InputError
from taproom.text.coherence import diversity, matched_jaccard, npmi, stability

# Four documents, one of them without any of the words.
COUNTS = sparse.csr_array(np.array([[2, 1, 0, 0], [1, 0, 3, 0], [0, 1, 0, 0], [0, 0, 0, 0]]))


def terms(*topics):
    return [np.array(topic, np.int64) for topic in topics]


def npmi_by_hand(topic, present):
    """Of a dense matrix of bool, pair by pair."""
    found = []
    for place, one in enumerate(topic):
        for other in topic[:place]:
            joint = (present[:, one] & present[:, other]).mean()
            if joint in (0, 1):
                found.append(-1 if joint == 0 else 1)
            else:
                found.append(math.log(joint / present[:, one].mean() / present[:, other].mean()) / -math.log(joint))
    return np.mean(found)


def test_the_coherence_of_a_pair_is_that_computed_by_hand():
    found = npmi(terms([0, 1], [0, 2]), COUNTS)
    assert found[0] == pytest.approx(0.0)  # 1/4 = 1/2 * 1/2
    assert found[1] == pytest.approx(math.log((1 / 4) / (1 / 2 * 1 / 4)) / -math.log(1 / 4))
    assert found.dtype == np.float64


def test_words_that_never_meet_or_never_occur_have_minus_one():
    assert npmi(terms([1, 2], [0, 3], [3, 3]), COUNTS).tolist() == [-1, -1, -1]


def test_words_that_only_occur_together_have_one_even_if_every_document_has_them():
    together = sparse.csr_array(np.array([[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]]))
    np.testing.assert_allclose(npmi(terms([0, 1], [2, 3]), together), [1, 1])


def test_topics_without_a_pair_have_no_coherence():
    assert np.isnan(npmi(terms([0], []), COUNTS)).all()


def test_counts_are_seen_as_present_or_not_and_stored_zeros_as_not():
    stored = COUNTS.copy().astype(float)
    stored.data[0] = 0
    same = COUNTS.toarray()
    same[0, 0] = 0
    assert npmi(terms([0, 1, 2]), stored) == pytest.approx(npmi(terms([0, 1, 2]), sparse.csr_array(same)))
    assert npmi(terms([0, 1, 2]), COUNTS * 7) == pytest.approx(npmi(terms([0, 1, 2]), COUNTS))


def test_coherence_without_documents_is_refused():
    with pytest.raises(InputError, match="no documents"):
        npmi(terms([0, 1]), sparse.csr_array((0, 4)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), documents=st.integers(1, 30), density=st.floats(0.05, 1))
def test_coherence_is_the_mean_over_pairs_and_lies_between_minus_one_and_one(seed, documents, density):
    random = np.random.default_rng(seed)
    present = random.random((documents, 12)) < density
    topics = [random.permutation(12)[:size] for size in (2, 5, 10)]
    found = npmi(topics, sparse.csr_array(present.astype(np.int64)))
    np.testing.assert_allclose(found, [npmi_by_hand(topic, present) for topic in topics], atol=1e-12)
    assert (np.abs(found) <= 1 + 1e-12).all()


def test_diversity_is_the_share_of_distinct_terms():
    assert diversity(terms([0, 1], [2, 3])) == 1
    assert diversity(terms([0, 1], [1, 0])) == 0.5
    assert diversity(terms([0, 1, 2], [2])) == 0.75


def test_matched_topics_agree_whatever_their_order():
    topics = terms([0, 1, 2], [3, 4, 5], [6, 7, 8])
    assert matched_jaccard(topics, topics[::-1]) == 1
    assert matched_jaccard(topics, [topic[::-1] for topic in topics]) == 1
    assert matched_jaccard(topics, terms([9, 10], [11], [12])) == 0


def test_matching_maximises_the_sum_and_not_each_topic_by_itself():
    # Both are nearest to the first of the others; only one can have it.
    found = matched_jaccard(terms([0, 1, 2, 3], [0, 1, 2, 4]), terms([0, 1, 2, 5], [0, 1, 6, 7]))
    assert found == pytest.approx((3 / 5 + 2 / 6) / 2)


def test_topics_that_have_no_match_count_as_no_agreement():
    assert matched_jaccard(terms([0, 1], [2, 3]), terms([0, 1])) == 0.5


def test_stability_is_the_mean_over_all_pairs_of_fits():
    one, other = terms([0, 1], [2, 3]), terms([0, 1], [4, 5])
    assert stability([one, one, other]) == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert stability([one]) is None
