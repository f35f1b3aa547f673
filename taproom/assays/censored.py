"""Values beyond the range of an instrument, which it gives as the end of its range.

A detector saturates, and mass cytometry counts no ions of many cells: many values of a channel are equal. A Gaussian
becomes as narrow as it may on them, in each combination of channels, so that they take many components. Here belongs
how such values are spread before a mixture is fitted; published values stay as they were measured.
"""

import numpy as np

from taproom.assays.mixtures import checked_values

# So many equal values at an end of the range, and such a share of the channel's values, are not chance.
LEAST_COUNT, LEAST_SHARE = 10, 0.01
# The density beyond the end is taken to be that of the next values, a fourth as many.
NEXT = 4


def spread_ends(values: np.ndarray, seed: int) -> np.ndarray:
    """The values; where many are equal to the smallest or the largest of a channel, drawn from beyond that end.

    The draws are uniform over the width that as many values would have at the density of the values next to the end.
    Cytometers' software draws values around counts and around zeros for the same reason, over a width that is given. A
    channel of which more than half of the values are at an end stays: the others do not tell how far these would go.

    >>> measured = np.append(np.zeros(20), np.arange(1.0, 31.0))[:, None]
    >>> spread = spread_ends(measured, seed=0)
    >>> bool(spread.min() > -20), bool((spread[:20] < 0).all()), bool((spread[20:] == measured[20:]).all())
    (True, True, True)

    Args:
        values: (events, channels) float64, NaN where missing.
        seed: of the draws; the same arguments give the same values.

    Raises:
        InputError: values that are infinite, or another shape.
    """
    values = checked_values(values)
    spread = values.copy()
    rng = np.random.default_rng(seed)
    for column, given in zip(spread.T, values.T, strict=True):
        for outwards in (-1.0, 1.0):
            within = np.nanmax(outwards * given, initial=-np.inf) - outwards * given
            ends, count = np.flatnonzero(within == 0), np.count_nonzero(within >= 0)
            if max(LEAST_COUNT, LEAST_SHARE * count) <= len(ends) <= count / 2:
                others = np.sort(within[within > 0])
                reach = others[len(ends) // NEXT]
                width = reach * len(ends) / np.searchsorted(others, reach, side="right")
                column[ends] += outwards * rng.uniform(0.0, width, len(ends))
    return spread
