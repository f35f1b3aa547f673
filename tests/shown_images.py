"""Tables of the image chain that pages show: striped images, filters of them, predictions, and two comparisons."""

from dataclasses import asdict

import numpy as np

from assets.images.classifier import CONTRACT as CLASSIFIER
from assets.images.feature_baselines import CONTRACT as FEATURE_BASELINES
from assets.images.filter_gallery import CONTRACT as FILTER_GALLERY
from assets.images.filters import COLOURS, ENCODER, FILTERS, PATCHES, WHITENING
from assets.images.images import CONTRACT as IMAGES
from assets.images.predictions import CONFUSION, PREDICTIONS
from assets.images.street_fight import CONTRACT as STREET_FIGHT
from taproom.images.calibration import probabilities
from taproom.images.convolution import deck_example, gallery, random_patch_filters
from taproom.images.image_features import EncoderParameters, learn
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse
from tests.planted_images import images_table, planted_images
from tests.shown_tables import HOSTILE, publish

# Planted images are of three classes; their names try to do harm.
NAMES = {"across": HOSTILE[5], "checked": HOSTILE[0], "down": HOSTILE[3]}
PARAMETERS = EncoderParameters(filters=10, patches=300, iterations=2, patch_size=4, pools=2)
TEST_IMAGES = 60


def publish_images(warehouse: Warehouse) -> None:
    """Publish all tables of the chain that the page of pictures shows."""
    pixels, kinds = planted_images(TEST_IMAGES // 3)
    labels = [NAMES[kind] for kind in kinds]
    rows = images_table(pixels, labels, ["test"] * len(labels)).to_pydict()
    publish(warehouse, IMAGES, {"dataset": ["planted"] * len(labels), **rows})
    publish_filters(warehouse, pixels)
    publish_gallery(warehouse, pixels[:2], labels[:2])
    publish_predictions(warehouse, rows["image_id"], labels)
    publish_comparisons(warehouse)


def publish_filters(warehouse: Warehouse, pixels: np.ndarray) -> None:
    """Publish an encoder that is learned from images."""
    learned = learn(pixels, PARAMETERS, seed=0)
    size, patches, whitening = PARAMETERS.patch_size, learned.patches, learned.encoder.whitening
    row, column, channel = np.unravel_index(np.arange(len(whitening.mean)), (size, size, len(COLOURS)))
    publish(
        warehouse,
        PATCHES,
        {
            "patch": np.arange(PARAMETERS.patches, dtype=np.int32),
            "image_id": [f"{image:04}" for image in patches.image],
            "row": patches.row,
            "column": patches.column,
            "pixels": [each.tobytes() for each in patches.pixels],
        },
    )
    publish(
        warehouse,
        WHITENING,
        {
            "row": row.astype(np.int32),
            "column": column.astype(np.int32),
            "channel": [COLOURS[place] for place in channel],
            "mean": whitening.mean,
            "weights": list(whitening.matrix),
        },
    )
    found = learned.filters
    numbers = np.arange(len(found.filters), dtype=np.int32)
    publish(warehouse, FILTERS, {"filter": numbers, "patches": found.patches, "weights": list(found.filters)})
    encoder = {"preset": "small", **asdict(PARAMETERS), "seed": 0, "champion": "first"}
    publish(warehouse, ENCODER, {name: [value] for name, value in encoder.items()})


def publish_gallery(warehouse: Warehouse, pixels: np.ndarray, labels: list[str]) -> None:
    """Publish the lecture's operations on images, and its example."""
    filters = random_patch_filters(pixels, filters=2)
    steps = {("deck", None): deck_example()}
    steps |= {(f"{place:04}", label): gallery(pixels[place], filters) for place, label in enumerate(labels)}
    rows = [
        (
            image_id, label, place, step.operation, step.applied_to,
            None if step.kernels is None else step.kernels.ravel(),
            None if step.kernels is None else list(step.kernels.shape),
            *step.result.shape, step.result.ravel(),
        )
        for (image_id, label), of_image in steps.items()
        for place, step in enumerate(of_image)
    ]  # fmt: skip
    publish(warehouse, FILTER_GALLERY, dict(zip(FILTER_GALLERY.schema.names, zip(*rows, strict=True), strict=True)))


def publish_predictions(warehouse: Warehouse, image_ids: list[str], labels: list[str]) -> None:
    """Publish random scores that are mostly right, and what follows from them; the classifier's weights are 0."""
    classes = sorted(set(labels))
    random = np.random.default_rng(0)
    scores = random.normal(-0.5, 0.5, (len(labels), len(classes))).astype(np.float32)
    scores[np.arange(len(labels)), [classes.index(label) for label in labels]] += 0.8
    predicted = [classes[place] for place in scores.argmax(axis=1)]
    counts = [[label, name] for label in classes for name in classes]
    pairs = list(zip(labels, predicted, strict=True))
    images = [pairs.count((label, name)) for label, name in counts]
    publish(
        warehouse,
        CLASSIFIER,
        {
            "class": classes,
            "images": [labels.count(name) for name in classes],
            "width": [2.0] * len(classes),
            "penalty": [3.0] * len(classes),
            "validation_accuracy": [0.7] * len(classes),
            "temperature": [0.5] * len(classes),
            "calibration_error": [0.02] * len(classes),
            "intercept": np.zeros(len(classes), np.float32),
            "weights": [np.zeros(4, np.float32)] * len(classes),
        },
    )
    columns = {"image_id": image_ids, "split": ["test"] * len(labels), "label": labels, "predicted": predicted}
    inputs = dict.fromkeys(("classifier", "encoder", "filters", "images", "landmarks", "whitening"), 0)
    columns |= {"scores": list(scores), "probabilities": list(probabilities(scores, temperature=0.5))}
    publish(warehouse, PREDICTIONS, columns, Origin(inputs=inputs))
    publish(
        warehouse,
        CONFUSION,
        {
            "label": [label for label, _ in counts],
            "predicted": [name for _, name in counts],
            "images": images,
            "share": [count / labels.count(label) for count, (label, _) in zip(images, counts, strict=True)],
        },
    )


def publish_comparisons(warehouse: Warehouse) -> None:
    """Publish two kinds of features, and two experiments, one of which has two measures."""
    publish(
        warehouse,
        FEATURE_BASELINES,
        {
            "features": ["pixels", "hog"],
            "dimensions": np.array([432, 36], np.int32),
            "penalty": [10.0, 30.0],
            "validation_accuracy": [0.4, 0.6],
            "accuracy": [0.35, 0.625],
            "low": [0.3, 0.55],
            "high": [0.4, 0.69],
            "training_images": np.array([90, 90], np.int32),
            "test_images": np.array([60, 60], np.int32),
            "seconds": [0.1, 0.2],
        },
    )
    rows = [
        ("encoding", "clean", "relu", "two signs", "accuracy", 0.506, 0.4, 0.6, 0.016, -0.01, 0.042, 800),
        ("encoding", "clean", "two signs", None, "accuracy", 0.49, 0.42, 0.56, None, None, None, 800),
        ("class imbalance", "10:1", "nothing", None, "accuracy", 0.577, None, None, None, None, None, 440),
        ("class imbalance", "10:1", "nothing", None, "balanced accuracy", 0.318, 0.2, 0.4, None, None, None, 440),
        ("class imbalance", "10:1", "threshold", "nothing", "accuracy", 0.499, 0.4, 0.6, -0.078, -0.09, -0.066, 440),
    ]
    names = [column.name for column in STREET_FIGHT.columns if column.name not in ("values", "seconds")]
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    publish(warehouse, STREET_FIGHT, {**columns, "values": [[row[5]] for row in rows], "seconds": [1.0] * len(rows)})
