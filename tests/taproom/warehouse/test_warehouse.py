import json
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from taproom.errors import (
    CollectionError,
    ContractError,
    DamagedFileError,
    DamagedLogError,
    StorageError,
    TaproomError,
    UnknownTableError,
    WriteConflictError,
)
from taproom.warehouse import publishing, storage
from taproom.warehouse.contracts import Between, Column, Contract
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse

SPAWN = multiprocessing.get_context("spawn")
MEGABYTE = 2**20
ROUNDS = 8

ID = Column("id", pa.int64(), "number of the note")
TEXT = Column("text", pa.string(), "what it says")
BATCH = Column("batch", pa.string(), "where it came in")
COLLECTION = Column("collection", pa.string(), "what it belongs to")
NOTES = Contract("notes", "one note", (ID, TEXT), ("id",), invariants=(Between("id", 0),))
MAIL = Contract(
    "mail", "one letter", (ID, BATCH, TEXT, COLLECTION), ("id",), partition="batch", single_valued=("collection",)
)


def notes(*ids, text="ale"):
    return NOTES.table_of(id=ids, text=[text] * len(ids))


def mail(batch, *ids, collection="pub"):
    return MAIL.table_of(id=ids, batch=[batch] * len(ids), text=["ale"] * len(ids), collection=[collection] * len(ids))


def megabytes(count, first=0):
    """A batch for each megabyte; 64 of them fill a file."""
    for number in range(first, first + count):
        yield pa.record_batch([[number], ["x" * MEGABYTE]], schema=NOTES.schema)


def reader(batches, schema=NOTES.schema):
    return pa.RecordBatchReader.from_batches(schema, batches)


def ids(table):
    return table["id"].to_pylist()


def data_files(warehouse, table="notes"):
    folder = Path(warehouse.uri(table))
    return {str(path.relative_to(folder)) for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts}


def only_file(warehouse, version=None):
    (file,) = warehouse.files("notes", version)
    return Path(warehouse.uri("notes"), file.path)


# Races between real processes


def join_race(barrier):
    global start
    start = barrier


def publish_at_once(root, contract, table, since, partition):
    """Publish, but commit only when the other process is about to commit too."""

    def rows():
        yield from table.to_batches()
        start.wait(60)

    try:
        return Warehouse(root).publish(contract, reader(rows(), table.schema), since=since, partition=partition)
    except TaproomError as error:
        return error


@pytest.fixture(scope="module")
def racers():
    with ProcessPoolExecutor(2, SPAWN, initializer=join_race, initargs=(SPAWN.Barrier(2),)) as pool:

        def race(warehouse, contract, tables, since, partitions=(None, None)):
            """Who landed, as (Published, rows), and the errors of who did not."""
            done = [
                pool.submit(publish_at_once, warehouse.root, contract, table, since, partition)
                for table, partition in zip(tables, partitions, strict=True)
            ]
            ends = [(future.result(120), table) for future, table in zip(done, tables, strict=True)]
            landed = [end for end in ends if not isinstance(end[0], TaproomError)]
            return landed, [error for error, _ in ends if isinstance(error, TaproomError)]

        yield race


@pytest.mark.parametrize("first", [True, False], ids=["first writes", "overwrites"])
def test_of_two_writes_of_a_whole_table_one_lands_and_one_is_refused(racers, tmp_path, first):
    for attempt in range(ROUNDS):
        warehouse = Warehouse(tmp_path / str(attempt))
        since = None if first else warehouse.publish(NOTES, notes(0), since=None).version
        landed, refused = racers(warehouse, NOTES, (notes(1, 2), notes(3, 4)), since)
        ((published, rows),) = landed
        (error,) = refused
        assert isinstance(error, WriteConflictError)
        assert "notes was version" in str(error)
        assert published.version == warehouse.head("notes") == (0 if first else 1)
        assert ids(warehouse.read("notes")) == ids(rows)


@pytest.mark.parametrize("first", [True, False], ids=["first writes", "later writes"])
def test_disjoint_partitions_both_land(racers, tmp_path, first):
    for attempt in range(ROUNDS):
        warehouse = Warehouse(tmp_path / str(attempt))
        since = None if first else warehouse.publish(MAIL, mail("z", 9), since=None, partition="z").version
        landed, refused = racers(warehouse, MAIL, (mail("a", 1), mail("b", 2)), since, ("a", "b"))
        assert refused == []
        versions = sorted(published.version for published, _ in landed)
        assert versions == ([0, 1] if first else [1, 2])
        assert warehouse.head("mail") == versions[-1]
        for published, rows in landed:
            assert warehouse.commit_of("mail", published.version)["partition"] == rows["batch"][0].as_py()
        assert ids(warehouse.read("mail")) == [1, 2, *([] if first else [9])]


@pytest.mark.parametrize("first", [True, False], ids=["first writes", "overwrites"])
def test_of_two_writes_of_a_partition_one_is_refused_by_name(racers, tmp_path, first):
    for attempt in range(ROUNDS):
        warehouse = Warehouse(tmp_path / str(attempt))
        since = None if first else warehouse.publish(MAIL, mail("a", 9), since=None, partition="a").version
        landed, refused = racers(warehouse, MAIL, (mail("a", 1), mail("a", 2)), since, ("a", "a"))
        ((_, rows),) = landed
        (error,) = refused
        assert isinstance(error, WriteConflictError)
        assert "mail, batch=a was version" in str(error)
        assert ids(warehouse.read("mail")) == ids(rows)


def test_of_two_first_writes_of_different_collections_the_second_is_refused(racers, tmp_path):
    for attempt in range(ROUNDS):
        warehouse = Warehouse(tmp_path / str(attempt))
        tables = (mail("a", 1, collection="pub"), mail("b", 2, collection="brewery"))
        landed, refused = racers(warehouse, MAIL, tables, None, ("a", "b"))
        ((_, rows),) = landed
        (error,) = refused
        assert isinstance(error, CollectionError)
        assert "'pub'" in str(error)
        assert "'brewery'" in str(error)
        assert warehouse.read("mail").equals(rows)


# Conflicts, one after the other


def test_a_writer_that_began_before_the_last_commit_is_refused(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)
    warehouse.publish(NOTES, notes(2), since=0)
    for since in (None, 0):
        with pytest.raises(WriteConflictError, match=f"notes was version {since} .* is version 1 now"):
            warehouse.publish(NOTES, notes(3), since=since)
    with pytest.raises(UnknownTableError, match="version 7 was wanted"):
        warehouse.publish(NOTES, notes(3), since=7)
    assert ids(warehouse.read("notes")) == [2]


def test_a_writer_is_refused_even_if_the_other_commits_while_it_streams(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)

    def rows():
        yield from notes(2).to_batches()
        warehouse.publish(NOTES, notes(3), since=0)

    with pytest.raises(WriteConflictError, match="notes was version 0"):
        warehouse.publish(NOTES, reader(rows()), since=0)
    assert ids(warehouse.read("notes")) == [3]


def test_a_partition_is_replaced_from_an_old_version_if_only_others_changed(warehouse):
    for batch, number in (("a", 1), ("b", 2), ("c", 3)):
        warehouse.publish(MAIL, mail(batch, number), since=warehouse.head("mail"), partition=batch)
    warehouse.publish(MAIL, mail("a", 4, 5), since=0, partition="a")
    assert ids(warehouse.read("mail")) == [4, 5, 2, 3]
    with pytest.raises(WriteConflictError, match=r"mail, batch=a was version 0 .* is version 3 now"):
        warehouse.publish(MAIL, mail("a", 6), since=0, partition="a")


def test_a_collection_is_single_for_ever(warehouse):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")
    for since, partition in ((0, "c"), (1, "a")):
        with pytest.raises(CollectionError, match=r"holds the collection 'pub', and 'brewery' .* TAPROOM_WAREHOUSE"):
            warehouse.publish(MAIL, mail(partition, 3, collection="brewery"), since=since, partition=partition)
    assert warehouse.head("mail") == 1


# Crashes


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


@pytest.mark.parametrize(
    ("write", "strays"), [(write_until_the_third_file, 2), (write_until_the_commit, 1)], ids=["mid-stream", "at commit"]
)
def test_kill_9_leaves_the_old_version_and_files_that_are_swept_once_old(warehouse, write, strays):
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


def test_a_commit_is_found_by_its_run_when_all_else_was_lost(warehouse):
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


# Sweeps and writers at once


@pytest.fixture
def file_a_batch(monkeypatch):
    monkeypatch.setattr("taproom.warehouse.data_files.BYTES_PER_FILE", 1)


@pytest.mark.parametrize("age", [0, 5 * 3600], ids=["just written", "written by a run of five hours"])
def test_a_sweep_spares_the_files_of_a_write_that_is_under_way(warehouse, file_a_batch, age):
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


@pytest.mark.parametrize(
    ("damage", "found"),
    [(Path.unlink, "is gone"), (lambda path: path.write_bytes(b"x"), "has 1 bytes instead of")],
    ids=["deleted", "truncated"],
)
def test_a_commit_whose_files_are_not_there_is_refused_and_the_last_version_stays(
    warehouse, file_a_batch, damage, found
):
    warehouse.publish(NOTES, notes(0), since=None)
    old = data_files(warehouse)

    def rows():
        yield from notes(1).to_batches()
        yield from notes(2).to_batches()
        damage(Path(warehouse.uri("notes"), (data_files(warehouse) - old).pop()))

    with pytest.raises(StorageError, match=f"was written for this commit and {found}"):
        warehouse.publish(NOTES, reader(rows()), since=0)
    assert warehouse.head("notes") == 0
    assert warehouse.read("notes").equals(notes(0))


# Bad storage


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


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path, 0),
        lambda path: flip(path, path.stat().st_size // 2),
        lambda path: flip(path, -1),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        Path.unlink,
    ],
    ids=["first byte", "middle byte", "last byte", "truncated", "emptied", "deleted"],
)
def test_a_damaged_file_is_an_error_and_publishing_again_heals_it(warehouse, damage):
    first = warehouse.publish(NOTES, notes(1, 2), since=None)
    path = only_file(warehouse)
    damage(path)
    with pytest.raises(DamagedFileError, match=f"notes: .*{path.name}"):
        warehouse.read("notes")
    healed = warehouse.publish(NOTES, notes(1, 2), since=0)
    assert (healed.version, healed.changed, healed.content_hash) == (1, True, first.content_hash)
    assert warehouse.read("notes").equals(notes(1, 2))
    with pytest.raises(DamagedFileError):
        warehouse.read("notes", 0)


def test_damage_is_found_when_only_other_columns_are_read_and_in_a_partition_when_it_is_read(warehouse):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")
    flip(Path(warehouse.uri("mail"), warehouse.files("mail")[1].path), 20)
    assert ids(warehouse.read("mail", partitions=["a"])) == [1]
    for columns in (["id"], ["batch"], None):
        with pytest.raises(DamagedFileError):
            warehouse.read("mail", columns=columns)


def test_a_table_that_taproom_did_not_write_cannot_be_verified(warehouse):
    write_deltalake(warehouse.uri("guests"), pa.table({"id": [1]}))
    with pytest.raises(DamagedFileError, match="was not written by Taproom"):
        warehouse.read("guests")


# The log


def as_an_older_release_wrote_it(warehouse, table):
    """Take from a table's log what older releases did not write: hashes, and the note beside the log."""
    Path(warehouse.uri(table), "_newest_commit").unlink()
    own = {"version", "committed_at", "table_rows", "files_sha256", "described"}
    for path in Path(warehouse.uri(table), "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in path.read_text().splitlines()]
        info = actions[0]["commitInfo"]
        del info["taproom_sha256"]
        metadata = json.loads(info.pop("taproom"))
        info |= {name: value for name, value in metadata.items() if name not in own}
        path.write_text("".join(f"{json.dumps(action)}\n" for action in actions))


def test_a_warehouse_of_an_older_release_is_read_and_continued(warehouse):
    origin = Origin(run_id="r", inputs={"beers": 3}, config={"k": 1})
    for batch, number in (("a", 1), ("b", 2), ("a", 3)):
        warehouse.publish(MAIL, mail(batch, number), since=warehouse.head("mail"), partition=batch, origin=origin)
    history = warehouse.history("mail")
    as_an_older_release_wrote_it(warehouse, "mail")
    assert warehouse.heads() == {"mail": 2}
    assert ids(warehouse.read("mail")) == [3, 2]
    assert ids(warehouse.read("mail", 1)) == [1, 2]
    old = warehouse.history("mail")
    assert [{**entry, "time": 0} for entry in old] == [{**entry, "time": 0} for entry in history]
    assert warehouse.check("mail").readable == (0, 1, 2)
    assert warehouse.repair("mail").problems == ()
    assert not warehouse.publish(MAIL, mail("b", 2), since=2, partition="b").changed
    with pytest.raises(CollectionError):
        warehouse.publish(MAIL, mail("c", 4, collection="brewery"), since=2, partition="c")
    warehouse.publish(MAIL, mail("c", 4), since=2, partition="c")
    assert ids(warehouse.read("mail")) == [3, 2, 4]
    entry = Path(warehouse.uri("mail"), "_delta_log", f"{0:020d}.json")
    entry.write_bytes(entry.read_bytes().replace(b'"batch":"a"', b'"batch":"b"'))
    assert ids(warehouse.read("mail")) == [3, 2, 4]  # what entry 0 added is no part of it
    entry = Path(warehouse.uri("mail"), "_delta_log", f"{1:020d}.json")
    entry.write_bytes(entry.read_bytes().replace(b'"batch": "b"', b'"batch": "a"'))
    with pytest.raises(DamagedLogError, match="its files and rows"):
        warehouse.read("mail")


def test_a_configuration_comes_back_to_the_last_bit(warehouse):
    config = {"floats": [2.7715077941825975e-163, 0.1, 1e-5, -0.0, 5e-324], "large": 2**70, "text": "ä\u2028\n"}
    warehouse.publish(NOTES, notes(1), since=None, origin=Origin(config=config))
    assert warehouse.commit_of("notes", 0)["config"] == config


def test_heads_open_no_table_and_a_damaged_one_keeps_nobody_from_the_others(warehouse):
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


def test_a_log_that_is_gone_as_a_whole_is_no_table_that_never_was(warehouse):
    publish_from(warehouse, "notes", 0)
    shutil.rmtree(Path(warehouse.uri("notes"), "_delta_log"))
    assert warehouse.heads() == {"notes": 0}
    with pytest.raises(DamagedLogError, match="is gone"):
        publish_from(warehouse, "notes", 1)
    assert warehouse.repair("notes").restored == 0
    assert ids(warehouse.read("notes")) == [0]


def test_what_was_written_is_safe_on_the_disk_before_it_counts(warehouse, monkeypatch):
    synced = []
    sync = storage._sync
    monkeypatch.setattr(storage, "_sync", lambda path: (synced.append(path), sync(path)))
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    (file,) = warehouse.files("mail")
    folder = Path(warehouse.uri("mail"))
    data, entry = folder / file.path, folder / "_delta_log" / f"{0:020d}.json"
    assert {data, data.parent, folder, folder.parent, entry, entry.parent} <= set(synced)
    assert synced.index(data) < synced.index(entry)


# Contracts


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


def test_an_error_of_the_stream_itself_is_passed_on_and_commits_nothing(warehouse):
    def rows():
        yield from notes(1).to_batches()
        raise ZeroDivisionError("of the source")

    with pytest.raises(ZeroDivisionError, match="of the source"):
        warehouse.publish(NOTES, reader(rows()), since=None)
    assert warehouse.head("notes") is None


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "a..b", ".a", "-a", "a.", "a b", "a\\b", "a=b", "a%2Fb", "ä", "a\n", "a\0"]
)
def test_a_partition_name_that_could_leave_its_folder_is_refused(warehouse, name):
    with pytest.raises(ContractError, match="cannot name a batch"):
        warehouse.publish(MAIL, mail(name, 1), since=None, partition=name)
    assert not Path(warehouse.root).exists()


@pytest.mark.parametrize("name", ["a", "2026-11", "rate.beer_v2", "_", "7"])
def test_a_plain_partition_name_comes_back_as_it_was(warehouse, name):
    warehouse.publish(MAIL, mail(name, 1), since=None, partition=name)
    assert warehouse.partitions("mail") == [name]
    assert warehouse.read("mail").equals(mail(name, 1))


def test_partitions_are_asked_for_exactly_where_the_contract_has_them(warehouse):
    with pytest.raises(ContractError, match="mail is written one batch at a time; the partition None"):
        warehouse.publish(MAIL, mail("a", 1), since=None)
    with pytest.raises(ContractError, match="notes is written as a whole; the partition 'a'"):
        warehouse.publish(NOTES, notes(1), since=None, partition="a")
    with pytest.raises(ContractError, match="rows of another batch than 'a'"):
        warehouse.publish(MAIL, mail("b", 1), since=None, partition="a")


def wider(contract):
    colour = Column("colour", pa.float64(), "on the EBC scale", nullable=True)
    return Contract(
        contract.table, contract.grain, (*contract.columns, colour), contract.key, partition=contract.partition
    )


def widened(table):
    return table.append_column(pa.field("colour", pa.float64()), pa.array([8.0] * table.num_rows))


def test_new_columns_make_a_new_version_of_a_whole_table(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)
    assert warehouse.publish(wider(NOTES), widened(notes(1, 2)), since=0).version == 1
    assert warehouse.read("notes").to_pydict() == {"id": [1, 2], "text": ["ale"] * 2, "colour": [8.0, 8.0]}
    assert warehouse.read("notes", 0).equals(notes(1))
    assert warehouse.publish(NOTES, notes(1), since=1).changed
    assert warehouse.read("notes").equals(notes(1))


def test_new_columns_of_a_partitioned_table_are_refused(warehouse):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    for since in (0, None):
        with pytest.raises(ContractError, match="mail: its columns have changed"):
            warehouse.publish(wider(MAIL), widened(mail("b", 2)), since=since, partition="b")
    assert warehouse.read("mail").equals(mail("a", 1))


def test_a_new_description_is_no_new_column(warehouse):
    first = warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    reworded = Column("id", pa.int64(), "the letter's number", unit="1")
    contract = Contract("mail", "a letter", (reworded, *MAIL.columns[1:]), ("id",), partition="batch")
    assert warehouse.publish(contract, mail("b", 2), since=0, partition="b").version == 1
    assert warehouse.publish(contract, mail("a", 1), since=1, partition="a").content_hash == first.content_hash
    assert warehouse.read("mail").schema.field("id").metadata[b"description"] == b"the letter's number"


# Versions


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


def test_long_texts_are_unchanged_however_they_are_chunked(warehouse):
    chance = random.Random(0)
    texts = [chance.randbytes(chance.randrange(400)).hex() for _ in range(10_000)]
    rows = NOTES.table_of(id=range(len(texts)), text=texts)
    warehouse.publish(NOTES, rows, since=None)
    assert not warehouse.publish(NOTES, reader(rows.to_batches(max_chunksize=777)), since=0).changed


def test_an_unchanged_partition_stays_unchanged_while_others_move(warehouse):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")
    again = warehouse.publish(MAIL, mail("a", 1), since=0, partition="a")
    assert (again.version, again.changed) == (1, False)
    assert warehouse.head("mail") == 1


def test_a_volatile_column_makes_a_version_but_no_new_hash(warehouse):
    seconds = Column("seconds", pa.float64(), "how long it took", unit="s", volatile=True)
    contract = Contract("fits", "one fit", (ID, seconds), ("id",))
    first = warehouse.publish(contract, contract.table_of(id=[1], seconds=[2.5]), since=None)
    second = warehouse.publish(contract, contract.table_of(id=[1], seconds=[3.5]), since=0)
    assert second.version == 1
    assert second.content_hash == first.content_hash
    assert warehouse.read("fits")["seconds"].to_pylist() == [3.5]


def test_after_many_commits_every_version_is_still_there(warehouse):
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


def test_a_version_reads_the_same_while_newer_ones_come(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)
    stream = warehouse.stream("notes", 0)
    newest = warehouse.stream("notes")
    warehouse.publish(NOTES, notes(2), since=0)
    assert ids(stream.read_all()) == ids(newest.read_all()) == ids(warehouse.read("notes", 0)) == [1]
    assert ids(warehouse.read("notes")) == [2]


def test_what_does_not_exist_is_named(warehouse):
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


# Reading


def test_a_table_larger_than_a_file_keeps_its_order_and_the_files_that_did_not_change(warehouse):
    warehouse.publish(NOTES, reader(megabytes(130)), since=None)
    before = warehouse.files("notes")
    assert [file.rows for file in before] == [64, 64, 2]
    assert ids(warehouse.read("notes", columns=["id"])) == list(range(130))
    assert [batch.num_rows for batch in warehouse.stream("notes", columns=["id"])] == [64, 64, 2]
    warehouse.publish(NOTES, reader([*megabytes(129), *megabytes(1, first=500)]), since=0)
    after = warehouse.files("notes")
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert ids(warehouse.read("notes", columns=["id"])) == [*range(129), 500]


def test_columns_and_partitions_are_chosen_together(warehouse):
    for batch, number in (("b", 2), ("a", 1), ("c", 3)):
        warehouse.publish(MAIL, mail(batch, number), since=warehouse.head("mail"), partition=batch)
    assert warehouse.partitions("mail") == ["a", "b", "c"]
    assert warehouse.partitions("mail", 0) == ["b"]
    stream = warehouse.stream("mail", partitions=["c", "a", "z"], columns=["text", "batch", "id"])
    assert stream.schema.names == ["text", "batch", "id"]
    assert stream.read_all().to_pydict() == {"text": ["ale", "ale"], "batch": ["a", "c"], "id": [1, 3]}
    assert warehouse.read("mail", columns=["batch"]).to_pydict() == {"batch": ["a", "b", "c"]}
    assert warehouse.read("mail", partitions=[]).num_rows == 0
    assert ids(warehouse.read("mail", 1)) == [1, 2]


def test_rows_come_back_with_the_schema_of_the_contract(warehouse):
    columns = (
        Column("batch", pa.string(), "where it came in"),
        Column("id", pa.int64(), "number"),
        Column("weights", pa.list_(pa.field("item", pa.float32(), nullable=False)), "of its words", unit="1"),
        Column("scores", pa.map_(pa.string(), pa.float64()), "by name", nullable=True),
        Column("time", pa.timestamp("us", tz="UTC"), "when", nullable=True),
        Column("pixels", pa.binary(), "of its label"),
        Column("fresh", pa.bool_(), "whether it is"),
    )
    contract = Contract("labels", "one label", columns, ("id",), partition="batch")
    table = contract.table_of(
        batch=["a"] * 3,
        id=[1, 2, 3],
        weights=[[0.1], [], [float("nan"), -0.0]],
        scores=[[("aroma", 4.5), ("taste", None)], None, []],
        time=[datetime(2026, 1, 1, tzinfo=UTC), None, datetime(1969, 1, 1, tzinfo=UTC)],
        pixels=[b"\0\xff", b"", b"x"],
        fresh=[True, False, True],
    )
    published = warehouse.publish(contract, table, since=None, partition="a")
    back = warehouse.read("labels")
    assert back.schema.equals(contract.schema)
    assert back.schema.field("weights").metadata[b"description"] == b"of its words"
    assert repr(back.to_pylist()) == repr(table.to_pylist())
    assert not warehouse.publish(contract, back, since=0, partition="a").changed
    assert published.rows == 3


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


@pytest.mark.parametrize("root", ["{folder}/warehouse", "{folder}/two words", "file://{folder}/warehouse/"])
def test_a_root_is_a_folder_or_a_url(tmp_path, root):
    warehouse = Warehouse(root.format(folder=tmp_path))
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    published = warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")
    assert warehouse.tables() == ["mail"]
    assert warehouse.uri("mail") == f"{warehouse.root}/mail"
    assert warehouse.read("mail").equals(pa.concat_tables([mail("a", 1), mail("b", 2)]))
    assert [entry["partition"] for entry in warehouse.history("mail")] == ["b", "a"]
    (folder,) = tmp_path.iterdir()
    stray = folder / "mail" / "batch=a" / "stray.parquet"
    stray.write_bytes(b"")
    os.utime(stray, (0, 0))
    assert warehouse.sweep() == {"mail": ["batch=a/stray.parquet"]}
    assert warehouse.put_figure(published, b"picture") == f"{warehouse.root}/_figures/mail.png"
    assert (folder / "_figures" / "mail.png").read_bytes() == b"picture"
    assert warehouse.figure("mail", published.content_hash) == b"picture"
    assert warehouse.tables() == ["mail"]


# Figures


def test_rows_have_their_figure_and_the_newest_has_the_name_of_its_table_or_part(warehouse):
    one = warehouse.publish(NOTES, notes(1), since=None)
    two = warehouse.publish(NOTES, notes(2), since=0)
    for published in (two, one):
        path = warehouse.put_figure(published, str(published.version).encode())
    assert Path(path).read_bytes() == warehouse.figure("notes", one.content_hash) == b"0"
    assert warehouse.figure("notes", two.content_hash) == b"1"
    assert warehouse.put_figure(two, b"", part="odd") == f"{warehouse.root}/_figures/notes-odd.png"


def test_there_is_no_figure_of_what_is_no_table_and_no_hash(warehouse):
    published = warehouse.publish(NOTES, notes(1), since=None)
    warehouse.put_figure(published, b"picture")
    Path(warehouse.root, f"{published.content_hash}.png").write_bytes(b"beside the figures")
    for table, content_hash in ((".", published.content_hash), ("..", published.content_hash), ("notes", "../notes")):
        assert warehouse.figure(table, content_hash) is None
    assert warehouse.figure("notes", "0" * 64) is None


def test_figures_of_versions_that_nothing_needs_are_swept_but_for_the_newest_of_each_partition(warehouse):
    hashes = []
    for number, batch in enumerate(["a", "a", "b", "b"]):
        since = number - 1 if number else None
        published = warehouse.publish(MAIL, mail(batch, number), since=since, partition=batch)
        hashes.append(published.content_hash)
        warehouse.put_figure(published, b"picture")
    kept = {"keep_newest": 1, "keep_younger_than": AT_ONCE}
    warehouse.sweep(keep_newest=1)
    assert all(warehouse.figure("mail", each) for each in hashes)
    warehouse.sweep(**kept)
    assert [warehouse.figure("mail", each) for each in hashes] == [None, b"picture", None, b"picture"]
    assert Path(warehouse.root, "_figures", "mail.png").exists()


# Maintenance

AT_ONCE = timedelta(0)


def publish_from(warehouse, table, number, **inputs):
    contract = Contract(table, "one note", (ID, TEXT), ("id",))
    origin = Origin(inputs=inputs)
    return warehouse.publish(contract, notes(number), since=warehouse.head(table), origin=origin).version


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


def test_sweep_does_without_inputs_that_are_no_longer_there(warehouse):
    publish_from(warehouse, "notes", 0, beers=3)
    publish_from(warehouse, "weights", 0, notes=7)
    assert warehouse.pinned_versions() == {"notes": {0}, "weights": {0}}
    assert warehouse.sweep(keep_newest=0, keep_younger_than=AT_ONCE) == {"notes": [], "weights": []}


def test_an_error_of_the_rows_own_source_is_not_taken_for_one_of_the_storage(warehouse):
    def torn():
        yield notes(1).to_batches()[0]
        raise OSError("the disk that the rows come from is gone")

    stream = pa.RecordBatchReader.from_batches(NOTES.schema, torn())
    with pytest.raises(OSError, match="come from is gone"):
        warehouse.publish(NOTES, stream, since=None)
    assert warehouse.tables() == []
