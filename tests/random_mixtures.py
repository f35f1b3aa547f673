"""Random mixtures of Gaussians, events drawn from them, and their densities from the formula."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from taproom.assays.mixtures import Mixture

SEEDS = st.integers(0, 2**32 - 1)


FEW = settings(max_examples=25, deadline=None)


def random_mixture(rng, components, channels, spread=2.0):
    """Components of different weight, place, shape and size."""
    roots = rng.normal(size=(components, channels, channels)) * rng.uniform(0.3, 1.5, (components, 1, 1))
    return Mixture(
        rng.dirichlet(np.full(components, 3.0)),
        rng.normal(size=(components, channels)) * spread,
        roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(channels),
    )


def events_of(rng, mixture, count):
    of = rng.choice(mixture.components, count, p=mixture.weights)
    roots = np.linalg.cholesky(mixture.covariances)
    return mixture.means[of] + np.einsum("nij,nj->ni", roots[of], rng.normal(size=(count, mixture.channels)))


def with_missing(rng, values, share):
    values = values.copy()
    values[rng.random(values.shape) < share] = np.nan
    return values


def problem(seed, components, channels, count, share=0.0):
    """Events of a random mixture, and a start that is near none of its components in particular."""
    rng = np.random.default_rng(seed)
    values = with_missing(rng, events_of(rng, random_mixture(rng, components, channels), count), share)
    return values, random_mixture(rng, components, channels)


def literal_log_joint(mixture, values):
    """Each event on its own, by SciPy's density of its observed channels."""
    joint = np.tile(np.log(mixture.weights), (len(values), 1))
    for event, row in enumerate(values):
        seen = np.flatnonzero(~np.isnan(row))
        for k in range(mixture.components if seen.size else 0):
            density = multivariate_normal(mixture.means[k, seen], mixture.covariances[k][np.ix_(seen, seen)])
            joint[event, k] += density.logpdf(row[seen])
    return joint


def assert_close(one, other, rtol=1e-9):
    for name in ("weights", "means", "covariances"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol, atol=rtol, err_msg=name)
