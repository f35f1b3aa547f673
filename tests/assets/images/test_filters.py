import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.images.filters import (
    ENCODER,
    FILTERS,
    PATCHES,
    WHITENING,
    encoder_matches_its_filters,
    few_filters_are_unused,
    few_patches_are_flat,
    zca_matrix_is_positive_definite,
)
from pipelines.records import newest_materialization
from taproom.errors import InputError
from taproom.images.image_arrays import pixels_of
from taproom.images.image_features import BUDGETS, EncoderParameters, encoder_of, learn_encoder
from tests.planted_images import LEARNED, QUICK, few_test_images, planted_images, write_images


@pytest.fixture
def images(tmp_path, make, warehouse):
    """The table of 60 planted images, of which 45 are for training."""
    write_images(tmp_path / "planted.parquet", *planted_images(each=20), few_test_images(60))
    make("images", images={"source": "files", "path": str(tmp_path / "planted.parquet")})
    return warehouse.read("images")


@pytest.fixture
def learn(images, make):
    return lambda **given: make(*LEARNED, filters=QUICK | given)


def read(warehouse, tables=LEARNED):
    return [warehouse.read(table) for table in tables]


def hashes(warehouse):
    return {table: warehouse.commit_of(table, warehouse.head(table))["content_hash"] for table in LEARNED}


def test_an_encoder_is_learned_from_the_training_images(learn, images, warehouse, instance, subtests):
    assert learn().success
    patches, whitening, filters, encoder = read(warehouse)
    with subtests.test("the tables keep their contracts"):
        for contract, table in zip((PATCHES, WHITENING, FILTERS, ENCODER), read(warehouse), strict=True):
            assert table.schema.equals(contract.schema), contract.table
        assert [len(table) for table in (patches, whitening, filters, encoder)] == [1_000, 75, 16, 1]
    with subtests.test("patches are what is where they say, in training images only"):
        pixels = dict(zip(images["image_id"].to_pylist(), pixels_of(images), strict=True))
        splits = dict(zip(images["image_id"].to_pylist(), images["split"].to_pylist(), strict=True))
        for row in patches.to_pylist():
            there = pixels[row["image_id"]][row["row"] : row["row"] + 5, row["column"] : row["column"] + 5]
            assert there.tobytes() == row["pixels"]
            assert splits[row["image_id"]] == "training"
        assert len(set(patches["image_id"].to_pylist())) == 45
    with subtests.test("numbers of a patch are told by pixel and colour"):
        assert whitening.slice(0, 4).select(["row", "column", "channel"]).to_pylist() == [
            {"row": 0, "column": column, "channel": channel}
            for column, channel in [(0, "red"), (0, "green"), (0, "blue"), (1, "red")]
        ]
    with subtests.test("filters are sorted by use, and stand for all patches"):
        used = filters["patches"].to_pylist()
        assert used == sorted(used, reverse=True)
        assert sum(used) == 1_000
        np.testing.assert_allclose(np.linalg.norm(filters["weights"].to_pylist(), axis=1), 1, rtol=1e-5)
    with subtests.test("they are the encoder that the training images lead to"):
        training = pixels_of(images)[np.array(images["split"].to_pylist()) == "training"]
        parameters = EncoderParameters(**BUDGETS["small"] | {name: QUICK[name] for name in QUICK if name != "workers"})
        wanted = learn_encoder(training, parameters, seed=0)
        found = encoder_of(encoder, whitening, filters)
        assert found.parameters == parameters
        assert found.features(training).tobytes() == wanted.features(training).tobytes()
    with subtests.test("what was made is told, with a figure"):
        for table in LEARNED[:3]:
            told = newest_materialization(instance, dg.AssetKey(table)).asset_materialization.metadata
            assert "figure" in told, table
        assert (
            newest_materialization(instance, dg.AssetKey("filters")).asset_materialization.metadata["inertia"].value > 0
        )


def test_the_same_again_makes_no_new_version_whatever_the_workers_and_another_seed_does(learn, warehouse):
    learn()
    learn(workers=1)
    assert {table: warehouse.head(table) for table in LEARNED} == dict.fromkeys(LEARNED, 0)
    before = hashes(warehouse)
    learn(seed=1)
    assert all(before[table] != again for table, again in hashes(warehouse).items())


def test_a_preset_is_a_budget_and_the_configuration_stands_over_it(learn, warehouse):
    learn(preset="coates", offset=0.5, learned_by="random patches", standardization="norm 1", mirrored=False)
    (row,) = warehouse.read("encoder").to_pylist()
    assert row["preset"] == "coates"
    assert row["pools"] == BUDGETS["coates"]["pools"]
    assert {name: row[name] for name in ("filters", "offset", "learned_by", "standardization", "mirrored")} == {
        "filters": 16, "offset": 0.5, "learned_by": "random patches", "standardization": "norm 1", "mirrored": False,
    }  # fmt: skip


def test_the_champion_supplies_parameters_unless_the_run_sets_them(learn, warehouse, crown):
    crown("classifier", offset=0.4, patch_size=7, mirrored=False)
    learn()
    (row,) = warehouse.read("encoder").to_pylist()
    assert (row["offset"], row["patch_size"], row["mirrored"]) == (0.4, 7, False)
    assert len(warehouse.read("whitening")) == 3 * 7**2
    assert row["champion"] == "crowned by trial 7 of the search planted, challenge 1"
    assert warehouse.commit_of("encoder", 0)["inputs"]["champions"] == 0
    learn(offset=0.3, patch_size=4)
    (row,) = warehouse.read("encoder").to_pylist()
    assert (row["offset"], row["patch_size"]) == (0.3, 4)
    assert row["champion"].endswith("set by the run instead: offset, patch_size")


def test_a_champion_that_no_longer_fits_gives_way_to_the_values_set_by_hand(learn, warehouse, crown):
    learn()
    (by_hand,) = warehouse.read("encoder").to_pylist()
    crown("classifier", colour=1.0)
    learn()
    (row,) = warehouse.read("encoder").to_pylist()
    assert row == by_hand | {"champion": row["champion"]}
    assert "does not fit any more: it has ['colour']" in row["champion"]


def test_what_cannot_be_learned_is_refused_and_what_was_made_stays(learn, warehouse, subtests):
    learn()
    before = hashes(warehouse)
    for given, told in [
        ({"patch_size": 13}, "13 x 13 pixels is larger than the images, which are 12 x 12"),
        ({"filters": 2_000}, "2000 filters are to be made of 1000 patches"),
        ({"zca_epsilon": 0.0}, "zca_epsilon is 0.0"),
        ({"learned_by": "pca"}, "'pca'"),
        ({"standardization": "zca"}, "'zca'"),
        ({"encoding": "soft"}, "'soft'"),
    ]:
        with subtests.test(**given), pytest.raises(InputError, match=told):
            learn(**given)
    assert hashes(warehouse) == before


def test_constant_images_teach_nothing(tmp_path, make, warehouse):
    pixels = np.full((8, 12, 12, 3), 90, np.uint8)
    write_images(tmp_path / "flat.parquet", pixels, ["ale", "bock"] * 4, ["training"] * 8)
    make("images", images={"source": "files", "path": str(tmp_path / "flat.parquet")})
    with pytest.raises(InputError, match="0 patches that are not flat"):
        make(*LEARNED, filters=QUICK)
    assert warehouse.head("filters") is None


def test_without_training_images_there_is_nothing_to_learn_from(tmp_path, make):
    write_images(tmp_path / "tests.parquet", *planted_images(each=2), ["test"] * 6)
    make("images", images={"source": "files", "path": str(tmp_path / "tests.parquet")})
    with pytest.raises(InputError, match="none of the 6 images is for training"):
        make(*LEARNED, filters=QUICK)


@pytest.mark.parametrize(("flat", "passed"), [(1, True), (3, False)])
def test_many_patches_of_one_colour_are_warned_of(flat, passed):
    pixels = [bytes([10, 20, 30] * 4)] * flat + [bytes(range(12))] * (20 - flat)
    result = few_patches_are_flat(pa.table({"pixels": pa.array(pixels, pa.binary())}))
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert result.metadata["flat_share"].value == flat / 20


@pytest.mark.parametrize(
    ("matrix", "passed"),
    [([[2, 1], [1, 2]], True), ([[1, 2], [2, 1]], False), ([[1, 2], [0, 1]], False)],
    ids=["whitening", "a direction turned round", "rows of another"],
)
def test_a_whitening_that_turns_patches_is_told(matrix, passed):
    table = pa.table({"weights": pa.array(matrix, pa.list_(pa.float32()))})
    assert zca_matrix_is_positive_definite(table).passed is passed


@pytest.mark.parametrize(("unused", "passed"), [(1, True), (2, False)])
def test_filters_that_no_patch_belongs_to_are_warned_of(unused, passed):
    result = few_filters_are_unused(pa.table({"patches": [5] * (20 - unused) + [0] * unused}))
    assert result.passed is passed
    assert result.metadata["unused_share"].value == unused / 20


def test_parts_of_two_encoders_are_told_and_stop_what_follows():
    encoder = pa.Table.from_pylist([{"filters": 2, "patch_size": 1}], ENCODER.schema)
    filters = pa.table({"weights": pa.array([[1, 0, 0], [0, 1, 0]], pa.list_(pa.float32()))})
    whitening = pa.table({"channel": ["red", "green", "blue"]})
    assert encoder_matches_its_filters(encoder, filters, whitening).passed
    assert not encoder_matches_its_filters(encoder, filters.slice(1), whitening).passed
    assert not encoder_matches_its_filters(encoder, filters, whitening.slice(1)).passed
    (spec,) = encoder_matches_its_filters.check_specs
    assert spec.blocking
