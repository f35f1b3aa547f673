from taproom.search.space import Real
from taproom.search.trial_rows import best_of_last, made_from, parted, rows_of_trials, trials_of_rows
from taproom.search.trials import Plan, Trial

SPACE = {"x": Real(0.0, 1.0)}
TRIALS = [
    Trial(0, {"x": 0.1}, 11, (1, 3), (0.5, 0.4), "complete", None, 1.5),
    Trial(1, {"x": None}, 12, (), (), "failed", "ValueError: no", 0.1),
    Trial(2, {"x": 0.30000000000000004}, 13, (1,), (0.6,), "stopped", None, 0.2),
]


def rows_of(search: str, code: str = "a", trials=TRIALS) -> list[dict]:
    return rows_of_trials(trials, search=search, made_from=code)


def test_trials_come_back_from_their_rows_to_the_bit():
    assert trials_of_rows(rows_of("first")) == TRIALS


def test_a_row_tells_the_last_value_and_the_whole_budget():
    assert [(row["value"], row["budget_used"]) for row in rows_of("first")] == [(0.4, 4), (None, 0), (0.6, 1)]


def test_a_search_finds_its_own_rows_where_they_were():
    rows = [*rows_of("a"), *rows_of("b"), *rows_of("c")]
    before, own, after = parted(rows, "b", "a")
    assert [{row["search"] for row in part} for part in (before, own, after)] == [{"a"}, {"b"}, {"c"}]


def test_a_search_made_from_something_else_begins_anew_as_the_last():
    before, own, after = parted([*rows_of("a"), *rows_of("b")], "a", "other")
    assert ([row["search"] for row in before], own, after) == (["a"] * 3 + ["b"] * 3, [], [])


def test_a_search_begins_from_the_best_of_the_one_before():
    better = [Trial(0, {"x": 0.7}, 1, (3,), (0.1,))]
    assert best_of_last([*rows_of("a"), *rows_of("b", trials=better)], SPACE, False) == {"x": 0.7}
    assert best_of_last(rows_of("a"), SPACE, False) == {"x": 0.1}
    assert best_of_last([*rows_of("a"), *rows_of("a", "other", better)], SPACE, False) == {"x": 0.7}


def test_a_best_setting_that_is_not_of_the_space_is_nothing_to_begin_from():
    assert best_of_last(rows_of("a"), {"y": Real(0.0, 1.0)}, False) is None
    assert best_of_last(rows_of("a", trials=TRIALS[1:2]), SPACE, False) is None


def test_whatever_decides_the_trials_is_in_their_hash():
    plan = Plan("random", 5)
    hashes = {
        made_from("{}", plan, SPACE, "1"),
        made_from("{'a': 1}", plan, SPACE, "1"),
        made_from("{}", Plan("random", 6), SPACE, "1"),
        made_from("{}", plan, {"x": Real(0.0, 2.0)}, "1"),
        made_from("{}", plan, SPACE, "2"),
    }
    assert len(hashes) == 5
    assert made_from("{}", Plan("random", 5), dict(SPACE), "1") in hashes
