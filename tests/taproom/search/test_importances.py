import pytest

from taproom.search.importances import importances
from taproom.search.trials import Trial
from tests.made_up_trials import SPACE, failed, searched


def offset_only(setting):
    return setting["offset"] ** 2


def test_importance_is_the_share_of_what_a_parameter_changes():
    shares = importances(searched(SPACE, 40, offset_only), SPACE)
    assert shares.keys() == SPACE.keys()
    assert next(iter(shares)) == "offset"
    assert shares["offset"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert all(type(share) is float for share in shares.values())


def test_importances_are_the_same_each_time():
    tried = searched(SPACE, 20)
    assert importances(tried, SPACE) == importances(tried, SPACE)


def test_a_run_that_diverged_does_not_take_all_the_importance():
    tried = searched(SPACE, 40, offset_only)
    fastest = max(tried, key=lambda trial: trial.parameters["rate"]).number
    tried[fastest] = Trial(fastest, tried[fastest].parameters, 0, (10,), (1e9,))
    assert importances(tried, SPACE)["offset"] > 0.5


def test_importances_are_of_the_budget_that_most_trials_have_had():
    tried = searched(SPACE, 12, offset_only)
    begun = [
        Trial(each.number, each.parameters, 0, (3,), each.values, "stopped")
        if each.number > 1
        else Trial(each.number, each.parameters, 0, (3, 10), (each.values[0], 0.5))
        for each in tried
    ]
    assert importances(begun, SPACE) == importances(tried, SPACE)


def test_only_trials_of_the_space_with_that_budget_count_for_importances():
    tried = searched(SPACE, 12, offset_only)
    by_itself = Trial(12, {**tried[0].parameters, "rate": None}, 0, (10,), (99.0,))
    stopped = Trial(13, tried[0].parameters, 0, (3,), (99.0,), "stopped")
    assert importances([*tried, by_itself, stopped, failed(14)], SPACE) == importances(tried, SPACE)
