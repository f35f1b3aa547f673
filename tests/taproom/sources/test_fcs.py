import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flowio import FlowData
from hypothesis import given, settings
from hypothesis import strategies as st

from taproom.sources.fcs import Recording, read_fcs
from taproom.sources.fcs_header import Damage, FcsError, Header, data_set_headers
from taproom.sources.fetching import Source, member, read_sources
from tests.fcs_file import TEXT_BEGIN, VALUES, fcs_bytes


def read_headers(path: Path) -> list[Header]:
    with path.open("rb") as file:
        return data_set_headers(path, file, path.stat().st_size)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write_bytes(content: bytes) -> Path:
        path = tmp_path / "cells.fcs"
        path.write_bytes(content)
        return path

    return write_bytes


@pytest.fixture
def recording(write) -> Callable[..., Recording]:
    return lambda *arguments, **options: read_fcs(write(fcs_bytes(*arguments, **options)))


@pytest.fixture
def damage(write) -> Callable[[bytes], Damage]:
    """The damage that the guard finds; its message must name the file and what was wanted."""

    def find(content: bytes) -> Damage:
        with pytest.raises(FcsError, match=r"cells\.fcs: .*; wanted") as refused:
            read_headers(write(content))
        return refused.value.damage

    return find


@pytest.mark.parametrize("version", ["2.0", "3.0", "3.1", "3.2"])
def test_a_small_file_reads_in_every_version(recording, version):
    found = recording(version=version)
    assert found.channels == ("FL1-A", "FL2-A", "FL3-A")
    assert found.values.dtype == np.float64
    assert found.values.flags.writeable
    assert (found.values == VALUES).all()
    assert (found.instrument, found.date, found.well, found.spillover) == ("Ours", None, None, None)
    assert found.version == version


@pytest.mark.parametrize("order", ["1,2,3,4", "4,3,2,1"])
@pytest.mark.parametrize(
    ("datatype", "bits"), [("F", (32,) * 3), ("D", (64,) * 3), ("I", (8,) * 3), ("I", (16,) * 3), ("I", (8, 32, 16))]
)
def test_every_type_of_number_reads_in_both_byte_orders(recording, datatype, bits, order):
    values = np.array([[1, 2, 3], [4, 255, 66]])
    found = recording(values, {"DATATYPE": datatype, "BYTEORD": order}, bits=bits)
    assert (found.values == values).all()


def test_scales_are_those_that_the_keywords_name(recording):
    values = np.array([[512, 100, 7, 1500]])
    keywords = {"DATATYPE": "I", "P1E": "4,1", "P2G": "2", "P3N": "Time", "TIMESTEP": "0.5"}
    found = recording(values, keywords)
    # 1500 is beyond the range of 1024, and only its lower ten bits count.
    assert found.values.tolist() == [[100, 50, 3.5, 1500 - 1024]]


def test_nan_and_infinity_stay_as_they_are(recording):
    values = np.array([[np.nan, np.inf, 1], [-np.inf, 2, 3]])
    np.testing.assert_array_equal(recording(values).values, values)


@pytest.mark.parametrize("events", [0, 1])
def test_one_event_and_none_read(recording, events):
    assert recording(VALUES[:events]).values.shape == (events, 3)


def test_no_events_may_have_no_place(recording):
    nowhere = {"BEGINDATA": "0", "ENDDATA": "0"}
    assert recording(VALUES[:0], nowhere, header={"data": 0, "data_end": 0}).values.shape == (0, 3)


@pytest.mark.parametrize("bits", [(32,) * 3, (8,) * 3, (8, 16, 32)])
def test_a_last_byte_that_is_one_too_far_is_understood(write, bits):
    keywords = {"DATATYPE": "F" if bits[0] == 32 else "I"}
    content = fcs_bytes(np.ones((2, 3)), keywords, bits=bits)
    last = int(content[34:42])
    path = write(content.replace(f"{last:8d}".encode(), f"{last + 1:8d}".encode()))
    assert read_fcs(path).values.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("blank", ["", "0"])
def test_offsets_that_the_header_leaves_out_are_in_text_and_the_other_way_round(recording, blank):
    assert (recording(header={"data": blank, "data_end": blank}).values == VALUES).all()
    assert (recording(keywords={"BEGINDATA": blank or " ", "ENDDATA": blank or " "}).values == VALUES).all()


@pytest.mark.slow
def test_events_beyond_what_the_header_can_tell_read(tmp_path):
    events = 12_500_000
    keywords = {"DATATYPE": "D", "TOT": events, "ENDDATA": 123_456_789}
    begin = len(fcs_bytes(VALUES[:0, :1], keywords))
    end = begin + 8 * events
    content = fcs_bytes(VALUES[:0, :1], {**keywords, "ENDDATA": end - 1}, header={"data": 0, "data_end": 0})
    path = tmp_path / "large.fcs"
    path.write_bytes(content)
    os.truncate(path, end)
    found = read_fcs(path).values
    assert found.shape == (events, 1)
    assert not found.any()


def test_a_logarithmic_scale_after_an_empty_value_counts(recording):
    found = recording(
        np.array([[512, 512, 512]]),
        {"DATATYPE": "I", "P3E": "4,1"},
        rewrite=lambda text: text.replace("/$P3E", "/$P2S//$P3E"),
    )
    assert found.values.tolist() == [[512, 512, 100]]
    assert found.repairs == ("its TEXT segment has empty values",)


@pytest.mark.parametrize("keyword", ["TIMESTEP", "P3G"])
def test_a_last_value_that_is_not_closed_counts(recording, keyword):
    keywords = {"P3N": "Time" if keyword == "TIMESTEP" else "FL3", keyword: "0.01"}
    found = recording(keywords=keywords, rewrite=lambda text: text[:-1])
    expected = VALUES[:, 2] * 0.01 if keyword == "TIMESTEP" else VALUES[:, 2] / 0.01
    assert (found.values[:, 2] == expected).all()


def test_a_spillover_matrix_in_the_supplemental_text_counts(write):
    content = fcs_bytes(keywords={"BEGINSTEXT": f"{999:8d}", "ENDSTEXT": f"{999:8d}"})
    extra = b"/$SPILLOVER/2,FL1-A,FL3-A,1,0.1,0.2,1/"
    begin, end = len(content), len(content) + len(extra) - 1
    content = content.replace(b"STEXT/     999", f"STEXT/{begin:8d}".encode(), 1)
    content = content.replace(b"STEXT/     999", f"STEXT/{end:8d}".encode(), 1)
    assert read_fcs(write(content + extra)).spillover.channels == ("FL1-A", "FL3-A")


def test_blanks_around_keywords_do_not_matter(recording):
    found = recording(keywords={"BYTEORD": "1, 2, 3, 4", "MODE": "L ", "DATATYPE": "F"})
    assert (found.values == VALUES).all()
    assert not found.repairs


def test_a_channel_may_have_a_type_of_its_own(recording):
    data = np.array([(1.5, 7, 2.5), (3.5, 8, 4.5)], "<f4,<u2,<f4").tobytes()
    found = recording(np.ones((2, 3)), {"P2DATATYPE": "I", "P2B": 16}, data=data)
    assert found.values.tolist() == [[1.5, 7, 2.5], [3.5, 8, 4.5]]


def test_a_file_without_a_count_has_as_many_events_as_its_data_hold(recording):
    found = recording(keywords={"TOT": None})
    assert (found.values == VALUES).all()
    assert found.repairs == ("it has no $TOT: its DATA segment holds 2 events",)


@pytest.mark.parametrize("too_far", [1, 2])
def test_an_end_that_is_too_far_is_repaired_and_reported(write, too_far):
    content = fcs_bytes()
    end = int(content[34:42])
    content = content.replace(f"{end:8d}".encode(), f"{end + too_far:8d}".encode()) + bytes(too_far)
    found = read_fcs(write(content))
    assert (found.values == VALUES).all()
    assert found.repairs == (f"its DATA segment is said to have {too_far} bytes more than its events",)


@pytest.mark.parametrize("shift", [-46, -1, 1, 20])
def test_where_header_and_text_differ_a_little_the_number_of_events_decides(recording, shift):
    begin = int(fcs_bytes()[26:34])
    found = recording(keywords={"BEGINDATA": f"{begin + shift:8d}"})
    assert (found.values == VALUES).all()
    assert found.repairs[0].startswith("of where the events are, the header says")


def test_of_two_places_of_the_same_length_the_one_that_follows_the_text_counts(recording):
    begin, end = int(fcs_bytes()[26:34]), int(fcs_bytes()[34:42])
    found = recording(keywords={"BEGINDATA": f"{begin + 434:8d}", "ENDDATA": f"{end + 434:8d}"})
    assert (found.values == VALUES).all()
    assert "of where the events are" in found.repairs[0]


def test_where_header_and_text_differ_by_far_the_file_is_refused(damage):
    begin = int(fcs_bytes()[26:34])
    assert damage(fcs_bytes(keywords={"BEGINDATA": f"{begin + 500:8d}", "ENDDATA": 9999})) is Damage.OFFSETS


def test_ten_bits_in_two_bytes_and_packed_are_told_apart_by_their_length(recording):
    bits, keywords = (10, 10, 10), {"DATATYPE": "I"}
    in_bytes = np.array([[1, 2, 3], [4, 5, 1023]], "<u2").tobytes()
    found = recording(np.ones((2, 3)), keywords, bits=bits, data=in_bytes)
    assert found.values.tolist() == [[1, 2, 3], [4, 5, 1023]]
    packed = int("".join(format(value, "010b") for value in (1023, 5, 4, 3, 2, 1)), 2).to_bytes(8, "little")
    assert recording(np.ones((2, 3)), keywords, bits=bits, data=packed).values.tolist() == found.values.tolist()


def test_numbers_with_a_decimal_comma(recording):
    found = recording(keywords={"P2G": "0,5", "P3N": "TIME", "TIMESTEP": "0,25"})
    assert (found.values == VALUES * [1, 2, 0.25]).all()


def test_what_a_keyword_says_that_is_no_number_is_reported(recording):
    found = recording(keywords={"P1G": "loud", "P3N": "Time", "TIMESTEP": "slow", "P2E": "4,1"})
    assert (found.values == VALUES).all()
    assert len(found.repairs) == 3


def test_a_packed_file_is_unpacked(tmp_path):
    path = tmp_path / "cells.fcs.gz"
    path.write_bytes(gzip.compress(fcs_bytes()))
    assert (read_fcs(path).values == VALUES).all()
    path.write_bytes(b"no gzip")
    with pytest.raises(FcsError, match=r"is not a \.gz file"):
        read_fcs(path)
    path.write_bytes(gzip.compress(bytes(2**24)))
    with pytest.raises(FcsError, match="decompression bomb") as refused:
        read_fcs(path)
    assert refused.value.damage is Damage.TOO_LARGE


class TestSeveralDataSets:
    @staticmethod
    def two(first: dict, second: dict, absolute: bool = False) -> bytes:
        start = fcs_bytes(**{**first, "keywords": {**first.get("keywords", {}), "NEXTDATA": f"{0:8d}"}})
        return start.replace(b"NEXTDATA/       0", f"NEXTDATA/{len(start):8d}".encode()) + fcs_bytes(**second)

    def test_of_copies_the_better_one_is_read(self, write):
        coarse = {"values": np.ones((2, 3)), "keywords": {"DATATYPE": "I"}, "version": "2.0"}
        found = read_fcs(write(self.two(coarse, {"version": "3.0"})))
        assert (found.values == VALUES).all()
        assert found.repairs == ("it has 2 data sets: number 2 is read (FCS 3.0)",)
        assert (read_fcs(write(self.two(coarse, {})), data_set=1).values == 1).all()

    def test_different_recordings_are_refused_unless_one_is_named(self, write):
        path = write(self.two({}, {"values": VALUES[:1]}))
        with pytest.raises(FcsError, match="2 data sets, of 2, 1 events") as refused:
            read_fcs(path)
        assert refused.value.damage is Damage.SEVERAL_DATA_SETS
        assert len(read_fcs(path, data_set=2).values) == 1
        with pytest.raises(FcsError, match="data set 3 was asked for"):
            read_fcs(path, data_set=3)

    def test_an_offset_where_none_begins_is_ignored_and_reported(self, recording):
        found = recording(keywords={"NEXTDATA": "99999999"})
        assert (found.values == VALUES).all()
        assert "where no data set begins: ignored" in found.repairs[0]


@pytest.mark.parametrize("mark", "|+([?.^-,$!~\x0c\x1e\t")
def test_any_delimiter_reads(recording, mark):
    plain = {"BYTEORD": "1,2,3,4", **{f"P{n}E": "0,0" for n in (1, 2, 3)}, **{f"P{n}N": f"FL{n}-A" for n in (1, 2, 3)}}
    keywords = {keyword: value.replace(mark, 2 * mark) for keyword, value in plain.items()}
    assert (recording(keywords=keywords, delimiter=mark).values == VALUES).all()


def test_names_are_made_unique(recording):
    names = {"P1N": "FL1", "P2N": " FL1 ", "P3N": "FL1 (2)", "P4N": " ", "P5N": "FL1"}
    assert recording(np.ones((1, 5)), names).channels == ("FL1", "FL1 (3)", "FL1 (2)", "P4", "FL1 (4)")


@pytest.mark.parametrize(
    ("keywords", "well"),
    [
        ({"WELLID": "A1", "SRC": "B2"}, "A1"),
        ({"SRC": "H12"}, "H12"),
        ({"SRC": "Specimen_001", "WELL ID": "D06"}, "D06"),
        ({"SRC": "Specimen_001"}, None),
    ],
)
def test_a_well_is_what_looks_like_one(recording, keywords, well):
    assert recording(keywords=keywords).well == well


@pytest.mark.parametrize("keyword", ["SPILLOVER", "SPILL"])
def test_a_spillover_matrix_is_read(recording, keyword):
    spillover = recording(keywords={keyword: "2,FL1-A,FL3-A,1,0.1,0.2,1"}).spillover
    assert spillover.channels == ("FL1-A", "FL3-A")
    assert spillover.matrix.tolist() == [[1, 0.1], [0.2, 1]]


def test_a_spillover_that_cannot_be_used_is_reported(recording):
    found = recording(keywords={"SPILLOVER": "1,FL9-A,1"})
    assert found.spillover is None
    assert found.spillover_damage == "it names 'FL9-A', and the channels are FL1-A, FL2-A, FL3-A"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", Damage.NOT_FCS),
        (b"PK\x03\x04" * 50, Damage.NOT_FCS),
        (b"FCS3.1  ", Damage.TRUNCATED),
        (fcs_bytes(version="1.0"), Damage.VERSION),
        (fcs_bytes()[:-1], Damage.TRUNCATED),
        (fcs_bytes()[:100], Damage.TRUNCATED),
        (fcs_bytes(header={"text_end": 99_999_999}), Damage.TRUNCATED),
        (fcs_bytes(header={"text": -1}), Damage.OFFSETS),
        (fcs_bytes(header={"text": 5}), Damage.OFFSETS),
        (fcs_bytes(header={"text": 200, "text_end": 100}), Damage.OFFSETS),
        (fcs_bytes(header={"text": "", "text_end": ""}), Damage.OFFSETS),
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
def test_damaged_headers_and_offsets_are_refused(damage, content, found):
    assert damage(content) is found


@pytest.mark.parametrize(
    ("keywords", "found"),
    [
        ({"TOT": 10**12}, Damage.EVENT_COUNT),
        ({"TOT": 1}, Damage.EVENT_COUNT),
        ({"TOT": -2}, Damage.EVENT_COUNT),
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
        ({"DATATYPE": "I", "P2B": 0}, Damage.BIT_WIDTH),
        ({"DATATYPE": "I", "P2R": 0}, Damage.CHANNEL_RANGE),
        ({"P2R": None}, Damage.CHANNEL_RANGE),
        ({"P2R": "wide"}, Damage.CHANNEL_RANGE),
        ({"P2R": "1e999"}, Damage.CHANNEL_RANGE),
        ({"P2N": None}, Damage.KEYWORDS),
        ({"MODE": "C"}, Damage.UNSUPPORTED_TYPE),
        ({"DATATYPE": "A"}, Damage.UNSUPPORTED_TYPE),
        ({"DATATYPE": "I", "BYTEORD": "3,4,1,2"}, Damage.UNSUPPORTED_TYPE),
        ({"DATATYPE": "I", "P2B": 32, "BYTEORD": "3,4,1,2"}, Damage.UNSUPPORTED_TYPE),
        ({"BYTEORD": "1,2,2,4"}, Damage.UNSUPPORTED_TYPE),
        ({"BYTEORD": None}, Damage.UNSUPPORTED_TYPE),
        ({"DATATYPE": "I", "P2B": 65}, Damage.BIT_WIDTH),
        ({"P2DATATYPE": "D"}, Damage.BIT_WIDTH),
        ({"NEXTDATA": "-1"}, Damage.OFFSETS),
    ],
)
def test_keywords_that_cannot_be_right_are_refused(damage, keywords, found):
    assert damage(fcs_bytes(keywords=keywords)) is found


def test_no_more_text_is_read_than_its_cap(tmp_path):
    path = tmp_path / "long.fcs"
    path.write_bytes(fcs_bytes(header={"text_end": 99_000_000}))
    os.truncate(path, 10**8)
    with pytest.raises(FcsError, match=r"99,.* bytes; wanted 4,194,304 at most") as refused:
        read_headers(path)
    assert refused.value.damage is Damage.TOO_LARGE


@pytest.mark.parametrize("name", ["absent.fcs", "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(FcsError, match="is no file"):
        read_fcs(tmp_path / name)


def test_a_file_of_more_values_than_the_limit_is_refused(write):
    with pytest.raises(FcsError, match="wanted 5 values at most") as refused:
        read_fcs(write(fcs_bytes()), max_values=5)
    assert refused.value.damage is Damage.TOO_LARGE


SOUND = fcs_bytes(keywords={"SPILLOVER": "2,FL1-A,FL3-A,1,0.1,0.2,1"})
FLIPS = st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("flipped") / "cells.fcs"


def outcome_of_flipped(read: Callable, path: Path, flips: list[tuple[int, int]]):
    """What is read when bytes of a sound file are others, or the damage found."""
    content = bytearray(SOUND)
    for place, byte in flips:
        content[place] = byte
    path.write_bytes(content)
    try:
        return read(path)
    except FcsError as error:
        return error.damage


@pytest.mark.slow
@given(flips=FLIPS)
@settings(max_examples=400, deadline=None)
def test_whatever_bytes_are_flipped_the_guard_reads_or_refuses(scratch, flips):
    found = outcome_of_flipped(read_headers, scratch, flips)
    assert isinstance(found, Damage) or all(
        TEXT_BEGIN <= header.begin <= header.begin + header.layout.size(header.events) <= len(SOUND) for header in found
    )


@pytest.mark.slow
@given(flips=FLIPS)
@settings(max_examples=400, deadline=None)
def test_whatever_bytes_are_flipped_a_file_is_read_whole_or_refused(scratch, flips):
    found = outcome_of_flipped(read_fcs, scratch, flips)
    assert isinstance(found, Damage) or found.values.shape == (2, len(found.channels))


CYTOMETERS = {
    "Cytek_xP5/Cytek_xP5.fcs": 23126,
    "FACSCaliburHTS/Sample_Well_A02.fcs": 37395,
    "FACS_Diva/facs_diva_test.fcs": 83411,
    "Fortessa/FCS_3.0_Fortessa_PBS_Specimen_001_A1_A01.fcs": 11585,
    "GuavaMuse/Guava Muse.fcs": Damage.SEVERAL_DATA_SETS,
    "HTS_BD_LSR-II/HTS_BD_LSR_II_Mixed_Specimen_001_D6_D06.fcs": 14945,
    "MiltenyiBiotec/FCS2.0/EY_2013-07-19_PBS_FCS_2.0_Custom_Without_Add_Well_A1.001.fcs": 10000,
    "MiltenyiBiotec/FCS3.0/FCS3.0_Custom_Compatible.fcs": 10000,
    "MiltenyiBiotec/FCS3.1/EY_2013-07-19_PBS_FCS_3.1_Custom_Add_Well_A1.001.fcs": 10000,
    "MiltenyiBiotec/FCS3.1/EY_2013-07-19_PBS_FCS_3.1_Custom_Without_Add_Well_A1.001.fcs": 10000,
    "MiltenyiBiotec/FCS3.1/EY_2013-07-19_PBS_FCS_3.1_Well_A1.001.fcs": 10000,
    "MiltenyiBiotec/FCS3.1/SG_2014-09-26_Duplicate_Names.fcs": 8129,
    "corrupted/corrupted.fcs": Damage.NOT_FCS,
    "cyflow_cube_8/cyflow_cube_8.fcs": 725,
    "cytek-nl-2000/sample_header.fcs": Damage.TRUNCATED,
    "fake_bitmask_error/fcs1_cleaned.lmd": 50000,
    "fake_large_fcs/fake_large_fcs.fcs": 11585,
}


@pytest.fixture(scope="module")
def cytometers() -> Source:
    return read_sources()["cytometers"]


def cytometer_file(source: Source, name: str) -> Path:
    return member(source, f"fcsparser/tests/data/FlowCytometers/{name}")


def test_every_file_of_the_cytometers_is_expected(cytometers):
    assert {name.partition("FlowCytometers/")[2] for name in cytometers.members} == set(CYTOMETERS)


@pytest.mark.parametrize("name", CYTOMETERS)
def test_each_cytometers_file_gives_its_events_or_its_damage(cytometers, name):
    path, outcome = cytometer_file(cytometers, name), CYTOMETERS[name]
    if isinstance(outcome, Damage):
        with pytest.raises(FcsError) as refused:
            read_fcs(path)
        assert refused.value.damage is outcome
    else:
        found = read_fcs(path)
        assert len(found.values) == outcome == int(read_headers(path)[0].keywords["TOT"])
        assert len(set(found.channels)) == found.values.shape[1]


FLOWIO_REFUSES = {"Cytek_xP5/Cytek_xP5.fcs", "fake_large_fcs/fake_large_fcs.fcs"}
READ_BY_BOTH = [name for name, found in CYTOMETERS.items() if isinstance(found, int) and name not in FLOWIO_REFUSES]


@pytest.mark.filterwarnings("ignore:FCS file .* reported incorrect data offset")
@pytest.mark.parametrize("name", READ_BY_BOTH)
def test_sound_files_have_the_values_that_flowio_reads(cytometers, name):
    path = cytometer_file(cytometers, name)
    expected = FlowData(str(path), ignore_offset_error=True).as_array()
    np.testing.assert_allclose(read_fcs(path).values, expected, rtol=1e-14)


def test_single_precision_is_what_the_bytes_say(cytometers):
    path = cytometer_file(cytometers, "Fortessa/FCS_3.0_Fortessa_PBS_Specimen_001_A1_A01.fcs")
    raw = np.frombuffer(path.read_bytes(), ">f4", 11585 * 11, offset=2462).reshape(-1, 11).astype(float)
    raw[:, 10] *= 0.01  # Time: by $TIMESTEP, and not by its $P11G
    found = read_fcs(path)
    assert (found.values == raw).all()
    assert (found.instrument, found.date, found.well, found.version) == ("LSRII", "28-FEB-2013", "A01", "3.0")
    assert found.spillover.channels == ("FITC-A", "PerCP-Cy5-5-A", "AmCyan-A", "PE-Texas Red-A")


def test_logarithmic_channels_are_what_the_bytes_say(cytometers):
    path = cytometer_file(cytometers, "FACSCaliburHTS/Sample_Well_A02.fcs")
    raw = np.frombuffer(path.read_bytes(), ">u2", 37395 * 8, offset=2816).reshape(-1, 8).astype(float)
    raw[:, :5] = 10 ** (4 * raw[:, :5] / 1024)
    np.testing.assert_allclose(read_fcs(path).values, raw, rtol=1e-14)


def test_channels_of_different_widths_are_what_the_bytes_say(cytometers):
    path = cytometer_file(cytometers, "cyflow_cube_8/cyflow_cube_8.fcs")
    record = np.dtype([(f"c{place}", format) for place, format in enumerate(["<u2"] * 8 + ["<u4", "u1"])])
    raw = np.frombuffer(path.read_bytes(), record, 725, offset=1456)
    expected = np.column_stack([raw[name] for name in record.names]).astype(float)
    expected[:, 8] *= 0.001  # TIME
    np.testing.assert_array_equal(read_fcs(path).values, expected)


def test_masked_channels_are_what_the_bytes_say(cytometers):
    path = cytometer_file(cytometers, "fake_bitmask_error/fcs1_cleaned.lmd")
    raw = (np.frombuffer(path.read_bytes(), "<u2", 50000 * 7, offset=4232).reshape(-1, 7) & 1023).astype(float)
    raw[:, 2:] = 10 ** (4 * raw[:, 2:] / 1024) * 0.1024
    np.testing.assert_allclose(read_fcs(path).values, raw / [2, 10, 1, 1, 1, 1, 1], rtol=1e-14)
