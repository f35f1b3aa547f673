"""The steps of an encoder on one image, compared with the features that it gives."""

import numpy as np
import pytest

from taproom.errors import InputError
from taproom.images import encoding_steps as module
from taproom.images.encoding_steps import encoding_steps
from taproom.images.image_features import ENCODINGS, EncoderParameters, learn_encoder, windows_of


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (30, 12, 10, 3), np.uint8)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("mirrored", [True, False])
def test_means_of_encodings_over_windows_are_the_features(images, encoding, mirrored):
    parameters = EncoderParameters(
        filters=7, patches=200, patch_size=4, pools=2, encoding=encoding, mirrored=mirrored, power=0.5
    )
    encoder = learn_encoder(images, parameters, seed=0)
    turns = [images[0], images[0][:, ::-1]] if mirrored else [images[0]]
    means = []
    for image in turns:
        steps = encoding_steps(encoder, image)
        assert steps.responses.shape == (9, 7, 7)
        windows = windows_of((9, 7), 2, mirrored=False)
        cells = windows.inside[:, windows.cells_of[0]].astype(float)  # (windows, positions)
        encoded = steps.encoded.reshape(len(steps.encoded), -1, 7)
        means.append(np.einsum("wp,spf->wsf", cells, encoded) / windows.sizes[:, None, None])
    wanted = encoder.features(images[:1]).reshape(4, -1, 7)
    np.testing.assert_allclose(np.mean(means, axis=0) ** 0.5, wanted, atol=2e-3)


def test_both_signs_are_what_exceeds_the_offset(images):
    encoder = learn_encoder(images, EncoderParameters(filters=5, patches=200, patch_size=4, offset=0.25), seed=0)
    steps = encoding_steps(encoder, images[0])
    above, below = steps.encoded
    np.testing.assert_array_equal(above, np.maximum(steps.responses - np.float32(0.25), 0))
    np.testing.assert_array_equal(below, np.maximum(-steps.responses - np.float32(0.25), 0))
    assert (above > 0).any()
    assert (below > 0).any()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_some_filters_have_the_encodings_that_they_have_among_all(images, encoding, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_PATCHES", 10)
    parameters = EncoderParameters(filters=7, patches=200, patch_size=4, encoding=encoding)
    encoder, chosen = learn_encoder(images, parameters, seed=0), np.array([5, 0])
    steps, some = encoding_steps(encoder, images[0]), encoding_steps(encoder, images[0], chosen)
    np.testing.assert_allclose(some.responses, steps.responses[..., chosen], atol=1e-5)
    np.testing.assert_allclose(some.encoded, steps.encoded[..., chosen], atol=1e-4)


def test_an_image_smaller_than_a_patch_is_refused(images):
    encoder = learn_encoder(images, EncoderParameters(filters=5, patches=200, patch_size=4), seed=0)
    with pytest.raises(InputError, match="larger than the images"):
        encoding_steps(encoder, images[0, :3])
