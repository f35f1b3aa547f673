import numpy as np

from taproom.images.outlier_experiment import noise_images, wild_targets, wrong_labels


def test_only_so_many_are_spoilt_and_the_originals_stay():
    random = np.random.default_rng(0)
    labels = np.arange(200) % 4
    assert np.sum(wrong_labels(labels, 4, 0.25, random) != labels) == 50
    images = np.zeros((50, 4, 4, 3), np.uint8)
    spoilt = noise_images(images, 0.2, random)
    assert np.sum(spoilt.any(axis=(1, 2, 3))) == 10
    assert not images.any()
    targets = np.ones((100, 3), np.float32)
    wild = wild_targets(targets, 0.1, random)
    assert np.sum((wild != 1).all(axis=1)) == 10
    assert np.sum((wild == 1).all(axis=1)) == 90
    assert np.abs(wild).max() > 10
