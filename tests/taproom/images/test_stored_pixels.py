import pickle

import numpy as np
import pyarrow as pa
import pytest

from assets.images.images import CONTRACT
from taproom.errors import InputError
from taproom.images import stored_pixels
from taproom.images.stored_pixels import StoredPixels, without_pixels
from tests.planted_images import images_table, planted_images

PIXELS, NAMES = planted_images(each=10)


def rows_of(pixels, names, first=0):
    table = images_table(pixels, names, ["training"] * len(names))
    numbered = [f"{place:04}" for place in range(first, first + len(names))]
    return CONTRACT.table_of(**{**table.to_pydict(), "image_id": numbered, "dataset": ["planted"] * len(names)})


@pytest.fixture
def images(stored, monkeypatch):
    """30 images in files of ten."""
    rows = rows_of(PIXELS, NAMES)
    monkeypatch.setattr("taproom.warehouse.data_files.BYTES_PER_BATCH", rows.nbytes // 6)
    monkeypatch.setattr("taproom.warehouse.data_files.BYTES_PER_FILE", rows.nbytes // 3)
    monkeypatch.setattr("taproom.warehouse.reading.BYTES_PER_BATCH", rows.nbytes // 6)
    return stored(CONTRACT, rows)


@pytest.mark.parametrize(
    "places",
    [np.arange(30), np.array([29, 0, 10, 9, 9]), [3], [], np.arange(30)[::-1], slice(8, 22), slice(0, 0)],
    ids=str,
)
def test_it_is_indexed_as_the_array_is(images, places):
    read = StoredPixels(images)
    assert (read.shape, len(read), read.dtype, read.ndim) == (PIXELS.shape, 30, PIXELS.dtype, 4)
    np.testing.assert_array_equal(read[places], PIXELS[places])


def test_some_of_the_rows_are_an_array_of_their_own(images):
    rows = np.array([2, 11, 12, 25])
    read = pickle.loads(pickle.dumps(StoredPixels(images, rows)))
    assert read.shape == (4, *PIXELS.shape[1:])
    np.testing.assert_array_equal(read[np.array([3, 1])], PIXELS[[25, 11]])
    none = StoredPixels(images, rows[:0])
    assert none[np.arange(0)].shape == none.shape == (0, *PIXELS.shape[1:])


def test_images_in_ascending_order_read_each_file_once_and_no_other(images, monkeypatch):
    read, files, stream = StoredPixels(images), [], stored_pixels.stream

    def noted(*given, skipped, **more):
        files.append(3 - len(skipped))
        return stream(*given, skipped=skipped, **more)

    monkeypatch.setattr(stored_pixels, "stream", noted)
    for start in range(0, 30, 4):
        read[start : start + 4]
    assert files == [1, 1, 1]


def test_images_of_another_size_are_refused(stored, monkeypatch):
    monkeypatch.setattr("taproom.warehouse.data_files.BYTES_PER_FILE", 1)
    mixed = pa.concat_tables([rows_of(PIXELS[:3], NAMES[:3]), rows_of(PIXELS[:3, :6], NAMES[:3], first=3)])
    read = StoredPixels(stored(CONTRACT, mixed))
    np.testing.assert_array_equal(read[[2]], PIXELS[[2]])
    with pytest.raises(InputError, match=r"\(12, 12\) and of \(6, 12\)"):
        read[[3]]


def test_what_each_image_is_can_be_read_without_its_pixels(images):
    assert without_pixels(images).read().schema.names == ["image_id", "split", "label"]
