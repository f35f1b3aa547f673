"""The numerics that other libraries lack, as scikit-learn estimators; they need the extra `models`.

Here belong estimators with scikit-learn's interface, one module each, over the functions of the subjects. Computation
does not: it is in `taproom.maps`, `taproom.assays` and `taproom.images`, where the products use it too.
"""

from taproom.estimators.cosine_neighbors import CosineNeighborsTransformer
from taproom.estimators.gaussian_mixture import GaussianMixtureWithMissingValues
from taproom.estimators.ordinal_map import OrdinalMap
from taproom.estimators.patch_encoder import PatchEncoder
from taproom.estimators.prior_shift import PriorShiftClassifier

__all__ = [
    "CosineNeighborsTransformer",
    "GaussianMixtureWithMissingValues",
    "OrdinalMap",
    "PatchEncoder",
    "PriorShiftClassifier",
]
