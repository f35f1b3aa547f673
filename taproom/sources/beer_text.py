"""Beer reviews in the form of the public dumps of RateBeer and BeerAdvocate: from lines of text to named fields.

The dumps come as blocks of `key: value` lines, a blank line after each (`ratebeer.txt`), or as one object a line
(`ratebeer.json`), in most copies a Python dict and not JSON. Here belongs what is special to them; lines and encodings
belong to `taproom.sources.record_lines`, rows and rejections to `taproom.sources.text_rows`. How the dumps are read
follows from what is in them:

- Several beers can have the same name, but not the same id: `beer/beerId` identifies the beer, `beer/name` names it. An
  id belongs to one site: beer 7 of RateBeer is not beer 7 of BeerAdvocate.
- RateBeer writes a score as `13/20`, BeerAdvocate as `3.5`. The number stays on its scale: 13 of 20, and 3.5.
- An unknown strength is `-` at RateBeer, and blank at BeerAdvocate.
- RateBeer writes some characters as HTML references (`India Pale Ale &#40;IPA&#41;`). They are resolved, or 40 would be
  counted as a word. Markup and tabs (BeerAdvocate's line breaks) stay.
- A field, including the text, is one line. If a text is broken into several lines, it ends at the next blank line. A
  line without a key anywhere else makes its block unreadable.
- The extract of 50,000 reviews has `user/profileName` and `review/timeUnix` instead of `review/profileName` and
  `review/time`.

Source: McAuley, Leskovec and Jurafsky (2012), "Learning attitudes and attributes from multi-aspect reviews", ICDM,
which collected them; the format is described on snap.stanford.edu, web-RateBeer and web-BeerAdvocate.
"""

import html
import re
from collections.abc import Iterable, Iterator
from html.entities import html5
from itertools import takewhile
from typing import Any

from taproom.sources.characters import shown
from taproom.sources.json_objects import json_object

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
_OTHER_NAMES = {"user/profileName": COLUMNS["reviewer_id"], "review/timeUnix": COLUMNS["time"]}
# Every review has every key, so that a field that the first reviews do not have is not taken for a missing column.
_NO_FIELDS = dict.fromkeys(COLUMNS.values())

_KEY = re.compile(r"(beer|review|user)/\w+")
_CHARACTER = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


class BeerReviews:
    """Reads the reviews in the lines of a dump; the first line that is not blank decides which form it has.

    >>> lines = iter(["beer/name: Two Hearted Ale", "review/overall: 15/20", "review/text: Hoppy", ""])
    >>> review = BeerReviews(lines).read()
    >>> review["beer/name"], review["review/overall"], review["review/time"]
    (' Two Hearted Ale', ' 15/20', None)
    """

    def __init__(self, lines: Iterator[str]):
        self._lines = lines
        self._in_blocks: bool | None = None
        self._broken_off = False

    def read(self) -> dict[str, Any] | None:
        """Read the next review; None if there is a blank line, or the rest of a bad block, instead.

        Returns:
            The values by the dump's keys; those of `COLUMNS` are always there, None without a value.

        Raises StopIteration at the end and ValueError if the next line or block is not a review; errors of the lines
        themselves pass through. After an error, reading goes on after the line or block.
        """
        if self._broken_off and self._in_blocks:
            self._rest_of_block()
            self._broken_off = False
            return None
        # Until all of it is read: the lines may raise, and the rest of a block must not be taken for another block.
        self._broken_off = True
        line = next(self._lines)
        if line.isspace():
            self._broken_off = False
            return None
        if self._in_blocks is None:
            self._in_blocks = not line.lstrip().startswith("{")
        lines = [line, *self._rest_of_block()] if self._in_blocks else [line]
        self._broken_off = False
        return _with_every_field(_block_fields(lines) if self._in_blocks else json_object(line))

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
                raise ValueError(f"has the field {shown(name)} twice")
            fields[name], key = value, name
        elif key == _TEXT:
            more_text.append(line)
        else:
            raise ValueError(
                f"{shown(line.strip())} is not a field of a beer review, such as 'beer/name: Two Hearted Ale'"
            )
    if more_text:
        fields[_TEXT] += "".join(more_text)
    return fields


def _with_every_field(fields: dict[str, Any]) -> dict[str, Any]:
    review = {**_NO_FIELDS, **fields}
    for other, key in _OTHER_NAMES.items():
        if review[key] is None:
            review[key] = review.get(other)
    for key, value in review.items():
        if isinstance(value, str) and "&" in value:
            review[key] = _CHARACTER.sub(_character, value)
    if isinstance(review[_STRENGTH], str) and review[_STRENGTH].strip() == "-":
        review[_STRENGTH] = None
    return review


def _character(reference: re.Match) -> str:
    """The character that `&#40;` or `&eacute;` means; what only looks like a reference, as in `S&M;`, stays."""
    name = reference[1]
    return html.unescape(reference[0]) if name.startswith("#") else html5.get(f"{name};", reference[0])
