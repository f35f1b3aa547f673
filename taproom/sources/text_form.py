r"""The form of a text file, recognised from its first rows: encoding, line ends, delimiter, quoting, or objects.

Here belongs what is concluded from a sample of a file where a person has not said it. What is done with rows that do
not fit belongs to the readers. Each rule takes what nearly all rows agree on, and otherwise what the file's name says.

Sources: RFC 4180 for CSV; Unicode Standard, 23.8, for byte-order marks; charset-normalizer for older encodings.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal

Quoting = Literal["quoted", "escaped", "none"]
ObjectFormat = Literal["jsonl", "json", "beer_text"]

SAMPLE_BYTES = 2**20
SAMPLE_LINES = 2_000
DELIMITERS = (",", "\t", ";", "|")

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Those that can be told apart; charset-normalizer takes French in cp1252 for cp1250.
_OLDER_ENCODINGS = [
    *("cp1252", "cp1251", "koi8_r", "iso8859_7"),
    *("gb18030", "cp932", "big5", "euc_kr", "euc_jp"),
]
# What other languages' letters become in cp1252: a sign between letters.
_NO_WORD = re.compile(r"[^\W\d_][\u00A1-\u00BF×÷][^\W\d_]")
# Few words of Western Europe have three letters beyond ASCII in a row, a capital one after a small letter, or ÿ, the
# byte FF.
_RARE_IN_WORDS = re.compile(r"[^\W\d_a-zA-Z]{3}|[a-zß-öø-þœšž][À-ÖØ-ÞŒŠŽŸ]|ÿ")
# Fewer bytes beyond ASCII do not tell one encoding from another.
_BYTES_THAT_TELL = 8
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_ARRAY_OF_OBJECTS = re.compile(r"\s*\[\s*\{")
_BEER_KEY = re.compile(r"\s*(beer|review|user)/\w+:")


def encoding_of(sample: bytes) -> str:
    r"""The encoding of the first bytes of a file.

    A byte-order mark says it. Otherwise it is UTF-8 if most lines with characters beyond ASCII are UTF-8; else cp1252
    if all words look like those of Western Europe in it, be there one such character or many; else the older encoding
    that charset-normalizer finds. It is UTF-8, too, where none of these is certain, so that a reader rejects the lines.

    >>> encoding_of(b"item,text\n1,Fr\xc3\xbcli\n"), encoding_of("item,text\n1,Früli\n".encode("utf-16"))
    ('utf-8', 'utf-16')
    >>> encoding_of(b"item,text\n1,It\x92s hoppy\n")
    'cp1252'
    """
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if sample.startswith(mark):
            return encoding
    if unmarked := _without_mark(sample):
        return unmarked
    whole = sample[: sample.rfind(b"\n")] if len(sample) >= SAMPLE_BYTES else sample
    lines = [line for line in whole.splitlines() if not line.isascii()]
    if sum(map(_is_utf8, lines)) * 2 >= len(lines):
        return "utf-8"
    return _older_encoding(b"\n".join(lines)) or "utf-8"


def _without_mark(sample: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of text in ASCII is a NUL."""
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if sample[start::2].count(0) > 0.4 * len(sample) / 2 > sample[1 - start :: 2].count(0):
            return encoding
    return None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _older_encoding(text: bytes) -> str | None:
    from charset_normalizer import from_bytes  # here, because it takes a tenth of a second

    if _is_western(text):
        return "cp1252"
    if sum(byte > 0x7F for byte in text) < _BYTES_THAT_TELL:
        return None
    best = from_bytes(text[: 2**16], cp_isolation=_OLDER_ENCODINGS).best()
    if best is None or len(_NO_WORD.findall(str(best))) > 0.05 * len(re.findall(r"[^\x00-\x7f]", str(best))):
        return None
    return best.encoding


def _is_western(text: bytes) -> bool:
    """Whether all of the text is plausible in cp1252, as only text of Western Europe is unless it is short."""
    try:
        read = text.decode("cp1252")
    except UnicodeDecodeError:
        return False
    return not _NO_WORD.search(read) and not _RARE_IN_WORDS.search(read)


def has_bare_returns(text: str) -> bool:
    """Whether lines end with CR alone, as on old Macs."""
    return "\r" in text and "\n" not in text


def object_format(text: str) -> ObjectFormat | None:
    """The format of a text that begins with an object, an array of objects, or a block of a beer review; else None.

    >>> object_format('{"text": "Hoppy"}'), object_format('[{"text": "Hoppy"}]'), object_format("item,text")
    ('jsonl', 'json', None)
    """
    if _ARRAY_OF_OBJECTS.match(text):
        return "json"
    if text.lstrip().startswith("{"):
        return "jsonl"
    return "beer_text" if _BEER_KEY.match(text) else None


def delimiter_of(lines: Sequence[str], is_wanted: Callable[[str], bool], default: str) -> str:
    r"""The delimiter that finds most of the wanted names in the header; of equals the default, then the one that finds
    most columns.

    >>> delimiter_of(["item;overall;text", "1;4,5;good, fine"], {"item", "text"}.__contains__, ",")
    ';'
    """
    header = next((line for line in lines if line.strip()), "")
    if match := _SEPARATOR.fullmatch(header.strip("\r\n")):
        return match[1]

    def worth(delimiter: str) -> tuple[int, bool, int]:
        names = next(_rows([header], delimiter, "quoted"), None) or header.split(delimiter)
        wanted = sum(map(is_wanted, names))
        return wanted, wanted > 0 and delimiter == default, len(names)

    return max((default, *DELIMITERS), key=worth)


def names_its_delimiter(line: str) -> bool:
    """Whether the line is no row, but names the delimiter for a spreadsheet, as in `sep=;`."""
    return _SEPARATOR.fullmatch(line.strip("\r\n")) is not None


def quoting_of(lines: Sequence[str], delimiter: str) -> Quoting:
    r"""How fields that hold a delimiter, a quote or a line end are written.

    "quoted": in quotes, and quotes in them are doubled; "escaped": in quotes, and quotes in them have a backslash
    before them; "none": no field holds a delimiter or a line end, and quotes are characters like others.

    >>> quoting_of(["item\ttext", '1\t"good', '2\tnot 12"'], "\t"), quoting_of(["item\ttext", '1\t"a\tb"'], "\t")
    ('none', 'quoted')
    """
    lines = [line.rstrip("\r\n") for line in lines if line.strip()]
    width = lines[0].count(delimiter) + 1 if lines else 0
    fields = [field for line in lines for field in line.split(delimiter) if field.startswith('"')]
    if not fields:
        return "none" if delimiter == "\t" else "quoted"
    closed = sum(len(field) > 1 and field.endswith('"') for field in fields)
    opened = len(fields) - closed
    if opened and all(line.count(delimiter) + 1 == width for line in lines):
        return "none" if delimiter == "\t" or opened > closed else "quoted"
    shares = {quoting: _share_of_rows(lines, delimiter, quoting) for quoting in ("quoted", "escaped")}
    if shares["escaped"] > shares["quoted"] and any('\\"' in line for line in lines):
        return "escaped"
    unquoted = sum(line.count(delimiter) + 1 == width for line in lines) / len(lines)
    return "none" if delimiter == "\t" and unquoted > shares["quoted"] else "quoted"


def csv_reader(lines: Iterable[str], delimiter: str, quoting: Quoting) -> Iterator[list[str]]:
    """The reader of a dialect. Strict, or a stray quote would silently join two rows into one."""
    if quoting == "none":
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    escape = "\\" if quoting == "escaped" else None
    return csv.reader(lines, delimiter=delimiter, escapechar=escape, strict=True)


def _rows(lines: Iterable[str], delimiter: str, quoting: Quoting) -> Iterator[list[str] | None]:
    """The rows of some lines; None for each that cannot be read."""
    reader = csv_reader(lines, delimiter, quoting)
    while True:
        try:
            yield next(reader)
        except csv.Error:
            yield None
        except StopIteration:
            return


def _share_of_rows(lines: Sequence[str], delimiter: str, quoting: Quoting) -> float:
    """The share of the rows that have as many fields as the header."""
    header, *rows = list(_rows([f"{line}\n" for line in lines], delimiter, quoting)) or [None]
    return sum(row is not None and len(row) == len(header or []) for row in rows) / max(len(rows), 1)


def sample_lines(text: str) -> list[str]:
    """The first lines of a sample, without its last one, which may be cut."""
    lines = list(islice(io.StringIO(text, newline=""), SAMPLE_LINES + 1))
    return lines[:-1] if len(lines) > 1 and not lines[-1].endswith(("\n", "\r")) else lines
