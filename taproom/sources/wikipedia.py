"""The articles of a dump of Wikipedia, in the XML that MediaWiki exports: enwik8 is the beginning of one.

Here belongs what is an article in such a file, and its text without wiki markup. Downloading is
`taproom.sources.fetching`'s, and the table of documents `taproom.sources.corpus`'s.

Source: Mahoney, "About the test data", 2006, for enwik8, the first 10^8 bytes of the English Wikipedia of 3 March 2006,
and for what is text in it: that of articles, without markup, but with the captions of images. gensim's `filter_wiki`
removes the markup.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, iterparse
from xml.parsers.expat import errors

from taproom.errors import SourceError
from taproom.sources.corpus import Document

# What the parser says where a file ends too early. enwik8 does, within an article.
_CUT_OFF = {
    errors.codes[message]
    for message in (errors.XML_ERROR_NO_ELEMENTS, errors.XML_ERROR_UNCLOSED_TOKEN, errors.XML_ERROR_PARTIAL_CHAR)
}


def wikipedia_articles(path: Path) -> Iterator[Document]:
    """The articles of a dump as documents without a label or a split; the title is the id.

    Redirects and pages of other namespaces, such as Talk: and Category:, are skipped, and so is a last page that is cut
    off. The file is read as a stream. Raises `SourceError`, from within the iteration, if it is not well-formed.
    """
    from gensim.corpora.wikicorpus import filter_wiki

    for title, markup in _articles(Path(path)):
        if markup.lstrip()[:9].lower() != "#redirect":
            yield Document(title, None, None, filter_wiki(markup))


def _articles(path: Path) -> Iterator[tuple[str, str]]:
    """The title and the markup of each page that is in no namespace."""
    namespaces = set()
    for element in _elements(path):
        match element.tag.rpartition("}")[2]:
            case "namespace":
                namespaces.add(element.text)
            case "page":
                # Dumps of 2006 say a page's namespace in its title alone.
                title = element.findtext("{*}title", "")
                namespace, colon, _ = title.partition(":")
                if not (colon and namespace in namespaces):
                    yield title, element.findtext("{*}revision/{*}text", "")
                element.clear()


def _elements(path: Path) -> Iterator[Element]:
    """The elements of a file, each when it ends, to the end or to where the file is cut off."""
    try:
        with path.open("rb") as file:
            for _, element in iterparse(file):
                yield element
    except ParseError as error:
        if error.code not in _CUT_OFF:
            raise SourceError(
                f"{path} cannot be read as a dump of Wikipedia: {error}. Wanted: the XML that MediaWiki exports; "
                "fetch or copy it again."
            ) from None
