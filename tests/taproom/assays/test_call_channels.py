import flowio
import numpy as np
import pyarrow as pa
import pytest

from taproom.assays.call_channels import export_calls
from taproom.errors import InputError, UnknownTableError
from taproom.sources.inbox import file_sha256
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.publishing import Origin
from tests.fcs_file import fcs_bytes

VALUES = np.array([[1.5, -2.0], [4.0, 5.25], [0.0, 1.0]])


def publish(warehouse, table, key, inputs=None, **columns):
    """Rows of a table with the columns that matter here."""
    arrays = {name: pa.array(values) for name, values in columns.items()}
    contract = Contract(table, "a row", tuple(Column(name, each.type, name) for name, each in arrays.items()), key)
    warehouse.publish(
        contract, contract.table_of(**arrays), since=warehouse.head(table), origin=Origin(inputs=inputs or {})
    )


@pytest.fixture
def called(warehouse, tmp_path):
    """A file of three events, of which two were called and assigned; gives its path."""
    path = tmp_path / "A3.fcs"
    path.write_bytes(fcs_bytes(VALUES))
    shas = [file_sha256(path), "0" * 64]
    publish(warehouse, "samples", ("sample",), sample=["P1-A3", "P1-A4"], content_sha256=shas, events=[3, 1])
    publish(warehouse, "classes", ("class",), **{"class": ["red, dim", "blue"]})
    publish(
        warehouse,
        "event_calls",
        ("sample", "event"),
        inputs={"classes": 0},
        sample=["P1-A3", "P1-A4", "P1-A3"],
        event=[2, 0, 0],
        called=["red, dim", "blue", "blue"],
        posteriors=[[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]],
        ambiguous=[False, True, True],
        anomalous=[True, False, False],
    )
    return path


def appended(path):
    data = flowio.FlowData(path)
    return dict(zip(data.pnn_labels, data.as_array(preprocess=True).T.tolist(), strict=True)), data


def test_calls_and_populations_are_channels_beside_the_original_values(warehouse, called, tmp_path):
    publish(warehouse, "assignments", ("sample", "event"), sample=["P1-A3", "P1-A3"], event=[0, 1], population=[0, 4])
    before = called.read_bytes()
    export_calls(warehouse, called, tmp_path / "called.fcs")
    assert called.read_bytes() == before
    channels, data = appended(tmp_path / "called.fcs")
    assert channels == {
        "FL1-A": VALUES[:, 0].tolist(),
        "FL2-A": VALUES[:, 1].tolist(),
        "Taproom_class": [1, 0, 2],
        "Taproom_P_blue": [0.5, 0, 0.25],
        "Taproom_P_red_dim": [0.5, 0, 0.75],
        "Taproom_ambiguous": [1, 0, 0],
        "Taproom_anomalous": [0, 0, 1],
        "Taproom_population": [1, 5, 0],
    }
    assert data.pns_labels[2] == "called class: 1 blue, 2 red, dim"
    assert (data.text["taproom_sample"], data.text["taproom_event_calls"]) == ("P1-A3", "0")


def test_populations_are_left_out_where_there_are_none(warehouse, called, tmp_path):
    export_calls(warehouse, called, tmp_path / "called.fcs", version=0)
    assert "Taproom_population" not in appended(tmp_path / "called.fcs")[0]


def test_files_that_were_not_read_or_called_are_refused(warehouse, called, tmp_path):
    other = tmp_path / "other.fcs"
    other.write_bytes(fcs_bytes(VALUES + 1))
    with pytest.raises(InputError, match="none of the 2 files in samples"):
        export_calls(warehouse, other, tmp_path / "called.fcs")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        export_calls(warehouse, tmp_path / "absent.fcs", tmp_path / "called.fcs")
    publish(
        warehouse,
        "samples",
        ("sample",),
        sample=["P1-A5"],
        content_sha256=[file_sha256(called)],
        events=[3],
    )
    with pytest.raises(InputError, match="no events of P1-A5"):
        export_calls(warehouse, called, tmp_path / "called.fcs")


def test_calls_must_have_been_made(warehouse, tmp_path):
    with pytest.raises(UnknownTableError, match="There are no calls"):
        export_calls(warehouse, tmp_path / "a.fcs", tmp_path / "b.fcs")
