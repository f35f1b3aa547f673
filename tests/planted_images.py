"""Small noisy images whose class is the direction of their stripes, so that wrong answers would be the code's doing."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from taproom.images.street_fight_draws import Sizes

CLASSES = ("across", "checked", "down")


def planted_images(each, height=12, width=12, noise=15.0, seed=0):
    """`each` images of each class, in turn: uint8 (n, height, width, 3), and the names of their classes."""
    random = np.random.default_rng(seed)
    labels = list(CLASSES) * each
    y, x = np.mgrid[:height, :width]
    pixels = np.empty((len(labels), height, width, 3))
    for image, label in zip(pixels, labels, strict=True):
        across, down = np.sin(1.7 * y + random.uniform(0, 6)), np.sin(1.7 * x + random.uniform(0, 6))
        waves = {"across": across, "down": down, "checked": 1.4 * across * down}[label]
        image[:] = 128 + 45 * waves[..., None] * random.uniform(0.5, 1, 3) + random.normal(0, noise, image.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def images_table(pixels, labels, splits):
    """Rows of a Parquet file of images, or of the table `images` without the name of a data set."""
    count, height, width, _ = pixels.shape
    return pa.table(
        {
            "image_id": [f"{place:04}" for place in range(count)],
            "split": pa.array(splits, pa.string()),
            "label": pa.array(labels, pa.string()),
            "height": np.full(count, height, np.int32),
            "width": np.full(count, width, np.int32),
            "pixels": [image.tobytes() for image in pixels],
        }
    )


def write_images(path, pixels, labels, splits):
    """A Parquet file that the table `images` can be made of."""
    pq.write_table(images_table(pixels, labels, splits), path)


def few_test_images(count):
    """A split for each of `count` images: every fourth is for the test."""
    return ["test" if place % 4 == 0 else "training" for place in range(count)]


# What the tables of the chain are made of and with, quickly.
LEARNED = ("patches", "whitening", "filters", "encoder")
FITTED = ("image_features", "landmarks", "classifier", "predictions", "confusion")
QUICK = {"filters": 16, "patches": 1_000, "iterations": 3, "workers": 2}
# The smallest street fight that has all its rows.
SMALL_FIGHT = Sizes(2, 60, 60, 60, filters=8, patches=300, iterations=1, pools=2)
