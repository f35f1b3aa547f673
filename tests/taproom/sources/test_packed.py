"""How much may come out of how little, and that every reader of people's files looks."""

import bz2
import gzip
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from taproom.errors import SourceError
from taproom.sources.corpus import DocumentReader, TextFiles, text_files
from taproom.sources.digits import digit_files
from taproom.sources.image_files import image_files
from taproom.sources.packed import EXPANSION, SMALL_BYTES, check_expansion, open_unpacked
from taproom.sources.plates import read_events_table
from taproom.sources.review_files import ReviewFile, beer_text
from taproom.sources.reviews import ReviewReader
from tests.review_reading import SCHEMA as REVIEWS
from tests.taproom.sources.test_corpus import SCHEMA as DOCUMENTS

BOMB_BYTES = 30_000_000
LINE = b"17,This beer pours a hazy golden colour with a thick head and tastes of citrus and of pine\n"
LONG_WORD = b"a" * 1_000  # rows of it are read as far as short ones, in less time


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": partial(pa.Codec("zstd").compress, asbytes=True)}


def packed(path: Path, content: bytes) -> Path:
    path.write_bytes(COMPRESS[path.suffix](content))
    return path


def times(line: bytes, size_bytes: int = BOMB_BYTES) -> bytes:
    return line * (size_bytes // len(line))


def read_all(path: Path) -> bytes:
    with open_unpacked(path) as stream:
        return stream.read()


@pytest.mark.parametrize(
    ("suffix", "line"), [(".gz", b"\0"), (".gz", b"\n"), (".gz", b"a,b\n"), (".bz2", b"\n"), (".zst", b"a,b\n")]
)
def test_a_bomb_is_refused_before_anything_of_it_is_given(tmp_path, suffix, line):
    path = packed(tmp_path / f"bomb.csv{suffix}", times(line))
    assert path.stat().st_size < 31_000
    with open_unpacked(path) as stream:
        tracemalloc.start()
        with pytest.raises(SourceError, match=rf"bomb\.csv{suffix}, up to byte 8,[345].* packed in .* bomb.* unpacked"):
            stream.read(1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * SMALL_BYTES


def test_a_bomb_behind_honest_text_is_refused_where_it_begins(tmp_path):
    honest = np.random.default_rng(0).bytes(10_000_000)
    path = packed(tmp_path / "bomb.gz", honest + times(b"\n"))
    with open_unpacked(path) as stream:
        assert stream.read(SMALL_BYTES) == honest[:SMALL_BYTES]
        with pytest.raises(SourceError, match="decompression bomb"):
            stream.read()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size_bytes"), [("r.gz", 50_000_000), ("r.bz2", 5_000_000)])
def test_the_same_line_again_and_again_is_no_bomb(tmp_path, name, size_bytes):
    content = times(LINE, size_bytes)
    path = packed(tmp_path / name, content)
    assert len(content) > 250 * path.stat().st_size
    assert read_all(path) == content


def test_a_small_file_may_hold_anything(tmp_path):
    content = bytes(SMALL_BYTES - 1)
    assert read_all(packed(tmp_path / "zeros.gz", content)) == content


@pytest.mark.parametrize(("suffix", "error"), [(".gz", EOFError), (".zst", OSError)])
def test_what_is_before_damage_is_given_first(tmp_path, suffix, error):
    content = b"".join(b"%d\n" % number for number in range(100_000))
    path = packed(tmp_path / f"cut{suffix}", content)
    path.write_bytes(path.read_bytes()[:-100])
    with open_unpacked(path) as stream:
        assert stream.readline() == b"0\n"
        with pytest.raises(error):
            stream.read()


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (lambda content: content[: len(content) // 2], r"is damaged near line [\d,]+ \(Truncated"),
        (lambda content: content + b"more", r"is damaged near line [\d,]+"),
        (lambda _: b"item_id,text\n1,a\n", r"is not a \.zst file"),
        (lambda _: b"", "is empty"),
    ],
    ids=["cut off", "something behind it", "not packed", "empty"],
)
def test_damaged_zstandard_files_are_refused_by_name(tmp_path, damaged, reason):
    rows = b"".join(b"%d,text %d\n" % (number, number) for number in range(100_000))
    path = packed(tmp_path / "r.csv.zst", b"item_id,text\n" + rows)
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(SourceError, match=rf"r\.csv\.zst:? {reason}"):
        reviews_of(path)


def test_the_checksum_of_a_zstandard_file_is_compared(tmp_path):
    content = bytes.fromhex("28b52ffd04588900006974656d5f69642c746578740a312c610a1b31bb7c")  # by the command zstd
    for written in (content, content[:-1] + b"\0"):
        (tmp_path / "r.zst").write_bytes(written)
        with open_unpacked(tmp_path / "r.zst") as stream:
            if written == content:
                assert stream.read() == b"item_id,text\n1,a\n"
            else:
                with pytest.raises(OSError, match="checksum"):
                    stream.read()


def test_several_zstandard_frames_are_one_file(tmp_path):
    frames = [packed(tmp_path / "r.zst", part).read_bytes() for part in (b"item_id,text\n", b"1,a\n")]
    (tmp_path / "r.zst").write_bytes(b"".join(frames))
    assert read_all(tmp_path / "r.zst") == b"item_id,text\n1,a\n"


def test_the_limit_grows_with_the_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    check_expansion(path, EXPANSION * 100_000)
    with pytest.raises(SourceError, match="file holds 40,000,001 bytes packed in 100,000"):
        check_expansion(path, EXPANSION * 100_000 + 1)


def parquet(path: Path, **columns: pa.Array) -> Path:
    table = pa.table(columns)
    pq.write_table(table, path, row_group_size=table.num_rows, max_rows_per_page=table.num_rows)
    return path


def one_value(value: object, rows: int, kind: pa.DataType) -> pa.Array:
    """A column of one value, which takes a few bytes in a file."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([value], kind)).dictionary_decode()


def reviews_of(path: Path) -> int:
    return sum(batch.num_rows for batch in ReviewReader(ReviewFile(path), "b", "c", REVIEWS).reader())


def beer_reviews_of(path: Path) -> int:
    reader = ReviewReader(beer_text(path), "b", "c", REVIEWS)
    return sum(batch.num_rows for batch in reader.reader())


def documents_of(path: Path) -> int:
    return sum(batch.num_rows for batch in DocumentReader(text_files(TextFiles(path)), "c", DOCUMENTS).reader())


def images_of(path: Path) -> int:
    return sum(len(block.pixels) for block in image_files(path))


def idx_bomb(path: Path) -> Path:
    head = b"\x00\x00\x08\x03" + np.array([BOMB_BYTES // 784, 28, 28], ">u4").tobytes()
    packed(path / "train-images-idx3-ubyte.gz", head + bytes(BOMB_BYTES))
    packed(path / "train-labels-idx1-ubyte.gz", b"\x00\x00\x08\x01\x00\x00\x00\x01\x01")
    return path


def npz_bomb(path: Path) -> Path:
    np.savez_compressed(path, x=np.zeros((BOMB_BYTES // 784, 784), np.uint8), y=np.zeros(BOMB_BYTES // 784, np.uint8))
    return path


BOMBS = {
    "reviews, CSV": (reviews_of, lambda at: packed(at / "b.csv.gz", b"item_id,text\n" + times(b"1,a\n"))),
    "reviews, JSON lines": (
        reviews_of,
        lambda at: packed(at / "b.jsonl.gz", times(b'{"item_id": 1, "text": "%s"}\n' % LONG_WORD)),
    ),
    "reviews, beer": (
        beer_reviews_of,
        lambda at: packed(at / "b.txt.gz", times(b"beer/name: %s\n\n" % LONG_WORD)),
    ),
    "reviews, Parquet of many rows": (
        reviews_of,
        lambda at: parquet(
            at / "b.parquet", **dict.fromkeys(["item_id", "text"], one_value("a", 5_000_000, pa.string()))
        ),
    ),
    "reviews, Parquet of a long text": (
        reviews_of,
        lambda at: parquet(
            at / "b.parquet", **dict.fromkeys(["item_id", "text"], one_value("a" * 2_000, 50_000, pa.string()))
        ),
    ),
    "documents": (documents_of, lambda at: packed(at / "b.txt.gz", times(b"a\n"))),
    "events, CSV": (read_events_table, lambda at: packed(at / "b.csv.gz", b"a\n" + times(b"1\n"))),
    "events, Parquet": (
        read_events_table,
        lambda at: parquet(at / "b.parquet", a=pa.array(np.zeros(BOMB_BYTES, np.int8))),
    ),
    "digits, CSV": (digit_files, lambda at: packed(at / "b.csv.gz", times(b"0," * 784 + b"1\n"))),
    "digits, IDX": (digit_files, idx_bomb),
    "digits, NumPy": (digit_files, lambda at: npz_bomb(at / "b.npz")),
    "images, Parquet of many rows": (
        images_of,
        lambda at: parquet(at / "b.parquet", pixels=one_value(bytes(3), 10_000_000, pa.binary())),
    ),
    "images, Parquet of a large image": (
        images_of,
        lambda at: parquet(at / "b.parquet", pixels=one_value(bytes(3072), 20_000, pa.binary())),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("read", "bomb"), BOMBS.values(), ids=BOMBS)
def test_every_reader_refuses_a_bomb(tmp_path, read: Callable[[Path], object], bomb: Callable[[Path], Path]):
    path = bomb(tmp_path)
    with pytest.raises(SourceError, match=r"bytes packed in [\d,]+, which looks like a decompression bomb"):
        read(path)


def test_a_bomb_in_a_folder_is_left_out(tmp_path):
    packed(tmp_path / "bomb.txt.gz", times(b"a\n"))
    (tmp_path / "honest.txt").write_text("some words\n")
    reader = DocumentReader(text_files(TextFiles(tmp_path)), "c", DOCUMENTS)
    assert sum(batch.num_rows for batch in reader.reader()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("read", "left"), [(documents_of, 54_946), (reviews_of, 1)])
def test_five_megabytes_of_one_review_are_read(tmp_path, read, left):
    path = packed(tmp_path / "reviews.csv.gz", b"item_id,text\n" + times(LINE, 5_000_000))
    assert read(path) == left  # the header is a document too; of equal reviews one is kept
