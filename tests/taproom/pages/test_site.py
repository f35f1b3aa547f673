"""All pages as files."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assets.reviews.item_map import ITEM_MAP
from assets.reviews.tfidf import TFIDF
from assets.text.word_map import CONTRACT as WORD_MAP
from taproom.pages.libraries import LIBRARIES
from taproom.pages.site import FOLDER, build_pages, write_pages
from taproom.pages.tables import Check, Failure, TableDescription
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse
from tests.shown_tables import HOSTILE, publish, publish_map, publish_words

FAILED = Check(HOSTILE[0], HOSTILE[1], passed=False)
TABLES = (
    TableDescription(
        ITEM_MAP, "reviews", "The map.", inputs=("word_map",), checks=(Check(HOSTILE[0], HOSTILE[1], False),)
    ),
    TableDescription(WORD_MAP, "text", "The map of words."),
)


@pytest.fixture
def shown(warehouse: Warehouse) -> Warehouse:
    publish_map(warehouse)
    publish_words(warehouse)
    return warehouse


@pytest.mark.slow
def test_the_same_versions_give_the_same_bytes(shown):
    assert build_pages(shown, TABLES) == build_pages(shown, TABLES[::-1])


def test_pages_have_nothing_of_those_that_were_built_before(shown, tmp_path):
    empty = Warehouse(tmp_path / "empty")
    before = build_pages(empty, TABLES[:1])
    build_pages(shown, TABLES)
    assert build_pages(empty, TABLES[:1]) == before


def test_nothing_local_goes_in(shown, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a very secret key")
    settings = {"path": f"{shown.root}/reviews.csv", "url": "s3://key:password@host/reviews.csv"}
    origin = Origin(config=settings, inputs=dict.fromkeys(("items", "neighbors", "tfidf", "vocabulary"), 0))
    shown.publish(ITEM_MAP, shown.read("item_map").slice(0, 60), since=0, origin=origin, always_commit=True)
    pages = build_pages(shown, TABLES)
    everything = b"\n".join(content for path, content in pages.items() if not path.startswith("libraries/"))
    assert "…/reviews.csv".encode() in pages["tables/item_map.html"]
    secrets = ["a very secret key", "password", shown.root, str(Path.home()), str(Path.cwd())]
    assert [secret for secret in secrets if secret.encode() in everything] == []


def test_texts_are_escaped(shown):
    pages = build_pages(shown, TABLES)
    for path, content in pages.items():
        if path.endswith(".html"):
            scripts = re.findall(rb"<script[^>]*>", content)
            assert all(b"src=" in tag for tag in scripts)
            assert b'onerror="' not in content
    assert b"&lt;script&gt;" in pages["tables/item_map.html"]
    assert b"&lt;script&gt;" in pages["index.html"]


def test_every_page_has_a_policy_that_allows_only_its_own_files(shown):
    for path, content in build_pages(shown, TABLES).items():
        if path.endswith(".html"):
            assert b"default-src 'none'; script-src 'self'; style-src 'self';" in content
            assert not re.search(rb"(src|href)=\"(https?:)?//", content)


def test_libraries_have_their_licences_beside_them(shown):
    pages = build_pages(shown, ())
    names = {name for files in LIBRARIES.values() for name in files.values()}
    assert {path for path in pages if path.startswith("libraries/")} == {f"libraries/{name}" for name in names}
    assert b"sourceMappingURL" not in pages["libraries/minisearch.js"]
    assert b"Permission is hereby granted" in pages["libraries/deck.gl.LICENSE.txt"]


def test_pages_say_what_a_table_is_made_from_and_used_by(shown):
    pages = build_pages(shown, TABLES)
    assert b'data-start="word_map" data-end="item_map"' in pages["tables/item_map.html"]
    assert b'<a href="../tables/word_map.html"' in pages["tables/item_map.html"]
    assert b'<a href="../tables/item_map.html"' in pages["tables/word_map.html"]
    assert b'<a href="../tables/items.html#item_name"><code>items.item_name</code></a>' in pages["tables/item_map.html"]


@pytest.mark.slow
def test_files_of_earlier_pages_are_deleted_and_tables_stay(shown):
    tables = shown.tables()
    write_pages(shown, TABLES)
    first = sorted(shown.storage.names(f"{FOLDER}/tables"))
    write_pages(shown, TABLES[:1])
    assert first == ["item_map.html", "word_map.html"]
    assert sorted(shown.storage.names(f"{FOLDER}/tables")) == ["item_map.html"]
    assert shown.tables() == tables


def test_a_damaged_table_is_said_to_be_damaged(shown):
    (data,) = Path(shown.root, "item_map").glob("*.parquet")
    data.write_bytes(data.read_bytes()[:-1] + b"!")
    pages = build_pages(shown, TABLES)
    assert b"Damaged" in pages["map.html"]
    assert b"Damaged" in pages["tables/item_map.html"]
    assert b"is damaged; see" in pages["index.html"]
    assert b"data/map.js" not in pages["map.html"]


def test_a_run_that_failed_is_shown_once_with_its_tables_and_without_paths(shown):
    reason = "/home/me/beers.csv has no column 'text'; see s3://key:secret@host/beers.csv\nTraceback"
    failure = Failure("0123456789", datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "items", reason)
    pages = build_pages(shown, [replace(table, failure=failure) for table in TABLES])
    home = pages["index.html"].decode()
    assert home.count("The run <code>01234567</code> failed at <time>2026-01-02 03:04 UTC</time>") == 1
    assert (
        "in the step <code>items</code>: <bdi>…/beers.csv has no column &#39;text&#39;; see …/beers.csv</bdi>" in home
    )
    page = pages["tables/item_map.html"].decode()
    assert "Shown is version 0, the last good one." in page
    assert [word for word in ("home/me", "secret", "Traceback") if word in home + page] == []


def test_a_check_that_did_not_pass_says_what_it_found_without_paths(shown):
    check = Check(
        "few_rejected", "Few rows are rejected.", passed=False, found="40 % of '/home/me/beers.csv' <b>\nmore"
    )
    pages = build_pages(shown, [replace(table, checks=(check,)) for table in TABLES])
    said = b"did not pass: <bdi>40 % of &#39;\xe2\x80\xa6/beers.csv&#39; &lt;b&gt;</bdi>"
    assert said in pages["index.html"]
    assert said in pages["tables/item_map.html"]


def test_data_on_demand_that_cannot_be_made_say_why_without_local_names(shown):
    rows = shown.read("tfidf").to_pydict()
    rows["weights"] = [[1.5 * weight for weight in weights] for weights in rows["weights"]]  # of no whole counts
    publish(shown, TFIDF, rows)
    origin = Origin(inputs={"items": 0, "neighbors": 0, "tfidf": 1, "vocabulary": 0})
    shown.publish(ITEM_MAP, shown.read("item_map"), since=0, origin=origin, always_commit=True)
    script = build_pages(shown, TABLES)["data/map_bags.js"].decode()
    assert "unavailable" in script
    assert "make doctor" in script
    assert shown.root not in script
