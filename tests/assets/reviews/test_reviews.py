import gzip

import dagster as dg
import pytest

from assets.reviews.reviews import BATCHES, ReviewsConfig, ReviewSource, batch_of, embedded_batch, reviews
from pipelines.definitions import defs
from pipelines.records import newest_materialization
from taproom.errors import CollectionError, SourceError
from taproom.sources.inbox import file_key, file_sha256


@pytest.fixture
def good_csv(write_csv, themed_reviews):
    return write_csv("good.csv", themed_reviews(items=6))


def metadata_of(instance, table: str) -> dict:
    told = newest_materialization(instance, dg.AssetKey(table)).asset_materialization.metadata
    return {name: entry.value for name, entry in told.items()}


def test_the_asset_called_directly_gives_reviews_rejected_rows_and_a_check(good_csv):
    config = ReviewsConfig(source=ReviewSource.table, path=str(good_csv), collection="beers")
    context = dg.build_asset_context(partition_key=batch_of(config))
    outputs = reviews(context, config)
    read = next(outputs)
    assert read.output_name == "reviews"
    assert read.value.rows.read_all()["item_id"].to_pylist()[::3] == [f"item {item:03d}" for item in range(6)]
    rejected, check, *others, listed = outputs
    assert {other.check_name for other in others if other.passed} == {
        "few_repeated",
        "little_mojibake",
        "one_score_scale",
    }
    assert rejected.value.rows.num_rows == 0
    assert listed.passed
    assert read.value.final_metadata()["rows_kept"] == 18
    assert check.passed


def test_a_file_becomes_a_partition_of_reviews(good_csv, ingest, warehouse, instance):
    assert ingest(good_csv, collection="beers").success
    batch = file_key("good.csv", file_sha256(good_csv))
    table = warehouse.read("reviews")
    assert warehouse.partitions("reviews") == [batch]
    assert set(table["batch"].to_pylist()) == {batch}
    assert set(table["collection"].to_pylist()) == {"beers"}
    assert len(table) == 18
    first = table.slice(0, 1).to_pylist()[0]
    assert (first["review_id"], first["item_name"], first["category"], first["overall"]) == (
        "r0-0", "item 000", "hoppy", 1.0,
    )  # fmt: skip
    told = metadata_of(instance, "reviews")
    assert (told["rows_read"], told["rows_kept"], told["empty_text"]) == (18, 18, 0)
    assert len(warehouse.read("rejected_reviews")) == 0


def test_columns_are_mapped(tmp_path, ingest, warehouse):
    path = tmp_path / "mapped.jsonl"
    path.write_text('{"beer": "Ale", "body": "good ale", "abv": "5.2", "aroma": 4, "when": "2012-01-31"}\n')
    columns = {
        "item_name": "beer", "text": "body", "time": "when", "attributes.abv_percent": "abv", "scores.aroma": "aroma"
    }  # fmt: skip
    ingest(path, columns=columns)
    (row,) = warehouse.read("reviews").to_pylist()
    assert row["item_id"] == row["item_name"] == "Ale"
    assert row["attributes"] == [("abv_percent", "5.2")]
    assert row["scores"] == [("aroma", 4.0)]
    assert row["time"].isoformat() == "2012-01-31T00:00:00+00:00"


BEERS = """\
beer/name: Kölsch &#40;fresh&#41;
beer/beerId: 7
beer/brewerId: 12
beer/ABV: 4.8
beer/style: Kölsch
review/aroma: 6/10
review/overall: 13/20
review/time: 1157587200
review/profileName: mia
review/text: Grassy.\tLight.

beer/name: Früli
beer/beerId: 8
beer/ABV: -
review/overall: often
review/text: Strawberries

beer/name: Stout
beer/beerId: 9
review/text: Coffee
"""


def test_a_dump_of_beer_reviews_becomes_a_partition(tmp_path, ingest, warehouse, instance):
    path = tmp_path / "ratebeer.txt.gz"
    path.write_bytes(gzip.compress(BEERS.encode("latin-1")))
    ingest(path, source="beer_text", encoding="latin-1")
    kolsch, fruli, stout = warehouse.read("reviews").to_pylist()
    assert warehouse.partitions("reviews") == [file_key(path.name, file_sha256(path))]
    assert (kolsch["collection"], kolsch["item_id"], kolsch["item_name"]) == ("beer_text", "7", "Kölsch (fresh)")
    assert (kolsch["overall"], kolsch["scores"]) == (13.0, [("aroma", 6.0)])
    assert kolsch["attributes"] == [("abv_percent", "4.8"), ("brewer_id", "12")]
    assert (fruli["overall"], stout["item_id"], stout["text"]) == (None, "9", "Coffee")
    told = metadata_of(instance, "reviews")
    assert (told["rows_read"], told["bad_score"], told["encoding"]) == (3, 1, "latin-1")
    assert told["score_scale"] == {"overall": [20.0], "scores.aroma": [10.0]}
    assert told["notes"] == ["1 value was left out as bad_score (line 12: overall is 'often')"]


def test_in_a_dump_too_columns_are_mapped(tmp_path, ingest, warehouse):
    path = tmp_path / "beeradvocate.json"
    path.write_text("{'beer/beerId': '7', 'beer/name': 'Ale', 'review/text': 'good', 'review/overall': 4.5}\n")
    ingest(path, source="beer_text", columns={"item_id": "beer/name"}, collection="beers")
    (row,) = warehouse.read("reviews").to_pylist()
    assert (row["item_id"], row["overall"], row["collection"]) == ("Ale", 4.5, "beers")


def test_bad_rows_are_set_aside_with_line_and_reason(tmp_path, ingest, warehouse, instance):
    path = tmp_path / "mixed.csv"
    path.write_bytes(
        b"review_id,item_id,overall,text\n"
        b"a,Ale,4,citrus pine\n"
        b"b,Ale,much,resin\n"
        b"c,Ale,3,\n"
        b"a,Ale,3,the same id again\n"
        b"d,Ale,3,caf\xe9\n"
        b"e,Ale,3,nul\x00byte\n"
        b"f,,3,no item\n"
        b"g,Stout,5,coffee\n"
    )
    result = ingest(path, max_rejected_share=1, encoding="utf-8")
    rejected = warehouse.read("rejected_reviews").to_pylist()
    assert [(row["line"], row["reason"]) for row in rejected] == [
        (4, "empty_text"), (6, "wrong_encoding"), (7, "nul_byte"), (8, "no_item"),
    ]  # fmt: skip
    assert {row["file"] for row in rejected} == {"mixed.csv"}
    assert warehouse.read("reviews")["text"].to_pylist() == [
        "citrus pine", "resin", "the same id again", "coffee"
    ]  # fmt: skip
    told = metadata_of(instance, "reviews")
    assert (told["rows_read"], told["rows_kept"], told["bad_score"]) == (8, 4, 1)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert set(checks) == {
        "few_rejected",
        "few_repeated",
        "little_mojibake",
        "one_score_scale",
        "every_rejection_is_listed",
        "items_have_words",
        "few_long_words",
        "usual_version",
    }
    check = checks["few_rejected"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["rejected_share"].value == 0.5


HEADER = b"review_id,item_id,category,overall,text\n"
UNREADABLE = [
    ("empty.csv", b"", "empty"),
    ("header_only.csv", HEADER, "has no rows"),
    ("missing_column.csv", b"review_id,item_id\na,Ale\n", "text", "Its columns"),
    ("truncated.csv.gz", gzip.compress(HEADER + b"a,Ale,x,1,words and words\n" * 5000)[:-40], "truncated.csv.gz"),
    ("not_gzip.csv.gz", HEADER + b"a,Ale,x,1,words\n", "not_gzip.csv.gz"),
    ("no_good_row.csv", HEADER + b"a,Ale,x,1,\nb,Ale,x,1, \n", "none of its 2 rows", "empty_text 2"),
    ("unknown_format.docx", b"PK", "docx"),
]  # fmt: skip
NO_DUMPS = [
    ("truncated.txt.gz", gzip.compress(BEERS.encode() * 5000)[:-40], "truncated.txt.gz"),
    ("table.csv", HEADER + b"a,Ale,x,1,words\n", "none of its 1 rows", "is not a field of a beer review"),
]


def test_a_file_that_cannot_be_read_is_refused_and_the_tables_stay(good_csv, ingest, warehouse, tmp_path, subtests):
    ingest(good_csv)
    before = {table: (warehouse.head(table), warehouse.read(table)) for table in warehouse.tables()}
    cases = [("table", *case) for case in UNREADABLE] + [("beer_text", *case) for case in NO_DUMPS]
    for source, name, content, *said in cases:
        with subtests.test(name):
            path = tmp_path / name
            path.write_bytes(content)
            with pytest.raises(SourceError) as refused:
                ingest(path, source=source)
            assert all(word in str(refused.value) for word in said), str(refused.value)
            assert {table: (warehouse.head(table), warehouse.read(table)) for table in warehouse.tables()} == before


def test_a_batch_of_which_too_much_is_rejected_is_refused_and_nothing_published(tmp_path, ingest, warehouse):
    path = tmp_path / "bad.csv"
    path.write_text("item_id,text\n" + "".join(f"1,good {n}\n" for n in range(8)) + "2\n")
    with pytest.raises(SourceError, match=r"`max_rejected_share`, 10\.0%.*line 10 \(unreadable: .*'2'"):
        ingest(path)
    assert warehouse.tables() == []
    ingest(path, max_rejected_share=0.2)
    assert len(warehouse.read("reviews")) == 8


def test_how_a_file_is_written_can_be_said(tmp_path, ingest, warehouse, instance):
    path = tmp_path / "said.dat"
    path.write_bytes("item_id#text#time\n1#'Fr\u00fcli <b>#05/06/2009\n".encode("cp1250"))
    ingest(path, format="csv", delimiter="#", quoting="none", encoding="cp1250", date_order="dmy", html="keep")
    (row,) = warehouse.read("reviews").to_pylist()
    assert (row["text"], row["time"].month) == ("'Früli <b>", 6)
    told = metadata_of(instance, "reviews")
    assert (told["delimiter"], told["quoting"], told["encoding"]) == ("#", "none", "cp1250")
    with pytest.raises(SourceError, match=r"`html` is 'strip'. Wanted: auto, keep"):
        ingest(path, format="csv", html="strip")


def test_a_batch_that_is_not_the_files_is_refused(good_csv, ingest, warehouse):
    with pytest.raises(SourceError, match=r"is the batch 'good.csv-\w{8}', 'other.csv-00000000' was wanted"):
        ingest(good_csv, batch="other.csv-00000000")
    assert warehouse.tables() == []


def test_a_batch_key_with_a_way_out_of_the_folder_is_refused(good_csv, ingest, warehouse):
    with pytest.raises(SourceError, match=r"'\.\./\.\./good.csv' was wanted"):
        ingest(good_csv, batch="../../good.csv")
    assert warehouse.tables() == []


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SourceError, match="there is no file"):
        batch_of(ReviewsConfig(source=ReviewSource.table, path=str(tmp_path / "missing.csv")))


def test_the_embedded_source_reads_only_its_own_batch(warehouse, instance):
    assert batch_of(ReviewsConfig()) == embedded_batch()
    instance.add_dynamic_partitions(BATCHES.name, ["mine.csv-12345678"])
    with pytest.raises(SourceError, match="set `source: table`"):
        defs.resolve_job_def("ingest_reviews").execute_in_process(instance=instance, partition_key="mine.csv-12345678")


def test_without_a_path_the_inbox_has_the_file(good_csv, ingest, inbox, warehouse):
    dropped = inbox / "good.csv"
    dropped.write_bytes(good_csv.read_bytes())
    batch = file_key("good.csv", file_sha256(dropped))
    ingest(good_csv, batch=batch, path="")
    assert len(warehouse.read("reviews")) == 18
    dropped.unlink()
    with pytest.raises(SourceError, match="Drop it in again"):
        ingest(good_csv, batch=batch, path="")


def test_another_collection_is_refused_by_name_with_the_way_out(good_csv, write_csv, ingest, warehouse, themed_reviews):
    ingest(good_csv, collection="beers")
    films = write_csv("films.csv", themed_reviews(items=3))
    with pytest.raises(CollectionError, match=r"holds the collection 'beers', and 'films'.*TAPROOM_WAREHOUSE"):
        ingest(films, collection="films")
    assert set(warehouse.read("reviews")["collection"].to_pylist()) == {"beers"}
    assert len(warehouse.partitions("reviews")) == 1


def test_the_same_batch_again_changes_nothing(good_csv, ingest, warehouse):
    ingest(good_csv)
    heads = warehouse.heads()
    ingest(good_csv)
    assert warehouse.heads() == heads


@pytest.mark.parametrize(("most", "unlisted"), [(3, 0), (2, 1)])
def test_rejected_rows_that_are_not_listed_are_warned_of(tmp_path, monkeypatch, most, unlisted):
    monkeypatch.setattr("taproom.sources.rejected_rows.MAX_REJECTED_ROWS", most)
    (tmp_path / "blank.csv").write_bytes(HEADER + b"a,Ale,x,3,hops\nb,Ale,x,3,\nc,Ale,x,3,\nd,Ale,x,3,\n")
    config = ReviewsConfig(source=ReviewSource.table, path=str(tmp_path / "blank.csv"), max_rejected_share=1)
    outputs = reviews(dg.build_asset_context(partition_key=batch_of(config)), config)
    next(outputs).value.rows.read_all()
    *_, check = outputs
    assert (check.check_name, check.passed) == ("every_rejection_is_listed", not unlisted)
    assert check.metadata["rows_not_listed"].value == unlisted


def test_a_batch_has_a_figure_from_so_many_rows_on(good_csv, ingest, instance, monkeypatch):
    tables = ["reviews", "rejected_reviews", "term_counts"]

    def tables_with_a_figure() -> list[str]:
        newest = {table: instance.get_latest_materialization_event(dg.AssetKey(table)) for table in tables}
        return [table for table, event in newest.items() if "figure" in event.asset_materialization.metadata]

    ingest(good_csv)
    assert tables_with_a_figure() == []
    monkeypatch.setattr("assets.reviews.reviews.ROWS_DRAWN", 1)
    monkeypatch.setattr("assets.reviews.term_counts.TOKENS_DRAWN", 1)
    ingest(good_csv)
    assert tables_with_a_figure() == tables
