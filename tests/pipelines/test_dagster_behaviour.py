"""Behaviour of Dagster that this repo relies on and that is not documented: a test fails when a release changes it.

The functions that are not public have their tests in `test_dagster_internals.py`.
"""

import dagster as dg
import pytest

from pipelines.dagster_internals import StaleStatus, input_record_id, set_data_version, stale_statuses

BATCHES = dg.DynamicPartitionsDefinition(name="batches")


class Recording(dg.IOManager):
    """Records the ids of its inputs' records, and gives every output the data version `version`."""

    def __init__(self, version: str = "v1"):
        self.version = version
        self.record_ids: list[int | None] = []

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        set_data_version(context, self.version)

    def load_input(self, context: dg.InputContext) -> int:
        self.record_ids.append(input_record_id(context))
        return 0


@dg.asset(code_version="1")
def first() -> int:
    return 1


@dg.asset(code_version="1")
def second(first: int) -> int:
    return 2


def run(*assets, instance, io_manager, select=None, **more):
    selection = [dg.AssetKey(name) for name in select] if select else None
    resources = {"io_manager": io_manager}
    return dg.materialize(list(assets), instance=instance, resources=resources, selection=selection, **more)


def newest(instance, name: str) -> dg.EventLogRecord:
    return instance.fetch_materializations(dg.AssetRecordsFilter(asset_key=dg.AssetKey(name)), limit=1).records[0]


def status(instance, key: str, *assets, partition=None) -> StaleStatus:
    asked = dg.AssetKey(key)
    return stale_statuses(instance, dg.Definitions(assets), [asked], partition)[asked]


def test_a_resource_may_put_a_new_object_into_each_step_of_one_process(instance):
    events = []

    class PerStep(dg.ConfigurableIOManager, dg.IAttachDifferentObjectToOpContext):
        def get_object_to_set_on_execution_context(self):
            events.append("made")
            return Counting(len(events))

        def handle_output(self, context, obj):
            raise AssertionError("the attached object is used instead")

        def load_input(self, context):
            raise AssertionError("the attached object is used instead")

    class Counting(dg.IOManager):
        def __init__(self, number: int):
            self.number = number

        def handle_output(self, context, obj):
            events.append(f"{context.asset_key.path[-1]} out of {self.number}")

        def load_input(self, context):
            events.append(f"in from {self.number}")
            return 0

    @dg.asset
    def first() -> int:
        events.append("first runs")
        return 1

    @dg.asset
    def second(first: int) -> int:
        events.append("second runs")
        return 2

    run(first, second, instance=instance, io_manager=PerStep())
    start = events.index("first runs") - 1
    # Whatever Dagster made at the run's beginning, each step has one made after the step before it has ended.
    assert events[start] == "made"
    written = events.index(f"first out of {start + 1}")
    again = events.index("made", written)
    assert events[again:] == ["made", f"in from {again + 1}", "second runs", f"second out of {again + 1}"]


def test_an_input_knows_the_record_it_was_resolved_to(instance):
    io_manager = Recording()
    run(first, instance=instance, io_manager=io_manager)
    run(first, second, instance=instance, io_manager=io_manager, select=["second"])
    assert io_manager.record_ids == [newest(instance, "first").storage_id]
    run(first, second, instance=instance, io_manager=io_manager)
    assert io_manager.record_ids[1] == newest(instance, "first").storage_id > io_manager.record_ids[0]


def test_a_record_says_which_data_versions_its_inputs_had(instance):
    def tags() -> dict[str, str]:
        name = "dagster/input_data_version/first"
        return newest(instance, "second").asset_materialization.tags[name]

    run(dg.AssetSpec("first"), second, instance=instance, io_manager=Recording())
    assert tags() == "INITIAL"
    run(first, instance=instance, io_manager=Recording("v7"))
    run(first, second, instance=instance, io_manager=Recording(), select=["second"])
    assert tags() == "v7"


def test_a_record_can_be_fetched_by_its_id(instance):
    io_manager = Recording("v1")
    run(first, instance=instance, io_manager=io_manager)
    record = newest(instance, "first")
    io_manager.version = "v2"
    run(first, instance=instance, io_manager=io_manager)
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("first"), storage_ids=[record.storage_id])
    (found,) = instance.fetch_materializations(wanted, limit=1).records
    assert found.asset_materialization.tags["dagster/data_version"] == "v1"


def test_a_table_is_missing_then_fresh_then_stale(instance):
    io_manager = Recording()
    assert status(instance, "second", first, second) is StaleStatus.MISSING
    run(first, second, instance=instance, io_manager=io_manager)
    assert status(instance, "second", first, second) is StaleStatus.FRESH

    run(first, instance=instance, io_manager=io_manager)
    assert status(instance, "second", first, second) is StaleStatus.FRESH  # the same data version as before

    io_manager.version = "v2"
    run(first, instance=instance, io_manager=io_manager)
    assert status(instance, "second", first, second) is StaleStatus.STALE


def test_another_code_version_makes_stale_and_another_config_does_not(instance):
    class Settings(dg.Config):
        given: int = 1

    def configured(code_version: str):
        @dg.asset(name="configured", code_version=code_version)
        def asset(config: Settings) -> int:
            return config.given

        return asset

    run(configured("1"), instance=instance, io_manager=Recording())
    assert status(instance, "configured", configured("1")) is StaleStatus.FRESH
    assert status(instance, "configured", configured("2")) is StaleStatus.STALE


@pytest.mark.parametrize(("batches", "noticed"), [(99, StaleStatus.STALE), (100, StaleStatus.FRESH)])
def test_from_a_hundred_upstream_partitions_on_an_updated_one_goes_unnoticed(instance, batches, noticed):
    @dg.asset(partitions_def=BATCHES, code_version="1")
    def batched() -> int:
        return 1

    @dg.asset(code_version="1")
    def rollup(batched: dict[str, int]) -> int:
        return 1

    class Many(Recording):
        def load_input(self, context):
            return {}

    def report(batch: str, version: str) -> None:
        tags = {"dagster/data_version": version, "dagster/code_version": "1"}
        instance.report_runless_asset_event(dg.AssetMaterialization("batched", partition=batch, tags=tags))

    names = [f"b{number}" for number in range(batches)]
    instance.add_dynamic_partitions(BATCHES.name, names)
    for name in names:
        report(name, "v1")
    run(batched, rollup, instance=instance, io_manager=Many(), select=["rollup"])
    assert status(instance, "rollup", batched, rollup) is StaleStatus.FRESH
    report("b7", "v2")
    assert status(instance, "rollup", batched, rollup) is noticed
