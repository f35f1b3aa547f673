from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from assets.images.gram import GRAM
from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from taproom.images import image_classifier
from taproom.images.image_classifier import (
    PENALTIES,
    ImagesToEncode,
    ImagesToScore,
    LabelledImages,
    choose_classifier,
    classifier_of,
    confusion_counts,
    empty_gram,
    feature_blocks,
    gram_batches,
    gram_of,
    scores_of_images,
    validation_features,
)
from taproom.images.image_features import EncoderParameters, learn_encoder
from taproom.images.least_squares import Gram, LinearClassifier, Ridge, one_hot
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
    assert labelled.targets(np.array([0, 10])).tolist() == [[1, -1, -1], [-1, -1, 1]]


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


@pytest.fixture(scope="module")
def summed(encoder):
    """The sums of the fitted images, and these images."""
    labelled = LabelledImages.of(TABLE)
    gram = empty_gram(ImagesToEncode(encoder, PIXELS), labelled)
    rows = np.flatnonzero(labelled.fitted)
    gram.add(encoder.features(PIXELS[rows]), labelled.targets(rows))
    return gram, labelled


@pytest.mark.parametrize("numbers", [1, 300, 1 << 23])
def test_the_table_gives_the_sums_again_to_the_bit(monkeypatch, summed, numbers):
    monkeypatch.setattr(image_classifier, "BATCH_NUMBERS", numbers)
    gram, _ = summed
    size = len(gram.centre)
    batches = list(gram_batches(gram, GRAM.schema))
    table = pa.Table.from_batches(batches)
    assert table.schema.equals(GRAM.schema)
    assert table["feature"].to_pylist() == list(range(size + 1))
    assert [len(row) for row in table["products"].to_pylist()] == [*range(size, 0, -1), 1]
    for rows in (batches, table.to_batches(max_chunksize=5), table.combine_chunks().to_batches()):
        again = gram_of(rows, size, 3)
        for name in ("centre", "spread", "with_targets", "sums", "target_sums"):
            assert getattr(again, name).tobytes() == getattr(gram, name).tobytes(), name
        assert np.triu(again.products).tobytes() == np.triu(gram.products).tobytes()
        assert again.weight == gram.weight


def copy_of(gram):
    return gram_of(gram_batches(gram, GRAM.schema), len(gram.centre), len(gram.target_sums))


@pytest.fixture(scope="module")
def chosen(encoder, summed):
    gram, labelled = summed
    return choose_classifier(copy_of(gram), validation_features(ImagesToEncode(encoder, PIXELS), labelled))


def test_the_best_penalty_on_the_validation_images_is_chosen(encoder, summed, chosen):
    gram, labelled = summed
    assert set(PENALTIES) <= chosen.accuracies.keys()
    assert chosen.accuracies[chosen.penalty] == max(chosen.accuracies.values())
    validation = encoder.features(PIXELS[labelled.validation])
    for penalty in PENALTIES:
        answers = Ridge(gram, penalty).fit(gram, penalty).scores(validation).argmax(axis=1)
        assert chosen.accuracies[penalty] == np.mean(answers == labelled.labels[labelled.validation])


def test_it_is_fitted_to_all_training_images_in_the_end(encoder, summed, chosen):
    gram, labelled = summed
    everything, before = copy_of(gram), gram.weight
    rows = np.flatnonzero(labelled.validation)
    everything.add(encoder.features(PIXELS[rows]), labelled.targets(rows))
    penalty = chosen.penalty * everything.weight / before
    direct = Ridge(everything, penalty).fit(everything, penalty)
    features = encoder.features(PIXELS)
    np.testing.assert_allclose(chosen.classifier.scores(features), direct.scores(features), atol=2e-3)


def test_it_knows_images_that_it_was_not_fitted_to(encoder, summed, chosen):
    _, labelled = summed
    answers = scores_of_images(ImagesToScore(encoder, chosen.classifier, PIXELS[labelled.test])).argmax(axis=1)
    assert np.mean(answers == labelled.labels[labelled.test]) >= 0.9


def test_validation_images_may_come_in_blocks(monkeypatch, encoder, summed, chosen):
    gram, labelled = summed
    monkeypatch.setattr(image_classifier, "BLOCK_VALIDATION", 7)
    blocks = validation_features(ImagesToEncode(encoder, PIXELS), labelled)
    assert [len(labels) for _, labels in blocks] == [7, 7, 2]
    again = choose_classifier(copy_of(gram), blocks)
    assert (again.penalty, again.accuracies) == (chosen.penalty, chosen.accuracies)
    np.testing.assert_allclose(again.classifier.weights, chosen.classifier.weights, atol=1e-4)


def noisy(features=150, signal=0.8, common=0.0):
    """Sums of 160 images whose first features say what the class is, and 2,000 for validation.

    `common` is what all features have in common, and says nothing: only differences of features do.
    """
    random = np.random.default_rng(0)
    labels = random.integers(3, size=2_160)
    rows = random.normal(size=(2_160, features)) + signal * np.eye(3, features)[labels]
    rows = (rows + common * random.normal(size=(2_160, 1))).astype(np.float32)
    gram = Gram.like(rows[:160], 3)
    gram.add(rows[:160].copy(), one_hot(labels[:160], 3))
    return gram, [(rows[160:], labels[160:])]


def test_the_range_grows_upwards_while_that_is_better():
    found = choose_classifier(*noisy(), penalties=[1.0, 5.0])
    assert found.penalty >= 15.0
    asked = sorted(found.accuracies)
    np.testing.assert_allclose(asked[2:], 5.0 * 3.0 ** np.arange(1, len(asked) - 1))
    assert found.penalty == asked[-2]
    assert np.diff([found.accuracies[penalty] for penalty in asked[1:-1]]).min() > 0


def test_the_range_grows_downwards_while_that_is_better():
    found = choose_classifier(*noisy(features=4, signal=5.0, common=30.0), penalties=[1e3, 1e4])
    assert found.penalty == sorted(found.accuracies)[1] <= 1e3 / 3


def test_the_range_stays_where_its_middle_is_best():
    found = choose_classifier(*noisy(), penalties=[1e-3, 100.0, 1e7])
    assert (found.penalty, len(found.accuracies)) == (100.0, 3)


def test_one_penalty_is_taken_as_it_is():
    found = choose_classifier(*noisy(), penalties=[7.0])
    assert (found.penalty, list(found.accuracies)) == (7.0, [7.0])


def test_of_equally_good_penalties_the_largest_of_those_that_were_asked_for_is_taken():
    found = choose_classifier(*noisy(signal=30.0), penalties=[1.0, 2.0, 4.0])
    assert set(found.accuracies.values()) == {1.0}
    assert found.penalty == 4.0


def test_classes_that_are_easily_told_apart_have_a_classifier():
    random = np.random.default_rng(1)
    labels = random.integers(3, size=600)
    rows = (random.normal(size=(600, 300)) * np.geomspace(1, 1e-3, 300)).astype(np.float32)
    rows[:, :3] += 8 * np.eye(3, dtype=np.float32)[labels]
    rows = rows @ np.linalg.qr(random.normal(size=(300, 300)))[0].astype(np.float32)
    gram = Gram.like(rows[:500], 3)
    gram.add(rows[:500].copy(), one_hot(labels[:500], 3))
    found = choose_classifier(gram, [(rows[500:].copy(), labels[500:])])
    assert found.accuracies[found.penalty] == 1.0
    assert found.penalty <= 1_000  # not the largest at which it is still right


@pytest.mark.parametrize("penalties", [[-1.0], [3.0, -1.0, 10.0]])
def test_a_negative_penalty_is_refused(penalties):
    with pytest.raises(InputError, match=r"penalty lambda is -1.0; wanted at least 0"):
        choose_classifier(*noisy(), penalties=penalties)


def test_no_penalty_is_refused_where_features_are_more_than_images():
    with pytest.raises(InputError, match="singular at the penalty lambda 0"):
        choose_classifier(*noisy(features=200), penalties=[0.0])


@pytest.mark.filterwarnings("error")
def test_no_penalty_may_be_among_the_penalties():
    found = choose_classifier(*noisy(), penalties=[0.0, 10.0, 100.0])
    assert {0.0, 10.0, 100.0} <= found.accuracies.keys()


def test_the_table_gives_the_classifier_again():
    linear = LinearClassifier(RANDOM.normal(size=(5, 2)).astype(np.float32), np.array([1, 2], np.float32))
    rows = {"class": ["ale", "bock"], "intercept": linear.intercept}
    weights = pa.array(list(linear.weights.T), pa.list_(pa.float32()))
    again, classes = classifier_of(pa.table({**rows, "weights": weights}))
    assert classes == ["ale", "bock"]
    assert again.weights.tobytes() == linear.weights.tobytes()
    assert again.weights.flags.c_contiguous
    np.testing.assert_array_equal(again.intercept, linear.intercept)


def test_scores_come_by_blocks_and_of_no_image_there_are_none(monkeypatch, encoder, chosen):
    images = ImagesToScore(encoder, chosen.classifier, PIXELS)
    together = scores_of_images(images)
    np.testing.assert_array_equal(together, chosen.classifier.scores(encoder.features(PIXELS)))
    monkeypatch.setattr(image_classifier, "BLOCK_IMAGES", 50)
    np.testing.assert_allclose(scores_of_images(images), together, atol=1e-4)
    assert scores_of_images(images._replace(pixels=PIXELS[:0])).shape == (0, 3)


def test_confusion_counts_what_was_taken_for_what():
    labels = ["ale", "ale", "bock", None, "stout"]
    counts, names = confusion_counts(labels, ["ale", "bock", "bock", "ale", "bock"], ["ale", "bock"])
    assert names == ["ale", "bock", "stout"]
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_of_no_image_the_confusion_is_zero():
    counts, names = confusion_counts([], [], ["bock", "ale"])
    assert (counts.tolist(), names) == ([[0, 0], [0, 0]], ["ale", "bock"])


def test_another_encoder_has_other_sums(encoder, summed):
    gram, labelled = summed
    encoder_of_five = learn_encoder(PIXELS, replace(SMALL, filters=5), seed=0)
    other = empty_gram(ImagesToEncode(encoder_of_five, PIXELS), labelled)
    assert len(other.centre) == 40
    assert len(gram.centre) == encoder.dimensions == 64


def images_to_encode():
    return ImagesToEncode(learn_encoder(PIXELS, SMALL, seed=0), PIXELS)


def images_to_score():
    encoder, pixels = images_to_encode()
    weights = np.random.default_rng(0).normal(size=(encoder.dimensions, 3)).astype(np.float32)
    return ImagesToScore(encoder, LinearClassifier(weights, np.zeros(3, np.float32)), pixels)


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
    weights = np.random.default_rng(0).normal(size=(encoder.dimensions, 10)).astype(np.float32)
    images = ImagesToScore(encoder, LinearClassifier(weights, np.zeros(10, np.float32)), PIXELS)
    found = set()
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            found.add(scores_of_images(images).tobytes())
    assert len(found) == 1
