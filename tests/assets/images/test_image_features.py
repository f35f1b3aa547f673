import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.images.image_features import CONTRACT, few_images_are_alike
from pipelines.records import newest_materialization
from taproom.errors import InputError
from taproom.images import image_classifier
from taproom.images.image_arrays import pixels_of
from taproom.images.image_features import encoder_of
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
def encode(learned, make):
    return lambda **given: make("image_features", image_features={"workers": 2, **given})


def told(instance):
    metadata = newest_materialization(instance, dg.AssetKey("image_features")).asset_materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def test_every_image_has_its_features_to_the_bit(
    learned, encode, warehouse, instance, dask_cluster, monkeypatch, subtests
):
    monkeypatch.setattr(image_classifier, "BLOCK_IMAGES", 16)
    assert encode().success
    images, features = warehouse.read("images"), warehouse.read("image_features")
    assert features.schema.equals(CONTRACT.schema)
    names = ["image_id", "split", "label"]
    assert features.select(names).equals(images.select(names))
    kept = np.array(features["features"].to_pylist(), np.float32)
    assert kept.tobytes() == learned.features(pixels_of(images)).tobytes()
    assert told(instance)["dimensions"] == learned.dimensions
    with subtests.test("with one worker, and on a cluster, too"):
        encode(workers=1)
        monkeypatch.setenv("TAPROOM_CLUSTER", dask_cluster)
        encode()
        assert told(instance)["cluster"]
        assert warehouse.head("image_features") == 0


def test_features_that_are_too_large_are_not_kept(encode, warehouse, instance, monkeypatch):
    monkeypatch.setattr("assets.images.image_features.FEW_BYTES", 60 * 16 * 2 * 9 * 4 - 1)
    encode()
    assert warehouse.read("image_features").schema.equals(CONTRACT.schema)
    assert len(warehouse.read("image_features")) == 0
    assert "taproom.open().images.features(images)" in told(instance)["empty_because"]
    encode(keep_features=True)
    assert len(warehouse.read("image_features")) == 60


def test_an_image_too_small_for_the_windows_is_refused(encode, make):
    make(*LEARNED, filters=QUICK | {"pools": 9})
    with pytest.raises(InputError, match="8 x 8 patches of size 5, too few for 9 windows a side"):
        encode()


@pytest.mark.parametrize(("alike", "passed"), [(0, True), (1, True), (2, False)])
def test_images_that_are_there_twice_are_warned_of(alike, passed):
    features = np.random.default_rng(0).random((20, 8), np.float32)
    features[19 - alike : 19] = features[19]
    columns = {"image_id": [str(place) for place in range(20)], "split": ["test"] * 20, "label": ["ale"] * 20}
    table = CONTRACT.table_of(**columns, features=list(features))
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=7))
    result = few_images_are_alike(reader)
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert (result.metadata["images_alike"].value, result.metadata["images"].value) == (alike, 20)


def test_of_no_features_none_are_alike():
    assert few_images_are_alike(CONTRACT.schema.empty_table().to_reader()).passed
