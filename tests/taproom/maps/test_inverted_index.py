import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from taproom.maps import inverted_index
from taproom.maps.inverted_index import InvertedIndex, load_index
from taproom.warehouse.warehouse import Warehouse
from tests.taproom.maps.test_out_of_sample import publish_weights, themed_texts


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of cached indexes, where even small ones are kept."""
    monkeypatch.setenv("TAPROOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(inverted_index, "SMALLEST_IN_CACHE", 0)
    return tmp_path / "cache" / "inverted_indexes"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    warehouse = Warehouse(tmp_path_factory.mktemp("weights"))
    publish_weights(warehouse, themed_texts())
    return warehouse


@pytest.fixture
def warehouse(published, tmp_path):
    """A copy to change."""
    return Warehouse(shutil.copytree(published.root, tmp_path / "warehouse"))


def loaded(warehouse, version=0):
    versions = {"vocabulary": version, "tfidf": version}
    item_ids = warehouse.read("tfidf", 0, columns=["item_id"])["item_id"].combine_chunks()
    return load_index(warehouse, versions, warehouse.read("vocabulary", version), item_ids)


def assert_same(one, other):
    for name, array in vars(one).items():
        np.testing.assert_array_equal(array, getattr(other, name), strict=True)


@pytest.fixture(scope="module")
def built(published):
    """The index as it is built in memory."""
    return loaded(published)


def test_a_kept_index_has_the_same_bits_and_is_loaded_without_the_weights(cache, warehouse, built):
    assert_same(loaded(warehouse), built)
    kept = warehouse.read("tfidf")["item_id"].combine_chunks()
    shutil.rmtree(Path(warehouse.root, "tfidf", warehouse.files("tfidf")[0].path), ignore_errors=True)
    Path(warehouse.root, "tfidf", warehouse.files("tfidf")[0].path).unlink()
    versions = {"vocabulary": 0, "tfidf": 0}
    assert_same(load_index(warehouse, versions, warehouse.read("vocabulary"), kept), built)


@pytest.mark.parametrize("share", [-1.0, 2.0])
def test_an_index_of_frequent_or_of_rare_terms_alone_is_kept(cache, published, monkeypatch, share):
    monkeypatch.setattr(inverted_index, "FREQUENT_SHARE", share)
    texts = np.array([0, 3]), np.array([1.0, 0.5])
    first, second = loaded(published), loaded(published)
    assert len(second.items) == 0 if share < 0 else len(second.frequent) == 0
    np.testing.assert_array_equal(second.cosine_distances(*texts), first.cosine_distances(*texts), strict=True)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what is mapped")
def test_a_kept_index_is_mapped_from_its_file(cache, published):
    for _ in range(2):
        index = loaded(published)
        (path,) = cache.iterdir()
        assert str(path) in Path("/proc/self/maps").read_text()
        assert not any(array.flags.writeable or array.flags.owndata for array in vars(index).values())


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content[: len(content) // 2] + b"?" + content[len(content) // 2 + 1 :],
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: b"",
    ],
    ids=["first byte", "middle byte", "truncated", "nearly nothing", "emptied"],
)
def test_a_damaged_file_is_replaced(cache, published, built, damage, caplog):
    loaded(published)
    (path,) = cache.iterdir()
    content = path.read_bytes()
    path.unlink()  # a new file: what is mapped must stay as it is
    path.write_bytes(damage(content))
    with caplog.at_level(logging.WARNING):
        assert_same(loaded(published), built)
    assert "built again" in caplog.text
    assert path.read_bytes() == content
    assert list(cache.iterdir()) == [path]


def test_other_weights_or_items_have_another_file(cache, warehouse):
    loaded(warehouse)
    publish_weights(warehouse, themed_texts(seed=1))
    other = loaded(warehouse, version=1)
    assert len(list(cache.iterdir())) == 2
    assert_same(loaded(warehouse, version=1), other)


def test_tables_in_another_warehouse_with_the_same_rows_have_the_same_file(cache, published, warehouse):
    loaded(published)
    loaded(warehouse)
    assert len(list(cache.iterdir())) == 1


def test_without_a_cache_that_can_be_written_the_index_is_built_in_memory(cache, published, built, caplog):
    cache.parent.write_text("a file, not a folder")
    assert_same(loaded(published), built)
    assert "is not kept, so it is built again each time" in caplog.text


def test_a_small_index_is_not_kept(cache, published, monkeypatch):
    weights = pa.compute.list_value_length(published.read("tfidf")["weights"])
    monkeypatch.setattr(inverted_index, "SMALLEST_IN_CACHE", pa.compute.sum(weights).as_py() + 1)
    loaded(published)
    assert not cache.exists()


def test_the_files_used_longest_ago_make_room(cache, warehouse, monkeypatch):
    for seed in (1, 2):
        publish_weights(warehouse, themed_texts(seed=seed))
    loaded(warehouse)
    (first,) = cache.iterdir()
    unfinished = cache / ".killed.part"
    unfinished.write_bytes(bytes(100))
    for number, path in enumerate([unfinished, first]):
        os.utime(path, (number, number))
    monkeypatch.setattr(inverted_index, "MAX_CACHE_BYTES", int(2.5 * first.stat().st_size))
    loaded(warehouse, version=1)
    assert unfinished.exists()
    loaded(warehouse)  # which is a use
    loaded(warehouse, version=2)
    assert not unfinished.exists()
    assert first.exists()
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(inverted_index, "MAX_CACHE_BYTES", 0)
    first.unlink()
    loaded(warehouse)
    assert list(cache.iterdir()) == [first]
    assert isinstance(loaded(warehouse), InvertedIndex)
