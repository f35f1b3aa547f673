"""Each byte and each file of a table is damaged: the right rows or a named error, never other rows."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from taproom.errors import DamagedLogError
from tests.taproom.warehouse.damage import PARTS, TABLES, assert_right_or_named, cuts, flips, log_entry, part


@pytest.mark.slow
@pytest.mark.parametrize("how", [flips, cuts])
@pytest.mark.parametrize("table", TABLES)
def test_a_damaged_byte_gives_the_right_rows_or_a_named_error(sound, damaged, table, how):
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
    assert right  # damage to files that were replaced since, or to what deltalake writes for itself


@pytest.mark.slow
@pytest.mark.parametrize("how", [flips, cuts])
def test_a_damaged_copy_of_the_newest_entry_does_not_change_the_newest_version(damaged, how):
    copy = Path(damaged.uri("whole"), "_newest_commit")
    for bad in how(copy.read_bytes()):
        copy.write_bytes(bad)
        assert damaged.heads() == {"whole": 2, "parts": 2}


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_or_harmless_and_loses_no_version(sound, damaged):
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
def test_a_deleted_file_gives_the_right_rows_or_a_named_error(sound, damaged, table):
    rows = [sound.read(table, version) for version in range(3)]
    for path in sorted(path for path in Path(damaged.uri(table)).rglob("*") if path.is_file()):
        content = path.read_bytes()
        path.unlink()
        is_newest_entry = path == log_entry(damaged, table, 2)
        assert not (assert_right_or_named(lambda: damaged.read(table), rows[2]) and is_newest_entry)
        for version in range(3):
            assert_right_or_named(lambda version=version: damaged.read(table, version), rows[version])
        path.write_bytes(content)
