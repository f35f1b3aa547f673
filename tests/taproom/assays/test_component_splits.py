import numpy as np

from taproom.assays.component_splits import split
from taproom.assays.expectation_maximization import EmParameters
from taproom.assays.mixtures import Mixture

EM = EmParameters()


def clouds(*sizes, seed=0):
    """Round clouds of events, ten apart on a line, and the one Gaussian with their mean and covariance."""
    random = np.random.default_rng(seed)
    places = np.repeat(np.arange(len(sizes)), sizes)
    values = random.normal(size=(sum(sizes), 2)) + 10.0 * places[:, None] * np.array([1.0, 0.0])
    return values, Mixture([1.0], [values.mean(axis=0)], [np.cov(values.T, bias=True)])


def test_a_rare_cloud_gets_a_component_of_its_own():
    values, one = clouds(600, 30)
    two = split(values, one, EM, seed=0).ordered()
    np.testing.assert_allclose(two.weights, [600 / 630, 30 / 630], atol=1e-3)
    np.testing.assert_allclose(two.means, [[0, 0], [10, 0]], atol=0.3)


def test_a_component_that_is_a_gaussian_stays_as_it_is_and_others_are_split():
    values, _ = clouds(300, 300, 300)
    moments = [(part.mean(axis=0), np.cov(part.T, bias=True)) for part in (values[:300], values[300:])]
    two = Mixture([1 / 3, 2 / 3], *zip(*moments, strict=True))
    three = split(values, two, EM, seed=0)
    np.testing.assert_array_equal(three.means[0], two.means[0])
    np.testing.assert_allclose(sorted(three.means[:, 0]), [0, 10, 20], atol=0.3)
    assert three.weights.sum() == 1.0
    values, one = clouds(400)
    assert split(values, one, EM, seed=0).components == 1


def test_few_events_and_constant_channels_are_not_split():
    values, one = clouds(6, 6)
    assert split(values, one, EM, seed=0).components == 1
    values, one = clouds(60, 60)
    values[:, 1] = 0.0
    assert split(values, one, EM, seed=0).components == 1


def test_a_component_that_no_event_belongs_to_stays():
    values, one = clouds(200)
    two = Mixture([1.0, 0.0], [one.means[0], [90.0, 90.0]], np.repeat(one.covariances, 2, axis=0))
    assert split(values, two, EM, seed=0).means.tolist() == two.means.tolist()


def test_events_with_missing_values_are_split_alike():
    values, one = clouds(200, 200)
    values[np.random.default_rng(1).random(400) < 0.3, 1] = np.nan
    np.testing.assert_allclose(sorted(split(values, one, EM, seed=0).means[:, 0]), [0, 10], atol=0.3)
