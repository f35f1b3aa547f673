import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from taproom.errors import SourceError
from taproom.sources import _fcs_process
from taproom.sources.fcs import read_fcs
from taproom.sources.fcs_damage import Damage, FcsError
from taproom.sources.fcs_process import Limits
from tests.fcs_file import VALUES, fcs_bytes


def test_events_beyond_the_offsets_of_the_header_are_read(tmp_path):
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


def test_an_error_of_flowio_is_in_the_message(write_fcs):
    with pytest.raises(FcsError, match=r"FlowIO cannot read it \(ValueError: .*float.*; wanted") as refused:
        read_fcs(write_fcs(fcs_bytes(keywords={"P1G": "loud"})))
    assert refused.value.damage is Damage.UNREADABLE


def test_more_channels_than_were_counted_are_refused(write_fcs):
    with pytest.raises(FcsError, match="FlowIO finds 2 events in 4 channels; wanted 2 in the 3 channels") as refused:
        read_fcs(write_fcs(fcs_bytes(keywords={"P4N": "FL4", "P4R": "1024"})))
    assert refused.value.damage is Damage.UNREADABLE


@pytest.mark.parametrize(
    ("limits", "found", "message"),
    [
        (Limits(values=5), Damage.TOO_LARGE, "wanted 5 values at most"),
        (Limits(seconds=0.001), Damage.TIMEOUT, "takes more than 0.00"),
        (Limits(memory_bytes=2**20), Damage.MEMORY, "takes more than 1 MB"),
    ],
)
def test_a_file_that_takes_more_than_its_limits_is_refused(write_fcs, limits, found, message):
    with pytest.raises(FcsError, match=message) as refused:
        read_fcs(write_fcs(fcs_bytes()), limits)
    assert refused.value.damage is found


def test_the_process_ends_by_itself_when_its_time_is_up():
    endless = "from taproom.sources._fcs_process import limit\nlimit(2**30, 1)\nwhile True: pass"
    root = Path(_fcs_process.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", endless], cwd=root, timeout=20).returncode == -signal.SIGXCPU


def test_a_full_disk_is_not_damage_of_the_file(write_fcs, monkeypatch):
    with Path("/dev/full").open("r+b", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda: full)
        with pytest.raises(SourceError, match="has no room") as refused:
            read_fcs(write_fcs(fcs_bytes()))
    assert not isinstance(refused.value, FcsError)
