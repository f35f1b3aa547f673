"""Which rows are the same review, and which of them counts."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taproom.sources.repeated_reviews import replacements
from taproom.sources.review_files import ReviewFile
from tests.review_reading import read, rejections

GOOD = "a very good beer with malt and hops"


def versions(*texts, times=()):
    padded = [*times, *[None] * len(texts)]
    return [{"text": text, "time": time} for text, time in zip(texts, padded, strict=False)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (versions(GOOD, f"{GOOD} indeed"), [1, None]),
        (versions(GOOD, "something else altogether"), [None, None]),
        (versions(GOOD, "something else altogether", times=(5, 5)), [1, None]),
        (versions(GOOD, f"{GOOD} indeed", times=(7, 5)), [None, 0]),
        (versions(GOOD, f"{GOOD} indeed", times=(7, None)), [None, 0]),
        (versions("a b c d e f", "a b c d e g", "a b c d h g"), [2, 2, None]),
        (versions(*[f"{GOOD} {number}" for number in range(60)]), [None] * 60),
    ],
)
def test_a_newer_version_of_mostly_the_same_words_or_of_the_same_time_replaces(rows, expected):
    assert replacements(rows) == expected


def test_rows_of_one_id_item_and_reviewer(read_bytes):
    content = (
        b"review_id,item_id,reviewer_id,overall,text\n"
        b"1,ale,mia,2,a gud beer with malt and hops\n"
        b"1,ale,mia,2,a gud beer with malt and hops\n"
        b"1,ale,mia,4,a good beer with malt and hops\n"
        b"1,ale,mia,4,quite another text of some words\n"
        b"1,stout,mia,5,coffee\n"
        b"1,ale,tom,5,coffee\n"
        b"2,ale,tom,5,coffee\n"
    )
    table, reader = read_bytes(content)
    assert rejections(reader) == [(2, "replaced"), (3, "duplicate")]
    details = reader.rejected["detail"].to_pylist()
    assert details == ["corrected on line 4", "the same as on line 2"]
    ids = table["review_id"].to_pylist()
    assert (ids[0], ids[-1], len(set(ids))) == ("1", "2", 5)
    assert all(review_id.startswith("1-") for review_id in ids[1:-1])
    assert reader.repeated_share == 2 / 7


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=80),
    rows_per_batch=st.integers(1, 50),
)
def test_each_content_of_an_id_counts_once_whatever_the_batches(tmp_path, rows, rows_per_batch):
    path = tmp_path / "r.csv"
    lines = [f"{review},{item},text{said} {'x' * said}\n" for review, item, said in rows]
    path.write_text("review_id,item_id,text\n" + "".join(lines))
    table, reader = read(ReviewFile(path), rows_per_batch=rows_per_batch)
    assert table.num_rows == len(set(rows))
    assert len(set(table["review_id"].to_pylist())) == table.num_rows
    repeats = [place + 2 for place, row in enumerate(rows) if row in rows[:place]]
    assert rejections(reader) == [(line, "duplicate") for line in repeats]
    assert read(ReviewFile(path), rows_per_batch=3)[0].equals(table)
