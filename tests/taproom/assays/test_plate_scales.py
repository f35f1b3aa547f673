from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from assets.assays.plate_scales import CONTRACT
from taproom.assays import plate_scales as module
from taproom.assays.mixtures import Mixture
from taproom.assays.plate_scales import (
    OUTLIER_WIDTH,
    OUTLIERS,
    ScaleParameters,
    aligned,
    find_scale,
    plate_scales,
    reference_plate,
    shift_and_scale,
)
from taproom.errors import InputError
from taproom.sources.events import EventMatrix

REFERENCE = Mixture(
    [0.5, 0.3, 0.2],
    [[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]],
    [[[1.0, 0.3], [0.3, 0.5]], [[0.6, -0.2], [-0.2, 0.8]], [[0.5, 0.0], [0.0, 0.7]]],
)


FEW = ScaleParameters(components=3)


def events_of(mixture, count, seed, weights=None):
    random = np.random.default_rng(seed)
    component = random.choice(mixture.components, count, p=mixture.weights if weights is None else weights)
    roots = np.linalg.cholesky(mixture.covariances)
    noise = random.normal(size=(count, mixture.channels, 1))
    return mixture.means[component] + (roots[component] @ noise)[..., 0]


def matrix_of(wells, channels=("green", "red")):
    """An event matrix from (plate, well, label, values)."""
    plates, names, labels, values = zip(*wells, strict=True)
    repeats = [len(each) for each in values]

    def column(given):
        return pa.array(np.repeat(np.array(given, object), repeats), pa.string())

    rows = pa.table({"plate": column(plates), "well": column(names), "label": column(labels)})
    return EventMatrix(rows, np.vstack(values), channels, ("linear",) * len(channels))


def table_of(scales, channels=("green", "red")):
    rows = [
        {
            "plate": each.plate, "channel": channel, "shift": each.shift[place], "scale": each.scale[place],
            "off": each.off[place], "gain": each.gain, "unlike": each.unlike, "reference": each.reference,
            "applied": each.applied,
        }
        for each in scales
        for place, channel in enumerate(channels)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, CONTRACT.schema)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shift=st.tuples(*2 * [st.floats(-3, 3)]),
    stretch=st.tuples(*2 * [st.floats(-0.5, 0.5)]),
    weights=st.tuples(*3 * [st.floats(0.1, 1)]),
    unit=st.sampled_from([1e-3, 1.0, 1e4]),
)
def test_a_planted_shift_and_scale_are_found_whatever_the_shares_are(seed, shift, stretch, weights, unit):
    shares = np.array(weights) / sum(weights)
    scale, shift = np.exp(stretch), unit * np.array(shift)
    values = (unit * events_of(REFERENCE, 3_000, seed, shares) - shift) / scale
    found_shift, found_scale, _ = find_scale(values, REFERENCE.scaled(0.0, unit))
    np.testing.assert_allclose(found_scale, scale, rtol=0.12)
    # At the events themselves, since shift and scale are errors of each other.
    np.testing.assert_allclose(found_shift + found_scale * values, shift + scale * values, atol=0.5 * unit)


@pytest.mark.parametrize("weights", [(0, 0.6, 0.4), (0.7, 0.3, 0), (0.7, 0, 0.3), (1, 0, 0)])
@pytest.mark.parametrize("moved", [False, True])
def test_a_plate_that_lacks_populations_is_not_distorted(weights, moved):
    shift, scale = (np.array([0.8, -0.6]), np.array([1.2, 0.9])) if moved else (np.zeros(2), np.ones(2))
    values = (events_of(REFERENCE, 4_000, 1, weights) - shift) / scale
    found_shift, found_scale, _ = find_scale(values, REFERENCE)
    np.testing.assert_allclose(found_scale, scale, rtol=0.06)
    # The populations that it lacks come to where they would be, too.
    at_all = (REFERENCE.means - shift) / scale
    np.testing.assert_allclose(found_shift + found_scale * at_all, REFERENCE.means, atol=0.3)


def test_one_population_between_those_of_the_reference_is_not_stretched_over_them_all():
    """From its moments alone, EM would end with a scale of 7, where the populations at the ends share it."""
    reference = Mixture([0.3, 0.4, 0.3], [[-6.0], [0.0], [6.0]], [[[1.0]], [[1.0]], [[1.0]]])
    values = np.random.default_rng(0).normal(0.0, 0.8, (3_000, 1))
    _, scale, _ = find_scale(values, reference)
    assert scale == pytest.approx(1.25, rel=0.05)


def test_a_population_that_the_reference_lacks_moves_the_others_little():
    values = np.vstack([events_of(REFERENCE, 4_000, 2), np.random.default_rng(0).normal((9, -4), 0.5, (400, 2))])
    shift, scale, _ = find_scale(values, REFERENCE)
    np.testing.assert_allclose(shift + scale * REFERENCE.means, REFERENCE.means, atol=0.3)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.3]))
def test_the_log_density_never_falls_and_is_that_of_the_formula(seed, share):
    random = np.random.default_rng(seed)
    values = 0.7 * events_of(REFERENCE, 400, seed) + 0.5
    values = np.where(random.random(values.shape) < share, np.nan, values)
    assume((~np.isnan(values)).sum(axis=0).min() > 50)
    shift, scale, log_densities = find_scale(values, REFERENCE)
    assert (np.diff(log_densities) >= -1e-9).all()
    if not share:
        # No weights of the components are better at this shift and scale than those of the last iteration, but little.
        own = np.column_stack(
            [
                multivariate_normal(mean, covariance).logpdf(shift + scale * values)
                for mean, covariance in zip(*_with_outliers(), strict=True)
            ]
        )
        best = max(_log_density(own, weights, scale) for weights in _weights_by_em(own))
        assert log_densities[-1] == pytest.approx(best, abs=1e-3)


def _with_outliers():
    mean = REFERENCE.weights @ REFERENCE.means
    within = np.diagonal(REFERENCE.covariances, axis1=1, axis2=2)
    deviation = np.sqrt(REFERENCE.weights @ (within + (REFERENCE.means - mean) ** 2))
    wide = np.diag((OUTLIER_WIDTH * deviation) ** 2)
    return [*REFERENCE.means, mean], [*REFERENCE.covariances, wide]


def _log_density(own, weights, scale):
    return logsumexp(own + np.log(weights), axis=1).mean() + np.log(scale).sum()


def _weights_by_em(own):
    weights = np.append(REFERENCE.weights * (1 - OUTLIERS), OUTLIERS)
    for _ in range(300):
        joint = own + np.log(weights)
        counts = np.exp(joint - logsumexp(joint, axis=1, keepdims=True)).sum(axis=0)[:-1]
        weights = np.append((1 - OUTLIERS) * counts / counts.sum(), OUTLIERS)
        yield weights


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_m_step_is_the_minimum_that_a_general_method_finds(seed):
    random = np.random.default_rng(seed)
    values = random.normal(size=(60, 2)) * random.uniform(0.5, 2, 2) + random.normal(size=2)
    responsibilities = random.dirichlet(np.ones(3), 60)
    apart = values[:, None] - REFERENCE.means
    shift, scale = module._maximization(
        responsibilities.sum(axis=0),
        np.einsum("nk,nkd->kd", responsibilities, apart),
        np.einsum("nk,nkd,nke->kde", responsibilities, apart, apart),
        REFERENCE,
    )
    precisions = np.linalg.inv(REFERENCE.covariances)

    def loss(found):
        off = found[:2] + found[2:] * values
        off = off[:, None] - REFERENCE.means
        return (
            0.5 * np.einsum("nk,nkd,kde,nke->", responsibilities, off, precisions, off) - 60 * np.log(found[2:]).sum()
        )

    other = minimize(loss, [0, 0, 1, 1], bounds=[(None, None)] * 2 + [(1e-6, None)] * 2)
    assert loss(np.concatenate([shift, scale])) <= other.fun + 1e-6


@pytest.fixture(scope="module")
def days():
    """Three plates of two wells: the reference, one of the same day, and one that is shifted and scaled."""
    wells = [
        (plate, well, label, values)
        for place, plate in enumerate(["P1", "P2", "P3"])
        for well, label, values in (
            ("A1", "a" if plate == "P1" else None, events_of(REFERENCE, 900, place, (0.6, 0.4, 0))),
            ("A2", "b" if plate == "P1" else None, events_of(REFERENCE, 900, place + 3, (0.6, 0, 0.4))),
        )
    ]
    moved = [
        (plate, well, label, (values - [0.9, -0.7]) / [1.3, 0.8] if plate == "P3" else values)
        for plate, well, label, values in wells
    ]
    return matrix_of(moved), np.vstack([values for *_, values in wells])


@pytest.mark.slow
def test_only_the_plate_of_another_day_is_put_on_the_reference_scale(days):
    matrix, as_planted = days
    first, same, other = plate_scales(matrix, FEW)
    assert (first.reference, first.applied, first.gain, first.unlike) == (True, False, None, None)
    assert (same.reference, same.applied, other.applied) == (False, False, True)
    assert abs(same.gain) < 0.1
    assert same.off.max() < 0.1
    assert other.gain > 0.5
    assert max(same.unlike, other.unlike) < 0.05
    np.testing.assert_allclose(other.scale, [1.3, 0.8], rtol=0.06)
    put = aligned(matrix, table_of([first, same, other]))
    np.testing.assert_allclose(put.values, as_planted, atol=0.4)
    np.testing.assert_array_equal(put.values[:3600], matrix.values[:3600])


def test_the_gain_of_a_well_is_from_the_other_wells():
    """What suits one well alone is no scale of the plate."""
    own = events_of(REFERENCE, 900, 0)
    wells = [("P1", "A1", "a", own), ("P2", "A1", None, events_of(REFERENCE, 900, 1) + 2)]
    assert plate_scales(matrix_of(wells), FEW)[1].gain > 1
    opposite = [*wells, ("P2", "A2", None, events_of(REFERENCE, 900, 2) - 2)]
    assert plate_scales(matrix_of(opposite), FEW)[1].gain < 0


def test_missing_and_constant_channels_have_no_scale(days):
    matrix, _ = days
    plates = matrix.rows["plate"].to_numpy(zero_copy_only=False)
    values = np.column_stack([matrix.values, np.where(plates == "P1", 1.0, np.nan), np.arange(len(plates)) % 7.0])
    values[plates == "P3", 3] = np.nan
    values[::5, 0] = np.nan
    wide = EventMatrix(matrix.rows, values, ("green", "red", "flat", "partly"), ("linear",) * 4)
    *_, other = plate_scales(wide, FEW)
    np.testing.assert_allclose(other.scale, [1.3, 0.8, 1, 1], rtol=0.08)
    np.testing.assert_array_equal(other.shift[2:], 0)
    np.testing.assert_array_equal(other.off[2:], 0)


def test_a_plate_with_few_events_stays_as_it_is(days):
    matrix, _ = days
    _, second = plate_scales(matrix.where(np.arange(len(matrix.values)) < 1900), FEW)
    assert (second.applied, second.gain) == (False, None)
    np.testing.assert_array_equal(second.scale, 1)


def test_the_reference_has_the_most_labelled_wells_and_then_events(days):
    matrix, _ = days
    assert reference_plate(matrix) == "P1"
    assert reference_plate(matrix, "P3") == "P3"
    unlabelled = matrix_of([("P1", "A1", None, np.zeros((2, 2))), ("P2", "A1", None, np.zeros((3, 2)))])
    assert reference_plate(unlabelled) == "P2"
    with pytest.raises(InputError, match="no plate 'P9'"):
        reference_plate(matrix, "P9")


def test_what_cannot_be_used_is_refused(days):
    matrix, _ = days
    for parameters in (ScaleParameters(components=0), ScaleParameters(events=10), ScaleParameters(least_gain=-1)):
        with pytest.raises(InputError, match="cannot be used"):
            plate_scales(matrix, parameters)
    with pytest.raises(InputError, match="has no plate 'P3'"):
        aligned(matrix, table_of(plate_scales(matrix, FEW)[:2]))


def test_only_what_is_applied_counts(days):
    scales = table_of(plate_scales(days[0], replace(FEW, least_gain=np.inf)))
    for plate in ("P1", "P2", "P3"):
        np.testing.assert_array_equal(shift_and_scale(scales, plate, ["red", "other"]), [[0, 0], [1, 1]])
    scales = table_of(plate_scales(days[0], FEW))
    shift, scale = shift_and_scale(scales, "P3", ["red", "other"])
    assert (shift[1], scale[1]) == (0, 1)
    assert scale[0] == pytest.approx(0.8, rel=0.06)
