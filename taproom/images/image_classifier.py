"""A classifier of images: which images it is fitted to, its sums as a table, and its penalty.

Here belongs what connects the tables of the image chain with `taproom.images.image_features` and
`taproom.images.least_squares`, which use arrays only. New images are classified in `taproom.images.image_lookup`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.compute import Made, goes_to_cluster, made_here, workers
from taproom.errors import InputError
from taproom.images.image_arrays import labels_of
from taproom.images.image_features import Encoder, encoder_of
from taproom.images.least_squares import Gram, LinearClassifier, Ridge, one_hot
from taproom.images.stored_features import StoredFeatures
from taproom.images.stored_pixels import Pixels, StoredPixels, without_pixels
from taproom.warehouse.table_version import TableVersion

VALIDATION_SHARE = 0.1
BLOCK_IMAGES = 2048
# Sums depend on where the validation images are cut, too: those of 80,000 training images are one block.
BLOCK_VALIDATION = 8192
# Of the features that a worker of a cluster returns at a time.
SENT_BYTES = 4 << 20
BATCH_NUMBERS = 1 << 23

# Penalties that are compared at first, for features of about unit spread; more follow where the best is an end.
PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0)
MOST_PENALTIES = 12


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

    def targets(self, rows: np.ndarray) -> np.ndarray:
        """Their targets (n, classes) float32."""
        return one_hot(self.labels[rows], len(self.classes))


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
    classifier: LinearClassifier
    pixels: Pixels


def stored_images_to_encode(
    images: TableVersion, encoder: TableVersion, whitening: TableVersion, filters: TableVersion
) -> ImagesToEncode:
    """All images of a version of the table, which are read block by block, and an encoder."""
    return ImagesToEncode(encoder_of(encoder.read(), whitening.read(), filters.read()), StoredPixels(images))


def stored_images_to_score(
    classifier: TableVersion,
    images: TableVersion,
    encoder: TableVersion,
    whitening: TableVersion,
    filters: TableVersion,
) -> ImagesToScore:
    """The images of `held_out_images`, which are read block by block, and what scores them."""
    pixels = StoredPixels(images, held_out_images(without_pixels(images).read()))
    model = encoder_of(encoder.read(), whitening.read(), filters.read())
    return ImagesToScore(model, classifier_of(classifier.read())[0], pixels)


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
        size, threads = max(1, SENT_BYTES // (4 * made_here(images).encoder.dimensions)), 1
    pieces = [[block[start : start + size] for start in range(0, len(block), size)] for block in blocks]
    # Here one block at a time, on all threads: the features of several would not fit in memory.
    with workers(images, 1) as run:
        found = run(_features, ((piece, threads) for of_block in pieces for piece in of_block))
        for block, of_block in zip(blocks, pieces, strict=True):
            features = [next(found) for _ in of_block]
            yield block, features[0] if len(features) == 1 else np.concatenate(features)


def _features(images: ImagesToEncode, rows: np.ndarray, n_jobs: int | None) -> np.ndarray:
    return images.encoder.features(images.pixels[rows], n_jobs)


def validation_features(images: ImagesToEncode, labelled: LabelledImages, n_jobs: int | None = None) -> StoredFeatures:
    """The features of the validation images, which are on disk: one block of images is in memory.

    Args:
        images: all images.
        labelled: what they are for.
        n_jobs: threads, as joblib counts workers; they do not change the features.

    Raises:
        InputError: as `Encoder.features` does.
    """
    rows = np.flatnonzero(labelled.validation)
    stored = StoredFeatures()
    for start in range(0, len(rows), BLOCK_VALIDATION):
        block = rows[start : start + BLOCK_VALIDATION]
        stored.add(images.encoder.features(images.pixels[block], n_jobs), labelled.labels[block])
    return stored


def empty_gram(
    images: ImagesToEncode | Made[ImagesToEncode], labelled: LabelledImages, n_jobs: int | None = None
) -> Gram:
    """Sums of no image yet, about the centre of at most 1000 fitted images that are spread over all.

    Args:
        images: as in `feature_blocks`.
        labelled: what the images are for.
        n_jobs: as in `feature_blocks`.

    Raises:
        InputError, ComputeError: as `feature_blocks` does.
    """
    fitted = np.flatnonzero(labelled.fitted)
    some = fitted[np.linspace(0, len(fitted) - 1, min(1000, len(fitted))).astype(int)]
    features = np.concatenate([features for _, features in feature_blocks(images, some, n_jobs)])
    return Gram.like(features, len(labelled.classes))


def gram_batches(gram: Gram, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The sums as rows of the table `gram`; the last is that of the constant 1."""
    size = len(gram.centre)
    rows = max(1, BATCH_NUMBERS // size)
    for start in range(0, size, rows):
        stop = min(start + rows, size)
        lengths = size - np.arange(start, stop)
        products = np.concatenate([gram.products[row, row:] for row in range(start, stop)])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        yield _gram_batch(
            schema, np.arange(start, stop), gram.centre[start:stop], gram.spread[start:stop], gram.sums[start:stop],
            gram.with_targets[start:stop], pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(products)),
        )  # fmt: skip
    one = pa.array([[gram.weight]], pa.list_(pa.float32()))
    yield _gram_batch(
        schema, np.array([size]), np.zeros(1, np.float32), np.ones(1, np.float32), np.array([gram.weight]),
        gram.target_sums[None], one,
    )  # fmt: skip


def _gram_batch(
    schema: pa.Schema,
    features: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
    sums: np.ndarray,
    with_targets: np.ndarray,
    products: pa.ListArray,
) -> pa.RecordBatch:
    columns = [pa.array(features, pa.int32()), pa.array(centre), pa.array(spread), pa.array(sums)]
    targets = pa.array(list(with_targets), pa.list_(pa.float64()))
    return pa.RecordBatch.from_arrays([*columns, targets, products], schema=schema)


def gram_of(batches: Iterable[pa.RecordBatch], size: int, classes: int) -> Gram:
    """The sums of `size` features from the rows of the table `gram`."""
    gram = Gram(np.zeros(size, np.float32), np.ones(size, np.float32), classes)
    for batch in batches:
        features = batch["feature"].to_numpy()
        targets = batch["with_targets"].flatten().to_numpy().reshape(-1, classes)
        offsets, products = batch["products"].offsets.to_numpy(), batch["products"].values.to_numpy()
        for place, feature in enumerate(features):
            if feature == size:
                gram.weight, gram.target_sums = float(batch["sum"][place].as_py()), targets[place].copy()
                continue
            gram.products[feature, feature:] = products[offsets[place] : offsets[place + 1]]
            gram.centre[feature], gram.spread[feature] = batch["centre"][place].as_py(), batch["spread"][place].as_py()
            gram.sums[feature], gram.with_targets[feature] = batch["sum"][place].as_py(), targets[place]
    return gram


@dataclass(frozen=True)
class Chosen:
    """A classifier, fitted to all training images at the penalty whose accuracy on the validation images was best.

    `accuracies` are those at each penalty that was tried.
    """

    classifier: LinearClassifier
    penalty: float
    accuracies: dict[float, float]


def choose_classifier(
    gram: Gram,
    validation: Iterable[tuple[np.ndarray, np.ndarray]],
    penalties: Sequence[float] = PENALTIES,
    n_jobs: int | None = None,
) -> Chosen:
    """Compare penalties by validation images, then fit to these too.

    `gram` is of the fitted images, and of all training images afterwards; `validation` are blocks of the features
    (n, D) and the labels (n,) of the validation images, a list of arrays or `StoredFeatures`; arrays are standardized
    afterwards. Where the best penalty is an end of the range, the range grows by threefold steps. Of equally good ones
    the largest is taken.
    """
    ordered = sorted(penalties)
    ridge = Ridge(gram, ordered[len(ordered) // 2], n_jobs)
    accuracies: dict[float, float] = {}
    fits: dict[float, LinearClassifier] = {}

    def judge(penalty: float) -> None:
        nearest = fits[min(fits, key=lambda known: abs(known - penalty))] if fits else None
        fits[penalty] = ridge.fit(gram, penalty, nearest)
        right = [fits[penalty].scores(features).argmax(axis=1) == labels for features, labels in validation]
        accuracies[penalty] = float(np.mean(np.concatenate(right)))

    for penalty in ordered:
        judge(penalty)
    best = _best(accuracies)
    while len(ordered) > 1 and len(accuracies) < MOST_PENALTIES and best in (min(accuracies), max(accuracies)):
        further = best / 3 if best == min(accuracies) else best * 3
        if further in accuracies:
            break
        judge(further)
        if accuracies[further] <= accuracies[best]:
            break
        best = further
    before = gram.weight
    for features, labels in validation:
        gram.add(features, one_hot(labels, len(gram.target_sums)), n_jobs=n_jobs)
    refit = ridge.fit(gram, best * gram.weight / before, fits[best])
    return Chosen(refit, best, accuracies)


def _best(accuracies: dict[float, float]) -> float:
    return max(accuracies, key=lambda penalty: (accuracies[penalty], penalty))


def classifier_of(table: pa.Table) -> tuple[LinearClassifier, list[str]]:
    """The classifier from the rows of the table `classifier`, and its classes."""
    weights = table["weights"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
    intercept = table["intercept"].to_numpy()
    return LinearClassifier(np.ascontiguousarray(weights.T), intercept), table["class"].to_pylist()


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
    from threadpoolctl import threadpool_limits

    features = images.encoder.features(images.pixels[rows], n_jobs)
    # The bits of the product depend on the threads of BLAS for some numbers of features.
    with threadpool_limits(limits=1, user_api="blas"):
        return images.classifier.scores(features)


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
