import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from assets.assays.mixture import chosen_fit_is_the_best, population_shares_match_weights
from pipelines.records import newest_materialization
from taproom.assays.event_mixture import mixture_from
from taproom.errors import InputError

QUICK = {"sizes": [1, 2, 3, 4], "restarts": 2, "selection_events": 300}
TABLES = ("mixture", "mixture_fits", "mixture_trace", "assignments")


@pytest.fixture
def fitted(plate, make, made_once):
    return made_once(lambda: make(*TABLES, mixture=QUICK))


def test_three_populations_are_found_as_three_components(fitted, warehouse):
    mixture = warehouse.read("mixture")
    assert mixture["component"].to_pylist() == [0, 1, 2]
    assert mixture["population"].to_pylist() == [0, 1, 2]
    means = mixture_from(mixture).means
    np.testing.assert_allclose(means[0], [0, 0], atol=0.3)
    assert sorted(means[1:].round().tolist()) == [[0, 6], [6, 0]]


def test_the_fits_tell_which_was_chosen(fitted, warehouse, instance):
    fits = warehouse.read("mixture_fits").to_pandas()
    assert len(fits[fits.splits == 0]) == 4 + 1  # a start for each number, and another for the best one
    chosen = fits[fits.chosen]
    assert len(chosen) == 1
    assert chosen.components.item() == fits.loc[fits.bic.idxmin()].components == 3
    told = newest_materialization(instance, dg.AssetKey("mixture_fits")).asset_materialization.metadata
    assert told["components_by_bic"].value == 3


def test_the_trace_ends_at_the_mixture_and_never_decreases(fitted, warehouse):
    trace = warehouse.read("mixture_trace").to_pandas()
    by_iteration = trace.groupby("iteration").log_likelihood.first()
    assert by_iteration.index.tolist() == list(range(len(by_iteration)))
    assert (np.diff(by_iteration) >= -1e-9 * abs(by_iteration.iloc[-1])).all()
    last = trace[trace.iteration == trace.iteration.max()].sort_values("component")
    mixture = warehouse.read("mixture").to_pandas()
    np.testing.assert_allclose(last.weight, mixture.weight)
    np.testing.assert_allclose(np.stack(last["mean"]), np.stack(mixture["mean"]))
    assert all(check.passed for check in fitted.get_asset_check_evaluations())


def test_responsibilities_are_those_of_the_published_mixture(fitted, warehouse, plate):
    assignments = warehouse.read("assignments")
    events = warehouse.read("events").to_pandas()
    mixture = mixture_from(warehouse.read("mixture"))
    values = np.stack(events.transformed)
    given = np.stack(assignments["responsibilities"].to_pandas())
    np.testing.assert_allclose(given, mixture.responsibilities(values), atol=1e-9)
    np.testing.assert_allclose(assignments["log_density"], mixture.log_density(values))
    np.testing.assert_array_equal(assignments["component"], given.argmax(axis=1))


def test_the_log_likelihood_is_per_unit_of_the_channels(fitted, warehouse):
    last = warehouse.read("mixture_trace").to_pandas().log_likelihood.iloc[-1]
    assert last == pytest.approx(warehouse.read("assignments")["log_density"].to_numpy().sum(), rel=1e-6)


def test_workers_and_a_cluster_do_not_change_a_bit(fitted, warehouse, make, instance, dask_cluster, monkeypatch):
    hashes = [warehouse.history(table)[0]["content_hash"] for table in TABLES]
    make(*TABLES, mixture={**QUICK, "workers": 1})
    assert [warehouse.history(table)[0]["content_hash"] for table in TABLES] == hashes
    monkeypatch.setenv("TAPROOM_CLUSTER", dask_cluster)
    make(*TABLES, mixture=QUICK)
    assert [warehouse.history(table)[0]["content_hash"] for table in TABLES] == hashes
    told = newest_materialization(instance, dg.AssetKey("mixture")).asset_materialization.metadata
    assert [usage["blocks"] for usage in told["cluster"].value] == [4, 1, 1]


def test_a_number_of_components_can_be_set_and_none_is_split(plate, make, warehouse):
    make(*TABLES, mixture={**QUICK, "components": 2})
    assert len(warehouse.read("mixture")) == 2
    fits = warehouse.read("mixture_fits").to_pandas()
    assert (set(fits.components), set(fits.splits)) == ({2}, {0})


def test_a_population_that_no_start_has_found_is_split_off(tmp_path, ingest_events, make, warehouse):
    random = np.random.default_rng(0)
    lines = [f"{x:.4f},{y:.4f}" for x, y in random.normal(size=(400, 2)) + np.repeat([[0, 0], [9, 9]], 200, axis=0)]
    (tmp_path / "two.csv").write_text("\n".join(["x,y", *lines]))
    ingest_events(tmp_path / "two.csv")
    make("wells")
    make(*TABLES, mixture={"sizes": [1], "restarts": 1})
    fits = warehouse.read("mixture_fits").to_pandas()
    assert fits[fits.chosen][["components", "splits"]].to_numpy().tolist() == [[2, 1]]
    assert len(warehouse.read("mixture")) == len(warehouse.read("mixture_trace").to_pandas().component.unique()) == 2


def test_values_at_the_end_of_a_range_are_no_population_and_are_published_as_measured(
    tmp_path, ingest_events, make, warehouse
):
    random = np.random.default_rng(0)
    counts = random.normal(0.5, 1.0, (600, 2)).clip(0.0)
    (tmp_path / "counts.csv").write_text("\n".join(["x,y", *(f"{x:.4f},{y:.4f}" for x, y in counts)]))
    ingest_events(tmp_path / "counts.csv")
    make("wells")
    make(*TABLES, mixture={"sizes": [1, 2, 3], "restarts": 2})
    assert set(warehouse.read("assignments")["population"].to_pylist()) == {0}
    values = np.stack(warehouse.read("events").to_pandas().transformed)
    mixture = mixture_from(warehouse.read("mixture"))
    assert values.min() == 0.0
    np.testing.assert_allclose(mixture.moments()[0], [0.5, 0.5], atol=0.15)
    np.testing.assert_allclose(warehouse.read("assignments")["log_density"], mixture.log_density(values))


def test_no_components_are_refused(plate, make):
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        make(*TABLES, mixture={"components": 0})
    with pytest.raises(InputError, match="wanted: numbers from 1"):
        make(*TABLES, mixture={"sizes": [0, 2]})


def test_fewer_events_than_components_and_constant_channels_are_refused(tmp_path, ingest_events, make, warehouse):
    (tmp_path / "few.csv").write_text("x,y\n1,2\n2,1\n3,5\n")
    ingest_events(tmp_path / "few.csv")
    make("wells")
    with pytest.raises(InputError, match="2 events are fewer than 4"):
        make(*TABLES, mixture={"components": 4})
    (tmp_path / "flat.csv").write_text("x,y\n" + "".join(f"{n},7\n" for n in range(9)))
    make("wells", wells={"leave_out": [ingest_events(tmp_path / "flat.csv", well="B1")]})
    flat = [row["sample"] for row in warehouse.read("samples").to_pylist() if "few" in row["sample"]]
    make("wells", wells={"leave_out": flat})
    with pytest.raises(InputError, match="Channel y is constant"):
        make(*TABLES, mixture=QUICK)
    assert "mixture" not in warehouse.tables()


@pytest.mark.parametrize(
    ("held_out", "bic", "chosen", "passed"),
    [
        ([-3.0, -2.0], [1.0, 2.0], [False, True], True),
        ([-3.0, -2.0], [1.0, 2.0], [True, False], False),
        ([None, None], [1.0, 2.0], [True, False], True),
        ([None, None], [1.0, 2.0], [False, True], False),
        ([-3.0, -2.0], [1.0, 2.0], [False, False], False),
    ],
)
def test_a_fit_that_is_not_the_best_is_no_choice(held_out, bic, chosen, passed):
    held_out = pa.array(held_out, pa.float64())
    assert (
        chosen_fit_is_the_best(pa.table({"held_out_log_density": held_out, "bic": bic, "chosen": chosen})).passed
        == passed
    )


@pytest.mark.parametrize(("events", "passed"), [([0, 0, 0, 1], True), ([0, 0, 1, 1], False), ([0, 0, 0, 0], False)])
def test_a_population_whose_events_are_not_its_weight_is_warned_of(events, passed):
    mixture = pa.table({"population": pa.array([0, 0, 1], pa.int32()), "weight": [0.5, 0.25, 0.25]})
    assigned = pa.table({"population": pa.array(events, pa.int32())})
    result = population_shares_match_weights(assigned.to_reader(max_chunksize=3), mixture)
    assert (result.passed, result.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert result.metadata["largest_difference"].value == abs(events.count(1) / 4 - 0.25)
