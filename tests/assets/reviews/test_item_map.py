import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from assets.reviews.item_map import (
    DIMENSIONS,
    ITEM_MAP,
    MAP_ERRORS,
    MAP_MOVES,
    ItemMapConfig,
    every_item_is_placed,
    map_beats_chance,
    most_items_stay,
)
from pipelines.definitions import defs
from pipelines.records import newest_materialization
from taproom.errors import InputError
from taproom.maps.ordinal import OrdinalParameters

MAP = ("item_map", "map_errors", "map_moves")
CHAIN = ("items", "review_batches", "duplicate_reviews", "vocabulary", "tfidf", "neighbors", *MAP)
QUICK = {"updates_per_item": 50}


@pytest.fixture
def mapped(ingest, make, themed_reviews, write_csv, made_once):
    """Runs the whole chain on themed reviews and gives the result of its second half."""

    def read_and_map():
        ingest(write_csv("ales.csv", themed_reviews()))
        return make(*CHAIN, item_map=QUICK)

    return made_once(read_and_map)


@pytest.fixture
def remap(make):
    """Makes the map again, of the neighbours that there are."""
    return lambda **config: make(*MAP, item_map={**QUICK, **config})


def test_the_map_keeps_themes_together_and_says_how_often_it_is_wrong(mapped, warehouse):
    flat = warehouse.read("item_map").to_pandas().query("dimension == 2").set_index("item_id")
    assert len(flat) == 40
    assert flat.z.isna().all()
    centres = flat.groupby("category")[["x", "y"]].mean()
    nearest_centre = [
        ((centres - row[["x", "y"]].to_numpy(float)) ** 2).sum(axis=1).idxmin() for _, row in flat.iterrows()
    ]
    assert (nearest_centre == flat.category).mean() > 0.9
    errors = warehouse.read("map_errors").to_pandas()
    assert set(errors.dimension) == set(DIMENSIONS)
    assert (errors.query("kind == 'random' and split == 'held_out'").error < 0.2).all()
    told = mapped.asset_materializations_for_node("item_map")[0].metadata
    assert told["figure"].value.startswith("[![item_map](/figures/item_map/")
    checks = {check.check_name: check.passed for check in mapped.get_asset_check_evaluations()}
    assert checks["map_beats_chance"]
    assert checks["every_item_is_placed"]
    assert checks["vocabulary_is_stable"]


def test_the_same_config_gives_the_same_version_and_another_seed_another(mapped, remap, warehouse):
    first = warehouse.read("item_map")
    remap()
    assert warehouse.head("item_map") == 0
    remap(seed=1)
    assert warehouse.head("item_map") == 1
    assert not warehouse.read("item_map").equals(first)


def test_landmarks_are_those_of_the_settings(mapped, remap, warehouse, instance):
    remap(landmarks=20)
    assert len(warehouse.read("item_map")) == 80
    record = newest_materialization(instance, dg.AssetKey("item_map"))
    assert [record.asset_materialization.metadata[f"landmarks_{d}d"].value for d in DIMENSIONS] == [20, 20]
    errors = warehouse.read("map_errors").to_pandas()
    assert (errors.query("kind == 'random' and split == 'held_out'").error < 0.2).all()


def test_too_few_landmarks_for_a_map_are_refused():
    with pytest.raises(ValidationError, match=r"landmarks\s+Input should be greater than or equal to 5"):
        ItemMapConfig(landmarks=4)


@pytest.fixture
def grown(mapped, ingest, make, themed_reviews, write_csv, made_once):
    """Makes a map, lets reviews of eight more items come in, and continues the map."""
    more = [
        {**row, "review_id": f"more {row['review_id']}"}
        for row in themed_reviews(items=48)
        if row["item_id"] >= "item 040"
    ]

    def read_and_map():
        ingest(write_csv("more.csv", more))
        make(*CHAIN, item_map=QUICK)

    made_once(read_and_map)


@pytest.mark.usefixtures("grown")
def test_a_map_continues_the_one_before_and_tells_how_far_items_moved(warehouse):
    assert warehouse.head("item_map") == 1
    assert warehouse.commit_of("item_map", 1)["inputs"]["item_map"] == 0
    before, after = (warehouse.read("item_map", version).to_pandas() for version in (0, 1))
    assert len(after) == 2 * 48
    moves = warehouse.read("map_moves").to_pandas()
    both = before.merge(after, on=["dimension", "item_id"], suffixes=("_before", "_after"))
    assert moves.item_id.tolist() == both.item_id.tolist()
    flat, moved = both[both.dimension == 2], moves[moves.dimension == 2].moved
    wanted = ((flat.x_after - flat.x_before) ** 2 + (flat.y_after - flat.y_before) ** 2) ** 0.5
    np.testing.assert_allclose(moved, wanted)
    assert moved.median() < 0.5


def test_only_changed_neighbors_advance_the_map(grown, remap, warehouse):
    first = warehouse.read("item_map")
    remap()
    assert warehouse.head("item_map") == 1
    remap(seed=1)
    assert warehouse.commit_of("item_map", 2)["inputs"]["item_map"] == 0
    remap()
    assert warehouse.read("item_map").equals(first)


def test_a_first_map_has_no_moves(mapped, warehouse):
    assert len(warehouse.read("map_moves")) == 0
    assert "item_map" not in warehouse.commit_of("item_map", 0)["inputs"]


@pytest.mark.parametrize("gone", ["all items", "the dimensions"])
def test_a_map_of_which_nothing_is_left_is_no_start(mapped, remap, warehouse, gone):
    first = warehouse.read("item_map").to_pandas()
    if gone == "all items":
        other = first.assign(item_id="former " + first.item_id)
    else:
        other = first[first.dimension == 3].iloc[:2].assign(item_id=["a", "b"])
    warehouse.publish(ITEM_MAP, pa.Table.from_pandas(other, ITEM_MAP.schema, preserve_index=False), since=0)
    remap()
    assert warehouse.read("item_map").to_pandas().equals(first)
    assert len(warehouse.read("map_moves")) == 0


def told(instance) -> str:
    record = newest_materialization(instance, dg.AssetKey("item_map"))
    return record.asset_materialization.metadata["champion"].value


def test_the_champion_supplies_parameters_unless_the_run_sets_them(mapped, remap, warehouse, crown, instance):
    by_default = warehouse.read("item_map")
    assert told(instance) == "first: values set by hand"
    crown("item_map", margin=1.5)
    remap()
    by_champion = warehouse.read("item_map")
    assert not by_champion.equals(by_default)
    assert warehouse.commit_of("item_map", 1)["inputs"]["champions"] == 0
    assert told(instance) == "crowned by trial 7 of the search planted, challenge 1"
    remap(margin=1.5)
    assert warehouse.read("item_map").equals(by_champion)
    remap(margin=OrdinalParameters().margin)
    assert warehouse.read("item_map").equals(by_default)


def test_the_champion_of_another_product_is_not_taken(mapped, remap, warehouse, crown):
    by_default = warehouse.read("item_map")
    crown("topics", margin=1.5)
    remap()
    assert warehouse.read("item_map").equals(by_default)


def test_a_champion_that_no_longer_fits_gives_way_to_the_values_set_by_hand(mapped, remap, warehouse, crown, instance):
    by_default = warehouse.read("item_map")
    crown("item_map", colour=1.0)
    remap()
    assert warehouse.read("item_map").equals(by_default)
    assert "does not fit any more: it has ['colour']" in told(instance)


def test_too_few_items_for_a_map_are_refused_and_what_was_made_stays(
    ingest, make, themed_reviews, write_csv, warehouse
):
    rows = [row for row in themed_reviews(items=6) if row["item_id"] not in ("item 002", "item 003")]
    ingest(write_csv("few.csv", rows))
    with pytest.raises(InputError, match="at least 5 items"):
        make(*CHAIN, tfidf={"min_document_frequency": 1})
    assert warehouse.head("neighbors") == 0
    assert warehouse.head("item_map") is None


def test_items_without_a_word_in_common_are_refused(ingest, make, write_csv, warehouse):
    rows = [
        {"review_id": f"{item} {n}", "item_id": f"item {item}", "text": f"{'abcdefgh'[item]}ale {'abcdefgh'[item]}hop"}
        for item in range(8)
        for n in range(3)
    ]
    ingest(write_csv("apart.csv", rows))
    with pytest.raises(InputError, match=r"No two of the 8 different items have a word in common.*token_pattern"):
        make(*CHAIN, tfidf={"min_document_frequency": 1}, item_map=QUICK)
    assert warehouse.head("item_map") is None


@pytest.mark.parametrize(("error", "passed"), [(0.1, True), (0.45, False), (None, False)])
def test_a_map_near_chance_or_of_unknown_error_is_warned_of(error, passed):
    rows = {"kind": ["random"], "split": ["held_out"], "triplets": [10], "violated": [1], "error": [error]}
    result = map_beats_chance(MAP_ERRORS.table_of(dimension=pa.array([2], pa.int32()), **rows))
    assert result.passed is passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert ("why_unknown" in result.metadata) is (error is None)


def test_an_item_that_is_missing_from_a_map_is_told(mapped, warehouse):
    whole, neighbors = warehouse.read("item_map"), warehouse.read("neighbors")
    assert every_item_is_placed(whole, neighbors).passed
    result = every_item_is_placed(whole.slice(1), neighbors)
    assert not result.passed
    assert result.metadata["items_missing"].value == {"2": 1, "3": 0}


def test_heavy_steps_share_a_pool():
    pools = {
        name: defs.resolve_asset_graph().get(dg.AssetKey(name)).assets_def.op.pool for name in ("neighbors", "item_map")
    }
    assert set(pools.values()) == {"numerics"}


@pytest.mark.parametrize(("moved", "passed"), [([0.1, 0.2, 2.0], True), ([0.1, 0.8, 0.9], False), ([], True)])
def test_a_map_on_which_most_items_have_moved_is_warned_of(moved, passed):
    rows = [
        {"dimension": 2, "item_id": str(place), "x": 0.0, "y": 0.0, "moved": far} for place, far in enumerate(moved)
    ]
    result = most_items_stay(pa.Table.from_pylist(rows, MAP_MOVES.schema))
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert [value.value for value in result.metadata.values()] == ([float(np.median(moved))] if moved else [])
