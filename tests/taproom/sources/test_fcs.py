from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from taproom.sources.fcs import read_fcs
from taproom.sources.fcs_damage import Damage, FcsError
from taproom.sources.fcs_text import read_header
from taproom.sources.fetching import Source, member, read_sources
from tests.fcs_file import FLIPS, VALUES, outcome_of_flipped


@pytest.mark.parametrize("version", ["2.0", "3.0", "3.1", "3.2"])
def test_a_small_file_is_read_in_every_version(recording, version):
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
def test_every_type_of_number_is_read_in_both_byte_orders(recording, datatype, bits, order):
    values = np.array([[1, 2, 3], [4, 255, 66]])
    found = recording(values, {"DATATYPE": datatype, "BYTEORD": order}, bits=bits)
    assert (found.values == values).all()


def test_nan_and_infinity_stay_as_they_are(recording):
    values = np.array([[np.nan, np.inf, 1], [-np.inf, 2, 3]])
    np.testing.assert_array_equal(recording(values).values, values)


@pytest.mark.parametrize("events", [0, 1])
def test_one_event_and_no_events_are_read(recording, events):
    assert recording(VALUES[:events]).values.shape == (events, 3)


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


@pytest.mark.parametrize("name", ["absent.fcs", "."])
def test_a_path_that_is_not_a_file_is_refused(tmp_path, name):
    with pytest.raises(FcsError, match="is not a file"):
        read_fcs(tmp_path / name)


@given(flips=FLIPS)
@settings(max_examples=15, deadline=None)
def test_whatever_bytes_are_flipped_a_file_is_read_whole_or_refused(scratch, flips):
    found = outcome_of_flipped(read_fcs, scratch, flips)
    assert isinstance(found, Damage) or found.values.shape == (2, len(found.channels))


CYTOMETERS = {
    "Cytek_xP5/Cytek_xP5.fcs": Damage.BIT_WIDTH,
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
        assert len(found.values) == outcome == int(read_header(path).keywords.get("TOT"))
        assert len(set(found.channels)) == found.values.shape[1]


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
