import numpy as np
import pytest

from taproom.sources.fcs_spillover import find_spillover

NAMES, LABELS = ("FSC-A", "FITC-A", "PE-A", "Comp-APC-A"), ("", "CD3", "CD4", "")


def found(text: str, keyword: str = "SPILLOVER"):
    return find_spillover({keyword: text}, NAMES, LABELS)


@pytest.mark.parametrize("keyword", ["SPILLOVER", "SPILL", "COMP"])
@pytest.mark.parametrize(
    "channels",
    ["FITC-A,PE-A", "fitc-a, PE-a ", "Comp-FITC-A,Comp-PE-A", "CD3,cd4", "2,3", "P2,P3", "FITC-A,CD4"],
)
def test_channels_are_found_however_they_are_named(keyword, channels):
    spillover = found(f"2,{channels},1,0.1,0.2,1", keyword)
    assert spillover.channels == ("FITC-A", "PE-A")
    assert spillover.matrix.tolist() == [[1, 0.1], [0.2, 1]]
    assert not spillover.is_percent
    assert str(spillover) == f"${keyword} of FITC-A, PE-A"


@pytest.mark.parametrize("text", ["1,APC-A,1", "1,Comp-APC-A,1", "1,comp-apc-a,1", "1,4,1"])
def test_the_prefix_may_be_on_the_side_of_the_data(text):
    assert found(text).channels == ("Comp-APC-A",)


@pytest.mark.parametrize(
    "text",
    [
        "2,FITC-A,PE-A,100,10,20,100",
        "2;FITC-A;PE-A;100;10;20;100",
        "2,FITC-A,PE-A,100,10,20,100,",
        "2;FITC-A;PE-A;1;0,1;0,2;1",
    ],
)
def test_percent_and_other_separators_are_recognised(text):
    spillover = found(text)
    np.testing.assert_allclose(spillover.matrix, [[1, 0.1], [0.2, 1]])
    assert spillover.is_percent == ("100" in text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2,FITC-A,PE-A", "0 numbers for 2 channels"),
        ("x", "begins with 'x'"),
        ("2,FITC-A,PE-A,1,0,0,one", "could not convert"),
        ("99999999999999999999,a", "begins with"),
        ("1,FITC-A,nan", "not all of its numbers are finite"),
        ("1,FITC-H,1", "names 'FITC-H', and the channels are FSC-A"),
        ("2,FITC-A,CD3,1,0,0,1", "two are the same"),
        ("1,9,1", "names '9'"),
    ],
)
def test_what_is_no_matrix_of_these_channels_is_refused_with_the_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        found(text)


def test_a_name_that_means_two_channels_is_refused():
    with pytest.raises(ValueError, match="may be FL1 or fl1"):
        find_spillover({"SPILL": "1,Fl1,1"}, ("FL1", "fl1"), ("", ""))


@pytest.mark.parametrize("keywords", [{}, {"SPILLOVER": " "}, {"SPILLOVER": "0"}])
def test_a_file_without_a_matrix_has_none(keywords):
    assert find_spillover(keywords, NAMES, LABELS) is None
