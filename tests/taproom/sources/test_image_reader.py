"""Blocks of images as rows: splits, counts, batches and samples."""

import numpy as np
import pytest

from taproom.errors import InputError, SourceError
from taproom.images.image_arrays import pixels_of
from taproom.sources import image_blocks, image_reader
from taproom.sources.image_blocks import LeftOut
from taproom.sources.image_files import image_files
from taproom.sources.image_reader import ImageReader
from tests.image_files import SCHEMA, block, noise, parquet, read, save


def test_batches_are_small_and_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(image_blocks, "BATCH_IMAGES", 3)
    for number in range(8):
        save(tmp_path / f"{number}.png", noise(4, 4, 3))
    assert [batch.num_rows for batch in ImageReader(image_files(tmp_path), "x", SCHEMA).reader()] == [3, 3, 2]
    monkeypatch.setattr(image_blocks, "BATCH_BYTES", 2 * 48)
    assert [batch.num_rows for batch in ImageReader(image_files(tmp_path), "x", SCHEMA).reader()] == [2, 2, 2, 2]
    path = parquet(tmp_path / "x.parquet", pixels=[noise(48).tobytes() for _ in range(5)])
    assert max(batch.num_rows for batch in ImageReader(image_files(path), "x", SCHEMA).reader()) <= 2


def test_pixels_reach_the_table_and_the_array_without_a_copy():
    given_block = block(5)
    (batch,) = ImageReader([given_block], "mugs", SCHEMA).reader()
    assert np.shares_memory(pixels_of(batch), given_block.pixels)
    sliced = batch.slice(2, 2)
    assert np.array_equal(pixels_of(sliced), given_block.pixels[2:4])
    assert np.shares_memory(pixels_of(sliced), given_block.pixels)


def test_samples_are_the_first_of_each_label_and_small(monkeypatch):
    monkeypatch.setattr(image_reader, "SAMPLES", 2)
    monkeypatch.setattr(image_reader, "SAMPLED_LABELS", 2)
    blocks = [block(3), block(1, label=None, first=3), block(1, label="dog", first=4)]
    _, reader = read(blocks)
    assert {label: len(images) for label, images in reader.samples.items()} == {"cat": 2, None: 1}
    assert np.array_equal(reader.samples["cat"], blocks[0].pixels[:2])
    _, reader = read([block(1, (200, 100))])
    assert reader.samples["cat"].shape == (1, 67, 34, 3)


def test_a_split_that_is_given_stays_and_few_images_are_all_training():
    assert read([block(3, split="test")])[1].counts["test"] == 3
    assert read([block(9, split=None)], test_share=0.9)[1].counts["training"] == 9
    parts = [block(5, split=None), block(5, split=None, first=5)]
    assert read(parts, test_share=0.9)[1].counts["test"] > 5


def test_the_first_left_out_are_kept_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(image_reader, "MAX_LEFT_OUT", 2)
    lost = [LeftOut(f"{number}.png", "unreadable", "gone") for number in range(5)]
    _, reader = read([*lost, block(1)])
    assert ([image for image, _, _ in reader.left_out], reader.counts["unreadable"]) == (["0.png", "1.png"], 5)


def test_a_folder_of_damaged_images_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(
        SourceError, match=r"'mugs' has no image that can be used: 1 were left out.*a\.png: it is empty"
    ):
        read(image_files(tmp_path))


def test_nothing_found_is_refused():
    with pytest.raises(SourceError, match="has no image that can be used"):
        read([])


@pytest.mark.parametrize("share", [-0.1, 1, float("nan")])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(InputError, match="share is"):
        ImageReader([], "mugs", SCHEMA, test_share=share)
