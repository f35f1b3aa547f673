from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from assets.images.image_features import CONTRACT as IMAGE_FEATURES
from assets.images.landmarks import CONTRACT as LANDMARKS
from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from taproom.images import image_classifier
from taproom.images.image_classifier import (
    ImagesToEncode,
    ImagesToScore,
    LabelledImages,
    choose_landmarks,
    classifier_of,
    confusion_counts,
    feature_blocks,
    known_features,
    scores_of_images,
    with_progress,
)
from taproom.images.image_features import EncoderParameters, learn_encoder
from taproom.images.landmark_regression import KernelClassifier, LandmarkKernel
from taproom.images.landmarks import Landmarks
from taproom.progress import progress_reported
from tests.planted_images import CLASSES, images_table, planted_images

RANDOM = np.random.default_rng(0)
PIXELS, NAMES = planted_images(each=60)
TABLE = images_table(PIXELS, NAMES, ["test" if place % 9 == 0 else "training" for place in range(180)])
SMALL = EncoderParameters(filters=8, patches=500, iterations=2, patch_size=4, pools=2)


@pytest.fixture(scope="module")
def encoder():
    return learn_encoder(PIXELS, SMALL, seed=0)


def with_labels(labels, splits=None):
    return images_table(PIXELS[: len(labels)], labels, splits or ["training"] * len(labels))


def test_each_image_is_fitted_to_or_for_validation_or_for_the_test():
    labelled = LabelledImages.of(TABLE)
    np.testing.assert_array_equal(labelled.fitted.astype(int) + labelled.validation + labelled.test, np.ones(180))
    np.testing.assert_array_equal(labelled.test, np.arange(180) % 9 == 0)
    assert labelled.classes == list(CLASSES)
    assert [labelled.classes[label] for label in labelled.labels] == NAMES


def test_a_tenth_of_each_class_is_for_validation():
    labelled = LabelledImages.of(TABLE)
    training = np.bincount(labelled.labels[~labelled.test])
    validation = np.bincount(labelled.labels[labelled.validation])
    assert validation.tolist() == [round(count / 10) for count in training]


def test_the_split_does_not_depend_on_the_order_or_on_other_classes():
    ids = np.array(TABLE["image_id"].to_pylist())

    def chosen(table):
        return set(np.array(table["image_id"].to_pylist())[LabelledImages.of(table).validation])

    everything = chosen(TABLE)
    order = RANDOM.permutation(180)
    assert chosen(TABLE.take(order)) == everything
    two = TABLE.filter(pa.array([name != "down" for name in NAMES]))
    assert chosen(two) == {name for name in everything if NAMES[ids.tolist().index(name)] != "down"}


def test_images_without_a_label_are_for_nothing():
    labelled = LabelledImages.of(with_labels([None, None, *NAMES[2:30]]))
    assert not (labelled.fitted | labelled.validation | labelled.test)[:2].any()
    assert labelled.labels[:2].tolist() == [-1, -1]


def test_a_class_that_is_in_the_test_only_is_known_and_not_trained():
    labels, splits = ["ale", "bock"] * 5 + ["stout"], ["training"] * 10 + ["test"]
    labelled = LabelledImages.of(with_labels(labels, splits))
    assert labelled.classes == ["ale", "bock", "stout"]
    assert np.bincount(labelled.labels[labelled.validation]).tolist() == [1, 1]
    assert labelled.training.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("labels", "splits", "told"),
    [
        (["ale"] * 5, None, r"of 1 classes \(ale\); wanted at least two"),
        (["ale", "ale", "bock"], ["training", "training", "test"], r"of 1 classes \(ale\)"),
        ([None] * 3, None, "of 0 classes"),
        (["ale", "bock"], ["test"] * 2, "of 0 classes"),
        (["ale", "ale", "bock"], None, "single training image of the class 'bock'; wanted at least two of each"),
    ],
)
def test_images_that_no_classifier_can_be_fitted_to_are_refused(labels, splits, told):
    with pytest.raises(InputError, match=told):
        LabelledImages.of(with_labels(labels, splits))


def test_features_come_block_by_block(monkeypatch, encoder):
    monkeypatch.setattr(image_classifier, "BLOCK_IMAGES", 7)
    rows = np.array([5, 1, 90, 91, 92, 93, 94, 20, 179])
    blocks = list(feature_blocks(ImagesToEncode(encoder, PIXELS), rows, 2))
    assert [len(block) for block, _ in blocks] == [7, 2]
    np.testing.assert_array_equal(np.concatenate([block for block, _ in blocks]), rows)
    np.testing.assert_array_equal(np.concatenate([found for _, found in blocks]), encoder.features(PIXELS[rows]))


def test_a_bar_counts_the_images_of_the_blocks(monkeypatch, encoder):
    monkeypatch.setattr(image_classifier, "BLOCK_IMAGES", 7)
    rows, lines = np.arange(9), []
    with progress_reported(lines.append):
        shown = list(with_progress(feature_blocks(ImagesToEncode(encoder, PIXELS), rows, 1), len(rows)))
    np.testing.assert_array_equal(np.concatenate([block for block, _ in shown]), rows)
    assert (lines[0], lines[-1]) == ("features: 0%", "features: 100%")


def classifier(encoder, landmarks=20, seed=0):
    """One with random weights."""
    random = np.random.default_rng(seed)
    kernel = LandmarkKernel(Landmarks.of(encoder.features(PIXELS[:landmarks])), 5.0)
    weights = random.normal(size=(landmarks, 3)).astype(np.float32)
    return KernelClassifier(kernel, weights, np.zeros(3, np.float32), temperature=0.4)


def test_known_features_are_those_of_the_table_and_else_computed(encoder, stored):
    rows = np.array([0, 3, 4, 50, 179])
    features = encoder.features(PIXELS)
    splits, labels = TABLE["split"], TABLE["label"]
    table = IMAGE_FEATURES.table_of(image_id=TABLE["image_id"], split=splits, label=labels, features=list(-features))
    images = ImagesToEncode(encoder, PIXELS)
    for kept, wanted in ((table, -features), (table.slice(0, 0), features)):
        blocks = list(known_features(images, stored(IMAGE_FEATURES, kept), rows, 2))
        np.testing.assert_array_equal(np.concatenate([block for block, _ in blocks]), rows)
        np.testing.assert_allclose(np.concatenate([found for _, found in blocks]), wanted[rows], atol=1e-6)


def test_landmarks_are_some_of_the_fitted_images_and_their_kernel_fits_in_memory(monkeypatch):
    labelled = LabelledImages.of(TABLE)
    found = choose_landmarks(labelled, 30, seed=0)
    assert len(found) == 30
    assert labelled.fitted[found].all()
    assert (np.diff(found) > 0).all()
    assert found.tolist() != choose_landmarks(labelled, 30, seed=1).tolist()
    images = len(labelled.training)
    assert choose_landmarks(labelled, images - 1, seed=0).tolist() == np.flatnonzero(labelled.fitted).tolist()
    everything = [*np.flatnonzero(labelled.fitted), *np.flatnonzero(labelled.validation)]
    assert choose_landmarks(labelled, images, seed=0).tolist() == everything
    monkeypatch.setattr(image_classifier, "MOST_KERNEL_BYTES", 4 * 7 * (images + 3 * 7) + 1)
    assert [len(choose_landmarks(labelled, count, seed=0)) for count in (5, 30, images)] == [5, 7, 7]


def test_the_tables_give_the_classifier_again(encoder, stored):
    given = classifier(encoder)
    ids = [f"{place:04}" for place in range(20)]
    landmarks = stored(LANDMARKS, LANDMARKS.table_of(image_id=ids, features=list(encoder.features(PIXELS[:20]))))
    rows = {"class": list(CLASSES), "intercept": given.intercept, "width": [5.0] * 3, "temperature": [0.4] * 3}
    weights = pa.array(list(given.weights.T), pa.list_(pa.float32()))
    again = classifier_of(pa.table({**rows, "weights": weights}), landmarks)
    assert again.temperature == 0.4
    features = encoder.features(PIXELS)
    assert again.scores(features).tobytes() == given.scores(features).tobytes()


def test_scores_come_by_blocks_and_of_no_image_there_are_none(monkeypatch, encoder):
    images = ImagesToScore(encoder, classifier(encoder), PIXELS)
    together = scores_of_images(images)
    np.testing.assert_array_equal(together, images.classifier.scores(encoder.features(PIXELS)))
    monkeypatch.setattr(image_classifier, "BLOCK_IMAGES", 50)
    np.testing.assert_allclose(scores_of_images(images, n_jobs=2), together, atol=1e-4)
    assert scores_of_images(images._replace(pixels=PIXELS[:0])).shape == (0, 3)


def test_confusion_counts_what_was_taken_for_what():
    labels = ["ale", "ale", "bock", None, "stout"]
    counts, names = confusion_counts(labels, ["ale", "bock", "bock", "ale", "bock"], ["ale", "bock"])
    assert names == ["ale", "bock", "stout"]
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_of_no_image_the_confusion_is_zero():
    counts, names = confusion_counts([], [], ["bock", "ale"])
    assert (counts.tolist(), names) == ([[0, 0], [0, 0]], ["ale", "bock"])


def images_to_encode():
    return ImagesToEncode(learn_encoder(PIXELS, SMALL, seed=0), PIXELS)


def images_to_score():
    encoder, pixels = images_to_encode()
    return ImagesToScore(encoder, classifier(encoder), pixels)


@pytest.mark.slow
def test_features_and_scores_are_the_same_on_a_cluster(on_cluster, monkeypatch):
    monkeypatch.setattr(image_classifier, "BLOCK_IMAGES", 50)
    monkeypatch.setattr(image_classifier, "SENT_BYTES", 4 * 64 * 20)
    rows = np.arange(180)[::-1]
    taken_usages()
    here = list(feature_blocks(images_to_encode(), rows))
    there = list(feature_blocks(Made(images_to_encode, ()), rows))
    assert [block.tolist() for block, _ in there] == [block.tolist() for block, _ in here]
    assert [found.tobytes() for _, found in there] == [found.tobytes() for _, found in here]
    scores = scores_of_images(images_to_score())
    assert scores_of_images(Made(images_to_score, ())).tobytes() == scores.tobytes()
    features, scored = taken_usages()
    assert (features.blocks, scored.blocks) == (3 * 3 + 2, 4)
    assert features.largest_sent < 8 * 20 + 2_000
    assert features.largest_received < 4 * 64 * 20 + 1_000
    assert scored.largest_sent < 8 * 50 + 2_000
    assert scored.bytes_received < scores.nbytes + 4 * 1_000


def test_scores_do_not_depend_on_the_threads_of_blas():
    many = replace(SMALL, filters=1041, patches=2_500, learned_by="random patches", pools=1)
    encoder = learn_encoder(PIXELS, many, seed=0)
    images = ImagesToScore(encoder, classifier(encoder, landmarks=101), PIXELS)
    found = set()
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            found.add(scores_of_images(images).tobytes())
    assert len(found) == 1
