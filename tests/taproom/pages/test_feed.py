"""The feeds of new versions, read as feed readers read them."""

import json
import re
from datetime import datetime
from xml.etree import ElementTree

import pyarrow as pa
import pytest

from taproom.pages.feed import MOST_OF_A_TABLE, feeds, newest_versions
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.publishing import Origin

BEERS = Contract("beers", "a beer", (Column("beer_id", pa.int64(), "the beer"),), key=("beer_id",))
BATCHES = Contract(
    "batches",
    "a beer of a batch",
    (Column("batch", pa.string(), "the batch"), Column("beer_id", pa.int64(), "the beer")),
    key=("batch", "beer_id"),
    partition="batch",
)
ATOM = {"": "http://www.w3.org/2005/Atom"}


def beers(warehouse, *ids: int, **more) -> None:
    warehouse.publish(BEERS, BEERS.table_of(beer_id=list(ids)), since=warehouse.head("beers"), **more)


def batch(warehouse, name: str, *ids: int) -> None:
    rows = BATCHES.table_of(batch=[name] * len(ids), beer_id=list(ids))
    warehouse.publish(BATCHES, rows, since=warehouse.head("batches"), partition=name)


@pytest.fixture
def made(warehouse):
    beers(warehouse, 1, 2)
    batch(warehouse, "a.csv", 1)
    batch(warehouse, "c.csv", 1, 2, 3)
    beers(warehouse, 1, 2, origin=Origin(settings={"k": 3}), always_commit=True)
    beers(warehouse, *range(2000))
    return warehouse


def versions(warehouse):
    return newest_versions(warehouse, warehouse.tables())


def test_versions_with_other_rows_are_listed_newest_first(made):
    assert [(each.table, each.version) for each in versions(made)] == [
        ("beers", 2), ("batches", 1), ("batches", 0), ("beers", 0),
    ]  # fmt: skip
    assert [each.text for each in versions(made)] == [
        "beers has version 2: 2,000 rows.",
        "batches has version 1: 3 rows of c.csv.",
        "batches has version 0: 1 rows of a.csv.",
        "beers has version 0: 2 rows.",
    ]


def test_the_json_feed_is_one_of_version_1_1(made):
    feed = json.loads(feeds(versions(made))["feed.json"])
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["title"]
    assert len({item["id"] for item in feed["items"]}) == 4
    for item, version in zip(feed["items"], versions(made), strict=True):
        assert (item["title"], item["content_text"]) == (version.title, version.text)
        assert datetime.fromisoformat(item["date_published"]) == version.time.replace(microsecond=0)
        assert "url" not in item
    with_links = json.loads(feeds(versions(made), "https://taproom.example/pages")["feed.json"])
    assert with_links["feed_url"] == "https://taproom.example/pages/feed.json"
    assert with_links["items"][0]["url"] == "https://taproom.example/pages/tables/beers.html"


@pytest.mark.parametrize("base", [None, "https://taproom.example"])
def test_the_atom_feed_has_what_the_standard_demands(made, base):
    feed = ElementTree.fromstring(feeds(versions(made), base)["feed.xml"])
    assert feed.tag == "{http://www.w3.org/2005/Atom}feed"
    assert feed.find("author/name", ATOM).text
    entries = feed.findall("entry", ATOM)
    assert len(entries) == 4
    for element in (feed, *entries):
        for once in ("id", "title", "updated"):
            (found,) = element.findall(once, ATOM)
            assert found.text
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", element.find("id", ATOM).text)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", element.find("updated", ATOM).text)
    assert len({element.find("id", ATOM).text for element in (feed, *entries)}) == 5
    links = {link.get("rel"): link.get("href") for link in feed.findall("link", ATOM)}
    prefix = f"{base}/" if base else ""
    assert links == {"self": f"{prefix}feed.xml", "alternate": f"{prefix}index.html"}
    assert entries[0].find("link", ATOM).get("href") == f"{prefix}tables/beers.html"
    assert entries[2].find("content", ATOM).text == "batches has version 0: 1 rows of a.csv."


def test_the_same_versions_give_the_same_bytes_and_a_version_keeps_its_id(made):
    before = versions(made)
    assert feeds(before) == feeds(versions(made))
    beers(made, 7)
    assert [each.id for each in versions(made)][1:] == [each.id for each in before]


def test_a_removed_batch_is_a_version(made):
    made.remove(BATCHES, "c.csv", since=1, origin=Origin(config={"removed_batch": "c.csv"}))
    assert versions(made)[0].text == "batches has version 2: 0 rows of c.csv."


def test_a_table_of_many_versions_does_not_fill_the_feed(warehouse):
    for number in range(MOST_OF_A_TABLE + 3):
        beers(warehouse, number)
    assert [each.version for each in versions(warehouse)] == list(range(12, 2, -1))


def test_feeds_without_versions_are_valid():
    assert json.loads(feeds([])["feed.json"])["items"] == []
    assert ElementTree.fromstring(feeds([])["feed.xml"]).find("updated", ATOM).text == "1970-01-01T00:00:00+00:00"
