import shutil
from pathlib import Path

import pytest

from taproom.errors import DamagedLogError, UnknownTableError
from tests.taproom.warehouse.tables import NOTES, ids, notes, publish_from


def test_a_damaged_table_does_not_affect_the_others(warehouse):
    for number in range(3):
        publish_from(warehouse, "notes", number)
        publish_from(warehouse, "beers", number)
    for path in Path(warehouse.uri("notes"), "_delta_log").iterdir():
        path.write_bytes(b"{")
    assert warehouse.heads() == {"notes": 2, "beers": 2}
    assert warehouse.tables() == ["beers", "notes"]
    assert ids(warehouse.read("beers")) == [2]
    assert publish_from(warehouse, "beers", 3) == 3
    damaged = "notes: .*_delta_log/.*json .*: python -m taproom.warehouse.repair notes --warehouse"
    for ask in (warehouse.read, warehouse.stream, warehouse.files, warehouse.partitions, warehouse.history):
        with pytest.raises(DamagedLogError, match=damaged):
            ask("notes")
    for ask in (warehouse.pinned_versions, warehouse.sweep, lambda: publish_from(warehouse, "notes", 3)):
        with pytest.raises(DamagedLogError, match=damaged):
            ask()


def test_a_table_whose_log_is_deleted_is_damaged_not_missing(warehouse):
    publish_from(warehouse, "notes", 0)
    shutil.rmtree(Path(warehouse.uri("notes"), "_delta_log"))
    assert warehouse.heads() == {"notes": 0}
    with pytest.raises(DamagedLogError, match="is gone"):
        publish_from(warehouse, "notes", 1)
    assert warehouse.repair("notes").restored == 0
    assert ids(warehouse.read("notes")) == [0]


def test_missing_tables_and_versions_are_named_in_errors(warehouse):
    assert warehouse.head("notes") is None
    assert warehouse.tables() == warehouse.partitions("notes") == []
    with pytest.raises(UnknownTableError, match="has no table 'notes'; it has: none yet"):
        warehouse.read("notes")
    warehouse.publish(NOTES, notes(1), since=None)
    with pytest.raises(UnknownTableError, match="has no table 'beers'; it has: notes"):
        warehouse.history("beers")
    for version in (-1, 1):
        with pytest.raises(UnknownTableError, match=f"notes has versions 0 to 0; version {version} was wanted"):
            warehouse.read("notes", version)
        with pytest.raises(UnknownTableError, match=f"{version} of a table 'notes'"):
            warehouse.commit_of("notes", version)
    assert warehouse.heads() == {"notes": 0}
