import io
import logging
from pathlib import Path

import numpy as np
import pytest
from flowio import FlowData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from taproom.sources.fcs_channels import channel_names, scale_linearly, spillover_of
from taproom.sources.fcs_damage import FcsError
from taproom.sources.fcs_text import Keywords
from tests.fcs_file import fcs_bytes

PATH = Path("cells.fcs")


def test_a_file_is_read_on_the_linear_scale(recording):
    values = np.array([[512, 100, 7, 1500]])
    keywords = {"DATATYPE": "I", "P1E": "4,1", "P2G": "2", "P3N": "Time", "TIMESTEP": "0.5"}
    found = recording(values, keywords)
    # 1500 is above the range of 1024, so only its lower ten bits count.
    assert found.values.tolist() == [[100, 50, 3.5, 1500 - 1024]]


NUMBERS = st.floats(-5, 5).map(str)


@given(
    values=arrays(np.float32, (3, 4), elements=st.floats(width=32)),
    amplifications=st.lists(
        st.tuples(NUMBERS, st.sampled_from(["0", "1", "0.1"])).map(",".join), min_size=4, max_size=4
    ),
    gains=st.lists(NUMBERS, min_size=4, max_size=4),
    times=st.lists(st.sampled_from(["Time", "TIME", "FL", " Time"]), min_size=4, max_size=4),
    timestep=st.sampled_from(["0.01", " ", "1e-3"]),
)
@settings(max_examples=60, deadline=None)
def test_the_scale_is_the_one_that_flowio_computes(values, amplifications, gains, times, timestep):
    keywords = {"TIMESTEP": timestep}
    for number, of_channel in enumerate(zip(amplifications, gains, times, strict=True), 1):
        keywords |= dict(zip((f"P{number}E", f"P{number}G", f"P{number}N"), of_channel, strict=True))
    file = FlowData(io.BytesIO(fcs_bytes(values, keywords)))
    found = file.as_array(preprocess=False)
    keywords |= {f"P{number}R": "1024" for number in range(1, 5)}
    scale_linearly(Keywords(PATH, keywords), times, found)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, file.as_array())


@pytest.mark.parametrize(
    "keywords", [{"P1E": "4"}, {"P1E": "4,1,0"}, {"P1E": "four,1"}, {"P1G": "loud"}, {"P1G": ""}, {"TIMESTEP": "short"}]
)
def test_a_scale_that_is_not_a_number_is_refused(keywords):
    ((keyword, value),) = keywords.items()
    with pytest.raises(FcsError, match=rf"cells\.fcs: \${keyword} is '{value}'; wanted (a number|two numbers)"):
        scale_linearly(Keywords(PATH, keywords), ["Time"], np.ones((1, 1)))


def test_names_are_made_unique():
    names = ["FL1", " FL1 ", "FL1 (2)", " ", "FL1"]
    assert channel_names(names) == ("FL1", "FL1 (3)", "FL1 (2)", "P4", "FL1 (4)")


@pytest.mark.parametrize("keyword", ["SPILLOVER", "SPILL"])
def test_a_spillover_matrix_is_read(recording, keyword):
    channels, matrix = recording(keywords={keyword: "2,FL1-A,FL3-A,1,0.1,0.2,1"}).spillover
    assert channels == ("FL1-A", "FL3-A")
    assert matrix.tolist() == [[1, 0.1], [0.2, 1]]


@pytest.mark.parametrize(
    "text", ["2,FL1-A,FL2-A", "x", "2,a,b,1,0,0,one", "99999999999999999999,a", "1,FL1-A,nan", "-1"]
)
def test_an_invalid_spillover_matrix_counts_as_none_and_is_logged(caplog, text):
    with caplog.at_level(logging.WARNING):
        assert spillover_of(Keywords(PATH, {"SPILLOVER": text})) is None
    assert "cells.fcs: $SPILLOVER is not a spillover matrix" in caplog.text
