"""Whatever happens to a good file of text, it is read, left out and counted, or refused by name."""

import bz2
import gzip
import lzma

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.errors import SourceError
from taproom.sources.corpus import DocumentReader, TextFiles, newsgroups, text_files
from tests.damaged_content import bounded_memory, damaged, many_examples
from tests.taproom.sources.test_corpus import HEADER, SCHEMA

LINES = "".join(f"text {number} of a Früli, 草莓 and пиво\n" for number in range(40))
MARKUP = "".join(f"<p class='a'>text {number} &amp; more<!-- no --></p>\n" for number in range(40))
TAB = HEADER + "".join(f"ale\ttext {number} of a Früli\n" for number in range(40))
GOOD = {
    "t.txt": LINES.encode(),
    "utf16.txt": LINES.encode("utf-16"),
    "russian.txt": ("хорошее тёмное пиво с горчинкой\n" * 40).encode("cp1251"),
    "latin.txt": ("Früli schmeckt süß\n" * 40).encode("cp1252"),
    "t.html": f"<html><style>p {{}}</style><body>{MARKUP}</body></html>".encode(),
    "t.xml": f"<?xml version='1.0'?><r>{MARKUP}<![CDATA[a < b]]></r>".encode(),
    "t.txt.gz": gzip.compress(LINES.encode(), mtime=0),
    "t.txt.bz2": bz2.compress(LINES.encode()),
    "t.txt.xz": lzma.compress(LINES.encode()),
    "t.txt.zst": pa.Codec("zstd").compress(LINES.encode(), asbytes=True),
}
# The damage of these is noticed, except beside the content.
WITH_CHECKSUM = ("t.txt.gz", "t.txt.bz2", "t.txt.xz")

pytestmark = pytest.mark.slow


def outcome(documents):
    """The documents and the reader, or why they are refused."""
    reader = DocumentReader(documents, "beers", SCHEMA)
    try:
        with bounded_memory():
            table = reader.reader().read_all()
    except SourceError as error:
        return error
    table.validate(full=True)
    assert len(set(table["document_id"].to_pylist())) == table.num_rows == reader.counts["documents"]
    assert all(text.strip() and "\0" not in text for text in table["text"].to_pylist())
    return table, reader


@many_examples(200)
@given(damaged(GOOD), st.sampled_from(["line", "block", "file"]))
def test_a_damaged_file_gives_documents_or_a_named_error(tmp_path, file, unit):
    name, content = file
    path = tmp_path / name
    path.write_bytes(content)
    try:
        found = outcome(text_files(TextFiles(path, unit=unit, block_words=7)))
    except SourceError as error:  # at once: the file is empty
        found = error
    if isinstance(found, SourceError):
        assert str(path) in str(found) or "'beers' has no document with text" in str(found)
    elif name in WITH_CHECKSUM and unit == "line":
        assert {text.strip() for text in found[0]["text"].to_pylist()} == set(LINES.splitlines())


@many_examples(100)
@given(damaged(GOOD), st.sampled_from(["line", "file"]))
def test_a_damaged_file_in_a_folder_is_read_or_left_out_and_others_are_read(tmp_path, file, unit):
    name, content = file
    (tmp_path / "good").mkdir(exist_ok=True)
    (tmp_path / "good" / "whole.txt").write_text("a good text")
    (tmp_path / "damaged").mkdir(exist_ok=True)
    for old in (tmp_path / "damaged").iterdir():
        old.unlink()
    (tmp_path / "damaged" / name).write_bytes(content)
    table, reader = outcome(text_files(TextFiles(tmp_path, unit=unit)))
    assert "a good text" in table["text"].to_pylist()
    assert sum(reader.encodings.values()) + reader.counts["files_left_out"] == 2
    assert [file for file, _ in reader.left_out] == [f"damaged/{name}"] * reader.counts["files_left_out"]


@many_examples(100)
@given(damaged({"train.tab": TAB.encode()}))
def test_a_damaged_table_of_documents_gives_documents_or_a_named_error(tmp_path, file):
    name, content = file
    for part in (name, "test.tab"):
        (tmp_path / part).write_bytes(content if part == name else TAB.encode())
    found = outcome(newsgroups(tmp_path / name, tmp_path / "test.tab"))
    if isinstance(found, SourceError):
        assert str(tmp_path / name) in str(found)
    else:
        assert found[0]["split"].to_pylist().count("test") == 40
