"""Features of images by filters learned from their patches, as a scikit-learn transformer.

The encoder is `taproom.images.image_features`, which describes the algorithm and its sources.
"""

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from taproom.estimators.validation import seed_of, value_errors
from taproom.images.image_features import EncoderParameters, learn_encoder
from taproom.images.patches import CHANNELS

PIXELS = 256


class PatchEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learn filters from random patches of images, and encode images by their responses.

    scikit-learn's `check_estimator` generates rows of a few numbers, which are no images, so most of its checks do not
    apply. Pipelines, searches, `clone` and `set_output` work.

    Patches are standardized and whitened, filters are learned by k-means, responses are pooled over windows (Coates,
    Lee and Ng 2011). With the same int as `random_state`, the features have the same bits as those of the function
    `taproom.images.image_features.learn_encoder`.

    Args:
        n_filters: number of filters.
        n_patches: number of random patches that they are learned from.
        image_shape: (height, width, 3) of the images, if they are given as rows of pixels.
        learned_by: "spherical k-means", "k-means" or "random patches".
        max_iter: passes of k-means.
        patch_size: side of a patch, in pixels.
        standardization: "none", "de-mean", "norm 1", "whiten" or "all" of a patch.
        contrast: added to the mean square of a patch before it is divided by its root, in squared grey levels.
        zca_epsilon: added to the variances that whitening divides by.
        encoding: "relu", "two signs" or "triangle" of a response.
        offset: what a response must exceed.
        n_pools: windows a side, over which responses are averaged.
        mirrored: whether an image and its mirror image have the same features.
        power: what the means over windows are raised to.
        random_state: an int is the seed; a `RandomState` or None (NumPy's global one) draws a seed in each fit.
        n_jobs: threads, as joblib counts them; no bit of the features depends on them.

    Attributes:
        encoder_: the fitted `taproom.images.image_features.Encoder`.
        filters_: (n_filters, patch_size * patch_size * 3) float32, in the space of whitened patches, most used first.
        n_features_in_: number of pixels, if images are given as rows.

    >>> from sklearn.datasets import load_sample_images
    >>> china, flower = load_sample_images().images
    >>> crops = [image[y : y + 16, x : x + 16] for image in (china, flower) for y in (0, 99) for x in (0, 99)]
    >>> encoder = PatchEncoder(n_filters=4, n_patches=200, n_pools=2, random_state=0)
    >>> encoder.fit_transform(crops).shape  # 4 filters, 2 signs, 2 x 2 windows
    (8, 32)
    """

    def __init__(
        self,
        n_filters: int = 256,
        n_patches: int = 100_000,
        *,
        image_shape: tuple[int, int, int] | None = None,
        learned_by: str = "spherical k-means",
        max_iter: int = 10,
        patch_size: int = 5,
        standardization: str = "all",
        contrast: float = 10.0,
        zca_epsilon: float = 0.1,
        encoding: str = "two signs",
        offset: float = 0.25,
        n_pools: int = 3,
        mirrored: bool = True,
        power: float = 0.5,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_filters = n_filters
        self.n_patches = n_patches
        self.image_shape = image_shape
        self.learned_by = learned_by
        self.max_iter = max_iter
        self.patch_size = patch_size
        self.standardization = standardization
        self.contrast = contrast
        self.zca_epsilon = zca_epsilon
        self.encoding = encoding
        self.offset = offset
        self.n_pools = n_pools
        self.mirrored = mirrored
        self.power = power
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn whitening and filters.

        Args:
            X: images (n, height, width, 3), R G B, whole numbers from 0 to 255 of any dtype; with `image_shape` also
                rows (n, height * width * 3), line by line.
            y: ignored.

        Raises:
            ValueError: other shapes or values, images smaller than a patch, fewer patches than filters, or parameters
                out of range.
        """
        images = self._images(X, reset=True)
        parameters = EncoderParameters(
            filters=self.n_filters,
            patches=self.n_patches,
            learned_by=self.learned_by,
            iterations=self.max_iter,
            patch_size=self.patch_size,
            standardization=self.standardization,
            contrast=self.contrast,
            zca_epsilon=self.zca_epsilon,
            encoding=self.encoding,
            offset=self.offset,
            pools=self.n_pools,
            mirrored=self.mirrored,
            power=self.power,
        )
        with value_errors():
            self.encoder_ = learn_encoder(images, parameters, seed_of(self.random_state), self.n_jobs)
        self.filters_ = self.encoder_.filters
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The features of images, which may be of another size: (n, n_features_out) float32, by window, sign, filter.

        Raises `ValueError` as `fit` does, or for images too small for a patch in each window.
        """
        check_is_fitted(self)
        images = self._images(X, reset=False)
        with value_errors():
            return self.encoder_.features(images, self.n_jobs)

    def _images(self, X: Any, reset: bool) -> np.ndarray:
        """The images as uint8 (n, height, width, 3)."""
        if self.image_shape is None:
            images = np.asarray(X)
        else:
            shape = tuple(self.image_shape)
            given = X if np.ndim(X) == 2 else np.reshape(X, (len(X), -1))
            rows = validate_data(self, given, dtype="numeric", reset=reset)
            if rows.shape[1] != np.prod(shape):
                raise ValueError(f"X has {rows.shape[1]} columns; images of {shape} have {np.prod(shape)}")
            images = rows.reshape(-1, *shape)
        if images.ndim != 4 or images.shape[3] != CHANNELS:
            raise ValueError(
                f"X is an array of shape {images.shape}; wanted: images (n, height, width, 3), or rows of pixels "
                "together with image_shape=(height, width, 3)"
            )
        return _whole_numbers(images)

    @property
    def _n_features_out(self) -> int:
        return self.encoder_.dimensions

    def __sklearn_tags__(self) -> Tags:
        """Images are arrays of four dimensions; rows are accepted where their shape is declared."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.image_shape is not None
        return tags


def _whole_numbers(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.number) or not np.isin(images, np.arange(PIXELS)).all():
        raise ValueError("X has values that are no pixels; wanted: whole numbers from 0 to 255. Scale and round them.")
    return images.astype(np.uint8)
