import numpy as np
import pytest

from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.images import image_classifier, least_squares
from taproom.images.gram_tiles import fitted_gram
from taproom.images.image_classifier import ImagesToEncode, LabelledImages, empty_gram
from taproom.images.image_features import EncoderParameters, learn_encoder
from tests.planted_images import images_table, planted_images

PIXELS, NAMES = planted_images(each=60)
SMALL = EncoderParameters(filters=8, patches=500, iterations=2, patch_size=4, pools=2)
LABELLED = LabelledImages.of(images_table(PIXELS, NAMES, ["training"] * 180))
ARRAYS = ("centre", "spread", "products", "with_targets", "sums", "target_sums")


def images_to_encode():
    return ImagesToEncode(learn_encoder(PIXELS, SMALL, seed=0), PIXELS)


def upper(gram):
    gram.products = np.triu(gram.products)
    return {name: getattr(gram, name).tobytes() for name in ARRAYS} | {"weight": gram.weight}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(image_classifier, "BLOCK_IMAGES", 50)
    monkeypatch.setattr(least_squares, "TILE", 20)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_sums_are_those_of_blocks_of_the_fitted_images(small_blocks, tmp_path, workers):
    images, rows = images_to_encode(), np.flatnonzero(LABELLED.fitted)
    wanted = empty_gram(images, LABELLED)
    for start in range(0, len(rows), 50):
        block = rows[start : start + 50]
        wanted.add(images.encoder.features(PIXELS[block]), LABELLED.targets(block))
    assert upper(fitted_gram(images, LABELLED, str(tmp_path), workers)) == upper(wanted)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_cluster_gives_the_same_bits_and_is_sent_neither_features_nor_the_matrix(small_blocks, tmp_path, on_cluster):
    wanted = upper(fitted_gram(images_to_encode(), LABELLED, str(tmp_path)))
    taken_usages()
    assert upper(fitted_gram(Made(images_to_encode, ()), LABELLED, str(tmp_path))) == wanted
    centre, features, tiles = taken_usages()
    assert (features.blocks, tiles.blocks) == (4, 10)  # 162 images; 64 features are 4 parts
    assert features.largest_sent < 2 * 8 * 50 + 2_000
    assert features.largest_received < 5 * 80 + 500  # names of files
    assert tiles.largest_sent < 2 * (4 * 80 + 2 * 4 * 20) + 2_500
    assert tiles.largest_received < 4 * 20**2 + 2 * 4 * 20 + 8 * 20 * 4 + 1_500
    assert centre.bytes_received < 4 * 64 * 162 + 4_000
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
