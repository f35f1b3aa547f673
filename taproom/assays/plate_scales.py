"""The scales of channels on plates that were measured on different days: a shift and a factor for each channel.

The same cells have other values on another day: lasers age, detectors get another voltage, dyes another batch. Here
belongs how a plate's scale is found and judged, and how events are put on the scale of the reference plate, so that
classes that were learned from one plate can be compared with events of another.

A mixture of Gaussians describes the reference plate. On another plate, events y are those of the reference plate after
z = shift + scale * y, channel by channel, but in other shares: each component may have any weight, 0 included, because
a plate may lack a population or have more of it. Shift, scale and weights are those of maximum likelihood, by EM: the
E-step is that of any mixture, and the M-step for shift and scale has one minimum, of a convex function of 2 d numbers,
found by Newton's method. A wide component with a fixed weight takes events that the reference plate has none of. EM
begins with wide components, which become as wide as they are in `WIDTHS` steps, so that a plate that is far off does
not end where a wrong population is nearest (deterministic annealing: Ueda and Nakano, Neural Networks 11, 1998). That
may stretch a single population over all those of the reference. So EM also begins with the plate as it is, without
wide components, and the likelier end counts.

Sources: Pyne, Lee, Wang, Irish, Tamayo, Nazaire, Duong, Ng, Hafler, Levy, Nolan, Mesirov and McLachlan, Joint modeling
and registration of cell populations in cohorts of high-dimensional flow cytometric data, PLoS ONE 9, 2014: a template
mixture of which each sample has a shifted and scaled copy, by EM.

Whether a scale is of use is judged on wells that it was not found on (`PlateScale.gain`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from taproom.assays.class_shares import shares
from taproom.assays.expectation_maximization import EmParameters, expectation, fit_all
from taproom.assays.held_out_wells import FOLDS
from taproom.assays.mixture_starts import standardization
from taproom.assays.mixtures import Mixture, blocks_of, checked_values
from taproom.blas import blas_threads
from taproom.errors import InputError
from taproom.sources.events import EventMatrix

# Standard deviations of the components, relative to what they are, in one round of EM after the other.
WIDTHS = (4.0, 2.0, 1.0)
# Of the events, what counts as unlike all of the reference plate; its standard deviations, in those of all events.
OUTLIERS = 0.05
OUTLIER_WIDTH = 3.0
# Of each round; EM ends when the mean log density rises by less than the tolerance, in nats.
ITERATIONS = 200
TOLERANCE = 1e-5
NEWTON_STEPS = 50
# A plate with fewer events has no scale of its own.
LEAST_EVENTS = 200
# Of the reference plate's mixture, on standardised channels.
REGULARIZATION = 1e-3


@dataclass(frozen=True)
class ScaleParameters:
    """How scales are found, and which of them are used.

    Attributes:
        reference: name of the plate whose scale all others are put on; empty: the one with the most labelled wells, of
            equals the one with the most events, then the first by name.
        components: of the mixture that describes the reference plate; fewer if it has too few events.
        events: of a plate, at most so many, the same number of each well.
        least_gain: a scale is applied if it raises the log density of wells that it was not found on by at least so
            much, in nats per event.
        seed: of the draws and of the mixture's start.
    """

    reference: str = ""
    components: int = 12
    events: int = 10_000
    least_gain: float = 0.5
    seed: int = 0


@dataclass(frozen=True, eq=False)
class PlateScale:
    """What puts a plate's events on the scale of the reference plate: shift + scale * value.

    Attributes:
        plate: its name.
        shift, scale: (d,) float64; 0 and 1 for the reference plate, for channels that do not vary on both plates, and
            for plates with fewer than `LEAST_EVENTS` events.
        off: (d,) float64, root mean square of what this changes the plate's values by, in standard deviations of the
            reference plate's.
        gain: mean log density of events with their scale less that without, in nats. The scale is that of the plate's
            other wells (four fifths of them where there are more than five; of its other events where there is one
            well), and components have the weights that suit the events best. None where no scale was found.
        unlike: share of the events that are unlike all of the reference plate, after the scale; None likewise.
        reference: whether this is the reference plate.
        applied: whether the gain is large enough.
    """

    plate: str
    shift: np.ndarray
    scale: np.ndarray
    off: np.ndarray
    gain: float | None
    unlike: float | None
    reference: bool
    applied: bool


def plate_scales(matrix: EventMatrix, parameters: ScaleParameters | None = None) -> list[PlateScale]:
    """The scale of each plate, in alphabetical order of their names.

    Raises:
        InputError: the reference is no plate, parameters are out of range, or a fit fails as `fit_all` does.
    """
    parameters = parameters or ScaleParameters()
    if parameters.components < 1 or parameters.events < LEAST_EVENTS or not parameters.least_gain >= 0:
        raise InputError(
            f"{parameters} cannot be used; wanted: 1 component, {LEAST_EVENTS} events, a gain of 0 or more."
        )
    plates = matrix.rows["plate"].to_numpy(zero_copy_only=False)
    names = sorted(set(plates.tolist()))
    reference = reference_plate(matrix, parameters.reference)
    drawn = {name: _drawn(matrix.wells, plates == name, parameters) for name in names}
    with blas_threads():
        return _scales(matrix, drawn, reference, parameters)


def reference_plate(matrix: EventMatrix, wanted: str = "") -> str:
    """The plate whose scale all others are put on, as `ScaleParameters.reference` says.

    Raises `InputError` where there is no plate of that name.
    """
    plates = matrix.rows["plate"].to_numpy(zero_copy_only=False)
    names = sorted(set(plates.tolist()))
    if wanted and wanted not in names:
        raise InputError(f"There is no plate {wanted!r} to take as the reference; wanted: one of {names}.")
    labelled = pa.compute.is_valid(matrix.rows["label"]).to_numpy()
    counts = {
        name: (len(set(matrix.wells[(plates == name) & labelled])), int((plates == name).sum())) for name in names
    }
    return wanted or min(names, key=lambda name: (-counts[name][0], -counts[name][1], name))


def find_scale(values: np.ndarray, reference: Mixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The shift and the scale that make events those of a reference, in any shares of its components.

    >>> reference = Mixture([0.5, 0.5], [[0.0], [6.0]], [[[1.0]], [[1.0]]])
    >>> values = np.random.default_rng(0).normal(size=(999, 1))
    >>> values[::3] += 6
    >>> shift, scale, _ = find_scale((values - 1) / 2, reference)
    >>> shift.round().tolist(), scale.round().tolist()
    ([1.0], [2.0])

    Args:
        values: (n, d) float64, NaN where missing, no channel constant.
        reference: in the units that the events are to have.

    Returns:
        shift (d,) and scale (d,), of shift + scale * values, and the mean log density of the values after each
        iteration of the last round, in nats. That never falls, up to rounding.

    Raises:
        InputError: no events, other channels than the reference's, infinite values, or a channel that is constant or
            missing in all events.
    """
    values = checked_values(values, reference)
    mean, deviation = _mean_and_deviation(reference)
    offset, spread = standardization((values - mean) / deviation)
    standard = (values - mean) / deviation
    template = reference.scaled(-mean / deviation, 1 / deviation)
    # The plate as it is may be likelier than where the rounds end: it may lack the populations that others have.
    ends = [
        _annealed(standard, template, -offset / spread, 1 / spread),
        _round(standard, template, np.zeros(len(mean)), np.ones(len(mean))),
    ]
    shift, scale, log_densities = max(ends, key=lambda end: end[2][-1])
    return mean + deviation * shift - scale * mean, scale, log_densities - np.log(deviation).sum()


def aligned(matrix: EventMatrix, scales: pa.Table) -> EventMatrix:
    """The same events on the reference plate's scale.

    `scales` is the table `plate_scales`; channels that it does not have stay as they are. Raises `InputError` where it
    lacks a plate.
    """
    plates = matrix.rows["plate"].to_numpy(zero_copy_only=False)
    values = matrix.values.copy()
    for plate in set(plates.tolist()):
        shift, scale = shift_and_scale(scales, plate, matrix.channels)
        if (shift != 0).any() or (scale != 1).any():
            values[plates == plate] = shift + scale * values[plates == plate]
    return replace(matrix, values=values)


def shift_and_scale(scales: pa.Table, plate: str, channels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What is applied to the channels of a plate, (d,) each, from the table `plate_scales`: 0 and 1 if nothing is.

    Raises `InputError` where the table has no such plate.
    """
    rows = [row for row in scales.to_pylist() if row["plate"] == plate]
    if not rows:
        known = sorted(set(scales["plate"].to_pylist()))
        raise InputError(f"plate_scales has no plate {plate!r}; wanted: one of {known}. Or make the table again.")
    found = {row["channel"]: (row["shift"], row["scale"]) for row in rows if row["applied"]}
    shift, scale = np.array([found.get(name, (0.0, 1.0)) for name in channels]).T
    return shift, scale


def _scales(
    matrix: EventMatrix, drawn: dict[str, np.ndarray], reference: str, parameters: ScaleParameters
) -> list[PlateScale]:
    template, varies = None, _varying(matrix.values[drawn[reference]])
    found = []
    for plate, rows in drawn.items():
        used = varies & _varying(matrix.values[rows])
        if plate == reference or len(rows) < LEAST_EVENTS or not used.any():
            found.append(_unscaled(plate, matrix, plate == reference))
            continue
        if template is None:
            template = _template(matrix.values[drawn[reference]][:, varies], parameters)
        of_plate = template.marginal(np.flatnonzero(used[varies]).tolist())
        found.append(_judged(plate, matrix, rows, used, of_plate, parameters))
    return found


def _unscaled(plate: str, matrix: EventMatrix, is_reference: bool) -> PlateScale:
    zeros = np.zeros(len(matrix.channels))
    return PlateScale(plate, zeros, zeros + 1, zeros, None, None, is_reference, False)


def _judged(
    plate: str,
    matrix: EventMatrix,
    rows: np.ndarray,
    used: np.ndarray,
    template: Mixture,
    parameters: ScaleParameters,
) -> PlateScale:
    values = matrix.values[rows][:, used]
    gains = np.concatenate([_gains(values[~fold], values[fold], template) for fold in _folds(matrix.wells[rows])])
    own_shift, own_scale, _ = find_scale(values, template)
    shift, scale, off = np.zeros(len(used)), np.ones(len(used)), np.zeros(len(used))
    shift[used], scale[used] = own_shift, own_scale
    changes = own_shift + (own_scale - 1) * values
    off[used] = np.sqrt(np.nanmean(changes**2, axis=0)) / _mean_and_deviation(template)[1]
    unlike = shares(_log_densities(own_shift + own_scale * values, template))[-1]
    gain = float(gains.mean())
    return PlateScale(plate, shift, scale, off, gain, float(unlike), False, gain >= parameters.least_gain)


def _gains(found_on: np.ndarray, judged: np.ndarray, template: Mixture) -> np.ndarray:
    """What the scale of some events changes the log density of each of others by, (n,)."""
    shift, scale, _ = find_scale(found_on, template)
    stretched = np.log(scale) @ (~np.isnan(judged)).T
    with_scale, without = (_log_density(values, template) for values in (shift + scale * judged, judged))
    return with_scale + stretched - without


def _log_density(values: np.ndarray, template: Mixture) -> np.ndarray:
    """The log density of each event, (n,), with the weights of components that suit the events best."""
    from scipy.special import logsumexp

    own = _log_densities(values, template)
    return logsumexp(own, axis=1, b=shares(own))


def _log_densities(values: np.ndarray, template: Mixture) -> np.ndarray:
    """The log density of each event under each component, (n, K + 1), the last one that of outliers."""
    wide = _with_outliers(template)
    even = Mixture(np.full(wide.components, 1 / wide.components), wide.means, wide.covariances)
    return even.log_joint(values) + np.log(wide.components)


def _annealed(
    values: np.ndarray, template: Mixture, shift: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rounds of EM with ever narrower components: shift, scale, and the mean log densities of the last round."""
    for width in WIDTHS:
        wide = Mixture(template.weights, template.means, template.covariances * width**2)
        shift, scale, log_densities = _round(values, wide, shift, scale)
    return shift, scale, log_densities


def _round(
    values: np.ndarray, template: Mixture, shift: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A round of EM: shift, scale, and the mean log density after each iteration."""
    wide, blocks = _with_outliers(template), list(blocks_of(values))
    weights, log_densities = wide.weights, []
    while True:
        here = Mixture(weights, wide.means, wide.covariances).scaled(-shift / scale, 1 / scale)
        moments, log_likelihood = expectation(blocks, here)
        log_densities.append(log_likelihood / len(values))
        rise = log_densities[-1] - log_densities[-2] if len(log_densities) > 1 else np.inf
        if rise < TOLERANCE or len(log_densities) > ITERATIONS:
            return shift, scale, np.array(log_densities)
        inside = moments.counts[:-1].sum()
        if inside > 0:
            weights = np.append((1 - OUTLIERS) * moments.counts[:-1] / inside, OUTLIERS)
        more_shift, more_scale = _maximization(
            moments.counts, moments.firsts * scale, moments.seconds * np.outer(scale, scale), wide
        )
        shift, scale = more_shift + more_scale * shift, more_scale * scale


def _maximization(
    counts: np.ndarray, firsts: np.ndarray, seconds: np.ndarray, template: Mixture
) -> tuple[np.ndarray, np.ndarray]:
    """The shift a and the scale b, (d,) each, that maximise the expected log-likelihood of a + b * z.

    With the precisions P_k and responsibilities r, that is the minimum over (a, b) of the convex function
    sum r (a + b * z - mean_k)' P_k (a + b * z - mean_k) / 2 - n sum(log b), which is quadratic but for the logarithm.

    Args:
        counts: (K,) float64, sums of the responsibilities.
        firsts: (K, d) float64, sums of the deviations from the components' means.
        seconds: (K, d, d) float64, sums of their products.
        template: the components.
    """
    means, channels, events = template.means, template.channels, counts.sum()
    precisions = np.linalg.inv(template.covariances)
    sums = firsts + counts[:, None] * means
    crossed = means[:, :, None] * firsts[:, None, :]
    products = seconds + crossed + crossed.transpose(0, 2, 1)
    products += counts[:, None, None] * means[:, :, None] * means[:, None, :]
    curved = np.zeros((2 * channels, 2 * channels))
    curved[:channels, :channels] = np.einsum("k,kde->de", counts, precisions)
    curved[:channels, channels:] = np.einsum("kde,ke->de", precisions, sums)
    curved[channels:, :channels] = curved[:channels, channels:].T
    curved[channels:, channels:] = np.einsum("kde,kde->de", precisions, products)
    pulled = np.einsum("kde,ke->kd", precisions, means)
    linear = np.concatenate([counts @ pulled, np.einsum("kd,kd->d", sums, pulled)])

    def loss(found: np.ndarray) -> float:
        return 0.5 * found @ curved @ found - linear @ found - events * np.log(found[channels:]).sum()

    found = np.repeat([0.0, 1.0], channels)
    scales = np.arange(channels, 2 * channels)
    for _ in range(NEWTON_STEPS):
        slope, curvature = curved @ found - linear, curved.copy()
        slope[channels:] -= events / found[channels:]
        curvature[scales, scales] += events / found[channels:] ** 2
        step = -np.linalg.solve(curvature, slope)
        fall = -slope @ step
        if fall < 1e-12 * events:
            break
        while (found[channels:] + step[channels:] <= 0).any() or loss(found + step) > loss(found) - 1e-4 * fall:
            step, fall = step / 2, fall / 2
            if fall < 1e-12 * events:
                return found[:channels], found[channels:]
        found = found + step
    return found[:channels], found[channels:]


def _with_outliers(template: Mixture) -> Mixture:
    """The mixture with one more component, the last, as wide as `OUTLIER_WIDTH` says and of the weight `OUTLIERS`."""
    mean, deviation = _mean_and_deviation(template)
    wide = np.diag((OUTLIER_WIDTH * deviation) ** 2)
    return Mixture(
        np.append((1 - OUTLIERS) * template.weights, OUTLIERS),
        np.vstack([template.means, mean]),
        np.concatenate([template.covariances, [wide]]),
    )


def _mean_and_deviation(mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    mean, covariance = mixture.moments()
    return mean, np.sqrt(np.diagonal(covariance))


def _template(values: np.ndarray, parameters: ScaleParameters) -> Mixture:
    """The mixture that describes the reference plate."""
    offset, spread = standardization(values)
    components = max(1, min(parameters.components, len(values) // (10 * (values.shape[1] + 1))))
    em = EmParameters(tolerance=1e-4, regularization=REGULARIZATION)
    (fit,) = fit_all((values - offset) / spread, [(components, parameters.seed)], em, n_jobs=1)
    return fit.mixture.scaled(offset, spread).ordered()


def _drawn(wells: np.ndarray, of_plate: np.ndarray, parameters: ScaleParameters) -> np.ndarray:
    """Places of events of a plate, ascending: as many of each well as there are, but no more than an even share."""
    names = np.unique(wells[of_plate])
    chosen = [
        np.random.default_rng(parameters.seed).permutation(np.flatnonzero(of_plate & (wells == name))) for name in names
    ]
    most = max(1, parameters.events // len(names))
    return np.sort(np.concatenate([rows[:most] for rows in chosen]))


def _folds(wells: np.ndarray) -> Iterator[np.ndarray]:
    """Masks (n,) of the events of some wells, each well in one of up to `FOLDS`; of one well, of every fifth event."""
    names, well_of = np.unique(wells, return_inverse=True)
    fold_of = (well_of if len(names) > 1 else np.arange(len(wells))) % FOLDS
    for fold in np.unique(fold_of):
        yield fold_of == fold


def _varying(values: np.ndarray) -> np.ndarray:
    """Which channels have two values at least, (d,) bool."""
    missing = np.isnan(values)
    highest, lowest = np.where(missing, -np.inf, values).max(axis=0), np.where(missing, np.inf, values).min(axis=0)
    return highest > lowest
