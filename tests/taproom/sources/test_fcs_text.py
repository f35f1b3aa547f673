import os
from collections.abc import Callable

import pytest

from taproom.sources.fcs_damage import Damage, FcsError
from taproom.sources.fcs_text import parse_keywords, read_header
from tests.fcs_file import fcs_bytes


@pytest.fixture
def damage(write_fcs) -> Callable[[bytes], Damage]:
    """The damage that is found; its message must name the file and what was wanted."""

    def find(content: bytes) -> Damage:
        with pytest.raises(FcsError, match=r"cells\.fcs: .*; wanted") as refused:
            read_header(write_fcs(content))
        return refused.value.damage

    return find


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", Damage.NOT_FCS),
        (b"PK\x03\x04" * 50, Damage.NOT_FCS),
        (b"FCS3.1  ", Damage.TRUNCATED),
        (fcs_bytes(version="1.0"), Damage.VERSION),
        (fcs_bytes()[:100], Damage.TRUNCATED),
        (fcs_bytes(header={"text_end": 99_999_999}), Damage.TRUNCATED),
        (fcs_bytes(header={"text": -1}), Damage.OFFSETS),
        (fcs_bytes(header={"text": 5}), Damage.OFFSETS),
        (fcs_bytes(header={"text": 200, "text_end": 100}), Damage.OFFSETS),
        (fcs_bytes(header={"text": "", "text_end": ""}), Damage.OFFSETS),
    ],
)
def test_damaged_headers_are_refused(damage, content, found):
    assert damage(content) is found


@pytest.mark.parametrize("delimiter", ["/", "|", "\\", "*", "\x0c", "^", "é"])
def test_keywords_are_split_at_any_delimiter_and_a_doubled_one_is_part_of_the_value(delimiter):
    segment = "/$PAR/3/cyt/one//two/$P1N/FL1 ä/".replace("/", delimiter)
    wanted = {"PAR": "3", "CYT": f"one{delimiter}two", "P1N": "FL1 ä"}
    assert parse_keywords(segment.encode()) == wanted
    assert parse_keywords(segment.encode("latin-1")) == wanted


def test_no_more_text_is_read_than_its_cap(tmp_path):
    path = tmp_path / "long.fcs"
    path.write_bytes(fcs_bytes(header={"text_end": 99_000_000}))
    os.truncate(path, 10**8)
    with pytest.raises(FcsError, match=r"99,.* bytes; wanted 4,194,304 at most") as refused:
        read_header(path)
    assert refused.value.damage is Damage.TOO_LARGE
