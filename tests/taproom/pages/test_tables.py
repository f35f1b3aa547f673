"""What pages know of a table."""

import pathlib

import pytest

from assets.reviews.item_map import ITEM_MAP
from assets.reviews.reviews import CONTRACT as REVIEWS
from taproom.pages.tables import FIRST_ROWS, LONGEST_CELL, TableDescription, cell, first_line, state_of, states_of
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import publish_map

DESCRIBED = TableDescription(ITEM_MAP, "reviews", "The map.")


def test_the_newest_version_is_described(warehouse):
    publish_map(warehouse, items=30)
    state = state_of(warehouse, DESCRIBED)
    assert (state.version, state.rows, len(state.first_rows)) == (0, 60, FIRST_ROWS)
    assert state.commits[0]["inputs"] == {"items": 0, "neighbors": 0, "tfidf": 0, "vocabulary": 0}
    assert state.size_bytes == warehouse.files("item_map")[0].size_bytes
    assert state.figure is None


def test_the_figure_is_that_of_the_newest_version(warehouse):
    publish_map(warehouse)
    rows = warehouse.read("item_map").slice(0, 60)
    published = warehouse.publish(ITEM_MAP, rows, since=0)
    warehouse.put_figure(published, b"a picture")
    state = state_of(warehouse, DESCRIBED)
    assert (state.version, state.figure, len(state.commits)) == (1, b"a picture", 2)


def test_a_table_that_was_not_made_has_no_state(warehouse):
    assert state_of(warehouse, DESCRIBED) is None
    assert states_of(warehouse, [DESCRIBED]) == ({}, {})


def test_a_damaged_table_is_told_apart(warehouse: Warehouse):
    publish_map(warehouse)
    path = warehouse.storage.listing("item_map")
    (data,) = [info.path for info in path if info.path.endswith(".parquet")]
    with pathlib.Path(data).open("r+b") as file:
        file.seek(200)
        file.write(b"damage")
    states, damaged = states_of(warehouse, [DESCRIBED])
    assert states == {}
    assert list(damaged) == ["item_map"]


def test_a_partition_is_shown_with_its_rows(warehouse):
    columns = {name: [None] for name in REVIEWS.schema.names}
    given = {
        "batch": ["b"],
        "collection": ["c"],
        "review_id": ["1"],
        "item_id": ["i"],
        "item_name": ["n"],
        "text": ["t"],
    }
    rows = REVIEWS.table_of(**columns | given | {"text": ["t"], "scores": [[("taste", 4.5)]], "attributes": [[]]})
    warehouse.publish(REVIEWS, rows, since=None, partition="b", origin=Origin(config={"path": "/home/me/beers.csv"}))
    state = state_of(warehouse, TableDescription(REVIEWS, "reviews", ""))
    (row,) = state.first_rows
    shown = dict(zip(REVIEWS.schema.names, row, strict=True))
    assert shown["scores"] == "taste: 4.5"
    assert shown["attributes"] == ""
    assert shown["category"] == "null"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/beers.csv", "…/beers.csv"),
        ("~/beers.csv", "…/beers.csv"),
        ("C:\\me\\beers.csv", "…/beers.csv"),
        ("\\\\server\\share\\beers.csv", "…/beers.csv"),
        ("https://me:secret@host/beers.csv?key=secret#secret", "…/beers.csv"),
        ("s3://me:secret@bucket", "…/bucket"),
        ("an ale and/or a stout", "an ale and/or a stout"),
        ("beers/ale.csv", "beers/ale.csv"),
    ],
)
def test_addresses_are_cut_to_their_last_part(text, shown):
    assert cell(text) == shown
    assert cell({"path": text}) == f"path: {shown}"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("cannot read '/home/my name/beers.csv': it is empty.", "cannot read '…/beers.csv': it is empty."),
        ("/home/me/ale.csv: line 2", "…/ale.csv: line 2"),
        ("could not be written to /data/house/items: No space.", "could not be written to …/items: No space."),
        ("Allowed are /home/me, ~/beers and C:\\beers.", "Allowed are …/me, …/beers and …/beers."),
        ("[Errno 2] No such file: '/no/such/file'", "[Errno 2] No such file: '…/file'"),
        ("see https://me:secret@host/a/b?key=secret", "see …/b"),
        ("of 1/2 and an ale/porter", "of 1/2 and an ale/porter"),
        ("first\nsecond /home/me", "first"),
        ("", ""),
    ],
)
def test_a_message_is_its_first_line_without_addresses(message, shown):
    assert first_line(message) == shown


def test_long_values_are_cut():
    assert len(cell("long " * 1_000)) == LONGEST_CELL
    assert cell(["a" * 500] * 9).endswith("… (9 values)")
    assert (cell([]), cell({}), cell(float("nan")), cell(True)) == ("", "", "nan", "true")
