import random
from itertools import combinations, pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from taproom.errors import DamagedFileError
from taproom.warehouse.column_ranges import byte_ranges
from taproom.warehouse.data_files import read_columns
from taproom.warehouse.delta_log import TableLog
from tests.taproom.warehouse.tables import MAIL, NOTES, flip, ids, mail, megabytes, notes, only_file, reader


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


@pytest.mark.slow
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


def test_a_large_table_in_one_piece_is_checked_and_written_piece_by_piece(warehouse, monkeypatch):
    rows = notes(*range(1000), text="x" * 100)
    whole = warehouse.publish(NOTES, rows, since=None)
    monkeypatch.setattr("taproom.warehouse.data_files.BYTES_PER_BATCH", rows.nbytes // 100)
    monkeypatch.setattr("taproom.warehouse.data_files.BYTES_PER_FILE", rows.nbytes // 10)
    divided = warehouse.publish(NOTES, rows.combine_chunks(), since=0)
    assert {file.rows for file in warehouse.files("notes")} == {100}
    assert divided.content_hash == whole.content_hash
    assert warehouse.read("notes").equals(rows)


def test_long_texts_are_unchanged_however_they_are_chunked(warehouse):
    chance = random.Random(0)
    texts = [chance.randbytes(chance.randrange(400)).hex() for _ in range(10_000)]
    rows = NOTES.table_of(id=range(len(texts)), text=texts)
    warehouse.publish(NOTES, rows, since=None)
    assert not warehouse.publish(NOTES, reader(rows.to_batches(max_chunksize=777)), since=0).changed


@pytest.fixture
def only_mail(warehouse):
    """A table of one file: gives what reads some of its columns, the path of the file, and the parts of the file."""
    warehouse.publish(MAIL, mail("a", *range(100)), since=None, partition="a")
    (file,) = warehouse.files("mail")
    path = Path(warehouse.uri("mail"), file.path)
    ranges = byte_ranges(path.read_bytes())

    def read(*names):
        return read_columns(warehouse.storage, "mail", file, ranges, names)

    return read, path, [*pairwise([*(part.start for part in ranges), file.size_bytes])]


def test_a_commit_has_the_hashes_of_each_column(warehouse):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    warehouse.publish(MAIL, mail("b", 2), since=0, partition="b")
    for version, file in enumerate(warehouse.files("mail")):
        recorded = TableLog(warehouse.storage, "mail").entry(version).metadata["ranges"]
        content = Path(warehouse.uri("mail"), file.path).read_bytes()
        assert recorded == {file.path: [list(part) for part in byte_ranges(content)]}


@pytest.mark.slow
def test_a_flipped_byte_is_an_error_or_not_among_the_columns_that_are_read(only_mail):
    read, path, parts = only_mail
    columns = dict(zip(["id", "text", "collection"], parts[:-1], strict=True))
    good = path.read_bytes()
    for names in [*combinations(columns, 1), *combinations(columns, 2)]:
        rows = pq.read_table(read(*names), columns=list(names))
        assert rows.equals(mail("a", *range(100)).select(names))
        verified = [parts[-1], *(columns[name] for name in names)]
        for position in range(len(good)):
            flip(path, position)
            if any(start <= position < end for start, end in verified):
                with pytest.raises(DamagedFileError, match="not those that were committed"):
                    read(*names)
            else:
                assert pq.read_table(read(*names), columns=list(names)).equals(rows)
            flip(path, position)
    assert path.read_bytes() == good


def test_a_column_that_was_not_read_cannot_be_decoded(only_mail):
    read, _, _ = only_mail
    pq.read_table(read("id", "text", "collection"))  # memory that is used again may have the bytes of before
    for names in (["id", "text"], ["id"], []):
        with pytest.raises(OSError, match="Couldn't deserialize thrift"):
            pq.read_table(read(*names), columns=["collection"])


@pytest.mark.parametrize("cut", [1, 8, 500])
def test_a_file_of_another_size_is_damaged(only_mail, cut):
    read, path, _ = only_mail
    content = path.read_bytes()
    for other in (content[:-cut], content + bytes(cut), b""):
        path.write_bytes(other)
        with pytest.raises(DamagedFileError, match="not those that were committed"):
            read("id")
    path.unlink()
    with pytest.raises(DamagedFileError, match="is gone"):
        read("id")


def test_the_rows_of_a_file_are_gone_before_those_of_the_next_one_come(warehouse, monkeypatch):
    monkeypatch.setattr("taproom.warehouse.data_files.BYTES_PER_FILE", 4 * 2**20)
    before = pa.total_allocated_bytes()
    held = []

    def batches():
        for batch in megabytes(13):
            held.append(pa.total_allocated_bytes() - before)
            yield batch

    warehouse.publish(NOTES, reader(batches()), since=None)
    assert [file.rows for file in warehouse.files("notes")] == [4, 4, 4, 1]
    assert max(held) < 5.5 * 2**20
