"""Image files to read, and what the reader of images makes of them."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from taproom.images.image_arrays import pixels_of
from taproom.sources.image_blocks import Images
from taproom.sources.image_files import image_files
from taproom.sources.image_reader import ImageReader

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


def save(path, pixels, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)


def parquet(path, **values):
    pq.write_table(pa.table(values), path)
    return path


def read(found, **options):
    reader = ImageReader(found, "mugs", SCHEMA, **options)
    table = reader.reader().read_all()
    table.validate(full=True)
    counts = reader.counts
    assert counts["images"] == table.num_rows == counts["training"] + counts["test"]
    assert counts["left_out"] == sum(counts[why] for why in ("another_size", "transparent", "unsuitable", "unreadable"))
    return table, reader


def one_image(path):
    """The pixels and the counts of a folder with one image."""
    table, reader = read(image_files(path))
    return pixels_of(table)[0], reader.counts


def columns(table, *names):
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def reasons(reader):
    return {image: (why, reason) for image, why, reason in reader.left_out}


def block(count, size=(2, 2), label="cat", split="training", first=0):
    ids = [f"{first + number:05}" for number in range(count)]
    return Images(ids, [label] * count, [split] * count, noise(count, *size, 3))
