"""The data of the page of searches, compared with the tables that they are of."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from taproom.pages import searches_data as module
from taproom.pages.searches_data import searches_data
from taproom.pages.tables import LONGEST_CELL
from tests.shown_searches import SEARCH, SETTINGS, publish_searches, publish_trials
from tests.shown_tables import HOSTILE


@pytest.fixture
def data(warehouse):
    publish_searches(warehouse)
    return searches_data(warehouse)


def test_trials_are_those_of_their_study(warehouse, data):
    rows = warehouse.read("trials").to_pylist()
    assert [study["name"] for study in data["studies"]] == sorted(SETTINGS)
    for study in data["studies"]:
        wanted = [row for row in rows if row["study"] == study["name"]]
        (search,) = study["searches"]
        assert (search["name"], study["trial_count"]) == (SEARCH, len(wanted))
        for shown, row in zip(search["trials"], wanted, strict=True):
            for name in ("number", "budgets", "values", "value", "state", "reason"):
                assert shown[name] == row[name]
            assert shown["parameters"] == json.loads(row["parameters"])


def test_the_champion_and_its_challenges_are_their_rows(warehouse, data):
    shown, other = data["studies"]
    (row,) = warehouse.read("champions").to_pylist()
    for name in ("verdict", "search", "trial", "value", "value_low", "value_high", "why", "challenge"):
        assert shown["champion"][name] == row[name]
    assert shown["champion"]["decided_at"] == "2026-11-28 18:14 UTC"
    challenges = warehouse.read("challenges").to_pylist()
    assert [each["number"] for each in shown["challenges"]] == [1, 0]
    assert [each["difference"] for each in shown["challenges"]] == [row["difference"] for row in challenges[::-1]]
    assert (other["champion"], other["challenges"]) == (None, [])


def test_searches_of_one_study_are_apart_and_the_last_trials_are_shown(warehouse, data, monkeypatch):
    monkeypatch.setattr(module, "TRIALS", 5)
    settings = [({"contrast": float(place)}, [36], [0.1 * place], "complete") for place in range(4)]
    publish_trials(warehouse, "another", settings, search="first")
    assert [study["name"] for study in searches_data(warehouse)["studies"]] == ["another", *sorted(SETTINGS)]
    rows = warehouse.read("trials").to_pylist()
    doubled = [{**row, "search": name, "study": "one"} for name in ("old", "new") for row in rows[:4]]
    study = module._study("one", doubled, [], [])
    assert study["trial_count"] == 8
    assert [(search["name"], len(search["trials"])) for search in study["searches"]] == [("old", 1), ("new", 4)]


def test_long_texts_are_cut_and_values_of_other_kinds_are_json():
    found = module._parameters(json.dumps({"layers": [1, 2], "name": HOSTILE[5], "width": None, "on": True}))
    assert found == {"layers": "[1, 2]", "name": HOSTILE[5][:LONGEST_CELL], "width": None, "on": True}


def test_comparisons_are_their_tables(warehouse, data):
    assert data["comparison"] == warehouse.read("search_comparison").to_pylist()
    assert data["deck_settings"] == warehouse.read("deck_settings").to_pylist()


def test_digits_are_the_first_of_each_label(warehouse, data):
    shown, rows = data["digits"], warehouse.read("digits").to_pylist()
    assert shown["labels"] == [str(label) for label in range(10) for _ in range(module.DIGITS_OF_A_LABEL)]
    picture = np.array(Image.open(io.BytesIO(base64.b64decode(shown["sprite"]["address"].partition(",")[2]))))
    first = np.frombuffer(rows[0]["pixels"], np.uint8).reshape(28, 28)
    np.testing.assert_array_equal(picture[:28, :28], np.repeat(first[..., None], 3, axis=2))


def test_without_tables_there_is_nothing(warehouse):
    found = searches_data(warehouse)
    assert (found["studies"], found["comparison"], found["deck_settings"], found["digits"]) == ([], None, None, None)
