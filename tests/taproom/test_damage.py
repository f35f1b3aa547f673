"""What is on disk is flipped, truncated, emptied and deleted: the right rows or an error by name, and a way back."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from taproom.contracts import Column, Contract
from taproom.errors import DamagedLogError, TaproomError, UnknownTableError
from taproom.warehouse import Origin, Warehouse

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
    assert not any(word in message for word in ("Backtrace", "panick", "\x1b", "\n"))
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
    if (damage, version, has_note) == (Path.unlink, 2, False):
        pytest.skip("cannot be told from a table that is one version older")
    if not has_note:
        Path(damaged.uri(table), "_newest_commit").unlink()
    damage(log_entry(damaged, table, version))
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
