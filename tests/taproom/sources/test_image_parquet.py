"""Images of a Parquet file: types of pixels, sizes, labels, and which rows are left out."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taproom.errors import SourceError
from taproom.images.image_arrays import labels_of, pixels_of
from taproom.sources.image_files import image_files
from tests.image_files import columns, noise, parquet, read, reasons


def test_a_parquet_file_with_everything(tmp_path):
    pixels = noise(3, 2, 5, 3)
    path = parquet(
        tmp_path / "x.parquet",
        pixels=[image.tobytes() for image in pixels],
        label=["cat", None, " "],
        split=["train", "Test", "training"],
        image_id=[7, 8, 9],
        height=[2, 2, 2],
        width=[5, 5, 5],
    )
    table, _ = read(image_files(path))
    assert columns(table, "image_id", "split", "label") == [
        ("7", "training", "cat"), ("8", "test", None), ("9", "training", None),
    ]  # fmt: skip
    assert np.array_equal(pixels_of(table), pixels)


PIXEL_TYPES = [
    pa.binary(), pa.large_binary(), pa.binary(48), pa.list_(pa.uint8()), pa.list_(pa.int64()),
    pa.large_list(pa.uint16()), pa.list_(pa.uint8(), 48),
]  # fmt: skip


@pytest.mark.parametrize("kind", PIXEL_TYPES, ids=str)
def test_pixels_are_bytes_or_lists_and_square_unless_a_size_is_given(tmp_path, kind):
    pixels = noise(40, 4, 4, 3)
    is_list = hasattr(kind, "value_type")
    values = [image.ravel().tolist() if is_list else image.tobytes() for image in pixels]
    path = parquet(tmp_path / "x.pq", pixels=pa.array(values, kind))
    table, _ = read(image_files(path))
    assert np.array_equal(pixels_of(table), pixels)
    assert table["image_id"].to_pylist()[0] == "x.pq:00000001"
    assert table["label"].null_count == 40
    assert set(table["split"].to_pylist()) == {"training", "test"}
    flat = pixels_of(read(image_files(path, height=2, width=8))[0])
    assert np.array_equal(flat, pixels.reshape(40, 2, 8, 3))


def test_the_size_of_parquet_rows_may_not_fit_what_they_hold(tmp_path):
    path = parquet(
        tmp_path / "x.parquet",
        pixels=[b"a" * 12, b"b" * 12, b"c" * 11, b"d" * 27, None, b"e" * 48],
        height=[2, 2, 2, 3, 2, 2**62],
        width=[2, 3, 2, 3, 2, 4],
    )
    table, reader = read(image_files(path))
    assert table["image_id"].to_pylist() == ["x.parquet:00000001"]
    found = reasons(reader)
    assert found["x.parquet:00000002"] == (
        "unsuitable", "12 values are not an image 2 high and 3 wide, or it has over 16,777,216 pixels",
    )  # fmt: skip
    assert found["x.parquet:00000004"] == ("another_size", "it is 3 high and 3 wide; wanted: 2 high and 2 wide")
    assert found["x.parquet:00000005"] == ("unsuitable", "it has no pixels")
    assert reader.counts["unsuitable"] == 4


def test_grey_alpha_and_other_sizes_are_found_by_the_number_of_values(tmp_path):
    grey, rgb, opaque = noise(2, 3), noise(2, 3, 3), noise(2, 3, 4)
    opaque[..., 3] = 255
    clear_one = opaque.copy()
    clear_one[0, 0, 3] = 0
    values = [image.ravel().tolist() for image in (grey, rgb, opaque, clear_one)]
    values += [[256] * 18, [-1] * 18, [None] * 18, [0] * 5]
    path = parquet(tmp_path / "x.parquet", pixels=pa.array(values, pa.list_(pa.int32())))
    table, reader = read(image_files(path, height=2, width=3))
    assert np.array_equal(pixels_of(table), [np.stack([grey] * 3, axis=-1), rgb, opaque[..., :3]])
    counts = reader.counts
    assert [counts[name] for name in ("grey", "opaque_alpha", "transparent", "unsuitable")] == [1, 1, 1, 4]
    assert "not 0 to 255" in reasons(reader)["x.parquet:00000005"][1]


def test_rows_that_are_not_square_are_left_out_and_the_most_frequent_size_is_kept(tmp_path):
    path = parquet(tmp_path / "x.parquet", pixels=[b"x" * 5, b"y" * 27, b"z" * 12, b"w" * 9])
    table, reader = read(image_files(path))
    assert columns(table, "image_id", "height") == [("x.parquet:00000002", 3), ("x.parquet:00000004", 3)]
    assert reader.counts["grey"] == 1
    assert "not a square image" in reasons(reader)["x.parquet:00000001"][1]


def test_rows_of_another_split_or_without_their_id_are_left_out(tmp_path):
    path = parquet(
        tmp_path / "x.parquet", pixels=[b"abc"] * 3, split=["validation", None, None], image_id=["a", None, "c"]
    )
    table, reader = read(image_files(path))
    assert table["image_id"].to_pylist() == ["c"]
    assert [left.reason for left in reader.left_out] == [
        "its split is 'validation'; wanted: train, training, test, or none", "it has no image_id",
    ]  # fmt: skip


def test_labels_may_be_numbers_or_a_dictionary(tmp_path):
    for label in ([3, 1, 3], pa.array(["x", "y", "x"]).dictionary_encode()):
        table, _ = read(image_files(parquet(tmp_path / "x.parquet", pixels=[b"abc"] * 3, label=label)))
        numbers, names = labels_of(table)
        assert [names[number] for number in numbers] == [str(value) for value in pa.array(label).to_pylist()]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"image": [b"x"]}, r"has the columns image \(binary\)\. Wanted: `pixels`"),
        ({"pixels": ["text"]}, r"pixels \(string\)\. Wanted"),
        ({"pixels": [[0.5]]}, r"pixels \(list<element: double>\)\. Wanted"),
        ({"pixels": [b"abc"], "label": [["a"]]}, "the column 'label' cannot be read as text"),
        ({"pixels": [b"abc"], "height": [1.5], "width": [1.5]}, "Wanted: whole numbers"),
    ],
)
def test_a_parquet_file_of_another_form_is_refused(tmp_path, values, complaint):
    with pytest.raises(SourceError, match=complaint):
        read(image_files(parquet(tmp_path / "x.parquet", **values)))


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = parquet(tmp_path / "x.parquet", pixels=[noise(300).tobytes() for _ in range(2_000)])
    content = path.read_bytes()
    path.write_bytes(content[:-50])
    with pytest.raises(SourceError, match=r"x\.parquet is not a Parquet file, or damaged"):
        image_files(path)
    path.write_bytes(content[:4] + b"\xff" * 2_000 + content[2_004:])
    with pytest.raises(SourceError, match=r"x\.parquet is damaged"):
        read(image_files(path))


@pytest.mark.parametrize("rows_per_group", [500, 15_000])
def test_a_file_is_not_held_while_it_is_read(tmp_path, rows_per_group):
    pixels = noise(15_000, 16, 16, 3)
    table = pa.table({"pixels": [image.tobytes() for image in pixels]})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=rows_per_group, compression=None)
    del table
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in image_files(tmp_path / "x.parquet")]
    assert len(held) == 15
    assert max(held) < pixels.nbytes / 2
