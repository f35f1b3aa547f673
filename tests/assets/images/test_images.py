import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from assets.images.images import CONTRACT, images, read_at_once
from pipelines.io_manager import TableIOManager
from pipelines.records import newest_materialization
from taproom.errors import CollectionError, ContractError, SourceError
from taproom.images.image_arrays import labels_of, pixels_of
from taproom.sources.fetching import read_sources

LEVELS = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """A folder of 40 images of two labels."""
    for number, pixels in enumerate(LEVELS):
        path = tmp_path / "mugs" / ("ale", "stout")[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "mugs"


@pytest.fixture
def make_images(warehouse, instance):
    def run(path="", **config):
        given = {"source": "files", "path": str(path), **config}
        return dg.materialize(
            [images],
            resources={"io_manager": TableIOManager()},
            instance=instance,
            run_config={"ops": {"images": {"config": given}}},
        )

    return run


def told(instance):
    return newest_materialization(instance, dg.AssetKey("images")).asset_materialization.metadata


def test_a_folder_of_images_becomes_a_table(folder, make_images, warehouse, instance):
    result = make_images(folder)
    table = warehouse.read("images")
    assert table.schema.equals(CONTRACT.schema)
    assert set(table["dataset"].to_pylist()) == {"mugs"}
    assert table["image_id"].to_pylist()[:2] == ["ale/00.png", "ale/02.png"]
    assert np.array_equal(pixels_of(table), np.concatenate([LEVELS[::2], LEVELS[1::2]]))
    numbers, names = labels_of(table)
    assert (np.bincount(numbers).tolist(), names) == ([20, 20], ["ale", "stout"])
    assert 2 <= table["split"].to_pylist().count("test") <= 16
    check, *_ = result.get_asset_check_evaluations()
    assert check.passed
    metadata = told(instance)
    assert {name: metadata[name].value for name in ("images", "left_out", "grey")} == {
        "images": 40, "left_out": 0, "grey": 0,
    }  # fmt: skip


def test_the_figure_shows_images(folder, make_images, instance):
    make_images(folder)
    picture = Image.open(told(instance)["figure_path"].value)
    colours = {colour for _, colour in picture.convert("RGB").getcolors(maxcolors=2**24)}
    assert tuple(LEVELS[0, 2, 2].tolist()) in colours


def test_what_is_left_out_is_told_and_checked(folder, make_images, warehouse, instance):
    Image.fromarray(LEVELS[0, :, :, 0]).save(folder / "ale" / "grey.png")
    Image.fromarray(LEVELS[0]).convert("RGBA").save(folder / "ale" / "opaque.png")
    Image.new("RGBA", (6, 6)).save(folder / "ale" / "clear.png")
    Image.fromarray(LEVELS[0, :3]).save(folder / "ale" / "small.png")
    (folder / "ale" / "damaged.png").write_bytes((folder / "ale" / "00.png").read_bytes()[:-30])
    check, *_ = make_images(folder).get_asset_check_evaluations()
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert check.metadata["left_out_share"].value == pytest.approx(3 / 45)
    metadata = told(instance)
    counts = ("images", "grey", "opaque_alpha", "another_size", "transparent", "unreadable", "unsuitable")
    assert [metadata[name].value for name in counts] == [42, 1, 1, 1, 1, 1, 0]
    assert [reason.partition(":")[0] for reason in metadata["left_out_because"].value] == [
        "ale/clear.png", "ale/damaged.png", "ale/small.png",
    ]  # fmt: skip
    assert len(warehouse.read("images")) == 42


def test_the_same_images_make_no_new_version_and_another_size_does(folder, make_images, warehouse):
    make_images(folder)
    make_images(folder)
    assert warehouse.head("images") == 0
    Image.fromarray(LEVELS[0, :3]).save(folder / "ale" / "small.png")
    make_images(folder, height=3, width=6)
    assert warehouse.head("images") == 1
    assert pixels_of(warehouse.read("images")).shape == (1, 3, 6, 3)


def test_nothing_published_is_lost_when_images_cannot_be_read(folder, make_images, warehouse, tmp_path):
    make_images(folder)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(SourceError, match="has no image that can be used"):
        make_images(tmp_path / "damaged", dataset="mugs")
    pq.write_table(pa.table({"pixels": [b"abc"] * 2, "image_id": ["a", "a"]}), tmp_path / "twice.parquet")
    with pytest.raises(ContractError, match="must be unique"):
        make_images(tmp_path / "twice.parquet", dataset="mugs")
    assert warehouse.head("images") == 0
    assert len(warehouse.read("images")) == 40


def test_another_data_set_is_refused_by_name(folder, make_images, warehouse, tmp_path):
    make_images(folder)
    pq.write_table(pa.table({"pixels": [b"abc"]}), tmp_path / "glasses.parquet")
    with pytest.raises(CollectionError, match=r"mugs.*glasses|glasses.*mugs"):
        make_images(tmp_path / "glasses.parquet")
    assert len(warehouse.read("images")) == 40


def test_pixels_that_are_not_as_many_as_the_size_says_are_refused(folder, make_images, warehouse):
    make_images(folder)
    rows = warehouse.read("images").slice(0, 2)
    place = rows.schema.get_field_index("height")
    wrong = rows.set_column(place, rows.schema.field(place), [pa.array([6, 5], pa.int32())])
    with pytest.raises(ContractError, match=r"1 rows break the rule 'pixels has height x width x 3 bytes'"):
        list(CONTRACT.checked(wrong.to_batches()))


def test_a_path_without_the_source_that_reads_it_is_refused(folder, make_images):
    with pytest.raises(SourceError, match="source: files"):
        make_images(folder, source="cifar10")


@pytest.mark.parametrize("given", [{"source": "files"}, {"source": "files", "path": "nowhere"}])
def test_a_path_that_is_none_is_refused(given, make_images):
    with pytest.raises(SourceError, match=r"no path was given|nowhere is not there.* Wanted: images"):
        read_at_once(given)
    with pytest.raises(SourceError, match=r"no path was given|nowhere is not there.* Wanted: images"):
        make_images(**given)


def test_a_changed_file_changes_the_configuration_that_reads_it(folder):
    given = {"source": "files", "path": str(folder)}
    before = read_at_once(given)
    assert read_at_once(given) == before
    assert len(before[None]["fingerprint"]) == 64
    (folder / "ale" / "00.png").write_bytes((folder / "ale" / "02.png").read_bytes())
    assert read_at_once(given) != before
    assert read_at_once({}) == {None: {}}


def test_the_embedded_images_are_in_the_list_of_sources():
    found = read_sources()
    assert [name.rpartition("/")[2] for name in found["cifar10"].members] == [
        *(f"data_batch_{number}.png" for number in range(1, 6)),
        "test_batch.png", "train_lables.json", "test_lables.json",
    ]  # fmt: skip
    assert [name.rpartition("/")[2] for name in found["cifar10_binary"].members] == [
        *(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin",
    ]  # fmt: skip
