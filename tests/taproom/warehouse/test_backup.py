"""Copies of a warehouse that is written to meanwhile, and what is left out of them."""

import threading
from pathlib import Path

import pyarrow as pa
import pytest

from taproom.errors import StorageError
from taproom.warehouse import backup
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.delta_log import LOG
from taproom.warehouse.publishing import Origin
from taproom.warehouse.scratch import FOLDER, scratch
from taproom.warehouse.storage import Storage
from taproom.warehouse.verification import verify
from taproom.warehouse.warehouse import Warehouse

NUMBERS = Contract("numbers", "one number", (Column("n", pa.int64(), "number"),), ("n",))
DOUBLES = Contract("doubles", "one number", (Column("n", pa.int64(), "number"),), ("n",))


@pytest.fixture
def source(tmp_path):
    return Warehouse(tmp_path / "source")


@pytest.fixture
def target(tmp_path):
    return Warehouse(tmp_path / "target")


def publish(warehouse: Warehouse, n: int) -> None:
    """A version of `numbers`, and one of `doubles` that is made from it."""
    made = warehouse.publish(NUMBERS, NUMBERS.table_of(n=[n]), since=warehouse.head("numbers"))
    origin = Origin(inputs={"numbers": made.version})
    warehouse.publish(DOUBLES, DOUBLES.table_of(n=[2 * n]), since=warehouse.head("doubles"), origin=origin)


def test_a_copy_has_everything_and_can_be_added_to(source, target):
    for n in range(3):
        publish(source, n)
    source.storage.write("_figures/numbers.png", b"picture")
    assert backup.main([target.root, "--warehouse", source.root]) == 0
    assert target.heads() == source.heads() == {"doubles": 2, "numbers": 2}
    assert target.read("doubles", 1) == source.read("doubles", 1)
    assert target.storage.read("_figures/numbers.png") == b"picture"
    publish(source, 3)
    assert backup.copy_warehouse(source.storage, target.storage) == 5  # files and entries of two tables, the figure
    assert target.read("doubles")["n"].to_pylist() == [6]
    publish(target, 4)
    assert target.head("numbers") == 4


def test_a_copy_that_was_just_made_is_restored_completely(source, target):
    """Without a wait, as a rehearsal in a script does it."""
    publish(source, 0)
    copy = Storage(f"{target.root}/copy")
    backup.copy_warehouse(source.storage, copy)
    restored = Warehouse(f"{target.root}/restored")
    backup.copy_warehouse(copy, restored.storage)
    assert restored.heads() == source.heads() == {"doubles": 0, "numbers": 0}


def test_what_was_written_again_or_was_not_copied_completely_is_copied_again(source, target):
    publish(source, 0)
    backup.copy_warehouse(source.storage, target.storage)
    entry, (data, *_) = f"numbers/{LOG}/{0:020}.json", source.files("numbers")
    written = source.storage.read(entry)
    source.storage.replace(entry, written.replace(b"{", b"{ ", 1)[:-1])  # of the same size
    Path(target.root, "numbers", data.path).write_bytes(b"half")
    assert backup.copy_warehouse(source.storage, target.storage) == 2
    assert target.storage.read(entry) == source.storage.read(entry) != written
    assert target.storage.read(f"numbers/{data.path}") == source.storage.read(f"numbers/{data.path}")
    assert backup.copy_warehouse(source.storage, target.storage) == 0


@pytest.mark.slow
def test_a_copy_made_while_others_write_verifies(source, target):
    publish(source, 0)
    is_copied = threading.Event()

    def write() -> None:
        for n in range(1, 200):
            publish(source, n)
            if is_copied.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            copy = Storage(f"{target.root}/{number}")
            backup.copy_warehouse(source.storage, copy)
            assert [verify(copy.root, table).problems for table in ("doubles", "numbers")] == [(), ()]
    finally:
        is_copied.set()
        writer.join()
    assert source.head("doubles") > 0


def test_a_warehouse_is_not_copied_to_itself(source, capsys):
    publish(source, 0)
    assert backup.main([source.root, "--warehouse", source.root]) == 1
    assert "cannot be copied to itself" in capsys.readouterr().err
    with pytest.raises(StorageError):
        backup.copy_warehouse(source.storage, Storage(source.root))
    assert Path(source.root, "numbers").is_dir()


def test_scratch_files_are_not_copied(source, target):
    publish(source, 0)
    with scratch(source.root) as files:
        files.write(b"features")
        backup.copy_warehouse(source.storage, target.storage)
    assert not Path(target.root, FOLDER).exists()
    assert target.heads() == source.heads()
