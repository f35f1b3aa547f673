import dagster as dg
import numpy as np
import pytest
from PIL import Image

from assets.images.feature_baselines import FEATURES
from pipelines.records import newest_materialization
from taproom.errors import InputError
from taproom.images.hand_made_features import FEATURES as KNOWN


@pytest.fixture
def stripes(tmp_path, make):
    """Makes the table `images` of noisy stripes, so many a label and split; across and down are the first labels."""

    def write(counts, side=12):
        random = np.random.default_rng(0)
        y, x = np.mgrid[:side, :side]
        for (split, label), count in counts.items():
            folder = tmp_path / "stripes" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                wave = 16 * np.sin(1.6 * (y if label == "across" else x) + random.uniform(0, 6))
                levels = 128 + wave + random.normal(0, 50, wave.shape)
                Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).save(folder / f"{number:03}.png")
        make("images", images={"source": "files", "path": str(tmp_path / "stripes")})

    return write


def both(split, count):
    return {(split, label): count for label in ("across", "down")}


def test_each_of_the_features_is_judged_and_the_rows_are_the_same_again(stripes, make, warehouse, instance):
    stripes({**both("training", 60), **both("test", 30), ("test", "neither"): 3})
    sizes = {"training_images": 100, "test_images": 40}
    result = make("feature_baselines", feature_baselines={**sizes, "workers": 2})
    rows = {row["features"]: row for row in warehouse.read("feature_baselines").to_pylist()}
    assert tuple(rows) == FEATURES == tuple(KNOWN)
    assert rows["pixels"]["dimensions"] == 12 * 12 * 3
    for row in rows.values():
        assert (row["training_images"], row["test_images"]) == (100, 40)
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert row["seconds"] > 0
    told = newest_materialization(instance, dg.AssetKey("feature_baselines")).asset_materialization.metadata
    assert told["test_images_of_unknown_labels"].value == 3
    assert told["unknown_labels"].value == ["neither"]
    check, *_ = result.get_asset_check_evaluations()
    assert check.metadata["best"].value == max(rows, key=lambda features: rows[features]["accuracy"])
    make("feature_baselines", feature_baselines={**sizes, "workers": 1})
    first, again = (warehouse.commit_of("feature_baselines", version)["content_hash"] for version in (0, 1))
    assert first == again  # seconds differ, which are promised to nobody


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({("training", "across"): 4, ("test", "across"): 2}, "of 1 classes"),
        (both("training", 4), "0 labelled test images"),
        ({**both("training", 1), **both("test", 1)}, "single training image of the class 'across'"),
    ],
)
def test_images_that_nothing_can_be_judged_on_are_refused(stripes, make, counts, told):
    stripes(counts)
    with pytest.raises(InputError, match=told):
        make("feature_baselines")


def test_images_too_small_for_hand_made_features_are_refused(stripes, make):
    stripes({**both("training", 3), **both("test", 3)}, side=7)
    with pytest.raises(InputError, match="7 x 7 pixels are too small"):
        make("feature_baselines")
