"""CIFAR-10 in both of its forms."""

import hashlib
import io
import json
import logging
import tarfile
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from taproom.errors import SourceError
from taproom.images.image_arrays import pixels_of
from taproom.sources.cifar10 import CIFAR10_LABELS, cifar10, cifar10_pictures, cifar10_records
from taproom.sources.fetching import Source
from tests.image_files import columns, noise, read


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
def test_both_forms_of_cifar10_give_the_same_images_and_one_is_enough(tmp_path, form):
    sources, pixels, labels = cifar(tmp_path)
    check_cifar(cifar10(sources), pixels, labels)
    for other in sources.keys() - {form}:
        sources[other] = archived(other, tmp_path / "nowhere")
    check_cifar(cifar10(sources), pixels, labels)


def test_a_form_in_a_local_file_is_read_first(tmp_path, monkeypatch, caplog):
    sources, pixels, labels = cifar(tmp_path)
    sources["cifar10"] = archived("cifar10", tmp_path / "nowhere")
    monkeypatch.setenv("TAPROOM_SOURCE_CIFAR10_BINARY", str(tmp_path / "cifar10_binary.tar.gz"))
    with caplog.at_level(logging.WARNING):
        check_cifar(cifar10(sources), pixels, labels)
    assert not caplog.messages  # the other one would have failed


def test_when_neither_form_is_available_one_error_has_both_reasons_and_what_to_do(tmp_path, monkeypatch):
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
        "[0, -1]": "no list of whole numbers", "{": "no valid JSON",
    }.items():  # fmt: skip
        with pytest.raises(SourceError, match=complaint):
            pictures(fine, labels)
    for image in (Image.new("L", (1024, 2)), Image.new("RGB", (1000, 2))):
        with pytest.raises(SourceError, match=r"pixels of .* in a row"):
            pictures(image, "[0, 1]")
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    with pytest.raises(SourceError, match="no valid PNG"):
        list(cifar10_pictures({"test": ([tmp_path / "x.png"], tmp_path / "x.json")}))


@pytest.mark.parametrize("content", [b"", b"\0" * 3072, b"\x0a" + b"\0" * 3072])
def test_records_of_another_form_are_refused(tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(SourceError, match=r"bytes, and a record has 3,073|the label 10"):
        list(cifar10_records({"test": [tmp_path / "x.bin"]}))
