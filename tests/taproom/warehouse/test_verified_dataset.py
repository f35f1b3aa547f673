import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from taproom.errors import DamagedFileError, UnknownTableError
from taproom.warehouse import data_files, verified_dataset
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.verified_dataset import VerifiedVersion
from tests.taproom.warehouse.tables import flip
from tests.taproom.warehouse.test_log_entries import as_an_older_release_wrote_it

REPO = Path(__file__).resolve().parents[3]
NUMBERS = Contract(
    "numbers",
    "a number",
    (Column("number", pa.int64(), "the number"), Column("half", pa.float64(), "half of it")),
    key=("number",),
)
ROWS = NUMBERS.table_of(number=range(90), half=[number / 2 for number in range(90)])
HALVES = Contract(
    "halves",
    "a number",
    (
        Column("half", pa.string(), "the lower or the higher half"),
        Column("number", pa.int64(), "the number"),
        Column("roots", pa.list_(pa.field("item", pa.float64(), nullable=False)), "its square roots"),
        Column("square", pa.int64(), "its square"),
    ),
    key=("number",),
    partition="half",
)


def rows_of(half):
    numbers = range(45) if half == "low" else range(45, 90)
    roots = [[-(number**0.5), number**0.5] for number in numbers]
    squares = [number**2 for number in numbers]
    return HALVES.table_of(half=[half] * 45, number=numbers, roots=roots, square=squares)


@pytest.fixture
def numbers(warehouse, monkeypatch):
    """A table of nine files."""
    monkeypatch.setattr(data_files, "BYTES_PER_FILE", 1)
    batches = pa.RecordBatchReader.from_batches(ROWS.schema, ROWS.to_batches(max_chunksize=10))
    warehouse.publish(NUMBERS, batches, since=None)
    assert len(warehouse.files("numbers")) == 9
    return warehouse


def test_rows_of_many_files_come_in_order(numbers):
    found = VerifiedVersion(numbers.storage, "numbers", 0)
    assert found.read(None, None).equals(ROWS)
    assert found.stream(None, None).read_all().equals(ROWS)
    assert found.dataset().to_table().equals(ROWS)
    late = pc.field("number") >= 75
    assert found.read(["half"], late).equals(ROWS.slice(75).select(["half"]))
    assert found.stream(["half"], late).read_all().equals(ROWS.slice(75).select(["half"]))


def test_a_stream_is_verified_file_by_file(numbers):
    last = Path(numbers.root, "numbers", numbers.files("numbers")[-1].path)
    found = VerifiedVersion(numbers.storage, "numbers", 0)
    stream = found.stream(None, None)
    last.unlink()
    assert stream.read_next_batch()["number"].to_pylist() == list(range(10))
    with pytest.raises(DamagedFileError, match="is gone"):
        stream.read_all()
    with pytest.raises(DamagedFileError, match="is gone"):
        found.read(["half"], None)


@pytest.fixture
def divided(warehouse, monkeypatch):
    """A table in two partitions, of which small files too are read by column."""
    monkeypatch.setattr(verified_dataset, "SMALLEST_DIVIDED_FILE", 0)
    for since, half in ((None, "low"), (0, "high")):
        warehouse.publish(HALVES, rows_of(half), since=since, partition=half)
    return warehouse


def damage_column(warehouse, half, name):
    """Flip a byte of a column in the file of a partition."""
    (file,) = (file for file in warehouse.files("halves") if file.partition == half)
    path = Path(warehouse.root, "halves", file.path)
    chunk = next(
        chunk
        for chunk in map(pq.read_metadata(path).row_group(0).column, range(3))
        if chunk.path_in_schema.split(".")[0] == name
    )
    flip(path, chunk.data_page_offset)


def selected(warehouse, columns, where=None):
    found = VerifiedVersion(warehouse.storage, "halves", 1, some_columns=True)
    rows = found.read(columns, where)
    assert found.stream(columns, where).read_all().equals(rows)
    return rows


@pytest.mark.parametrize("half", ["low", "high"])
def test_only_the_columns_that_are_read_are_verified(divided, half):
    damage_column(divided, half, "roots")
    whole = pa.concat_tables([rows_of("high"), rows_of("low")])
    assert selected(divided, ["half", "number"]).equals(whole.select(["half", "number"]))
    few = pc.field("number") < 5
    assert selected(divided, ["half"], few).equals(whole.filter(few).select(["half"]))
    for columns, where in ((["roots"], None), (["number"], pc.field("roots").is_valid()), (None, None)):
        with pytest.raises(DamagedFileError, match="not those that were committed"):
            selected(divided, columns, where)


def test_files_of_an_older_release_are_read_whole(divided):
    as_an_older_release_wrote_it(divided, "halves")
    assert selected(divided, ["number"])["number"].to_pylist() == [*range(45, 90), *range(45)]
    damage_column(divided, "low", "roots")
    with pytest.raises(DamagedFileError, match="not those that were committed"):
        selected(divided, ["number"])


def test_a_version_that_never_was_is_refused(numbers):
    with pytest.raises(UnknownTableError, match="versions 0 to 0; version 1 was wanted"):
        VerifiedVersion(numbers.storage, "numbers", 1)


@pytest.mark.slow
def test_a_program_that_ends_right_after_reading_ends_well(numbers):
    # Arrow's threads may still run then; those that call Python would abort the program.
    code = (
        "import taproom; from taproom.warehouse import verified_dataset; verified_dataset.SMALLEST_DIVIDED_FILE = 0\n"
        f"reader = taproom.open({numbers.root!r}); reader.load('numbers'); reader.sql('from numbers')\n"
        "reader.load('numbers', columns=['half'])"
    )
    for _ in range(5):
        assert subprocess.run([sys.executable, "-c", code], cwd=REPO, check=False).returncode == 0
