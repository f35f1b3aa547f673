import gzip
import io
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from taproom.errors import SourceError
from taproom.sources.digits import PIXELS, SIDE, Digits, binary, digit_files, intensities, mnist, mnist_5k
from taproom.sources.fetching import read_sources
from tests.mnist_files import idx, mnist_archives
from tests.served_sources import served_sources

LEVELS = np.random.default_rng(0).integers(0, 256, (6, PIXELS), dtype=np.uint8)
LABELS = np.array([3, 0, 0, 7, 9, 3])


def npz(folder, **arrays):
    path = folder / "digits.npz"
    np.savez(path, **{"x": LEVELS, "y": LABELS, **arrays})
    return path


def csv_text(levels=LEVELS, labels=LABELS):
    return "".join(",".join(map(str, [*row, label])) + "\n" for row, label in zip(levels, labels, strict=True))


def csv_file(folder, text=None, name="digits.csv"):
    path = folder / name
    content = (csv_text() if text is None else text).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def idx_folder(folder, images=None, labels=None, suffix=""):
    files = {
        "train-images-idx3-ubyte": idx(LEVELS.reshape(-1, SIDE, SIDE)) if images is None else images,
        "train-labels-idx1-ubyte": idx(LABELS) if labels is None else labels,
    }
    for name, content in files.items():
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix == ".gz" else content)
    return folder


def assert_read(found: Digits):
    assert np.array_equal(found.pixels, LEVELS)
    assert found.pixels.dtype == np.uint8
    assert found.labels == ["3", "0", "0", "7", "9", "3"]


def test_the_embedded_digits_are_five_hundred_of_each():
    found = mnist_5k(read_sources())
    assert found.pixels.shape == (5_000, PIXELS)
    assert {label: found.labels.count(label) for label in set(found.labels)} == dict.fromkeys("0123456789", 500)
    first = found.pixels[0].reshape(SIDE, SIDE)
    assert first[4, 15:20].tolist() == [51, 159, 253, 159, 50]  # the top of a zero
    assert not first[:4].any()


def test_all_of_mnist_is_fetched_training_images_first(tmp_path):
    with served_sources(tmp_path, mnist_archives(LEVELS, LABELS, training=4)):
        assert_read(mnist(read_sources()))


def test_mnist_with_another_number_of_labels_or_a_missing_file_is_refused(tmp_path):
    archives = mnist_archives(LEVELS, LABELS, training=4)
    with served_sources(tmp_path, archives | {"mnist_test_labels": archives["mnist_training_labels"]}) as served:
        with pytest.raises(SourceError, match=r"2 images and labels of the shape \(4,\)"):
            mnist(read_sources())
        shutil.rmtree(tmp_path / "cache")
        (served / "mnist_training_labels").unlink()
        with pytest.raises(SourceError, match="mnist_training_labels could not be fetched"):
            mnist(read_sources())


def test_arrays_are_read_flat_or_square(tmp_path):
    assert_read(digit_files(npz(tmp_path)))
    assert_read(digit_files(npz(tmp_path, x=LEVELS.reshape(-1, SIDE, SIDE).astype(np.int64))))


@pytest.mark.parametrize("name", ["digits.csv", "digits.csv.gz"])
def test_a_csv_file_has_the_label_last(tmp_path, name):
    assert_read(digit_files(csv_file(tmp_path, name=name)))


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_of_idx_files_is_read(tmp_path, suffix):
    assert_read(digit_files(idx_folder(tmp_path, suffix=suffix)))


def test_idx_files_may_be_named_with_a_dot(tmp_path):
    idx_folder(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert_read(digit_files(tmp_path))


def test_images_go_through_a_column_and_come_back_from_0_to_1(tmp_path):
    column = binary(LEVELS)
    assert column.type == pa.binary()
    found = intensities(pa.table({"pixels": pa.chunked_array([column[:2], column[2:]])}))
    assert found.dtype == np.float32
    assert np.array_equal(found, LEVELS / np.float32(255))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": LEVELS[:5]}, r"5 images and labels of the shape \(6,\)"),
        ({"y": LABELS[:, None]}, r"labels of the shape \(6, 1\)"),
        ({"x": LEVELS[:, :700]}, r"images are of the shape \(6, 700\)"),
        ({"x": LEVELS.reshape(6, 14, 56)}, r"\(6, 14, 56\)"),
        ({"x": LEVELS[:0], "y": LABELS[:0]}, "no image"),
        ({"x": LEVELS / 255}, "pixels are of type float64"),
        ({"x": LEVELS.astype(int) + 1}, r"pixels are from \d+ to 256"),
        ({"x": LEVELS.astype(int) - 1}, r"pixels are from -1 to"),
        ({"y": LABELS - 1}, "labels are from -1 to 8"),
        ({"y": LABELS.astype(str)}, "labels are of type <U"),
        ({"y": np.array([object()] * 6)}, "not a valid .npz file"),
    ],
)
def test_arrays_that_are_not_digits_are_refused(tmp_path, arrays, message):
    with pytest.raises(SourceError, match=rf"digits\.npz.*{message}.*Wanted"):
        digit_files(npz(tmp_path, **arrays))


def test_missing_arrays_are_named_with_those_there_are(tmp_path):
    path = tmp_path / "digits.npz"
    np.savez(path, x=LEVELS, label=LABELS)
    with pytest.raises(SourceError, match=r"no array y \(it has: x, label\)"):
        digit_files(path)


@pytest.mark.parametrize("damaged", [b"", b"noise", "half"])
def test_a_damaged_npz_file_is_refused(tmp_path, damaged):
    path = npz(tmp_path)
    path.write_bytes(path.read_bytes()[:2_000] if damaged == "half" else damaged)
    with pytest.raises(SourceError, match=r"digits\.npz is not a valid"):
        digit_files(path)


def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path):
    path = tmp_path / "digits.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**13, PIXELS)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.writestr("y.npy", header.getvalue())
    with pytest.raises(SourceError, match="not a valid"):
        digit_files(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,pixel0\n" + csv_text(), "not 785 whole numbers a line"),
        (",".join(map(str, range(PIXELS + 1))) + "\n", "pixels are from 0 to 783"),
        (csv_text(LEVELS[:, 1:]), "not 785 whole numbers a line"),
        (csv_text() + "1,2,3\n", "not 785 whole numbers a line"),
        (csv_text().replace(",", ",a", 1), "not 785 whole numbers a line"),
        (csv_text().replace(",", ",0.5,", 1), "not 785 whole numbers a line"),
        (csv_text() + "," * PIXELS + "\n", "not 785 whole numbers a line"),
        (csv_text(labels=[-2] * 6), "labels are from -2 to -2"),
        ("", "not 785 whole numbers a line"),
    ],
)
def test_a_csv_file_of_another_form_is_refused(tmp_path, text, message):
    with pytest.raises(SourceError, match=rf"digits\.csv.*{message}"):
        digit_files(csv_file(tmp_path, text))


def test_a_csv_file_that_is_cut_off_or_not_packed_is_refused(tmp_path):
    path = csv_file(tmp_path, name="digits.csv.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"digits\.csv\.gz is cut off"):
        digit_files(path)
    path.write_text(csv_text())
    with pytest.raises(SourceError, match=r"is not a \.gz file"):
        digit_files(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"images": b""}, "not an IDX file of bytes in 3 dimensions"),
        ({"labels": idx(LABELS)[:6]}, "not an IDX file of bytes in 1 dimensions"),
        ({"images": idx(LEVELS)}, "not an IDX file of bytes in 3 dimensions"),
        ({"labels": b"\x00\x00\x0b\x01" + idx(LABELS)[4:]}, "not an IDX file of bytes"),
        ({"images": idx(LEVELS.reshape(-1, SIDE, SIDE))[:-1]}, "it has 4,704 values and has 4,703"),
        ({"images": b"\x00\x00\x08\x03" + b"\xff" * 12}, "and has 0"),
        ({"labels": idx(LABELS[:5])}, r"6 images and labels of the shape \(5,\)"),
        ({"images": idx(LEVELS.reshape(-1, 16, 49))}, r"of the shape \(6, 16, 49\)"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, files, message):
    with pytest.raises(SourceError, match=message):
        digit_files(idx_folder(tmp_path, **files))


def test_a_packed_idx_file_that_is_cut_off_is_refused(tmp_path):
    folder = idx_folder(tmp_path, suffix=".gz")
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="cut off"):
        digit_files(folder)


def test_images_without_labels_are_refused(tmp_path):
    (idx_folder(tmp_path) / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(SourceError, match=r"no file train-labels-idx1-ubyte or train-labels-idx1-ubyte\.gz"):
        digit_files(tmp_path)


def test_a_missing_file_and_an_unknown_suffix_are_refused(tmp_path):
    with pytest.raises(SourceError, match="missing is not there"):
        digit_files(tmp_path / "missing")
    (tmp_path / "digits.bin").write_bytes(b"0")
    with pytest.raises(SourceError, match=r"digits\.bin has a suffix that cannot be read.*\.npz"):
        digit_files(tmp_path / "digits.bin")
