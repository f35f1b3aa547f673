import dagster as dg

from pipelines import disk_space
from pipelines.disk_space import little_disk_space
from taproom.warehouse.warehouse import Warehouse


def test_disks_of_the_warehouse_and_of_the_records_are_looked_at(home, warehouse, monkeypatch, tmp_path):
    with dg.DagsterInstance.get() as instance:
        assert list(little_disk_space(instance, warehouse)) == []
        monkeypatch.setattr(disk_space, "LEAST_FREE_BYTES", 2**60)
        assert [name for name, _ in little_disk_space(instance, Warehouse(tmp_path))] == [
            "the warehouse",
            "Dagster's records",
        ]
        assert [name for name, _ in little_disk_space(instance, Warehouse(tmp_path / "none"))] == ["Dagster's records"]


def test_records_in_memory_need_no_space(instance, monkeypatch, tmp_path):
    monkeypatch.setattr(disk_space, "LEAST_FREE_BYTES", 2**60)
    ((name, left),) = little_disk_space(instance, Warehouse(tmp_path))
    assert name == "the warehouse"
    assert left.endswith(" GB left; 1073741824 GB are wanted")
