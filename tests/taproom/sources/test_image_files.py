"""Paths of images: a folder, a Parquet file, one picture, or nothing of these."""

import numpy as np
import pytest
from PIL import Image

from taproom.errors import SourceError
from taproom.sources.image_files import image_files, read_picture
from tests.image_files import noise, save


@pytest.mark.parametrize("size", [(None, 3), (3, None), (0, 0), (-1, 4), (10**5, 10**5)])
def test_an_impossible_size_is_refused(tmp_path, size):
    with pytest.raises(SourceError, match="Wanted: both or neither"):
        image_files(tmp_path, *size)


def test_a_single_picture_is_read_by_the_same_rules(tmp_path):
    pixels = noise(3, 5, 3)
    save(tmp_path / "fine.png", pixels)
    save(tmp_path / "clear.png", Image.new("RGBA", (4, 4)))
    assert np.array_equal(read_picture(tmp_path / "fine.png"), pixels)
    with pytest.raises(SourceError, match=r"clear\.png cannot be read as an image: its alpha channel is not opaque"):
        read_picture(tmp_path / "clear.png")
    with pytest.raises(SourceError, match=r"cannot be opened \(Is a directory\)"):
        read_picture(tmp_path)
    with pytest.raises(SourceError, match="is not there"):
        read_picture(tmp_path / "nowhere.png")


def test_a_path_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SourceError, match=r"has no images in it: 1 files, none of which"):
        image_files(tmp_path)
    with pytest.raises(SourceError, match="is not there"):
        image_files(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"neither a folder nor a file called \.parquet"):
        image_files(tmp_path / "notes.txt")
