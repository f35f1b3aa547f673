import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taproom.errors import SourceError
from taproom.sources import plates
from taproom.sources.fcs import read_fcs
from taproom.sources.fetching import member, read_sources
from taproom.sources.plates import EventsTable, Well, read_events_table, read_plate_map

EMBEDDED = Path(plates.__file__).parents[2] / "data" / "plates.csv"


@pytest.fixture
def plate_map(tmp_path: Path) -> Callable[[str | bytes], dict[str, Well]]:
    def read(text: str | bytes) -> dict[str, Well]:
        path = tmp_path / "plate_map.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_plate_map(path)

    return read


@pytest.fixture
def events_table(tmp_path: Path) -> Callable[..., EventsTable]:
    def read(content: str | bytes | pa.Table, name: str = "events.csv", **columns: str) -> EventsTable:
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_events_table(path, **columns)

    return read


def test_a_plate_map_gives_each_file_its_well(plate_map):
    text = "file,plate,well,label\na.fcs,P1,A1,CFP\nb.fcs,P1,B1,\n"
    assert plate_map(text) == {"a.fcs": Well("P1", "A1", "CFP"), "b.fcs": Well("P1", "B1", None)}


@pytest.mark.parametrize(
    "text",
    [
        "label,well,plate,file\nCFP,A1,P1,a.fcs\n",
        "\ufeffFile, Plate ,WELL,label,dose\r\n\r\n a.fcs ,P1, A1,CFP,7\r\n,,,,\r\n",
        'file,plate,well,label\n"a.fcs","P1","A1","CFP"',
    ],
)
def test_order_case_blanks_further_columns_and_empty_lines_do_not_matter(plate_map, text):
    assert plate_map(text) == {"a.fcs": Well("P1", "A1", "CFP")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the first line names the columns none"),
        ("file,plate,well\na.fcs,P1,A1\n", "line 1: .*Wanted: label, once each"),
        (
            "file;plate;well;label\na.fcs;P1;A1;\n",
            "Wanted: file, plate, well, label, once each, with commas",
        ),
        ("file,file,plate,well,label\na,b,P1,A1,\n", "Wanted: file, once each"),
        ("file,plate,well,label\n\n", "names no file"),
        ("file,plate,well,label\n\n,P1,A1,\n", "line 3: the file is blank"),
        ("file,plate,well,label\na.fcs, ,A1,\n", "line 2: the plate is blank"),
        ("file,plate,well,label\na.fcs,P1\n", "line 2: the well is blank"),
        ("file,plate,well,label\na.fcs,P1,A1,\na.fcs,P1,A2,\n", "line 3: a.fcs has an earlier row"),
        ("file,plate,well,label\na.fcs,P1,A1,\nb.fcs,P1,A1,\n", "two wells with one name: a.fcs and b.fcs"),
        ("file,plate,well,label\na.fcs,P1,A1,\nb.fcs,P1,a01,\n", "two wells with one name: a.fcs and b.fcs"),
        ("file,plate,well,label\n../a.fcs,P1,A1,\n", "a file in the folder of the map"),
        ("file,plate,well,label\n..\\a.fcs,P1,A1,\n", "a file in the folder of the map"),
        (b"file,plate,well,label\na.fcs,P1,A1,Gr\xfcn\n", "line 2: this is not UTF-8"),
        ('file,plate,well,label\n"' + "a" * 200_000, "line 2: this is not valid CSV"),
    ],
)
def test_an_error_in_a_plate_map_names_the_line_and_what_to_do(plate_map, text, message):
    with pytest.raises(SourceError, match=rf"plate_map\.csv.*{message}"):
        plate_map(text)


def test_one_well_name_on_two_plates_is_two_wells(plate_map):
    assert len(plate_map("file,plate,well,label\na.fcs,P1,A1,\nb.fcs,P2,A1,\nc.fcs,P1,A10,\n")) == 3


def test_a_plate_map_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="cannot be read: No such file"):
        read_plate_map(tmp_path / "plate_map.csv")


def test_the_embedded_map_has_every_embedded_well_as_its_file_says():
    source, wells = read_sources()["plates"], read_plate_map(EMBEDDED)
    assert {Path(name).name for name in source.members} == set(wells)
    for name in (source.members[0], source.members[-1]):
        found, well = read_fcs(member(source, name)), wells[Path(name).name]
        assert found.values.shape == (10_000, 16)
        assert found.well == well.well
        assert well.plate in name
        assert (well.label or "Mixed") in name


def test_numeric_columns_are_channels_and_others_are_left_out(events_table):
    found = events_table("FSC,note,FL1,ok\n1,dim,2.5,true\n,bright,inf,false\n3,x,NA,true\n")
    assert found.channels == ("FSC", "FL1")
    np.testing.assert_array_equal(found.values, [[1, 2.5], [np.nan, np.inf], [3, np.nan]])
    assert found.values.dtype == np.float64
    assert found.left_out == ("note", "ok")
    assert (found.labels, found.plates, found.wells) == (None, None, None)


def test_named_columns_are_texts_and_not_channels(events_table):
    text = "FL1,species,plate,well,again\n1,007, P1 ,A1,5\n2,,P1,A2,6\n"
    found = events_table(text, label="species", plate="plate", well="well")
    assert found.channels == ("FL1", "again")
    assert (found.labels, found.plates, found.wells) == (["007", None], ["P1", "P1"], ["A1", "A2"])
    assert found.left_out == ()


def test_tab_separated_and_compressed_text_read(events_table):
    expected = [[1, 2], [3, 4]]
    assert events_table("a\tb\n1\t2\n3\t4\n", "events.tsv").values.tolist() == expected
    assert events_table(gzip.compress(b"a,b\n1,2\n3,4\n", mtime=0), "events.CSV.GZ").values.tolist() == expected


@pytest.mark.parametrize("name", ["events.csv", "events.tsv"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_tables_of_spreadsheets_read(events_table, name, delimiter, encoding):
    rows = ["FL1;FL2;species", "1,5;0,125;Löwenbräu, hell", "-1e3;;Früli größer süß", '"2,25";3;Kölsch']
    content = "\r\n".join(rows).replace(";", delimiter).encode(encoding)
    found = events_table(content, name, label="species")
    assert found.channels == ("FL1", "FL2")
    np.testing.assert_array_equal(found.values, [[1.5, 0.125], [-1000, np.nan], [2.25, 3]])
    assert found.labels == ["Löwenbräu, hell", "Früli größer süß", "Kölsch"]


def test_a_line_that_names_the_delimiter_is_no_header(events_table):
    found = events_table("sep=;\na;b\n1;2\n")
    assert (found.channels, found.values.tolist()) == (("a", "b"), [[1, 2]])


@pytest.mark.parametrize("row", ["1,234\t5", "1,234\t5.5\n1,5\t2.5\n2\t3.5"])
def test_what_may_be_thousands_or_has_points_beside_it_is_no_decimal_comma(events_table, row):
    found = events_table(f"a\tb\n{row}\n", "events.tsv")
    assert (found.channels, found.left_out) == (("b",), ("a",))


@pytest.mark.parametrize("missing", ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "None", "none", "-", "\\N"])
def test_what_is_missing_is_nan_in_a_channel_and_stays_in_a_text(events_table, missing):
    found = events_table(f"FL1,FL2,species\n1,{missing},{missing}\n2,3,ale\n", label="species")
    np.testing.assert_array_equal(found.values, [[1, np.nan], [2, 3]])
    assert found.labels == [missing or None, "ale"]


def test_parquet_reads_and_its_numbers_and_texts_are_cast(events_table):
    table = pa.table(
        {
            "small": pa.array([1, None], pa.int16()),
            "exact": pa.array([Decimal("1.50"), Decimal("2.25")]),
            "half": pa.array(np.array([0.5, np.inf], np.float16)),
            "class": pa.array(["a", "b"]).dictionary_encode(),
            "run": pa.array([7, 8]),
            "spectrum": [[1.0], [2.0]],
        }
    )
    found = events_table(table, "events.parquet", label="class", plate="run")
    assert found.channels == ("small", "exact", "half")
    np.testing.assert_array_equal(found.values, [[1, 1.5, 0.5], [np.nan, 2.25, np.inf]])
    assert (found.labels, found.plates) == (["a", "b"], ["7", "8"])
    assert found.left_out == ("spectrum",)


def test_an_index_without_a_name_is_not_a_channel(events_table):
    found = events_table(",FL1\n0,5\n1,6\n")
    assert (found.channels, found.left_out) == (("FL1",), ("",))


@pytest.mark.parametrize(
    ("content", "name", "columns", "message"),
    [
        ("", "events.csv", {}, "has no rows"),
        ("a,b\n", "events.csv", {}, "has no rows"),
        ("a,b\nx,y\n", "events.csv", {}, "no numeric column; it has 'a', 'b'"),
        ("a,b\n1,2,3\n", "events.csv", {}, "cannot be read as a table: .*Expected 2 columns, got 3"),
        ("a,b\n1,x\n", "events.csv", {"label": "class"}, "no column 'class'. Wanted: some of 'a', 'b'"),
        ("a,b,a\n1,2,3\n", "events.csv", {}, "several columns 'a'"),
        ("a,well\n1,A1\n2,\n", "events.csv", {"well": "well"}, "row 2 has nothing in 'well'"),
        (b"a,\xff\n1,2\n", "events.csv", {}, "cannot be read as a table"),
        (gzip.compress(b"a\n" + b"1\n" * 999, mtime=0)[:-9], "events.csv.gz", {}, "cannot be read as a table"),
        (b"no gzip", "events.csv.gz", {}, "cannot be read as a table"),
        (b"no parquet", "events.parquet", {}, "cannot be read as a table"),
        (b"PAR1" + bytes(50) + b"PAR1", "events.parquet", {}, "cannot be read"),
        (pa.table({"a": pa.array([], pa.int8())}), "events.parquet", {}, "has no rows"),
        (pa.table({"a": [1], "b": [[1]]}), "events.parquet", {"label": "b"}, "the column 'b' cannot be read as text"),
        ("a\n1\n", "events.xlsx", {}, "is not one that can be read. Wanted: .csv or .tsv"),
        (b"", "events.parquet.gz", {}, "is not one that can be read"),
    ],
)
def test_a_file_that_is_not_a_table_of_events_is_refused(events_table, content, name, columns, message):
    with pytest.raises(SourceError, match=rf"{name}.*{message}"):
        events_table(content, name, **columns)


def test_a_label_that_is_not_utf_8_is_refused(events_table):
    with pytest.raises(SourceError, match=r"events\.csv"):
        events_table(b"a,b\n1,\xff\n", label="b")


def test_a_table_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"events\.csv cannot be opened \(No such file"):
        read_events_table(tmp_path / "events.csv")


def test_more_than_the_caps_is_refused(events_table, monkeypatch):
    monkeypatch.setattr(plates, "MAX_TABLE_BYTES", 1000)
    monkeypatch.setattr(plates, "MAX_VALUES", 1000)
    with pytest.raises(SourceError, match="more than 1,000 bytes of text"):
        events_table(gzip.compress(b"a\n" + b"1\n" * 10_000, mtime=0), "events.csv.gz")
    with pytest.raises(SourceError, match="has 10,000 rows of 1 columns"):
        events_table(pa.table({"a": np.zeros(10_000)}), "events.parquet")
