"""Maps up to shifts, rotations, reflections and scalings: their canonical form, and alignment with another map.

Here belongs what changes the coordinates of a map without changing which item is near which.
"""

import numpy as np


def canonical(coordinates: np.ndarray) -> np.ndarray:
    """The same map in a form that does not depend on its shift, rotation, reflection and scale.

    Centred; axes are the principal ones, largest variance first; on each axis the first entry of at least half the
    largest size is positive; the root mean square distance from the centre is 1 (unless all items are in one place).

    >>> canonical(np.array([[5.0, 1.0], [5.0, 3.0], [5.0, 8.0]])).round(3) + 0.0
    array([[ 1.019,  0.   ],
           [ 0.34 ,  0.   ],
           [-1.359,  0.   ]])

    Args:
        coordinates: (n, dimension) float64.
    """
    standard = standardized(coordinates)
    _, axes = np.linalg.eigh(standard.T @ standard)
    rotated = standard @ axes[:, ::-1]
    sizes = np.abs(rotated)
    first_large = np.argmax(sizes >= sizes.max(axis=0) / 2, axis=0)
    signs = np.where(rotated[first_large, np.arange(rotated.shape[1])] < 0, -1.0, 1.0)
    return rotated * signs


def aligned(coordinates: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The same map shifted, rotated and reflected to lie as close as possible to another one (Procrustes).

    Its root mean square distance from its centre is 1, whatever the scale of the other: fitting the scale as well would
    shrink a map that is aligned again and again.

    Args:
        coordinates: (n, dimension) float64.
        reference: (n, dimension) float64; rows of NaN are items that it does not have. One row must have a place.
    """
    shared = ~np.isnan(reference[:, 0])
    standard = standardized(coordinates)
    centre, wanted_centre = standard[shared].mean(axis=0), reference[shared].mean(axis=0)
    left, _, right = np.linalg.svd((standard[shared] - centre).T @ (reference[shared] - wanted_centre))
    return (standard - centre) @ (left @ right) + wanted_centre


def standardized(coordinates: np.ndarray) -> np.ndarray:
    """Centred, with a root mean square distance of 1 from the centre."""
    centred = coordinates - coordinates.mean(axis=0)
    radius = np.sqrt((centred**2).sum(axis=1).mean())
    return centred / radius if radius > 0 else centred
