"""Files of reviews before they are read: formats, encodings, which column holds which field, known files."""

import bz2
import gzip
import lzma
import zipfile

import pyarrow as pa
import pytest

from taproom.errors import SourceError
from taproom.sources.review_files import ReviewFile, rotten_tomatoes
from tests.review_reading import read, reader_of

ZSTANDARD = pa.Codec("zstd")


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


WORDS = {
    "cp1252": "Die Brühe schmeckt süßlich; größer und überraschend gut. Für mich köstlich, très agréable, à goûter",
    "cp1251": "Очень хорошее светлое пиво, немного горькое, обязательно куплю его ещё раз",
    "gb18030": "这家店的面条很好吃，服务也不错，下次还会来，价格也合理",
    "cp932": "このビールはとても美味しいです。また飲みたいと思います",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", *WORDS])
def test_encodings_are_recognised_or_stated(read_bytes, encoding):
    words = WORDS.get(encoding, "Früli 草莓")
    content = f'item_id,text\r\n1,"{words}"\r\n2,plain text\r\n'.encode(encoding)
    table, reader = read_bytes(content)
    assert table["text"].to_pylist() == [words, "plain text"]
    assert reader.form["encoding"] in (encoding, encoding.removesuffix("-sig"))
    assert read_bytes(content, encoding=encoding)[0].equals(table)


def test_letters_that_are_none_in_the_recognised_encoding_are_not_guessed(read_bytes):
    text = "Piwo jest bardzo dobre, łagodne i żywe, świetne źródło, pełne smaku"
    with pytest.raises(SourceError, match=r"wrong_encoding.*encoding \(utf-8\)"):
        read_bytes(f'item_id,text\n1,"{text}"\n2,"{text} źle"\n'.encode("cp1250"))


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst", ".zip"])
def test_packed_files(tmp_path, suffix):
    content = b"item_id,text\n1,a\n"
    path = tmp_path / f"r.csv{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("folder/r.csv", content)
            archive.writestr("__MACOSX/folder/._r.csv", b"x")
    else:
        path.write_bytes({".gz": gzip, ".bz2": bz2, ".xz": lzma, ".zst": ZSTANDARD}[suffix].compress(content))
    table, _ = read(ReviewFile(path))
    assert table["text"].to_pylist() == ["a"]


def test_a_zip_file_of_several_files_and_a_damaged_one_are_refused(tmp_path):
    path = tmp_path / "r.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", b"item_id,text\n1,a\n")
        archive.writestr("b.csv", b"item_id,text\n1,a\n")
    with pytest.raises(SourceError, match="holds 2 files"):
        read(ReviewFile(path))
    path.write_bytes(b"no zip")
    with pytest.raises(SourceError, match=r"is not a \.zip file"):
        read(ReviewFile(path, format="csv"))


def test_a_partial_mapping_keeps_the_names_that_agree(read_bytes):
    content = b",Unnamed: 1,\xef\xbb\xbfItem_ID, OVERALL ,note,time\n0,x,7,4,good,soon\n"
    table, reader = read_bytes(content, columns={"text": "Note", "time": ""})
    (row,) = table.to_pylist()
    assert (row["item_id"], row["overall"], row["text"], row["time"]) == ("7", 4.0, "good", None)
    assert reader.notes == []


def test_too_many_rejected_rows_are_refused_and_shown(read_bytes):
    content = b"item_id,text\n" + b"1,good %d\n" * 8 % tuple(range(8)) + b"1,bad,row\n,no item\n"
    with pytest.raises(
        SourceError, match=r"20\.0% cannot be read.*`max_rejected_share`, 10\.0%.*'1,bad,row'.*',no item'"
    ):
        read_bytes(content, max_rejected_share=0.1)
    table, _ = read_bytes(content, max_rejected_share=0.2)
    assert table.num_rows == 8


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
        ("r.xlsx", b"PK", "is a spreadsheet.*CSV UTF-8"),
        ("r.csv", b"PK\x03\x04", "is a spreadsheet.*CSV UTF-8"),
        ("r.docx", b"PK", "suffix of 'r.docx'.*Wanted: .csv.*set `format`"),
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
        ({"columns": {"item_id": ""}}, "no column for item_id or item_name"),
        ({"columns": {"text": "text", "stars": "x"}}, "names 'stars'.*Wanted: review_id"),
        ({"columns": {"text": "text", "scores.": "x"}}, r"names 'scores\.'"),
        ({"drop": {"kind": ["plot"]}}, "no column 'kind'"),
        ({"drop": {"text": ["a"]}}, "none of its 1 rows.*left_out 1"),
        ({"encoding": "klingon"}, "there is no text encoding 'klingon'"),
        ({"encoding": "utf-16"}, "is not utf-16 .*`encoding`"),
        ({"delimiter": ",,"}, "`delimiter` is ',,'"),
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
