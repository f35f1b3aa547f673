import numpy as np
import pyarrow.compute as pc
import pytest
from PIL import Image

from taproom.errors import InputError

RANDOM = np.random.default_rng(0)


@pytest.fixture
def pictures(tmp_path, make):
    """Makes the table `images` of some files, by their name in a folder, of one height and width."""

    def write(height, width, *names):
        for name in names:
            path = tmp_path / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        make("images", images={"source": "files", "path": str(tmp_path / "pictures"), "test_share": 0})

    return write


def labelled(*labels):
    return [f"{split}/{label}/{number}.png" for split in ("training", "test") for label in labels for number in (1, 2)]


def operations(table, image_id):
    return {row["operation"]: row for row in table.to_pylist() if row["image_id"] == image_id}


def test_each_step_of_the_deck_is_a_row_whose_values_fill_its_shape(pictures, make, warehouse):
    pictures(32, 32, *labelled("ale", "bock", "stout"))
    result = make("filter_gallery", filter_gallery={"examples": 2})
    table = warehouse.read("filter_gallery")
    shown = dict.fromkeys(zip(table["image_id"].to_pylist(), table["label"].to_pylist(), strict=True))
    assert [label for _, label in shown] == [None, "ale", "bock"]
    assert all(image_id.startswith("training/") for image_id, _ in list(shown)[1:])
    for row in table.to_pylist():
        assert len(row["values"]) == row["height"] * row["width"] * row["channels"]
        if row["kernels"] is not None:
            assert len(row["kernels"]) == np.prod(row["kernels_shape"])
    deck = operations(table, "deck")["deck's example"]
    assert deck["values"] == [4, 3, 4, 2, 4, 3, 2, 3, 4]
    one = operations(table, list(shown)[1][0])
    assert one["pipeline: vector"]["channels"] == 12_544
    assert one["pipeline: stack"]["kernels_shape"] == [64, 5, 5, 3]
    assert one["sharpen"]["kernels"] == [0, -1, 0, -1, 5, -1, 0, -1, 0]
    check, *_ = result.get_asset_check_evaluations()
    assert check.passed
    assert sum(chunk.nbytes for chunk in table.to_batches()) < 5_000_000


def test_the_seed_chooses_and_the_same_seed_gives_the_same_again(pictures, make, warehouse):
    pictures(12, 12, *labelled("ale", "stout"))
    for seed in (0, 0, 5):
        make("filter_gallery", filter_gallery={"seed": seed})
    hashes = [warehouse.commit_of("filter_gallery", version)["content_hash"] for version in (0, 1)]
    assert hashes[0] != hashes[1]  # the second of three runs changed nothing, and made no version


def test_larger_images_are_made_smaller_in_their_own_proportions(pictures, make, warehouse):
    pictures(40, 64, "training/ale/1.png", "training/stout/1.png")
    make("filter_gallery")
    table = warehouse.read("filter_gallery")
    images = table.filter(pc.equal(table["operation"], "grey"))
    assert {(row["height"], row["width"]) for row in images.to_pylist()} == {(20, 32)}


def test_images_without_labels_are_shown_too(pictures, make, warehouse):
    pictures(12, 12, "1.png", "2.png", "3.png")
    make("filter_gallery", filter_gallery={"examples": 2})
    table = warehouse.read("filter_gallery")
    assert len(pc.unique(table["image_id"])) == 3
    assert table["label"].null_count == len(table)


def test_images_too_small_for_the_pipeline_are_refused(pictures, make):
    pictures(5, 9, *labelled("ale", "stout"))
    with pytest.raises(InputError, match="at least 6 x 6"):
        make("filter_gallery")
