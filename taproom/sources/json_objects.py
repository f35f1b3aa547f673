"""Objects as JSON, or as Python writes a dict: one a line, or the elements of one array.

Here belongs the syntax of an object. What its values mean belongs to `taproom.sources.review_fields`.
"""

import ast
import codecs
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from taproom.errors import SourceError
from taproom.sources.characters import shown
from taproom.sources.packed import UNREADABLE, damage
from taproom.sources.rejected_rows import Reason, RejectRow
from taproom.sources.review_rows import MAX_RECORD_BYTES

_JSON_TYPES = (str, int, float, dict, list, type(None))
_CHUNK = 2**20
# An element that has not ended by then never will.
_LONGEST = 8 * 2**20
_BETWEEN = " \t\r\n,"


def json_object(line: str) -> dict[str, Any]:
    """The object in a line of JSON, or the dict in a line of Python.

    Raises ValueError, whose message has the reason, for anything else, or a key that is there twice; and
    UnicodeEncodeError for a dict with bytes that could not be decoded.

    >>> json_object('{"text": "Hoppy"}') == json_object("{'text': 'Hoppy'}")
    True
    """
    try:
        fields = json.loads(line, strict=False, object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        return _python_dict(line, error.msg)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(fields, dict):
        raise ValueError(f"is a JSON {type(fields).__name__}, not an object")
    return fields


def _python_dict(line: str, complaint: str) -> dict[str, Any]:
    try:
        display = ast.parse(line.strip(), mode="eval").body
        if not isinstance(display, ast.Dict):
            raise ValueError("another expression")
        fields = ast.literal_eval(display)
    except UnicodeEncodeError:
        raise
    except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"is neither a JSON object ({complaint}) nor a Python dict") from None
    if len(fields) < len(display.keys):
        raise _twice(ast.literal_eval(key) for key in display.keys if key)
    for key, value in fields.items():
        if not isinstance(value, _JSON_TYPES):
            raise ValueError(f"{shown(key)} holds {type(value).__name__}, which JSON does not have")
    return fields


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _twice(key for key, _ in pairs)
    return fields


def _twice(keys: Iterable[Any]) -> ValueError:
    (key, _), *_ = Counter(keys).most_common(1)
    return ValueError(f"has the field {shown(key)} twice")


class JsonArray:
    r"""The objects of one array, each with the line it starts on; only a part of the file is in memory.

    Args:
        stream: the bytes of the file, unpacked.
        path: the file, for messages.
        encoding: of the stream.
        reject: is called for each element that is no object, or is too long.

    >>> import io
    >>> stream = io.BytesIO(b'[{"text": "Hoppy"},\n {"text": "Sweet"}]')
    >>> list(JsonArray(stream, Path("beers.json"), "utf-8", print))
    [(1, {'text': 'Hoppy'}), (2, {'text': 'Sweet'})]
    """

    def __init__(self, stream: BinaryIO, path: Path, encoding: str, reject: RejectRow):
        self.characters = 0  # so far
        self._stream, self._path, self._reject = stream, path, reject
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._text, self._at, self._line, self._is_whole = "", 0, 1, False

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Raises `SourceError` where the array is cut off or damaged."""
        self._skip("\ufeff" + _BETWEEN)
        self._at += 1  # the bracket
        scan = json.JSONDecoder(strict=False, object_pairs_hook=_once_each)
        while True:
            self._skip(_BETWEEN)
            if self._text[self._at : self._at + 1] == "]":
                return
            try:
                element, end = scan.raw_decode(self._text, self._at)
            except RecursionError:
                raise self._bad("is nested too deeply") from None
            except json.JSONDecodeError as error:
                if self._is_whole or len(self._text) - self._at > _LONGEST:
                    raise self._bad("is cut off" if self._is_whole else f"is damaged ({error.msg})") from None
                self._read()
                continue
            except ValueError as error:
                raise self._bad(str(error)) from None
            yield from self._checked(element, end)
            self._forget(end)

    def _checked(self, element: Any, end: int) -> Iterator[tuple[int, dict[str, Any]]]:
        if end - self._at > MAX_RECORD_BYTES:
            self._reject(self._line, Reason.TOO_LONG, f"is longer than {MAX_RECORD_BYTES:,} characters")
        elif not isinstance(element, dict):
            self._reject(self._line, Reason.UNREADABLE, f"is a JSON {type(element).__name__}, not an object")
        else:
            yield self._line, element

    def _skip(self, characters: str) -> None:
        """Go to the next character that is none of these."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in characters:
                self._line += self._text[self._at] == "\n"
                self._at += 1
            if self._at < len(self._text):
                return
            if self._is_whole:
                raise self._bad("is cut off: its array has no end")
            self._read()

    def _forget(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self.characters += end - self._at
        self._at = end

    def _read(self) -> None:
        try:
            chunk = self._stream.read(_CHUNK)
        except UNREADABLE as error:
            raise damage(self._path, error, f"line {self._line:,}", at_start=not self.characters) from None
        self._is_whole = not chunk
        self._text, self._at = self._text[self._at :] + self._decoder.decode(chunk, self._is_whole), 0

    def _bad(self, why: str) -> SourceError:
        return SourceError(
            f"{self._path} cannot be read as an array of JSON objects: near line {self._line:,} it {why}. "
            "Fetch or copy it again, or write one object a line (.jsonl)."
        )
