import shutil
from pathlib import Path

import pytest

from taproom.warehouse.warehouse import Warehouse
from tests.taproom.warehouse.damage import three_commits


@pytest.fixture
def file_a_batch(monkeypatch):
    monkeypatch.setattr("taproom.warehouse.data_files.BYTES_PER_FILE", 1)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("sound"))
    three_commits(warehouse)
    return warehouse


@pytest.fixture
def damaged(sound: Warehouse, tmp_path: Path) -> Warehouse:
    """A copy to damage."""
    shutil.copytree(sound.root, tmp_path / "damaged")
    return Warehouse(tmp_path / "damaged")
