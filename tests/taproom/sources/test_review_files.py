"""Files of reviews before they are read: formats, encodings, which column holds which field, known files."""

import bz2
import gzip

import pytest

from taproom.errors import SourceError
from taproom.sources.review_files import ReviewFile, rotten_tomatoes
from tests.review_reading import read, reader_of


def test_a_mapping_chooses_columns_and_others_are_ignored(read_bytes):
    content = b"beer,stars,note,junk\nFruli,4,Sweet,\xff\n"
    mapping = {"item_name": "beer", "scores.stars": "stars", "attributes.stars": "stars", "text": "note"}
    table, _ = read_bytes(content, columns=mapping)
    (row,) = table.to_pylist()
    assert (row["item_id"], row["item_name"], row["text"]) == ("Fruli", "Fruli", "Sweet")
    assert (row["scores"], row["attributes"]) == ([("stars", 4.0)], [("stars", "4")])


def test_unknown_columns_are_ignored_without_a_mapping(read_bytes):
    table, _ = read_bytes(b"text,item_id,weather\nGood,1,rain\n")
    assert table.num_rows == 1


def test_the_format_can_be_given(read_bytes):
    table, _ = read_bytes(gzip.compress(b"item_id,text\n1,a\n", mtime=0), "dump.txt.gz", format="csv")
    assert table.num_rows == 1


def test_another_encoding(read_bytes):
    table, _ = read_bytes("item_id,text\n1,Früli\n".encode("latin-1"), encoding="latin-1")
    assert table["text"].to_pylist() == ["Früli"]


def test_rotten_tomatoes_without_plots_and_with_titles(tmp_path):
    path = tmp_path / "rotten_tomatoes_corpus_full.csv.bz2"
    path.write_bytes(
        bz2.compress(
            b"category,text,movie_name,has_plot_and_reviews\n"
            b"plot,A boy.,about_a_boy,True\n"
            b"fresh,Sweet.,about_a_boy,True\n"
            b'rotten,"Too long, too loud.",cooler_the,False\n'
            b"fresh,Charming.,pok%e9mon_the_4th_movie,False\n"
        )
    )
    table, reader = read(rotten_tomatoes(path))
    assert table.select(["item_id", "item_name", "category"]).to_pylist() == [
        {"item_id": "about_a_boy", "item_name": "About A Boy", "category": "fresh"},
        {"item_id": "cooler_the", "item_name": "The Cooler", "category": "rotten"},
        {"item_id": "pok%e9mon_the_4th_movie", "item_name": "Pokémon The 4th Movie", "category": "fresh"},
    ]
    assert reader.counts["left_out"] == 1
    assert reader.rejected.num_rows == 0


# Refused


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("r.csv", b"", "is empty"),
        ("r.parquet", b"", "is empty"),
        ("r.csv", b"item_id,review\n1,a\n", "no column for text.*'item_id', 'review'"),
        ("r.csv", b"beer,text\n1,a\n", "no column for item_id or item_name.*'beer', 'text'"),
        ("r.jsonl", b'{"item_id": 1}\n', "no column for text.*'item_id'"),
        ("r.csv", b"item_id,text,text\n1,a,b\n", "more than one column 'text'"),
        ("r.xlsx", b"PK", "suffix of 'r.xlsx'.*Wanted: .csv"),
        ("r.parquet.gz", b"PAR1", "suffix of 'r.parquet.gz'"),
        ("r", b"item_id,text\n", "suffix of 'r'"),
    ],
)
def test_a_file_without_a_format_or_a_column_is_refused_by_name(tmp_path, read_bytes, name, content, complaint):
    with pytest.raises(SourceError, match=complaint) as error:
        read_bytes(content, name)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"columns": {"text": "text", "item_id": "beer"}}, "no column 'beer'.*'item_id', 'text'"),
        ({"columns": {"text": "text"}}, "no column for item_id or item_name"),
        ({"columns": {"text": "text", "stars": "x"}}, "names 'stars'.*Wanted: review_id"),
        ({"columns": {"text": "text", "scores.": "x"}}, r"names 'scores\.'"),
        ({"drop": {"kind": ["plot"]}}, "no column 'kind'"),
        ({"drop": {"text": ["a"]}}, "none of its 1 rows.*left_out 1"),
        ({"encoding": "klingon"}, "there is no text encoding 'klingon'"),
        ({"encoding": "utf-16"}, "utf-16 cannot be read line by line"),
        ({"format": "xml"}, "format 'xml'"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name(read_bytes, options, complaint):
    with pytest.raises(SourceError, match=complaint):
        read_bytes(b"item_id,text\n1,a\n", **options)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(SourceError, match="is not there, or is not a file"):
            reader_of(ReviewFile(path, format="csv"))
