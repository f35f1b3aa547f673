"""One image file: formats, colours, orientation and damage."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from taproom.images.image_arrays import pixels_of
from taproom.sources.image_blocks import LeftOut
from taproom.sources.image_files import image_files
from tests.image_files import columns, noise, one_image, read, reasons, save


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
def test_an_image_that_rgb_cannot_represent_is_left_out_with_the_reason(tmp_path, name):
    save(tmp_path / "fine.png", noise(4, 4, 3))
    UNSUITABLE[name](tmp_path / name)
    table, reader = read(image_files(tmp_path, 4, 4))
    assert table["image_id"].to_pylist() == ["fine.png"]
    why, reason = reasons(reader)[name]
    assert why == "unsuitable", reason
    assert reader.counts["unsuitable"] == 1


def test_a_photograph_is_rotated_as_its_exif_data_says(tmp_path):
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


@pytest.mark.slow
def test_a_picture_that_would_fill_the_memory_is_left_out_before_it_is_decoded(tmp_path):
    save(tmp_path / "fine.png", noise(4, 4, 3))
    for number, side in enumerate((5_000, 10_000, 20_000)):
        save(tmp_path / f"bomb{number}.png", Image.new("1", (side, side)))
    _, reader = read(image_files(tmp_path))
    assert [why for _, why, _ in reader.left_out] == ["unsuitable"] * 3
    assert all("over 16,777,216 pixels" in reason for _, _, reason in reader.left_out)
