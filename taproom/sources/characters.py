"""The characters of text that other people wrote: encodings, what a table can hold, and values shown in messages.

Here belongs what is the same for every reader of text. What happens to text with other characters belongs to the
readers: one rejects a row, another refuses a file.
"""

import codecs
from collections.abc import Iterable
from pathlib import Path

from taproom.errors import SourceError


def check_encoding(path: Path, encoding: str) -> None:
    """Raise `SourceError`, which names the file, if Python has no text encoding of that name.

    >>> check_encoding(Path("beers.csv"), "latin-1")
    >>> check_encoding(Path("beers.csv"), "klingon")
    Traceback (most recent call last):
    ...
    taproom.errors.SourceError: beers.csv: there is no text encoding 'klingon'. Wanted: one that Python knows.
    """
    try:
        codecs.getincrementaldecoder(encoding)
        b"text".decode(encoding)
    except UnicodeError:
        pass
    except LookupError:
        raise SourceError(f"{path}: there is no text encoding {encoding!r}. Wanted: one that Python knows.") from None


def is_storable(text: str) -> bool:
    r"""Whether a table can hold the text: no NUL, no bytes that could not be decoded, no half of a surrogate pair.

    >>> is_storable("Früli"), is_storable("a\0b"), is_storable(b"Fr\xfcli".decode("utf-8", "surrogateescape"))
    (True, False, False)
    """
    if "\0" in text:
        return False
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def printable(value: object) -> str:
    r"""A file's name, or a message that contains one, with an escape for each byte that could not be decoded.

    >>> printable(b"Fr\xfcli".decode("utf-8", "surrogateescape"))
    'Fr\\udcfcli'
    """
    return str(value).encode("utf-8", "backslashreplace").decode()


def shown(value: object, most: int = 80) -> str:
    """A value as a message shows it: its `repr`, cut to so many characters.

    >>> shown("Two Hearted Ale")
    "'Two Hearted Ale'"
    """
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def listed(names: Iterable[str], most: int = 50) -> str:
    """Names as a message lists them, at most so many.

    >>> listed(["text", "item_id", "weather"], most=2)
    "'text', 'item_id', and 1 more"
    """
    names = list(names)
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return ", ".join([*map(shown, names[:most]), *more]) or "none"
