"""Random numbers of compiled loops: those of a counter, so that the n-th is the same number whoever draws it.

Random bits are splitmix64 (Steele, Lea and Flood, OOPSLA 2014) of a seed and a counter, with any version of numba or
NumPy. Unsigned integers stay np.uint64 throughout, because numba turns arithmetic between them and plain integers into
floats.

numba keeps a compiled loop until the loop's own file changes. So what changes the numbers here needs another name, or
the loops that were compiled before would still draw the old ones.
"""

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def mixed(bits: np.uint64) -> np.uint64:
    """The random bits of a counter."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@njit(nogil=True, cache=True)
def below(bits: np.uint64, limit: int | np.int64) -> np.int64:
    """A uniform random integer below a limit of at most 2^32, from the upper 32 of the random bits."""
    return np.int64((bits >> np.uint64(32)) * np.uint64(limit) >> np.uint64(32))
