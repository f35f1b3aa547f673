"""The data of the page of pictures: filters, an image's way through them, confused images, and methods compared.

Pictures are in one image, the sprite, of tiles of one size; everything else refers to a tile by its place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import UnknownTableError
from taproom.images.convolution import HAND_MADE
from taproom.images.encoding_steps import encoding_steps
from taproom.images.hand_made_features import SIDE, reduced
from taproom.images.image_arrays import pixels_of
from taproom.images.image_classifier import confusion_counts
from taproom.images.image_features import Encoder, encoder_of
from taproom.intervals import wilson_interval
from taproom.pages.scripts import packed
from taproom.pages.sprites import sprite
from taproom.pages.tables import LONGEST_CELL
from taproom.warehouse.warehouse import Warehouse

FILTERS = 1_024
PATCHES = 256
CLASSES = 20
OF_A_CELL = 5
ERRORS = 24
EXAMPLES = 12
MAPS = 8
MAP_SIDE = 64
CHANNELS = 3
BRIGHTEST = 0.99  # the brightest edges are so few that all others would be dark


def pictures_data(warehouse: Warehouse) -> dict[str, Any]:
    """What the page of pictures shows; of tables that were not made, the part is None.

    Raises:
        DamagedFileError: a table is damaged.
    """
    return {
        "filters": _if_made(_filters, warehouse),
        "hand_made": _if_made(_hand_made, warehouse),
        "predictions": _if_made(_predictions, warehouse),
        "street_fight": _if_made(_street_fight, warehouse),
        "baselines": _if_made(_baselines, warehouse),
    }


def _if_made(part: Callable[[Warehouse], dict[str, Any] | None], warehouse: Warehouse) -> dict[str, Any] | None:
    try:
        return part(warehouse)
    except UnknownTableError:
        return None


def _inputs(warehouse: Warehouse, table: str) -> tuple[int | None, Mapping[str, int]]:
    """The newest version of a table, and those of the tables that it was made from."""
    version = warehouse.head(table)
    return version, warehouse.commit_of(table, version)["inputs"] if version is not None else {}


def _encoder(warehouse: Warehouse, versions: Mapping[str, int]) -> Encoder:
    return encoder_of(*(warehouse.read(part, versions.get(part)) for part in ("encoder", "whitening", "filters")))


def _filters(warehouse: Warehouse) -> dict[str, Any] | None:
    """The filters with the most patches: on whitened patches, on pixels; and random patches that they are made from."""
    rows, encoder = warehouse.read("filters"), _encoder(warehouse, {})
    filters, size = encoder.filters[:FILTERS], encoder.parameters.patch_size
    patches = warehouse.read("patches", columns=["pixels"])["pixels"]
    widths = {filters.shape[1], len(encoder.whitening.mean), CHANNELS * size**2, len(patches[0].as_py())}
    if len(widths) > 1:  # tables of two runs, because the newer one ended in between
        return None
    chosen = np.linspace(0, len(patches) - 1, min(PATCHES, len(patches))).astype(int)
    return {
        "count": len(rows),
        "version": warehouse.head("filters"),
        "size": size,
        "learned_by": encoder.parameters.learned_by,
        "of_patches": packed(rows["patches"].to_numpy()[:FILTERS].astype(np.uint32)),
        "on_whitened": packed(_over_range(filters)),
        "on_pixels": packed(_over_range(filters @ encoder.whitening.matrix.T)),
        "patches": packed(np.frombuffer(b"".join(patches.take(pa.array(chosen)).to_pylist()), np.uint8)),
        "patch_count": len(patches),
    }


def _hand_made(warehouse: Warehouse) -> dict[str, Any] | None:
    """The lecture's table of hand-made filters: their weights, some images, and the images' responses.

    Responses are from black to white; those of edge detection are absolute values, the brightest of which are white.
    """
    version = warehouse.head("filter_gallery")
    rows = {(row["image_id"], row["operation"]): row for row in warehouse.read("filter_gallery", version).to_pylist()}
    images = [image_id for image_id, operation in rows if operation == "grey"]  # not the lecture's 5 x 5 numbers
    if not images:
        return None
    return {
        "version": version,
        "labels": [_shown_text(rows[image_id, "image"]["label"] or image_id) for image_id in images],
        "filters": [
            {"name": name, "kernel": of_first["kernels"], "size": of_first["kernels_shape"][2]}
            for name, of_first in ((name, rows[images[0], name]) for name in HAND_MADE)
        ],
        "images": sprite(np.stack([_as_picture(rows[image_id, "image"]) for image_id in images])),
        "responses": sprite(np.stack([_as_picture(rows[image_id, name]) for name in HAND_MADE for image_id in images])),
    }


def _as_picture(row: Mapping[str, Any]) -> np.ndarray:
    """The result of an operation as a picture (height, width, 3) uint8."""
    values = np.array(row["values"]).reshape(row["height"], row["width"], row["channels"])
    if row["operation"].startswith("edge"):
        values = np.abs(values) / max(np.quantile(np.abs(values), BRIGHTEST), 1e-12)
    return np.broadcast_to(np.rint(255 * np.clip(values, 0, 1)), (*values.shape[:2], CHANNELS)).astype(np.uint8)


def _shown_text(text: str) -> str:
    return text[:LONGEST_CELL]


def _over_range(rows: np.ndarray) -> np.ndarray:
    """Levels of each row of numbers (n, k) as uint8: 0 at 128, and its largest absolute number at 1 or 255."""
    largest = np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return (128 + np.rint(127 * (rows / largest))).astype(np.uint8)


@dataclass(frozen=True)
class _Judged:
    """The images of `predictions` with a label, and their predictions.

    `image_ids` (n,); `labels` and `predicted` (n,) are places in `names`; `scores` (n, classes); `margins` (n,) are
    those of the highest score over the next.
    """

    image_ids: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    names: list[str]
    scores: np.ndarray
    margins: np.ndarray

    @classmethod
    def of(cls, rows: pa.Table, names: list[str]) -> "_Judged":
        scores = np.array(rows["scores"].combine_chunks().flatten()).reshape(len(rows), -1)
        ordered = np.sort(scores, axis=1)
        known = pa.array(names)
        return cls(
            np.array(rows["image_id"].to_pylist(), object),
            pc.index_in(rows["label"], value_set=known).to_numpy(),
            pc.index_in(rows["predicted"], value_set=known).to_numpy(),
            names,
            scores,
            ordered[:, -1] - ordered[:, -2],
        )

    def surest(self, rows: np.ndarray) -> np.ndarray:
        """Rows in descending order of their margins."""
        return rows[np.argsort(-self.margins[rows], kind="stable")]


def _predictions(warehouse: Warehouse) -> dict[str, Any] | None:
    """The confusion matrix with images of each cell, the surest errors, and the steps of some images.

    Of more than `CLASSES` classes, the matrix has those with the most images. Without an image whose label is known,
    there is None.
    """
    version, inputs = _inputs(warehouse, "predictions")
    predictions = warehouse.read("predictions", version)
    predictions = predictions.filter(pc.is_valid(predictions["label"]))
    if not len(predictions):
        return None
    classes = warehouse.read("classifier", inputs.get("classifier"), columns=["class"])["class"].to_pylist()
    labels, predicted = (predictions[name].to_pylist() for name in ("label", "predicted"))
    counts, names = confusion_counts(labels, predicted, classes)
    judged = _Judged.of(predictions, names)
    shown = np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:CLASSES])
    cells = _cells(judged, shown)
    errors = judged.surest(np.flatnonzero(judged.labels != judged.predicted))[:ERRORS]
    examples = _examples(judged, shown)
    rows = np.array(list(dict.fromkeys([*examples, *errors, *(row for cell in cells for row in cell)])))
    pixels = _pixels(warehouse, inputs.get("images"), judged.image_ids[rows])
    places = {row: place for place, row in enumerate(rows)}
    right, total = int(np.trace(counts)), int(counts.sum())
    accuracy = wilson_interval(right, total)
    return {
        "version": version,
        "names": [_shown_text(name) for name in names],
        "classes": [names.index(name) for name in classes],
        "right": right,
        "total": total,
        "accuracy": [accuracy.mean, accuracy.low, accuracy.high],
        "shown": shown.tolist(),
        "counts": packed(counts.astype(np.uint32)),
        "cells": [[places[row] for row in cell] for cell in cells],
        "errors": [places[row] for row in errors],
        "of_a_cell": OF_A_CELL,
        "image_ids": [_shown_text(image_id) for image_id in judged.image_ids[rows]],
        "label": judged.labels[rows].tolist(),
        "predicted": judged.predicted[rows].tolist(),
        "scores": packed(judged.scores[rows].astype(np.float32)),
        "sprite": sprite(_small(pixels)),
        "pipeline": _pipeline(_encoder(warehouse, inputs), pixels[: len(examples)]),
    }


def _cells(judged: _Judged, shown: np.ndarray) -> list[list[int]]:
    """The surest images of each cell of the matrix of the classes shown, row by row."""
    cells = []
    for label in shown:
        of_label = judged.surest(np.flatnonzero(judged.labels == label))
        cells += [of_label[judged.predicted[of_label] == predicted][:OF_A_CELL].tolist() for predicted in shown]
    return cells


def _examples(judged: _Judged, shown: np.ndarray) -> list[int]:
    """The images whose steps are shown: the first of each class, then the next of each, until there are enough."""
    firsts = [np.flatnonzero(judged.labels == label)[:EXAMPLES].tolist() for label in shown]
    in_turn = [rows[turn] for turn in range(EXAMPLES) for rows in firsts if turn < len(rows)]
    return in_turn[:EXAMPLES]


def _pixels(warehouse: Warehouse, version: int | None, image_ids: Sequence[str]) -> np.ndarray:
    """The images with these ids, in this order: (n, height, width, 3) uint8."""
    wanted = pa.array(list(image_ids), pa.string())
    found = []
    for batch in warehouse.stream("images", version, columns=["image_id", "height", "width", "pixels"]):
        found.append(batch.filter(pc.is_in(batch["image_id"], value_set=wanted)))
    rows = pa.Table.from_batches(found)
    return pixels_of(rows.take(pc.index_in(wanted, value_set=rows["image_id"].combine_chunks())))


def _small(pixels: np.ndarray) -> np.ndarray:
    """Images no larger than the sprite's tiles, in their own proportions."""
    height, width = pixels.shape[1:3]
    scale = min(1, SIDE / max(height, width))
    return reduced(pixels, *(max(1, round(scale * side)) for side in (height, width)))


def _pipeline(encoder: Encoder, pixels: np.ndarray) -> dict[str, Any]:
    """The steps of images (n, height, width, 3), at the filters that respond to each more than to the others.

    Responses and encodings are levels of the largest absolute value of their map; features are levels of the largest.
    """
    given = encoder.parameters
    features = encoder.features(pixels)
    pooled = features.reshape(len(pixels), given.pools**2, -1, len(encoder.filters))
    means = pooled.mean(axis=(1, 2))
    typical = np.maximum(means.mean(axis=0), np.finfo(np.float32).tiny)
    filters = np.argsort(-means / typical, axis=1, kind="stable")[:, :MAPS]
    steps = [_maps(encoder, image, chosen) for image, chosen in zip(pixels, filters, strict=True)]
    largest = float(features.max(initial=0))
    return {
        "images": len(pixels),
        "image_shape": list(pixels.shape[1:]),
        "shape": steps[0]["shape"],
        "map_shape": list(steps[0]["responses"].shape[1:]),
        "encoding": given.encoding,
        "offset": given.offset,
        "pools": given.pools,
        "signs": pooled.shape[2],
        "power": given.power,
        "mirrored": given.mirrored,
        "patch_size": given.patch_size,
        "filter_count": len(encoder.filters),
        "filters": packed(filters.astype(np.uint32)),
        "kernels": packed(_over_range(encoder.filters[filters.ravel()])),
        "responses": packed(np.stack([step["responses"] for step in steps])),
        "encoded": packed(np.stack([step["encoded"] for step in steps])),
        "largest_responses": packed(np.stack([step["largest_responses"] for step in steps])),
        "largest_encoded": packed(np.stack([step["largest_encoded"] for step in steps])),
        "features": packed(np.rint(255 * features / max(largest, 1e-12)).astype(np.uint8)),
        "largest_feature": largest,
    }


def _maps(encoder: Encoder, image: np.ndarray, filters: np.ndarray) -> dict[str, Any]:
    """Levels of the responses (filters, rows, columns) of some filters, and of their encodings.

    What two signs encode is one map: what exceeds the offset is above 0, what is below minus the offset below. Of maps
    with many rows or columns, every second (third, ...) one is kept.
    """
    steps = encoding_steps(encoder, image, filters)
    encoded = steps.encoded[0] - steps.encoded[1] if len(steps.encoded) > 1 else steps.encoded[0]
    apart = -(-max(encoded.shape[:2]) // MAP_SIDE)
    maps = [np.moveaxis(each[::apart, ::apart], 2, 0) for each in (steps.responses, encoded)]
    responses, encoded_maps = (each.reshape(len(filters), -1) for each in maps)
    return {
        "shape": list(encoded.shape[:2]),
        "responses": _over_range(responses).reshape(maps[0].shape),
        "encoded": _over_range(encoded_maps).reshape(maps[1].shape),
        "largest_responses": np.abs(responses).max(axis=1).astype(np.float32),
        "largest_encoded": np.abs(encoded_maps).max(axis=1).astype(np.float32),
    }


def _street_fight(warehouse: Warehouse) -> dict[str, Any]:
    """The rows of `street_fight`, without what each seed gave."""
    version = warehouse.head("street_fight")
    rows = warehouse.read("street_fight", version).drop_columns(["values", "seconds"]).to_pylist()
    return {"version": version, "rows": rows}


def _baselines(warehouse: Warehouse) -> dict[str, Any]:
    """The rows of `feature_baselines`."""
    version = warehouse.head("feature_baselines")
    rows = warehouse.read("feature_baselines", version).drop_columns(["seconds"]).to_pylist()
    return {"version": version, "rows": rows}
