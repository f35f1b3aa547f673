import pickle
from pathlib import Path

import pytest

from taproom.errors import DamagedFileError
from taproom.warehouse.scratch import FOLDER, Scratch, scratch
from taproom.warehouse.warehouse import Warehouse


def files_under(root: Path) -> list[Path]:
    return [path for path in (root / FOLDER).rglob("*") if path.is_file()]


def test_files_are_read_by_whoever_has_the_description_and_deleted_with_the_block(tmp_path):
    with scratch(str(tmp_path)) as files:
        names = [files.write(content) for content in (b"ale", b"bock", b"ale")]
        assert names[0] == names[2]
        assert len(files_under(tmp_path)) == 2
        sent = pickle.loads(pickle.dumps(files))
        assert [sent.read(name).to_pybytes() for name in names] == [b"ale", b"bock", b"ale"]
    assert files_under(tmp_path) == []
    assert Warehouse(tmp_path).heads() == {}


def test_they_are_deleted_after_an_error_too_and_others_stay(tmp_path):
    other = Scratch(str(tmp_path), f"{FOLDER}/other")
    name = other.write(b"stout")

    def fail() -> None:
        with scratch(str(tmp_path)) as files:
            files.write(b"ale")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in files_under(tmp_path)] == [name]


def test_a_block_without_files_leaves_no_error(tmp_path):
    with scratch(str(tmp_path / "new")) as files:
        assert files.folder.startswith(FOLDER)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"alt")], ids=["gone", "changed"])
def test_other_bytes_than_were_written_are_refused(tmp_path, damage):
    with scratch(str(tmp_path)) as files:
        name = files.write(b"ale")
        damage(tmp_path / files.folder / name)
        with pytest.raises(DamagedFileError, match=f"{name} is not as a worker has written it"):
            files.read(name)
