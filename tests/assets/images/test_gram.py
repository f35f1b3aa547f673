from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.images.gram import GRAM, IMAGE_FEATURES, few_features_are_dead
from pipelines.records import newest_materialization
from taproom.errors import InputError
from taproom.images import image_classifier
from taproom.images.image_arrays import pixels_of
from taproom.images.image_classifier import LabelledImages, gram_of
from taproom.images.image_features import encoder_of
from taproom.warehouse.scratch import FOLDER
from tests.planted_images import LEARNED, QUICK, few_test_images, planted_images, write_images


@pytest.fixture
def learned(tmp_path, make, made_once, warehouse):
    """The tables that an encoder is, of 60 planted images, one of them without a label; gives the encoder."""

    def read_and_learn():
        pixels, labels = planted_images(each=20)
        write_images(tmp_path / "planted.parquet", pixels, [None, None, *labels[2:]], few_test_images(60))
        make("images", images={"source": "files", "path": str(tmp_path / "planted.parquet")})
        make(*LEARNED, filters=QUICK)

    made_once(read_and_learn)
    return encoder_of(*(warehouse.read(table) for table in ("encoder", "whitening", "filters")))


@pytest.fixture
def add_up(learned, make):
    return lambda **given: make("gram", "image_features", gram={"workers": 2, **given})


def told(instance, table):
    metadata = newest_materialization(instance, dg.AssetKey(table)).asset_materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def content(warehouse, table):
    return warehouse.commit_of(table, warehouse.head(table))["content_hash"]


def test_features_are_kept_and_added_up(learned, add_up, warehouse, instance, monkeypatch, subtests):
    monkeypatch.setattr(image_classifier, "BLOCK_IMAGES", 16)
    assert add_up().success
    images, features, gram = (warehouse.read(table) for table in ("images", "image_features", "gram"))
    with subtests.test("the tables keep their contracts"):
        assert features.schema.equals(IMAGE_FEATURES.schema)
        assert gram.schema.equals(GRAM.schema)
        assert len(gram) == learned.dimensions + 1
    with subtests.test("every image has its features, to the bit"):
        names = ["image_id", "split", "label"]
        assert features.select(names).equals(images.select(names))
        kept = np.array(features["features"].to_pylist(), np.float32)
        assert kept.tobytes() == learned.features(pixels_of(images)).tobytes()
    with subtests.test("the sums are over the images that are fitted to"):
        labelled = LabelledImages.of(images)
        sums = gram_of(gram.to_batches(), learned.dimensions, 3)
        rows = (kept[labelled.fitted].astype(np.float64) - sums.centre) / sums.spread
        assert sums.weight == labelled.fitted.sum() == told(instance, "gram")["images"]
        np.testing.assert_allclose(np.triu(sums.products), np.triu(rows.T @ rows), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(sums.sums, rows.sum(axis=0), atol=1e-3)
        wanted = rows.T @ labelled.targets(np.flatnonzero(labelled.fitted))
        np.testing.assert_allclose(sums.with_targets, wanted, atol=1e-3)
    with subtests.test("what was made is told, with a figure"):
        assert told(instance, "image_features")["dimensions"] == learned.dimensions
        assert "figure" in told(instance, "gram")


def test_features_that_are_not_kept_are_added_up_all_the_same(add_up, learned, warehouse, instance):
    add_up(keep_features=False)
    assert warehouse.read("image_features").schema.equals(IMAGE_FEATURES.schema)
    assert len(warehouse.read("image_features")) == 0
    assert "taproom.open().images.features(images)" in told(instance, "image_features")["empty_because"]
    without = content(warehouse, "gram")
    add_up(keep_features=True, workers=1)
    assert len(warehouse.read("image_features")) == 60
    assert content(warehouse, "gram") == without
    assert len({commit["content_hash"] for commit in warehouse.history("gram")}) == 1


def test_on_a_cluster_the_sums_are_the_same(add_up, warehouse, instance, dask_cluster, monkeypatch):
    monkeypatch.setattr(image_classifier, "BLOCK_IMAGES", 16)
    add_up(keep_features=False)
    monkeypatch.setenv("TAPROOM_CLUSTER", dask_cluster)
    add_up(keep_features=False)
    assert [usage["blocks"] for usage in told(instance, "image_features")["cluster"]] == [3, 3, 1]
    assert len({commit["content_hash"] for commit in warehouse.history("gram")}) == 1
    assert not [path for path in Path(warehouse.root, FOLDER).rglob("*") if path.is_file()]


def test_too_many_features_are_not_kept(add_up, monkeypatch, warehouse):
    monkeypatch.setattr("assets.images.gram.FEW_BYTES", 60 * 16 * 2 * 9 * 4 - 1)
    add_up()
    assert len(warehouse.read("image_features")) == 0


def test_images_that_nothing_can_be_fitted_to_are_refused_and_what_was_made_stays(add_up, tmp_path, make, warehouse):
    add_up()
    before = content(warehouse, "gram")
    pixels, labels = planted_images(each=20)
    for classes, message in [
        (["down"] * 60, r"of 1 classes \(down\)"),
        (["ale", *labels[1:]], "single training image"),
    ]:
        write_images(tmp_path / "planted.parquet", pixels, classes, ["training"] * 60)
        make("images", images={"source": "files", "path": str(tmp_path / "planted.parquet")})
        with pytest.raises(InputError, match=message):
            add_up()
    assert content(warehouse, "gram") == before


def test_an_image_too_small_for_the_windows_is_refused(add_up, make):
    make(*LEARNED, filters=QUICK | {"pools": 8})
    with pytest.raises(InputError, match="7 x 7 patches of size 6, too few for 8 windows a side"):
        add_up()


@pytest.mark.parametrize(("dead", "passed"), [(1, True), (2, False)])
def test_features_that_are_always_0_are_warned_of(dead, passed):
    centres = [0.0] * dead + [0.4] * (20 - dead) + [0.0]  # the last is the constant's
    numbers = pa.array(range(21), pa.int32())
    result = few_features_are_dead(pa.table({"feature": numbers, "centre": centres}).take(pa.array(range(21)[::-1])))
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert (result.metadata["dead_features"].value, result.metadata["features"].value) == (dead, 20)


@pytest.mark.parametrize(("pools", "passed"), [(1, True), (3, False)])
def test_fewer_images_than_features_are_warned_of(learned, make, pools, passed):
    make(*LEARNED, filters=QUICK | {"pools": pools, "encoding": "relu"})
    result = make("gram", "image_features")
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["more_images_than_features"].passed is passed
    assert checks["more_images_than_features"].metadata["dimensions"].value == 16 * pools**2
    assert checks["few_features_are_dead"].passed
