"""A damaged log is repaired: which versions come back, which are lost, and what a writer sees meanwhile."""

import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from taproom.errors import (
    DamagedFileError,
    DamagedLogError,
    StorageError,
    TaproomError,
    UnknownTableError,
    WriteConflictError,
)
from taproom.warehouse import log_repair
from taproom.warehouse.data_files import read_verified
from taproom.warehouse.delta_log import TableLog
from taproom.warehouse.log_repair import CheckReport, repair
from taproom.warehouse.storage import Storage
from taproom.warehouse.warehouse import Warehouse
from tests.taproom.warehouse.damage import PARTS, TABLES, WHOLE, log_entry, numbers, part


def without(content: bytes, key: str) -> bytes:
    """A log entry without its lines of an action."""
    return b"".join(line for line in content.splitlines(keepends=True) if not line.startswith(f'{{"{key}"'.encode()))


def put(old: bytes, new: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(path.read_bytes().replace(old, new))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "deleted": Path.unlink,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "no longer adds": lambda path: path.write_bytes(without(path.read_bytes(), "add")),
    "no longer declares": lambda path: path.write_bytes(without(path.read_bytes(), "metaData")),
    "other metadata": put(b"run_id", b"run_ie"),
    "other partition": put(b'"part":"', b'"part":"z'),
    "other paths": put(b'"path":"', b'"path":"z'),
    "other schema": put(rb"\"long\"", rb"\"date\""),
    "newer protocol": put(b'WriterVersion":2', b'WriterVersion":6'),
    "no format": put(b'"format"', b'"farmat"'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("has_copy", [True, False], ids=["with copy", "without copy"])
def test_repair_restores_the_newest_version_that_verifies(sound, damaged, damage, version, table, has_copy):
    rows = {number: sound.read(table, number) for number in range(3)}
    if not has_copy:
        Path(damaged.uri(table), "_newest_commit").unlink()
    damage(log_entry(damaged, table, version))
    if damaged.head(table) == 1:  # without the copy, too, nothing shows that there was a newer commit
        assert (damage, version, has_copy) == (Path.unlink, 2, False)
        return
    before = damaged.check(table)
    done = damaged.repair(table)
    after = damaged.check(table)
    assert done.problems == before.problems
    assert set(before.readable) <= set(after.readable) | {2}
    if done.restored is None:
        assert after.problems
    else:
        assert after.problems == ()
        assert damaged.read(table).equals(rows[done.restored])
        assert done.version == (2 if done.restored == 2 else 3)
        assert DeltaTable(damaged.uri(table)).version() == done.version
        assert damaged.repair(table).problems == ()
    for number in range(3):
        if number in done.lost:
            with pytest.raises(UnknownTableError, match=f"version {number} was lost when the log was repaired"):
                damaged.read(table, number)
            with pytest.raises(UnknownTableError, match=f"version {number} was lost when the log was repaired"):
                damaged.commit_of(table, number)
        elif number <= damaged.head(table):
            assert damaged.read(table, number).equals(rows[number])
            assert damaged.commit_of(table, number) == sound.commit_of(table, number)
    if has_copy and version == 2:
        assert done.lost == ()  # the newest entry is there twice


@pytest.mark.parametrize("table", TABLES)
def test_lost_versions_are_refused_and_their_numbers_are_not_used_again(damaged, table):
    Path(damaged.uri(table), "_newest_commit").unlink()
    log_entry(damaged, table, 1).write_bytes(b"")
    log_entry(damaged, table, 2).write_bytes(b"{")
    with pytest.raises(
        DamagedLogError, match=rf"{table}: .*2.json is not what .* python -m taproom.warehouse.repair {table}"
    ):
        damaged.read(table)
    with pytest.raises(DamagedLogError):
        damaged.publish(WHOLE, numbers(9), since=2) if table == "whole" else damaged.publish(
            PARTS, part("a", 9), since=2, partition="a"
        )
    expected = damaged.read(table, 0)
    done = damaged.repair(table)
    assert (done.version, done.restored, done.lost) == (3, 0, (1, 2))
    assert damaged.read(table).equals(expected)
    restored, first = damaged.history(table)
    assert {**restored, "version": 0, "time": first["time"]} == first
    copies = [path.read_bytes() for path in sorted(Path(done.copy).iterdir())]
    assert copies[1:] == [b"", b"{"]
    for path in Path(done.copy).iterdir():
        os.utime(path, (0, 0))
    damaged.sweep(keep_newest=1, keep_younger_than=timedelta())
    assert [path.read_bytes() for path in sorted(Path(done.copy).iterdir())] == copies
    # readers of Delta that know nothing of lost versions find no rows there
    assert [DeltaTable(damaged.uri(table), version=version).file_uris() for version in (1, 2)] == [[], []]
    assert damaged.tables() == sorted(TABLES)
    assert damaged.pinned_versions()[table] == {3}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_without_a_verified_version_is_made_again_under_new_numbers(damaged, table):
    Path(damaged.uri(table), "_newest_commit").unlink()
    for version in range(3):
        path = log_entry(damaged, table, version)
        path.write_bytes(without(path.read_bytes(), "add"))
    done = damaged.repair(table)
    assert (done.version, done.restored, done.lost) == (2, None, (0, 1, 2))
    (problem,) = damaged.check(table).problems
    assert "Materialize it again" in problem
    again = damaged.repair(table)  # which has nothing to write
    assert (again.problems, again.restored, again.copy) == ((problem,), None, None)
    with pytest.raises(UnknownTableError, match="version 2 was lost"):
        damaged.read(table)
    rows, name = (numbers(1), None) if table == "whole" else (part("a", 1), "a")
    contract = WHOLE if table == "whole" else PARTS
    assert damaged.publish(contract, rows, since=damaged.head(table), partition=name).version == 3
    assert damaged.read(table).equals(rows)
    assert damaged.check(table) == CheckReport(table, 3, (), (3,))


def test_a_log_without_readable_columns_is_a_named_error(damaged):
    Path(damaged.uri("whole"), "_newest_commit").unlink()
    for version in range(3):
        log_entry(damaged, "whole", version).write_bytes(b"")
    for ask in (damaged.check, damaged.repair):
        with pytest.raises(DamagedLogError, match="not even the columns"):
            ask("whole")


def test_damaged_rows_of_the_newest_version_are_replaced_by_those_of_a_verified_one(damaged):
    path = Path(damaged.uri("whole"), damaged.files("whole")[0].path)
    path.write_bytes(path.read_bytes()[:-1])
    before = damaged.read("whole", 1)
    (problem,) = damaged.check("whole").problems
    assert path.name in problem
    done = damaged.repair("whole")
    assert (done.version, done.restored, done.lost, done.copy) == (3, 1, (), None)
    assert damaged.read("whole").equals(before)
    with pytest.raises(DamagedFileError):
        damaged.read("whole", 2)


def test_a_repair_that_a_writer_overtakes_is_refused_and_keeps_the_writers_rows(damaged):
    path = Path(damaged.uri("whole"), damaged.files("whole")[0].path)
    path.write_bytes(b"")

    def verify(file):
        if Warehouse(damaged.root).head("whole") == 2:
            Warehouse(damaged.root).publish(WHOLE, numbers(7), since=2)
        read_verified(damaged.storage, "whole", file)

    with pytest.raises(WriteConflictError, match="has committed while"):
        repair(TableLog(damaged.storage, "whole"), verify)
    assert damaged.read("whole").equals(numbers(7))
    assert damaged.repair("whole").problems == ()


def test_a_commit_to_a_log_that_is_being_verified_is_not_lost(damaged):
    """deltalake replays this log, so a run can commit to it, although its newest version does not verify."""
    DAMAGES["other metadata"](log_entry(damaged, "parts", 1))

    def verify(file):
        if damaged.head("parts") == 2:
            damaged.publish(PARTS, part("w", 7), since=2, partition="w")
        read_verified(damaged.storage, "parts", file)

    with pytest.raises(WriteConflictError, match="has committed while"):
        repair(TableLog(damaged.storage, "parts"), verify)
    assert damaged.read("parts", partitions=["w"]).equals(part("w", 7))


def test_an_entry_that_is_damaged_before_it_is_copied_does_not_replace_the_copy(damaged):
    copy = Path(damaged.uri("whole"), "_newest_commit")
    before = copy.read_bytes()
    log_entry(damaged, "whole", 2).write_bytes(b"")
    TableLog(damaged.storage, "whole").confirm(2)
    assert copy.read_bytes() == before
    assert damaged.repair("whole").version == 2


def keep_writing(root, stop):
    warehouse, number = Warehouse(root), 0
    while not stop.is_set():
        with suppress(TaproomError):
            number += 1
            warehouse.publish(PARTS, part("w", number), since=warehouse.head("parts"), partition="w")


@pytest.mark.slow
def test_repair_and_a_writer_at_once_leave_an_undamaged_table(damaged):
    stop = threading.Event()
    writer = threading.Thread(target=keep_writing, args=(damaged.root, stop))
    writer.start()
    try:
        for _ in range(5):
            time.sleep(0.1)
            head = damaged.head("parts")
            log_entry(damaged, "parts", head).write_bytes(b"{")
            with suppress(WriteConflictError):
                assert damaged.repair("parts").version >= head
    finally:
        stop.set()
        writer.join(60)
    damaged.repair("parts")
    assert damaged.check("parts").problems == ()
    assert damaged.read("parts", partitions=["a", "b"]).num_rows == 2
    versions = [entry["version"] for entry in damaged.history("parts")]
    assert len(versions) > 8


def test_nothing_is_written_on_a_lost_version_before_an_older_one_is_restored(damaged, monkeypatch):
    """A partition committed there would be the table's only one."""
    Path(damaged.uri("parts"), "_newest_commit").unlink()
    log_entry(damaged, "parts", 2).write_bytes(b"{")
    older = damaged.read("parts", 1)
    interruption = "parts: .*00002.json is being repaired, or a repair of it was interrupted.* Repair it: python -m"
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(log_repair, "_restore", interrupted)
            with pytest.raises(KeyboardInterrupt):
                damaged.repair("parts")
        with pytest.raises(DamagedLogError, match=interruption):
            damaged.publish(PARTS, part("w", 1), since=2, partition="w")
        (problem,) = damaged.check("parts").problems
        assert re.match(interruption, problem)
        with pytest.raises(DamagedLogError, match=interruption):
            damaged.sweep(keep_newest=1, keep_younger_than=timedelta())
    assert damaged.repair("parts").restored == 1
    assert damaged.sweep(keep_newest=9) == {table: [] for table in TABLES}
    assert damaged.check("parts").problems == ()
    damaged.publish(PARTS, part("w", 1), since=3, partition="w")
    assert damaged.read("parts", partitions=["a", "b"]).equals(older)


def test_rows_that_are_damaged_after_an_interrupted_repair_do_not_refuse_writers_forever(damaged, monkeypatch):
    Path(damaged.uri("parts"), "_newest_commit").unlink()
    log_entry(damaged, "parts", 2).write_bytes(b"{")
    with monkeypatch.context() as patch:
        patch.setattr(log_repair, "_restore", interrupted)
        with pytest.raises(KeyboardInterrupt):
            damaged.repair("parts")
    for path in Path(damaged.uri("parts")).glob("part=*/*.parquet"):
        path.write_bytes(b"")
    assert damaged.repair("parts").restored is None
    assert damaged.publish(PARTS, part("w", 1), since=2, partition="w").version == 3
    assert damaged.check("parts").problems == ()


def interrupted(*_: object) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize("table", TABLES)
def test_damage_beside_the_hashes_is_repaired_with_a_lost_newest_version(damaged, table):
    """Only deltalake sees it, so it shows when the entries that do not verify have been written again."""
    Path(damaged.uri(table), "_newest_commit").unlink()
    log_entry(damaged, table, 2).write_bytes(b"{")
    expected = damaged.read(table, 1)
    DAMAGES["no format"](log_entry(damaged, table, 0))
    done = damaged.repair(table)
    assert (done.version, done.restored, done.lost) == (3, 1, (2,))
    assert damaged.read(table).equals(expected)
    assert damaged.check(table).problems == ()
    assert len(list(Path(damaged.uri(table), "_damaged_logs").iterdir())) == 1


def test_damage_beside_the_hashes_under_a_lost_version_is_repaired(damaged):
    Path(damaged.uri("whole"), "_newest_commit").unlink()
    for version in range(3):
        path = log_entry(damaged, "whole", version)
        path.write_bytes(without(path.read_bytes(), "add"))
    damaged.repair("whole")
    DAMAGES["no format"](log_entry(damaged, "whole", 0))
    assert "cannot be replayed" in str(damaged.check("whole").problems)
    damaged.repair("whole")
    assert damaged.publish(WHOLE, numbers(1), since=2).version == 3


def test_a_storage_that_takes_no_commit_is_not_reported_as_another_run(damaged, monkeypatch):
    path = Path(damaged.uri("whole"), damaged.files("whole")[0].path)
    path.write_bytes(b"")

    def full(*_: object) -> int:
        raise DeltaError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(TableLog, "commit", full)
        with pytest.raises(StorageError, match=r"No space left on device.* repair it again"):
            damaged.repair("whole")
    assert damaged.repair("whole").restored == 1


@pytest.mark.parametrize("writes", range(4))
def test_a_killed_repair_is_completed_by_the_next(damaged, monkeypatch, writes):
    Path(damaged.uri("parts"), "_newest_commit").unlink()
    path = log_entry(damaged, "parts", 1)
    path.write_bytes(without(path.read_bytes(), "add"))
    expected = damaged.read("parts", 0)
    left, replace = [None] * writes, Storage.replace

    def killed(*arguments, **more):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        replace(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            damaged.repair("parts")
    done = damaged.repair("parts")
    assert damaged.read("parts").equals(expected)
    assert damaged.check("parts").problems == ()
    assert done.version >= 3
    with pytest.raises(UnknownTableError):
        damaged.read("parts", 1)
