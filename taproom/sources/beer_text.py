"""Beer reviews as the public dumps of RateBeer and BeerAdvocate write them: from lines of text to named fields.

The dumps come as blocks of `key: value` lines, a blank line after each (`ratebeer.txt`), or as one object a line
(`ratebeer.json`), in most copies a Python dict and not JSON. Here is what is peculiar to them; files, encodings,
columns, types and rejections are the business of `taproom.sources.reviews`. What the dumps do decides how they are
read:

- Several beers share a name, none an id: `beer/beerId` identifies the beer, `beer/name` names it. The ids are those of
  one site: beer 7 of RateBeer is not beer 7 of BeerAdvocate.
- RateBeer writes a score as `13/20`, BeerAdvocate as `3.5`. The number stays on the source's scale: 13, and 3.5.
- A strength that is not known is `-` at RateBeer, and nothing at BeerAdvocate.
- RateBeer writes some characters as HTML references (`India Pale Ale &#40;IPA&#41;`). They are resolved, or a 40 would
  be counted among the words; markup and tabs (BeerAdvocate's line breaks) stay.
- A field is one line, the text too. Where someone has broken a text into lines, they continue it up to the next blank
  line; a line without a key anywhere else makes its block unreadable.
- The extract of 50,000 reviews says `user/profileName` and `review/timeUnix` for `review/profileName` and
  `review/time`.

Source: McAuley, Leskovec and Jurafsky (2012), "Learning attitudes and attributes from multi-aspect reviews", ICDM,
which collected them; the format is described on snap.stanford.edu, web-RateBeer and web-BeerAdvocate.
"""

import ast
import html
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from html.entities import html5
from itertools import takewhile
from typing import Any

COLUMNS = {
    "item_id": "beer/beerId",
    "item_name": "beer/name",
    "category": "beer/style",
    "reviewer_id": "review/profileName",
    "time": "review/time",
    "overall": "review/overall",
    "scores.aroma": "review/aroma",
    "scores.appearance": "review/appearance",
    "scores.taste": "review/taste",
    "scores.palate": "review/palate",
    "attributes.abv_percent": "beer/ABV",
    "attributes.brewer_id": "beer/brewerId",
    "text": "review/text",
}

_TEXT, _STRENGTH = COLUMNS["text"], COLUMNS["attributes.abv_percent"]
_SCORES = [key for field, key in COLUMNS.items() if field == "overall" or field.startswith("scores.")]
_OTHER_NAMES = {"user/profileName": COLUMNS["reviewer_id"], "review/timeUnix": COLUMNS["time"]}
# Every review has every key, so that a field which the first reviews lack is no missing column.
_NO_FIELDS = dict.fromkeys(COLUMNS.values())

_JSON_TYPES = (str, int, float, dict, list, type(None))
_KEY = re.compile(r"(beer|review|user)/\w+")
_SCORE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*", re.ASCII)
_CHARACTER = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


class BeerReviews:
    """The reviews in the lines of a dump, one a call of `read`; the first line that is not blank tells its form."""

    def __init__(self, lines: Iterator[str]):
        self._lines = lines
        self._in_blocks: bool | None = None
        self._broken_off = False

    def read(self) -> dict[str, Any] | None:
        """Take the next review off the lines; None when there is a blank line, or the rest of a block, instead.

        Gives the values by the dump's keys, those of `COLUMNS` always there. Raises StopIteration at the end, and
        ValueError when what is there is no review; what the lines themselves raise comes through. After an error
        reading goes on behind the line, or behind the block.
        """
        if self._broken_off and self._in_blocks:
            self._rest_of_block()
            self._broken_off = False
            return None
        # Until it is read whole: the lines may raise, and what is left of a block must not pass for another one.
        self._broken_off = True
        line = next(self._lines)
        if line.isspace():
            self._broken_off = False
            return None
        if self._in_blocks is None:
            self._in_blocks = not line.lstrip().startswith("{")
        lines = [line, *self._rest_of_block()] if self._in_blocks else [line]
        self._broken_off = False
        return _with_every_field(_block_fields(lines) if self._in_blocks else _object_fields(line))

    def _rest_of_block(self) -> list[str]:
        return list(takewhile(str.strip, self._lines))


def _block_fields(lines: Iterable[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    more_text: list[str] = []
    key = None
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and _KEY.fullmatch(name):
            if name in fields:
                raise _twice(name)
            fields[name], key = value, name
        elif key == _TEXT:
            more_text.append(line)
        else:
            raise ValueError(f"{_shown(line)} is no field of a beer review, such as 'beer/name: Two Hearted Ale'")
    if more_text:
        fields[_TEXT] += "".join(more_text)
    return fields


def _object_fields(line: str) -> dict[str, Any]:
    try:
        fields = json.loads(line, strict=False, object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        return _python_fields(line, error.msg)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(fields, dict):
        raise ValueError(f"is a JSON {type(fields).__name__}, not an object")
    return fields


def _python_fields(line: str, complaint: str) -> dict[str, Any]:
    try:
        display = ast.parse(line.strip(), mode="eval").body
        fields, keys = ast.literal_eval(display), display.keys
    except UnicodeEncodeError:
        raise
    except (AttributeError, SyntaxError, TypeError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"is neither a JSON object ({complaint}) nor a Python dict") from None
    if len(fields) < len(keys):
        raise _twice(_first_repeated(map(ast.literal_eval, keys)))
    for key, value in fields.items():
        if not isinstance(value, _JSON_TYPES):
            raise ValueError(f"{_shown(key)} holds {type(value).__name__}, which JSON has not")
    return fields


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _twice(_first_repeated(key for key, _ in pairs))
    return fields


def _first_repeated(keys: Iterable) -> Any:
    seen = set()
    return next(key for key in keys if key in seen or seen.add(key))


def _twice(key: Any) -> ValueError:
    return ValueError(f"has the field {_shown(key)} twice")


def _with_every_field(fields: dict[str, Any]) -> dict[str, Any]:
    review = {**_NO_FIELDS, **fields}
    for other, key in _OTHER_NAMES.items():
        if review[key] is None:
            review[key] = review.get(other)
    for key, value in review.items():
        if isinstance(value, str) and "&" in value:
            review[key] = _CHARACTER.sub(_character, value)
    for key in _SCORES:
        if isinstance(review[key], str):
            review[key] = _points(review[key])
    if isinstance(review[_STRENGTH], str) and review[_STRENGTH].strip() == "-":
        review[_STRENGTH] = None
    return review


def _character(reference: re.Match) -> str:
    """The character that `&#40;` or `&eacute;` stands for; what only looks like a name, as in `S&M;`, stays."""
    name = reference[1]
    return html.unescape(reference[0]) if name.startswith("#") else html5.get(f"{name};", reference[0])


@lru_cache(maxsize=128)
def _points(score: str) -> str:
    """`13/20` is `13`; what is not a number of points out of so many stays as it is, for the reader to reject."""
    match = _SCORE.fullmatch(score)
    return match[1] if match and float(match[1]) <= float(match[2]) else score


def _shown(value: object) -> str:
    shown = repr(value.strip() if isinstance(value, str) else value)
    return shown if len(shown) <= 80 else f"{shown[:76]} ..."
