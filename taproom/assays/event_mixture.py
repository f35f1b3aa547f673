"""From events to a mixture of Gaussians and its populations, and back from the mixture's table.

Here belongs what joins the parts: values beyond the range of the instrument (`taproom.assays.censored`),
standardization, the choice of the number of components (`taproom.assays.mixture_sizes`), EM
(`taproom.assays.expectation_maximization`) and populations (`taproom.assays.populations`). All results are in the units
of the events.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from taproom.assays.censored import spread_ends
from taproom.assays.expectation_maximization import EmParameters, fit_there
from taproom.assays.mixture_sizes import (
    SizeFit,
    SizeParameters,
    best_held_out,
    drawn_events,
    fit_sizes,
    split_further,
)
from taproom.assays.mixture_starts import standardization, start_around
from taproom.assays.mixtures import Mixture
from taproom.assays.populations import merge
from taproom.compute import Made, derived, made_here
from taproom.errors import InputError
from taproom.sources.events import EventMatrix, as_lists, from_lists


@dataclass(frozen=True)
class Assigned:
    """Where events belong: most likely component and population (events,), responsibilities (events, components)."""

    component: np.ndarray
    population: np.ndarray
    responsibilities: np.ndarray
    log_density: np.ndarray


@dataclass(frozen=True)
class EventMixture:
    """A mixture fitted to events, with its history (start first) and the fits that its size was chosen from.

    `populations` (components,) int32 numbers the population of each component; components are the same ones, in the
    same order, in all of `history`. `log_likelihoods` (iterations + 1,) are of all events, in nats.
    """

    mixture: Mixture
    populations: np.ndarray
    history: tuple[Mixture, ...]
    log_likelihoods: np.ndarray
    converged: bool
    sizes: list[SizeFit]
    chosen: SizeFit

    def size_rows(self) -> list[dict]:
        """The fits that the size was chosen from, as rows."""
        return [
            {
                **asdict(each),
                "held_out_log_density": None if np.isnan(each.held_out_log_density) else each.held_out_log_density,
                "chosen": each == self.chosen,
            }
            for each in self.sizes
        ]

    def assigned(self, values: np.ndarray) -> Assigned:
        """Where each of `values` (events, channels) belongs."""
        responsibilities = self.mixture.responsibilities(values)
        of_population = responsibilities @ np.eye(self.populations.max() + 1)[self.populations]
        return Assigned(
            component=responsibilities.argmax(axis=1),
            population=of_population.argmax(axis=1),
            responsibilities=responsibilities,
            log_density=self.mixture.log_density(values),
        )


def fit_events(
    matrix: EventMatrix | Made[EventMatrix],
    sizes: SizeParameters,
    em: EmParameters,
    components: int | None,
    level: float,
    valley: float,
    seed: int,
    n_jobs: int | None = None,
) -> EventMixture:
    """Fit all events, with as many components as make held-out events likeliest, or with `components`.

    The numbers of `sizes` are tried, and then, unless `components` is given, components of the best fit are split. EM
    on all events starts from the centres of what was found. Values at the ends of a channel's range are spread for the
    fits, not for `assigned`. Mixtures are fitted to a `Made` matrix on a cluster where there is one; splits are made on
    this machine. Components become populations with the `level` and the `valley` of `taproom.assays.populations.merge`.

    Raises `InputError` and `ComputeError` as `fit_all` does: constant channels, fewer events than components.
    """
    made = derived(matrix, _spread, seed)
    events = made_here(made)
    offset, scale = standardization(events, made_here(matrix).channels)
    values = derived(made, _standardised, offset, scale)
    tried = sizes if components is None else SizeParameters((components,), sizes.restarts, sizes.events)
    found = fit_sizes(values, tried, em, seed, n_jobs)
    chosen = best_held_out(list(found))
    if components is None:
        drawn, held_out = drawn_events(values, sizes.events, seed)
        found |= split_further(found[chosen], chosen, made_here(drawn), held_out, em, n_jobs)
        chosen = best_held_out(list(found))
    # From the centres alone: the trace shows how EM finds the rest, as the deck's pictures do.
    start = start_around(made_here(values), found[chosen].means, em.regularization)
    whole = fit_there(values, start, em, keep_history=True, n_jobs=n_jobs)
    order = whole.mixture.order()
    mixture = whole.mixture.take(order).scaled(offset, scale)
    return EventMixture(
        mixture=mixture,
        populations=merge(mixture, events, level, valley),
        history=tuple(each.take(order).scaled(offset, scale) for each in whole.history),
        # A density per unit of the events, not per standard deviation: only what was measured has units.
        log_likelihoods=whole.log_likelihoods - np.log(scale) @ (~np.isnan(events)).sum(axis=0),
        converged=whole.converged,
        sizes=list(found),
        chosen=chosen,
    )


def _spread(matrix: EventMatrix, seed: int) -> np.ndarray:
    return spread_ends(matrix.values, seed)


def _standardised(values: np.ndarray, offset: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return (values - offset) / scale


def separating_channels(mixture: Mixture, count: int = 2) -> list[int]:
    """The channels in which components lie farthest apart, against all variance in the channel; most first."""
    centre = mixture.weights @ mixture.means
    between = mixture.weights @ (mixture.means - centre) ** 2
    within = mixture.weights @ np.diagonal(mixture.covariances, axis1=1, axis2=2)
    return np.argsort(-between / (between + within), kind="stable")[:count].tolist()


def shown_channels(matrix: EventMatrix, mixture: Mixture, names: Sequence[str], count: int = 2) -> list[int]:
    """Places of the channels `names`, of which there must be `count`; of none the most separating ones.

    Raises `InputError` for another number of names, or one that is no channel.
    """
    if names and len(names) != count:
        wanted = {1: "one", 2: "two"}.get(count, count)
        raise InputError(f"The channels {list(names)} were given; wanted: {wanted}, or none to have them chosen.")
    return matrix.places(names) or separating_channels(mixture, count)


def pooled(mixtures: Sequence[Mixture]) -> Mixture:
    """All mixtures as one, in which each weighs the same."""
    return Mixture(
        np.concatenate([each.weights for each in mixtures]) / len(mixtures),
        np.concatenate([each.means for each in mixtures]),
        np.concatenate([each.covariances for each in mixtures]),
    )


def gaussian_columns(mixture: Mixture) -> dict[str, pa.Array]:
    """The columns weight, mean and covariance (row by row) of a mixture, a row a component."""
    return {
        "weight": pa.array(mixture.weights),
        "mean": as_lists(mixture.means),
        "covariance": as_lists(mixture.covariances.reshape(mixture.components, -1)),
    }


def mixture_from(rows: pa.Table) -> Mixture:
    """The mixture of which `gaussian_columns` made `rows`."""
    channels = len(rows["mean"][0])
    return Mixture(
        weights=rows["weight"].to_numpy(),
        means=from_lists(rows["mean"], channels),
        covariances=from_lists(rows["covariance"], channels**2).reshape(-1, channels, channels),
    )
