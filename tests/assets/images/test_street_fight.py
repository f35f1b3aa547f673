import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from assets.images.images import images
from assets.images.street_fight import (
    CONTRACT,
    OF_THE_ENCODER,
    SIZES,
    base_is_not_beaten,
    learning_filters_pays,
    street_fight,
)
from pipelines.io_manager import TableIOManager
from pipelines.records import newest_materialization
from taproom.errors import ContractError, InputError
from taproom.images.street_fight import settings
from tests.planted_images import SMALL_FIGHT


def write_images(folder, of_class):
    """Stripes, upright or lying, under noise: so many of each class, and some to test on."""
    random = np.random.default_rng(0)
    for name, count in of_class.items():
        for number in range(count + 5):
            stripes = np.where((np.arange(10) + random.integers(4)) % 4 < 2, 60, 190)
            pixels = np.broadcast_to(stripes[:, None] if name == "lying" else stripes, (10, 10))
            noisy = np.clip(pixels[..., None] + random.normal(scale=60, size=(10, 10, 3)), 0, 255)
            path = folder / ("training" if number < count else "test") / name / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy.astype(np.uint8)).save(path)


@pytest.fixture
def fight(tmp_path, warehouse, instance, monkeypatch):
    """Reads a folder of so many images of each class, and lets the settings fight."""
    monkeypatch.setitem(SIZES, "small", SMALL_FIGHT)

    def run(of_class, **config):
        write_images(tmp_path / "stripes", of_class)
        return dg.materialize(
            [images, street_fight, base_is_not_beaten, learning_filters_pays],
            resources={"io_manager": TableIOManager()},
            instance=instance,
            run_config={
                "ops": {
                    "images": {"config": {"source": "files", "path": str(tmp_path / "stripes")}},
                    "street_fight": {"config": {"workers": 1, **config}},
                }
            },
        )

    return run


def test_the_fight_becomes_a_table_with_checks_metadata_and_figure(fight, warehouse, instance):
    result = fight({"lying": 60, "upright": 60})
    table = warehouse.read("street_fight")
    assert table.schema.equals(CONTRACT.schema)
    rows = table.to_pylist()
    assert len(rows) == len(settings(SMALL_FIGHT)) + 2 * 5  # class imbalance has three measures
    assert {len(row["values"]) for row in rows} == {2}
    assert {row["images"] for row in rows if row["experiment"] != "class imbalance"} == {60}
    assert all(row["seconds"] > 0 for row in rows)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert {"base_is_not_beaten", "learning_filters_pays"} <= set(checks)
    told = newest_materialization(instance, dg.AssetKey("street_fight")).asset_materialization.metadata
    assert told["seeds"].value == 2
    assert told["base_accuracy"].value == next(row["value"] for row in rows if row["setting"] == "all")
    differences = {
        "encoding_clean_relu_accuracy": ("relu", "accuracy"),
        "class_imbalance_10_1_threshold_accuracy": ("threshold", "accuracy"),
        "class_imbalance_10_1_threshold_balanced_accuracy": ("threshold", "balanced accuracy"),
    }
    for name, of in differences.items():
        wanted = next(row["difference"] for row in rows if (row["setting"], row["measure"]) == of)
        assert told[name].value == wanted
    assert Image.open(told["figure_path"].value).width > 1_000


def test_the_same_again_on_a_cluster_is_the_same_table_but_for_the_seconds(
    fight, warehouse, instance, dask_cluster, monkeypatch
):
    fight({"lying": 30, "upright": 30})
    monkeypatch.setenv("TAPROOM_CLUSTER", dask_cluster)
    fight({"lying": 30, "upright": 30})
    told = newest_materialization(instance, dg.AssetKey("street_fight")).asset_materialization.metadata
    assert told["cluster"].value[0]["blocks"] > 0
    first, again = (warehouse.commit_of("street_fight", version)["content_hash"] for version in (0, 1))
    assert first == again


@pytest.mark.parametrize(
    ("of_class", "message"),
    [({"lying": 40}, "of one class"), ({"lying": 40, "upright": 29}, r"upright: 29\); wanted at least 30")],
)
def test_classes_that_cannot_fight_are_refused_and_other_tables_stay(fight, warehouse, of_class, message):
    with pytest.raises(InputError, match=message):
        fight(of_class)
    assert len(warehouse.read("images")) == sum(of_class.values()) + 5 * len(of_class)


def row(setting, difference, low, experiment="filters", base="spherical k-means"):
    reached = {"value": 0.5, "low": 0.4, "high": 0.6, "values": [0.5], "images": 10, "seconds": 0.1}
    differs = {"difference": difference, "difference_low": low, "difference_high": 2 * difference - low}
    of = {"experiment": experiment, "condition": "clean", "setting": setting, "base": base, "measure": "accuracy"}
    return {**of, **reached, **differs}


def table(*rows):
    return pa.Table.from_pylist(rows, schema=CONTRACT.schema)


def test_a_setting_that_clearly_beats_the_base_is_a_warning_that_names_it():
    unclear = row("k-means", 0.01, -0.01)
    assert base_is_not_beaten(table(unclear)).passed
    beaten = base_is_not_beaten(table(unclear, row("triangle", 0.02, 0.01, "encoding", "two signs")))
    assert not beaten.passed
    assert beaten.severity is dg.AssetCheckSeverity.WARN
    assert beaten.metadata["better"].value == {"encoding: triangle": 0.02}
    assert base_is_not_beaten(table(row("128", 0.02, 0.01, "number of filters", "64"))).passed


def test_random_patches_that_do_better_are_a_warning():
    assert learning_filters_pays(table(row("random patches", -0.02, -0.04))).passed
    better = learning_filters_pays(table(row("random patches", 0.02, -0.04)))
    assert (better.passed, better.severity) == (False, dg.AssetCheckSeverity.WARN)


@pytest.mark.parametrize("change", [{"value": 1.2}, {"experiment": "tuning"}, {"measure": "loss"}, {"images": 0}])
def test_the_contract_refuses_what_no_fight_gives(change):
    with pytest.raises(ContractError, match=next(iter(change))):
        list(CONTRACT.checked(table(row("k-means", 0.0, -0.1) | change).to_batches()))


def test_the_encoders_experiments_are_those_that_a_better_setting_would_change():
    assert OF_THE_ENCODER == ("standardization", "encoding", "filters")
