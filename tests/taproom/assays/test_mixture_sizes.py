import numpy as np

from taproom.assays.expectation_maximization import EmParameters, fit_all
from taproom.assays.mixture_sizes import (
    SizeFit,
    SizeParameters,
    best_by_bic,
    best_held_out,
    drawn_events,
    fit_sizes,
    split_further,
)
from taproom.assays.mixtures import Mixture


def size_fit(components, bic, held_out, seed=0):
    return SizeFit(components, seed, 0, 0.0, held_out, bic, 1, True)


def test_held_out_events_and_bic_may_choose_differently():
    fits = [size_fit(2, 1.0, -3.0), size_fit(4, 2.0, -2.0), size_fit(8, 3.0, -2.0)]
    assert best_by_bic(fits).components == 2
    assert best_held_out(fits).components == 4


def test_without_held_out_events_bic_chooses():
    fits = [size_fit(1, 2.0, np.nan), size_fit(2, 1.0, np.nan)]
    assert best_held_out(fits) == fits[1]


def test_the_best_number_has_all_restarts_and_each_other_a_third():
    random = np.random.default_rng(0)
    values = random.normal(size=(400, 1)) + np.repeat([0, 9], 200)[:, None]
    for restarts, some in ((1, 1), (3, 1), (4, 2), (8, 3)):
        found = fit_sizes(values, SizeParameters((1, 2, 3), restarts), EmParameters(), seed=5)
        best = best_held_out(list(found)).components
        assert best > 1
        for size in (1, 2, 3):
            starts = restarts if size == best else some if size > 1 else 1
            assert [each.seed for each in found if each.components == size] == list(range(5, 5 + starts))


def test_a_number_that_is_alone_has_all_restarts_and_one_component_a_single_one():
    values = np.random.default_rng(0).normal(size=(300, 2))
    alone = fit_sizes(values, SizeParameters((2,), 4), EmParameters(), seed=0)
    assert [each.seed for each in alone] == [0, 1, 2, 3]
    found = fit_sizes(values, SizeParameters((1, 2), 4), EmParameters(), seed=0)
    assert best_held_out(list(found)).components == 1
    assert [(each.components, each.seed) for each in found] == [(1, 0), (2, 0), (2, 1)]


def test_components_are_split_while_held_out_events_become_likelier_whatever_the_threads():
    random = np.random.default_rng(0)
    values = random.normal(size=(1_200, 2)) + np.repeat([[0, 0], [8, 0], [0, 8], [8, 8]], 300, axis=0)
    drawn, held_out = drawn_events(values, 600, seed=0)
    em = EmParameters()
    (one,) = fit_all(drawn, [(1, 0)], em)
    start = size_fit(1, 0.0, one.mixture.log_density(held_out).mean())
    found, again = (split_further(one.mixture, start, drawn, held_out, em, n_jobs) for n_jobs in (1, 2))
    assert found.keys() == again.keys()
    best = best_held_out(list(found))
    assert (best.components, best.splits) == (4, 2)
    np.testing.assert_allclose(found[best].ordered().means.round(0).sum(axis=0), [16, 16])
    assert all(np.array_equal(found[each].means, again[each].means) for each in found)
    likelihoods = [start.held_out_log_density, *(each.held_out_log_density for each in found)]
    assert all(np.diff(likelihoods[:-1]) > 0)
    assert [each.splits for each in found] == list(range(1, len(found) + 1))


def test_without_held_out_events_nothing_is_split():
    values = np.random.default_rng(0).normal(size=(50, 1))
    (one,) = fit_all(values, [(1, 0)])
    assert split_further(one.mixture, size_fit(1, 0.0, np.nan), values, values[:0], EmParameters()) == {}


def test_splits_end_where_a_component_collapses(monkeypatch):
    values = np.repeat([0.0, 9.0], 40)[:, None]
    one = Mixture([1.0], [[4.5]], [[[20.0]]])
    collapsing = Mixture([0.5, 0.5], [[0.0], [9.0]], [[[1.0]], [[1.0]]])
    monkeypatch.setattr("taproom.assays.mixture_sizes.split", lambda *_: collapsing)
    assert split_further(one, size_fit(1, 0.0, -9.0), values, values, EmParameters(regularization=0.0)) == {}


def test_drawn_and_held_out_events_are_others_and_at_most_half_of_all():
    values = np.arange(11.0)[:, None]
    drawn, held_out = drawn_events(values, 100, seed=3)
    assert (len(drawn), len(held_out)) == (6, 5)
    assert sorted([*drawn.ravel(), *held_out.ravel()]) == values.ravel().tolist()
    assert [len(part) for part in drawn_events(values, 2, seed=3)] == [2, 2]
