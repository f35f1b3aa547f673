"""What is on disk is flipped, truncated, emptied and deleted: the right rows or an error by name, and a way back."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from taproom.errors import DamagedFileError, DamagedLogError, TaproomError, UnknownTableError, WriteConflictError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.data_files import read_verified
from taproom.warehouse.delta_log import TableLog
from taproom.warehouse.log_repair import CheckReport, repair
from taproom.warehouse.publishing import Origin
from taproom.warehouse.repair import main
from taproom.warehouse.storage import Storage
from taproom.warehouse.warehouse import Warehouse

N = Column("n", pa.int64(), "a number")
PART = Column("part", pa.string(), "where it came in")
WHOLE = Contract("whole", "a number", (N,), ("n",))
PARTS = Contract("parts", "a number", (N, PART), ("n",), partition="part")
TABLES = ("whole", "parts")


def numbers(*values: int) -> pa.Table:
    return WHOLE.table_of(n=values)


def part(name: str, *values: int) -> pa.Table:
    return PARTS.table_of(n=values, part=[name] * len(values))


def three_commits(warehouse: Warehouse) -> None:
    """Two tables; the last commit of the partitioned one replaces a partition."""
    origin = Origin(run_id="r", inputs={"x": 1}, config={"k": 0.1})
    for number in range(3):
        since = number - 1 if number else None
        warehouse.publish(WHOLE, numbers(*range(10 * number, 10 * number + 2)), since=since, origin=origin)
        name = "aba"[number]
        warehouse.publish(PARTS, part(name, 10 * number), since=since, partition=name, origin=origin)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("sound"))
    three_commits(warehouse)
    return warehouse


@pytest.fixture
def damaged(sound: Warehouse, tmp_path: Path) -> Warehouse:
    """A copy to damage."""
    shutil.copytree(sound.root, tmp_path / "damaged")
    return Warehouse(tmp_path / "damaged")


def log_entry(warehouse: Warehouse, table: str, version: int) -> Path:
    return Path(warehouse.uri(table), "_delta_log", f"{version:020d}.json")


def flips(content: bytes) -> Iterator[bytes]:
    """The content with each byte in turn damaged in one bit."""
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        yield bytes(flipped)


def cuts(content: bytes) -> Iterator[bytes]:
    """The content cut to several lengths, at and between its lines."""
    lines = content.splitlines(keepends=True)
    for length in {0, 1, len(content) // 2, len(content) - 1, *(sum(map(len, lines[:k])) for k in range(len(lines)))}:
        yield content[:length]


def assert_right_or_named(outcome: Callable[[], object], right: object) -> bool:
    """Whether the outcome is right; otherwise it must be an error by name, fit for people."""
    try:
        found = outcome()
    except TaproomError as error:
        message = str(error)
    else:
        assert found == right
        return True
    assert not any(word in message for word in ("acktrace", "<unknown>", "\x1b", "\n"))
    return False


@pytest.mark.parametrize("how", [flips, cuts])
@pytest.mark.parametrize("table", TABLES)
def test_whatever_byte_is_damaged_the_rows_are_right_or_an_error_is_named(sound, damaged, table, how):
    rows = [sound.read(table, version) for version in range(3)]
    commits = [sound.commit_of(table, version) for version in range(3)]
    named = right = 0
    entries = [log_entry(damaged, table, version) for version in range(3)]
    for path in (*entries, *(Path(damaged.uri(table), file.path) for file in damaged.files(table))):
        content = path.read_bytes()
        version = entries.index(path) if path in entries else 2
        for number, bad in enumerate(how(content)):
            path.write_bytes(bad)
            is_right = assert_right_or_named(lambda: damaged.read(table), rows[2])
            assert_right_or_named(lambda version=version: damaged.commit_of(table, version), commits[version])
            if version < 2 and (how is cuts or number % 8 == 0):
                assert_right_or_named(lambda version=version: damaged.read(table, version), rows[version])
            named, right = named + (not is_right), right + is_right
        path.write_bytes(content)
    assert damaged.read(table).equals(rows[2])
    assert named
    assert right  # what a commit that was replaced added, or deltalake's own words about itself


@pytest.mark.parametrize("how", [flips, cuts])
def test_whatever_is_damaged_of_the_note_beside_the_log_a_table_is_what_it_was(damaged, how):
    note = Path(damaged.uri("whole"), "_newest_commit")
    for bad in how(note.read_bytes()):
        note.write_bytes(bad)
        assert damaged.heads() == {"whole": 2, "parts": 2}


def test_a_damaged_checkpoint_is_named_or_does_no_harm_and_costs_nothing(sound, damaged):
    DeltaTable(damaged.uri("parts")).create_checkpoint()
    damaged.publish(PARTS, part("c", 5), since=2, partition="c")
    rows = damaged.read("parts")
    log = Path(damaged.uri("parts"), "_delta_log")
    (checkpoint,), hint = log.glob("*.checkpoint.parquet"), log / "_last_checkpoint"
    for path, step in ((checkpoint, 97), (hint, 1)):
        content = path.read_bytes()
        for bad in [*list(flips(content))[::step], content[:-9], content[:9], b""]:
            path.write_bytes(bad)
            assert_right_or_named(lambda: damaged.read("parts"), rows)
        path.write_bytes(content)
    checkpoint.write_bytes(content[:-9])
    with pytest.raises(DamagedLogError, match=r"parts: .*00003.json cannot be replayed .* Repair it: python -m"):
        damaged.read("parts")
    done = damaged.repair("parts")
    assert (done.version, done.restored, done.lost) == (3, 3, ())
    assert damaged.read("parts").equals(rows)
    assert damaged.read("parts", 2).equals(sound.read("parts"))
    assert damaged.check("parts").readable == (0, 1, 2, 3)


@pytest.mark.parametrize("table", TABLES)
def test_whatever_file_is_deleted_the_rows_are_right_or_an_error_is_named(sound, damaged, table):
    rows = [sound.read(table, version) for version in range(3)]
    for path in sorted(path for path in Path(damaged.uri(table)).rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.unlink()
        is_newest_entry = path == log_entry(damaged, table, 2)
        assert not (assert_right_or_named(lambda: damaged.read(table), rows[2]) and is_newest_entry)
        for version in range(3):
            assert_right_or_named(lambda version=version: damaged.read(table, version), rows[version])
        path.write_bytes(content)


# Repair


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
@pytest.mark.parametrize("has_note", [True, False], ids=["noted", "not noted"])
def test_repair_restores_the_newest_version_that_verifies(sound, damaged, damage, version, table, has_note):
    rows = {number: sound.read(table, number) for number in range(3)}
    if not has_note:
        Path(damaged.uri(table), "_newest_commit").unlink()
    damage(log_entry(damaged, table, version))
    if damaged.head(table) == 1:  # with its note gone, too, the newest commit has never been
        assert (damage, version, has_note) == (Path.unlink, 2, False)
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
    if has_note and version == 2:
        assert done.lost == ()  # the newest entry is there twice


@pytest.mark.parametrize("table", TABLES)
def test_what_a_repair_loses_is_refused_and_its_numbers_are_not_used_again(damaged, table):
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
def test_a_table_of_which_no_version_verifies_is_made_again_under_new_numbers(damaged, table):
    Path(damaged.uri(table), "_newest_commit").unlink()
    for version in range(3):
        path = log_entry(damaged, table, version)
        path.write_bytes(without(path.read_bytes(), "add"))
    done = damaged.repair(table)
    assert (done.version, done.restored, done.lost) == (2, None, (0, 1, 2))
    assert "Materialize it again" in str(damaged.check(table).problems)
    with pytest.raises(UnknownTableError, match="version 2 was lost"):
        damaged.read(table)
    rows, name = (numbers(1), None) if table == "whole" else (part("a", 1), "a")
    contract = WHOLE if table == "whole" else PARTS
    assert damaged.publish(contract, rows, since=damaged.head(table), partition=name).version == 3
    assert damaged.read(table).equals(rows)
    assert damaged.check(table) == CheckReport(table, 3, (), (3,))


def test_a_table_of_which_not_even_the_columns_are_known_is_an_error_by_name(damaged):
    Path(damaged.uri("whole"), "_newest_commit").unlink()
    for version in range(3):
        log_entry(damaged, "whole", version).write_bytes(b"")
    for ask in (damaged.check, damaged.repair):
        with pytest.raises(DamagedLogError, match="not even the columns"):
            ask("whole")


def test_repair_of_a_sound_table_does_nothing_and_says_so(damaged, capsys):
    def everything():
        return {path: path.read_bytes() for path in Path(damaged.root).rglob("*") if path.is_file()}

    before = everything()
    assert main(["whole", "parts", "--warehouse", damaged.root]) == 0
    assert capsys.readouterr().out == "".join(
        f"{table}: version 2 verifies; there is nothing to repair.\n" for table in TABLES
    )
    assert everything() == before


def test_the_command_checks_and_repairs_and_its_exit_status_says_how_it_went(damaged, capsys):
    log_entry(damaged, "whole", 1).write_bytes(b"")
    assert main(["whole", "--check", "--warehouse", damaged.root]) == 1
    assert "whole: version 2 is damaged; 1 versions can be read" in capsys.readouterr().out
    assert main(["whole", "nothing", "--warehouse", damaged.root]) == 1
    said = capsys.readouterr()
    assert "whole: repaired. Version 2 verifies; its rows are as they were." in said.out
    assert "Lost versions, which are refused from now on: 1." in said.out
    assert "has no table 'nothing'" in said.err
    assert main(["whole", "--check", "--warehouse", damaged.root]) == 0


def test_damaged_rows_of_the_newest_version_are_replaced_by_those_of_one_that_verifies(damaged):
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


def test_a_repair_that_a_writer_overtakes_is_refused_and_the_writers_rows_stay(damaged):
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


def keep_writing(root, stop):
    warehouse, number = Warehouse(root), 0
    while not stop.is_set():
        with suppress(TaproomError):
            number += 1
            warehouse.publish(PARTS, part("w", number), since=warehouse.head("parts"), partition="w")


def test_repair_and_a_writer_at_once_leave_a_sound_table(damaged):
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


@pytest.mark.parametrize("writes", range(4))
def test_a_repair_that_was_killed_is_done_by_the_next(damaged, monkeypatch, writes):
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
