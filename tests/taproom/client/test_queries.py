import pyarrow as pa
import pytest

import taproom
from taproom.errors import InputError, UnknownTableError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.warehouse import Warehouse

BEERS = Contract(
    "beers",
    "one beer",
    (Column("beer", pa.string(), "name"), Column("ratings", pa.list_(pa.int32()), "one a review")),
    key=("beer",),
)


@pytest.fixture
def reader(tmp_path):
    warehouse = Warehouse(tmp_path)
    warehouse.publish(BEERS, BEERS.table_of(beer=["ale"], ratings=[[1, 2]]), since=None)
    warehouse.publish(BEERS, BEERS.table_of(beer=["ale", "bock"], ratings=[[1, 2], [3]]), since=0)
    return taproom.open(tmp_path)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select beer, len(ratings) as n from beers order by beer", [("ale", 2), ("bock", 1)]),
        ("from BEERS select beer where beer = 'bock'", [("bock",)]),
        ('select new.beer from beers new anti join "beers@0" old using (beer)', [("bock",)]),
        ("with ales as (select * from beers where beer = 'ale') select count(*) from ales", [(1,)]),
        ("select count(*) from beers a join beers b on a.beer <> b.beer", [(2,)]),
        ("select (select max(beer) from beers)", [("bock",)]),
        ("values (1)", [(1,)]),
    ],
)
def test_tables_are_queried(reader, query, rows):
    assert [tuple(row.values()) for row in reader.sql(query).to_pylist()] == rows


def test_versions_are_given_beside_the_query(reader):
    assert reader.sql("select count(*) as n from beers", versions={"beers": 0}).to_pylist() == [{"n": 1}]
    with pytest.raises(UnknownTableError, match="versions 0 to 1; version 5"):
        reader.sql('from "beers@5"')
    with pytest.raises(InputError, match="version '0' was given"):
        reader.sql("from beers", versions={"beers": "0"})
    with pytest.raises(UnknownTableError, match="did you mean 'beers'"):
        reader.sql("from beers", versions={"beer": 0})


@pytest.mark.parametrize(
    "query",
    [
        "drop table beers", "create table other as from beers", "insert into beers values ('x')", "delete from beers",
        "copy beers to 'out.csv'", "attach 'other.db'", "install httpfs", "set threads = 1", "pragma version",
        "select 1; select 2", "select 1; drop table beers", "", "selec",
    ],
)  # fmt: skip
def test_what_is_not_one_query_is_refused(reader, query):
    with pytest.raises(InputError, match="One SELECT statement was wanted; tables can only be read"):
        reader.sql(query)


def test_the_reason_is_in_words_for_readers(reader):
    with pytest.raises(InputError, match=r"tables can only be read\.$"):
        reader.sql("delete from beers")
    with pytest.raises(InputError, match=r'near "@"\. A table at a version is quoted, as "items@3"\.$'):
        reader.sql("select * from beers@0")


def test_a_query_is_a_text(reader):
    with pytest.raises(InputError, match="The query None is no text"):
        reader.sql(None)


def test_files_and_variables_of_the_program_are_out_of_reach(reader, tmp_path):
    (tmp_path / "secret.csv").write_text("word\nhush\n")
    local = pa.table({"word": ["hush"]})
    for query in ("from read_csv('{}')", "from read_text('{}')", "from glob('{}')"):
        with pytest.raises(InputError, match="Permission Error"):
            reader.sql(query.format(tmp_path / "secret.csv"))
    with pytest.raises(UnknownTableError, match="no table 'local'"):
        reader.sql("from local")
    with pytest.raises(UnknownTableError, match="no table"):
        reader.sql(f"from '{tmp_path / 'secret.csv'}'")
    assert len(local) == 1


def test_an_unknown_name_is_refused_and_the_nearest_offered(reader):
    with pytest.raises(UnknownTableError, match="did you mean 'beers'"):
        reader.sql("from beer")
    with pytest.raises(InputError, match=r"(?s)\"bear\" not found.*\"beer\""):
        reader.sql("select bear from beers")
