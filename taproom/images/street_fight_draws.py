"""The images of the street fight: how many are drawn, of which classes, and which of them are trained on.

Here belongs what all experiments of `taproom.images.street_fight` share: sizes, draws, and the images that penalties
are chosen on.

Each seed draws other images, equally many of each class, and all settings of a seed use the same ones. Nothing is
fitted to the images that judge. These are training images too: the test images are kept for the classifier.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError
from taproom.images.image_arrays import labels_of
from taproom.images.stored_pixels import Pixels, StoredPixels, without_pixels
from taproom.warehouse.table_version import TableVersion

EXPERIMENTS = ("standardization", "encoding", "filters", "number of filters", "penalty", "class imbalance", "outliers")
# A fifth of the training images chooses between settings; each part has images of the classes that are made rare.
FITTED, CHOOSING_FROM = 4, 5
FEWEST_TRAINED, FEWEST_JUDGED = 20, 10


@dataclass(frozen=True)
class Sizes:
    """How much is computed: `seeds`, and for each the images to train on, of these for kernels, and to judge.

    `filters` and `patches`, `iterations` and `pools` are as in `EncoderParameters`.
    """

    seeds: int
    training: int
    kernel_training: int
    judged: int
    filters: int
    patches: int
    iterations: int
    pools: int


SIZES = {
    "small": Sizes(3, 800, 600, 600, filters=40, patches=10_000, iterations=5, pools=2),
    "large": Sizes(5, 4_000, 4_000, 4_000, filters=128, patches=50_000, iterations=10, pools=2),
}


class Draw(NamedTuple):
    """A seed's images (n, height, width, 3) and labels (n,); image i is of class i modulo `classes`.

    So any multiple of `classes` cuts all classes alike; the first `training` images are trained on, the others judge.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: int
    training: int
    seed: int

    def random(self, experiment: str, part: int = 0) -> np.random.Generator:
        """Random numbers that are the same for all settings of an experiment."""
        return np.random.default_rng([self.seed, EXPERIMENTS.index(experiment), part])


class Outcome(NamedTuple):
    """The value of a measure of a setting on a draw, and the seconds that it took."""

    experiment: str
    condition: str
    setting: str
    measure: str
    value: float
    seconds: float


def draw(images: Pixels, labels: np.ndarray, sizes: Sizes, seed: int) -> Draw:
    """A random draw of labelled images, as many of each class, of which about two thirds at most are trained on."""
    random = np.random.default_rng(seed)
    counts = np.bincount(labels[labels >= 0])
    classes, fewest = len(counts), counts.min()
    training = min(max(sizes.training // classes, FEWEST_TRAINED), 2 * fewest // 3)
    judged = min(max(sizes.judged // classes, FEWEST_JUDGED), fewest - training)
    of_class = [random.permutation(np.flatnonzero(labels == number))[: training + judged] for number in range(classes)]
    rows = np.column_stack(of_class).ravel()
    return Draw(images[rows], labels[rows], classes, training * classes, seed)


def draw_all(images: Pixels, labels: np.ndarray, names: Sequence[str], sizes: Sizes, seed: int) -> list[Draw]:
    """The draws of consecutive seeds, from the first one on. Raises `InputError` as `check_classes`.

    Args:
        images: (n, height, width, 3) uint8.
        labels: (n,) int64, places in `names`; -1 for none.
        names: of the classes.
        sizes: how many images; if there are fewer, as many of each class as the smallest allows.
        seed: the first one.
    """
    check_classes(labels, names)
    return [draw(images, labels, sizes, seed + repeat) for repeat in range(sizes.seeds)]


def stored_draws(images: TableVersion, sizes: Sizes, seed: int) -> list[Draw]:
    """`draw_all` from the training images of a version of the table, of the classes that have enough of them."""
    return draw_all(StoredPixels(images), *training_labels(without_pixels(images).read()), sizes, seed)


def training_labels(images: pa.Table) -> tuple[np.ndarray, list[str]]:
    """Labels (n,) and names of the classes that have enough training images; test images have none, -1."""
    numbers, names = labels_of(images)
    return with_enough_images(np.where(pc.equal(images["split"], "training"), numbers, -1), names)


def with_enough_images(labels: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Labels (n,) and names without the classes that have too few images, if at least two classes are left."""
    enough = np.bincount(labels[labels >= 0], minlength=len(names)) >= FEWEST_TRAINED + FEWEST_JUDGED
    if enough.sum() < 2:
        return labels, list(names)
    numbers = np.append(np.where(enough, np.cumsum(enough) - 1, -1), -1)
    return numbers[labels], [name for name, is_enough in zip(names, enough, strict=True) if is_enough]


def check_classes(labels: np.ndarray, names: Sequence[str]) -> None:
    """Raise `InputError` unless there are two classes, each with enough images to train on and to judge by."""
    counts = np.bincount(labels[labels >= 0], minlength=len(names))
    given = [f"{name}: {count:,}" for name, count in zip(names, counts, strict=True)]
    if len(names) < 2:
        raise InputError(
            f"all training images are of one class or have no label ({', '.join(given) or 'none has one'}); the fight "
            "is about telling classes apart, so at least two are wanted"
        )
    wanted = FEWEST_TRAINED + FEWEST_JUDGED
    if few := [label for label, count in zip(given, counts, strict=True) if count < wanted]:
        raise InputError(
            f"too few training images of {len(few)} of {len(names)} classes ({', '.join(few[:5])}); wanted at least "
            f"{wanted} of each, {FEWEST_TRAINED} to train on and {FEWEST_JUDGED} to judge by. Add images, or "
            "leave these classes out."
        )


def fitted_first(count: int, classes: int) -> int:
    """How many of `count` images are fitted to while the others, the last fifth, choose between settings.

    >>> fitted_first(100, classes=10)
    80
    """
    return classes * (count // classes * FITTED // CHOOSING_FROM)


def best_choice(choices: Sequence[float], judge: Callable[[float], float]) -> float:
    """The choice that `judge` gives the highest score, the first of equals."""
    return choices[int(np.argmax([judge(choice) for choice in choices]))]
