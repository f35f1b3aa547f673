"""Images of a folder: their labels, splits and size, and which files are left out."""

import numpy as np
import pyarrow as pa
import pytest

from taproom.images.image_arrays import pixels_of
from taproom.sources.corpus import Document, DocumentReader
from taproom.sources.image_files import image_files
from tests.image_files import SCHEMA, columns, noise, read, reasons, save


def test_folders_are_labels_and_the_split_is_by_the_name(tmp_path):
    pixels = {f"{label}/{number:03}.png": noise(4, 6, 3) for label in ("stout", "ale") for number in range(100)}
    for name, image in pixels.items():
        save(tmp_path / name, image)
    table, reader = read(image_files(tmp_path))
    assert table.schema.equals(SCHEMA)
    assert table["image_id"].to_pylist() == sorted(pixels)
    assert {(name.split("/")[0], label) for name, label in columns(table, "image_id", "label")} == {
        ("stout", "stout"), ("ale", "ale"),
    }  # fmt: skip
    assert set(columns(table, "dataset", "height", "width")) == {("mugs", 4, 6)}
    assert np.array_equal(pixels_of(table), [pixels[name] for name in sorted(pixels)])
    assert 20 < reader.counts["test"] < 60
    assert sum(reader.by_label.values()) == 200
    documents = DocumentReader(
        [Document(name, None, None, "x") for name in sorted(pixels)],
        "c",
        pa.schema([(name, pa.string()) for name in ("corpus", "document_id", "label", "split", "text")]),
    )
    assert table["split"].to_pylist() == documents.reader().read_all()["split"].to_pylist()


@pytest.mark.parametrize(("training", "test"), [("train", "test"), ("training", "Test")])
def test_folders_with_the_names_of_splits_are_splits(tmp_path, training, test):
    for name in (f"{training}/cat/a.png", f"{test}/cat/b.png", f"{training}/more/dog/c.png", f"{test}/d.png"):
        save(tmp_path / name, noise(2, 2, 3))
    table, _ = read(image_files(tmp_path))
    assert {(image_id.rpartition("/")[2], split, label) for image_id, split, label in
            columns(table, "image_id", "split", "label")} == {
        ("a.png", "training", "cat"), ("b.png", "test", "cat"), ("c.png", "training", "more"), ("d.png", "test", None),
    }  # fmt: skip


def test_the_label_is_the_first_folder_however_deep_the_image_is(tmp_path):
    wanted = {"cat/2012/summer/a.png": "cat", "cat/b.png": "cat", "dog/2012/c.png": "dog", " /cat/d.png": None}
    for name in wanted:
        save(tmp_path / name, noise(2, 2, 3))
    assert dict(columns(read(image_files(tmp_path))[0], "image_id", "label")) == wanted


def test_an_image_in_no_folder_of_a_split_is_left_out(tmp_path):
    for name in ("train/cat/a.png", "test/cat/b.png", "validation/cat/c.png", "d.png"):
        save(tmp_path / name, noise(2, 2, 3))
    table, reader = read(image_files(tmp_path))
    assert table["image_id"].to_pylist() == ["test/cat/b.png", "train/cat/a.png"]
    assert reasons(reader).keys() == {"validation/cat/c.png", "d.png"}
    assert "none of the folders of splits" in reader.left_out[0].reason


def test_a_train_among_ships_is_a_label(tmp_path):
    for name in ("train/a.png", "ship/b.png"):
        save(tmp_path / name, noise(2, 2, 3))
    assert read(image_files(tmp_path))[0]["label"].to_pylist() == ["ship", "train"]


def test_images_without_a_folder_have_no_label(tmp_path):
    save(tmp_path / "a.png", noise(2, 2, 3))
    table, reader = read(image_files(tmp_path))
    assert columns(table, "label", "split") == [(None, "training")]
    assert reader.counts["without_label"] == 1


def test_one_class_and_constant_images_are_fine(tmp_path):
    for number in range(3):
        save(tmp_path / "same" / f"{number}.png", np.full((5, 5, 3), 7, np.uint8))
    table, reader = read(image_files(tmp_path))
    assert (pixels_of(table) == 7).all()
    assert (reader.counts["images"], reader.counts["left_out"]) == (3, 0)


def test_the_most_frequent_size_is_kept_and_others_are_counted(tmp_path):
    for number, size in enumerate([(8, 8), (4, 6), (6, 4), (4, 6)]):
        save(tmp_path / f"{number}.png", noise(*size, 3))
    table, reader = read(image_files(tmp_path))
    assert table["image_id"].to_pylist() == ["1.png", "3.png"]
    assert reader.counts["another_size"] == 2
    assert reasons(reader)["0.png"] == ("another_size", "it is 8 high and 8 wide; wanted: 4 high and 6 wide")
    assert read(image_files(tmp_path, height=6, width=4))[0]["image_id"].to_pylist() == ["2.png"]


def test_of_equally_frequent_sizes_the_first_is_kept(tmp_path):
    save(tmp_path / "a.png", noise(2, 3, 3))
    save(tmp_path / "b.png", noise(3, 2, 3))
    assert read(image_files(tmp_path))[0]["image_id"].to_pylist() == ["a.png"]


def test_a_name_that_is_not_utf_8_is_left_out(tmp_path):
    save(tmp_path / "a.png", noise(2, 2, 3))
    (tmp_path / "b\udcff.png").write_bytes((tmp_path / "a.png").read_bytes())
    _, reader = read(image_files(tmp_path))
    ((image, _, reason),) = reader.left_out
    assert image == "b\\udcff.png"
    assert "not UTF-8" in reason


def test_hidden_files_and_links_are_skipped(tmp_path):
    save(tmp_path / "a.png", noise(2, 2, 3))
    save(tmp_path / ".hidden" / "b.png", noise(2, 2, 3))
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    table, reader = read(image_files(tmp_path))
    assert (table.num_rows, reader.counts["left_out"]) == (1, 0)
