from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from taproom.errors import UnknownTableError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.publishing import Origin
from taproom.warehouse.verification import verify

BEERS, STYLES = (
    Contract(name, "a row", (Column("row", pa.int64(), "the row"),), key=("row",)) for name in ("beers", "styles")
)


@pytest.fixture
def beers(warehouse):
    """Three versions of beers, of which styles were made from the first."""
    for since, rows in ((None, [1]), (0, [1, 2]), (1, [1, 2, 3])):
        warehouse.publish(BEERS, BEERS.table_of(row=rows), since=since)
    warehouse.publish(STYLES, STYLES.table_of(row=[1]), since=None, origin=Origin(inputs={"beers": 0}))
    return warehouse


def path(warehouse, version):
    (file,) = warehouse.files("beers", version)
    return Path(warehouse.root, "beers", file.path)


def test_all_versions_are_verified(beers):
    report = verify(beers.root, "beers")
    assert (report.versions, report.files, report.problems) == (3, 3, ())
    assert report.size_bytes == sum(path(beers, version).stat().st_size for version in range(3))


def test_a_swept_version_is_no_problem(beers):
    beers.sweep(keep_newest=1, keep_younger_than=timedelta(0))
    report = verify(beers.root, "beers")
    assert (report.versions, report.problems) == (2, ())


def test_a_flipped_byte_of_an_old_version_is_found(beers):
    content = bytearray(path(beers, 1).read_bytes())
    content[10] ^= 1
    path(beers, 1).write_bytes(content)
    (problem,) = verify(beers.root, "beers").problems
    assert "not those that were committed" in problem


def test_a_version_that_another_table_was_made_from_has_to_be_there(beers):
    path(beers, 0).unlink()
    assert verify(beers.root, "beers").problems == ("beers: version 0, which another table was made from, is gone",)


def test_an_unknown_table_is_refused(beers):
    with pytest.raises(UnknownTableError, match="did you mean 'beers'"):
        verify(beers.root, "beer")
