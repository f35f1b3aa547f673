"""A classifier of images: which images it is fitted to, which of them are landmarks, and what it says of others.

Here belongs what connects the tables of the image chain with `taproom.images.image_features` and
`taproom.images.landmark_regression`, which use arrays only. How width and penalty are chosen is in
`taproom.images.classifier_choice`. New images are classified in `taproom.images.image_lookup`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.compute import Made, goes_to_cluster, made_here, workers
from taproom.errors import InputError
from taproom.images.image_arrays import labels_of
from taproom.images.image_features import Encoder, encoder_of
from taproom.images.landmark_regression import KernelClassifier, LandmarkKernel
from taproom.images.landmarks import Landmarks
from taproom.images.stored_pixels import Pixels, StoredPixels, without_pixels
from taproom.progress import progress
from taproom.warehouse.table_version import TableVersion

VALIDATION_SHARE = 0.1
BLOCK_IMAGES = 2048
# Of the features that a worker of a cluster returns at a time.
SENT_BYTES = 4 << 20
# How many images are landmarks, for each preset of an encoder.
LANDMARKS = {"small": 3_500, "coates": 12_000, "large": 18_000, "best": 50_000}
# Of the matrices that are in memory while a classifier is fitted.
MOST_KERNEL_BYTES = 10**10


@dataclass(frozen=True)
class LabelledImages:
    """Images of the table `images`, and what each is for.

    `labels` (n,) int64 (-1: none) are places in `classes`; `fitted`, `validation` and `test` (n,) are masks. A tenth of
    each class's labelled training images, chosen by a hash of their ids, is for validation, the others are fitted to.
    """

    labels: np.ndarray
    classes: list[str]
    fitted: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @classmethod
    def of(cls, table: pa.Table) -> "LabelledImages":
        """From the columns `image_id`, `split` and `label`.

        Raises `InputError` where the training images have no two classes, or a class has too few for both parts.
        """
        labels, classes = labels_of(table)
        is_training = np.array(table["split"]) == "training"
        labelled = is_training & (labels >= 0)
        trained, counts = np.unique(labels[labelled], return_counts=True)
        if len(trained) < 2:
            raise InputError(
                f"the training images are of {len(trained)} classes "
                f"({', '.join(classes[label] for label in trained)}); wanted at least two"
            )
        if counts.min() < 2:
            rare = classes[trained[counts.argmin()]]
            raise InputError(f"there is a single training image of the class {rare!r}; wanted at least two of each")
        validation = labelled & _least_of_each(labels, table["image_id"].to_pylist(), labelled)
        return cls(labels, classes, labelled & ~validation, validation, ~is_training)

    @property
    def training(self) -> np.ndarray:
        """(m,) int64: the numbers of all labelled training images, those for validation too, in ascending order."""
        return np.flatnonzero(self.fitted | self.validation)


def _least_of_each(labels: np.ndarray, image_ids: Sequence[str], candidates: np.ndarray) -> np.ndarray:
    """A mask of the tenth (one at least) of each label's candidates whose hashed ids are least."""
    hashes = np.array([hashlib.sha256(image_id.encode()).digest()[:8] for image_id in image_ids], "S8")
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels[candidates]):
        places = np.flatnonzero(candidates & (labels == label))
        share = max(1, round(VALIDATION_SHARE * len(places)))
        chosen[places[np.argsort(hashes[places], kind="stable")[:share]]] = True
    return chosen


def image_blocks(rows: np.ndarray) -> list[np.ndarray]:
    """The numbers of images, cut into blocks; sums and scores depend on where they are cut."""
    return [rows[start : start + BLOCK_IMAGES] for start in range(0, len(rows), BLOCK_IMAGES)]


class ImagesToEncode(NamedTuple):
    """Images (n, height, width, 3) uint8, and the encoder that computes their features."""

    encoder: Encoder
    pixels: Pixels


class ImagesToScore(NamedTuple):
    """Images (n, height, width, 3) uint8, and the encoder and the classifier that score them."""

    encoder: Encoder
    classifier: KernelClassifier
    pixels: Pixels


def stored_images_to_encode(
    images: TableVersion, encoder: TableVersion, whitening: TableVersion, filters: TableVersion
) -> ImagesToEncode:
    """All images of a version of the table, which are read block by block, and an encoder."""
    return ImagesToEncode(encoder_of(encoder.read(), whitening.read(), filters.read()), StoredPixels(images))


def stored_images_to_score(
    classifier: TableVersion,
    landmarks: TableVersion,
    images: TableVersion,
    encoder: TableVersion,
    whitening: TableVersion,
    filters: TableVersion,
) -> ImagesToScore:
    """The images of `held_out_images`, which are read block by block, and what scores them."""
    pixels = StoredPixels(images, held_out_images(without_pixels(images).read()))
    model = encoder_of(encoder.read(), whitening.read(), filters.read())
    return ImagesToScore(model, classifier_of(classifier.read(), landmarks), pixels)


def held_out_images(rows: pa.Table) -> np.ndarray:
    """The numbers of the images that no classifier is fitted to: those for the test, and those without a label.

    >>> held_out_images(pa.table({"split": ["training", "test", "training"], "label": ["cat", "cat", None]}))
    array([1, 2])
    """
    return np.flatnonzero(pc.or_(pc.equal(rows["split"], "test"), pc.is_null(rows["label"])))


def feature_blocks(
    images: ImagesToEncode | Made[ImagesToEncode], rows: np.ndarray, n_jobs: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The features of some images, block by block.

    Args:
        images: all images; `Made` ones are encoded on a cluster where there is one.
        rows: (m,) the numbers of the images that are wanted.
        n_jobs: threads of this machine, as joblib counts workers; they do not change the features.

    Yields:
        The rows of a block, and their features (rows, dimensions) float32.

    Raises:
        InputError: as `Encoder.features` does.
        ComputeError: as `taproom.compute.workers` does.
    """
    blocks = image_blocks(rows)
    size, threads = BLOCK_IMAGES, n_jobs
    if goes_to_cluster(images):
        size, threads = max(1, SENT_BYTES // (4 * images.here.encoder.dimensions)), 1
    pieces = [[block[start : start + size] for start in range(0, len(block), size)] for block in blocks]
    # Here one block at a time, on all threads: the features of a block may be large.
    with workers(images, 1) as run:
        found = run(_features, ((piece, threads) for of_block in pieces for piece in of_block))
        for block, of_block in zip(blocks, pieces, strict=True):
            features = [next(found) for _ in of_block]
            yield block, features[0] if len(features) == 1 else np.concatenate(features)


def _features(images: ImagesToEncode, rows: np.ndarray, n_jobs: int | None) -> np.ndarray:
    return images.encoder.features(images.pixels[rows], n_jobs)


def known_features(
    images: ImagesToEncode | Made[ImagesToEncode], kept: TableVersion, rows: np.ndarray, n_jobs: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The features of some images: from the table `image_features`, or computed, if it is empty.

    Args:
        images: as in `feature_blocks`.
        kept: the version of `image_features`.
        rows: (m,) the numbers of the images, in ascending order.
        n_jobs: as in `feature_blocks`.

    Yields:
        The rows of a block, and their features (rows, dimensions) float32.

    Raises:
        InputError, ComputeError: as `feature_blocks` does.
        DamagedFileError, StorageError: as `TableVersion.stream` does.
    """
    first = 0
    for batch in replace(kept, columns=("features",)).stream():
        block = rows[np.searchsorted(rows, first) : np.searchsorted(rows, first + len(batch))]
        yield block, features_in(batch)[block - first]
        first += len(batch)
    if not first:
        yield from feature_blocks(images, rows, n_jobs)


def with_progress(
    blocks: Iterator[tuple[np.ndarray, np.ndarray]], images: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The blocks of `feature_blocks` or `known_features`, of so many images in all, under a progress bar."""
    with progress(doing="features", total=images, unit="image") as bar:
        for rows, features in blocks:
            yield rows, features
            bar.update(len(rows))


def features_in(batch: pa.RecordBatch) -> np.ndarray:
    """The column `features` as an array (n, D) float32."""
    return batch["features"].flatten().to_numpy().reshape(len(batch), -1)


def choose_landmarks(labelled: LabelledImages, count: int, seed: int) -> np.ndarray:
    """The numbers of the images that are landmarks, (m,) int64.

    All training images, those for validation last, if `count` is no less. Otherwise `count` of the fitted ones at
    random, in ascending order, or all of these. They are fewer if the matrices of the fit would take more than 10 GB.
    """
    fitted, images = np.flatnonzero(labelled.fitted), len(labelled.training)
    if count >= images and 4 * images**2 <= MOST_KERNEL_BYTES:
        return np.concatenate([fitted, np.flatnonzero(labelled.validation)])
    # m landmarks take 4 m (n + 3 m) bytes.
    most = max(1, int((np.sqrt(images**2 + 3 * MOST_KERNEL_BYTES) - images) / 6))
    return np.sort(np.random.default_rng(seed).permutation(fitted)[: min(count, most)])


def landmark_features(landmarks: TableVersion) -> np.ndarray:
    """The features (m, D) float32 in the table `landmarks`; raises as `TableVersion.stream` does."""
    count = len(replace(landmarks, columns=("image_id",)).read())
    rows, first = np.empty((count, 0), np.float32), 0
    # Batch by batch: they may be 6 GB in all.
    for batch in replace(landmarks, columns=("features",)).stream():
        features = features_in(batch)
        rows = rows if first else np.empty((count, features.shape[1]), np.float32)
        rows[first : first + len(features)] = features
        first += len(features)
    return rows


def classifier_of(table: pa.Table, landmarks: TableVersion) -> KernelClassifier:
    """The classifier from the rows of the table `classifier`, and the `landmarks` that it was made with."""
    weights = table["weights"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    width, temperature = (table[name][0].as_py() for name in ("width", "temperature"))
    kernel = LandmarkKernel(Landmarks.of(landmark_features(landmarks), overwrite=True), width)
    return KernelClassifier(kernel, np.ascontiguousarray(weights.T), table["intercept"].to_numpy(), temperature)


def scores_of_images(images: ImagesToScore | Made[ImagesToScore], n_jobs: int | None = None) -> np.ndarray:
    """Scores (n, classes) float32 of all images.

    Args:
        images: the images and what scores them; `Made` ones are scored on a cluster where there is one.
        n_jobs: threads of this machine, as joblib counts workers; they do not change the scores.

    Raises:
        InputError: as `Encoder.features` does.
        ComputeError: as `taproom.compute.workers` does.
    """
    here = made_here(images)
    threads = 1 if goes_to_cluster(images) else n_jobs
    blocks = image_blocks(np.arange(len(here.pixels)))
    with workers(images, 1) as run:
        found = list(run(_scores, ((block, threads) for block in blocks)))
    return np.concatenate(found) if found else np.empty((0, len(here.classifier.intercept)), np.float32)


def _scores(images: ImagesToScore, rows: np.ndarray, n_jobs: int | None) -> np.ndarray:
    return images.classifier.scores(images.encoder.features(images.pixels[rows], n_jobs), n_jobs)


def confusion_counts(
    labels: Sequence[str | None], predicted: Sequence[str], classes: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """How many images of each label were taken for which class: a square matrix, and the names of its lines.

    Images without a label are left out; a label that is none of the classes has a line, and a column of zeros.
    """
    names = sorted({*classes, *(label for label in labels if label is not None)})
    places = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for label, taken_for in zip(labels, predicted, strict=True):
        if label is not None:
            counts[places[label], places[taken_for]] += 1
    return counts, names
