import numpy as np
import pytest
from sklearn.cluster import KMeans

from taproom.errors import InputError
from taproom.images.filters import FILTERS, learn_filters

RANDOM = np.random.default_rng(0)
# More than two of the blocks that are worked through side by side.
PATCHES = (RANDOM.normal(size=(20_000, 12)) * np.linspace(2, 0.2, 12)).astype(np.float32)
FEW = PATCHES[:600]


def lengths(rows):
    return np.linalg.norm(rows, axis=1)


def in_order(rows):
    return rows[np.lexsort(rows.T)]


def test_k_means_from_the_same_start_comes_to_scikit_learns_centroids():
    start = learn_filters(PATCHES, 20, "k-means", iterations=0).filters
    found = learn_filters(PATCHES, 20, "k-means", iterations=6)
    peer = KMeans(20, init=start, n_init=1, max_iter=6, tol=0, algorithm="lloyd").fit(PATCHES)
    np.testing.assert_allclose(in_order(found.filters), in_order(peer.cluster_centers_), atol=2e-3)
    assert found.inertia == pytest.approx(peer.inertia_ / len(PATCHES), rel=1e-4)
    np.testing.assert_allclose(found.patches, np.sort(np.bincount(peer.labels_))[::-1], atol=10)


def test_a_pass_of_spherical_k_means_is_the_formulas():
    start = learn_filters(FEW, 10, "spherical k-means", iterations=0)
    found = learn_filters(FEW, 10, "spherical k-means", iterations=1)
    sums = start.filters.astype(np.float64)
    for patch in FEW:
        responses = start.filters @ patch
        best = np.abs(responses).argmax()
        sums[best] += responses[best] * patch
    wanted = sums / lengths(sums)[:, None]
    np.testing.assert_allclose(in_order(found.filters), in_order(wanted), atol=1e-5)
    responses = FEW @ wanted.T
    assert found.inertia == pytest.approx(float((lengths(FEW) ** 2 - (responses**2).max(axis=1)).mean()), rel=1e-5)
    counts = np.bincount(np.abs(responses).argmax(axis=1), minlength=10)
    assert found.patches.tolist() == sorted(counts.tolist(), reverse=True)


@pytest.mark.parametrize("learned_by", ["k-means", "spherical k-means"])
def test_passes_bring_filters_nearer_to_the_patches(learned_by):
    inertia = [learn_filters(PATCHES, 30, learned_by, iterations).inertia for iterations in (0, 1, 4, 12)]
    assert inertia == sorted(inertia, reverse=True)


def test_planted_directions_are_found_whichever_their_sign():
    planted = np.linalg.qr(RANDOM.normal(size=(12, 12)))[0][:4]
    rows = RANDOM.integers(4, size=2_000)
    patches = planted[rows] * RANDOM.choice([-3, 3], size=(2_000, 1)) + RANDOM.normal(0, 0.1, (2_000, 12))
    found = min(
        (learn_filters(patches.astype(np.float32), 4, "spherical k-means", seed=seed) for seed in range(5)),
        key=lambda filters: filters.inertia,
    )
    np.testing.assert_allclose(np.abs(found.filters @ planted.T).max(axis=1), 1, atol=0.01)


def test_random_patches_are_patches_of_length_one():
    found = learn_filters(FEW, 15, "random patches", iterations=10)
    cosines = found.filters @ (FEW / lengths(FEW)[:, None]).T
    assert len(np.unique(cosines.argmax(axis=1))) == 15
    np.testing.assert_allclose(cosines.max(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("learned_by", FILTERS)
def test_any_number_of_workers_gives_the_same_bits(learned_by):
    alone = learn_filters(PATCHES, 24, learned_by, iterations=3, n_jobs=1)
    for workers in (2, 3):
        found = learn_filters(PATCHES, 24, learned_by, iterations=3, n_jobs=workers)
        assert found.filters.tobytes() == alone.filters.tobytes()
        assert (found.patches.tolist(), found.inertia) == (alone.patches.tolist(), alone.inertia)


@pytest.mark.parametrize("learned_by", FILTERS)
def test_filters_are_sorted_by_use_and_stand_for_all_patches(learned_by):
    found = learn_filters(FEW, 9, learned_by, seed=3)
    assert (found.filters.shape, found.filters.dtype) == ((9, 12), np.float32)
    assert found.patches.sum() == len(FEW)
    assert (np.diff(found.patches) <= 0).all()
    if learned_by != "k-means":
        np.testing.assert_allclose(lengths(found.filters), 1, rtol=1e-5)


def test_the_seed_decides_the_start():
    first, again, other = (learn_filters(FEW, 5, "k-means", 2, seed).filters for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_filter_without_a_patch_starts_again():
    twice = np.repeat(np.eye(3, 12, dtype=np.float32) * 5, [500, 30, 1], axis=0)
    found = learn_filters(twice, 3, "k-means", iterations=40)
    assert found.patches.tolist() == [500, 30, 1]
    assert found.inertia == pytest.approx(0, abs=1e-5)


def test_more_filters_than_patches_are_refused():
    with pytest.raises(InputError, match=r"601 filters are to be made of 600 patches.*more patches than filters"):
        learn_filters(FEW, 601, "k-means")
    assert learn_filters(FEW, 600, "k-means", iterations=1).inertia == pytest.approx(0, abs=1e-4)


def test_flat_patches_make_no_filter_and_do_no_harm():
    flat = np.zeros((300, 12), np.float32)
    with pytest.raises(InputError, match=r"1 filters are to be made of 0 patches that are not flat \(300 in all\)"):
        learn_filters(flat, 1, "spherical k-means")
    found = learn_filters(np.concatenate([flat, FEW]), 20, "spherical k-means")
    assert np.isfinite(found.filters).all()
    np.testing.assert_allclose(lengths(found.filters), 1, rtol=1e-5)


def test_an_unknown_way_to_learn_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="'pca'; wanted one of spherical k-means, k-means, random patches"):
        learn_filters(FEW, 3, "pca")
