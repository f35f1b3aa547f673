import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss
from sklearn.neighbors import KernelDensity

from taproom.assays import classifiers
from taproom.assays.class_mixtures import ClassParameters, cross_fit
from taproom.assays.class_model import call
from taproom.assays.classifiers import (
    BANDWIDTHS,
    KINDS,
    OTHERS,
    Fold,
    best_bandwidth,
    calibration_bins,
    compare,
)
from taproom.assays.held_out_wells import LabelledEvents
from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from tests.labelled_plate import events_of_plate, fit_classes

QUICK = ClassParameters(sizes=(1, 2), restarts=1)
# Methods that are quickly fitted.
SIMPLE = ("linear_discriminant", "quadratic_discriminant", "logistic_regression")
WELLS = {"blue": ("A1", "A2"), "red": ("B1", "B2", "B3")}


def plate(events=60, seed=0, apart=3.0, shift=0.2, wells=WELLS):
    """Two channels; classes lie apart along the first, and each well is shifted."""
    random = np.random.default_rng(seed)
    values, labels, names = [], [], []
    for place, (label, of_class) in enumerate(wells.items()):
        for well in of_class:
            centre = np.array([apart * place, 0.0]) + random.normal(scale=shift, size=2)
            values.append(centre + random.normal(size=(events, 2)))
            labels += [label] * events
            names += [well] * events
    return np.vstack(values), np.array(labels), np.array(names)


def compared(values, labels, wells, **options):
    events = LabelledEvents(values, labels, wells)
    ours = cross_fit(events, QUICK).log_densities
    return compare(events, ours, **options)


@pytest.mark.slow
def test_each_method_is_judged_on_each_well_by_the_others():
    values, labels, wells = plate()
    found = compared(values, labels, wells)
    assert (found.left_out, found.skipped, found.incomplete_events) == ({}, {}, 0)
    assert [(row["method"], row["well"]) for row in found.rows] == [
        (method, well) for method in ("class_mixtures", *OTHERS) for well in ("A1", "A2", "B1", "B2", "B3")
    ]
    assert all(row["events"] == 60 for row in found.rows)
    assert all(row["accuracy"] > 0.8 and row["log_loss"] < 0.6 for row in found.rows)
    assert [row["method"] for row in found.summary] == list(KINDS)
    assert {row["kind"] for row in found.summary} == {"generative", "discriminative"}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["linear_discriminant", "logistic_regression", "quadratic_discriminant"])
def test_rows_are_those_of_the_method_fitted_to_the_other_wells_by_hand(method):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression

    values, labels, wells = plate(apart=1.5)
    rows = {row["well"]: row for row in compared(values, labels, wells).rows if row["method"] == method}
    by_hand = {
        "linear_discriminant": LinearDiscriminantAnalysis(priors=[0.5, 0.5]),
        "quadratic_discriminant": QuadraticDiscriminantAnalysis(priors=[0.5, 0.5]),
        "logistic_regression": LogisticRegression(class_weight="balanced"),
    }[method]
    for well, row in rows.items():
        seen = wells != well
        standard = (values - values[seen].mean(axis=0)) / values[seen].std(axis=0)
        posteriors = by_hand.fit(standard[seen], labels[seen]).predict_proba(standard[~seen])
        called = np.array(["blue", "red"])[posteriors.argmax(axis=1)]
        assert row["accuracy"] == pytest.approx(accuracy_score(labels[~seen], called))
        assert row["log_loss"] == pytest.approx(log_loss(labels[~seen], posteriors, labels=["blue", "red"]), abs=1e-6)


@pytest.mark.slow
def test_ours_is_the_model_of_the_other_wells():
    values, labels, wells = plate(apart=1.5)
    for row in compared(values, labels, wells).rows:
        if row["method"] == "class_mixtures":
            seen = wells != row["well"]
            model = fit_classes(values[seen], labels[seen], wells[seen], QUICK)
            called = np.array(model.classes)[call(values[~seen], model).called]
            assert row["accuracy"] == pytest.approx((called == labels[~seen]).mean())


@pytest.mark.slow
def test_what_is_special_about_a_well_helps_no_method_on_it():
    random = np.random.default_rng(1)
    places = np.repeat(np.arange(8), 100)
    labels = np.where(places % 2, "red", "blue")
    values = random.normal(size=(800, 2)) + np.column_stack([np.zeros(800), 8.0 * random.permutation(8)[places]])

    def accuracies(wells):
        summary = compared(values, labels, wells).summary
        return [row["accuracy"] for row in summary if row["method"] in ("kernel_density", "gradient_boosting")]

    assert max(accuracies(places.astype(str))) < 0.75
    assert min(accuracies(np.tile(["x", "y"], 400))) > 0.95


def test_folds_have_no_event_of_the_well_that_is_left_out(monkeypatch):
    values, labels, wells = plate(events=30)
    seen = []

    def look(fold):
        seen.append(fold)
        return np.full((len(fold.held_out), 2), 0.5)

    monkeypatch.setattr(classifiers, "OTHERS", {"linear_discriminant": look})
    compared(values, labels, wells)
    assert len(seen) == 5
    for fold, well in zip(seen, ("A1", "A2", "B1", "B2", "B3"), strict=True):
        assert well not in fold.wells
        assert len(fold.values) == 120
        assert len(fold.held_out) == 30
        np.testing.assert_allclose(fold.values.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(fold.values.std(axis=0), 1)


@pytest.mark.slow
def test_summaries_are_means_over_wells_with_their_standard_errors():
    values, labels, wells = plate(apart=1.0)
    found = compared(values, labels, wells)
    by_method = {}
    for row in found.rows:
        by_method.setdefault(row["method"], []).append(row)
    ours = np.array([row["accuracy"] for row in by_method["class_mixtures"]])
    for summary in found.summary:
        rows = by_method[summary["method"]]
        for name in ("accuracy", "log_loss"):
            each = np.array([row[name] for row in rows])
            assert summary[name] == pytest.approx(each.mean())
            assert summary[f"{name}_error"] == pytest.approx(each.std(ddof=1) / np.sqrt(5))
        apart = np.array([row["accuracy"] for row in rows]) - ours
        assert summary["difference"] == pytest.approx(apart.mean())
        assert summary["difference_error"] == pytest.approx(apart.std(ddof=1) / np.sqrt(5))
        of_bins = [row for row in found.bins if row["method"] == summary["method"]]
        assert sum(row["events"] for row in of_bins) == 300
        observed = sum(row["observed"] * row["events"] for row in of_bins) / 300
        assert observed == pytest.approx(summary["accuracy"])
        by_hand = sum(abs(row["observed"] - row["confidence"]) * row["events"] for row in of_bins) / 300
        assert summary["calibration_error"] == pytest.approx(by_hand)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), events=st.integers(1, 200))
def test_bins_keep_all_events_and_their_means(seed, events):
    random = np.random.default_rng(seed)
    largest, right, weights = random.random(events), random.random(events) < 0.5, random.random(events) + 0.1
    largest[0] = 1.0
    rows, error = calibration_bins(largest, right, weights)
    assert sum(row["events"] for row in rows) == events
    assert 0 <= error <= 1
    for row in rows:
        assert row["bin"] / 10 <= row["confidence"] + 1e-12
        assert row["confidence"] <= (row["bin"] + 1) / 10 + 1e-12
        assert 0 <= row["observed"] <= 1
    assert [row["bin"] for row in rows] == sorted({row["bin"] for row in rows})


def test_sure_and_right_is_no_calibration_error_and_sure_and_wrong_the_largest():
    sure = np.ones(4)
    assert calibration_bins(sure, np.ones(4, bool), sure)[1] == 0
    assert calibration_bins(sure, np.zeros(4, bool), sure)[1] == 1


def fold_of(values, labels, wells, held_out=None):
    return Fold(values, labels, wells, values[:1] if held_out is None else held_out, 0)


def test_the_bandwidth_is_the_most_likely_one_on_wells_left_out_by_hand():
    values, labels, wells = plate(events=40)
    scores = []
    for bandwidth in BANDWIDTHS:
        total = 0.0
        for name, of_class in WELLS.items():
            each = []
            for well in of_class:
                rest = values[(labels == name) & (wells != well)]
                each.append(KernelDensity(bandwidth=bandwidth).fit(rest).score_samples(values[wells == well]))
            total += np.concatenate(each).mean()
        scores.append(total)
    assert best_bandwidth(fold_of(values, labels, wells)) == BANDWIDTHS[int(np.argmax(scores))]


def test_wells_that_differ_get_wider_kernels():
    alike = plate(events=400, shift=0.0)
    apart = plate(events=400, shift=2.0)
    assert best_bandwidth(fold_of(*alike)) < best_bandwidth(fold_of(*apart))


def test_kernel_densities_follow_the_bayes_rule():
    values, labels, wells = plate(events=50)
    held_out = plate(events=5, seed=1)[0]
    fold = fold_of(values, labels, wells, held_out)
    bandwidth = best_bandwidth(fold)
    densities = [
        np.exp(-0.5 * ((held_out[:, None] - values[labels == name]) ** 2).sum(axis=2) / bandwidth**2).mean(axis=1)
        for name in ("blue", "red")
    ]
    wanted = np.column_stack(densities) / np.sum(densities, axis=0)[:, None]
    np.testing.assert_allclose(classifiers.kernel_density(fold), wanted, atol=0.01)


def test_classes_that_nothing_tells_apart_are_called_alike_however_many_wells_they_have(monkeypatch):
    monkeypatch.setattr(classifiers, "OTHERS", {method: OTHERS[method] for method in SIMPLE})
    wells = {"blue": ("A1", "A2"), "red": tuple("BCDEFGHIJK")}
    found = compared(*plate(events=200, apart=0.0, shift=0.0, wells=wells))
    for method in ("class_mixtures", *SIMPLE):
        for of_class in wells.values():
            accuracies = [row["accuracy"] for row in found.rows if row["method"] == method and row["well"] in of_class]
            assert 0.3 < np.mean(accuracies) < 0.7


def test_the_only_well_of_a_class_is_skipped_and_told_and_fitted_with():
    values, labels, wells = plate(wells={"blue": ("A1",), "red": ("B1", "B2")})
    found = compared(values, labels, wells)
    assert set(found.skipped) == {"A1"}
    assert "blue" in found.skipped["A1"]
    assert {row["well"] for row in found.rows} == {"B1", "B2"}
    assert len(found.summary) == 6


def test_one_well_that_is_left_out_has_no_standard_error():
    values, labels, wells = plate(wells={"blue": ("A1",), "red": ("B1", "B2")})
    wells[labels == "blue"] = "B2"
    found = compared(values, labels, wells)
    assert {row["well"] for row in found.rows} == {"B1"}
    assert all(row["accuracy_error"] is row["log_loss_error"] is None for row in found.summary)


def test_without_a_well_to_leave_out_there_are_no_rows():
    found = compared(*plate(wells={"blue": ("A1",), "red": ("B1",)}))
    assert (found.rows, found.summary, found.bins, found.left_out) == ([], [], [], {})
    assert set(found.skipped) == {"A1", "B1"}


@pytest.mark.slow
def test_events_with_missing_values_are_set_aside_and_counted():
    values, labels, wells = plate()
    more = np.vstack([values, [[np.nan, 0.0]] * 7])
    ours = cross_fit(LabelledEvents(values, labels, wells), QUICK).log_densities
    more_of_ours = np.vstack([ours, np.zeros((7, 2))])
    events = LabelledEvents(more, np.append(labels, ["red"] * 7), np.append(wells, ["B3"] * 7))
    found = compare(events, more_of_ours)
    assert found.incomplete_events == 7
    assert found.rows == compare(LabelledEvents(values, labels, wells), ours).rows


def test_a_class_without_complete_events_is_not_compared_and_shifts_no_other():
    values, labels, wells = plate(wells={"blue": ("A1", "A2"), "red": ("B1", "B2"), "teal": ("C1", "C2")})
    values[labels == "blue", 1] = np.nan
    ours = np.where(labels[:, None] == np.unique(labels), 0.0, -9.0)
    found = compare(LabelledEvents(values, labels, wells), ours)
    assert {row["well"] for row in found.rows} == {"B1", "B2", "C1", "C2"}
    assert all(row["accuracy"] == 1 for row in found.rows if row["method"] == "class_mixtures")
    nothing = compare(LabelledEvents(np.full_like(values, np.nan), labels, wells), ours)
    assert (nothing.rows, nothing.incomplete_events) == ([], len(values))


@pytest.mark.slow
def test_a_method_that_cannot_be_fitted_is_left_out_and_told(caplog):
    values, labels, wells = plate(events=40)
    same_twice = np.column_stack([values, values[:, 0]])
    with caplog.at_level(logging.WARNING, "taproom.assays.classifiers"):
        found = compare(LabelledEvents(same_twice, labels, wells), np.zeros((200, 2)))
    assert "quadratic_discriminant" in found.left_out
    assert "quadratic_discriminant is left out" in caplog.text
    assert {"kernel_density", "logistic_regression", "gradient_boosting"} <= {row["method"] for row in found.rows}


@pytest.mark.slow
def test_a_cluster_gives_the_same_rows(on_cluster, monkeypatch):
    monkeypatch.setattr(classifiers, "OTHERS", {method: OTHERS[method] for method in SIMPLE})
    ours = cross_fit(events_of_plate(30), QUICK).log_densities
    here = compare(events_of_plate(30), ours)
    assert compare(Made(events_of_plate, (30,)), ours) == here
    usage = taken_usages()[-1]
    assert usage.blocks == 7 * len(SIMPLE)
    assert usage.largest_sent < 3_000
    assert usage.largest_received < 30 * 3 * 8 + 1_000


@pytest.mark.slow
def test_the_same_rows_come_out_whatever_the_workers():
    given = plate(events=40, apart=1.0)
    assert compared(*given, n_jobs=1) == compared(*given, n_jobs=2)


def test_events_that_cannot_be_compared_are_refused():
    values, labels, wells = plate(events=20)
    cases = {
        "of the class blue": (values, np.full(len(values), "blue"), wells),
        "have no label": (values, np.array([None, *labels[1:]], dtype=object), wells),
        "wanted: one for each event": (values, labels, wells[1:]),
        "infinite": (np.where(values == values[3, 1], np.inf, values), labels, wells),
        "constant": (np.column_stack([values, np.ones(len(values))]), labels, wells),
    }
    for message, events in cases.items():
        with pytest.raises(InputError, match=message):
            compare(LabelledEvents(*events), np.zeros((len(values), 2)))
