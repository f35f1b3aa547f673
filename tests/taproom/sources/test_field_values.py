from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taproom.sources.field_values import AmbiguousTimeError, Score, is_missing, microseconds, score, whole_id


def day(text: str, order=None) -> str:
    return f"{datetime.fromtimestamp(microseconds(text, order) / 1e6, UTC):%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize("text", ["", " ", "NaN", "nan", "NA", "N/A", "NULL", "null", "None", "NaT", "\\N", "-", None])
def test_what_is_missing(text):
    assert is_missing(text)


@pytest.mark.parametrize("text", ["0", "no", "nano", "--", "x"])
def test_what_is_not_missing(text):
    assert not is_missing(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4.5", Score(4.5)),
        ("-1e2", Score(-100.0)),
        (".5", Score(0.5)),
        ("4,5", Score(4.5)),
        ("15/20", Score(15.0, 20.0)),
        ("4 / 5", Score(4.0, 5.0)),
        ("3,5/5", Score(3.5, 5.0)),
        ("4 out of 5", Score(4.0, 5.0)),
        ("★★★★", Score(4.0, 5.0)),
        ("★★★½☆", Score(3.5, 5.0)),
        ("★" * 8 + "☆☆", Score(8.0, 10.0)),
        ("4 stars", Score(4.0, 5.0)),
        ("1 Star", Score(1.0, 5.0)),
        ("80 %", Score(80.0, 100.0)),
    ],
)
def test_scores_are_read_with_their_scale(text, expected):
    assert score(text) == expected


@pytest.mark.parametrize(
    "text", ["good", "21/20", "6 stars", "-1/5", "4/0", "1,234", "1/2/3", "", "inf", "1e999", "four of five", "4 5"]
)
def test_what_is_no_score_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        score(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2012", "2012-01-01 00:00:00"),
        ("201203", "2012-03-01 00:00:00"),
        ("20120131", "2012-01-31 00:00:00"),
        ("20120131.0", "2012-01-31 00:00:00"),
        ("43831", "2020-01-01 00:00:00"),
        ("43831.5", "2020-01-01 12:00:00"),
        ("1325376000", "2012-01-01 00:00:00"),
        ("1325376000.0", "2012-01-01 00:00:00"),
        ("1.325376e9", "2012-01-01 00:00:00"),
        ("1325376000000", "2012-01-01 00:00:00"),
        ("1325376000000000", "2012-01-01 00:00:00"),
        ("1325376000000000000", "2012-01-01 00:00:00"),
        ("2012-01-31", "2012-01-31 00:00:00"),
        ("2012-01-31T10:00:00+02:00", "2012-01-31 08:00:00"),
        ("2012-01-31 10:00:00Z", "2012-01-31 10:00:00"),
        ("2012/1/31", "2012-01-31 00:00:00"),
        ("2012-1-3", "2012-01-03 00:00:00"),
        ("2012-03", "2012-03-01 00:00:00"),
        ("2012-01-31 10:00:00 UTC", "2012-01-31 10:00:00"),
        ("Sun, 18 Jan 2009 10:00:00 GMT", "2009-01-18 10:00:00"),
        ("Jan 18, 2009", "2009-01-18 00:00:00"),
        ("January 18, 2009 at 3:45 PM", "2009-01-18 15:45:00"),
        ("Sunday, January 18, 2009", "2009-01-18 00:00:00"),
        ("18 Jan 2009", "2009-01-18 00:00:00"),
        ("18-Jan-2009", "2009-01-18 00:00:00"),
        ("18/01/2009", "2009-01-18 00:00:00"),
        ("01/18/2009 12:30", "2009-01-18 12:30:00"),
        ("05.05.2009", "2009-05-05 00:00:00"),
    ],
)
def test_times_are_what_they_are_written_as(text, expected):
    assert day(text) == expected


def test_what_may_be_two_days_needs_an_order():
    assert day("05/06/2009", "dmy").startswith("2009-06-05")
    assert day("05/06/2009", "mdy").startswith("2009-05-06")
    with pytest.raises(AmbiguousTimeError, match="whether the day or the month"):
        microseconds("05/06/2009")


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "86400",
        "1e999",
        "0001-01-01T00:00+10:00",
        "201213",
        "20121341",
        "-5",
        "yesterday",
        "31/02/2009",
        "18 Foo 2009",
        "",
    ],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        microseconds(text)


@given(st.datetimes(datetime(1973, 6, 1), datetime(2199, 1, 1)).map(lambda time: time.replace(microsecond=0)))
def test_a_time_is_the_same_however_it_is_written(time):
    seconds = int(time.replace(tzinfo=UTC).timestamp())
    numbers = [str(seconds), str(seconds * 1000)]
    days = [time.isoformat(), f"{time:%d/%m/%Y %H:%M:%S}", f"{time:%b} {time.day}, {time:%Y %H:%M:%S}"]
    for text in numbers + days:
        assert microseconds(text, "dmy") == seconds * 1_000_000


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_refused(text):
    for read in (score, microseconds):
        with suppress(ValueError):
            assert read(text) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("123", "123"),
        ("123.0", "123"),
        ("123.00", "123"),
        ("9.780140000001e+12", "9780140000001"),
        ("1E5", "1E5"),
        ("B01.0", "B01.0"),
        ("1.5", "1.5"),
        ("1e99", "1e99"),
    ],
)
def test_an_id_is_the_same_from_a_column_of_whole_numbers_and_of_floats(text, expected):
    assert whole_id(text) == expected


@pytest.mark.parametrize("text", ["9.78014E+12", "9.78e+12", "1.152921504606846976e+18", "33554432.0e+00"])
def test_an_id_that_has_lost_digits_is_refused(text):
    with pytest.raises(ValueError, match="last digits are lost"):
        whole_id(text)
