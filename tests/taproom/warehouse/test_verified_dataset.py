import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from taproom.errors import DamagedFileError, UnknownTableError
from taproom.warehouse import data_files
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.verified_dataset import VerifiedVersion

REPO = Path(__file__).resolve().parents[3]
NUMBERS = Contract(
    "numbers",
    "a number",
    (Column("number", pa.int64(), "the number"), Column("half", pa.float64(), "half of it")),
    key=("number",),
)
ROWS = NUMBERS.table_of(number=range(90), half=[number / 2 for number in range(90)])


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


def test_a_version_that_never_was_is_refused(numbers):
    with pytest.raises(UnknownTableError, match="versions 0 to 0; version 1 was wanted"):
        VerifiedVersion(numbers.storage, "numbers", 1)


@pytest.mark.slow
def test_a_program_that_ends_right_after_reading_ends_well(numbers):
    # Arrow's threads may still run then; those that call Python would abort the program.
    code = (
        f"import taproom; reader = taproom.open({numbers.root!r}); reader.load('numbers'); reader.sql('from numbers')"
    )
    for _ in range(5):
        assert subprocess.run([sys.executable, "-c", code], cwd=REPO, check=False).returncode == 0
