import numpy as np

from taproom.images.stored_features import StoredFeatures


def test_blocks_are_given_again_as_often_as_wanted_whatever_is_done_to_them():
    random = np.random.default_rng(0)
    given = [random.normal(size=(rows, 5)).astype(np.float32) for rows in (4, 1, 3)]
    stored = StoredFeatures()
    for features in given:
        stored.add(features)
    for _ in range(2):
        for features, wanted in zip(stored, given, strict=True):
            np.testing.assert_array_equal(features, wanted)
            features[:] = 0


def test_of_no_image_there_is_no_block():
    assert not list(StoredFeatures())
