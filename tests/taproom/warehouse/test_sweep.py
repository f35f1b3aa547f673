import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from taproom.errors import DamagedFileError
from taproom.warehouse.scratch import FOLDER, Scratch
from taproom.warehouse.warehouse import Warehouse
from tests.taproom.warehouse.tables import AT_ONCE, MAIL, NOTES, data_files, ids, mail, notes, publish_from, reader


@pytest.mark.parametrize("age", [0, 5 * 3600], ids=["just written", "written by a run of five hours"])
def test_a_sweep_keeps_the_files_of_a_running_write(warehouse, file_a_batch, age):
    warehouse.publish(NOTES, notes(0), since=None)
    is_written, is_swept = threading.Event(), threading.Event()

    def rows():
        yield from notes(1).to_batches()
        yield from notes(2).to_batches()
        is_written.set()
        assert is_swept.wait(60)
        yield from notes(3).to_batches()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(warehouse.publish, NOTES, reader(rows()), since=0)
        assert is_written.wait(60)
        for name in data_files(warehouse):
            at = time.time() - age
            os.utime(Path(warehouse.uri("notes"), name), (at, at))
        assert len(data_files(warehouse)) >= 2
        swept = Warehouse(warehouse.root).sweep(keep_newest=0, keep_younger_than=timedelta(0))
        is_swept.set()
        assert writing.result(60).version == 1
    assert swept == {"notes": []}
    assert ids(warehouse.read("notes")) == [1, 2, 3]


def readable(warehouse, table):
    there = data_files(warehouse, table)
    versions = set()
    for version in range(warehouse.head(table) + 1):
        if {file.path for file in warehouse.files(table, version)} <= there:
            warehouse.read(table, version)
            versions.add(version)
        else:
            with pytest.raises(DamagedFileError, match=r"vacuumed with the old version .*read a newer one"):
                warehouse.read(table, version)
    return versions


def test_sweep_keeps_what_newest_versions_were_made_from_however_far_back(warehouse):
    for number in range(6):
        publish_from(warehouse, "notes", number)
    publish_from(warehouse, "weights", 0, notes=1)
    publish_from(warehouse, "weights", 1, notes=2)
    publish_from(warehouse, "weights", 2, notes=4)
    publish_from(warehouse, "map", 0, weights=0)
    publish_from(warehouse, "map", 1, weights=1)
    assert warehouse.pinned_versions() == {"notes": {2, 4, 5}, "weights": {1, 2}, "map": {1}}
    swept = warehouse.sweep(keep_newest=0, keep_younger_than=AT_ONCE)
    assert {table: len(files) for table, files in swept.items()} == {"notes": 3, "weights": 1, "map": 1}
    assert readable(warehouse, "notes") == {2, 4, 5}
    assert readable(warehouse, "weights") == {1, 2}
    assert readable(warehouse, "map") == {1}
    assert len(warehouse.history("notes")) == 6
    assert warehouse.head("notes") == 5


def test_sweep_keeps_the_newest_and_the_young(warehouse):
    for number in range(6):
        publish_from(warehouse, "notes", number)
    for name in data_files(warehouse):
        os.utime(Path(warehouse.uri("notes"), name), (0, 0))
    assert warehouse.sweep(keep_newest=0, keep_younger_than=timedelta(hours=1)) == {"notes": []}
    assert warehouse.sweep(keep_newest=10, keep_younger_than=AT_ONCE) == {"notes": []}
    assert len(warehouse.sweep(keep_newest=2, keep_younger_than=AT_ONCE)["notes"]) == 4
    assert readable(warehouse, "notes") == {4, 5}
    assert warehouse.sweep(keep_newest=2, keep_younger_than=AT_ONCE) == {"notes": []}


def test_sweep_keeps_files_that_newer_versions_share_with_older_ones(warehouse):
    for batch, number in (("a", 1), ("b", 2), ("a", 3)):
        warehouse.publish(MAIL, mail(batch, number), since=warehouse.head("mail"), partition=batch)
    (swept,) = warehouse.sweep(keep_newest=1, keep_younger_than=AT_ONCE)["mail"]
    assert swept.startswith("batch=a/")
    assert ids(warehouse.read("mail")) == [3, 2]


def test_a_table_that_continues_itself_does_not_keep_its_whole_past(warehouse):
    for number in range(4):
        publish_from(warehouse, "notes", number)
        publish_from(warehouse, "map", number, notes=number, **({"map": number - 1} if number else {}))
    assert warehouse.pinned_versions() == {"notes": {3}, "map": {2, 3}}


def test_sweep_ignores_inputs_that_do_not_exist_any_more(warehouse):
    publish_from(warehouse, "notes", 0, beers=3)
    publish_from(warehouse, "weights", 0, notes=7)
    assert warehouse.pinned_versions() == {"notes": {0}, "weights": {0}}
    assert warehouse.sweep(keep_newest=0, keep_younger_than=AT_ONCE) == {"notes": [], "weights": []}


def test_sweep_deletes_the_scratch_files_that_a_killed_step_has_left_and_no_others(warehouse):
    files = Scratch(warehouse.root, f"{FOLDER}/killed")
    old, young = files.write(b"old"), files.write(b"young")
    os.utime(Path(warehouse.root, files.folder, old), (0, 0))
    warehouse.sweep(keep_newest=0, keep_younger_than=AT_ONCE)
    assert [path.name for path in Path(warehouse.root, files.folder).iterdir()] == [young]
