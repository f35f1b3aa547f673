import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taproom.errors import InputError
from taproom.images.convolution import (
    DECK_IMAGE,
    DECK_KERNEL,
    HAND_MADE,
    NONLINEARITIES,
    choose_examples,
    convolve,
    deck_example,
    flatten,
    gallery,
    pool,
    random_patch_filters,
    stack,
)

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)

numbers = st.integers(-9, 9)


def by_the_formula(image, kernel):
    """Of any number of channels, written out."""
    rows, columns = (image.shape[axis] - kernel.shape[axis] + 1 for axis in (0, 1))
    return [
        [(image[i : i + len(kernel), j : j + kernel.shape[1]] * kernel).sum() for j in range(columns)]
        for i in range(rows)
    ]


def test_the_deck_s_example_has_its_nine_values():
    assert convolve(DECK_IMAGE, DECK_KERNEL).tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]
    assert deck_example()[-1].result[0, 0, 0] == 4


@given(
    arrays(int, st.tuples(st.integers(3, 7), st.integers(3, 7)), elements=numbers),
    arrays(int, st.tuples(st.integers(1, 3), st.integers(1, 3)), elements=numbers),
)
def test_convolution_is_the_deck_s_formula_and_flips_nothing(image, kernel):
    assert convolve(image, kernel).tolist() == by_the_formula(image, kernel)


@given(arrays(int, (6, 5, 3), elements=numbers), arrays(int, (2, 4, 3), elements=numbers))
def test_channels_are_summed_over(image, kernel):
    assert convolve(image, kernel).tolist() == by_the_formula(image, kernel)


def test_the_deck_s_table_has_six_filters_that_find_edges_or_keep_brightness():
    sums = {name: kernel.sum() for name, kernel in HAND_MADE.items()}
    assert list(sums.values()) == pytest.approx([0, 0, 0, 1, 1, 1])
    grey = np.full((5, 5), 0.3)
    for name, kernel in HAND_MADE.items():
        assert convolve(grey, kernel) == pytest.approx(0.3 * sums[name])


@pytest.mark.parametrize(
    ("image", "kernel", "told"),
    [
        ((4, 4), (5, 3), "5 x 3 and an image of 4 x 4"),
        ((4, 4), (3, 5), "3 x 5 and an image of 4 x 4"),
        ((4, 4), (0, 0), "at least one number"),
        ((4, 4, 3), (3, 3), "as many channels"),
        ((4, 4, 3), (3, 3, 1), "as many channels"),
        ((4,), (3,), "height, width"),
    ],
)
def test_a_kernel_that_does_not_fit_is_refused(image, kernel, told):
    with pytest.raises(InputError, match=told):
        convolve(np.zeros(image), np.zeros(kernel))


def test_responses_are_stacked_as_channels():
    kernels = list(HAND_MADE.values())
    image = RANDOM.random((6, 7))
    stacked = stack(image, kernels)
    assert stacked.shape == (4, 5, 6)
    assert (stacked[:, :, 3] == convolve(image, kernels[3])).all()


@pytest.mark.parametrize("kernels", [[], [np.ones((2, 2)), np.ones((3, 3))]])
def test_a_stack_is_of_filters_of_one_size(kernels):
    with pytest.raises(InputError, match="all of one shape"):
        stack(np.ones((5, 5)), kernels)


@pytest.mark.filterwarnings("error")
def test_nonlinearities_are_what_they_are_called_however_large_the_response():
    responses = np.array([-1e4, -1.0, 0.0, 1.0, 1e4])
    assert NONLINEARITIES["relu"](responses).tolist() == [0, 0, 0, 1, 1e4]
    assert NONLINEARITIES["sigmoid"](responses) == pytest.approx([0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1])
    assert NONLINEARITIES["arctan"](responses) == pytest.approx([-np.pi / 2, -np.pi / 4, 0, np.pi / 4, np.pi / 2], 1e-3)


@pytest.mark.parametrize(("reduce", "wanted"), [("mean", [[2.5, 4.5]]), ("max", [[5, 7]]), ("sum", [[10, 18]])])
def test_pooling_takes_each_window_once_and_leaves_out_what_fills_none(reduce, wanted):
    responses = np.arange(15.0).reshape(3, 5)[..., None]
    responses[:2, :4, 0] = [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert pool(responses, 2, reduce)[..., 0].tolist() == wanted


@pytest.mark.parametrize(
    ("shape", "window", "reduce", "told"),
    [
        ((3, 5, 1), 4, "max", "4 x 4 and responses of 3 x 5"),
        ((3, 5, 1), 0, "max", "at least 1 x 1"),
        ((3, 5), 2, "max", "height, width, channels"),
        ((3, 5, 1), 2, "median", "one of mean, max, sum"),
    ],
)
def test_a_window_that_does_not_fit_is_refused(shape, window, reduce, told):
    with pytest.raises(InputError, match=told):
        pool(np.zeros(shape), window, reduce)


def test_random_patches_are_centred_have_length_1_and_come_again_with_their_seed():
    filters = random_patch_filters(IMAGES, seed=3)
    assert filters.shape == (64, 5, 5, 3)
    assert filters.sum(axis=(1, 2, 3)) == pytest.approx(0, abs=1e-9)
    assert (filters**2).sum(axis=(1, 2, 3)) == pytest.approx(1)
    assert (filters == random_patch_filters(IMAGES, seed=3)).all()
    assert not (filters == random_patch_filters(IMAGES, seed=4)).all()


def test_random_patches_of_constant_images_are_zero():
    assert not random_patch_filters(np.full((1, 5, 5, 3), 7, np.uint8)).any()


@pytest.mark.parametrize(
    ("shape", "told"), [((0, 9, 9, 3), "there is no image"), ((2, 4, 9, 3), "a patch of 5 x 5 pixels is larger")]
)
def test_random_patches_need_images_of_their_size(shape, told):
    with pytest.raises(InputError, match=told):
        random_patch_filters(np.zeros(shape, np.uint8))


def test_the_full_pipeline_ends_in_the_deck_s_12544_numbers():
    steps = {step.operation: step for step in gallery(IMAGES[0], random_patch_filters(IMAGES))}
    assert steps["pipeline: stack"].result.shape == (28, 28, 64)
    assert steps["pipeline: pooled"].result.shape == (14, 14, 64)
    assert steps["pipeline: vector"].result.size == 12_544
    pooled = pool(np.maximum(steps["pipeline: stack"].result, 0), 2, "max")
    assert (flatten(pooled) == steps["pipeline: vector"].result.ravel()).all()


def test_each_step_of_the_gallery_says_what_it_was_applied_to():
    steps = gallery(IMAGES[0], random_patch_filters(IMAGES))
    seen = {None}
    for step in steps:
        assert step.applied_to in seen
        seen.add(step.operation)
    assert len(seen) == len(steps) + 1
    by_name = {step.operation: step for step in steps}
    for step in steps:
        if step.kernels is not None:
            assert stack(by_name[step.applied_to].result, step.kernels) == pytest.approx(step.result)


@pytest.mark.parametrize(("shape", "fits"), [((6, 6, 3), True), ((5, 9, 3), False), ((9, 5, 3), False)])
def test_an_image_too_small_for_the_gallery_is_refused(shape, fits):
    image, filters = np.zeros(shape, np.uint8), np.ones((2, 5, 5, 3))
    if fits:
        assert gallery(image, filters)[-1].result.size == 2
    else:
        with pytest.raises(InputError, match=r"Wanted: at least 6 x 6"):
            gallery(image, filters)


def test_examples_are_one_of_each_of_the_first_labels_among_the_candidates():
    labels = np.array([2, 2, 0, 1, 1, -1, 0, 2])
    candidates = np.array([1, 1, 1, 1, 1, 1, 0, 1], bool)
    chosen = choose_examples(labels, candidates, 2, seed=1)
    assert labels[chosen].tolist() == [0, 1]
    assert chosen[0] == 2
    assert labels[choose_examples(labels, candidates, 9)].tolist() == [0, 1, 2]


def test_examples_without_labels_are_any_candidates():
    chosen = choose_examples(np.full(9, -1), np.arange(9) < 5, 3)
    assert len(set(chosen)) == 3
    assert chosen.max() < 5
    with pytest.raises(InputError, match="no training image"):
        choose_examples(np.zeros(3, int), np.zeros(3, bool), 1)
