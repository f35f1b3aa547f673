from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from taproom.assays.class_mixtures import cross_fit
from taproom.assays.class_shares import argmax_shares, blend_errors, share_intervals, shares
from taproom.assays.held_out_wells import LabelledEvents
from taproom.errors import InputError
from tests.labelled_plate import QUICK, plate


@pytest.fixture(scope="module")
def crossed():
    return cross_fit(LabelledEvents(*plate()), QUICK)


def likelihood(log_densities, found):
    return np.log(np.exp(log_densities - log_densities.max(axis=1, keepdims=True)) @ found).sum()


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 5), events=st.integers(1, 300), scale=st.floats(0.01, 8))
def test_shares_are_the_maximum_of_the_likelihood(seed, classes, events, scale):
    random = np.random.default_rng(seed)
    log_densities = random.normal(scale=scale, size=(events, classes)) + random.normal(size=(events, 1))
    found = shares(log_densities)
    assert found.sum() == pytest.approx(1.0)
    assert (found >= 0).all()
    best = minimize(
        lambda free: -likelihood(log_densities, np.exp(free) / np.exp(free).sum()) / events,
        np.zeros(classes),
        method="BFGS",
        options={"gtol": 1e-9},
    )
    assert likelihood(log_densities, found) >= -best.fun * events - 1e-5
    from_elsewhere = shares(log_densities, random.random(classes) + 1e-6)
    assert likelihood(log_densities, from_elsewhere) == pytest.approx(likelihood(log_densities, found), abs=1e-5)


@pytest.mark.parametrize("wanted", [(0.1, 0.3, 0.6), (0.6, 0.4, 0.0), (0.0, 0.0, 1.0)])
def test_shares_find_known_blends_where_counting_does_not(wanted):
    random = np.random.default_rng(4)
    of_class = random.choice(3, size=20_000, p=wanted)
    centres = np.array([0.0, 1.0, 2.5])
    events = centres[of_class] + random.normal(size=20_000)
    log_densities = -0.5 * (events[:, None] - centres) ** 2
    true = np.bincount(of_class, minlength=3) / 20_000
    np.testing.assert_allclose(shares(log_densities), true, atol=0.03)
    assert np.abs(argmax_shares(log_densities) - true).max() > 0.05


@pytest.mark.slow
def test_shares_are_those_of_plain_em():
    log_densities = np.random.default_rng(0).normal(scale=2, size=(500, 3))
    ratios, found = np.exp(log_densities), np.full(3, 1 / 3)
    for _ in range(20_000):
        posteriors = ratios * found
        found = (posteriors / posteriors.sum(axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(shares(log_densities), found, atol=1e-5)


@pytest.mark.parametrize("start", [(1e-300, 1.0, 1.0), (1e300, 1e-300, 1.0)])
def test_shares_start_anywhere(start):
    log_densities = np.random.default_rng(0).normal(scale=300, size=(500, 3))
    np.testing.assert_allclose(shares(log_densities, np.array(start)), shares(log_densities), atol=1e-4)


def test_classes_with_the_same_density_share_as_they_started():
    log_densities = np.random.default_rng(0).normal(size=(400, 2))[:, [0, 0, 1]]
    found = shares(log_densities, np.array([0.2, 0.2, 0.6]))
    assert found.sum() == pytest.approx(1)
    assert found[2] == pytest.approx(shares(log_densities[:, 1:])[1], abs=1e-3)
    np.testing.assert_allclose(shares(np.zeros((5, 4))), 0.25)


def test_intervals_hold_the_share_and_narrow_with_events():
    random = np.random.default_rng(6)

    def width(events):
        of_class = random.random(events) < 0.3
        log_densities = -0.5 * ((of_class * 1.5 + random.normal(size=events))[:, None] - [0.0, 1.5]) ** 2
        low, high = share_intervals(log_densities, resamples=100)
        assert (low <= high).all()
        assert low[1] - 0.02 < 0.3 < high[1] + 0.02
        assert low[0] == pytest.approx(1 - high[1], abs=1e-3)
        np.testing.assert_array_equal(share_intervals(log_densities, resamples=100), [low, high])
        assert not np.array_equal(share_intervals(log_densities, resamples=100, seed=1), [low, high])
        return high[1] - low[1]

    assert width(200) > 1.5 * width(3_000)


def test_blends_have_known_shares_in_every_order_and_are_found(crossed):
    rows = blend_errors(crossed)
    blends = {}
    for row in rows:
        blends.setdefault(row["blend"], []).append(row)
    true = {tuple(round(row["true_share"], 3) for row in of_blend) for of_blend in blends.values()}
    assert true == {*permutations((0.1, 0.3, 0.6)), *permutations((0.0, 0.0, 1.0))}
    assert all([row["class"] for row in of_blend] == list(crossed.classes) for of_blend in blends.values())
    for kind in ("true_share", "share", "argmax_share"):
        assert all(sum(row[kind] for row in of_blend) == pytest.approx(1) for of_blend in blends.values())
    error = {kind: np.mean([abs(row[kind] - row["true_share"]) for row in rows]) for kind in ("share", "argmax_share")}
    assert error["share"] < 0.05 < error["argmax_share"]
    assert rows == blend_errors(crossed)
    assert rows != blend_errors(crossed, seed=1)


@pytest.mark.parametrize(("classes", "blends"), [(2, 4), (4, 12)])
def test_blends_of_other_numbers_of_classes_are_rotations(classes, blends):
    random = np.random.default_rng(0)
    labels = np.repeat([f"c{place}" for place in range(classes)], 60)
    values = random.normal(size=(60 * classes, 1)) + np.repeat(5 * np.arange(classes), 60)[:, None]
    crossed = cross_fit(LabelledEvents(values, labels, np.tile(["w1", "w2"], 30 * classes)), QUICK)
    rows = blend_errors(crossed, events=50)
    assert len(rows) == blends * classes
    assert {row["events"] for row in rows} == {50}


@pytest.mark.parametrize(
    "given",
    [
        (np.empty((0, 3)),),
        (np.zeros(3),),
        (np.array([[0.0, -np.inf]]),),
        (np.zeros((4, 2)), np.array([0.0, 1.0])),
        (np.zeros((4, 2)), np.ones(3)),
    ],
)
def test_shares_of_nothing_are_refused(given):
    with pytest.raises(InputError):
        shares(*given)


@pytest.mark.parametrize("options", [{"resamples": 0}, {"confidence": 1.0}])
def test_intervals_need_resamples_and_a_confidence(options):
    with pytest.raises(InputError):
        share_intervals(np.zeros((4, 2)), **options)
