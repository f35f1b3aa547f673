import bz2
from importlib.resources import as_file, files
from itertools import islice

import pytest

from taproom.errors import SourceError
from taproom.sources.wikipedia import wikipedia_articles
from tests.wikipedia_dump import DUMP


def read(folder, content):
    path = folder / "dump.xml"
    path.write_bytes(content)
    return list(wikipedia_articles(path))


def test_articles_are_read_and_redirects_and_other_namespaces_are_not(tmp_path):
    found = read(tmp_path, DUMP)
    assert [(document.document_id, document.label, document.split) for document in found] == [
        ("Ale", None, None),
        ("2001: A Space Odyssey", None, None),
    ]
    assert found[1].text == "A film of 1968."


def test_markup_goes_and_what_is_read_of_it_stays(tmp_path):
    words = read(tmp_path, DUMP)[0].text.split()
    assert " ".join(words) == "A glass of ale '''Ale''' is a kind of beer of warm fermentation & < of hops."


def test_an_article_of_a_real_dump_is_its_text(tmp_path):
    with as_file(files("gensim") / "test" / "test_data") as folder:
        packed = next(folder.glob("enwiki-latest-pages-articles1*.bz2"))
        with bz2.open(packed) as dump:
            (tmp_path / "dump.xml").write_bytes(dump.read(200_000))
    (article,) = islice(wikipedia_articles(tmp_path / "dump.xml"), 1)
    assert article.document_id == "Anarchism"
    assert "'''Anarchism''' is a political philosophy that advocates self-governed societies based on" in article.text
    assert [mark for mark in ("{{", "[[", "<ref", "&lt;", "Category:") if mark in article.text] == []
    assert len(article.text.split()) > 5_000


@pytest.mark.parametrize(
    ("last", "titles"),
    [
        (b"fermentation \xc3", []),  # within a character
        (b"A [[film]] of 1", ["Ale"]),
        (b"</revision>\n  </pa", ["Ale"]),  # within a tag
        (b"</page>\n", ["Ale", "2001: A Space Odyssey"]),
    ],
)
def test_a_last_page_that_is_cut_off_is_skipped(tmp_path, last, titles):
    found = read(tmp_path, DUMP[: DUMP.rindex(last) + len(last)])
    assert [document.document_id for document in found] == titles


@pytest.mark.parametrize("content", [DUMP.replace(b"</title>", b"</titel>", 1), b"\x1f\x8b\x08", b"beer & ale"])
def test_what_is_not_well_formed_is_refused(tmp_path, content):
    with pytest.raises(SourceError, match=r"dump\.xml cannot be read as a dump of Wikipedia: .* Wanted: the XML"):
        read(tmp_path, content)
