"""Images read out of CIFAR-10's forms, folders and Parquet files: what is taken, what is left out, what is refused."""

import hashlib
import io
import json
import logging
import tarfile
import zlib
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from taproom.errors import InputError, SourceError
from taproom.images.image_figures import sample_images, tiles_of
from taproom.sources import images as module
from taproom.sources.corpus import Document, DocumentReader
from taproom.sources.fetching import Source
from taproom.sources.images import (
    CIFAR10_LABELS,
    ImageReader,
    Images,
    LeftOut,
    cifar10,
    cifar10_pictures,
    cifar10_records,
    image_files,
    labels_of,
    pixels_of,
    read_picture,
)

SCHEMA = pa.schema(
    [
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("pixels", pa.binary(), nullable=False),
    ]
)
RANDOM = np.random.default_rng(0)


def noise(*shape):
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def read(found, **options):
    reader = ImageReader(found, "mugs", SCHEMA, **options)
    table = reader.reader().read_all()
    table.validate(full=True)
    counts = reader.counts
    assert counts["images"] == table.num_rows == counts["training"] + counts["test"]
    assert counts["left_out"] == sum(counts[why] for why in ("another_size", "transparent", "unsuitable", "unreadable"))
    return table, reader


def save(path, pixels, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)


def columns(table, *names):
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def reasons(reader):
    return {image: (why, reason) for image, why, reason in reader.left_out}


def one_image(path):
    """The pixels and the counts of a folder with one image."""
    table, reader = read(image_files(path))
    return pixels_of(table)[0], reader.counts


# Folders


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
def test_folders_called_so_are_splits(tmp_path, training, test):
    for name in (f"{training}/cat/a.png", f"{test}/cat/b.png", f"{training}/more/dog/c.png", f"{test}/d.png"):
        save(tmp_path / name, noise(2, 2, 3))
    table, _ = read(image_files(tmp_path))
    assert {(image_id.rpartition("/")[2], split, label) for image_id, split, label in
            columns(table, "image_id", "split", "label")} == {
        ("a.png", "training", "cat"), ("b.png", "test", "cat"), ("c.png", "training", "dog"), ("d.png", "test", None),
    }  # fmt: skip


def test_what_is_in_neither_split_is_left_out(tmp_path):
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
    assert reasons(reader)["0.png"] == ("another_size", "it is 8 high and 8 wide; 4 high and 6 wide are read")
    assert read(image_files(tmp_path, height=6, width=4))[0]["image_id"].to_pylist() == ["2.png"]


def test_of_equally_frequent_sizes_the_first_is_kept(tmp_path):
    save(tmp_path / "a.png", noise(2, 3, 3))
    save(tmp_path / "b.png", noise(3, 2, 3))
    assert read(image_files(tmp_path))[0]["image_id"].to_pylist() == ["a.png"]


@pytest.mark.parametrize("size", [(None, 3), (3, None), (0, 0), (-1, 4), (10**5, 10**5)])
def test_an_impossible_size_is_refused(tmp_path, size):
    with pytest.raises(SourceError, match="Wanted: both or neither"):
        image_files(tmp_path, *size)


@pytest.mark.parametrize(
    "name", ["x.png", "x.bmp", "x.tif", "x.TIFF", "x.ppm", "x.gif", "x.webp", "x.jpg", "x.jpeg", "x.pgm"]
)
def test_every_format_is_read(tmp_path, name):
    image = np.full((8, 8, 3), 128, np.uint8)
    mode = "L" if name.endswith("pgm") else None
    save(tmp_path / name, image, mode, **({"lossless": True} if name.endswith("webp") else {}))
    pixels, counts = one_image(tmp_path)
    assert np.abs(pixels.astype(int) - image).max() <= 1
    assert counts["grey"] == (mode == "L")


# Colours


@pytest.mark.parametrize(
    ("mode", "name", "counted"),
    [
        ("L", "x.png", {"grey": 1, "opaque_alpha": 0}),
        ("1", "x.png", {"grey": 1, "opaque_alpha": 0}),
        ("LA", "x.png", {"grey": 1, "opaque_alpha": 1}),
        ("RGBA", "x.png", {"grey": 0, "opaque_alpha": 1}),
        ("RGB", "x.png", {"grey": 0, "opaque_alpha": 0}),
    ],
)
def test_grey_becomes_rgb_and_opaque_alpha_goes(tmp_path, mode, name, counted):
    image = Image.fromarray(noise(6, 6, 3)).convert(mode)
    save(tmp_path / name, image)
    pixels, counts = one_image(tmp_path)
    assert np.array_equal(pixels, np.asarray(image.convert("RGB")))
    assert {name: counts[name] for name in counted} == counted


def test_a_palette_becomes_rgb(tmp_path):
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4), "P")
    image.putpalette([level for index in range(256) for level in (index * 9 % 256, index, 255 - index)])
    save(tmp_path / "x.png", image)
    pixels, _ = one_image(tmp_path)
    assert pixels[3, 3].tolist() == [135, 15, 240]


def clear(mode):
    image = Image.fromarray(noise(4, 4, 3)).convert(mode)
    image.putpixel((1, 1), (9,) * (len(image.getbands()) - 1) + (254,))
    return image, {}


TRANSPARENT = {
    "rgba": lambda: clear("RGBA"),
    "la": lambda: clear("LA"),
    "palette": lambda: (Image.fromarray(np.zeros((4, 4), np.uint8), "P"), {"transparency": 0}),
    "colour key": lambda: (Image.new("RGB", (4, 4), (1, 2, 3)), {"transparency": (1, 2, 3)}),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_an_alpha_channel_that_is_not_opaque_is_left_out(tmp_path, kind):
    image, options = TRANSPARENT[kind]()
    save(tmp_path / "clear.png", image, **options)
    save(tmp_path / "fine.png", noise(4, 4, 3))
    table, reader = read(image_files(tmp_path))
    assert table["image_id"].to_pylist() == ["fine.png"]
    assert reasons(reader)["clear.png"][0] == "transparent"


def deep_png(path):
    """An RGB image of 16 bits a channel, which Pillow can read but not write."""

    def block(kind, content):
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    header = (4).to_bytes(4, "big") * 2 + bytes([16, 2, 0, 0, 0])
    rows = b"".join(b"\0" + noise(4 * 6).tobytes() for _ in range(4))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", zlib.compress(rows)) + block(b"IEND", b"")
    )


def animation(path):
    frames = [Image.fromarray(noise(4, 4, 3)) for _ in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


UNSUITABLE = {
    "deep.png": deep_png,
    "deep grey.png": lambda path: save(path, noise(4, 4).astype(np.uint16) * 257),
    "deep.ppm": lambda path: path.write_bytes(b"P6 4 4 65535\n" + noise(96).tobytes()),
    "deep plain.ppm": lambda path: path.write_bytes(b"P3 4 4 1000\n" + b"7 " * 48),
    "deep grey.pgm": lambda path: path.write_bytes(b"P5 4 4 65535\n" + noise(32).tobytes()),
    "float.tif": lambda path: save(path, noise(4, 4).astype(np.float32)),
    "print.jpg": lambda path: save(path, Image.new("CMYK", (4, 4))),
    "print.tif": lambda path: save(path, Image.new("CMYK", (4, 4))),
    "lab.tif": lambda path: save(path, Image.new("LAB", (4, 4))),
    "moving.gif": animation,
    "moving.png": animation,
    "moving.webp": animation,
    "pages.tif": animation,
    "notes.txt": lambda path: path.write_text("no image"),
}


@pytest.mark.parametrize("name", UNSUITABLE)
def test_what_rgb_cannot_say_is_left_out_with_the_reason(tmp_path, name):
    save(tmp_path / "fine.png", noise(4, 4, 3))
    UNSUITABLE[name](tmp_path / name)
    table, reader = read(image_files(tmp_path, 4, 4))
    assert table["image_id"].to_pylist() == ["fine.png"]
    why, reason = reasons(reader)[name]
    assert why == "unsuitable", reason
    assert reader.counts["unsuitable"] == 1


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    image = Image.fromarray(np.full((8, 16, 3), 40, np.uint8))
    image.paste((200, 200, 200), (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    save(tmp_path / "a.jpg", image, exif=exif, quality=95)
    save(tmp_path / "b.png", image.transpose(Image.Transpose.ROTATE_270))
    table, _ = read(image_files(tmp_path))
    assert columns(table, "height", "width") == [(16, 8), (16, 8)]
    turned, wanted = pixels_of(table).astype(int)
    assert np.abs(turned - wanted).max() < 16


# Damage


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    place = content.index(b"IDAT") + 20
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGE = {
    "cut.png": cut,
    "flipped.png": flipped,
    "no checksum.png": lambda content: content[:-13] + b"\0" + content[-12:],
    "empty.png": lambda content: b"",
    "noise.png": lambda content: b"no image at all",
    "page.png": lambda content: b"<html></html>",
    "signature.png": lambda content: content[:8],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_left_out_with_the_reason(tmp_path, name):
    save(tmp_path / "fine.png", noise(16, 16, 3))
    (tmp_path / name).write_bytes(DAMAGE[name]((tmp_path / "fine.png").read_bytes()))
    table, reader = read(image_files(tmp_path))
    assert table["image_id"].to_pylist() == ["fine.png"]
    why, reason = reasons(reader)[name]
    assert why == "unreadable"
    assert "damaged" in reason
    assert "0x" not in reason


@pytest.mark.parametrize("suffix", ["jpg", "gif", "webp", "tif", "bmp", "ppm"])
def test_a_file_that_is_cut_off_is_left_out_whatever_its_format(tmp_path, suffix):
    save(tmp_path / f"fine.{suffix}", noise(64, 64, 3))
    (tmp_path / f"cut.{suffix}").write_bytes(cut((tmp_path / f"fine.{suffix}").read_bytes()))
    table, reader = read(image_files(tmp_path))
    assert table["image_id"].to_pylist() == [f"fine.{suffix}"]
    assert reader.counts["unreadable"] == 1


@settings(max_examples=80, deadline=None)
@given(place=st.integers(8, 10**6), bit=st.integers(0, 7), data=st.binary(min_size=48, max_size=48))
def test_a_flipped_bit_is_never_another_picture(tmp_path_factory, place, bit, data):
    folder = tmp_path_factory.mktemp("flipped")
    save(folder / "a.png", np.frombuffer(data, np.uint8).reshape(4, 4, 3))
    content = bytearray((folder / "a.png").read_bytes())
    content[place % len(content)] ^= 1 << bit
    (folder / "a.png").write_bytes(content)
    found = list(image_files(folder, 4, 4))
    for each in found:
        assert isinstance(each, LeftOut) or each.pixels.tobytes() == data


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(tmp_path):
    save(tmp_path / "fine.png", noise(4, 4, 3))
    for number, side in enumerate((5_000, 10_000, 20_000)):
        save(tmp_path / f"bomb{number}.png", Image.new("1", (side, side)))
    _, reader = read(image_files(tmp_path))
    assert [why for _, why, _ in reader.left_out] == ["unsuitable"] * 3
    assert all("over 16,777,216 pixels" in reason for _, _, reason in reader.left_out)


def test_a_name_that_no_table_can_hold_is_left_out(tmp_path):
    save(tmp_path / "a.png", noise(2, 2, 3))
    (tmp_path / "b\udcff.png").write_bytes((tmp_path / "a.png").read_bytes())
    _, reader = read(image_files(tmp_path))
    ((image, _, reason),) = reader.left_out
    assert image == "b\\udcff.png"
    assert "not UTF-8" in reason


def test_hidden_files_and_links_are_passed_over(tmp_path):
    save(tmp_path / "a.png", noise(2, 2, 3))
    save(tmp_path / ".hidden" / "b.png", noise(2, 2, 3))
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    table, reader = read(image_files(tmp_path))
    assert (table.num_rows, reader.counts["left_out"]) == (1, 0)


# One file


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


# Refused


def test_where_there_are_no_images_a_sentence_says_so(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(SourceError, match=r"has no images in it: 1 files, none of which"):
        image_files(tmp_path)
    with pytest.raises(SourceError, match="is not there"):
        image_files(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"neither a folder nor called \.parquet"):
        image_files(tmp_path / "notes.txt")


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


# Parquet


def parquet(path, **values):
    pq.write_table(pa.table(values), path)
    return path


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
def test_pixels_are_bytes_or_lists_and_square_unless_told_otherwise(tmp_path, kind):
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
        "unsuitable", "12 values are no image 2 high and 3 wide, or it has over 16,777,216 pixels",
    )  # fmt: skip
    assert found["x.parquet:00000004"] == ("another_size", "it is 3 high and 3 wide; 2 high and 2 wide are read")
    assert found["x.parquet:00000005"] == ("unsuitable", "it has no pixels")
    assert reader.counts["unsuitable"] == 4


def test_grey_alpha_and_other_sizes_are_told_by_the_number_of_values(tmp_path):
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


def test_rows_that_are_no_square_are_left_out_and_the_most_frequent_size_is_kept(tmp_path):
    path = parquet(tmp_path / "x.parquet", pixels=[b"x" * 5, b"y" * 27, b"z" * 12, b"w" * 9])
    table, reader = read(image_files(path))
    assert columns(table, "image_id", "height") == [("x.parquet:00000002", 3), ("x.parquet:00000004", 3)]
    assert reader.counts["grey"] == 1
    assert "no square image" in reasons(reader)["x.parquet:00000001"][1]


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
        ({"pixels": [b"abc"], "label": [["a"]]}, "the column 'label' is no text"),
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
    with pytest.raises(SourceError, match=r"x\.parquet is no Parquet file, or damaged"):
        image_files(path)
    path.write_bytes(content[:4] + b"\xff" * 2_000 + content[2_004:])
    with pytest.raises(SourceError, match=r"x\.parquet is damaged"):
        read(image_files(path))


# CIFAR-10


def cifar(folder, training=7, test=3):
    """Both forms of as many images: sources of the archives, the pixels and the labels' numbers."""
    pixels, labels = noise(2 * training + test, 32, 32, 3), noise(2 * training + test) % 10
    ends = [0, training, 2 * training, 2 * training + test]
    names = ["data_batch_1", "data_batch_2", "test_batch"]
    png, records = {}, {}
    for name, (first, last) in zip(names, pairwise(ends), strict=True):
        buffer = io.BytesIO()
        Image.fromarray(pixels[first:last].reshape(last - first, 1024, 3)).save(buffer, "png")
        png[f"{name}.png"] = buffer.getvalue()
        planes = pixels[first:last].transpose(0, 3, 1, 2).reshape(last - first, -1)
        records[f"{name}.bin"] = np.column_stack([labels[first:last], planes]).tobytes()
    png["train_lables.json"] = json.dumps(labels[: 2 * training].tolist()).encode()
    png["test_lables.json"] = json.dumps(labels[2 * training :].tolist()).encode()
    sources = {}
    for source_id, files in {"cifar10": png, "cifar10_binary": records}.items():
        path = folder / f"{source_id}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(f"package/{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        sources[source_id] = archived(source_id, path, [f"package/{name}" for name in files])
    return sources, pixels, labels


def archived(source_id, path, members=("package/x",), origin=None):
    content = path.read_bytes() if path.exists() else b""
    sha256 = hashlib.sha256(content).hexdigest()
    texts = {"licence": "none", "citation": "nobody", "description": "noise"}
    return Source(source_id, origin or str(path), sha256, len(content) or 1, tuple(members), **texts)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TAPROOM_CACHE", str(tmp_path_factory.mktemp("cache")))
    for source_id in ("CIFAR10", "CIFAR10_BINARY"):
        monkeypatch.delenv(f"TAPROOM_SOURCE_{source_id}", raising=False)


def check_cifar(found, pixels, labels):
    table, reader = read(found)
    assert table["image_id"].to_pylist() == [f"training/{n:05}" for n in range(14)] + [f"test/{n:05}" for n in range(3)]
    assert columns(table, "split", "label") == [
        ("training" if place < 14 else "test", CIFAR10_LABELS[number]) for place, number in enumerate(labels)
    ]
    assert np.array_equal(pixels_of(table), pixels)
    assert reader.counts["left_out"] == 0


@pytest.mark.parametrize("form", ["cifar10", "cifar10_binary"])
def test_both_forms_of_cifar10_are_the_same_images_and_either_will_do(tmp_path, form):
    sources, pixels, labels = cifar(tmp_path)
    check_cifar(cifar10(sources), pixels, labels)
    for other in sources.keys() - {form}:
        sources[other] = archived(other, tmp_path / "nowhere")
    check_cifar(cifar10(sources), pixels, labels)


def test_a_form_that_lies_on_this_machine_is_taken_first(tmp_path, monkeypatch, caplog):
    sources, pixels, labels = cifar(tmp_path)
    sources["cifar10"] = archived("cifar10", tmp_path / "nowhere")
    monkeypatch.setenv("TAPROOM_SOURCE_CIFAR10_BINARY", str(tmp_path / "cifar10_binary.tar.gz"))
    with caplog.at_level(logging.WARNING):
        check_cifar(cifar10(sources), pixels, labels)
    assert not caplog.messages  # the other one would have failed


def test_when_neither_form_can_be_had_one_error_says_what_each_said_and_the_way_out(tmp_path, monkeypatch):
    sources, _, _ = cifar(tmp_path)
    nobody = "http://127.0.0.1:9/cifar-10-binary.tar.gz"
    sources["cifar10_binary"] = archived("cifar10_binary", tmp_path / "cifar10_binary.tar.gz", ["a"], nobody)
    monkeypatch.setenv("TAPROOM_SOURCE_CIFAR10", str(tmp_path / "nowhere.tgz"))
    with pytest.raises(SourceError) as error:
        cifar10(sources)
    said = str(error.value)
    for part in ("nowhere.tgz cannot be read", nobody, "TAPROOM_SOURCE_CIFAR10 ", "`source: files`", "`path`"):
        assert part in said


def test_cifar10_in_another_form_is_refused(tmp_path):
    def pictures(image, labels):
        image.save(tmp_path / "x.png")
        (tmp_path / "x.json").write_text(labels)
        return list(cifar10_pictures({"test": ([tmp_path / "x.png"], tmp_path / "x.json")}))

    fine = Image.new("RGB", (1024, 2))
    assert pictures(fine, "[0, 9]")[0].labels == ["airplane", "truck"]
    for labels, complaint in {
        "[0]": "1 labels for 2 images", "[0, 1, 2]": "3 labels for 2 images", "[0, 10]": "label 10",
        "[0, -1]": "no list of whole numbers", "{": "no JSON",
    }.items():  # fmt: skip
        with pytest.raises(SourceError, match=complaint):
            pictures(fine, labels)
    for image in (Image.new("L", (1024, 2)), Image.new("RGB", (1000, 2))):
        with pytest.raises(SourceError, match=r"pixels of .* in a row"):
            pictures(image, "[0, 1]")
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    with pytest.raises(SourceError, match="no sound PNG"):
        list(cifar10_pictures({"test": ([tmp_path / "x.png"], tmp_path / "x.json")}))


@pytest.mark.parametrize("content", [b"", b"\0" * 3072, b"\x0a" + b"\0" * 3072])
def test_records_of_another_form_are_refused(tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(SourceError, match=r"bytes, which are no records|the label 10"):
        list(cifar10_records({"test": [tmp_path / "x.bin"]}))


# Batches, samples and arrays


def block(count, size=(2, 2), label="cat", split="training", first=0):
    ids = [f"{first + number:05}" for number in range(count)]
    return Images(ids, [label] * count, [split] * count, noise(count, *size, 3))


def test_batches_are_small_and_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH_IMAGES", 3)
    for number in range(8):
        save(tmp_path / f"{number}.png", noise(4, 4, 3))
    assert [batch.num_rows for batch in ImageReader(image_files(tmp_path), "x", SCHEMA).reader()] == [3, 3, 2]
    monkeypatch.setattr(module, "BATCH_BYTES", 2 * 48)
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


@settings(max_examples=30, deadline=None)
@given(
    pixels=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 5), st.just(3)).flatmap(
        lambda shape: arrays(np.uint8, shape)
    ),
    chunk=st.integers(1, 4),
)
def test_arrays_come_back_whatever_the_batches(pixels, chunk):
    names = [f"{number:02}" for number in range(len(pixels))]
    table, _ = read([Images(names, [None] * len(names), ["test"] * len(names), pixels)])
    chunked = pa.concat_tables(table.slice(start, chunk) for start in range(0, len(pixels), chunk))
    assert np.array_equal(pixels_of(chunked), pixels)


def test_rows_of_several_sizes_are_no_array():
    table, _ = read([block(2), block(1, (2, 4), first=2)])
    with pytest.raises(InputError, match="heights 2 and widths 2, 4"):
        pixels_of(table)
    with pytest.raises(InputError, match="at least one"):
        pixels_of(table.slice(0, 0))
    wrong = table.slice(0, 2).set_column(4, SCHEMA.field("height"), [pa.array([3, 3], pa.int32())])
    with pytest.raises(InputError, match="not the 3 x 3 x 2 bytes"):
        pixels_of(wrong)


def test_labels_are_numbers_in_the_order_of_the_sorted_names():
    table, _ = read([block(2), block(1, label=None, first=2), block(1, label="ant", first=3)])
    numbers, names = labels_of(table)
    assert (numbers.tolist(), numbers.dtype, names) == ([1, 1, -1, 0], np.int64, ["ant", "cat"])
    assert labels_of(table.to_batches()[1])[0].tolist() == [-1]


def test_samples_are_the_first_of_each_label_and_small(monkeypatch):
    monkeypatch.setattr(module, "SAMPLES", 2)
    monkeypatch.setattr(module, "SAMPLED_LABELS", 2)
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
    monkeypatch.setattr(module, "MAX_LEFT_OUT", 2)
    lost = [LeftOut(f"{number}.png", "unreadable", "gone") for number in range(5)]
    _, reader = read([*lost, block(1)])
    assert ([image for image, _, _ in reader.left_out], reader.counts["unreadable"]) == (["0.png", "1.png"], 5)


# Figures


def drawn(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_tiles_stand_row_by_row_with_white_between_them(kind):
    pictures = np.zeros((3, 2, 2, 3), kind)
    pictures[2] = 1
    white = 255 if kind is np.uint8 else 1
    grid = tiles_of(pictures, 2)
    assert (grid.shape, grid.dtype) == ((5, 5, 3), kind)
    assert (grid[:2, :2] == 0).all()
    assert (grid[2] == white).all()
    assert (grid[3:, :2] == 1).all()
    assert (grid[3:, 3:] == white).all()


def test_samples_are_drawn_with_any_labels():
    shades = {
        label: np.full((3, 4, 6, 3), 10 * place + 5, np.uint8) for place, label in enumerate(["$a$", "b" * 99, None])
    }
    pixels = drawn(sample_images(shades, {(label, "training"): 3 for label in shades}))
    assert {5, 15, 25} <= set(pixels[pixels.std(axis=1) == 0][:, 0].tolist())
    many = {f"label {number:02}": np.zeros((1, 2, 2, 3), np.uint8) for number in range(50)}
    assert len(drawn(sample_images(many, {(label, "test"): 1 for label in many}))) > 10_000
    assert len(drawn(sample_images({}, {})))
