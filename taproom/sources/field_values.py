"""Values as people write them in tables: numbers, scores, times and ids, and what counts as missing.

Readers of CSV, JSON lines and Parquet share these rules, so a value means the same whatever file it is in. A text is
read as one value, as missing, or refused with the reason; it is never guessed. How files are cut into texts belongs to
the readers.

Sources: ISO 8601 for times; Microsoft's documentation of the 1900 date system, in which day 1 is 1 January 1900 and
1900 counts as a leap year, for days of spreadsheets.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

DateOrder = Literal["dmy", "mdy"]

# In columns of numbers and times; in lower case. NaT is how pandas, and \N how MySQL writes what is missing.
MISSING = frozenset({"", "nan", "na", "n/a", "#n/a", "nat", "null", "none", "-", "\\n"})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_YEAR, _LAST_YEAR = 1800, 2200
# Day 0 of a spreadsheet, so that its days from March 1900 on are right.
_SPREADSHEET = datetime(1899, 12, 30, tzinfo=UTC)
# From 1940 to 2100.
_SPREADSHEET_DAYS = (14_611, 73_416)
# The powers of ten that a time's unit is of a second, by the number of digits before the decimal point: from 1973 to
# 2286 in seconds, milliseconds, microseconds and nanoseconds.
_UNITS = {9: 0, 10: 0, 12: 3, 13: 3, 15: 6, 16: 6, 18: 9, 19: 9}

_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d{1,2}", re.ASCII)
_OUT_OF = re.compile(r"(?P<value>[^/a-z]+?)\s*(?:/|out of|von|sur|of)\s*(?P<scale>[\d.,]+)", re.ASCII)
_STARS = re.compile(r"(★*)(½?)(☆*)")
_STARRED = re.compile(r"(?P<value>[\d.,]+)[\s-]*(?:stars?|★)", re.ASCII)
_PERCENT = re.compile(r"(?P<value>[\d.,]+)\s*%", re.ASCII)

# As programs and spreadsheets write a large number. Spreadsheets show five digits after the point at most.
_EXPONENT = re.compile(r"\d+(?:\.(?P<fraction>\d+))?[eE]\+\d{2,}", re.ASCII)
_SHOWN_DIGITS = 5
_WHOLE_ID = re.compile(r"(-?\d+)\.0+", re.ASCII)
# Beyond it, floating-point numbers do not hold every whole number.
EXACT_BELOW = 2**53

_WHOLE = re.compile(r"(\d+)(?:\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE]\+?\d+)?", re.ASCII)
_THREE = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:[ T]+(\d{1,2}:\d{2}(?::\d{2})?))?", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})[/.-](\d{1,2})(?:[/.-](\d{1,2}))?(?:[ T]+(\d{1,2}:\d{2}(?::\d{2})?))?", re.ASCII)
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
         "sep sept september", "oct october", "nov november", "dec december"), 1,
    )
    for name in names.split()
}  # fmt: skip
_NAMED_MONTH = re.compile(
    r"(?:[a-z]{3,9},?\s+)??(?:(?P<month>[a-z]{3,9})\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?"
    r"|(?P<day_first>\d{1,2})(?:st|nd|rd|th)?[\s-]+(?P<month_second>[a-z]{3,9})\.?,?)[\s-]+(?P<year>\d{4})"
    r"(?:,?\s+(?:at\s+)?(?P<clock>\d{1,2}:\d{2}(?::\d{2})?)\s*(?P<half>[ap]m)?)?",
    re.ASCII,
)


class AmbiguousTimeError(ValueError):
    """A date whose day and month cannot be told apart."""


class Score(NamedTuple):
    """A score, and the highest one of its scale where the text says so."""

    value: float
    scale: float | None = None


def is_missing(text: str | None) -> bool:
    """Whether a text of a column of numbers or times stands for no value.

    >>> [is_missing(text) for text in ("NaN", " n/a ", "-", None, "0")]
    [True, True, True, True, False]
    """
    return text is None or text.strip().lower() in MISSING


def whole_id(text: str) -> str:
    """An id as it is written for a whole number, whatever type its column had.

    Spreadsheets and data frames write the ids 123 and 456 as 123.0 and 456.0 once one of their column is missing.

    Raises `ValueError` for a number whose last digits are lost: as a spreadsheet shows it, or too large to be exact.

    >>> whole_id("123.0"), whole_id("9.780140000001e+12"), whole_id("B0012")
    ('123', '9780140000001', 'B0012')
    >>> whole_id("9.78014E+12")
    Traceback (most recent call last):
    ...
    ValueError: '9.78014E+12' is a number whose last digits are lost
    """
    if match := _WHOLE_ID.fullmatch(text):
        return match[1]
    if match := _EXPONENT.fullmatch(text):
        value = float(text)
        if len(match["fraction"] or "") <= _SHOWN_DIGITS or value >= EXACT_BELOW:
            raise ValueError(f"{text!r} is a number whose last digits are lost")
        return str(int(value)) if value.is_integer() else text
    return text


def score(text: str) -> Score:
    """A score as people write it: 4.5, 4,5, 15/20, 4 out of 5, ★★★★☆, 4 stars, 80 %.

    Raises `ValueError` for anything else, for what is not finite, and for more than the highest score of its scale.

    >>> score("15/20"), score("4,5"), score("★★★★☆"), score("4 stars")
    (Score(value=15.0, scale=20.0), Score(value=4.5, scale=None), Score(value=4.0, scale=5.0), Score(value=4.0, scale=5.0))
    """  # noqa: E501 (one line of output)
    text = text.strip().lower()
    if _PLAIN.fullmatch(text) or _COMMA.fullmatch(text):
        return Score(_finite(text))
    if match := _OUT_OF.fullmatch(text):
        return _on_scale(_finite(match["value"]), _finite(match["scale"]))
    if text and (match := _STARS.fullmatch(text)):
        full, half, empty = map(len, match.groups())
        return Score(full + half / 2, max(5.0, full + half + empty))
    if match := _STARRED.fullmatch(text):
        return _on_scale(_finite(match["value"]), 5.0)
    if match := _PERCENT.fullmatch(text):
        return _on_scale(_finite(match["value"]), 100.0)
    raise ValueError(f"{text!r} is no score")


def _on_scale(value: float, scale: float) -> Score:
    if not 0 <= value <= scale:
        raise ValueError(f"{value:g} is not on a scale from 0 to {scale:g}")
    return Score(value, scale)


def _finite(text: str) -> float:
    text = text.strip()
    value = float(text.replace(",", ".") if _COMMA.fullmatch(text) else text)
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not finite")
    return value


def microseconds(text: str, order: DateOrder | None = None) -> int:
    """A time as microseconds since 1970; without a time zone it is UTC, without a day the first.

    Taken are ISO 8601; 2009/01/18; Jan 18, 2009 and 18 January 2009, with a clock or without; 18/01/2009 where `order`
    says which is the day, or it is above 12; and numbers by their digits: a year (2012), a month (201203), a day
    (20120131), a spreadsheet's day (43831), or seconds, milliseconds, microseconds or nanoseconds since 1970.

    Raises `AmbiguousTimeError` where `order` is needed, and `ValueError` for anything else; the message has the reason.

    >>> from datetime import datetime, UTC
    >>> [str(datetime.fromtimestamp(microseconds(text) / 1e6, UTC).date())
    ...  for text in ("2012", "201203", "20120131.0", "43831", "1325376000000", "Jan 18, 2009", "18/01/2009")]
    ['2012-01-01', '2012-03-01', '2012-01-31', '2020-01-01', '2012-01-01', '2009-01-18', '2009-01-18']
    """
    try:
        return _microseconds(re.sub(r" (UTC|GMT)$", "", text.strip()), order)
    except OverflowError:
        raise ValueError(f"{text!r} is not in the years 1 to 9999") from None


def _microseconds(text: str, order: DateOrder | None) -> int:
    if _NUMBER.fullmatch(text):
        return _of_number(text)
    if match := _THREE.fullmatch(text):
        return _since_1970(_with_clock(_ordered(match, order), match[5], None))
    if match := _YEAR_FIRST.fullmatch(text):
        return _since_1970(_with_clock(datetime(int(match[1]), int(match[2]), int(match[3] or 1)), match[4], None))
    if match := _NAMED_MONTH.fullmatch(text.lower()):
        month = _MONTHS.get(match["month"] or match["month_second"])
        if month is None:
            raise ValueError(f"{text!r} has no month's name in English")
        day = datetime(int(match["year"]), month, int(match["day"] or match["day_first"]))
        return _since_1970(_with_clock(day, match["clock"], match["half"]))
    try:
        return _since_1970(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError(f"{text!r} is no time that is understood") from None


def _of_number(text: str) -> int:
    """A number as a time, by the number of its digits."""
    whole = _WHOLE.fullmatch(text)
    digits = whole[1] if whole else ""
    if len(digits) == 4 and _FIRST_YEAR <= int(digits) <= _LAST_YEAR:
        return _since_1970(datetime(int(digits), 1, 1))
    if len(digits) in (6, 8) and _FIRST_YEAR <= int(digits[:4]) <= _LAST_YEAR:
        try:
            return _since_1970(datetime(int(digits[:4]), int(digits[4:6]), int(digits[6:] or 1)))
        except ValueError:
            raise ValueError(f"{text!r} is no {'month' if len(digits) == 6 else 'day'}") from None
    value = float(text)
    if _SPREADSHEET_DAYS[0] <= value < _SPREADSHEET_DAYS[1]:
        return _since_1970(_SPREADSHEET + timedelta(days=value))
    power = _UNITS.get(len(str(int(abs(value)))))
    if power is None or value < 0:
        raise ValueError(f"{text!r} is a number that may be many times")
    exact = int(digits) if digits else value  # a float does not hold all digits of nanoseconds
    return int(exact * 10 ** (6 - power)) if power <= 6 else int(exact) // 10 ** (power - 6)


def _ordered(match: re.Match, order: DateOrder | None) -> datetime:
    """The day of two numbers and a year."""
    first, second, year = int(match[1]), int(match[3]), int(match[4])
    if order is None and first <= 12 and second <= 12 and first != second:
        raise AmbiguousTimeError(f"{match[0]!r} may be two days: say whether the day or the month comes first")
    is_day_first = order == "dmy" if order else first > 12 or first == second
    day, month = (first, second) if is_day_first else (second, first)
    try:
        return datetime(year, month, day)
    except ValueError:
        raise ValueError(f"{match[0]!r} is no day") from None


def _with_clock(day: datetime, clock: str | None, half: str | None) -> datetime:
    if clock is None:
        return day
    hour, minute, *second = map(int, clock.split(":"))
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return day.replace(hour=hour, minute=minute, second=second[0] if second else 0)


def _since_1970(time: datetime) -> int:
    utc = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    return (utc - _EPOCH) // _MICROSECOND
