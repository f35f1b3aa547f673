"""The data of the page of pictures, compared with the tables that they are of."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from assets.images.filters import ENCODER
from taproom.images.convolution import HAND_MADE
from taproom.images.encoding_steps import encoding_steps
from taproom.images.image_arrays import pixels_of
from taproom.images.image_features import encoder_of
from taproom.pages import pictures_data as module
from taproom.pages.pictures_data import pictures_data
from taproom.pages.tables import LONGEST_CELL
from tests.planted_images import planted_images
from tests.shown_images import NAMES, PARAMETERS, TEST_IMAGES, publish_images
from tests.shown_tables import publish, unpacked


@pytest.fixture
def data(warehouse):
    publish_images(warehouse)
    return pictures_data(warehouse)


@pytest.fixture
def encoder(warehouse, data):
    return encoder_of(*(warehouse.read(name) for name in ("encoder", "whitening", "filters")))


def tiles(sprite: dict) -> np.ndarray:
    """The tiles of a sprite, row by row."""
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(sprite["address"].partition(",")[2]))))
    height, width, columns = sprite["height"], sprite["width"], sprite["columns"]
    lines = len(picture) // height
    return picture.reshape(lines, height, columns, width, 3).swapaxes(1, 2).reshape(-1, height, width, 3)


def test_filters_are_levels_of_their_weights(warehouse, data, encoder):
    shown = data["filters"]
    assert unpacked(shown["of_patches"]).tolist() == warehouse.read("filters")["patches"].to_pylist()
    for name, weights in (
        ("on_whitened", encoder.filters),
        ("on_pixels", encoder.filters @ encoder.whitening.matrix.T),
    ):
        levels = unpacked(shown[name]).reshape(weights.shape).astype(float)
        np.testing.assert_allclose((levels - 128) / 127, weights / np.abs(weights).max(axis=1)[:, None], atol=0.004)
    patches = [np.frombuffer(each, np.uint8) for each in warehouse.read("patches")["pixels"].to_pylist()]
    shown_patches = unpacked(shown["patches"]).reshape(-1, len(patches[0]))
    assert len(shown_patches) == module.PATCHES < shown["patch_count"] == len(patches)
    np.testing.assert_array_equal(shown_patches[[0, -1]], [patches[0], patches[-1]])


def test_hand_made_filters_are_those_of_the_gallery(warehouse, data):
    shown, rows = data["hand_made"], warehouse.read("filter_gallery").to_pylist()
    of_image = {row["operation"]: row for row in rows if row["image_id"] == "0001"}
    assert shown["labels"] == [NAMES["across"][:LONGEST_CELL], NAMES["checked"]]
    assert [each["kernel"] for each in shown["filters"]] == [of_image[name]["kernels"] for name in HAND_MADE]
    np.testing.assert_array_equal(tiles(shown["images"]) / 255, planted_images(1)[0][:2] / 255)
    responses = dict(zip(HAND_MADE, tiles(shown["responses"])[1::2], strict=True))
    for name, picture in responses.items():
        values = np.array(of_image[name]["values"]).reshape(picture.shape[:2])
        wanted = np.abs(values) / np.quantile(np.abs(values), 0.99) if name.startswith("edge") else values
        np.testing.assert_allclose(picture[..., 0] / 255, np.clip(wanted, 0, 1), atol=0.01)


def test_counts_are_those_of_the_confusion_matrix(warehouse, data):
    shown, rows = data["predictions"], warehouse.read("confusion").to_pylist()
    names = sorted({row["label"] for row in rows})
    assert shown["names"] == [name[:LONGEST_CELL] for name in names]
    counts = unpacked(shown["counts"]).reshape(len(names), -1)
    assert {(row["label"], row["predicted"]): row["images"] for row in rows} == {
        (label, predicted): counts[place, other]
        for place, label in enumerate(names)
        for other, predicted in enumerate(names)
    }
    assert shown["total"] == counts.sum() == TEST_IMAGES
    assert shown["right"] == np.trace(counts)
    low, high = shown["accuracy"][1:]
    assert low < shown["right"] / shown["total"] < high


def test_a_cell_has_its_surest_images(warehouse, data):
    shown, rows = data["predictions"], warehouse.read("predictions").to_pandas().set_index("image_id")
    scores = np.sort(np.stack(rows.scores), axis=1)
    rows["margin"] = scores[:, -1] - scores[:, -2]
    side = len(shown["shown"])
    for cell, images in enumerate(shown["cells"]):
        label, predicted = (shown["names"][place] for place in divmod(cell, side))
        of_cell = (rows.label.str[:LONGEST_CELL] == label) & (rows.predicted.str[:LONGEST_CELL] == predicted)
        wanted = rows[of_cell].sort_values("margin", ascending=False)
        assert [shown["image_ids"][image] for image in images] == wanted.index[: module.OF_A_CELL].tolist()
    wrong = rows[rows.label != rows.predicted].sort_values("margin", ascending=False)
    assert len(wrong) > 5
    assert [shown["image_ids"][image] for image in shown["errors"]] == wrong.index[: module.ERRORS].tolist()


def test_images_have_their_pixels_classes_and_scores(warehouse, data):
    shown = data["predictions"]
    rows = warehouse.read("predictions").to_pandas().set_index("image_id").loc[shown["image_ids"]]
    assert [shown["names"][place] for place in shown["label"]] == rows.label.str[:LONGEST_CELL].tolist()
    assert [shown["names"][place] for place in shown["predicted"]] == rows.predicted.str[:LONGEST_CELL].tolist()
    np.testing.assert_array_equal(unpacked(shown["scores"]).reshape(len(rows), -1), np.stack(rows.scores))
    images = warehouse.read("images")
    pixels = pixels_of(images)[[images["image_id"].to_pylist().index(name) for name in shown["image_ids"]]]
    np.testing.assert_array_equal(tiles(shown["sprite"])[: len(pixels)], pixels)


def test_steps_are_those_of_the_encoder(warehouse, data, encoder):
    shown, steps = data["predictions"], data["predictions"]["pipeline"]
    images, count = steps["images"], min(module.MAPS, PARAMETERS.filters)
    assert images == module.EXAMPLES
    pixels = tiles(shown["sprite"])[:images]
    filters = unpacked(steps["filters"]).reshape(images, count)
    features = unpacked(steps["features"]).reshape(images, -1) / 255 * steps["largest_feature"]
    np.testing.assert_allclose(features, encoder.features(pixels), atol=steps["largest_feature"] / 500)
    means = encoder.features(pixels).reshape(images, 4, 2, -1).mean(axis=(1, 2))
    for image in range(images):
        found = encoding_steps(encoder, pixels[image])
        relative = means[image] / means.mean(axis=0)
        assert filters[image].tolist() == np.argsort(-relative, kind="stable")[:count].tolist()
        for name, wanted in (("responses", found.responses), ("encoded", found.encoded[0] - found.encoded[1])):
            levels = unpacked(steps[name]).reshape(images, count, *steps["map_shape"])[image].astype(float)
            largest = unpacked(steps[f"largest_{name}"]).reshape(images, count)[image]
            maps = np.moveaxis(wanted[..., filters[image]], 2, 0)
            np.testing.assert_allclose(largest, np.abs(maps).max(axis=(1, 2)), rtol=1e-5)
            np.testing.assert_allclose((levels - 128) / 127 * largest[:, None, None], maps, atol=largest.max() / 200)


def test_tables_of_two_runs_are_not_mixed(warehouse, data):
    row = warehouse.read("encoder").to_pylist()[0]
    publish(warehouse, ENCODER, {name: [value] for name, value in {**row, "patch_size": 5}.items()})
    found = pictures_data(warehouse)
    assert found["filters"] is None
    assert found["predictions"] == data["predictions"]


def test_of_many_classes_those_with_the_most_images_are_shown(warehouse, data, monkeypatch):
    monkeypatch.setattr(module, "CLASSES", 2)
    shown = pictures_data(warehouse)["predictions"]
    assert shown["shown"] == [0, 1]
    assert len(shown["cells"]) == 4
    assert shown["total"] == data["predictions"]["total"]


def test_large_images_are_shown_smaller(monkeypatch, warehouse):
    monkeypatch.setattr(module, "SIDE", 6)
    monkeypatch.setattr(module, "MAP_SIDE", 4)
    publish_images(warehouse)
    shown = pictures_data(warehouse)["predictions"]
    assert (shown["sprite"]["width"], shown["sprite"]["height"]) == (6, 6)
    assert (shown["pipeline"]["shape"], shown["pipeline"]["map_shape"]) == ([9, 9], [3, 3])


def test_comparisons_are_their_tables(warehouse, data):
    for name, table in (("street_fight", "street_fight"), ("baselines", "feature_baselines")):
        rows = warehouse.read(table).to_pylist()
        assert len(data[name]["rows"]) == len(rows)
        for shown, row in zip(data[name]["rows"], rows, strict=True):
            assert shown.items() <= row.items()


def test_without_a_table_only_its_part_is_missing(warehouse):
    assert pictures_data(warehouse) == dict.fromkeys(
        ("filters", "hand_made", "predictions", "street_fight", "baselines")
    )
