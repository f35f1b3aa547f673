import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from taproom.assays.mixtures import Mixture
from taproom.assays.populations import LEVEL, MANY, VALLEY, merge, misclassification, saddles, valley_p_value
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


def test_components_of_one_cloud_are_one_population_and_clouds_with_a_gap_are_several():
    found = merge(CLOUDS, EVENTS)
    assert found.dtype == np.int32
    assert found.tolist() == POPULATIONS


def test_a_rare_population_is_kept_apart_like_a_common_one():
    for share in (0.5, 0.02):
        two = mixture([[0.0], [5.0]], [1 - share, share])
        assert merge(two, draw(two, 20_000)).tolist() == [0, 1]


@pytest.mark.parametrize(("distance", "wanted"), [(1.0, [0, 0]), (1.9, [0, 0]), (3.0, [0, 1]), (4.0, [0, 1])])
def test_two_equal_gaussians_are_two_populations_if_their_density_has_two_modes(distance, wanted):
    # It has from a distance of two standard deviations on.
    two = mixture([[0.0], [distance]], [0.501, 0.499])
    assert merge(two, draw(two, 20_000)).tolist() == wanted


def test_a_heavy_tail_or_a_skew_is_no_population():
    around = Mixture([0.7, 0.3], [[0.0, 0.0], [0.0, 0.0]], [np.eye(2), 9 * np.eye(2)])
    skewed = Mixture([0.7, 0.3], [[0.0, 0.0], [1.5, 0.0]], [np.eye(2), 4 * np.eye(2)])
    for pieces in (around, skewed):
        random = np.random.default_rng(0)
        component = random.choice(2, 5_000, p=pieces.weights)
        sd = np.sqrt(pieces.covariances[component, 0, 0])
        events = pieces.means[component] + random.normal(size=(5_000, 2)) * sd[:, None]
        assert merge(pieces, events).tolist() == [0, 0]


def test_a_valley_in_one_of_many_channels_is_enough():
    random = np.random.default_rng(0)
    events = random.normal(size=(1_000, 12)) * np.linspace(1, 5, 12)
    events[:300, 3] += 12
    parts = [events[:300], events[300:]]
    two = Mixture([0.3, 0.7], [part.mean(axis=0) for part in parts], [np.cov(part.T) for part in parts])
    assert merge(two, events).tolist() == [1, 0]


def test_the_saddle_between_two_equal_gaussians_is_half_way():
    two = mixture([[0.0, 0.0], [3.0, 4.0]], [0.501, 0.499])
    found = saddles(two)
    np.testing.assert_allclose(np.diagonal(found), two.log_density(two.means))
    assert found[0, 1] == found[1, 0] == pytest.approx(two.log_density(np.array([[1.5, 2.0]]))[0], abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_place_on_the_ridgeline_is_lower_than_the_saddle(seed):
    random = np.random.default_rng(seed)
    roots = random.normal(size=(4, 3, 3))
    any_mixture = Mixture(
        random.dirichlet(np.ones(4)), random.normal(size=(4, 3)) * 3, roots @ roots.swapaxes(1, 2) + 0.3 * np.eye(3)
    )
    found = saddles(any_mixture)
    first, second = (np.linalg.inv(any_mixture.covariances[k]) for k in (0, 2))
    for share in np.linspace(0, 1, 21):
        weighed = (1 - share) * first + share * second
        place = np.linalg.solve(
            weighed, (1 - share) * first @ any_mixture.means[0] + share * second @ any_mixture.means[2]
        )
        assert any_mixture.log_density(place[None])[0] >= found[0, 2] - 1e-6
    np.testing.assert_array_equal(found, found.T)
    assert (found <= np.minimum.outer(np.diagonal(found), np.diagonal(found)) + 1e-6).all()


def test_a_component_in_between_fills_the_valley():
    apart = mixture([[0.0], [5.0]])
    filled = mixture([[0.0], [2.5], [5.0]])
    assert saddles(apart)[0, 1] < np.log(VALLEY) + np.diagonal(saddles(apart)).min()
    assert saddles(filled)[0, 2] > np.log(VALLEY) + np.diagonal(saddles(filled)).min()


def test_a_valley_between_few_events_is_seen_in_the_mixture():
    two = mixture([[0.0, 0.0], [4.0, 0.0]], [0.6, 0.4])
    few = draw(two, 60)
    assert merge(two, few, valley=0).tolist() == [0, 0]
    assert merge(two, few).tolist() == [0, 1]


def test_a_valley_of_the_mixture_between_many_events_needs_a_projection_that_shows_it():
    # One cloud, fitted by two components that are narrower than what they describe: the mixture has a valley.
    events = np.random.default_rng(0).normal(size=(4_000, 2)) * [2.0, 1.0]
    halves = mixture([[-2.0, 0.0], [2.0, 0.0]], [0.501, 0.499], sd=0.9)
    assert saddles(halves)[0, 1] < np.log(VALLEY) + np.diagonal(saddles(halves)).min()
    assert merge(halves, events[:MANY]).tolist() == [0, 1]
    assert merge(halves, events).tolist() == [0, 0]


def test_where_no_event_is_complete_a_valley_that_no_channel_shows_is_seen_in_the_mixture():
    two = mixture(np.array([[0.0] * 8, [1.5] * 8]), [0.501, 0.499])
    events = draw(two, 4_000)
    assert merge(two, events).tolist() == [0, 1]
    events[np.arange(4_000), np.random.default_rng(0).integers(8, size=4_000)] = np.nan
    assert merge(two, events).tolist() == [0, 1]


@pytest.mark.parametrize("valley", [-0.1, 1.5, np.nan])
def test_a_valley_that_is_no_share_is_refused(valley):
    with pytest.raises(InputError, match="share of a density"):
        merge(CLOUDS, EVENTS[:100], valley=valley)


def test_misclassification_is_a_share_of_what_belongs_to_each():
    responsibilities = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.0, 1.0, 0.0]])
    wanted = [[0, 0.5 / 2.3, 0], [0.2 / 1.7, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(misclassification(responsibilities), wanted)


def valley_by_definition(projected, first, second, bins=32):
    """Each cut and each place above it, one by one."""
    places = (projected - first) / (second - first)
    inside = places[(places >= 0) & (places <= 1)]
    p_values = []
    for cut in np.arange(1, bins) / bins:
        sides = []
        for side in ((inside[inside >= cut] - cut) / (1 - cut), (cut - inside[inside < cut]) / cut):
            steps = round((1 - cut if len(sides) == 0 else cut) * bins)
            distance = max(u - (side < u).mean() if len(side) else 0 for u in np.arange(steps + 1) / steps)
            sides.append(np.exp(-2 * len(side) * max(distance, 0) ** 2))
        p_values.append(max(sides))
    return min(1, min(p_values) * (bins - 1))


@pytest.mark.parametrize("apart", [0.0, 2.5, 3.0, 6.0])
def test_the_p_value_is_that_of_the_definition(apart):
    random = np.random.default_rng(3)
    projected = np.concatenate([random.normal(size=150), random.normal(size=80) + apart])
    found = valley_p_value(projected, -0.1, apart + 0.1)
    assert found == pytest.approx(valley_by_definition(projected, -0.1, apart + 0.1), rel=1e-6, abs=1e-12)


def test_one_mode_is_seldom_taken_for_two():
    # A uniform distribution is nearest to having two.
    random = np.random.default_rng(0)
    found = np.array([valley_p_value(random.random(100), 0.0, 1.0) for _ in range(500)])
    assert (found <= LEVEL).mean() <= LEVEL


@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([-4.0, 0.5, 2.0]))
@settings(max_examples=20, deadline=None)
def test_the_p_value_depends_on_neither_scale_nor_direction(seed, scale):
    random = np.random.default_rng(seed)
    # Whole numbers, whose places are exact.
    projected = random.integers(0, 64, 50).astype(float)
    assert valley_p_value(projected * scale, 0.0, 64.0 * scale) == valley_p_value(projected, 0.0, 64.0)


def test_equal_centres_have_no_valley_between_them():
    assert valley_p_value(np.arange(9.0), 4.0, 4.0) == 1.0


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(6)))
def test_the_order_of_the_components_does_not_matter(order):
    shuffled = CLOUDS.take(order)
    assert merge(shuffled, EVENTS[:2_000]).tolist() == merge(CLOUDS, EVENTS[:2_000])[order].tolist()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_populations_are_numbered_by_falling_weight(seed):
    random = np.random.default_rng(seed)
    any_mixture = mixture(random.normal(size=(6, 2)) * 3, random.dirichlet(np.ones(6)))
    population = merge(any_mixture, draw(any_mixture, 300, seed))
    assert set(population) == set(range(population.max() + 1))
    assert (np.diff(np.bincount(population, any_mixture.weights)) <= 1e-12).all()


def test_of_equal_weights_the_first_component_is_first():
    apart = mixture([[0.0], [30.0], [60.0]])
    assert merge(apart, draw(apart, 300)).tolist() == [0, 1, 2]


def test_the_levels_at_the_ends_keep_what_has_a_valley_apart_and_join_nothing():
    assert merge(CLOUDS, EVENTS, level=1.0).tolist() == list(range(6))
    assert merge(CLOUDS, EVENTS, level=1e-200, valley=0).max() < max(POPULATIONS)


def test_one_component_is_one_population():
    assert merge(mixture([[0.0, 0.0]]), EVENTS).tolist() == [0]


def test_a_component_that_no_event_belongs_to_is_left_alone():
    with_a_stray = mixture([[0.0, 0.0], [500.0, 500.0]])
    assert merge(with_a_stray, EVENTS[(EVENTS < 8).all(axis=1)]).tolist() == [0, 1]


def test_a_component_without_weight_is_allowed():
    assert merge(mixture([[0.0], [0.0], [9.0]], [0.5, 0.0, 0.5]), EVENTS[:, :1]).shape == (3,)


def test_missing_values_do_not_join_populations():
    holes = EVENTS.copy()
    holes[np.random.default_rng(1).random(holes.shape) < 0.2] = np.nan
    assert np.isnan(holes).all(axis=1).any()
    assert merge(CLOUDS, holes).tolist() == POPULATIONS


def test_where_no_event_is_complete_single_channels_show_valleys():
    two = mixture([[0.0, 0.0], [9.0, 9.0], [9.5, 9.5]])
    halves = draw(two, 2_000)
    halves[::2, 0] = np.nan
    halves[1::2, 1] = np.nan
    assert merge(two, halves).tolist() == [1, 0, 0]


def test_the_same_bits_come_out_again_whatever_the_threads():
    with threadpool_limits(limits=1):
        alone = merge(CLOUDS, EVENTS)
    with threadpool_limits(limits=2):
        assert (merge(CLOUDS, EVENTS) == alone).all()


def test_no_events_are_refused():
    with pytest.raises(InputError, match="No events"):
        merge(CLOUDS, np.empty((0, 2)))


@pytest.mark.parametrize("level", [-0.1, 1.5, np.nan])
def test_a_level_that_is_no_probability_is_refused(level):
    with pytest.raises(InputError, match="0 to 1"):
        merge(CLOUDS, EVENTS[:100], level)
