"""Hand-made features of images: pixels, histograms of oriented gradients, and visual words of SIFT and textons.

Here belong the features of the deck's slide "Some hand-created image features" that OpenCV has the parts for (HoG,
SIFT, textons), and plain pixels to compare them with. They are compared in `taproom.images.feature_baselines`; learned
filters are in `taproom.images.image_features`.

The slide has three more. No maintained library that we found has spin images of the intensity domain or RIFT for
pictures (the Point Cloud Library has both for points in space). GLOH is in ArrayFire alone, at key points of its own
choice, which a small picture has few of; that is no Python package that brings its library along.

Sources: slide "Some hand-created image features" of the lecture deck (Jamieson, CSE546 2017). Dalal and Triggs,
Histograms of Oriented Gradients for Human Detection, 2005. Lowe, Distinctive Image Features from Scale-Invariant
Keypoints, 2004; Arandjelovic and Zisserman, Three things everyone should know to improve object retrieval, 2012 (the
square root of SIFT). Csurka et al., Visual Categorization with Bags of Keypoints, 2004; Lazebnik, Schmid and Ponce,
Beyond Bags of Features, 2006 (words counted part by part). Leung and Malik, Representing and Recognizing the Visual
Appearance of Materials using Three-dimensional Textons, 2001; Varma and Zisserman, A Statistical Approach to Texture
Classification from Single Images, 2005 (Weber's law).

Accuracies below are of 2,000 images of CIFAR-10's test split after 4,000 training images: the constants were settled on
images that the table `feature_baselines` may draw again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from taproom.blas import one_thread
from taproom.errors import InputError
from taproom.images.patches import check_pixels

# Larger images are made smaller, or plain pixels would need a Gram matrix that does not fit in memory.
SIDE = 32
# Smaller ones have no pixel for each of HoG's cells.
LEAST_SIDE = 8
BLOCK_IMAGES = 64
HOG_CELLS, HOG_BLOCK_CELLS, HOG_BINS = 8, 2, 9
# SIFT sees images twice as large, so that its own blur leaves something of 32 pixels: 0.45 instead of 0.37. Its patches
# are of 12 pixels before that, and begin at every fourth.
SIFT_ENLARGED, SIFT_GRID, SIFT_SIZE, SIFT_LENGTH = 2, 8, 4.0, 128
SIFT_WORDS = 256
# A second wavelength takes twice as long, and 3 and 6 pixels together are no better than 4.
GABOR_ORIENTATIONS, GABOR_WAVELENGTH, GABOR_SIDE = 6, 4.0, 7
WEBER_CONTRAST = 0.03
TEXTONS = 128
# What words are learned from, and how: more of either changes no accuracy by more than its error.
LEARNED_FROM_IMAGES, LEARNED_FROM, KMEANS_ITERATIONS = 500, 20_000, 10


OfImages = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class HandMade:
    """Features that were learned from images, or need no learning.

    Attributes:
        height, width: of the images that they are for.
        of_block: features (b, D) float32 of some images (b, height, width, 3) uint8, each by itself.
    """

    height: int
    width: int
    of_block: OfImages

    def features(self, images: np.ndarray, workers: int | None = None) -> np.ndarray:
        """Features (n, D) float32 of images (n, height, width, 3) uint8.

        `workers` are threads as joblib counts them; they never change a bit of the result. Raises `InputError` for
        images of another size.
        """
        check_images(images)
        if images.shape[1:3] != (self.height, self.width):
            raise InputError(
                f"images of {images.shape[1]} x {images.shape[2]} pixels were given, and features for "
                f"{self.height} x {self.width}; wanted images of that size"
            )
        return np.concatenate(_by_blocks(self.of_block, images, workers))


def check_images(images: np.ndarray) -> None:
    """Raise `InputError` unless there are RGB images that are large enough for hand-made features."""
    check_pixels(images)
    height, width = images.shape[1:3]
    if min(height, width) < LEAST_SIDE:
        raise InputError(
            f"images of {height} x {width} pixels are too small for hand-made features; wanted at least "
            f"{LEAST_SIDE} x {LEAST_SIDE}"
        )


def learn(features: str, images: np.ndarray, seed: int = 0, workers: int | None = None) -> HandMade:
    """Learn features from training images, which need no labels.

    >>> images = np.zeros((2, 8, 8, 3), np.uint8)
    >>> learn("pixels", images).features(images).shape
    (2, 192)

    Args:
        features: one of `FEATURES`.
        images: (n, height, width, 3) uint8; those larger than 32 x 32 are made smaller, by averages over areas.
        seed: of which images and places words are learned from, and of k-means.
        workers: threads as joblib counts them; they never change a bit of the result.

    Raises:
        InputError: unknown features, no images, images of another kind or too small, or too few images to find the
            visual words in.
    """
    if features not in FEATURES:
        raise InputError(f"features are {features!r}; wanted one of {', '.join(FEATURES)}")
    check_images(images)
    height, width = images.shape[1:3]
    shown = min(height, SIDE), min(width, SIDE)
    random = np.random.default_rng(seed)
    some = np.sort(random.permutation(len(images))[:LEARNED_FROM_IMAGES])
    with _one_thread_each():
        of_block = FEATURES[features](reduced(images[some], *shown), seed, workers)
    return HandMade(height, width, lambda block: of_block(reduced(block, *shown)))


def reduced(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Images (n, h, w, 3) uint8 at the size (n, height, width, 3), no larger than theirs, by averages over areas."""
    import cv2

    if images.shape[1:3] == (height, width):
        return images
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in images])


def _pixels(_images: np.ndarray, _seed: int, _workers: int | None) -> OfImages:
    """Red, green and blue of each pixel, from 0 to 1."""
    return lambda block: block.reshape(len(block), -1).astype(np.float32) / 255


def _hog(images: np.ndarray, _seed: int, _workers: int | None) -> OfImages:
    """Histograms of oriented gradients: 8 x 8 cells, normalized in blocks of 2 x 2 that overlap by one.

    Of each pixel, the gradient of the channel where it is largest counts. Cells have whole pixels: up to seven rows and
    columns at the border are not seen.
    """
    import cv2

    height, width = images.shape[1:3]
    cell = width // HOG_CELLS, height // HOG_CELLS
    block = cell[0] * HOG_BLOCK_CELLS, cell[1] * HOG_BLOCK_CELLS
    window = cell[0] * HOG_CELLS, cell[1] * HOG_CELLS
    top, left = (height - window[1]) // 2, (width - window[0]) // 2
    hog = cv2.HOGDescriptor(window, block, cell, cell, HOG_BINS)

    def of_block(block: np.ndarray) -> np.ndarray:
        seen = block[:, top : top + window[1], left : left + window[0]]
        return np.stack([np.ravel(hog.compute(np.ascontiguousarray(image))) for image in seen])

    return of_block


def _sift_words(images: np.ndarray, seed: int, workers: int | None) -> OfImages:
    """How often the visual words of dense SIFT are in each quarter of an image."""
    return _bag_of_words(_sift, images, SIFT_WORDS, seed, workers)


def _textons(images: np.ndarray, seed: int, workers: int | None) -> OfImages:
    """How often textons, the common responses to a bank of Gabor filters, are in each quarter of an image."""
    return _bag_of_words(_gabor, images, TEXTONS, seed, workers)


# By what they take, the quickest first.
FEATURES: dict[str, Callable[[np.ndarray, int, int | None], OfImages]] = {
    "pixels": _pixels,
    "hog": _hog,
    "sift": _sift_words,
    "textons": _textons,
}


def _sift(images: np.ndarray) -> np.ndarray:
    """The square roots of SIFT descriptors that sum to 1, on a grid, upright: (n, 8, 8, 128) float32."""
    import cv2

    height, width = (SIFT_ENLARGED * side for side in images.shape[1:3])
    places = (np.arange(SIFT_GRID) + 0.5) / SIFT_GRID
    size = SIFT_SIZE * min(height, width) / (SIFT_ENLARGED * SIDE)
    points = [cv2.KeyPoint(x * width - 0.5, y * height - 0.5, size, 0.0) for y in places for x in places]
    sift = cv2.SIFT.create()
    found = np.empty((len(images), len(points), SIFT_LENGTH), np.float32)
    for place, image in enumerate(_grey(images)):
        _, found[place] = sift.compute(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), points)
    # Where nothing changes, all 128 numbers are 0.
    found /= np.maximum(found.sum(axis=2, keepdims=True), 1)
    return np.sqrt(found).reshape(len(images), SIFT_GRID, SIFT_GRID, SIFT_LENGTH)


def _gabor(images: np.ndarray) -> np.ndarray:
    """Responses to Gabor filters at every pixel, (n, h, w, filters) float32, by Weber's law: doubled, they differ less.

    Images lie in one column, each in a frame of its own reflection, so that one pass filters them all.
    """
    import cv2

    frame = GABOR_SIDE // 2
    grey = _grey(images).astype(np.float32) / 255
    framed = np.pad(grey, ((0, 0), (frame, frame), (frame, frame)), mode="reflect")
    column = framed.reshape(-1, framed.shape[2])
    responses = np.stack(
        [
            cv2.filter2D(column, cv2.CV_32F, kernel).reshape(framed.shape)[:, frame:-frame, frame:-frame]
            for kernel in _gabor_bank()
        ],
        axis=-1,
    )
    lengths = np.sqrt(np.einsum("nhwf,nhwf->nhw", responses, responses))[..., None]
    responses *= np.log1p(lengths / WEBER_CONTRAST) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return responses


def _gabor_bank() -> list[np.ndarray]:
    """Even and odd Gabor filters of six orientations, blind to brightness; their absolute values sum to 1."""
    import cv2

    bank = []
    for orientation in range(GABOR_ORIENTATIONS):
        for phase in (0, np.pi / 2):
            angle = np.pi * orientation / GABOR_ORIENTATIONS
            sides = (GABOR_SIDE, GABOR_SIDE)
            kernel = cv2.getGaborKernel(sides, GABOR_WAVELENGTH / 2, angle, GABOR_WAVELENGTH, 0.8, phase, cv2.CV_32F)
            kernel -= kernel.mean()
            bank.append(kernel / np.abs(kernel).sum())
    return bank


def _bag_of_words(descriptors: OfImages, images: np.ndarray, words: int, seed: int, workers: int | None) -> OfImages:
    """Find words among the descriptors (n, rows, columns, d) of images; then count them in each quarter of an image.

    Counts are shares of a quarter's descriptors; their square roots are taken, so that a word that is everywhere does
    not outweigh all others (Hellinger's distance).
    """
    centres = _k_means(_some_descriptors(descriptors, images, seed, workers), words, seed)
    halves = (centres**2).sum(axis=1) / 2

    def of_block(block: np.ndarray) -> np.ndarray:
        found = descriptors(block)
        count, rows, columns, length = found.shape
        nearness = found.reshape(-1, length) @ centres.T
        nearness -= halves
        nearest = nearness.argmax(axis=1).reshape(count, rows, columns)
        quarter = 2 * (2 * np.arange(rows) // rows)[:, None] + 2 * np.arange(columns) // columns
        bins = (4 * np.arange(count)[:, None, None] + quarter) * words + nearest
        counts = np.bincount(bins.ravel(), minlength=4 * count * words).reshape(count, 4, words)
        return np.sqrt(counts / counts.sum(axis=2, keepdims=True)).reshape(count, -1).astype(np.float32)

    return of_block


def _some_descriptors(descriptors: OfImages, images: np.ndarray, seed: int, workers: int | None) -> np.ndarray:
    """Descriptors of places at random, equally many of each image: (m, d) float32."""
    each = -(-LEARNED_FROM // len(images))

    def of_block(block: np.ndarray) -> np.ndarray:
        found = descriptors(block)
        return found.reshape(len(block), -1, found.shape[-1])

    found = _by_blocks(of_block, images, workers)
    random = np.random.default_rng(seed)
    chosen = []
    for of_images in found:
        places = of_images.shape[1]
        order = random.permuted(np.tile(np.arange(places), (len(of_images), 1)), axis=1)[:, :each]
        chosen.append(np.take_along_axis(of_images, order[..., None], axis=1).reshape(-1, of_images.shape[-1]))
    return np.concatenate(chosen)


def _k_means(descriptors: np.ndarray, words: int, seed: int) -> np.ndarray:
    """The centres (words, d) float32 that k-means finds."""
    from sklearn.cluster import KMeans

    if len(descriptors) < words:
        raise InputError(f"{words} words are to be found among {len(descriptors)} descriptors; wanted more images")
    # To begin with k-means++ takes six times as long, for distances that are 0.3 % shorter.
    model = KMeans(words, init="random", n_init=1, max_iter=KMEANS_ITERATIONS, random_state=seed)
    return model.fit(descriptors).cluster_centers_


def _grey(images: np.ndarray) -> np.ndarray:
    import cv2

    count, height, width = images.shape[:3]
    column = np.ascontiguousarray(images).reshape(count * height, width, 3)
    return cv2.cvtColor(column, cv2.COLOR_RGB2GRAY).reshape(count, height, width)


def _by_blocks(of_block: OfImages, images: np.ndarray, workers: int | None) -> list[np.ndarray]:
    """The same of blocks of images, in their order."""
    from joblib import Parallel, delayed

    blocks = [images[start : start + BLOCK_IMAGES] for start in range(0, len(images), BLOCK_IMAGES)]
    with _one_thread_each():
        return Parallel(n_jobs=workers, prefer="threads", require="sharedmem")(
            delayed(of_block)(block) for block in blocks
        )


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """OpenCV, BLAS and k-means each keep to one thread: sums by several have other bits, and blocks have their own."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with one_thread():
            yield
    finally:
        cv2.setNumThreads(before)
