from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings

from taproom.sources.fcs import read_fcs
from taproom.sources.fcs_damage import Damage, FcsError
from taproom.sources.fcs_data import find_data
from taproom.sources.fcs_text import read_header
from tests.fcs_file import FLIPS, SOUND, TEXT_BEGIN, VALUES, fcs_bytes, outcome_of_flipped


@pytest.fixture
def damage(write_fcs) -> Callable[[bytes], Damage]:
    """The damage that is found before any event is read; its message must name the file and what was wanted."""

    def find(content: bytes) -> Damage:
        with pytest.raises(FcsError, match=r"cells\.fcs: .*; wanted") as refused:
            find_data(read_header(write_fcs(content)))
        return refused.value.damage

    return find


def test_without_events_there_need_not_be_offsets(recording):
    nowhere = {"BEGINDATA": "0", "ENDDATA": "0"}
    assert recording(VALUES[:0], nowhere, header={"data": 0, "data_end": 0}).values.shape == (0, 3)


@pytest.mark.parametrize("bits", [(32,) * 3, (8,) * 3, (8, 16, 32)])
def test_a_last_byte_that_is_one_too_many_is_accepted(write_fcs, bits):
    keywords = {"DATATYPE": "F" if bits[0] == 32 else "I"}
    content = fcs_bytes(np.ones((2, 3)), keywords, bits=bits)
    last = int(content[34:42])
    path = write_fcs(content.replace(f"{last:8d}".encode(), f"{last + 1:8d}".encode()))
    assert read_fcs(path).values.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("blank", ["", "0"])
def test_offsets_that_are_missing_in_the_header_are_in_text_and_the_other_way_round(recording, blank):
    assert (recording(header={"data": blank, "data_end": blank}).values == VALUES).all()
    assert (recording(keywords={"BEGINDATA": blank or " ", "ENDDATA": blank or " "}).values == VALUES).all()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (fcs_bytes()[:-1], Damage.TRUNCATED),
        (fcs_bytes(header={"data": "1e3"}), Damage.OFFSETS),
        (fcs_bytes(header={"data": "-58"}), Damage.OFFSETS),
        (fcs_bytes(header={"data": "²"}), Damage.OFFSETS),
        (fcs_bytes(header={"data": 999, "data_end": 9}, version="2.0"), Damage.OFFSETS),
        (fcs_bytes(header={"data": 9_999, "data_end": 99_999}, version="2.0"), Damage.TRUNCATED),
        (fcs_bytes(header={"data": 99}), Damage.OFFSETS),
        (fcs_bytes(header={"data": 0, "data_end": 23}, version="2.0"), Damage.OFFSETS),
        (fcs_bytes(header={"data": 100, "data_end": 123}, version="2.0"), Damage.OFFSETS),
        (fcs_bytes(keywords={"ENDDATA": "many"}), Damage.OFFSETS),
        (fcs_bytes(keywords={"ENDDATA": "9" * 30}), Damage.OFFSETS),
    ],
)
def test_impossible_offsets_of_the_events_are_refused(damage, content, found):
    assert damage(content) is found


@pytest.mark.parametrize(
    ("keywords", "found"),
    [
        ({"TOT": 10**12}, Damage.EVENT_COUNT),
        ({"TOT": 1}, Damage.EVENT_COUNT),
        ({"TOT": -2}, Damage.EVENT_COUNT),
        ({"TOT": None}, Damage.EVENT_COUNT),
        ({"TOT": "2.0"}, Damage.EVENT_COUNT),
        ({"PAR": 0}, Damage.CHANNEL_COUNT),
        ({"PAR": 10**9}, Damage.CHANNEL_COUNT),
        ({"PAR": "three"}, Damage.CHANNEL_COUNT),
        ({"PAR": 4}, Damage.BIT_WIDTH),
        ({"PAR": 2}, Damage.EVENT_COUNT),
        ({"P2B": 0}, Damage.BIT_WIDTH),
        ({"P2B": 16}, Damage.BIT_WIDTH),
        ({"P2B": "*"}, Damage.BIT_WIDTH),
        ({"P2B": None}, Damage.BIT_WIDTH),
        ({"DATATYPE": "I", "P2B": 24}, Damage.BIT_WIDTH),
        ({"DATATYPE": "I", "P2B": 0}, Damage.BIT_WIDTH),
        ({"DATATYPE": "I", "P2R": 0}, Damage.CHANNEL_RANGE),
        ({"DATATYPE": "I", "P2R": 2**17}, Damage.CHANNEL_RANGE),
        ({"DATATYPE": "I", "P2R": "1024.5"}, Damage.CHANNEL_RANGE),
        ({"P2R": None}, Damage.CHANNEL_RANGE),
        ({"P2R": "wide"}, Damage.CHANNEL_RANGE),
        ({"P2R": "1e999"}, Damage.CHANNEL_RANGE),
        ({"P2N": None}, Damage.KEYWORDS),
        ({"MODE": "C"}, Damage.UNSUPPORTED_TYPE),
        ({"MODE": None}, Damage.UNSUPPORTED_TYPE),
        ({"DATATYPE": "A"}, Damage.UNSUPPORTED_TYPE),
        ({"BYTEORD": "3,4,1,2"}, Damage.UNSUPPORTED_TYPE),
        ({"BYTEORD": " 4,3,2,1"}, Damage.UNSUPPORTED_TYPE),
        ({"P2DATATYPE": "I"}, Damage.UNSUPPORTED_TYPE),
        ({"NEXTDATA": "4096"}, Damage.SEVERAL_DATA_SETS),
        ({"NEXTDATA": "-1"}, Damage.SEVERAL_DATA_SETS),
    ],
)
def test_missing_and_impossible_keywords_are_refused(damage, keywords, found):
    assert damage(fcs_bytes(keywords=keywords)) is found


@given(flips=FLIPS)
@settings(max_examples=400, deadline=None)
def test_whatever_bytes_are_flipped_the_events_are_inside_the_file_or_it_is_refused(scratch, flips):
    found = outcome_of_flipped(lambda path: find_data(read_header(path)), scratch, flips)
    assert isinstance(found, Damage) or TEXT_BEGIN <= found.begin <= found.end <= len(SOUND)
