"""What is published, and what is left after a failed or killed write: always the last version."""

import multiprocessing
import os
import resource
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from taproom.errors import ContractError, StorageError
from taproom.warehouse import publishing, storage
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.delta_log import TableLog
from taproom.warehouse.foreign_keys import ForeignKey
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse
from tests.taproom.warehouse.tables import (
    ID,
    MAIL,
    MEGABYTE,
    NOTES,
    TEXT,
    data_files,
    ids,
    mail,
    megabytes,
    notes,
    reader,
)

SPAWN = multiprocessing.get_context("spawn")


def write_until_the_third_file(root, reached):
    def rows():
        yield from megabytes(130)
        reached.set()
        time.sleep(600)

    Warehouse(root).publish(NOTES, reader(rows()), since=0)


def write_until_the_commit(root, reached):
    def wait(*_):
        reached.set()
        time.sleep(600)

    publishing.commit = wait  # in this process alone, which is killed
    Warehouse(root).publish(NOTES, notes(2, 3), since=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "strays"), [(write_until_the_third_file, 2), (write_until_the_commit, 1)], ids=["mid-stream", "at commit"]
)
def test_a_killed_write_leaves_the_old_version_and_files_to_sweep(warehouse, write, strays):
    warehouse.publish(NOTES, notes(1), since=None)
    old = data_files(warehouse)
    reached = SPAWN.Event()
    process = SPAWN.Process(target=write, args=(warehouse.root, reached), daemon=True)
    process.start()
    assert reached.wait(60)
    process.kill()
    process.join(60)
    left = data_files(warehouse) - old
    assert len(left) == strays

    assert warehouse.head("notes") == 0
    assert warehouse.read("notes").equals(notes(1))
    assert warehouse.sweep() == {"notes": []}
    for name in data_files(warehouse):
        os.utime(Path(warehouse.uri("notes"), name), (0, 0))
    assert warehouse.sweep() == {"notes": sorted(left)}
    assert data_files(warehouse) == old
    assert ids(warehouse.read("notes")) == [1]
    assert warehouse.publish(NOTES, notes(4), since=0).version == 1


@contextmanager
def small_disk(folder):
    """A megabyte of disk where this user may mount one, else a limit on the size of a file: both refuse for real."""
    folder.mkdir()
    is_mounted = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True
    ).returncode
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not is_mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, hard))
    try:
        yield Warehouse(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if is_mounted:
            subprocess.run(["umount", folder], check=True)


LARGE = os.urandom(MEGABYTE).hex()


@pytest.mark.parametrize(
    ("text", "config"), [(LARGE, {}), ("ale", {"words": LARGE})], ids=["at a data file", "at the commit"]
)
def test_a_full_disk_is_a_named_error_and_leaves_the_last_version(tmp_path, text, config):
    with small_disk(tmp_path / "disk") as warehouse:
        warehouse.publish(NOTES, notes(1), since=None)
        with pytest.raises(StorageError, match=r"notes could not be written to .*disk/notes: (?s:.)*Free some space"):
            warehouse.publish(NOTES, notes(2, text=text), since=0, origin=Origin(config=config))
        assert warehouse.head("notes") == 0
        assert warehouse.read("notes").equals(notes(1))
        assert len(warehouse.history("notes")) == 1
        assert warehouse.publish(NOTES, notes(3), since=0).version == 1
        assert ids(warehouse.read("notes")) == [3]


def test_data_files_are_synced_before_the_commit(warehouse, monkeypatch):
    synced = []
    sync = storage._sync
    monkeypatch.setattr(storage, "_sync", lambda path: (synced.append(path), sync(path)))
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    (file,) = warehouse.files("mail")
    folder = Path(warehouse.uri("mail"))
    data, entry = folder / file.path, folder / "_delta_log" / f"{0:020d}.json"
    assert {data, data.parent, folder, folder.parent, entry, entry.parent} <= set(synced)
    assert synced.index(data) < synced.index(entry)


def test_a_contract_broken_in_mid_stream_commits_nothing(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)

    def rows():
        yield from megabytes(66)
        assert len(data_files(warehouse)) == 2, "a file was written before the contract broke"
        yield from notes(-1).to_batches()

    with pytest.raises(ContractError, match=r"row 66, {'id': -1}"):
        warehouse.publish(NOTES, reader(rows()), since=0)
    assert warehouse.head("notes") == 0
    assert ids(warehouse.read("notes")) == [1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (notes(1, 1), "stand more than once"),
        (notes(), "no rows were given"),
        (notes(1).select(["text", "id"]), "the order"),
        (pa.table({"id": [1]}).slice(1), "text: nothing was given"),
    ],
    ids=["key", "empty", "order", "schema without rows"],
)
def test_a_table_that_breaks_its_contract_is_never_made(warehouse, rows, message):
    with pytest.raises(ContractError, match=message):
        warehouse.publish(NOTES, rows, since=None)
    assert warehouse.head("notes") is None
    assert warehouse.tables() == []


def test_an_error_of_the_stream_is_raised_and_commits_nothing(warehouse):
    def rows():
        yield from notes(1).to_batches()
        raise ZeroDivisionError("of the source")

    with pytest.raises(ZeroDivisionError, match="of the source"):
        warehouse.publish(NOTES, reader(rows()), since=None)
    assert warehouse.head("notes") is None


def test_an_oserror_of_the_stream_is_not_reported_as_one_of_the_storage(warehouse):
    def torn():
        yield notes(1).to_batches()[0]
        raise OSError("the disk that the rows come from is gone")

    stream = pa.RecordBatchReader.from_batches(NOTES.schema, torn())
    with pytest.raises(OSError, match="come from is gone"):
        warehouse.publish(NOTES, stream, since=None)
    assert warehouse.tables() == []


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "a..b", ".a", "-a", "a.", "a b", "a\\b", "a=b", "a%2Fb", "ä", "a\n", "a\0"]
)
def test_a_partition_name_that_could_leave_its_folder_is_refused(warehouse, name):
    with pytest.raises(ContractError, match="cannot name a batch"):
        warehouse.publish(MAIL, mail(name, 1), since=None, partition=name)
    assert not Path(warehouse.root).exists()


@pytest.mark.parametrize("name", ["a", "2026-11", "rate.beer_v2", "_", "7"])
def test_a_valid_partition_name_is_read_back_unchanged(warehouse, name):
    warehouse.publish(MAIL, mail(name, 1), since=None, partition=name)
    assert warehouse.partitions("mail") == [name]
    assert warehouse.read("mail").equals(mail(name, 1))


def test_a_partition_is_required_exactly_if_the_contract_has_one(warehouse):
    with pytest.raises(ContractError, match="mail is written one batch at a time; the partition None"):
        warehouse.publish(MAIL, mail("a", 1), since=None)
    with pytest.raises(ContractError, match="notes is written as a whole; the partition 'a'"):
        warehouse.publish(NOTES, notes(1), since=None, partition="a")
    with pytest.raises(ContractError, match="rows of another batch than 'a'"):
        warehouse.publish(MAIL, mail("b", 1), since=None, partition="a")


def test_unchanged_rows_leave_version_and_hash_however_they_are_chunked(warehouse):
    rows = notes(*range(100))
    first = warehouse.publish(NOTES, rows, since=None, origin=Origin(run_id="first"))
    assert first.changed
    sliced = pa.concat_tables([notes(7, *range(30)).slice(1), notes(*range(30, 100))])
    for same in (rows, sliced, reader(sliced.to_batches(max_chunksize=9))):
        again = warehouse.publish(NOTES, same, since=0, origin=Origin(run_id="again"))
        assert (again.version, again.changed, again.content_hash) == (0, False, first.content_hash)
        assert (again.rows, again.size_bytes) == (first.rows, first.size_bytes)
    assert len(data_files(warehouse)) == 1
    assert [entry["run_id"] for entry in warehouse.history("notes")] == ["first"]
    reordered = warehouse.publish(NOTES, notes(*range(99, -1, -1)), since=0)
    assert (reordered.version, reordered.changed) == (1, True)
    assert reordered.content_hash != first.content_hash


def test_an_unchanged_partition_stays_unchanged_while_others_move(warehouse):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")
    again = warehouse.publish(MAIL, mail("a", 1), since=0, partition="a")
    assert (again.version, again.changed) == (1, False)
    assert warehouse.head("mail") == 1


def test_what_is_published_says_how_many_rows_it_replaces(warehouse):
    first = warehouse.publish(MAIL, mail("a", 1, 2), since=None, partition="a")
    other = warehouse.publish(MAIL, mail("b", 1), since=0, partition="b")
    again = warehouse.publish(MAIL, mail("a", 1), since=1, partition="a")
    removed = warehouse.remove(MAIL, "b", since=2, origin=Origin())
    assert [(each.since, each.rows_before) for each in (first, other, again, removed)] == [
        (None, 0),
        (0, 0),
        (1, 2),
        (2, 1),
    ]


def test_a_volatile_column_makes_a_version_but_no_new_hash(warehouse):
    seconds = Column("seconds", pa.float64(), "how long it took", unit="s", volatile=True)
    contract = Contract("fits", "one fit", (ID, seconds), ("id",))
    first = warehouse.publish(contract, contract.table_of(id=[1], seconds=[2.5]), since=None)
    second = warehouse.publish(contract, contract.table_of(id=[1], seconds=[3.5]), since=0)
    assert second.version == 1
    assert second.content_hash == first.content_hash
    assert warehouse.read("fits")["seconds"].to_pylist() == [3.5]


def test_a_table_may_be_empty_where_its_contract_says_so(warehouse):
    contract = Contract("notes", "one note", (ID, TEXT), ("id",), may_be_empty=True)
    published = warehouse.publish(contract, notes(), since=None)
    assert (published.version, published.rows) == (0, 0)
    assert warehouse.read("notes").equals(notes())
    assert not warehouse.publish(contract, reader([]), since=0).changed
    warehouse.publish(contract, notes(1), since=0)
    assert warehouse.publish(contract, notes(), since=1).version == 2
    assert warehouse.read("notes").num_rows == 0
    assert ids(warehouse.read("notes", 1)) == [1]


REPLIES = Contract(
    "replies",
    "a reply to a note",
    (Column("id", pa.int64(), "number"), Column("to", pa.int64(), "the note")),
    ("id",),
    foreign_keys=(ForeignKey(("to",), "notes", ("id",)),),
    limits=("a reply may be a joke",),
    version="1.2.0",
)


def test_references_are_checked_against_the_given_version_before_the_commit(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)
    warehouse.publish(NOTES, notes(1, 2), since=0)
    replies = REPLIES.table_of(id=[1, 2], to=[1, 2])
    with pytest.raises(ContractError, match=r"1 references break the rule 'to refers to id of notes', version 0"):
        warehouse.publish(REPLIES, replies, since=None, references={"notes": 0})
    assert warehouse.head("replies") is None
    assert warehouse.publish(REPLIES, replies, since=None, references={"notes": 1}).rows == 2


STAMPS = Contract(
    "stamps",
    "a stamp on a letter",
    (Column("id", pa.int64(), "number"), Column("batch", pa.string(), "that of the letter")),
    ("id",),
    partition="batch",
    foreign_keys=(ForeignKey(("batch",), "mail", ("batch",)), ForeignKey(("id",), "mail", ("id",))),
)


def test_a_partition_that_refers_to_the_partition_of_its_name_is_checked_against_that_alone(warehouse):
    for version, batch in enumerate("abc"):
        warehouse.publish(MAIL, mail(batch, version), since=version - 1 if version else None, partition=batch)
    stamps = STAMPS.table_of(id=[0, 1], batch=["b", "b"])
    with pytest.raises(ContractError, match=r"2 references break the rule 'batch refers to batch of mail', version 0"):
        warehouse.publish(STAMPS, stamps, since=None, partition="b", references={"mail": 0})
    assert warehouse.publish(STAMPS, stamps, since=None, partition="b", references={"mail": 1}).rows == 2


def test_a_commit_records_what_readers_should_know_of_the_contract(warehouse):
    warehouse.publish(REPLIES, REPLIES.table_of(id=[1], to=[7]), since=None)
    assert TableLog(warehouse.storage, "replies").entry(0).metadata["contract"] == {
        "version": "1.2.0",
        "grain": "a reply to a note",
        "key": ["id"],
        "foreign_keys": [{"columns": ["to"], "table": "notes", "key": ["id"]}],
        "rules": REPLIES.rules,
        "limits": ["a reply may be a joke"],
        "made_from": {},
    }
