import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import taproom
from assets.assays.class_mixtures import (
    CLASS_MIXTURES,
    CLASSES,
    HELD_OUT_EVENTS,
    held_out_events_beat_chance,
    no_component_has_collapsed,
)
from assets.assays.classifier_comparison import (
    CALIBRATION,
    WELLS,
    posteriors_are_calibrated,
    some_method_works_on_every_well,
)
from pipelines.records import newest_materialization
from taproom.errors import ContractError, InputError, UnknownTableError

CLASS_TABLES = ("class_mixtures", "classes", "held_out_events", "share_errors")
CALL_TABLES = ("event_calls", "well_shares")
COMPARISON_TABLES = ("classifier_comparison", "classifier_wells", "classifier_calibration")
QUICK = {"sizes": [1, 2, 3], "restarts": 1}


@pytest.fixture
def called(plate, make, made_once):
    settings = {"class_mixtures": QUICK, "event_calls": {"resamples": 20}}
    return made_once(lambda: make(*CLASS_TABLES, *CALL_TABLES, **settings))


@pytest.fixture
def compared(plate, make, made_once):
    def compare():
        make(*CLASS_TABLES, class_mixtures=QUICK)
        return make(*COMPARISON_TABLES, classifier_comparison={"workers": 1})

    return made_once(compare)


def test_classes_have_mixtures_priors_and_thresholds(called, warehouse):
    classes = warehouse.read("classes").to_pylist()
    assert [row["class"] for row in classes] == ["green", "red"]
    assert [row["prior"] for row in classes] == [0.5, 0.5]
    assert all(row["held_out_events"] == 240 for row in classes)
    mixtures = warehouse.read("class_mixtures").to_pandas()
    np.testing.assert_allclose(mixtures.groupby("class").weight.sum(), 1)


def test_mixtures_of_a_class_that_is_not_described_are_not_published(plate, make, warehouse, change_rows):
    change_rows("assets.assays.class_mixtures", CLASSES, lambda rows: rows.slice(1))
    with pytest.raises(ContractError, match="class_mixtures: 2 references break the rule 'class refers to class of"):
        make(*CLASS_TABLES, class_mixtures={"sizes": [2], "restarts": 1})
    assert "class_mixtures" not in warehouse.tables()


def test_the_champion_says_how_many_components_unless_sizes_are_given(plate, make, warehouse, crown):
    crown("class_mixtures", components=3, regularization=1e-3)
    make(*CLASS_TABLES, class_mixtures={"restarts": 1})
    assert warehouse.read("classes")["components"].to_pylist() == [3, 3]
    make(*CLASS_TABLES, class_mixtures={"restarts": 1, "sizes": [2]})
    assert warehouse.read("classes")["components"].to_pylist() == [2, 2]


def test_events_that_shine_are_called_and_dark_ones_are_ambiguous(called, warehouse):
    calls = warehouse.read("event_calls").to_pandas()
    values = np.stack(warehouse.read("events").to_pandas().transformed)
    green, red, dark = values[:, 0] > 4, values[:, 1] > 4, (values < 2).all(axis=1)
    assert (calls.called[green] == "green").all()
    assert (calls.called[red] == "red").all()
    assert calls.ambiguous[dark].mean() > 0.8
    assert calls.ambiguous[green | red].mean() < 0.1
    assert calls.anomalous.mean() < 0.1


def test_shares_of_the_mixed_well_are_nearer_than_counted_calls(called, warehouse):
    shares = warehouse.read("well_shares").to_pandas().set_index(["well", "class"])
    assert len(shares) == 10
    assert shares.known_share["A1", "green"] == 1
    assert np.isnan(shares.known_share["A5", "green"])
    mixed = shares.loc["A5", "green"]
    assert mixed.low <= mixed.share <= mixed.high
    assert abs(mixed.share - 0.7) < 0.15
    np.testing.assert_allclose(shares.groupby("well").share.sum(), 1)


def test_calls_from_the_tables_alone_are_the_published_ones(called, warehouse):
    events = warehouse.read("events").to_pandas()
    values = np.stack(events["values"])
    frame = pd.DataFrame({"red": values[:, 1], "green": values[:, 0], "other": 0.0})
    found = taproom.call(frame)
    published = warehouse.read("event_calls")
    for name in ("called", "posteriors", "log_density", "ambiguous", "anomalous"):
        assert found[name].to_pylist() == published[name].to_pylist(), name


def test_calls_of_events_with_missing_channels_use_what_is_there(called):
    found = taproom.call({"green": [6.0, np.nan, np.inf]}).to_pylist()
    assert found[0]["called"] == "green"
    assert found[1]["posteriors"] == found[2]["posteriors"] == pytest.approx([0.5, 0.5])


def test_calls_refuse_what_they_cannot_read(called):
    with pytest.raises(InputError, match="wanted: some of"):
        taproom.call({"blue": [1.0]})
    with pytest.raises(InputError, match="differ in length"):
        taproom.call({"green": [1.0], "red": [1.0, 2.0]})
    with pytest.raises(InputError, match="does not hold numbers"):
        taproom.call({"green": ["much"]})


@pytest.mark.usefixtures("warehouse")
def test_nothing_can_be_called_before_there_are_calls():
    with pytest.raises(UnknownTableError):
        taproom.call({"green": [1.0]})


def test_a_prior_of_a_class_without_wells_is_refused(plate, make, warehouse):
    with pytest.raises(InputError, match="blue has no well"):
        make(*CLASS_TABLES, class_mixtures={**QUICK, "priors": {"green": 1, "red": 1, "blue": 1}})
    assert "classes" not in warehouse.tables()


@pytest.mark.parametrize("label", ["", "green"])
def test_without_two_classes_the_tables_are_empty_and_a_check_says_so(tmp_path, ingest_events, make, warehouse, label):
    (tmp_path / "plain.csv").write_text("x,y\n" + "".join(f"{n},{n * n % 7}\n" for n in range(50)))
    ingest_events(tmp_path / "plain.csv", label=label)
    make("wells")
    make("plate_scales")
    made = make(*CLASS_TABLES, *CALL_TABLES, *COMPARISON_TABLES)
    assert [len(warehouse.read(table)) for table in (*CLASS_TABLES, *CALL_TABLES, *COMPARISON_TABLES)] == [0] * 9
    assert "confident_calls_are_accurate" in {
        check.check_name for check in made.get_asset_check_evaluations() if not check.passed
    }
    with pytest.raises(InputError, match="There are no classes"):
        taproom.call({"x": [1.0]})


def test_a_well_in_which_nothing_was_measured_has_no_shares(plate, tmp_path, ingest_events, make, warehouse):
    (tmp_path / "dark.csv").write_text("green,red,blue\n,,1\n,,2\n")
    ingest_events(tmp_path / "dark.csv", plate="P2", well="B1")
    make("wells", wells={"channels": ["green", "red"]})
    make("plate_scales")
    make(*CLASS_TABLES, *CALL_TABLES, class_mixtures=QUICK, event_calls={"resamples": 5})
    dark = [row for row in warehouse.read("well_shares").to_pylist() if row["plate"] == "P2"]
    assert [(row["events"], row["share"], row["low"]) for row in dark] == [(0, None, None)] * 2


def test_classifiers_are_compared_on_wells_left_out(compared, warehouse):
    summary = warehouse.read("classifier_comparison").to_pandas().set_index("method")
    assert len(summary) == 6
    assert (summary.wells == 4).all()
    assert summary.accuracy["class_mixtures"] > 0.65
    wells = warehouse.read("classifier_wells").to_pandas()
    np.testing.assert_allclose(wells.groupby("method").accuracy.mean().sort_index(), summary.accuracy.sort_index())
    assert {check.check_name: check.passed for check in compared.get_asset_check_evaluations()} == {
        "class_mixtures_keep_up": True,
        "some_method_works_on_every_well": True,
        "posteriors_are_calibrated": True,
        "usual_version": True,
    }


def test_a_cluster_gives_the_same_tables(compared, make, warehouse, instance, dask_cluster, monkeypatch):
    def hashes():
        return [warehouse.history(table)[0]["content_hash"] for table in (*CLASS_TABLES, *COMPARISON_TABLES)]

    here = hashes()
    monkeypatch.setenv("TAPROOM_CLUSTER", dask_cluster)
    make(*CLASS_TABLES)
    make(*COMPARISON_TABLES)
    assert hashes() == here
    for table, blocks in (("classes", 2 + 4), ("classifier_comparison", 4 * 5)):
        materialized = newest_materialization(instance, dg.AssetKey(table)).asset_materialization
        (usage,) = materialized.metadata["cluster"].value
        assert usage["blocks"] == blocks
        assert usage["largest_sent"] < 3_000


def test_classes_of_one_well_each_are_called_but_not_compared(tmp_path, ingest_events, make, warehouse):
    random = np.random.default_rng(0)
    for label, centre in (("green", 0), ("red", 5)):
        path = tmp_path / f"{label}.csv"
        path.write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in random.normal(centre, 1, (60, 2))))
        ingest_events(path, label=label)
    make("wells")
    make("plate_scales")
    make(*CLASS_TABLES, *CALL_TABLES, class_mixtures=QUICK, event_calls={"resamples": 5})
    make(*COMPARISON_TABLES)
    assert [row["held_out_accuracy"] > 0.9 for row in warehouse.read("classes").to_pylist()] == [True, True]
    assert [len(warehouse.read(table)) for table in COMPARISON_TABLES] == [0, 0, 0]


@pytest.mark.parametrize(("variance", "passed"), [(0.01, True), (1e-7, False)])
def test_a_component_without_width_is_warned_of(variance, passed):
    rows = [
        {"class": "red", "component": 0, "weight": 0.9, "mean": [0.0, 0.0], "covariance": [1.0, 0.5, 0.5, 4.0]},
        {"class": "red", "component": 1, "weight": 0.1, "mean": [1.0, 1.0], "covariance": [1.0, 0.0, 0.0, variance]},
    ]
    result = no_component_has_collapsed(pa.Table.from_pylist(rows, CLASS_MIXTURES.schema))
    assert result.passed is passed
    assert result.metadata["least_variance"].value == variance / 4
    assert no_component_has_collapsed(CLASS_MIXTURES.schema.empty_table()).passed


@pytest.mark.parametrize(("called", "recall"), [(["green", "red", "red"], 1.0), (["green", "red", "green"], 0.75)])
def test_held_out_events_called_no_better_than_by_chance_are_warned_of(called, recall):
    rows = [
        {"sample": "s", "event": place, "class": name, "log_densities": [-1.0, -2.0][:: 1 if call == "green" else -1]}
        for place, (name, call) in enumerate(zip(["green", "red", "red"], called, strict=True))
    ]
    result = held_out_events_beat_chance(pa.Table.from_pylist(rows, HELD_OUT_EVENTS.schema))
    assert result.passed
    assert result.metadata["mean_recall"].value == recall
    mistaken = [{**row, "log_densities": row["log_densities"][::-1]} for row in rows]
    result = held_out_events_beat_chance(pa.Table.from_pylist(mistaken, HELD_OUT_EVENTS.schema))
    assert not result.passed
    assert result.metadata["mean_recall"].value == 1 - recall
    assert held_out_events_beat_chance(HELD_OUT_EVENTS.schema.empty_table()).passed


@pytest.mark.parametrize(("accuracies", "doubtful"), [([(0.8, 0.1)], {}), ([(0.3, 0.2)], {"P1 A3": 0.3})])
def test_a_well_that_no_method_gets_right_is_warned_of(accuracies, doubtful):
    rows = [
        {"method": method, "well": f"P1 A{place + 1}", "events": 10, "accuracy": accuracy, "log_loss": 1.0}
        for place, of_well in enumerate([(0.8, 0.7), (0.7, 0.8), *accuracies])
        for method, accuracy in zip(("class_mixtures", "logistic_regression"), of_well, strict=True)
    ]
    result = some_method_works_on_every_well(pa.Table.from_pylist(rows, WELLS.schema))
    assert result.passed is not bool(doubtful)
    assert result.metadata["doubtful_wells"].value == doubtful
    assert some_method_works_on_every_well(WELLS.schema.empty_table()).passed


@pytest.mark.parametrize(("observed", "passed"), [(0.85, True), (0.6, False)])
def test_posteriors_that_promise_too_much_are_warned_of(observed, passed):
    rows = [
        {"method": "class_mixtures", "bin": 9, "events": 30, "confidence": 0.9, "observed": observed},
        {"method": "class_mixtures", "bin": 5, "events": 10, "confidence": 0.5, "observed": 0.5},
        {"method": "logistic_regression", "bin": 9, "events": 30, "confidence": 0.9, "observed": 0.1},
    ]
    result = posteriors_are_calibrated(pa.Table.from_pylist(rows, CALIBRATION.schema))
    assert result.passed is passed
    assert result.metadata["mean_calibration_error"].value == pytest.approx(0.75 * (0.9 - observed))
