import numpy as np
import pytest

import taproom
from taproom.errors import InputError, UnknownTableError
from taproom.images.image_arrays import pixels_of
from tests.planted_images import FITTED, LEARNED, QUICK, few_test_images, planted_images, write_images


@pytest.fixture
def made(tmp_path, make, warehouse):
    """The chain of planted images; gives the table of these."""
    write_images(tmp_path / "planted.parquet", *planted_images(each=20), few_test_images(60))
    make("images", images={"source": "files", "path": str(tmp_path / "planted.parquet")})
    make(*LEARNED, *FITTED, filters=QUICK)
    return warehouse.read("images")


def scores(table):
    return np.array(table["scores"].to_pylist(), np.float32)


def test_images_are_classified_from_the_tables_alone(made, make, warehouse, subtests):
    predictions = warehouse.read("predictions")
    tests = made.filter(np.array(made["split"].to_pylist()) == "test")
    pixels = pixels_of(tests)
    features = taproom.open().images.features
    with subtests.test("a table gets the scores that it has in predictions, to the bit"):
        found = taproom.classify(tests)
        assert scores(found).tobytes() == scores(predictions).tobytes()
        assert found["predicted"].to_pylist() == predictions["predicted"].to_pylist()
        assert found.schema.metadata == {b"classes": b"across,checked,down"}
    with subtests.test("so does an array, and a view of one"):
        assert scores(taproom.classify(pixels)).tobytes() == scores(predictions).tobytes()
        np.testing.assert_allclose(scores(taproom.classify(pixels[::2])), scores(predictions)[::2], atol=1e-5)
    with subtests.test("a mirror image, a view as well, has the same answer"):
        np.testing.assert_allclose(scores(taproom.classify(pixels[:, :, ::-1])), scores(predictions), atol=1e-3)
        np.testing.assert_allclose(features(pixels[:, :, ::-1]), features(pixels), atol=1e-3)
    with subtests.test("a single image is one row"):
        found = taproom.classify(pixels[3])
        np.testing.assert_allclose(scores(found), scores(predictions)[3:4], atol=1e-5)
        assert found["predicted"].to_pylist() == predictions["predicted"].to_pylist()[3:4]
    with subtests.test("features are those of the table image_features, to the bit"):
        kept = np.array(warehouse.read("image_features")["features"].to_pylist(), np.float32)
        found = features(made)
        assert found.dtype == np.float32
        assert found.tobytes() == kept.tobytes()
        assert features(pixels_of(made)[7]).tobytes() == kept[7:8].tobytes()
    with subtests.test("of no image there is no answer"):
        nothing = taproom.classify(pixels[:0])
        assert nothing.schema.equals(taproom.classify(pixels).schema)
        assert len(nothing) == 0
    for images, told in [
        (np.zeros((2, 11, 12, 3), np.uint8), r"shape \(2, 11, 12, 3\) of uint8; .* 12 x 12. Wanted: \(n, 12, 12, 3\)"),
        (np.zeros((2, 12, 12), np.uint8), r"shape \(.*12, 12\) of uint8"),
        (np.zeros((2, 12, 12, 4), np.uint8), r"\(2, 12, 12, 4\)"),
        (pixels / 255, "of float64"),
        (np.zeros((12, 12), np.uint8), r"shape \(12, 12\)"),
        (tests.slice(0, 0), "no image"),
    ]:
        for ask in (taproom.classify, features):
            with (
                subtests.test("images of another size or kind are refused", told=told, ask=ask.__name__),
                pytest.raises(InputError, match=told),
            ):
                ask(images)
    with subtests.test("a newer encoder counts when there is a classifier of it"):
        before = features(pixels)
        make(*LEARNED, filters=QUICK | {"offset": 0.6})
        assert features(pixels).tobytes() == before.tobytes()
        make(*FITTED)
        assert (features(pixels) != before).any()
        assert scores(taproom.classify(tests)).tobytes() == scores(warehouse.read("predictions")).tobytes()


@pytest.mark.usefixtures("warehouse")
@pytest.mark.parametrize("ask", [taproom.classify, lambda images: taproom.open().images.features(images)])
def test_before_any_classifier_the_table_is_missed(ask):
    with pytest.raises(UnknownTableError, match="classifier"):
        ask(np.zeros((1, 12, 12, 3), np.uint8))
