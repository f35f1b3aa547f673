"""Two writers at once: one commit succeeds, and the other is refused or comes after it."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from taproom.errors import (
    CollectionError,
    ContractError,
    StorageError,
    TaproomError,
    UnknownTableError,
    WriteConflictError,
)
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse
from tests.taproom.warehouse.tables import MAIL, NOTES, data_files, ids, mail, notes, reader

SPAWN = multiprocessing.get_context("spawn")
ROUNDS = 8


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


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["first writes", "overwrites"])
def test_of_two_writes_of_a_whole_table_one_succeeds_and_one_is_refused(racers, tmp_path, first):
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


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["first writes", "later writes"])
def test_writes_of_different_partitions_both_succeed(racers, tmp_path, first):
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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("damage", "found"),
    [(Path.unlink, "is gone"), (lambda path: path.write_bytes(b"x"), "has 1 bytes instead of")],
    ids=["deleted", "truncated"],
)
def test_a_commit_whose_files_are_missing_is_refused(warehouse, file_a_batch, damage, found):
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


COLOUR = Column("colour", pa.float64(), "on the EBC scale", nullable=True)


def with_columns(contract, *columns):
    return Contract(contract.table, contract.grain, columns, contract.key, partition=contract.partition)


def wider(contract):
    return with_columns(contract, *contract.columns, COLOUR)


def widened(table):
    return table.append_column(pa.field("colour", pa.float64()), pa.array([8.0] * table.num_rows))


def test_new_columns_make_a_new_version_of_a_whole_table(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)
    assert warehouse.publish(wider(NOTES), widened(notes(1, 2)), since=0).version == 1
    assert warehouse.read("notes").to_pydict() == {"id": [1, 2], "text": ["ale"] * 2, "colour": [8.0, 8.0]}
    assert warehouse.read("notes", 0).equals(notes(1))
    assert warehouse.publish(NOTES, notes(1), since=1).changed
    assert warehouse.read("notes").equals(notes(1))


def test_a_partitioned_table_gets_new_columns_with_the_next_partition(warehouse):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")
    assert warehouse.publish(wider(MAIL), widened(mail("b", 2, 3)), since=1, partition="b").version == 2
    assert warehouse.read("mail").equals(
        pa.concat_tables([mail("a", 1), widened(mail("b", 2, 3))], promote_options="default")
    )
    assert warehouse.read("mail", partitions=["a"], columns=["colour", "id"]).to_pylist() == [{"colour": None, "id": 1}]
    assert warehouse.read("mail", partitions=["a"], columns=["colour"])["colour"].to_pylist() == [None]
    assert warehouse.read("mail", 1).equals(pa.concat_tables([mail("a", 1), mail("b", 2)]))
    assert warehouse.check("mail").problems == ()
    assert [commit["partition"] for commit in warehouse.history("mail")] == ["b", "b", "a"]
    pandas = DeltaTable(warehouse.uri("mail")).to_pandas().sort_values("id")
    assert pandas["colour"].fillna(0).tolist() == [0, 8.0, 8.0]


def test_new_columns_may_come_anywhere_and_without_rows(warehouse):
    contract = with_columns(MAIL, COLOUR, *MAIL.columns)
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    rows = contract.table_of(colour=[8.0], **mail("b", 2).to_pydict())
    warehouse.publish(contract, rows, since=0, partition="b")
    assert warehouse.read("mail").schema.names == contract.schema.names
    assert warehouse.read("mail")["colour"].to_pylist() == [None, 8.0]
    warehouse.remove(contract, "b", since=1, origin=Origin())
    assert warehouse.read("mail")["colour"].to_pylist() == [None]
    assert warehouse.publish(contract, rows, since=2, partition="b").version == 3


def test_columns_are_repaired_whose_commit_is_damaged(warehouse):
    for batch, number in (("a", 1), ("b", 2)):
        warehouse.publish(MAIL, mail(batch, number), since=warehouse.head("mail"), partition=batch)
    warehouse.publish(wider(MAIL), widened(mail("b", 3)), since=1, partition="b")
    warehouse.publish(wider(MAIL), widened(mail("b", 4)), since=2, partition="b")
    versions = [warehouse.read("mail", version) for version in range(4)]
    entry = Path(warehouse.uri("mail"), "_delta_log", f"{2:020d}.json")
    entry.write_bytes(entry.read_bytes().replace(b"colour", b"color"))
    report = warehouse.repair("mail")
    assert (report.version, report.lost) == (3, (2,))
    assert warehouse.read("mail").equals(versions[3])
    assert warehouse.read("mail", 1).equals(versions[1])
    assert warehouse.check("mail").problems == ()


def test_two_runs_add_the_same_column(racers, tmp_path):
    for attempt in range(ROUNDS):
        warehouse = Warehouse(tmp_path / str(attempt))
        warehouse.publish(MAIL, mail("z", 9), since=None, partition="z")
        tables = (widened(mail("a", 1)), widened(mail("b", 2)))
        _, refused = racers(warehouse, wider(MAIL), tables, 0, ("a", "b"))
        assert refused == []
        assert warehouse.read("mail")["colour"].to_pylist() == [8.0, 8.0, None]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (MAIL.columns[:3], "collection is not in the contract"),
        ((*MAIL.columns, replace(COLOUR, nullable=False)), "colour is new and double not null"),
        ((*MAIL.columns, replace(COLOUR, type=pa.uint16())), "colour is new and uint16"),
        ((replace(MAIL.columns[0], type=pa.int32()), *MAIL.columns[1:]), "id was int64 not null, now int32 not null"),
    ],
    ids=["removed", "never null", "no type of Delta's", "another type"],
)
def test_other_changes_of_a_partitioned_table_are_refused(warehouse, columns, reason):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    contract = with_columns(MAIL, *columns)
    values = {"id": [2], "batch": ["b"], "text": ["ale"], "collection": ["pub"], "colour": [8]}
    for since in (0, None):
        with pytest.raises(ContractError, match=f"mail: its columns have changed .*: {reason}"):
            warehouse.publish(contract, contract.table_of(**values), since=since, partition="b")
    assert warehouse.read("mail").equals(mail("a", 1))


def test_a_table_without_its_new_column_is_not_written_by_what_does_not_know_it(warehouse):
    warehouse.publish(wider(MAIL), widened(mail("a", 1)), since=None, partition="a")
    with pytest.raises(ContractError, match="colour is not in the contract"):
        warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")


@pytest.mark.slow
def test_a_new_description_is_no_new_column(warehouse):
    first = warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    reworded = Column("id", pa.int64(), "the letter's number", unit="1")
    contract = Contract("mail", "a letter", (reworded, *MAIL.columns[1:]), ("id",), partition="batch")
    assert warehouse.publish(contract, mail("b", 2), since=0, partition="b").version == 1
    assert warehouse.publish(contract, mail("a", 1), since=1, partition="a").content_hash == first.content_hash
    assert warehouse.read("mail").schema.field("id").metadata[b"description"] == b"the letter's number"
