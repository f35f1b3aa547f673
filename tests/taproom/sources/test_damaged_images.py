"""Whatever happens to a good file of images or digits, it is read, left out and counted, or refused by name."""

import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from PIL import Image

from taproom.errors import SourceError
from taproom.images.image_arrays import pixels_of
from taproom.sources.digits import PIXELS, digit_files
from taproom.sources.image_files import image_files
from tests.damaged_content import bounded_memory, damaged, many_examples
from tests.image_files import noise, read, save

SIZE = (9, 7)
COLOURS, DIGITS, LABELS = noise(*SIZE, 3), noise(4, PIXELS), np.arange(4, dtype=np.uint8)
FORMATS = ("png", "jpeg", "bmp", "gif", "webp", "tiff", "ppm")


def picture(kind: str, **options) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(COLOURS).save(sink, kind, **options)
    return sink.getvalue()


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    rows = {"pixels": [noise(*SIZE, 3).tobytes() for _ in range(5)], "height": [9] * 5, "width": [7] * 5}
    pq.write_table(pa.table({**rows, "label": list("abcab")}), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def npz() -> bytes:
    sink = io.BytesIO()
    np.savez_compressed(sink, x=DIGITS, y=LABELS)
    return sink.getvalue()


def idx(values: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


PICTURES = {f"a.{kind}": picture(kind) for kind in FORMATS} | {
    "lzw.tiff": picture("tiff", compression="tiff_lzw"),
    "progressive.jpg": picture("jpeg", progressive=True),
}
CSV = "".join(",".join(map(str, [*row, label])) + "\n" for row, label in zip(DIGITS, LABELS, strict=True)).encode()
DIGIT_FILES = {"d.npz": npz(), "d.csv": CSV, "d.csv.gz": gzip.compress(CSV, mtime=0)}
IDX = {
    "train-images-idx3-ubyte": idx(DIGITS.reshape(-1, 28, 28)),
    "train-labels-idx1-ubyte": idx(LABELS),
    "train-images-idx3-ubyte.gz": gzip.compress(idx(DIGITS.reshape(-1, 28, 28)), mtime=0),
}

pytestmark = pytest.mark.slow


def outcome(reading, path):
    """What reading a path gives; None if it is refused by name."""
    try:
        with bounded_memory():
            return reading()
    except SourceError as error:
        refused = str(error)
    assert str(path) in refused
    return None


@many_examples(200)
@given(damaged(PICTURES))
def test_a_damaged_picture_is_read_or_left_out_and_others_are_read(tmp_path, file):
    name, content = file
    for old in tmp_path.iterdir():
        old.unlink()
    for good in ("good.png", "too.png"):
        save(tmp_path / good, COLOURS)
    (tmp_path / name).write_bytes(content)
    with bounded_memory():
        table, reader = read(image_files(tmp_path))
    assert reader.counts["images"] + reader.counts["left_out"] == 3
    assert [image for image, _, _ in reader.left_out] == [name] * reader.counts["left_out"]
    for image, pixels in zip(table["image_id"].to_pylist(), pixels_of(table), strict=True):
        if image.endswith(".png"):  # which has checksums
            assert np.array_equal(pixels, COLOURS)


@many_examples(150)
@given(damaged({"a.parquet": parquet()}))
def test_a_damaged_table_of_images_is_read_or_refused(tmp_path, file):
    name, content = file
    (tmp_path / name).write_bytes(content)
    found = outcome(lambda: read(image_files(tmp_path / name)), tmp_path / name)
    if found:
        _, reader = found
        assert reader.counts["images"] + reader.counts["left_out"] == 5


@many_examples(150)
@given(damaged(DIGIT_FILES))
def test_a_damaged_file_of_digits_is_read_or_refused(tmp_path, file):
    name, content = file
    (tmp_path / name).write_bytes(content)
    if digits := outcome(lambda: digit_files(tmp_path / name), tmp_path / name):
        assert digits.pixels.shape == (len(digits.labels), PIXELS)
        if name != "d.csv":  # which has no checksum
            assert np.array_equal(digits.pixels[: len(DIGITS)], DIGITS)


@many_examples(100)
@given(damaged(IDX))
def test_a_damaged_folder_of_digits_is_read_or_refused(tmp_path, file):
    name, content = file
    for old in tmp_path.iterdir():
        old.unlink()
    for good in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / good).write_bytes(IDX[good])
    (tmp_path / name.removesuffix(".gz")).unlink()
    (tmp_path / name).write_bytes(content)
    if digits := outcome(lambda: digit_files(tmp_path), tmp_path):
        assert digits.pixels.shape == (len(digits.labels), PIXELS) == DIGITS.shape
