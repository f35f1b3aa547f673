import dagster as dg
import pytest

from pipelines.records import newest_by_partition, newest_materialization, recorded_version
from taproom.warehouse.warehouse import Warehouse

KEY = dg.AssetKey("reviews")


@pytest.fixture
def report(instance, warehouse):
    """Records a version of the table, as a step or a repair does."""

    def run(version: int, partition: str | None = None) -> None:
        metadata = {"dagster/uri": warehouse.uri("reviews"), "version": version}
        instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=partition, metadata=metadata))

    return run


def test_the_newest_record_of_a_table_a_partition_or_by_id(instance, warehouse, report):
    assert newest_materialization(instance, KEY) is None
    assert recorded_version(instance, warehouse, KEY) is None
    for version, partition in enumerate("aba"):
        report(version, partition)
    assert recorded_version(instance, warehouse, KEY) == 2
    assert recorded_version(instance, warehouse, KEY, partitions=["b"]) == 1
    assert recorded_version(instance, warehouse, KEY, partitions=["a", "b"]) == 2
    first = instance.fetch_materializations(KEY, limit=1, ascending=True).records[0]
    assert recorded_version(instance, warehouse, KEY, record_id=first.storage_id) == 0


def test_a_record_of_another_warehouse_has_no_version_here(instance, tmp_path, report):
    report(0)
    assert recorded_version(instance, Warehouse(tmp_path / "another"), KEY) is None


def test_a_record_without_a_version_has_none(instance, warehouse):
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY))
    assert recorded_version(instance, warehouse, KEY) is None


def test_the_newest_record_of_each_partition(instance, report):
    assert newest_by_partition(instance, KEY) == []
    for version, partition in enumerate("aba"):
        report(version, partition)
    records = newest_by_partition(instance, KEY)
    found = {record.partition_key: record.asset_materialization.metadata["version"].value for record in records}
    assert found == {"a": 2, "b": 1}
