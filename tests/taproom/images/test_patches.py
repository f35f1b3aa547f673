import numpy as np
import pytest

from taproom.errors import InputError
from taproom.images.patches import STANDARDIZATIONS, fit_whitening, mirrored_order, random_patches, standardized

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (7, 9, 13, 3), dtype=np.uint8)


def mirrored(patches, size):
    return patches.reshape(-1, size, size, 3)[:, :, ::-1].reshape(len(patches), -1)


def test_patches_are_what_is_where_they_say(monkeypatch):
    monkeypatch.setattr("taproom.images.patches.BLOCK_IMAGES", 2)
    patches = random_patches(IMAGES, 4, 300, seed=1)
    assert (patches.pixels.shape, patches.pixels.dtype) == ((300, 48), np.uint8)
    for image, row, column, pixels in zip(patches.image, patches.row, patches.column, patches.pixels, strict=True):
        np.testing.assert_array_equal(pixels, IMAGES[image, row : row + 4, column : column + 4].ravel())


def test_every_place_of_every_image_has_its_chance():
    patches = random_patches(IMAGES, 8, 3_000, seed=2)
    places = set(zip(patches.image.tolist(), patches.row.tolist(), patches.column.tolist(), strict=True))
    assert places == {(image, row, column) for image in range(7) for row in range(2) for column in range(6)}


def test_the_seed_decides_which_patches():
    first, again, other = (random_patches(IMAGES, 3, 50, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert (first.pixels != other.pixels).any()


def test_a_patch_may_be_as_large_as_the_image():
    square = np.ascontiguousarray(IMAGES[:, :, :9])
    patches = random_patches(square, 9, 5, seed=0)
    np.testing.assert_array_equal(patches.pixels, square[patches.image].reshape(5, -1))


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (IMAGES[..., 0], r"shape \(7, 9, 13\) of uint8; wanted \(images, height, width, 3\)"),
        (IMAGES[..., :1], r"\(7, 9, 13, 1\)"),
        (IMAGES.astype(np.float32), "float32"),
        (IMAGES[:0], "no image"),
        (IMAGES[:, :5], "patch of 6 x 6 pixels is larger than the images, which are 5 x 13; wanted .* at most 5"),
    ],
)
def test_images_that_no_patch_can_be_cut_out_of_are_refused(images, told):
    with pytest.raises(InputError, match=told):
        random_patches(images, 6, 10, seed=0)


def test_standardization_does_what_its_name_says():
    pixels = random_patches(IMAGES, 3, 40, seed=0).pixels
    exact = pixels.astype(np.float64)
    centred = exact - exact.mean(axis=1, keepdims=True)
    size = lambda rows: np.sqrt((rows**2).mean(axis=1, keepdims=True) + 10)  # noqa: E731
    wanted = {
        "none": exact, "whiten": exact, "de-mean": centred, "norm 1": exact / size(exact),
        "all": centred / size(centred),
    }  # fmt: skip
    assert wanted.keys() == set(STANDARDIZATIONS)
    for standardization, rows in wanted.items():
        found = standardized(pixels, standardization, contrast=10)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, rows, rtol=1e-5, atol=1e-5)


def test_flat_patches_stay_flat():
    flat = np.full((3, 27), 200, np.uint8)
    assert not standardized(flat, "all", contrast=10).any()


def test_an_unknown_standardization_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"'zca'; wanted one of none, de-mean, norm 1, whiten, all"):
        standardized(IMAGES[:, 0].reshape(7, -1), "zca", 10)


@pytest.fixture(scope="module")
def correlated():
    return (RANDOM.normal(size=(5_000, 27)) @ RANDOM.normal(size=(27, 27)) + 3).astype(np.float32)


def test_whitened_patches_and_their_mirror_images_have_the_identity_as_covariance(correlated):
    both = np.concatenate([correlated, mirrored(correlated, 3)])
    whitened = fit_whitening(correlated, "whiten", epsilon=1e-3).whiten(both)
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(whitened.T @ whitened / len(both), np.eye(27), atol=5e-3)


def test_whitening_is_symmetric_and_epsilon_holds_small_variances_down(correlated):
    weak, strong = (fit_whitening(correlated, "all", epsilon).matrix for epsilon in (1e-3, 10.0))
    np.testing.assert_allclose(weak, weak.T, atol=1e-4)
    assert np.linalg.norm(strong, 2) <= 10**-0.5 + 1e-4 < np.linalg.norm(weak, 2)


def test_whitening_a_mirror_image_mirrors_the_whitened(correlated):
    whitening = fit_whitening(correlated, "all", epsilon=0.1)
    np.testing.assert_allclose(
        whitening.whiten(mirrored(correlated, 3)), mirrored(whitening.whiten(correlated), 3), atol=1e-4
    )


@pytest.mark.parametrize("standardization", ["none", "de-mean", "norm 1"])
def test_without_whitening_patches_stay_as_they_are(correlated, standardization):
    np.testing.assert_array_equal(fit_whitening(correlated, standardization, 0.0).whiten(correlated), correlated)


def test_an_epsilon_of_0_is_refused_where_patches_do_not_vary_in_every_direction(correlated):
    without_mean = correlated - correlated.mean(axis=1, keepdims=True)
    with pytest.raises(InputError, match=r"zca_epsilon is 0.*wanted one above 0"):
        fit_whitening(without_mean, "all", epsilon=0.0)
    assert np.isfinite(fit_whitening(without_mean, "all", epsilon=0.1).whiten(without_mean)).all()


def test_the_mirrored_order_turns_lines_round_and_not_colours():
    patch = RANDOM.integers(0, 256, (4, 4, 3))
    np.testing.assert_array_equal(patch.ravel()[mirrored_order(48)], patch[:, ::-1].ravel())
