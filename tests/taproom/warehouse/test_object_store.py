"""A warehouse in a real object store (SeaweedFS): what holds in a folder holds there, and what a step asks it for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyarrow as pa
import pytest

import taproom
from taproom.errors import DamagedFileError, StorageError, WriteConflictError
from taproom.warehouse.conditional_writes import UNSAFE_VARIABLE, check_conditional_writes
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.difference import diff
from taproom.warehouse.scratch import scratch
from taproom.warehouse.storage import Storage
from taproom.warehouse.warehouse import Warehouse
from tests.servers import Between, running_object_store, stack_in_a_folder
from tests.serving import serving

pytestmark = pytest.mark.slow
NOTES = Contract("notes", "one note", (Column("id", pa.int64(), "number"),), ("id",))
LETTERS = Contract(
    "letters",
    "one letter",
    (Column("id", pa.int64(), "number"), Column("sender", pa.string(), "who wrote it")),
    ("sender", "id"),
    partition="sender",
)


@pytest.fixture(scope="module")
def store():
    """The environment of a running store."""
    with stack_in_a_folder() as environment, running_object_store(environment):
        yield environment


@pytest.fixture
def bucket(store, request):
    """An empty warehouse of each test's own."""
    return Warehouse(f"s3://taproom/{request.node.name}")


@pytest.fixture
def between(store, monkeypatch):
    """A server between this process and the store, which notes requests."""
    with serving(Between(store["AWS_ENDPOINT_URL"])) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        yield server


def test_tables_figures_and_maintenance(bucket):
    for version, ids in enumerate(([1, 2], [2, 3, 4])):
        published = bucket.publish(NOTES, NOTES.table_of(id=ids), since=bucket.head("notes"))
        assert published.version == version
        bucket.put_figure(published, b"picture %d" % version)
    reader = taproom.open(bucket.root)
    assert bucket.tables() == ["notes"]
    assert reader.sql("select sum(id) as ids from notes").to_pylist() == [{"ids": 9}]
    assert bucket.read("notes", version=0)["id"].to_pylist() == [1, 2]
    found = diff(bucket.storage, "notes", 0, 1)
    assert (found.rows_added, found.rows_gone) == (2, 1)
    assert bucket.check("notes").problems == ()
    old = bucket.files("notes", 0)
    swept = bucket.sweep(keep_newest=1, keep_younger_than=timedelta(0))
    assert swept == {"notes": [file.path for file in old]}
    assert bucket.read("notes")["id"].to_pylist() == [2, 3, 4]
    assert bucket.figure("notes", published.content_hash) == b"picture 1"
    assert [commit["version"] for commit in bucket.history("notes")] == [1, 0]


def test_of_four_writers_of_a_table_one_wins_and_of_four_partitions_all_do(bucket):
    def write_all(number: int, since: int | None) -> bool:
        try:
            Warehouse(bucket.root).publish(NOTES, NOTES.table_of(id=[number]), since=since)
        except WriteConflictError:
            return False
        return True

    def write_one(sender: str) -> int:
        return (
            Warehouse(bucket.root)
            .publish(LETTERS, LETTERS.table_of(id=[1], sender=[sender]), since=None, partition=sender)
            .version
        )

    with ThreadPoolExecutor(4) as pool:
        for since in (None, 0, 1):
            first = 0 if since is None else 10 * (since + 1)  # the same rows again would be no change
            assert sum(pool.map(write_all, range(first, first + 4), [since] * 4)) == 1
        assert sorted(pool.map(write_one, "abcd")) == [0, 1, 2, 3]
    assert bucket.read("letters")["sender"].to_pylist() == list("abcd")
    assert bucket.head("notes") == 2


def test_a_store_that_ignores_conditions_is_refused_before_anything_is_written(between, bucket):
    between.ignores_conditions = True
    for _ in range(2):
        with pytest.raises(StorageError, match="ignores conditional writes"):
            bucket.publish(NOTES, NOTES.table_of(id=[1]), since=None)
    between.ignores_conditions = False
    assert bucket.tables() == []
    assert not [info for info in bucket.storage.listing(recursive=True) if info.is_file]


def test_a_store_is_probed_once(between, bucket):
    check_conditional_writes(bucket.storage)
    probing = len(between.requests)
    check_conditional_writes(Storage(bucket.root))
    assert [request.split()[0] for request in between.requests[:2]] == ["PUT", "PUT"]
    assert probing == len(between.requests)
    assert not [info for info in bucket.storage.listing(recursive=True) if info.is_file]


def test_the_old_way_to_write_to_s3_is_refused(bucket, monkeypatch):
    monkeypatch.setenv(UNSAFE_VARIABLE, "true")
    with pytest.raises(StorageError, match=UNSAFE_VARIABLE):
        bucket.publish(NOTES, NOTES.table_of(id=[1]), since=None)
    assert bucket.tables() == []


def test_an_object_that_could_not_be_replaced_is_as_it_was(between, bucket):
    bucket.storage.write("_pages/index.html", b"old")
    between.refuses_writes = True
    with pytest.raises(OSError, match="index"):
        bucket.storage.replace("_pages/index.html", b"new")
    between.refuses_writes = False
    assert bucket.storage.read("_pages/index.html") == b"old"
    bucket.storage.replace("_pages/index.html", b"new")
    assert bucket.storage.read("_pages/index.html") == b"new"


def test_how_many_requests_a_table_costs(between, bucket):
    """docs/deployment.md states these numbers."""
    bucket.publish(NOTES, NOTES.table_of(id=[1]), since=None)

    def requests(ask: Callable[[], object]) -> int:
        between.requests.clear()
        ask()
        return len(between.requests)

    assert requests(lambda: bucket.head("notes")) <= 3
    assert requests(lambda: bucket.read("notes")) <= 15
    assert requests(lambda: bucket.publish(NOTES, NOTES.table_of(id=[2]), since=0)) <= 30


def test_scratch_files_are_read_by_their_hash_and_deleted(bucket):
    bucket.publish(NOTES, NOTES.table_of(id=[1]), since=None)
    with scratch(bucket.root) as files:
        names = [files.write(b"%d" % number * 1000) for number in range(3)]
        assert [files.read(name).to_pybytes()[:1] for name in names] == [b"0", b"1", b"2"]
        with pytest.raises(DamagedFileError, match="is not as a worker has written it"):
            files.read("0" * 64)
    assert bucket.storage.names(files.folder) == []
    assert bucket.heads() == {"notes": 0}
