import errno
import gzip
import resource

import flowio
import numpy as np
import pytest

from taproom.errors import InputError, StorageError
from taproom.sources.fcs import read_fcs
from taproom.sources.fcs_appending import AppendedChannel, append_channels
from taproom.sources.fcs_header import FcsError
from tests.fcs_file import VALUES, fcs_bytes

WHOLE = np.array([[1, 2, 1023], [7, 500, 0]])
CLASS = AppendedChannel("Our_class", "class: 1 a|b, 2 c", np.array([1, 2]), 2)
POSTERIOR = AppendedChannel("Our_P_a", "posterior of a", np.array([0.25, 1.0]), 1, is_fraction=True)
KINDS = {
    "float": (VALUES, {}),
    "float, big-endian": (VALUES, {"BYTEORD": "4,3,2,1"}),
    "double": (VALUES, {"DATATYPE": "D"}),
    "16 bits": (WHOLE, {"DATATYPE": "I"}),
    "logarithmic": (WHOLE, {"DATATYPE": "I", "P1E": "4,1", "P2G": "8"}),
}


@pytest.fixture
def source(tmp_path):
    def write(values=VALUES, keywords=None, **more):
        path = tmp_path / "plate A3.fcs"
        path.write_bytes(fcs_bytes(values, keywords, **more))
        return path

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_two_readers_find_the_values_of_the_original_and_ours(source, tmp_path, kind):
    values, keywords = KINDS[kind]
    path = source(values, {**keywords, "FIL": "plate|A3", "GUID": "123"})
    before = path.read_bytes()
    append_channels(path, tmp_path / "new.fcs", [CLASS, POSTERIOR], TAPROOM_SAMPLE="P1-A3")
    assert path.read_bytes() == before
    ours = np.column_stack([CLASS.values, POSTERIOR.values])

    original, appended = read_fcs(path), read_fcs(tmp_path / "new.fcs")
    assert appended.channels == (*original.channels, "Our_class", "Our_P_a")
    np.testing.assert_array_equal(appended.values, np.hstack([original.values, ours]))
    assert (appended.repairs, appended.version, appended.instrument) == ((), "3.1", "Ours")

    theirs_before, theirs = flowio.FlowData(path), flowio.FlowData(tmp_path / "new.fcs")
    for preprocess in (False, True):
        kept = theirs.as_array(preprocess=preprocess)[:, :3]
        np.testing.assert_array_equal(kept, theirs_before.as_array(preprocess=preprocess))
    np.testing.assert_array_equal(theirs.as_array(preprocess=True)[:, 3:], ours)
    assert theirs.pns_labels[3:] == [CLASS.label, POSTERIOR.label]
    assert (theirs.text["fil"], theirs.text["taproom_sample"]) == ("plate|A3", "P1-A3")
    assert theirs.text["originality"] == "Appended"
    assert "guid" not in theirs.text


def test_bytes_of_the_original_events_are_copied(source, tmp_path):
    path = source()
    append_channels(path, tmp_path / "new.fcs", [CLASS])
    new = (tmp_path / "new.fcs").read_bytes()
    events = path.read_bytes()[-24:]
    assert new.endswith(events[:12] + np.float32(1).tobytes() + events[12:] + np.float32(2).tobytes() + b"0" * 8)
    assert b"\\$PAR\\4\\" in new  # the label has the first delimiter
    assert int(new[26:34]) + 32 == int(new[34:42]) + 1 == len(new) - 8


def test_long_files_are_copied_in_blocks(source, tmp_path, monkeypatch):
    monkeypatch.setattr("taproom.sources.fcs_appending.EVENTS_PER_BLOCK", 7)
    values = np.random.default_rng(0).normal(size=(50, 3)).astype("f4")
    ours = AppendedChannel("n", "number", np.arange(50), 49)
    append_channels(source(values), tmp_path / "new.fcs", [ours])
    np.testing.assert_array_equal(read_fcs(tmp_path / "new.fcs").values, np.column_stack([values, np.arange(50)]))


@pytest.mark.parametrize("version", ["2.0", "3.0", "3.2"])
def test_other_versions_of_the_standard(source, tmp_path, version):
    path = source(version=version)
    append_channels(path, tmp_path / "new.fcs", [CLASS])
    new = read_fcs(tmp_path / "new.fcs")
    assert new.version == max(version, "3.1")
    np.testing.assert_array_equal(new.values[:, :3], VALUES)


def test_keywords_that_are_no_text_are_left_out(source, tmp_path):
    append_channels(source(keywords={"FIL": "PK\x03\x04", "PROJ": "ales"}), tmp_path / "new.fcs", [CLASS])
    new = flowio.FlowData(tmp_path / "new.fcs")
    assert "fil" not in new.text
    assert new.text["proj"] == "ales"


def test_what_cannot_be_appended_to_is_refused(source, tmp_path):
    path, new = source(), tmp_path / "new.fcs"
    with pytest.raises(InputError, match=r"values of shape \(1,\); the file has 2 events"):
        append_channels(path, new, [AppendedChannel("n", "", np.zeros(1), 1)])
    with pytest.raises(InputError, match="channel FL1-A of its own"):
        append_channels(path, new, [AppendedChannel("FL1-A", "", np.zeros(2), 1)])
    with pytest.raises(InputError, match="wanted less than 65536"):
        append_channels(path, new, [AppendedChannel("n", "", np.zeros(2), 2**16)])
    packed = tmp_path / "packed.fcs.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(FcsError, match="packed; wanted an unpacked file"):
        append_channels(packed, new, [CLASS])
    with pytest.raises(FcsError, match="numbers of parts of bytes"):
        append_channels(source(WHOLE, {"DATATYPE": "I", "P1B": "10"}, data=b"\0" * 12), new, [CLASS])
    with pytest.raises(InputError, match="exists"):
        append_channels(source(), path, [CLASS])
    assert not new.exists()


def test_a_full_disk_leaves_nothing(source, tmp_path):
    path = source(np.zeros((5000, 3)))
    (tmp_path / "out").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, hard))
    try:
        with pytest.raises(StorageError, match=r"new\.fcs could not be written") as refusal:
            append_channels(path, tmp_path / "out" / "new.fcs", [AppendedChannel("n", "", np.zeros(5000), 1)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusal.value.__cause__.errno in (errno.ENOSPC, errno.EFBIG)
    assert list((tmp_path / "out").iterdir()) == []
