"""Corpora read out of files and tables: what becomes a document, what is left out, and what is refused."""

import bz2
import gzip
import random
import time
import tracemalloc
from itertools import chain

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taproom.errors import InputError, SourceError
from taproom.sources import corpus
from taproom.sources.corpus import (
    Document,
    DocumentReader,
    LeftOut,
    TextFiles,
    newsgroups,
    review_documents,
    text_files,
)

SCHEMA = pa.schema(
    [
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("document_id", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
HEADER = "Category\tText\nd\tstring\nclass\t\n\n"
CHINESE_RUSSIAN = "Früli, 草莓 🍓 и пиво"


def read(documents, **options):
    reader = DocumentReader(documents, "beers", SCHEMA, **options)
    table = reader.reader().read_all()
    table.validate(full=True)
    counts = reader.counts
    assert counts["documents"] == table.num_rows == counts["training"] + counts["test"]
    return table, reader


def texts_of(path, content=None, **settings):
    """The texts by id, as they come from the source."""
    if content is not None:
        path.write_bytes(content)
    found = text_files(TextFiles(path, **settings))
    return {document.document_id: document.text for document in found if isinstance(document, Document)}


def folder_of(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def documents(texts):
    return [Document(f"d{number:04}", None, None, text) for number, text in enumerate(texts)]


# Files and folders


def test_a_line_of_a_file_is_a_document(tmp_path):
    (tmp_path / "tales").write_text("  Once upon a time \n\nthere was\n \nthe end")
    table, reader = read(text_files(TextFiles(tmp_path / "tales")))
    assert table.schema.equals(SCHEMA)
    assert table["document_id"].to_pylist() == ["tales:00000001", "tales:00000003", "tales:00000005"]
    assert table["text"].to_pylist() == ["Once upon a time", "there was", "the end"]
    assert set(table["corpus"].to_pylist()) == {"beers"}
    assert table["label"].null_count == 3
    assert reader.counts == {
        "documents": 3, "training": 3, "test": 0, "with_markup": 0, "with_mojibake": 0, "empty": 2,
        "files_left_out": 0,
    }  # fmt: skip
    assert reader.left_out == []


def test_a_file_of_a_folder_is_a_document_labelled_with_its_folder(tmp_path):
    folder_of(tmp_path, {"b/two.txt": b"2", "a/deep/one.txt": b"1\nand more", "root.txt": b"0", "empty.txt": b""})
    table, reader = read(text_files(TextFiles(tmp_path)))
    assert table.select(["document_id", "label", "text"]).to_pylist() == [
        {"document_id": "a/deep/one.txt", "label": "deep", "text": "1\nand more"},
        {"document_id": "b/two.txt", "label": "b", "text": "2"},
        {"document_id": "root.txt", "label": None, "text": "0"},
    ]
    assert reader.counts["empty"] == 1


def test_a_folder_can_be_read_by_lines(tmp_path):
    folder_of(tmp_path, {"a/x": b"1\n2", "a/y": b"3"})
    assert texts_of(tmp_path, unit="line") == {"a/x:00000001": "1", "a/x:00000002": "2", "a/y:00000001": "3"}


def test_a_single_file_can_be_one_document(tmp_path):
    assert texts_of(tmp_path / "x", b"1\n2\n", unit="file") == {"x": "1\n2\n"}


def test_hidden_files_and_links_are_passed_over(tmp_path):
    folder_of(tmp_path, {"seen": b"a", ".hidden": b"b", ".git/c": b"c"})
    (tmp_path / "link").symlink_to(tmp_path / "seen")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert texts_of(tmp_path) == {"seen": "a"}


@pytest.mark.parametrize(("name", "pack"), [("t.gz", gzip.compress), ("t.BZ2", bz2.compress)])
def test_packed_files_are_unpacked(tmp_path, name, pack):
    assert list(texts_of(tmp_path / name, pack("añ\nb".encode())).values()) == ["añ", "b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"])
@pytest.mark.parametrize("unit", ["line", "block", "file"])
def test_text_in_any_script_and_encoding_comes_through_unharmed(tmp_path, encoding, unit):
    table = texts_of(tmp_path / "t", CHINESE_RUSSIAN.encode(encoding), unit=unit, encoding=encoding)
    assert list(table.values()) == [CHINESE_RUSSIAN]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_all_line_ends_are_line_ends_and_a_byte_order_mark_goes(tmp_path, monkeypatch, ends):
    content = b"\xef\xbb\xbf" + ends.join(["one", "two\u2028three", ""]).encode()
    for size in (4, 5, 6, corpus.CHUNK_BYTES):
        monkeypatch.setattr(corpus, "CHUNK_BYTES", size)
        assert list(texts_of(tmp_path / "t", content).values()) == ["one", "two\u2028three"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.lists(st.sampled_from(["a", "bé", "草", " ", "  ", "\n", "\u00a0", "word"]), max_size=60).map("".join),
    block_words=st.integers(1, 7),
    chunk=st.integers(1, 9),
)
def test_blocks_hold_every_word_in_order_wherever_the_pieces_end(tmp_path, content, block_words, chunk):
    (tmp_path / "t").write_bytes(b"start " + content.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "CHUNK_BYTES", chunk)
        blocks = [text.split() for text in texts_of(tmp_path / "t", unit="block", block_words=block_words).values()]
    blocks = [block for block in blocks if block]
    assert list(chain.from_iterable(blocks)) == ["start", *content.split()]
    assert {len(block) for block in blocks[:-1]} <= {block_words}
    assert len(blocks[-1]) <= block_words


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.text(st.sampled_from("aé草\n\r <>"), min_size=1, max_size=40),
    chunk=st.integers(1, 9),
)
def test_lines_are_those_of_the_text_wherever_the_pieces_end(tmp_path, content, chunk):
    (tmp_path / "t").write_bytes(content.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "CHUNK_BYTES", chunk)
        lines = list(texts_of(tmp_path / "t").values())
    assert lines == content.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def test_a_document_of_a_million_words_is_kept_whole(tmp_path):
    words = "stout " * 1_000_000
    (tmp_path / "long").write_text(f"short\n{words}\nshort")
    table, _ = read(text_files(TextFiles(tmp_path / "long")))
    assert table["text"].to_pylist() == ["short", words.strip(), "short"]


# Markup


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ("<h1>Stout</h1><p>is&nbsp;black</p>", "Stout is black"),
        ("Pale<br>ale<br/>&amp; &#99;ider &eacute;", "Pale ale & cider é"),
        ("<style>p { color: red }</style><SCRIPT>if (a < b) beer()</SCRIPT>foam", "foam"),
        ("a<!-- <b>not this</b> -->\nb", "a b"),
        ('<a title="x > y" href=z>link</a>', "link"),
        ("<?xml version='1.0'?><r><![CDATA[1 < 2]]></r>", "1 < 2"),
        ("3 < 4 and AT&T", "3 < 4 and AT&T"),
        ("kept <b unfinished", "kept"),
        ("<p>草莓</p>", "草莓"),
    ],
)
def test_markup_goes_and_its_text_stays(tmp_path, monkeypatch, markup, words):
    for size in (3, corpus.CHUNK_BYTES):
        monkeypatch.setattr(corpus, "CHUNK_BYTES", size)
        assert texts_of(tmp_path / "p", markup.encode(), unit="file", strip_markup=True)["p"].split() == words.split()


def test_only_files_called_so_are_taken_for_markup(tmp_path):
    page = b"<p>x</p>"
    folder_of(tmp_path, {"a.html": page, "b.XML": page, "c.htm.gz": gzip.compress(page, mtime=0), "d.txt": page})
    stripped = {name: text.strip() for name, text in texts_of(tmp_path).items()}
    assert stripped == {"a.html": "x", "b.XML": "x", "c.htm.gz": "x", "d.txt": "<p>x</p>"}
    assert set(texts_of(tmp_path, strip_markup=False).values()) == {"<p>x</p>"}


def test_a_script_over_several_lines_is_no_document(tmp_path):
    content = b"<p>one</p>\n<script>\nvar beer;\n</script>\n<p>two</p>\n"
    table, _ = read(text_files(TextFiles(folder_of(tmp_path, {"p.html": content}) / "p.html")))
    assert table["text"].to_pylist() == ["one", "two"]


def test_documents_that_look_like_markup_are_counted():
    texts = ["<b>bold</b>", "line<BR>break", "a < b and c > d", "x <-> y", "<me@home.org> wrote"]
    assert read(documents(texts))[1].counts["with_markup"] == 2


def test_documents_in_the_wrong_encoding_are_counted_and_repaired_on_demand():
    texts = ["KÃ¶lsch is fine", "Kölsch is fine"]
    table, reader = read(documents(texts))
    assert reader.counts["with_mojibake"] == 1
    assert table["text"].to_pylist() == texts
    repaired = DocumentReader(documents(texts), "beers", SCHEMA, repair=True)
    assert repaired.reader().read_all()["text"].to_pylist() == ["Kölsch is fine"] * 2


def test_tags_that_never_end_take_linear_time_and_are_refused(tmp_path):
    start = time.process_time()
    with pytest.raises(SourceError, match=r"opens a tag or comment .* does not close it.*`strip_markup`"):
        texts_of(tmp_path / "p.html", b"text " + b"<a " * 100_000)
    assert time.process_time() - start < 2.0


def test_markup_that_cannot_be_parsed_is_refused(tmp_path):
    with pytest.raises(SourceError, match=r"p\.html: its markup cannot be parsed"):
        texts_of(tmp_path / "p.html", b"<![nonsense[ x ]]>")


# Training and test


def test_the_test_split_is_a_share_chosen_by_the_id_alone():
    texts = [f"text {number}" for number in range(2000)]
    table, reader = read(documents(texts), test_share=0.2)
    assert 340 < reader.counts["test"] < 460
    splits = dict(zip(table["document_id"].to_pylist(), table["split"].to_pylist(), strict=True))
    shuffled = documents(texts)[:500]
    random.Random(0).shuffle(shuffled)
    for row in read(shuffled)[0].to_pylist():
        assert row["split"] == splits[row["document_id"]]


def test_a_larger_share_only_adds_to_the_test_split():
    small, large = (read(documents(["x"] * 500), test_share=share)[0]["split"].to_pylist() for share in (0.1, 0.5))
    assert {after for before, after in zip(small, large, strict=True) if before == "test"} == {"test"}
    assert set(read(documents(["x"] * 500), test_share=0)[0]["split"].to_pylist()) == {"training"}


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_small_corpus_is_all_training(count):
    assert read(documents(["x"] * count + [" "] * 20), test_share=0.9)[1].counts["training"] == count


def test_a_split_that_is_given_stays():
    given_splits = [Document(f"d{number}", None, "test", "x") for number in range(20)]
    assert read(given_splits, test_share=0)[1].counts["test"] == 20


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(InputError, match="share is"):
        DocumentReader([], "c", SCHEMA, test_share=share)


# Batches and memory


def test_batches_hold_at_most_so_many_rows_and_characters(monkeypatch):
    batches = DocumentReader(documents(["x"] * 25), "c", SCHEMA, rows_per_batch=10).reader()
    assert [batch.num_rows for batch in batches] == [10, 10, 5]
    monkeypatch.setattr(corpus, "BATCH_CHARACTERS", 1000)
    assert [batch.num_rows for batch in DocumentReader(documents(["x" * 300] * 6), "c", SCHEMA).reader()] == [4, 2]


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "line"), [("line", b"word " * 500 + b"\n"), ("block", b"word " * 500)])
def test_memory_stays_bounded(tmp_path, unit, line):
    path = tmp_path / "t.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(60):
            file.write(line * 400)
    tracemalloc.start()
    reader = DocumentReader(text_files(TextFiles(path, unit=unit)), "c", SCHEMA)
    characters, arrow = 0, 0
    for batch in reader.reader():
        characters += sum(map(len, batch["text"].to_pylist()))
        arrow = max(arrow, pa.total_allocated_bytes())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert characters > 59e6
    assert peak < 40e6
    assert arrow < 40e6


# What is left out of a folder


@pytest.mark.parametrize("unit", ["file", "line", "block"])
def test_a_file_that_cannot_be_read_is_left_out_as_a_whole(tmp_path, unit):
    late = b"good line\n" * 300_000 + b"caf\xe9"
    bad = {
        "latin.txt": late,
        "image.png": b"\x89PNG\r\n\0".replace(b"\x89", b""),
        "cut.gz": gzip.compress(late, mtime=0)[:-9],
    }
    folder_of(tmp_path, {"a.txt": b"kept", **bad, "z.txt": b"kept too"})
    table, reader = read(text_files(TextFiles(tmp_path, unit=unit)))
    assert table["text"].to_pylist() == ["kept", "kept too"]
    assert reader.counts["files_left_out"] == 3
    reasons = {file: reason for file, reason in reader.left_out}
    assert list(reasons) == ["cut.gz", "image.png", "latin.txt"]
    assert "byte 3,000,003" in reasons["latin.txt"]
    assert "NUL" in reasons["image.png"]
    assert "cut off" in reasons["cut.gz"]


def test_a_file_whose_name_no_table_can_hold_is_left_out(tmp_path):
    folder_of(tmp_path, {"a": b"x", "b\udcff": b"y"})
    _, reader = read(text_files(TextFiles(tmp_path)))
    ((file, reason),) = reader.left_out
    assert file == "b\\udcff"
    assert "the name is not UTF-8" in reason.encode().decode()


def test_the_first_left_out_are_kept_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(corpus, "MAX_LEFT_OUT", 2)
    _, reader = read([*(LeftOut(f"f{number}", "broken") for number in range(5)), *documents(["x"])])
    assert ([left.file for left in reader.left_out], reader.counts["files_left_out"]) == (["f0", "f1"], 5)


def test_a_folder_of_which_no_file_can_be_read_is_refused(tmp_path):
    folder_of(tmp_path, {"a": b"\xff", "b": b"\0"})
    with pytest.raises(SourceError, match=r"2 files were left out\. The first: .*a is not utf-8.*`encoding`"):
        read(text_files(TextFiles(tmp_path)))


# Refused


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("t", b"fine\ncaf\x81", r"is not utf-8: it cannot be decoded at byte 8 .*`encoding`"),
        ("t", b"cut \xe8\x8d", "cannot be decoded at byte 4"),
        ("t", b"a line, and\0b", "there is a NUL"),
        ("t", b"", "is empty"),
        ("t.gz", b"plain", "is not a .gz file"),
        ("t.gz", gzip.compress(b"text\n" * 1000, mtime=0)[:-10], "cut off"),
        ("t.bz2", bz2.compress(b"text\n" * 1000)[:-10], "cut off"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path, name, content, complaint):
    with pytest.raises(SourceError, match=complaint) as error:
        texts_of(tmp_path / name, content)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_byte_that_is_not_of_the_encoding_is_named_wherever_the_pieces_end(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(corpus, "CHUNK_BYTES", chunk)
    with pytest.raises(SourceError, match="byte 12 "):
        texts_of(tmp_path / "t", "草莓\r\nfoam".encode() + b"\xe8(")
    with pytest.raises(SourceError, match="is not utf-16"):
        texts_of(tmp_path / "t", b"no mark", encoding="utf-16")


def test_a_document_that_is_too_long_is_refused_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "MAX_DOCUMENT_CHARACTERS", 1000)
    for unit, way_out in {
        "line": 'set `unit` to "block"',
        "file": '"line" or "block"',
        "block": "`block_words`",
    }.items():
        with pytest.raises(SourceError, match=f"longer than 1,000 characters.*{way_out}"):
            texts_of(tmp_path / "t", b"x" * 1001, unit=unit)
    assert len(texts_of(tmp_path / "t", b"x" * 1000)) == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"unit": "page"}, "the unit is 'page'. Wanted: line, block, file"),
        ({"block_words": 0}, "`block_words` is 0"),
        ({"encoding": "klingon"}, "there is no text encoding 'klingon'"),
        ({"encoding": "rot13"}, "there is no text encoding 'rot13'"),
    ],
)
def test_settings_that_do_not_fit_are_refused_at_once(tmp_path, options, complaint):
    (tmp_path / "t").write_text("x")
    with pytest.raises(SourceError, match=complaint):
        text_files(TextFiles(tmp_path / "t", **options))


def test_a_missing_path_and_an_empty_folder_are_refused_at_once(tmp_path):
    with pytest.raises(SourceError, match="is not there"):
        text_files(TextFiles(tmp_path / "none"))
    (tmp_path / ".hidden").write_text("x")
    with pytest.raises(SourceError, match="has no files in it"):
        text_files(TextFiles(tmp_path))


def test_a_corpus_without_text_is_refused():
    with pytest.raises(SourceError, match="'beers' has no document with text: 2 documents are blank"):
        read(documents([" ", "\n\t"]))
    with pytest.raises(SourceError, match=r"has no document with text.* Wanted: text"):
        read([])


# 20 Newsgroups and reviews


def test_newsgroups_keep_their_labels_and_splits(tmp_path):
    for name, rows in {"train": "sci.space\tmoon and mars\nrec.autos\tcar\n", "test": "sci.space\torbit\n"}.items():
        (tmp_path / f"{name}.tab").write_text(HEADER + rows)
    table, _ = read(newsgroups(tmp_path / "train.tab", tmp_path / "test.tab"))
    assert table.select(["document_id", "label", "split", "text"]).to_pylist() == [
        {"document_id": "train-00001", "label": "sci.space", "split": "training", "text": "moon and mars"},
        {"document_id": "train-00002", "label": "rec.autos", "split": "training", "text": "car"},
        {"document_id": "test-00001", "label": "sci.space", "split": "test", "text": "orbit"},
    ]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "does not begin like"),
        ("sci.space\tmoon\n" * 9, "does not begin like .*'Category"),
        (HEADER + "a\tb\nno tab\n", "line 6 has no tab"),
        (None, "cannot be opened"),
    ],
)
def test_newsgroups_of_another_form_are_refused(tmp_path, content, complaint):
    if content is not None:
        (tmp_path / "train.tab").write_text(content)
    with pytest.raises(SourceError, match=complaint):
        list(newsgroups(tmp_path / "train.tab", tmp_path / "test.tab"))


def test_a_review_that_several_batches_hold_is_one_document():
    rows = [
        {"batch": "b1", "review_id": "r1", "item_id": "i", "category": "IPA", "text": "hoppy"},
        {"batch": "b1", "review_id": "r2", "item_id": "i", "category": None, "text": "bitter"},
        {"batch": "b2", "review_id": "r1", "item_id": "i", "category": "IPA", "text": "hoppy"},
    ]
    duplicates = pa.table({"batch": ["b2"], "review_id": ["r1"], "first_batch": ["b1"]})
    reviews = pa.Table.from_pylist(rows)
    assert list(review_documents(reviews.to_batches(max_chunksize=2), duplicates)) == [
        Document("r1", "IPA", None, "hoppy"),
        Document("r2", None, None, "bitter"),
    ]


def test_a_script_without_an_end_is_refused_instead_of_swallowing_the_rest(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<p>one</p><script>" + "two " * 1_000)
    with pytest.raises(SourceError, match=r"page\.html.*<script> that does not end"):
        list(text_files(TextFiles(path)))


def test_a_folder_with_a_blank_name_is_no_label(tmp_path):
    (tmp_path / " ").mkdir()
    (tmp_path / " " / "a.txt").write_text("one")
    document, _ = text_files(TextFiles(tmp_path))
    assert document.label is None


# Encodings that are recognised


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", CHINESE_RUSSIAN),
        ("utf-16", "草莓草莓"),
        ("utf-16-le", "plain text\nof Windows"),
        ("cp1252", "Une bière très légère, brassée à Liège; schöne Grüße aus Köln"),
        ("cp1251", "палуба остров капитан остров гавань шторм якорь"),
        ("gb18030", "这种啤酒很好喝，有草莓的味道，价格也不贵，我还会再买。"),
        ("cp932", "このビールはとても美味しいです。カタカナもあります。"),
    ],
)
@pytest.mark.parametrize("unit", ["line", "file"])
def test_an_encoding_that_is_not_stated_is_recognised(tmp_path, encoding, text, unit):
    (tmp_path / "t").write_bytes(text.encode(encoding))
    table, reader = read(text_files(TextFiles(tmp_path / "t", unit=unit)))
    assert "\n".join(table["text"].to_pylist()) == text
    assert reader.encodings == {encoding: 1}


@pytest.mark.parametrize("unit", ["line", "file"])
def test_each_file_of_a_folder_has_an_encoding_of_its_own(tmp_path, unit):
    russian = "палуба остров капитан остров гавань шторм якорь"
    files = {
        "a": russian.encode(),
        "b": russian.encode("cp1251"),
        "c": russian.encode("utf-16"),
        "d": b"\xef\xbb\xbf" + russian.encode(),
        "e": gzip.compress(b"of two lines\n" * 2, mtime=0)[:-9],
    }
    table, reader = read(text_files(TextFiles(folder_of(tmp_path, files), unit=unit)))
    assert set(table["text"].to_pylist()) == {russian}
    assert reader.encodings == {"utf-8": 2, "cp1251": 1, "utf-16": 1}
    assert reader.counts["files_left_out"] == 1


def test_an_encoding_that_is_stated_is_taken_as_it_is(tmp_path):
    (tmp_path / "t").write_bytes("草莓".encode())
    table, reader = read(text_files(TextFiles(tmp_path / "t", encoding="cp1251")))
    assert table["text"].to_pylist() == ["草莓".encode().decode("cp1251")]
    assert reader.encodings == {"cp1251": 1}


def test_a_corpus_of_one_line_is_utf8_wherever_its_sample_ends(tmp_path, monkeypatch):
    content = "草莓 и пиво ".encode() * 100
    for size in range(1000, 1010):
        monkeypatch.setattr(corpus, "SAMPLE_BYTES", size)
        assert len(texts_of(tmp_path / "t", content, unit="block", block_words=3)) == 100


def test_a_damaged_byte_does_not_make_another_encoding_of_utf8(tmp_path):
    content = "这种啤酒很好喝，有草莓的味道。".encode()
    with pytest.raises(SourceError, match="is not utf-8: it cannot be decoded at byte 45"):
        texts_of(tmp_path / "t", content + b"\xff" + content)
