import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.cluster import taken_usages
from taproom.compute import Made
from taproom.errors import InputError
from taproom.search.hidden_layer import HiddenLayer, HiddenLayerParameters
from taproom.search.search_comparison import (
    DECK_SETTINGS,
    SPACE,
    SPENDINGS,
    EpochsObjective,
    Spending,
    Spent,
    _best_by,
    _curve_rows,
    _quantile,
    compare,
    final_loss,
    part,
    rank_correlation,
    share_to_reach,
)
from taproom.search.space import holds
from taproom.search.trials import METHODS, Plan, Trial, search

TINY = Spending(seeds=2, trials=4, epochs=3)


def blobs(count=200, classes=4, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = (np.repeat(np.eye(classes), 3, axis=1)[labels] + random.normal(0, 0.5, (count, 3 * classes))) / 3
    return images.astype(np.float32), labels, [f"{number:06}" for number in range(count)]


def parted_blobs():
    return part(*blobs())


DIGITS = parted_blobs()
SETTING = {"learning_rate": 0.05, "l2_penalty": 1e-4, "hidden_nodes": 12}


@pytest.fixture(scope="module")
def compared():
    return compare(DIGITS, TINY, seed=5, n_jobs=1)


# --- the digits ------------------------------------------------------------------------------------------------------


def test_a_fifth_of_each_label_judges_and_the_others_are_trained_on():
    images, labels, ids = blobs(203)
    images[:, 0] = np.arange(203)
    parted = part(images, labels, ids)
    rows = [set(of[:, 0].tolist()) for of in (parted.training, parted.judging)]
    assert not rows[0] & rows[1]
    assert rows[0] | rows[1] == set(range(203))
    assert np.bincount(parted.judging_labels).tolist() == [10, 10, 10, 10]
    for of, numbers in ((parted.training, parted.training_labels), (parted.judging, parted.judging_labels)):
        assert np.array_equal(of[:, 0].astype(int) % 4, numbers)


def test_the_parts_do_not_depend_on_the_order_of_the_digits():
    images, labels, ids = blobs()
    shuffled = np.random.default_rng(1).permutation(len(ids))
    again = part(images[shuffled], labels[shuffled], [ids[row] for row in shuffled])
    assert all(np.array_equal(one, other) for one, other in zip(part(images, labels, ids)[:4], again[:4], strict=True))


def test_so_many_are_taken_at_most_and_as_many_of_each_label():
    parted = part(*blobs(400), most=200)
    assert np.bincount(parted.training_labels).tolist() == [40] * 4
    assert np.bincount(parted.judging_labels).tolist() == [10] * 4


@pytest.mark.parametrize(
    ("count", "classes", "message"),
    [(99, 4, "99 digits of 4 labels"), (200, 1, "200 digits of 1 labels"), (120, 30, "at least 4 of each")],
)
def test_too_few_digits_are_refused(count, classes, message):
    with pytest.raises(InputError, match=message):
        part(*blobs(count, classes))


def test_a_label_without_digits_is_refused():
    images, labels, ids = blobs()
    with pytest.raises(InputError, match="at least 0 of each"):
        part(images, np.where(labels == 2, 3, labels), ids)


# --- what is searched ------------------------------------------------------------------------------------------------


def test_the_decks_settings_and_ranges():
    assert len(DECK_SETTINGS) == 10
    for setting in DECK_SETTINGS:
        assert holds(SPACE, vars(setting.parameters))
    best, worst = (function(DECK_SETTINGS, key=lambda setting: setting.loss) for function in (min, max))
    assert best.parameters == HiddenLayerParameters(10**-1.9, 10**-5.8, 126)
    assert (worst.loss, worst.parameters.hidden_nodes) == (0.182, 398)
    assert {name: (of.low, of.high, of.log) for name, of in SPACE.items()} == {
        "learning_rate": (1e-3, 1e-1, True), "l2_penalty": (1e-6, 1e-1, True), "hidden_nodes": (10, 1_000, True),
    }  # fmt: skip


@pytest.mark.parametrize("size", SPENDINGS)
def test_hyperband_can_spend_what_the_others_do(size):
    spending = SPENDINGS[size]
    plan = Plan("hyperband", spending.trials, spending.epochs, continues=True, batch=1)
    spent = sum(
        count * (budget - had)
        for rungs in plan.brackets
        for (count, budget), had in zip(rungs, [0, *(budget for _, budget in rungs)], strict=False)
    )
    assert 0.8 * spending.all_epochs <= spent <= spending.all_epochs


def test_a_score_does_not_depend_on_what_was_scored_before_but_what_is_spent_does():
    objective = EpochsObjective(DIGITS)
    first = objective.score(SETTING, 2, 7)
    objective.score({**SETTING, "hidden_nodes": 30}, 1, 8)
    promoted = objective.score(SETTING, 6, 7)
    assert [entry.epochs for entry in objective.spent] == [2, 3, 7]
    assert [objective.spent[0].loss, objective.spent[2].loss] == [first, promoted]
    assert EpochsObjective(DIGITS).score(SETTING, 6, 7) == promoted
    assert promoted == EpochsObjective(DIGITS).score(SETTING, 6, 7)
    assert promoted != EpochsObjective(DIGITS).score(SETTING, 6, 8)


def test_a_network_that_is_stopped_is_forgotten_and_one_that_is_promoted_is_not():
    objective = EpochsObjective(DIGITS)
    other = {**SETTING, "hidden_nodes": 30}
    for parameters in (SETTING, other):
        objective.score(parameters, 1, 7)
    objective.forget([Trial(0, SETTING, 7, state="promoted"), Trial(1, other, 7, state="stopped")])
    objective.score(SETTING, 3, 7)
    objective.score(other, 3, 7)
    assert [entry.epochs for entry in objective.spent] == [1, 2, 4, 7]


def test_epochs_of_a_network_that_diverges_are_spent():
    objective = EpochsObjective(DIGITS)
    with pytest.raises(InputError, match="diverges"):
        objective.score({**SETTING, "learning_rate": 1e30}, 3, 0)
    objective.score(SETTING, 2, 0)
    assert objective.spent[0] == Spent(3, None)
    assert objective.spent[1].epochs == 5


@pytest.mark.slow
def test_a_search_of_networks_spends_what_its_plan_says():
    for method in METHODS:
        objective = EpochsObjective(DIGITS)
        plan = Plan(method, 5, 9, continues=True, batch=1)
        trials = search(objective, SPACE, plan, record=objective.forget, n_jobs=1)
        assert objective.spent[-1].epochs == sum(trial.budgets[-1] for trial in trials)
        assert 36 <= objective.spent[-1].epochs <= 45
        assert {trial.state for trial in trials} <= {"complete", "stopped"}


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_method_has_a_curve_that_only_falls_and_ends_at_its_budget(compared):
    assert list(dict.fromkeys(row["method"] for row in compared.curves)) == list(METHODS)
    for method in METHODS:
        rows = [row for row in compared.curves if row["method"] == method]
        epochs, medians = zip(*((row["epochs"], row["median"]) for row in rows), strict=True)
        assert list(epochs) == sorted(set(epochs))
        assert TINY.all_epochs - TINY.epochs < epochs[-1] <= TINY.all_epochs
        assert list(medians) == sorted(medians, reverse=True)
        assert all(row["low"] <= row["median"] <= row["high"] for row in rows)
        assert {len(row["losses"]) for row in rows} == {2}


@pytest.mark.slow
def test_the_losses_of_the_decks_settings_are_those_of_networks_trained_for_all_epochs(compared):
    row = compared.settings[2]
    for place, seed in enumerate((5, 6)):
        network = HiddenLayer(DECK_SETTINGS[2].parameters, 4, seed)
        network.train(DIGITS.training, DIGITS.training_labels, TINY.epochs)
        assert row["losses"][place] == pytest.approx(network.judged(DIGITS.judging, DIGITS.judging_labels).loss)
    assert row["loss"] == pytest.approx(np.mean(row["losses"]))
    assert [row["published_rank"] for row in compared.settings] == [5, 10, 3, 8, 4, 6, 9, 7, 1, 2]
    assert sorted(row["rank"] for row in compared.settings) == list(range(1, 11))
    ranked = sorted(compared.settings, key=lambda row: row["rank"])
    assert [row["loss"] for row in ranked] == sorted(row["loss"] for row in ranked)


@pytest.mark.slow
def test_rows_do_not_depend_on_workers_and_do_on_the_seed(compared):
    assert compare(DIGITS, TINY, seed=5, n_jobs=2) == compared
    assert compare(DIGITS, TINY, seed=6, n_jobs=1).curves != compared.curves


@pytest.mark.slow
def test_a_cluster_gives_the_same_rows(on_cluster, compared):
    assert compare(Made(parted_blobs, ()), TINY, seed=5) == compared
    usage = taken_usages()[-1]
    assert usage.blocks == TINY.seeds * (len(METHODS) + len(DECK_SETTINGS))
    assert usage.largest_sent < 3_000
    assert usage.largest_received < 3_000


@pytest.mark.slow
def test_the_second_seed_of_one_comparison_is_the_first_of_the_next(compared):
    after = compare(DIGITS, Spending(1, TINY.trials, TINY.epochs), seed=6, n_jobs=1)
    assert [row["losses"][1] for row in compared.settings] == [row["losses"][0] for row in after.settings]
    of_random = [[row["losses"][-1] for row in rows if row["method"] == "random"] for rows in (compared[1], after[1])]
    assert of_random[0] == of_random[1]


def test_curves_of_several_seeds_meet_at_each_number_of_epochs():
    first = [Spent(1, 2.0), Spent(3, None), Spent(4, 1.0)]
    second = [Spent(2, 4.0), Spent(4, 5.0)]
    rows = list(_curve_rows("random", [first, second]))
    assert [row["epochs"] for row in rows] == [1, 2, 3, 4]
    assert [row["losses"] for row in rows] == [[2.0, None], [2.0, 4.0], [2.0, 4.0], [1.0, 4.0]]
    assert [row["median"] for row in rows] == [None, 3.0, 3.0, 2.5]
    assert [row["low"] for row in rows] == [None, 2.5, 2.5, 1.75]


def test_the_best_loss_is_infinite_before_there_is_one():
    curve = [Spent(2, None), Spent(5, 3.0), Spent(5, 2.0), Spent(9, 2.5)]
    assert _best_by(curve, [1, 2, 4, 5, 8, 9]).tolist() == [math.inf, math.inf, math.inf, 2.0, 2.0, 2.0]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12), st.sampled_from([0.25, 0.5, 0.75]))
def test_quantiles_are_numpys_where_all_values_are_finite(values, share):
    assert _quantile(values, share) == pytest.approx(np.quantile(values, share))


@given(st.lists(st.floats(0, 10), min_size=1, max_size=9), st.integers(1, 9))
def test_a_median_is_finite_as_long_as_most_values_are(values, infinite):
    found = _quantile([*values, *[math.inf] * infinite], 0.5)
    assert (found is not None) == (infinite < len(values))


# --- summaries -------------------------------------------------------------------------------------------------------


def curve(method, medians, step=10):
    return [{"method": method, "epochs": step * place, "median": median} for place, median in enumerate(medians, 1)]


def test_the_share_of_the_epochs_after_which_a_method_is_as_good_as_random_search_in_the_end():
    rows = [
        *curve("random", [None, 0.9, 0.9, 0.5]),
        *curve("hyperband", [None, 0.5, 0.3], step=5),
        *curve("tpe", [0.8, 0.6, 0.6, 0.51]),
    ]
    assert final_loss(rows, "random") == 0.5
    assert share_to_reach(rows, "hyperband") == 10 / 40
    assert share_to_reach(rows, "tpe") is None
    assert share_to_reach(rows, "random") == 1
    assert share_to_reach([*curve("random", [None]), *curve("tpe", [0.5])], "tpe") is None


def settings(losses):
    return [{"published_loss": 0.1 * place, "loss": loss} for place, loss in enumerate(losses)]


def test_ranks_are_compared_and_what_diverges_is_last():
    assert rank_correlation(settings([1.0, 2.0, 9.0]), "loss") == pytest.approx(1)
    assert rank_correlation(settings([3.0, 2.0, 1.0]), "loss") == pytest.approx(-1)
    assert rank_correlation(settings([1.0, 2.0, None]), "loss") == pytest.approx(1)
    assert rank_correlation(settings([None, 1.0, 2.0]), "loss") == pytest.approx(-0.5)
    assert rank_correlation(settings([1.0, 1.0, 1.0]), "loss") is None
    assert rank_correlation(settings([None, None, None]), "loss") is None
