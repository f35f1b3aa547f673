import numpy as np
import pytest

from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from taproom.images.imbalance_experiment import TREATMENTS
from taproom.images.kernel_regression import LOSSES
from taproom.images.outlier_experiment import SPOILT
from taproom.images.street_fight import compare
from taproom.images.street_fight_draws import Sizes, draw_all
from taproom.intervals import student_interval
from tests.textures import NAMES, TINY, draws_of_textures, textures


def of(rows, experiment, **wanted):
    return [
        row
        for row in rows
        if row["experiment"] == experiment and all(row[name] == value for name, value in wanted.items())
    ]


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_every_setting_has_its_row_in_order(fight):
    assert [row["setting"] for row in of(fight, "standardization")] == [
        "none",
        "de-mean",
        "norm 1",
        "whiten",
        "all",
    ]
    assert [row["setting"] for row in of(fight, "encoding")] == ["relu", "two signs", "triangle"]
    assert [row["setting"] for row in of(fight, "filters")] == [
        "spherical k-means",
        "k-means",
        "random patches",
    ]
    assert [row["setting"] for row in of(fight, "number of filters")] == ["2", "4", "8", "16"]
    assert of(fight, "penalty")[-1]["setting"] == "chosen"
    assert [row["setting"] for row in of(fight, "class imbalance", measure="accuracy")] == list(TREATMENTS)
    assert [(row["condition"], row["setting"]) for row in of(fight, "outliers")] == [
        (f"{spoilt}, {kernel} kernel", loss)
        for spoilt in SPOILT
        for kernel in ("Gaussian", "linear")
        for loss in LOSSES
    ]
    keys = [(row["experiment"], row["condition"], row["setting"], row["measure"]) for row in fight]
    assert len(set(keys)) == len(keys) == 15 + 8 + 15 + 16


def test_means_intervals_and_differences_are_those_of_the_values(fight):
    by_key = {(row["experiment"], row["condition"], row["setting"], row["measure"]): row for row in fight}
    for row in fight:
        assert len(row["values"]) == 2
        assert row["value"] == pytest.approx(np.mean(row["values"]))
        assert row["low"] <= row["value"] <= row["high"]
        assert all(0 <= value <= 1 for value in row["values"])
        if row["base"] is None:
            assert row["difference"] is row["difference_low"] is row["difference_high"] is None
            continue
        base = by_key[row["experiment"], row["condition"], row["base"], row["measure"]]
        assert base["base"] is None
        by_seed = np.subtract(row["values"], base["values"])
        wanted = student_interval(by_seed)
        assert (row["difference"], row["difference_low"], row["difference_high"]) == (
            wanted.mean,
            wanted.low,
            wanted.high,
        )


def test_all_experiments_of_the_encoder_have_one_base_in_common(fight):
    bases = [
        row["values"]
        for experiment in ("standardization", "encoding", "filters", "number of filters", "penalty")
        for row in of(fight, experiment, base=None)
    ]
    assert len(bases) == 5
    assert all(values == bases[0] for values in bases)
    assert np.mean(bases[0]) > 0.6  # chance is 1/3


def test_what_images_were_trained_on_is_counted(fight):
    assert {row["images"] for row in of(fight, "standardization")} == {150}
    assert {row["images"] for row in of(fight, "outliers")} == {90}
    assert {row["images"] for row in of(fight, "class imbalance")} == {2 * 50 + 5}


def test_rare_classes_are_missed_and_treatments_find_them(fight):
    rare = {row["setting"]: row["value"] for row in of(fight, "class imbalance", measure="recall of rare classes")}
    assert rare["nothing"] < min(rare["class weights"], rare["oversampling"], rare["undersampling"])
    accuracy = {row["setting"]: row["value"] for row in of(fight, "class imbalance", measure="accuracy")}
    balanced = {row["setting"]: row["value"] for row in of(fight, "class imbalance", measure="balanced accuracy")}
    assert accuracy["nothing"] > balanced["nothing"]


def test_wild_targets_ruin_the_squared_loss_and_not_hubers(fight):
    (clean,) = of(fight, "outliers", condition="clean, Gaussian kernel", setting="squared")
    (squared, ours) = of(fight, "outliers", condition="wild targets, Gaussian kernel")
    assert squared["value"] < clean["value"] - 0.1
    assert ours["difference"] > 0.1


def test_the_same_rows_come_out_whatever_the_workers(fight):
    assert without_seconds(compare(draws_of_textures(), TINY, n_jobs=2)) == without_seconds(fight)


@pytest.mark.slow
def test_a_cluster_gives_the_same_rows(on_cluster, fight):
    assert without_seconds(compare(Made(draws_of_textures, ()), TINY)) == without_seconds(fight)
    usage = taken_usages()[-1]
    assert usage.blocks % TINY.seeds == 0
    assert usage.largest_sent < 3_000
    assert usage.largest_received < 10_000


def test_images_without_a_label_take_no_part(fight):
    images, labels = textures()
    more, none = np.zeros((50, *images.shape[1:]), np.uint8), np.full(50, -1)
    draws = draw_all(np.concatenate([images, more]), np.append(labels, none), NAMES, TINY, seed=0)
    again = compare(draws, TINY, n_jobs=1)
    assert without_seconds(again) == without_seconds(fight)


def test_the_fewest_images_are_enough():
    images, labels = textures(each=30, classes=2)
    sizes = Sizes(1, 10, 10, 10, filters=8, patches=300, iterations=1, pools=2)
    rows = compare(draw_all(images, labels, NAMES[:2], sizes, seed=0), sizes, n_jobs=1)
    assert all(row["low"] is row["difference_low"] is None for row in rows)
    assert {row["images"] for row in of(rows, "class imbalance")} == {20 + 2}


def test_constant_images_are_refused_with_a_reason():
    images, labels = textures(each=30)
    with pytest.raises(InputError, match="flat"):
        compare(draw_all(np.full_like(images, 90), labels, NAMES, TINY, seed=0), TINY, n_jobs=1)
