import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.images.imbalance_experiment import balanced_accuracy, class_weights, recalls, resampled


def test_balanced_accuracy_is_the_mean_recall():
    called, labels = np.array([0, 0, 0, 1, 0]), np.array([0, 0, 0, 1, 1])
    assert recalls(called, labels) == {0: 1.0, 1: 0.5}
    assert balanced_accuracy(called, labels) == 0.75


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=40), each=st.integers(1, 30), seed=st.integers(0, 99))
def test_weights_and_resampling_make_classes_alike(labels, each, seed):
    labels = np.array(labels)
    weights = class_weights(labels)
    sums = np.bincount(labels, weights)[np.unique(labels)]
    np.testing.assert_allclose(sums, len(labels) / len(sums))
    rows = resampled(np.arange(len(labels)), labels, each, np.random.default_rng(seed))
    assert set(np.bincount(labels[rows])[np.unique(labels)]) == {each}
    for number in np.unique(labels):
        distinct = np.unique(rows[labels[rows] == number])
        assert len(distinct) == min(each, np.sum(labels == number))
