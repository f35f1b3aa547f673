import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KernelDensity

from taproom.assays.densities import (
    FOLDS,
    REACH,
    Grid,
    choose_bandwidth,
    complete,
    enclosed,
    enclosing_levels,
    grid_over,
    held_out_log_densities,
    kernel_density,
    mixture_density,
)
from taproom.assays.mixtures import Mixture
from taproom.errors import InputError

# Two clouds of different shapes and scales; the second channel is 50 times as wide as the first.
RANDOM = np.random.default_rng(0)
VALUES = np.vstack(
    [RANDOM.normal((0, 0), (1, 20), (1_200, 2)), RANDOM.normal((5, 150), (0.5, 50), (800, 2))],
)
MIXTURE = Mixture(
    np.array([0.6, 0.4]),
    np.array([[0.0, 0.0], [5.0, 150.0]]),
    np.array([[[1.0, 5.0], [5.0, 400.0]], [[0.25, 0.0], [0.0, 2500.0]]]),
)


def exact_log_density(of: np.ndarray, places: np.ndarray, bandwidth: float, scale: np.ndarray) -> np.ndarray:
    kernels = KernelDensity(bandwidth=bandwidth).fit(of / scale)
    return kernels.score_samples(places / scale) - np.log(scale).sum()


def exact(values: np.ndarray, grid: Grid, bandwidth: float) -> np.ndarray:
    log_density = exact_log_density(values, grid.points(), bandwidth, values.std(axis=0))
    return np.exp(log_density).reshape(len(grid.x), len(grid.y))


def test_a_grid_is_regular_and_covers_all_but_the_farthest_events():
    grid = grid_over(VALUES, points=50)
    for axis, values, spacing in zip((grid.x, grid.y), VALUES.T, grid.spacing, strict=True):
        assert len(axis) == 50
        np.testing.assert_allclose(np.diff(axis), spacing)
        assert axis[0] < np.quantile(values, 0.0005) < np.quantile(values, 0.9995) < axis[-1]


def test_a_grid_over_all_events_covers_them_and_a_few_far_away_take_no_room_from_another():
    far = np.vstack([VALUES, [[1e6, 0.0]]])
    assert grid_over(far, share=1.0).x[-1] > 1e6
    assert grid_over(far).x[-1] < 20


def test_a_channel_that_is_the_same_for_nearly_all_events_still_has_a_grid():
    values = VALUES.copy()
    values[:, 0] = 0.0
    values[0, 0] = 1.0
    grid = grid_over(values)
    assert grid.x[0] < 0 < 1 < grid.x[-1]


def test_the_points_of_a_grid_are_in_the_order_of_a_density():
    grid = Grid(np.array([0.0, 1.0]), np.array([0.0, 10.0, 20.0]))
    assert grid.points().tolist() == [[0, 0], [0, 10], [0, 20], [1, 0], [1, 10], [1, 20]]


def test_the_density_of_a_mixture_is_its_own_at_each_point_and_has_the_sum_1():
    grid = grid_over(VALUES, points=120, margin=0.3)
    density = mixture_density(MIXTURE, grid)
    at = np.array([[grid.x[40], grid.y[70]]])
    assert density[40, 70] == pytest.approx(np.exp(MIXTURE.log_density(at)[0]))
    assert density.sum() * grid.spacing.prod() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("bandwidth", [0.02, 0.05, 0.15, 0.5, 2.0])
def test_the_kernel_density_is_the_exact_one(bandwidth):
    grid = grid_over(VALUES, points=60)
    assert (grid.spacing / VALUES.std(axis=0)).max() > 0.05
    wanted = exact(VALUES, grid, bandwidth)
    found = kernel_density(VALUES, grid, bandwidth)
    assert np.abs(found - wanted).max() < 0.02 * wanted.max()
    assert found.sum() == pytest.approx(wanted.sum(), rel=0.005)
    assert (found >= 0).all()


def test_the_kernel_density_in_part_of_the_room_is_that_part_of_it():
    part = Grid(np.linspace(-1, 4, 40), np.linspace(-10, 30, 30))
    wanted = exact(VALUES, part, 0.2)
    found = kernel_density(VALUES, part, 0.2)
    assert found.shape == (40, 30)
    assert np.abs(found - wanted).max() < 0.01 * wanted.max()


def test_events_far_from_the_grid_only_take_their_share():
    grid = grid_over(VALUES, points=40)
    far = np.vstack([VALUES, np.tile([[1e4, 1e6]], (len(VALUES), 1))])
    wanted = exact(far, grid, 0.001)
    np.testing.assert_allclose(kernel_density(far, grid, 0.001), wanted, atol=0.02 * wanted.max())
    nowhere = Grid(np.linspace(1e3, 1e3 + 10, 40), np.linspace(0, 10, 40))
    assert not kernel_density(VALUES, nowhere, 0.1).any()


@settings(max_examples=20, deadline=None)
@given(
    scale=st.tuples(*[st.floats(1e-3, 1e3)] * 2), offset=st.tuples(*[st.floats(-100, 100)] * 2), h=st.floats(0.05, 1)
)
def test_other_units_are_another_scale_of_the_same_density(scale, offset, h):
    values, scale, offset = VALUES[::20], np.array(scale), np.array(offset)
    grid = grid_over(values, points=25)
    moved = Grid(grid.x * scale[0] + offset[0], grid.y * scale[1] + offset[1])
    found = kernel_density(values * scale + offset, moved, h) * scale.prod()
    here = kernel_density(values, grid, h)
    np.testing.assert_allclose(found, here, atol=1e-3 * here.max())


def test_events_with_a_missing_value_are_left_out():
    holes = np.vstack([VALUES, [[np.nan, 0.0], [0.0, np.nan], [np.nan, np.nan]]])
    kept = complete(holes)
    np.testing.assert_array_equal(kept, VALUES)
    grid = grid_over(VALUES, points=30)
    assert grid_over(holes, points=30).x.tobytes() == grid.x.tobytes()
    assert kernel_density(holes, grid, 0.2).tobytes() == kernel_density(VALUES, grid, 0.2).tobytes()
    assert choose_bandwidth(holes, 0, [0.1, 0.2])[1].tolist() == choose_bandwidth(VALUES, 0, [0.1, 0.2])[1].tolist()


@pytest.mark.slow
def test_held_out_scores_are_those_of_exact_kernel_densities():
    candidates = [0.1, 0.2, 0.4, 0.8]
    best, scores = choose_bandwidth(VALUES, 3, candidates)
    fold = np.random.default_rng(3).permutation(len(VALUES)) % FOLDS
    wanted = [
        np.concatenate(
            [
                exact_log_density(VALUES[fold != number], VALUES[fold == number], bandwidth, VALUES.std(axis=0))
                for number in range(FOLDS)
            ]
        ).mean()
        for bandwidth in candidates
    ]
    np.testing.assert_allclose(scores, wanted, atol=0.02)
    assert best == candidates[int(np.argmax(wanted))]


@pytest.mark.parametrize("bandwidth", [0.2, 0.5])
def test_held_out_log_densities_are_exact_ones_of_each_event_and_not_below_the_edge_of_a_kernel(bandwidth):
    fitted, held_out = VALUES[::2], np.vstack([VALUES[1::2], [[60.0, 0.0]], [[np.nan, 0.0]]])
    found = held_out_log_densities(fitted, held_out, bandwidth)
    scale = fitted.std(axis=0)
    wanted = exact_log_density(fitted, VALUES[1::2], bandwidth, scale)
    assert abs(found[:-1] - wanted).mean() < 0.05
    edge = -(REACH**2) / 2 - np.log(2 * np.pi * (bandwidth * scale).prod() * len(fitted))
    assert found[-1] == pytest.approx(edge)
    assert len(found) == len(VALUES[1::2]) + 1


def test_held_out_events_have_no_density_where_the_grid_would_be_too_large():
    assert np.isnan(held_out_log_densities(VALUES, np.array([[1e6, 1e6], [0.0, 0.0]]), 0.01)).all()


def test_the_bandwidth_for_a_gaussian_is_near_the_rule_for_it():
    values = np.random.default_rng(5).normal(size=(5_000, 2))
    best, _ = choose_bandwidth(values, 0)
    assert 0.6 < best / len(values) ** (-1 / 6) < 1.6  # Scott's rule in two dimensions


def test_a_few_events_far_away_do_not_choose_the_bandwidth():
    candidates = np.geomspace(0.08, 1.3, 9)
    best, _ = choose_bandwidth(VALUES, 0, candidates)
    strays = np.vstack([VALUES, VALUES.mean(axis=0) + VALUES.std(axis=0) * [[8, 8], [-8, 8], [8, -8]]])
    again, _ = choose_bandwidth(strays, 0, candidates)
    assert 0.5 < again / best < 2


def test_bandwidths_too_small_for_a_grid_are_not_judged():
    far = np.vstack([VALUES, [[1e6, 1e6]]])
    best, scores = choose_bandwidth(far, 0, [1e-4, 0.5])
    assert best == 0.5
    assert np.isnan(scores).tolist() == [True, False]
    with pytest.raises(InputError, match="larger"):
        choose_bandwidth(far, 0, [1e-4])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_another_one_tells():
    one, other, third = (choose_bandwidth(VALUES, seed)[1] for seed in (0, 0, 1))
    assert one.tobytes() == other.tobytes() != third.tobytes()


def test_two_events_suffice():
    best, scores = choose_bandwidth(np.array([[0.0, 0.0], [1.0, 1.0]]), 0, [0.5, 1.0])
    assert np.isfinite(scores).all()
    assert best in (0.5, 1.0)


def test_levels_of_a_gaussian_are_the_known_ones():
    round_one = Mixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
    axis = np.linspace(-6, 6, 301)
    density = mixture_density(round_one, Grid(axis, axis))
    shares = np.array([0.5, 0.8, 0.95, 0.99])
    np.testing.assert_allclose(enclosing_levels(density, shares) / density.max(), 1 - shares, atol=0.01)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.01, 1))
def test_a_level_encloses_its_share_and_no_higher_one_does(seed, share):
    density = np.random.default_rng(seed).exponential(size=(8, 9))
    (level,) = enclosing_levels(density, [share])
    wanted = share * density.sum() * (1 - 1e-12)
    assert density[density >= level].sum() >= wanted
    assert density[density > level].sum() < wanted + 1e-9


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.01, 1), ties=st.booleans())
def test_the_points_within_a_contour_are_those_that_enclose_less_than_its_share(seed, share, ties):
    density = np.random.default_rng(seed).exponential(size=(8, 9))
    density = np.ceil(density) if ties else density
    shares = enclosed(density)
    assert shares.shape == density.shape
    assert shares[density == density.max()].tolist() == [0.0] * (density == density.max()).sum()
    assert shares.max() < 1
    (level,) = enclosing_levels(density, [share])
    assert ((shares < share) == (density >= level)).all()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.column_stack([np.arange(5.0), np.ones(5)]), "constant"),
        (np.array([[1.0, 2.0]]), "constant"),
        (np.array([[1.0, 2.0], [np.inf, 1.0], [3.0, 4.0]]), "1 of 3 events have an infinite"),
        (np.array([[np.nan, 2.0], [1.0, np.nan]]), "None of 2"),
        (np.empty((0, 2)), "None of 0"),
    ],
)
def test_events_without_a_density_are_refused(values, reason):
    grid = Grid(np.arange(3.0), np.arange(3.0))
    densities = (
        grid_over,
        lambda v: kernel_density(v, grid, 0.5),
        lambda v: choose_bandwidth(v, 0),
        lambda v: held_out_log_densities(v, VALUES, 0.5),
    )
    for density_of in densities:
        with pytest.raises(InputError, match=reason):
            density_of(values)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, np.nan, np.inf])
def test_a_bandwidth_that_is_not_positive_is_refused(bandwidth):
    with pytest.raises(InputError, match="positive"):
        kernel_density(VALUES, grid_over(VALUES), bandwidth)
    with pytest.raises(InputError, match="positive"):
        choose_bandwidth(VALUES, 0, [0.1, bandwidth])
    with pytest.raises(InputError, match="positive"):
        held_out_log_densities(VALUES, VALUES, bandwidth)


def test_a_bandwidth_far_from_the_spacing_and_a_grid_of_a_point_are_refused():
    with pytest.raises(InputError, match="nearer to the spacing"):
        kernel_density(VALUES, grid_over(VALUES), 1e-6)
    with pytest.raises(InputError, match="at least 2"):
        grid_over(VALUES, points=1)
    with pytest.raises(InputError, match="None of the bandwidths"):
        choose_bandwidth(VALUES, 0, [])
