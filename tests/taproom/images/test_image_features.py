from dataclasses import asdict, replace
from itertools import product

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.errors import InputError
from taproom.images import image_features
from taproom.images.image_features import (
    BUDGETS,
    ENCODINGS,
    Encoder,
    EncoderParameters,
    encoder_of,
    learn,
    learn_encoder,
    windows_of,
)
from taproom.images.patches import STANDARDIZATIONS, standardized

RANDOM = np.random.default_rng(0)
# Smooth ones under noise, and one that is flat.
SMOOTH = RANDOM.normal(size=(40, 1, 1, 3)) * np.linspace(-60, 60, 13)[:, None] + 128
IMAGES = np.clip(SMOOTH + RANDOM.normal(0, 40, (40, 11, 13, 3)), 0, 255).astype(np.uint8)
IMAGES[3] = 200
SMALL = EncoderParameters(filters=6, patches=400, iterations=3, patch_size=4, pools=2)


def encoder(**given):
    return learn_encoder(IMAGES, replace(SMALL, **given), seed=0)


def encoded(given, filters, whitened):
    """What becomes of whitened patches (n, k): their responses (n, signs x filters)."""
    responses = whitened @ filters.T
    if given.encoding == "relu":
        return np.maximum(responses - given.offset, 0)
    if given.encoding == "two signs":
        return np.maximum(np.concatenate([responses, -responses], axis=1) - given.offset, 0)
    distances = np.linalg.norm(whitened[:, None] - filters, axis=2)
    return np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0)


def along(length, pools):
    """The windows over a side: equally far apart, of one width, the last up to the end."""
    stride = max(1, length // (pools + 1))
    return [slice(start * stride, length - (pools - 1 - start) * stride) for start in range(pools)]


def brute_force(model, image):
    """The means (windows, signs x filters) of an image, by its patches."""
    given, size = model.parameters, model.parameters.patch_size
    rows, columns = (side - size + 1 for side in image.shape[:2])
    patches = np.array([image[y : y + size, x : x + size].ravel() for y, x in product(range(rows), range(columns))])
    standard = standardized(patches, given.standardization, given.contrast).astype(np.float64)
    whitened = (standard - model.whitening.mean) @ model.whitening.matrix.astype(np.float64)
    found = encoded(given, model.filters.astype(np.float64), whitened).reshape(rows, columns, -1)
    windows = product(along(rows, given.pools), along(columns, given.pools))
    return np.array([found[window].mean(axis=(0, 1)) for window in windows])


def wanted(model, images):
    """Features (n, windows, signs x filters), of an image and its mirror image where that is asked for."""
    turns = [images, images[:, :, ::-1]] if model.parameters.mirrored else [images]
    means = np.mean([[brute_force(model, image) for image in turn] for turn in turns], axis=0)
    return means**model.parameters.power


def assert_equal(found, exact):
    assert found.dtype == np.float32
    # Where a response is just at the offset, the root of a mean makes much of its rounding error.
    np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-3 * np.abs(exact).max())


@pytest.mark.parametrize("mirrored", [True, False], ids=["mirrored", "as it is"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
def test_features_are_what_the_definition_says(standardization, encoding, mirrored):
    learned_by = "k-means" if encoding == "triangle" else "spherical k-means"
    model = encoder(standardization=standardization, encoding=encoding, mirrored=mirrored, learned_by=learned_by)
    some = IMAGES[[0, 3, 7]]
    exact = wanted(model, some)
    assert model.dimensions == exact[0].size
    assert_equal(model.features(some), exact.reshape(3, -1))


@pytest.mark.parametrize(
    "given",
    [
        {"pools": 1}, {"pools": 3}, {"pools": 8}, {"patch_size": 1, "filters": 3}, {"patch_size": 5, "pools": 3},
        {"patch_size": 11, "pools": 1}, {"offset": 0.0}, {"offset": 1.5}, {"contrast": 1000.0},
        {"power": 1.0}, {"power": 0.3}, {"learned_by": "k-means"},
        {"learned_by": "random patches", "encoding": "triangle"},
    ],
    ids=str,
)  # fmt: skip
def test_so_they_are_with_other_parameters(given):
    model = encoder(**given)
    assert_equal(model.features(IMAGES[:3]), wanted(model, IMAGES[:3]).reshape(3, -1))


@pytest.mark.parametrize("given", [{}, {"pools": 3, "encoding": "relu", "mirrored": False}], ids=str)
def test_so_they_are_with_several_blocks_of_filters_and_chunks_of_positions(monkeypatch, given):
    monkeypatch.setattr(image_features, "BLOCK_FILTERS", 3)
    model = encoder(**given, filters=6)
    assert_equal(model.features(IMAGES[:3]), wanted(model, IMAGES[:3]).reshape(3, -1))


@pytest.mark.parametrize("filters", [5, 7, 8, 10])
def test_any_number_of_filters_is_used_whole(monkeypatch, filters):
    monkeypatch.setattr(image_features, "BLOCK_FILTERS", 4)
    model = encoder(filters=filters)
    assert_equal(model.features(IMAGES[:2]), wanted(model, IMAGES[:2]).reshape(2, -1))


@pytest.mark.slow
def test_many_filters_and_positions_are_more_than_a_chunk():
    images = RANDOM.integers(0, 256, (2, 24, 30, 3), dtype=np.uint8)
    parameters = replace(SMALL, filters=700, patches=800, learned_by="random patches", encoding="triangle", pools=3)
    model = learn_encoder(images, parameters, seed=1)
    assert_equal(model.features(images), wanted(model, images).reshape(2, -1))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_image_and_its_mirror_image_have_the_same_features(encoding):
    mirrored = np.ascontiguousarray(IMAGES[:, :, ::-1])
    model = encoder(encoding=encoding)
    np.testing.assert_allclose(model.features(mirrored), model.features(IMAGES), rtol=1e-4, atol=1e-5)
    as_it_is = encoder(encoding=encoding, mirrored=False)
    assert np.abs(as_it_is.features(mirrored) - as_it_is.features(IMAGES)).max() > 0.01


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_neither_workers_nor_other_images_change_a_bit(encoding):
    model = encoder(encoding=encoding)
    together = model.features(IMAGES, n_jobs=1)
    assert model.features(IMAGES, n_jobs=2).tobytes() == together.tobytes()
    assert model.features(IMAGES, n_jobs=3).tobytes() == together.tobytes()
    apart = np.concatenate([model.features(IMAGES[place : place + 1]) for place in range(len(IMAGES))])
    assert apart.tobytes() == together.tobytes()


@pytest.mark.slow
def test_a_view_of_images_gets_what_a_copy_gets():
    model = encoder()
    views = [IMAGES[::2], IMAGES[:, ::-1], np.asfortranarray(IMAGES), np.frombuffer(IMAGES.tobytes(), np.uint8)]
    for view in views:
        shaped = view.reshape(-1, *IMAGES.shape[1:])
        assert model.features(shaped).tobytes() == model.features(np.ascontiguousarray(shaped)).tobytes()


@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
@pytest.mark.parametrize("level", [0, 200, 255])
def test_constant_images_have_features(standardization, level):
    assert np.isfinite(encoder(standardization=standardization).features(np.full_like(IMAGES[:1], level))).all()


@pytest.mark.parametrize("contrast", [0.0, -1.0, np.nan])
def test_a_contrast_that_flat_patches_cannot_be_divided_by_is_refused(contrast):
    with pytest.raises(InputError, match=rf"contrast is {contrast}; wanted a number above 0"):
        learn_encoder(IMAGES[4:], replace(SMALL, contrast=contrast), seed=0)
    with pytest.raises(InputError, match="contrast"):
        Encoder(replace(SMALL, contrast=contrast), encoder().whitening, encoder().filters)


def test_images_of_another_size_than_the_ones_learned_from_have_features():
    model = encoder()
    larger = RANDOM.integers(0, 256, (2, 16, 9, 3), dtype=np.uint8)
    assert_equal(model.features(larger), wanted(model, larger).reshape(2, -1))


@pytest.mark.parametrize(
    ("images", "given", "told"),
    [
        (IMAGES[:, :6], {"pools": 4}, "images of 6 x 13 have 3 x 10 patches of size 4, too few for 4 windows a side"),
        (IMAGES[:, :3], {}, "patch of 4 x 4 pixels is larger than the images, which are 3 x 13"),
        (IMAGES[:0], {}, "no image"),
        (IMAGES[..., 0], {}, "shape"),
        (IMAGES.astype(float), {}, "float64"),
    ],
)
def test_images_that_have_no_features_are_refused(images, given, told):
    with pytest.raises(InputError, match=told):
        encoder(**given).features(images)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"encoding": "sign"}, "'sign'; wanted one of relu, two signs, triangle"),
        ({"standardization": "zca"}, "'zca'; wanted one of none"),
        ({"learned_by": "pca"}, "'pca'; wanted one of spherical"),
        ({"patch_size": 12}, "12 x 12 pixels is larger than the images, which are 11 x 13"),
        ({"filters": 401}, "401 filters are to be made of 4"),
        ({"zca_epsilon": 0.0}, "zca_epsilon"),
    ],
)
def test_parameters_that_lead_to_no_encoder_are_refused(given, told):
    with pytest.raises(InputError, match=told):
        encoder(**given)


def test_images_that_are_constant_teach_no_filter():
    with pytest.raises(InputError, match="6 filters are to be made of 0 patches that are not flat"):
        learn_encoder(np.full((5, 8, 8, 3), 90, np.uint8), SMALL, seed=0)


def test_what_was_learned_tells_what_from():
    learned = learn(IMAGES, SMALL, seed=0, n_jobs=2)
    assert learned.patches.pixels.shape == learned.standardized.shape == (400, 48)
    assert learned.filters.patches.sum() == 400
    np.testing.assert_array_equal(learned.filters.filters, learned.encoder.filters)
    again = learn_encoder(IMAGES, SMALL, seed=0, n_jobs=1)
    assert again.filters.tobytes() == learned.encoder.filters.tobytes()
    assert (learn_encoder(IMAGES, SMALL, seed=1).filters != again.filters).any()


@pytest.mark.parametrize("standardization", STANDARDIZATIONS)
def test_grey_images_teach_filters_by_every_standardization(standardization):
    grey = (
        np.repeat(RANDOM.integers(0, 256, (60, 4, 4, 1), dtype=np.uint8), 3, axis=3).repeat(3, axis=1).repeat(3, axis=2)
    )
    model = learn_encoder(grey, replace(SMALL, standardization=standardization, patch_size=6), seed=0)
    assert np.isfinite(model.features(grey[:2])).all()


def test_the_tables_give_the_encoder_again_to_the_bit():
    model = encoder(learned_by="k-means", offset=0.3, mirrored=False)
    row = pa.Table.from_pylist([{"preset": "small", **asdict(model.parameters), "seed": 5}])
    lists = pa.list_(pa.float32())
    whitening = pa.table({"mean": model.whitening.mean, "weights": pa.array(list(model.whitening.matrix), lists)})
    half = len(model.filters) // 2
    filters = pa.concat_tables(
        pa.table({"weights": pa.array(list(rows), lists)}) for rows in (model.filters[:half], model.filters[half:])
    )
    again = encoder_of(row, whitening, filters)
    assert again.parameters == model.parameters
    assert again.features(IMAGES).tobytes() == model.features(IMAGES).tobytes()


def test_the_budgets_are_parameters():
    for name, budget in BUDGETS.items():
        assert replace(EncoderParameters(), **budget).filters > 0, name


def test_an_encoder_is_refused_before_it_sees_images():
    model = encoder()
    with pytest.raises(InputError, match="encoding is 'soft'"):
        Encoder(replace(model.parameters, encoding="soft"), model.whitening, model.filters)


@given(st.integers(1, 40), st.integers(1, 40), st.data(), st.booleans())
def test_windows_cover_all_positions_and_a_turned_image_has_the_same(rows, columns, data, mirrored):
    pools = data.draw(st.integers(1, min(rows, columns, 6)))
    windows = windows_of((rows, columns), pools, mirrored)
    assert windows.cells_of.shape == (1 + mirrored, rows * columns)
    of_position = windows.inside[:, windows.cells_of[0]].reshape(pools, pools, rows, columns)
    assert of_position.any(axis=(0, 1)).all()
    np.testing.assert_array_equal(of_position.sum(axis=(2, 3)).ravel(), windows.sizes)
    assert len(set(windows.sizes.tolist())) == 1
    np.testing.assert_array_equal(of_position[:, ::-1, :, ::-1], of_position)
    np.testing.assert_array_equal(of_position[::-1, :, ::-1], of_position)
    for window in of_position.reshape(-1, rows, columns):
        assert (window == np.outer(window.any(axis=1), window.any(axis=0))).all()
    if mirrored:
        turned = windows.inside[:, windows.cells_of[1]].reshape(pools, pools, rows, columns)
        np.testing.assert_array_equal(turned, of_position[..., ::-1])
