from dataclasses import replace

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.images.classifier import CONTRACT, better_than_the_largest_class
from pipelines.records import newest_materialization
from taproom.errors import InputError
from taproom.images.image_arrays import pixels_of
from taproom.images.image_classifier import LabelledImages, classifier_of
from taproom.images.image_features import encoder_of
from taproom.images.landmark_regression import LandmarkRegression
from taproom.images.least_squares import one_hot
from taproom.warehouse.table_version import TableVersion
from tests.planted_images import LEARNED, QUICK, few_test_images, planted_images, write_images

WRONG = {"across": "down", "down": "checked", "checked": "across"}
SPLITS = few_test_images(120)


def of_the_test(label_of):
    """What makes other labels of those of the test images."""
    return lambda labels: [
        label_of(label) if split == "test" else label for label, split in zip(labels, SPLITS, strict=True)
    ]


@pytest.fixture
def read_images(tmp_path, make):
    """Makes the tables that the classifier is made of, of planted images; or again, with other labels."""

    def run(label_of=None):
        pixels, planted = planted_images(each=40)
        labels = planted if label_of is None else label_of(planted)
        path = tmp_path / "planted.parquet"
        write_images(path, pixels, labels, SPLITS)
        make("images", images={"source": "files", "path": str(path)})
        make(*LEARNED, "image_features", "landmarks", filters=QUICK)

    return run


@pytest.fixture
def fit(make):
    return lambda **given: make("classifier", classifier={"workers": 2, **given})


def told(instance):
    metadata = newest_materialization(instance, dg.AssetKey("classifier")).asset_materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def test_the_classifier_is_the_one_of_all_training_images(read_images, fit, warehouse, instance, subtests):
    read_images()
    assert fit().success
    table, images, features = (warehouse.read(name) for name in ("classifier", "images", "image_features"))
    labelled = LabelledImages.of(images)
    training = labelled.fitted | labelled.validation
    with subtests.test("the table keeps its contract"):
        assert table.schema.equals(CONTRACT.schema)
        assert table["class"].to_pylist() == ["across", "checked", "down"]
        counts = np.bincount(labelled.labels[training]).tolist()
        assert table["images"].to_pylist() == counts
        for name in ("width", "penalty", "temperature", "calibration_error"):
            assert len(set(table[name].to_pylist())) == 1
    rows = np.array(features["features"].to_pylist(), np.float32)
    version = TableVersion(warehouse.root, "landmarks", warehouse.head("landmarks"))
    fitted = classifier_of(table, version)
    with subtests.test("its weights are those of a direct fit"):
        penalty = table["penalty"][0].as_py() * training.sum() / labelled.fitted.sum()
        ids = features["image_id"].to_pylist()
        landmarks = np.array([ids.index(each) for each in warehouse.read("landmarks")["image_id"].to_pylist()])
        order = np.concatenate([np.setdiff1d(np.flatnonzero(training), landmarks), landmarks])
        targets = one_hot(labelled.labels[order], 3)
        regression = LandmarkRegression(fitted.kernel.of(rows[order]))
        direct = regression.fit(targets - targets.mean(axis=0), np.ones(len(targets), bool), penalty)
        wanted = fitted.kernel.of(rows) @ direct + targets.mean(axis=0)
        np.testing.assert_allclose(fitted.scores(rows), wanted, atol=0.02)
    with subtests.test("it is right about images that it does not know"):
        answers = fitted.scores(rows[labelled.test]).argmax(axis=1)
        assert np.mean(answers == labelled.labels[labelled.test]) >= 0.9
    with subtests.test("what was chosen is told, with a figure"):
        metadata = told(instance)
        assert metadata["validation_images"] == labelled.validation.sum()
        for name in ("width", "penalty", "temperature", "calibration_error"):
            assert metadata[name] == table[name][0].as_py()
        assert metadata["classes_not_trained"] == []
        assert "figure" in metadata
    with subtests.test("made again, with other workers, it is the same"):
        fit(workers=1)
        assert warehouse.head("classifier") == 0
    with subtests.test("if the labels of test images are others, the classifier is the same"):
        read_images(of_the_test(WRONG.get))
        fit()
        assert (warehouse.head("images"), warehouse.head("classifier")) == (1, 0)
    with subtests.test("if training has none of their class, that is told and never the answer"):
        read_images(of_the_test(lambda _: "zebra"))
        fit()
        table = warehouse.read("classifier")
        assert table["class"].to_pylist() == ["across", "checked", "down", "zebra"]
        assert table["images"].to_pylist() == [*counts, 0]
        assert told(instance)["classes_not_trained"] == ["zebra"]
        fitted = classifier_of(table, replace(version, version=warehouse.head("landmarks")))
        encoder = encoder_of(*(warehouse.read(name) for name in ("encoder", "whitening", "filters")))
        assert 3 not in fitted.scores(encoder.features(pixels_of(warehouse.read("images")))).argmax(axis=1)
    with subtests.test("the widths and penalties that are asked for are compared"):
        fit(penalties=[42.0], widths=[3.0])
        assert set(warehouse.read("classifier")["penalty"].to_pylist()) == {42.0}
    with subtests.test("a penalty that is none is refused, and what was made stays"):
        before = warehouse.head("classifier")
        with pytest.raises(InputError, match=r"penalty lambda is -1.0; wanted a number above 0"):
            fit(penalties=[-1.0])
        assert warehouse.head("classifier") == before


@pytest.mark.parametrize(("accuracy", "passed"), [(0.8, True), (0.75, False)])
def test_a_classifier_that_knows_only_how_frequent_classes_are_is_warned_of(accuracy, passed):
    rows = [{"class": "ale", "images": 3}, {"class": "stout", "images": 1}]
    table = pa.Table.from_pylist([{**row, "validation_accuracy": accuracy} for row in rows], CONTRACT.schema)
    result = better_than_the_largest_class(table)
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert result.metadata["of_the_best_guess"].value == 0.75
