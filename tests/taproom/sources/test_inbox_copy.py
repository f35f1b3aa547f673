"""The copy of an inbox in a real object store (SeaweedFS)."""

from pathlib import Path

import pytest

from taproom.object_store import s3_files
from taproom.sources.inbox_copy import update_copy
from tests.servers import running_object_store, stack_in_a_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def store():
    """A running store."""
    with stack_in_a_folder() as environment, running_object_store(environment):
        yield


@pytest.fixture
def update(tmp_path, request):
    """Makes the inbox have the objects `names`, and gives the files of its copy."""
    bucket, files = f"taproom/{request.node.name}", s3_files()

    def make(*names: str) -> set[str]:
        files.delete_dir_contents(bucket, missing_dir_ok=True)
        for name in names:
            with files.open_output_stream(f"{bucket}/{name}") as stream:
                stream.write(name.encode())
        update_copy(f"s3://{bucket}", tmp_path)
        copies = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert [path.read_text() for path in copies] == [named(path) for path in copies]
        return set(map(named, copies))

    def named(path: Path) -> str:
        return path.relative_to(tmp_path).as_posix()

    return make


def test_an_object_that_is_gone_is_deleted_whatever_its_name(update):
    assert update("june.csv", "july.part", "plate 7/a1.fcs", ".hidden.csv") == {
        "june.csv", "july.part", "plate 7/a1.fcs",
    }  # fmt: skip
    assert update("june.csv") == {"june.csv"}


def test_a_file_that_another_process_fetches_is_left_alone(update, tmp_path):
    (tmp_path / ".01234567.part").write_text(".01234567.part")
    assert update("june.csv") == {"june.csv", ".01234567.part"}


def test_an_object_may_become_a_folder_and_a_folder_an_object(update):
    assert update("plates") == {"plates"}
    assert update("plates/7/a1.fcs") == {"plates/7/a1.fcs"}
    assert update("plates") == {"plates"}
