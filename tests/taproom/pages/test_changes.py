from pathlib import Path

import pyarrow as pa
import pytest

from taproom.pages import changes as changes_module
from taproom.pages.changes import FIRST_ROWS, TableChange, changes_of
from taproom.pages.site import build_pages
from taproom.pages.tables import TableDescription, states_of
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.warehouse import Warehouse
from tests.shown_changes import ADDED, CHANGED, GONE, SAME, TRAINING_PAIRS, publish_changes

BEERS = Contract(
    "beers",
    "a beer",
    (
        Column("beer", pa.int64(), "the beer"),
        Column("abv", pa.float64(), "alcohol", unit="%"),
        Column("seconds", pa.float64(), "how long it took", volatile=True),
    ),
    key=("beer",),
)
CASKS = Contract(
    "casks",
    "a cask",
    (Column("pub", pa.string(), "the pub"), Column("cask", pa.int64(), "the cask")),
    key=("cask",),
    partition="pub",
)
TABLES = [TableDescription(contract, "reviews", "A table.") for contract in (BEERS, CASKS, TRAINING_PAIRS)]


def publish(warehouse: Warehouse, abv: list[float], seconds: float = 0.0) -> None:
    rows = BEERS.table_of(beer=range(len(abv)), abv=abv, seconds=[seconds] * len(abv))
    warehouse.publish(BEERS, rows, since=warehouse.head("beers"), always_commit=True)


def found(warehouse: Warehouse) -> dict[str, TableChange]:
    return changes_of(warehouse, TABLES, states_of(warehouse, TABLES)[0])


def test_a_first_version_has_nothing_to_be_compared_with(warehouse):
    publish(warehouse, [5.0])
    assert found(warehouse) == {}


def test_the_newest_version_is_compared_with_the_one_before(warehouse):
    publish(warehouse, [1.0])
    publish(warehouse, [5.0, 6.0, 7.0], seconds=1.0)
    publish(warehouse, [5.0, 6.5], seconds=2.0)
    change = found(warehouse)["beers"]
    assert (change.old, change.new, change.rows_before, change.rows_after) == (1, 2, 3, 2)
    difference = change.difference
    assert (difference.rows_added, difference.rows_gone, difference.rows_changed) == (0, 1, 1)
    assert [(each.column, each.rows, each.largest_difference) for each in difference.columns_changed] == [
        ("abv", 1, 0.5)
    ]
    assert change.volatile == ("seconds",)


def test_the_bar_has_all_rows_by_kind(warehouse):
    publish_changes(warehouse)
    total = SAME + CHANGED + ADDED + GONE
    bar = list(found(warehouse)["training_pairs"].bar)
    assert [(kind, round(length * total, 6)) for kind, _, length in bar] == [
        ("same", SAME), ("changed", CHANGED), ("added", ADDED), ("gone", GONE)
    ]  # fmt: skip
    starts = [start for _, start, _ in bar]
    assert starts == sorted(starts)
    assert bar[-1][1] + bar[-1][2] == pytest.approx(1)


def test_the_newest_tables_come_first(warehouse):
    publish_changes(warehouse)
    for abv in (5.0, 6.0):
        publish(warehouse, [abv])
    assert list(found(warehouse)) == ["beers", "training_pairs"]


def test_of_a_new_batch_the_others_are_not_read(warehouse, monkeypatch):
    monkeypatch.setattr(changes_module, "MAX_COMPARED_ROWS", 10)
    for pub, casks in (("a", 100), ("b", 5)):
        rows = CASKS.table_of(pub=[pub] * casks, cask=range(casks))
        warehouse.publish(CASKS, rows, since=warehouse.head("casks"), partition=pub)
    change = found(warehouse)["casks"]
    assert (change.rows_before, change.rows_after, change.difference.rows_added) == (100, 105, 5)


@pytest.mark.parametrize(("limit", "most"), [("MAX_COMPARED_ROWS", 2), ("MAX_COMPARED_BYTES", 10), ("MAX_BYTES", 10)])
def test_versions_that_are_too_large_are_not_compared(warehouse, monkeypatch, limit, most):
    publish(warehouse, [5.0, 6.0, 7.0])
    publish(warehouse, [5.0, 6.0])
    monkeypatch.setattr(changes_module, limit, most)
    change = found(warehouse)["beers"]
    assert (change.rows_before, change.rows_after, change.difference, list(change.bar)) == (3, 2, None, [])
    pages = build_pages(warehouse, TABLES)
    assert b"taproom diff beers 0 1" in pages["tables/beers.html"]
    assert b"Too large to be compared here." in pages["changes.html"]


def test_a_version_before_that_is_damaged_is_said_to_be(warehouse):
    publish(warehouse, [5.0, 6.0, 7.0])
    publish(warehouse, [5.0, 6.0])
    (file,) = warehouse.files("beers", 0)
    Path(warehouse.uri("beers"), file.path).unlink()
    change = found(warehouse)["beers"]
    assert (change.rows_before, change.difference) == (None, None)
    pages = build_pages(warehouse, TABLES)
    assert b"The version before, 0, cannot be read" in pages["tables/beers.html"]
    assert b"The version before cannot be read." in pages["changes.html"]


def test_equal_files_count_where_the_columns_differ(warehouse, monkeypatch):
    old = Contract(
        "casks", "a cask", CASKS.columns, key=("cask",), partition="pub",
    )  # fmt: skip
    for pub, casks in (("a", 100), ("b", 5)):
        warehouse.publish(
            old, old.table_of(pub=[pub] * casks, cask=range(casks)), since=warehouse.head("casks"), partition=pub
        )
    more = (*CASKS.columns, Column("litres", pa.float64(), "its size", nullable=True))
    new = Contract("casks", "a cask", more, key=("cask",), partition="pub")
    rows = new.table_of(pub=["b"] * 5, cask=range(5), litres=[9.0] * 5)
    warehouse.publish(new, rows, since=warehouse.head("casks"), partition="b")
    monkeypatch.setattr(changes_module, "MAX_COMPARED_ROWS", 10)
    assert found(warehouse)["casks"].difference is None


def test_versions_with_other_keys_are_said_to_be_incomparable(warehouse):
    twice = Contract("beers", "a beer", BEERS.columns, key=("beer", "abv"))
    warehouse.publish(twice, twice.table_of(beer=[1, 1], abv=[5.0, 6.0], seconds=[0.0, 0.0]), since=None)
    publish(warehouse, [5.0])
    change = found(warehouse)["beers"]
    assert (change.rows_before, change.difference, change.is_comparable) == (2, None, False)
    pages = build_pages(warehouse, TABLES)
    assert b"cannot be compared by the" in pages["tables/beers.html"]
    assert b"They cannot be compared by the present key." in pages["changes.html"]


def test_equal_rows_are_no_difference(warehouse):
    for seconds in (1.0, 2.0):
        publish(warehouse, [5.0], seconds)
    assert found(warehouse)["beers"].difference.is_empty
    assert b"<strong>no difference</strong> in 1 rows" in build_pages(warehouse, TABLES)["tables/beers.html"]


def test_columns_that_came_and_went_are_on_the_page(warehouse):
    old = Contract("beers", "a beer", (*BEERS.columns[:1], Column("abv", pa.string(), "alcohol")), key=("beer",))
    warehouse.publish(old, old.table_of(beer=[1], abv=["5"]), since=None)
    publish(warehouse, [5.0])
    pages = build_pages(warehouse, TABLES)
    assert b"The column <code>seconds</code> (double) was added." in pages["tables/beers.html"]
    assert b"The type of <code>abv</code> was string and is double" in pages["tables/beers.html"]
    assert b"abv has another type" in pages["changes.html"]


def test_the_first_rows_are_shown(warehouse):
    publish_changes(warehouse)
    difference = found(warehouse)["training_pairs"].difference
    assert [row["document_id"] for row in difference.first_added] == [f"added {row}" for row in range(ADDED)]
    assert [row["document_id"] for row in difference.first_gone] == [f"gone {row}" for row in range(GONE)]
    assert len(difference.first_changed) == FIRST_ROWS


def test_without_tables_the_page_says_how_to_make_them(warehouse):
    assert b"Not made yet" in build_pages(warehouse, TABLES)["changes.html"]
