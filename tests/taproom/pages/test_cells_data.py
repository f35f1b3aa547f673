"""The data of the page of cells, compared with the tables that they are of."""

import numpy as np
import pandas as pd
import pytest

from assets.assays.class_mixtures import CLASS_MIXTURES, CLASSES, SHARE_ERRORS
from assets.assays.event_calls import EVENT_CALLS, WELL_SHARES
from taproom.errors import UnknownTableError
from taproom.pages.cells_data import BINS, cells_data
from taproom.pages.scripts import data_script
from tests.shown_assays import (
    CHANNELS,
    CLASS_NAMES,
    EVENTS_OF_WELL,
    ITERATIONS,
    MODEL,
    PLATES,
    publish_assays,
    publish_events,
)
from tests.shown_tables import unpacked


@pytest.fixture
def data(warehouse):
    publish_assays(warehouse)
    return cells_data(warehouse)


def test_wells_have_their_names_labels_and_events(data):
    assert [(well["plate"], well["well"]) for well in data["wells"]] == PLATES
    assert [well["label"] for well in data["wells"]] == ["red", None, None, None, None]
    assert {(well["events"], well["shown"]) for well in data["wells"]} == {(EVENTS_OF_WELL, EVENTS_OF_WELL)}
    assert data["count"] == EVENTS_OF_WELL * len(PLATES)
    assert data["channels"] == CHANNELS


def test_the_same_versions_give_the_same_bytes(warehouse, data):
    assert data_script("cells", cells_data(warehouse)) == data_script("cells", data)


def test_the_pair_is_that_of_the_densities(data):
    assert data["pair"] == [1, 2]


def test_calls_are_those_of_the_events_beside_them(warehouse, data):
    calls, rows = data["calls"], in_order_of_wells(warehouse, "event_calls")
    assert calls["classes"] == CLASS_NAMES
    np.testing.assert_array_equal(np.array(CLASS_NAMES)[unpacked(calls["called"]).astype(int)], rows.called)
    np.testing.assert_allclose(unpacked(calls["largest"]), rows.posteriors.map(max), atol=1e-5)
    np.testing.assert_array_equal(unpacked(calls["ambiguous"]), rows.ambiguous)
    np.testing.assert_array_equal(unpacked(calls["anomalous"]), rows.anomalous)


def test_counts_of_calls_are_of_all_events_even_if_few_are_shown(warehouse, data):
    rows = in_order_of_wells(warehouse, "event_calls")
    few = cells_data(warehouse, values=10 * 3 * len(PLATES))
    assert [well["shown"] for well in few["wells"]] == [10] * len(PLATES)
    for counts in (data["calls"]["counts"], few["calls"]["counts"]):
        assert counts["events"] == [EVENTS_OF_WELL] * len(PLATES)
        assert counts["ambiguous"] == rows.ambiguous.groupby(rows.well).sum().tolist()
        assert counts["anomalous"] == rows.anomalous.groupby(rows.well).sum().tolist()
    found, _ = np.histogram(rows.posteriors.map(max), BINS, (0, 1))
    np.testing.assert_array_equal(np.sum(few["calls"]["histogram"], axis=0), found)


def test_populations_are_counted_in_each_well(warehouse, data):
    rows = in_order_of_wells(warehouse, "assignments")
    np.testing.assert_array_equal(unpacked(data["populations"]["population"]), rows.population)
    expected = pd.crosstab(rows.well, rows.population)
    np.testing.assert_array_equal(data["populations"]["counts"], expected)


def test_mixtures_are_those_of_the_tables(data):
    for name in ("mixture", "class_mixtures"):
        assert data[name]["channels"] == [0, 1, 2]
        np.testing.assert_allclose(unpacked(data[name]["means"]).reshape(3, 3), MODEL.means, rtol=1e-6)
        covariances = unpacked(data[name]["covariances"]).reshape(3, 3, 3)
        np.testing.assert_allclose(covariances, MODEL.covariances, rtol=1e-6)
    np.testing.assert_allclose(unpacked(data["mixture"]["weights"]), MODEL.weights, rtol=1e-6)
    # priors 0.8 and 0.2, which are the weights of the classes in the model
    np.testing.assert_allclose(unpacked(data["class_mixtures"]["weights"]), MODEL.weights, rtol=1e-6)
    assert data["mixture"]["groups"] == [0, 1, 1]
    assert data["class_mixtures"]["groups"] == [0, 0, 1]


def test_the_kernel_density_is_every_second_point_of_the_grid(warehouse, data):
    rows = warehouse.read("kernel_density").to_pandas().pivot(index="x", columns="y", values="enclosed")
    kernel = data["kernel"]
    np.testing.assert_allclose(
        unpacked(kernel["enclosed"]).reshape(kernel["points"]), rows.to_numpy()[::2, ::2], atol=1e-5
    )
    assert kernel["ends"] == [[axis[0], axis[58]] for axis in (rows.index.tolist(), rows.columns.tolist())]
    assert kernel["channels"] == [1, 2]


def test_em_has_the_iterations_of_the_deck_and_the_last(warehouse, data):
    trace = data["trace"]
    assert trace["iterations"] == [0, 1, 2, 3, 4, 5, 6, 20, ITERATIONS]
    rows = warehouse.read("mixture_trace").to_pandas()
    assert trace["log_likelihood"] == rows.groupby("iteration").log_likelihood.first().tolist()
    for iteration, mixture in zip(trace["iterations"], trace["mixtures"], strict=True):
        means = np.stack(rows[rows.iteration == iteration]["mean"])
        np.testing.assert_allclose(unpacked(mixture["means"]).reshape(3, 3), means, rtol=1e-6)


def test_two_components_have_their_iterations(data):
    two = data["two_components"]
    assert (two["iterations"], two["channels"]) == ([0, 1, 2, 3, 4], [1])
    assert two["mean"][4] == [-1.0, 4.0]
    assert two["weight"][0] == [0.75, 0.25]


def test_shares_are_those_of_the_table_and_none_without_a_row(warehouse, data):
    rows = warehouse.read("well_shares").to_pandas()
    for column in ("share", "low", "high"):
        np.testing.assert_array_equal(np.ravel(data["shares"][column][:-1]), rows[column])
    assert data["shares"]["share"][-1] == [None, None]
    assert data["shares"]["known_share"][:2] == [[0.0, 1.0], [None, None]]
    assert data["share_errors"] == {"blends": 1, "share": pytest.approx(0.02), "argmax_share": pytest.approx(0.1)}


def test_events_alone_are_enough(warehouse):
    publish_events(warehouse)
    data = cells_data(warehouse)
    assert data["pair"] == [0, 1]
    parts = {name for name, value in data.items() if value is None}
    assert parts == {
        "calls",
        "populations",
        "mixture",
        "class_mixtures",
        "kernel",
        "trace",
        "two_components",
        "shares",
        "share_errors",
    }


def test_tables_without_rows_are_as_if_they_were_not_made(warehouse):
    publish_events(warehouse)
    for contract in (CLASS_MIXTURES, CLASSES, SHARE_ERRORS, EVENT_CALLS, WELL_SHARES):
        warehouse.publish(contract, contract.schema.empty_table(), since=None)
    data = cells_data(warehouse)
    assert [data[name] for name in ("calls", "class_mixtures", "shares", "share_errors")] == [None] * 4


def test_without_wells_there_is_no_data(warehouse):
    with pytest.raises(UnknownTableError, match="wells"):
        cells_data(warehouse)


def in_order_of_wells(warehouse, table: str) -> pd.DataFrame:
    """The rows of a table of events in the order of the wells, with the place of the well in the column `well`."""
    rows = warehouse.read(table).to_pandas()
    places = warehouse.read("wells").to_pandas()["sample"].tolist()
    return rows.assign(well=rows["sample"].map(places.index)).sort_values(["well", "event"], ignore_index=True)
