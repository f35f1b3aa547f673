import errno
import resource

import pytest

from taproom.errors import InputError, StorageError
from taproom.new_files import new_file, new_folder


def test_a_file_gets_its_name_when_it_is_complete(tmp_path):
    with new_file(tmp_path / "ales.txt") as part:
        part.write_text("ale")
        assert not (tmp_path / "ales.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["ales.txt"]
    with pytest.raises(InputError, match="exists; wanted the name of a new file"), new_file(tmp_path / "ales.txt"):
        pass
    assert (tmp_path / "ales.txt").read_text() == "ale"


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path):
    (tmp_path / "ales").mkdir()
    with new_folder(tmp_path / "ales") as part:
        (part / "a.txt").write_text("ale")
        assert list((tmp_path / "ales").iterdir()) == []
    assert [path.name for path in (tmp_path / "ales").iterdir()] == ["a.txt"]
    with pytest.raises(InputError, match="not an empty folder"), new_folder(tmp_path / "ales"):
        pass
    with new_folder(tmp_path / "new" / "ales"):
        pass
    assert (tmp_path / "new" / "ales").is_dir()


@pytest.mark.parametrize("new", [new_file, new_folder])
def test_nothing_is_left_of_what_fails(tmp_path, new):
    def write(text: str, error: type[BaseException] | None = None) -> None:
        with new(tmp_path / "ales") as part:
            (part if part.is_file() else part / "a").write_text(text)
            if error:
                raise error

    with pytest.raises(KeyboardInterrupt):
        write("half", KeyboardInterrupt)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StorageError, match=r"ales could not be written: .*Free some space") as refusal:
            write("x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusal.value.__cause__.errno in (errno.ENOSPC, errno.EFBIG)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StorageError, match="No such file"), new_file(tmp_path / "absent" / "a.txt"):
        pass
