import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.images.landmarks import CONTRACT, few_features_are_dead
from taproom.errors import InputError
from taproom.images.image_classifier import LabelledImages
from tests.planted_images import LEARNED, QUICK, few_test_images, planted_images, write_images


@pytest.fixture
def read_images(tmp_path, make):
    """Makes the tables that landmarks are made of, of planted images with these labels."""

    def run(labels=None):
        pixels, planted = planted_images(each=20)
        write_images(tmp_path / "planted.parquet", pixels, labels or planted, few_test_images(60))
        make("images", images={"source": "files", "path": str(tmp_path / "planted.parquet")})
        make(*LEARNED, "image_features", filters=QUICK)

    return run


def test_landmarks_are_drawn_from_the_images_that_are_fitted_to(read_images, make, warehouse, subtests):
    read_images()
    make("landmarks", landmarks={"landmarks": 10})
    found, images, features = (warehouse.read(name) for name in ("landmarks", "images", "image_features"))
    assert found.schema.equals(CONTRACT.schema)
    ids = found["image_id"].to_pylist()
    assert len(ids) == 10
    fitted = LabelledImages.of(images).fitted
    assert set(ids) < set(images.filter(fitted)["image_id"].to_pylist())
    with subtests.test("in the order of the images, with their features"):
        assert found.equals(
            features.filter(pa.compute.is_in(features["image_id"], found["image_id"])).select(found.column_names)
        )
    with subtests.test("features that were not kept are computed, to the same bits"):
        make("image_features", image_features={"keep_features": False})
        make("landmarks", landmarks={"landmarks": 10})
        assert warehouse.head("landmarks") == 0
    with subtests.test("another seed draws others"):
        make("landmarks", landmarks={"landmarks": 10, "seed": 1})
        assert warehouse.read("landmarks")["image_id"].to_pylist() != ids
    with subtests.test("where there are no more, all training images are, those for validation last"):
        make("landmarks", landmarks={"landmarks": 1_000})
        found = warehouse.read("landmarks")
        in_order = pa.concat_tables(features.filter(mask) for mask in (fitted, LabelledImages.of(images).validation))
        assert found.equals(in_order.select(found.column_names))


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["down"] * 60, r"of 1 classes \(down\)"), (["ale"] * 1 + ["bock"] * 59, "single training image|1 classes")],
)
def test_images_that_nothing_can_be_fitted_to_are_refused(read_images, make, labels, message):
    read_images(labels)
    with pytest.raises(InputError, match=message):
        make("landmarks")


@pytest.mark.parametrize(("dead", "passed"), [(1, True), (2, False)])
def test_features_that_are_always_0_are_warned_of(dead, passed):
    features = np.random.default_rng(0).random((6, 20), np.float32)
    features[:, :dead] = 0
    features[:5, 10] = 0  # not in all of them
    table = CONTRACT.table_of(image_id=list("abcdef"), features=list(features))
    result = few_features_are_dead(pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=2)))
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert (result.metadata["dead_features"].value, result.metadata["features"].value) == (dead, 20)
