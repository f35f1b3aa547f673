from itertools import product

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.images.predictions import CONFUSION, PREDICTIONS, classifier_beats_chance, every_class_is_predicted
from pipelines.records import newest_materialization
from taproom.images.calibration import probabilities
from tests.planted_images import CLASSES, FITTED, LEARNED, QUICK, few_test_images, planted_images, write_images

SPLITS = few_test_images(120)
# One of each split without a label, and two test images of a class that training has not.
UNUSUAL = {1: None, 4: None, 8: "zebra", 100: "zebra"}


@pytest.fixture
def read_images(tmp_path, make):
    """Makes the table of 120 planted images, some of them unusual."""

    def run(splits, unusual=UNUSUAL):
        pixels, planted = planted_images(each=40)
        labels = [unusual.get(place, label) for place, label in enumerate(planted)]
        write_images(tmp_path / "planted.parquet", pixels, labels, splits)
        make("images", images={"source": "files", "path": str(tmp_path / "planted.parquet")})

    return run


def told(instance, table="predictions"):
    metadata = newest_materialization(instance, dg.AssetKey(table)).asset_materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def checks(result):
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_images_that_nothing_was_fitted_to_are_classified_and_counted(
    read_images, make, warehouse, instance, subtests, dask_cluster, monkeypatch
):
    read_images(SPLITS)
    result = make(*LEARNED, *FITTED, filters=QUICK, image_features={"workers": 2})
    predictions, confusion = warehouse.read("predictions"), warehouse.read("confusion")
    rows, pairs_counted = predictions.to_pylist(), confusion.to_pylist()
    with subtests.test("the tables keep their contracts"):
        assert predictions.schema.equals(PREDICTIONS.schema)
        assert confusion.schema.equals(CONFUSION.schema)
    with subtests.test("all test images and the one without a label, in their order"):
        images = warehouse.read("images").to_pylist()
        wanted = [row for row in images if row["split"] == "test" or row["label"] is None]
        names = ("image_id", "split", "label")
        assert [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in wanted]
        assert [row["split"] for row in rows if row["label"] is None] == ["training", "test"]
        assert len(rows) == 31
    with subtests.test("the class of the highest score is the answer"):
        classes = [*CLASSES, "zebra"]
        assert [row["predicted"] for row in rows] == [classes[np.argmax(row["scores"])] for row in rows]
    with subtests.test("probabilities follow from the scores, and how far they are off is told"):
        temperature = warehouse.read("classifier")["temperature"][0].as_py()
        scores, found = (np.array([row[name] for row in rows]) for name in ("scores", "probabilities"))
        np.testing.assert_allclose(found, probabilities(scores, temperature), atol=1e-6)
        assert 0 <= told(instance)["calibration_error"] < 0.2
    with subtests.test("a class that training has not is never the answer"):
        assert "zebra" not in predictions["predicted"].to_pylist()
    judged = [row for row in rows if row["label"] is not None]
    accuracy = np.mean([row["label"] == row["predicted"] for row in judged])
    with subtests.test("planted classes are recognized"):
        assert np.mean([row["label"] == row["predicted"] for row in judged if row["label"] != "zebra"]) >= 0.9
        assert told(instance)["test_images"] == len(judged) == 29
        assert told(instance)["test_accuracy"] == pytest.approx(accuracy)
        assert told(instance)["accuracy_low"] < accuracy < told(instance)["accuracy_high"]
    with subtests.test("the confusion counts those with a label"):
        pairs = [(row["label"], row["predicted"]) for row in judged]
        labels = [label for label, _ in pairs]
        assert [(row["label"], row["predicted"]) for row in pairs_counted] == list(product(classes, classes))
        for row in pairs_counted:
            assert row["images"] == pairs.count((row["label"], row["predicted"]))
            assert row["share"] == pytest.approx(row["images"] / labels.count(row["label"]))
    with subtests.test("the check says that it is no guess"):
        check = checks(result)["classifier_beats_chance"]
        assert check.passed
        assert check.metadata["test_accuracy"].value == pytest.approx(accuracy)
        assert check.metadata["of_the_best_guess"].value == max(map(labels.count, classes)) / 29
    with subtests.test("there are figures"):
        for table in ("predictions", "confusion"):
            assert "figure" in told(instance, table), table
    with subtests.test("made again, by other workers, the tables are the same"):
        heads = warehouse.heads()
        make(
            *LEARNED, *FITTED, filters=QUICK | {"workers": 1}, image_features={"workers": 1}, classifier={"workers": 1}
        )
        assert warehouse.heads() == heads
    with subtests.test("on a cluster, too"), monkeypatch.context() as patch:
        patch.setenv("TAPROOM_CLUSTER", dask_cluster)
        make(*FITTED)
        assert warehouse.heads() == heads
        for table in ("image_features", "predictions"):
            assert told(instance, table)["cluster"], table
    with subtests.test("where no image is left to classify, there are no predictions, and nothing is told of accuracy"):
        read_images(["training"] * 120, unusual={})
        result = make("predictions", "confusion")
        assert len(warehouse.read("predictions")) == 0
        assert {(row["images"], row["share"]) for row in warehouse.read("confusion").to_pylist()} == {(0, None)}
        assert told(instance)["test_images"] == 0
        assert "test_accuracy" not in told(instance)
        assert checks(result)["classifier_beats_chance"].passed


@pytest.mark.parametrize(
    ("counts", "passed"),
    [
        ([[9, 1], [1, 9]], True),
        ([[9, 1], [9, 1]], False),
        ([[6, 1, 1], [1, 6, 0], [0, 1, 5]], True),
        ([[4, 2, 2], [3, 3, 2], [2, 2, 4]], False),
    ],
)
def test_the_check_compares_with_the_best_guess(counts, passed):
    names = "abc"[: len(counts)]
    rows = [
        {"label": label, "predicted": predicted, "images": count, "share": count / sum(line)}
        for label, line in zip(names, counts, strict=True)
        for predicted, count in zip(names, line, strict=True)
    ]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert classifier_beats_chance(CONFUSION.table_of(**columns)).passed is passed


@pytest.mark.parametrize(
    ("predicted", "never"), [(["ale", "stout"], []), (["ale", "ale"], ["stout"]), ([], ["ale", "stout"])]
)
def test_a_class_that_is_never_the_answer_is_warned_of(predicted, never):
    classifier = pa.table({"class": ["ale", "stout", "zebra"], "images": [5, 1, 0]})
    rows = [{"image_id": str(place), "predicted": name} for place, name in enumerate(predicted)]
    result = every_class_is_predicted(pa.Table.from_pylist(rows, PREDICTIONS.schema), classifier)
    assert result.passed is (not never or not predicted)
    assert result.metadata["classes_never_predicted"].value == never
