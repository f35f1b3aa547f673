import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from threadpoolctl import threadpool_limits

from taproom.assays.mixtures import Mixture
from taproom.assays.populations import Merge, merge, merges, misclassification, populations_of
from taproom.errors import InputError


def mixture(means, weights=None, sd=1.0):
    means = np.asarray(means, float)
    count, channels = means.shape
    weights = np.full(count, 1 / count) if weights is None else np.asarray(weights, float)
    return Mixture(weights, means, np.tile(sd**2 * np.eye(channels), (count, 1, 1)))


def draw(of: Mixture, events, seed=0):
    random = np.random.default_rng(seed)
    component = random.choice(of.components, events, p=of.weights)
    return of.means[component] + random.normal(size=(events, of.channels)) * np.sqrt(of.covariances[0, 0, 0])


# A banana of three components, a round cloud of two that lie on one another, and a rare one apart from all.
CLOUDS = mixture([[0, 0], [2, 0.5], [4, 0], [0, 12], [0.5, 12.5], [12, 12]], [0.28, 0.27, 0.2, 0.16, 0.08, 0.01])
EVENTS = draw(CLOUDS, 20_000)
POPULATIONS = [0, 0, 0, 1, 1, 2]


def partition(population):
    return {frozenset(np.flatnonzero(population == number)) for number in set(population)}


def test_components_of_one_cloud_are_one_population_and_clouds_with_a_gap_are_several():
    found = merge(CLOUDS, EVENTS)
    assert found.dtype == np.int32
    assert found.tolist() == POPULATIONS


def test_a_rare_population_is_kept_apart_like_a_common_one():
    for share in (0.5, 0.02):
        two = mixture([[0.0], [5.0]], [1 - share, share])
        assert merge(two, draw(two, 20_000)).tolist() == [0, 1]


@pytest.mark.parametrize("distance", [1.0, 2.0, 3.0, 4.0])
def test_the_probability_of_a_merge_is_that_of_a_wrong_call(distance):
    two = mixture([[0.0], [distance]])
    (only,) = merges(two, draw(two, 200_000))
    assert only.probability == pytest.approx(norm.cdf(-distance / 2), abs=0.01)
    assert only == Merge((0,), (1,), only.probability, 1)


def test_misclassification_is_a_share_of_what_belongs_to_each():
    responsibilities = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.0, 1.0, 0.0]])
    wanted = [[0, 0.5 / 2.3, 0], [0.2 / 1.7, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(misclassification(responsibilities), wanted)


def test_the_history_goes_down_to_one_population_and_merges_the_likeliest_pair_first():
    history = merges(CLOUDS, EVENTS)
    assert [step.populations for step in history] == [5, 4, 3, 2, 1]
    assert {history[0].first, history[0].second} == {(3,), (4,)}
    first = misclassification(CLOUDS.responsibilities(EVENTS))
    assert history[0].probability == first.max()
    assert sorted(history[-1].first + history[-1].second) == list(range(6))


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(6)))
def test_the_order_of_the_components_does_not_matter(order):
    shuffled = CLOUDS.take(order)
    assert merge(shuffled, EVENTS[:2_000]).tolist() == merge(CLOUDS, EVENTS[:2_000])[order].tolist()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), low=st.floats(0, 1), high=st.floats(0, 1))
def test_populations_are_numbered_by_falling_weight_and_a_lower_threshold_only_joins_them(seed, low, high):
    low, high = sorted((low, high))
    random = np.random.default_rng(seed)
    any_mixture = mixture(random.normal(size=(6, 2)) * 3, random.dirichlet(np.ones(6)))
    history = merges(any_mixture, draw(any_mixture, 300, seed))
    coarse, fine = (populations_of(any_mixture.weights, history, threshold) for threshold in (low, high))
    for population in (coarse, fine):
        assert set(population) == set(range(population.max() + 1))
        assert (np.diff(np.bincount(population, any_mixture.weights)) <= 0).all()
    assert all(any(part <= whole for whole in partition(coarse)) for part in partition(fine))


def test_of_equal_weights_the_first_component_is_first():
    apart = mixture([[0.0], [30.0], [60.0]])
    assert merge(apart, draw(apart, 300)).tolist() == [0, 1, 2]


def test_the_thresholds_at_the_ends_join_all_that_overlap_and_nothing():
    assert set(merge(CLOUDS, EVENTS, threshold=0.0)) == {0}
    assert sorted(merge(CLOUDS, EVENTS, threshold=1.0)) == [0, 1, 2, 3, 4, 5]
    apart = mixture([[0.0], [1000.0]])
    assert merge(apart, draw(apart, 100), threshold=0.0).tolist() == [0, 1]


def test_one_component_is_one_population():
    one = mixture([[0.0, 0.0]])
    assert merges(one, EVENTS) == ()
    assert merge(one, EVENTS).tolist() == [0]


def test_a_component_that_no_event_belongs_to_is_left_alone():
    with_a_stray = mixture([[0.0, 0.0], [500.0, 500.0]])
    assert merge(with_a_stray, EVENTS[(EVENTS < 8).all(axis=1)]).tolist() == [0, 1]


def test_missing_values_do_not_join_populations():
    holes = EVENTS.copy()
    holes[np.random.default_rng(1).random(holes.shape) < 0.2] = np.nan
    assert np.isnan(holes).all(axis=1).any()
    assert merge(CLOUDS, holes).tolist() == POPULATIONS


def test_where_no_event_is_complete_all_of_them_count():
    halves = EVENTS.copy()
    halves[::2, 0] = np.nan
    halves[1::2, 1] = np.nan
    assert partition(merge(CLOUDS, halves)) != partition(np.array(POPULATIONS))
    assert len(merges(CLOUDS, halves)) == 5


def test_events_of_a_component_that_is_never_complete_count():
    halves = EVENTS.copy()
    halves[halves[:, 0] > 8, 0] = np.nan
    history = merges(CLOUDS, halves)
    # Without the first channel, the rare population is taken for those beside it.
    assert any(5 in step.first + step.second and step.probability > 0.5 for step in history)


def test_the_same_bits_come_out_again_whatever_the_threads():
    with threadpool_limits(limits=1):
        alone = merges(CLOUDS, EVENTS)
    with threadpool_limits(limits=2):
        assert merges(CLOUDS, EVENTS) == alone


def test_no_events_are_refused():
    with pytest.raises(InputError, match="No events"):
        merge(CLOUDS, np.empty((0, 2)))


@pytest.mark.parametrize("threshold", [-0.1, 1.5, np.nan])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(InputError, match="0 to 1"):
        merge(CLOUDS, EVENTS[:100], threshold)
