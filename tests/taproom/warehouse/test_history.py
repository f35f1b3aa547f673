from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.history import foreign_keys_of, key_of
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse
from tests.taproom.warehouse.tables import MAIL, NOTES, ids, mail, notes


def test_a_commit_is_found_by_its_run(warehouse):
    for number in range(4):
        origin = Origin(run_id=f"run {number % 2}", code_version="abc", inputs={"beers": 3}, config={"k": [number]})
        warehouse.publish(NOTES, notes(number), since=warehouse.head("notes"), origin=origin)
    found = Warehouse(warehouse.root).find_run("notes", "run 0")
    assert [entry["version"] for entry in found] == [2, 0]
    assert found[1] == warehouse.commit_of("notes", 0)
    assert (found[1]["run_id"], found[1]["code_version"], found[1]["rows"]) == ("run 0", "abc", 1)
    assert (found[1]["inputs"], found[1]["config"], found[1]["partition"]) == ({"beers": 3}, {"k": [0]}, None)
    assert timedelta(0) <= datetime.now(UTC) - found[0]["time"] < timedelta(minutes=5)
    assert warehouse.find_run("notes", "run 7") == []


def test_a_configuration_is_read_back_exactly(warehouse):
    config = {"floats": [2.7715077941825975e-163, 0.1, 1e-5, -0.0, 5e-324], "large": 2**70, "text": "ä\u2028\n"}
    warehouse.publish(NOTES, notes(1), since=None, origin=Origin(config=config))
    assert warehouse.commit_of("notes", 0)["config"] == config


def test_a_commit_records_the_columns_that_identify_a_row(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    assert key_of(warehouse.storage, "notes", 0) == ("id",)
    assert key_of(warehouse.storage, "mail", 0) == ("batch", "id")  # ids are unique within a batch


def test_a_commit_records_the_foreign_keys(warehouse):
    keys = (ForeignKey(("id",), "others", ("number",)), ForeignKey(("id", "text"), "texts", ("id", "text")))
    warehouse.publish(NOTES, notes(1), since=None)
    warehouse.publish(replace(NOTES, foreign_keys=keys), notes(2), since=0)
    assert foreign_keys_of(warehouse.storage, "notes", 0) == ()
    assert foreign_keys_of(warehouse.storage, "notes", 1) == keys


@pytest.mark.slow
def test_every_version_can_be_read_after_many_commits(warehouse):
    since = None
    for number in range(120):
        origin = Origin(run_id=f"run {number}", config={"k": number})
        since = warehouse.publish(NOTES, notes(*range(number + 1)), since=since, origin=origin).version
    history = Warehouse(warehouse.root).history("notes")
    assert [(entry["version"], entry["run_id"], entry["rows"], entry["config"]) for entry in history] == [
        (number, f"run {number}", number + 1, {"k": number}) for number in range(119, -1, -1)
    ]
    for version in (0, 9, 99, 100, 119):
        assert ids(warehouse.read("notes", version)) == list(range(version + 1))
    assert [entry["version"] for entry in warehouse.find_run("notes", "run 0")] == [0]
