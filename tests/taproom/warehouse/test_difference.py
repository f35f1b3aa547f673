import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taproom.errors import DamagedFileError, InputError, StorageError, UnknownTableError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.difference import changes, diff
from taproom.warehouse.warehouse import Warehouse
from tests.taproom.warehouse.tables import MAIL, NOTES, flip, ids, mail, notes, reader

BEERS = Contract(
    "beers",
    "a beer in a pub",
    (
        Column("pub", pa.string(), "the pub", nullable=True),
        Column("beer", pa.int64(), "the beer"),
        Column("abv", pa.float64(), "alcohol", nullable=True),
        Column("style", pa.string(), "style", nullable=True),
        Column("ratings", pa.list_(pa.float32()), "ratings", nullable=True),
        Column("barrels", pa.int64(), "barrels"),
    ),
    key=("pub", "beer"),
    may_be_empty=True,
)
FLOATS = st.sampled_from([0.0, -0.0, 1.0, 1.05, -3.5, 1e308, -1e308, math.nan, math.inf, -math.inf, None])


def long_notes(first: int) -> Iterator[pa.RecordBatch]:
    """120,000 notes of 1 kB that do not compress."""
    random = np.random.default_rng(first)
    for start in range(first, first + 120_000, 1000):
        yield pa.record_batch(
            [range(start, start + 1000), [random.bytes(500).hex() for _ in range(1000)]], schema=NOTES.schema
        )


BEER = st.tuples(
    FLOATS,
    st.sampled_from(["", "ale", "stout", None]),
    st.none() | st.lists(FLOATS.filter(lambda x: x is None or not 1e300 < abs(x) < math.inf), max_size=2),
    st.sampled_from([0, 7, 2**63 - 1, -(2**63)]),
)
PUBS = st.dictionaries(st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 3)), BEER, max_size=8)


def beers_of(pubs: dict) -> pa.Table:
    rows = [[*key, *values] for key, values in pubs.items()]
    columns = list(zip(*rows, strict=True)) or [[]] * len(BEERS.columns)
    return BEERS.table_of(**dict(zip(BEERS.schema.names, columns, strict=True)))


def is_equal(old, new, rtol, atol) -> bool:
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(is_equal(*pair, rtol, atol) for pair in zip(old, new, strict=True))
    if isinstance(old, float) and isinstance(new, float):
        with np.errstate(over="ignore"):
            return bool(np.isclose(new, old, rtol=rtol, atol=atol, equal_nan=True))
    return old == new


def distances(old, new):
    if isinstance(old, list) and isinstance(new, list):
        pairs = zip(old, new, strict=True) if len(old) == len(new) else ()
        return [distance for pair in pairs for distance in distances(*pair)]
    if isinstance(old, int | float) and isinstance(new, int | float) and math.isfinite(old) and math.isfinite(new):
        return [float(abs(new - old))]
    return []


def brute_force(before: pa.Table, after: pa.Table, rtol: float, atol: float):
    """The same counts by an outer merge in pandas and a comparison of one value at a time in Python."""
    # Rows are identified by position, because pandas turns values into others when it merges.
    frames = [table.select(["pub", "beer"]).to_pandas().assign(row=range(table.num_rows)) for table in (before, after)]
    frames = [frame.assign(pub=[f"={pub}" if isinstance(pub, str) else "" for pub in frame["pub"]]) for frame in frames]
    merged = frames[0].merge(frames[1], how="outer", on=["pub", "beer"], suffixes=("_old", "_new"), indicator=True)
    counts = merged["_merge"].value_counts()
    old, new = before.to_pylist(), after.to_pylist()
    pairs = [(old[int(i)], new[int(j)]) for i, j in merged[merged["_merge"] == "both"][["row_old", "row_new"]].values]
    columns = {}
    for name in BEERS.schema.names[2:]:
        found = [(o[name], n[name]) for o, n in pairs if not is_equal(o[name], n[name], rtol, atol)]
        if found:
            columns[name] = len(found), max([d for pair in found for d in distances(*pair)], default=None)
    changed = sum(any(not is_equal(o[name], n[name], rtol, atol) for name in o) for o, n in pairs)
    return counts["right_only"], counts["left_only"], changed, columns


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=PUBS, after=PUBS, tolerance=st.sampled_from([(0.0, 0.0), (0.1, 0.0), (0.0, 4.5), (0.01, 0.01)]))
def test_counts_are_those_of_a_merge_in_pandas(tmp_path_factory, before, after, tolerance):
    warehouse = Warehouse(tmp_path_factory.mktemp("pubs"))
    shared = {key: before[key] for key in list(before)[::2]}
    old, new = beers_of(before), beers_of({**after, **shared})
    warehouse.publish(BEERS, old, since=None)
    newest = warehouse.publish(BEERS, new, since=0).version
    rtol, atol = tolerance
    found = diff(warehouse.storage, "beers", 0, newest, rtol=rtol, atol=atol)
    added, gone, changed, columns = brute_force(old, new, rtol, atol)
    assert (found.rows_added, found.rows_gone, found.rows_changed) == (added, gone, changed)
    assert {each.column: (each.rows, each.largest_difference) for each in found.columns_changed} == columns
    assert found.rows_after - found.rows_before == added - gone

    followed = changes(warehouse.storage, "beers", 0, newest)
    current = {(row["pub"], row["beer"]): row for row in old.to_pylist()}
    for row in followed.gone.to_pylist():
        del current[row["pub"], row["beer"]]
    current |= {(row["pub"], row["beer"]): row for row in followed.rows.read_all().to_pylist()}
    wanted = {(row["pub"], row["beer"]): row for row in new.to_pylist()}
    assert current.keys() == wanted.keys()
    assert all(is_equal(current[key][name], row[name], 0, 0) for key, row in wanted.items() for name in row)


@pytest.fixture
def beers(warehouse):
    warehouse.publish(BEERS, beers_of({("a", 1): (5.0, "ale", [1, 2], 3), ("a", 2): (None, "ale", [], 3)}), since=None)
    after = {("a", 1): (5.5, "<b>", [1, 4], 3), (None, 3): (math.nan, "ale", None, 3)}
    warehouse.publish(BEERS, beers_of(after), since=0)
    return warehouse


def test_a_difference_as_text_html_and_json(beers):
    found = diff(beers.storage, "beers", 0)
    assert str(found).splitlines() == [
        "beers: version 0 -> 1, 2 -> 2 rows: 1 added, 1 gone, 1 changed (key: pub, beer)",
        "  abv: 1 rows, by 0.5 at most",
        "  style: 1 rows",
        "  ratings: 1 rows, by 2 at most",
        '  + pub=null, beer=3, abv="NaN", style=ale, ratings=null, barrels=3',
        "  - pub=a, beer=2, abv=null, style=ale, ratings=[], barrels=3",
        "  ~ pub=a, beer=1: abv 5.0 -> 5.5, style ale -> <b>, ratings [1.0, 2.0] -> [1.0, 4.0]",
    ]
    assert "ale → &lt;b&gt;" in found._repr_html_()
    assert "<b>beers" in found._repr_html_()
    as_json = found.to_dict()
    assert as_json["columns_changed"][0] == {"column": "abv", "rows": 1, "largest_difference": 0.5}
    assert as_json["first_added"][0]["abv"] == "NaN"
    assert as_json["first_changed"][0]["columns"]["ratings"] == [[1.0, 2.0], [1.0, 4.0]]
    none = diff(beers.storage, "beers", 1, 1)
    assert none.is_empty
    assert str(none) == "beers: version 1 -> 1, 2 -> 2 rows, no difference"


def test_columns_can_be_ignored_and_few_rows_shown(beers):
    found = diff(beers.storage, "beers", 0, ignore=["abv", "ratings", "style"], first=0)
    assert (found.rows_changed, found.columns_changed, found.first_added) == (0, (), [])
    assert found.rows_added == 1


def test_columns_that_came_went_or_changed_their_type(warehouse):
    def contract(*columns):
        return Contract("notes", "a note", (Column("id", pa.int64(), "number"), *columns), ("id",))

    old = contract(Column("text", pa.string(), "what"), Column("size", pa.int32(), "how long"))
    new = contract(Column("size", pa.int64(), "how long"), Column("ink", pa.string(), "colour"))
    warehouse.publish(old, old.table_of(id=[1, 2], text=["a", "b"], size=[1, 2]), since=None)
    warehouse.publish(new, new.table_of(id=[1, 3], size=[9, 9], ink=["red", "blue"]), since=0)
    found = diff(warehouse.storage, "notes", 0)
    assert found.columns_added == {"ink": "string"}
    assert found.columns_gone == {"text": "string"}
    assert found.types_changed == {"size": ("int32", "int64")}
    assert (found.rows_added, found.rows_gone, found.rows_changed) == (1, 1, 0)
    assert "  type changed: size (int32 -> int64)" in str(found).splitlines()
    followed = changes(warehouse.storage, "notes", 0)
    assert sorted(ids(followed.rows.read_all())) == [1, 3]  # all: each has a new column
    assert followed.gone.to_pydict() == {"id": [2]}


def test_changes_have_the_columns_of_the_contract(warehouse):
    columns = (
        Column("id", pa.int64(), "number"),
        Column("weights", pa.list_(pa.field("item", pa.float32(), nullable=False)), "of words", unit="1"),
        Column("scores", pa.map_(pa.string(), pa.float64()), "by name", nullable=True),
        Column("time", pa.timestamp("us", tz="UTC"), "when", nullable=True),
        Column("pixels", pa.binary(), "of its label"),
    )
    labels = Contract("labels", "one label", columns, ("id",))
    first = labels.table_of(id=[1], weights=[[1]], scores=[None], time=[None], pixels=[b""])
    second = labels.table_of(
        id=[1, 2],
        weights=[[1, 2], []],
        scores=[[("aroma", 4.5)], None],
        time=[datetime(2026, 1, 1, tzinfo=UTC), None],
        pixels=[b"\0\xff", b"x"],
    )
    warehouse.publish(labels, first, since=None)
    warehouse.publish(labels, second, since=0)
    followed = changes(warehouse.storage, "labels", 0)
    assert followed.rows.schema.equals(labels.schema)
    assert followed.rows.read_all().sort_by("id").equals(second)
    assert followed.gone.schema.names == ["id"]
    assert diff(warehouse.storage, "labels", 0).columns_changed[1].column == "scores"


def test_equal_files_are_not_read(warehouse, file_a_batch):
    warehouse.publish(NOTES, reader(notes(*range(6)).to_batches(max_chunksize=2)), since=None)
    after = pa.concat_tables([notes(0, 1), notes(2, 3, text="bock"), notes(4, 5)])
    warehouse.publish(NOTES, reader(after.combine_chunks().to_batches(max_chunksize=2)), since=0)
    equal = Path(warehouse.uri("notes"), warehouse.files("notes")[0].path)
    flip(equal, 10)
    found = diff(warehouse.storage, "notes", 0)
    assert (found.files_compared, found.files_equal, found.rows_changed) == (2, 2, 2)
    assert (found.rows_before, found.rows_after) == (6, 6)


@pytest.mark.usefixtures("file_a_batch")
def test_a_damaged_file_is_named(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)
    warehouse.publish(NOTES, notes(2), since=0)
    flip(Path(warehouse.uri("notes"), warehouse.files("notes", 0)[0].path), 10)
    with pytest.raises(DamagedFileError, match="not those that were committed"):
        diff(warehouse.storage, "notes", 0)


def test_rows_of_partitions_are_matched_within_them(warehouse):
    for batch, number in (("a", 1), ("b", 1), ("c", 1), ("a", 2)):
        warehouse.publish(MAIL, mail(batch, number), since=warehouse.head("mail"), partition=batch)
    found = diff(warehouse.storage, "mail", 2)
    assert found.key == ("batch", "id")
    assert (found.rows_added, found.rows_gone, found.rows_changed, found.files_equal) == (1, 1, 0, 2)
    assert diff(warehouse.storage, "mail", 2, partitions=["b"]).is_empty
    assert ids(changes(warehouse.storage, "mail", 2).rows.read_all()) == [2]


def test_a_key_can_be_given_and_is_checked(warehouse):
    warehouse.publish(MAIL, mail("a", 1), since=None, partition="a")
    warehouse.publish(MAIL, mail("b", 1), since=0, partition="b")
    assert diff(warehouse.storage, "mail", 0, key=["batch"]).rows_added == 1
    with pytest.raises(InputError, match="id is not unique in version 1 of mail"):
        diff(warehouse.storage, "mail", 0, key=["id"])
    with pytest.raises(InputError, match="pub is missing in version 0"):
        diff(warehouse.storage, "mail", 0, key=["pub"])


def test_a_key_that_did_not_identify_the_rows_of_the_old_version_is_refused(warehouse):
    columns = (Column("id", pa.int64(), "number"), Column("page", pa.int64(), "where"))
    by_page, by_id = Contract("notes", "a note", columns, ("id", "page")), Contract("notes", "a note", columns, ("id",))
    warehouse.publish(by_page, by_page.table_of(id=[1, 1], page=[1, 2]), since=None)
    warehouse.publish(by_id, by_id.table_of(id=[1], page=[1]), since=0)
    with pytest.raises(InputError, match="id is not unique in version 0"):
        diff(warehouse.storage, "notes", 0)
    assert diff(warehouse.storage, "notes", 0, key=["id", "page"]).rows_gone == 1


def test_versions_of_older_releases_need_a_key(warehouse, monkeypatch):
    monkeypatch.setattr("taproom.warehouse.difference.key_of", lambda *_: None)
    warehouse.publish(NOTES, notes(1), since=None)
    warehouse.publish(NOTES, notes(1, 2), since=0)
    with pytest.raises(InputError, match="does not record the key"):
        diff(warehouse.storage, "notes", 0)
    assert diff(warehouse.storage, "notes", 0, key=["id"]).rows_added == 1


def test_what_is_asked_for_wrongly_is_refused(warehouse):
    warehouse.publish(NOTES, notes(1), since=None)
    for wrong in ({"rtol": -1}, {"atol": math.inf}, {"rtol": math.nan}, {"first": -1}):
        with pytest.raises(InputError, match="wanted numbers of at least 0"):
            diff(warehouse.storage, "notes", 0, **wrong)
    with pytest.raises(InputError, match=r"no columns \['txt'\] to ignore; it has: id, text"):
        diff(warehouse.storage, "notes", 0, ignore=["txt"])
    with pytest.raises(UnknownTableError, match="version 3 was wanted"):
        diff(warehouse.storage, "notes", 0, 3)
    with pytest.raises(UnknownTableError, match="no table 'beer'"):
        diff(warehouse.storage, "beer", 0)


@pytest.mark.slow
def test_memory_is_bounded_and_too_little_of_it_is_named(warehouse, monkeypatch):
    warehouse.publish(NOTES, reader(long_notes(0)), since=None)
    warehouse.publish(NOTES, reader(long_notes(40_000)), since=0)
    monkeypatch.setattr("taproom.warehouse.difference.MEMORY_LIMIT", "100MB")
    found = diff(warehouse.storage, "notes", 0, first=0)
    assert (found.rows_added, found.rows_gone) == (40_000, 40_000)

    monkeypatch.setattr("taproom.warehouse.difference.MEMORY_LIMIT", "5MB")
    with pytest.raises(StorageError, match=r"could not be compared in .*set TMPDIR"):
        diff(warehouse.storage, "notes", 0, first=0)
