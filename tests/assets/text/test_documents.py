import logging

import dagster as dg
import pytest

from assets.text.documents import read_at_once
from pipelines.records import newest_materialization
from taproom.errors import CollectionError, SourceError, UnknownTableError
from taproom.sources.fetching import read_sources
from tests.served_sources import served_sources, zipped
from tests.wikipedia_dump import DUMP

TEXT8 = b" " + b" ".join(b"word%d" % number for number in range(25))


def rows(warehouse, *columns):
    return warehouse.read("documents").select(list(columns)).to_pylist()


def test_a_folder_is_a_corpus_with_its_folders_as_labels(corpus_folder, make, warehouse):
    result = make("documents", documents={"source": "files", "path": str(corpus_folder)})
    assert result.success
    found = rows(warehouse, "corpus", "document_id", "label", "split")
    assert len(found) == 80
    assert {row["corpus"] for row in found} == {"themes"}
    assert found[0]["document_id"] == "hoppy/000.txt"
    assert {row["label"] for row in found} == {"hoppy", "roasty", "sour", "malty"}
    assert 5 <= sum(row["split"] == "test" for row in found) <= 30
    assert all(check.passed for check in result.get_asset_check_evaluations())


def test_encodings_are_recognised_and_counted(make, warehouse, instance, tmp_path):
    russian = "палуба остров капитан остров гавань шторм якорь"
    for name, encoding in {"a.txt": "utf-8", "b.txt": "cp1251", "c.txt": "utf-8"}.items():
        (tmp_path / name).write_bytes(russian.encode(encoding))
    make("documents", documents={"source": "files", "path": str(tmp_path)})
    assert rows(warehouse, "text") == [{"text": russian}] * 3
    made = newest_materialization(instance, dg.AssetKey("documents")).asset_materialization
    assert made.metadata["encodings"].value == {"utf-8": 2, "cp1251": 1}


def test_files_that_are_left_out_are_a_warning_in_a_line(make, instance, tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.txt").write_bytes(b"a picture, or\0 a program" if number else b"text")
    result = make("documents", documents={"source": "files", "path": str(tmp_path)})
    (warning,) = [entry.user_message for entry in instance.all_logs(result.run_id) if entry.level == logging.WARNING]
    assert warning.startswith("4 files were left out. The first: ")
    assert [name in warning for name in ("1.txt", "2.txt", "3.txt", "4.txt")] == [True, True, True, False]
    assert "there is a NUL" in warning
    assert "\n" not in warning


def test_another_corpus_is_refused_by_name_and_nothing_is_lost(themes, make, warehouse, tmp_path):
    (tmp_path / "other.txt").write_text("one line\nanother line\n")
    with pytest.raises(CollectionError, match=r"themes.*other\.txt|other\.txt.*themes"):
        make("documents", documents={"source": "files", "path": str(tmp_path / "other.txt")})
    assert len(warehouse.read("documents")) == 80


def test_reviews_are_a_corpus_and_those_in_two_batches_one_document(make, ingest, write_csv, themed_reviews, warehouse):
    reviews = themed_reviews(items=8)
    ingest(write_csv("may.csv", reviews[:20]), collection="beers")
    ingest(write_csv("june.csv", reviews[10:]), collection="beers")
    make("items", "review_batches", "duplicate_reviews")
    make("documents", documents={"source": "reviews"})
    found = rows(warehouse, "document_id", "label", "text")
    assert len(found) == len(reviews)
    assert {row["text"] for row in found} == {review["text"] for review in reviews}
    assert {row["label"] for row in found} == {"hoppy", "roasty", "sour", "malty"}


def test_a_batch_that_was_not_rolled_up_yet_is_no_part_of_the_corpus(
    make, ingest, write_csv, themed_reviews, warehouse
):
    reviews = themed_reviews(items=8)
    ingest(write_csv("may.csv", reviews[:20]), collection="beers")
    make("items", "review_batches", "duplicate_reviews")
    ingest(write_csv("june.csv", reviews[10:]), collection="beers")
    make("documents", documents={"source": "reviews"})
    assert len(warehouse.read("documents")) == 20
    assert set(warehouse.history("documents")[0]["inputs"]) == {"reviews", "duplicate_reviews"}


def test_reviews_that_were_never_read_are_no_corpus(make, warehouse):
    with pytest.raises(UnknownTableError, match="review_batches has not been made"):
        make("documents", documents={"source": "reviews"})
    assert warehouse.head("documents") is None


def test_a_path_without_the_source_that_reads_it_is_refused(make, tmp_path):
    with pytest.raises(SourceError, match="source: files"):
        make("documents", documents={"path": str(tmp_path)})


def test_markup_is_told_and_taken_out_on_demand(make, warehouse, tmp_path):
    (tmp_path / "pages.txt").write_text("<p>a <b>fine</b> ale</p>\n<p>caf&eacute;</p>\n")
    given = {"source": "files", "path": str(tmp_path / "pages.txt")}
    check, *_ = make("documents", documents=given).get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("little_markup", False)
    assert check.severity is dg.AssetCheckSeverity.WARN
    check, *_ = make("documents", documents={**given, "strip_markup": True}).get_asset_check_evaluations()
    assert check.passed
    assert [row["text"].split() for row in rows(warehouse, "text")] == [["a", "fine", "ale"], ["café"]]


def test_text_in_the_wrong_encoding_is_reported_and_repaired_on_demand(make, warehouse, tmp_path):
    (tmp_path / "beers.txt").write_text("KÃ¶lsch\nAltbier\n", encoding="utf-8")
    given = {"source": "files", "path": str(tmp_path / "beers.txt")}
    _, check, *_ = make("documents", documents=given).get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("little_mojibake", False)
    assert rows(warehouse, "text") == [{"text": "KÃ¶lsch"}, {"text": "Altbier"}]
    make("documents", documents={**given, "repair_mojibake": True})
    assert rows(warehouse, "text") == [{"text": "Kölsch"}, {"text": "Altbier"}]


def test_a_changed_file_changes_the_configuration_that_reads_it(tmp_path):
    path = tmp_path / "corpus.txt"
    given = {"source": "files", "path": str(path)}
    path.write_text("one\n")
    before = read_at_once(given)
    assert read_at_once(given) == before
    path.write_text("two\n")
    assert read_at_once(given) != before
    assert read_at_once({}) == {None: {}}


@pytest.mark.parametrize("given", [{"source": "files"}, {"source": "files", "path": "nowhere.txt"}])
def test_a_path_that_is_none_is_refused(given, make):
    with pytest.raises(SourceError, match=r"no path was given|nowhere\.txt"):
        read_at_once(given)
    with pytest.raises(SourceError, match=r"no path was given|nowhere\.txt"):
        make("documents", documents=given)


def test_the_embedded_corpus_is_in_the_list_of_sources():
    assert [name.rpartition("-")[2] for name in read_sources()["newsgroups"].members] == ["train.tab", "test.tab"]


def test_text8_is_fetched_and_cut_into_blocks(make, warehouse, tmp_path):
    with served_sources(tmp_path, {"text8": (zipped("text8", TEXT8), ["text8"])}):
        make("documents", documents={"source": "text8", "block_words": 10})
    found = rows(warehouse, "corpus", "document_id", "split", "text")
    assert [row["document_id"] for row in found] == [f"text8:{number:08}" for number in (1, 2, 3)]
    assert " ".join(row["text"] for row in found) == TEXT8.decode().strip()
    assert {(row["corpus"], row["split"]) for row in found} == {("text8", "training")}


def test_enwik8_is_fetched_and_its_articles_are_documents(make, warehouse, tmp_path):
    with served_sources(tmp_path, {"enwik8": (zipped("enwik8", DUMP), ["enwik8"])}):
        result = make("documents", documents={"source": "enwik8"})
    assert rows(warehouse, "corpus", "document_id") == [
        {"corpus": "enwik8", "document_id": "Ale"},
        {"corpus": "enwik8", "document_id": "2001: A Space Odyssey"},
    ]
    assert all(check.passed for check in result.get_asset_check_evaluations())


@pytest.mark.parametrize(
    ("served", "complaint"),
    [
        (zipped("text8", b"another text"), "is not the file wanted: its SHA-256 is"),
        (zipped("text8", TEXT8)[:-10], "is not the file wanted: its SHA-256 is"),
        (None, r"could not be fetched, and is not in the cache\. Is there a network\? \(404"),
    ],
    ids=["another file", "cut off", "missing"],
)
def test_a_download_that_is_not_the_wanted_file_is_refused_and_says_what_to_do(
    make, warehouse, tmp_path, served, complaint
):
    with served_sources(tmp_path, {"text8": (zipped("text8", TEXT8), ["text8"])}) as folder:
        if served is None:
            (folder / "text8").unlink()
        else:
            (folder / "text8").write_bytes(served)
        with pytest.raises(SourceError, match=rf"{complaint}.* set TAPROOM_SOURCE_TEXT8 to its path"):
            make("documents", documents={"source": "text8"})
    with pytest.raises(UnknownTableError):
        warehouse.read("documents")


def test_fetched_corpora_have_an_address_in_the_list_of_sources():
    found = read_sources()
    assert [(found[name].kind, found[name].members) for name in ("text8", "enwik8")] == [
        ("https", ("text8",)), ("https", ("enwik8",)),
    ]  # fmt: skip
