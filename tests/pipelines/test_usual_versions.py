import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.table import CONTRACTS, part_key, table_assets
from pipelines.definitions import defs
from pipelines.io_manager import TableIOManager
from pipelines.usual_versions import NAME, usual_version_checks
from taproom.warehouse.contracts import Column, Contract, Usual
from taproom.warehouse.warehouse import Warehouse

BEERS = Contract(
    "beers",
    "a beer",
    (Column("beer", pa.int64(), "the beer"), Column("abv", pa.float64(), "alcohol", unit="%")),
    key=("beer",),
    may_be_empty=True,
    usual=Usual(added=1.0, gone=0.2, drift=0.3, reason="breweries are slow"),
)
CASKS = Contract(
    "casks",
    "a cask",
    (Column("pub", pa.string(), "the pub"), Column("cask", pa.int64(), "the cask")),
    key=("cask",),
    partition="pub",
)
PUBS = dg.DynamicPartitionsDefinition(name="pubs")


@pytest.fixture(autouse=True)
def _declared(monkeypatch, warehouse):
    for each in (BEERS, CASKS):
        monkeypatch.setitem(CONTRACTS, each.table, each)


def beers_asset(beers, abv) -> dg.AssetsDefinition:
    @dg.asset(name="beers")
    def asset() -> pa.Table:
        return BEERS.table_of(beer=beers, abv=abv)

    return asset


def casks_asset(casks) -> dg.AssetsDefinition:
    @dg.asset(name="casks", partitions_def=PUBS)
    def asset(context: dg.AssetExecutionContext) -> pa.Table:
        return CASKS.table_of(pub=[context.partition_key] * len(casks), cask=casks)

    return asset


def checked(asset: dg.AssetsDefinition, instance: dg.DagsterInstance, **more) -> dg.AssetCheckEvaluation:
    """The evaluation of the check in a run that makes the table."""
    made = dg.materialize(
        [asset, *usual_version_checks([asset])], resources={"io_manager": TableIOManager()}, instance=instance, **more
    )
    (evaluation,) = made.get_asset_check_evaluations()
    assert evaluation.check_name == NAME
    return evaluation


def test_every_table_is_checked():
    checks = defs.resolve_asset_graph().asset_check_keys
    assert {check.asset_key for check in checks if check.name == NAME} == table_assets(defs)


def test_a_first_version_and_equal_rows_pass(instance):
    first, again = (checked(beers_asset([1, 2], [5.0, 6.0]), instance) for _ in range(2))
    assert (first.passed, again.passed) == (True, True)
    assert first.description == "Nothing is compared. There were no rows before."
    assert again.description == "Nothing is compared. The rows are those of version 0."
    assert again.metadata["nothing_compared"].value == "The rows are those of version 0."


def test_rows_after_an_empty_version_pass(instance):
    checked(beers_asset([], []), instance)
    assert checked(beers_asset(range(500), [5.0] * 500), instance).passed


def test_a_small_change_passes_with_its_numbers(instance):
    checked(beers_asset(range(200), np.linspace(4, 6, 200)), instance)
    found = checked(beers_asset(range(10, 220), np.linspace(4, 6, 210)), instance)
    assert found.passed
    metadata = {name: each.value for name, each in found.metadata.items()}
    assert (metadata["version"], metadata["previous_version"]) == (1, 0)
    assert metadata["share_added"] == pytest.approx(20 / 200)
    assert metadata["share_gone"] == pytest.approx(10 / 200)
    assert 0 < metadata["largest_drift"] == metadata["drift"]["abv"] < 0.1


def test_a_large_change_is_a_warning_that_names_it_its_limit_the_reason_and_what_to_do(instance):
    checked(beers_asset(range(200), [5.0] * 200), instance)
    found = checked(beers_asset(range(100), [7.0] * 100), instance)
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert found.description == (
        "Comparing version 1 with version 0: 50% of the rows before are gone (usual: at most 20%); the distribution of "
        "abv moved by 1.00 (usual: at most 0.3). Why these are the limits: breweries are slow. What changed: taproom "
        "diff beers 0 1. If the version is right, nothing has to be done."
    )


def test_of_versions_that_are_too_large_the_numbers_of_rows_are_compared(instance, monkeypatch):
    monkeypatch.setattr("pipelines.io_manager.MAX_COMPARED_ROWS", 150)
    checked(beers_asset(range(200), [5.0] * 200), instance)
    as_usual = checked(beers_asset(range(1000, 1200), [7.0] * 200), instance)
    assert as_usual.passed
    assert as_usual.description == "Comparing numbers of rows of version 1 with version 0, all is as usual."
    assert "drift" not in as_usual.metadata
    assert "50% of the rows before are gone" in checked(beers_asset(range(100), [5.0] * 100), instance).description


def test_a_batch_is_compared_with_its_own_rows_before(instance):
    instance.add_dynamic_partitions("pubs", ["a", "b"])
    assert checked(casks_asset(range(10)), instance, partition_key="a").passed
    one_more = checked(casks_asset(range(90)), instance, partition_key="b")
    assert one_more.description == "Nothing is compared. There were no rows before."
    fewer = checked(casks_asset(range(5)), instance, partition_key="a")
    assert not fewer.passed
    assert "50% of the rows before are gone" in fewer.description


def test_a_damaged_version_before_is_no_reason_for_a_warning(instance, warehouse: Warehouse):
    checked(beers_asset(range(200), [5.0] * 200), instance)
    (file,) = warehouse.files("beers")
    warehouse.storage.replace(f"beers/{file.path}", b"damaged")
    found = checked(beers_asset(range(200), [6.0] * 200), instance)
    assert found.passed
    assert found.metadata["share_gone"].value == 0


def test_what_was_made_in_another_warehouse_is_not_compared(instance, monkeypatch, tmp_path):
    checks = list(usual_version_checks([beers_asset([1], [5.0])]))
    checked(beers_asset([1], [5.0]), instance)
    monkeypatch.setenv("TAPROOM_WAREHOUSE", str(tmp_path / "another"))
    job = dg.Definitions(
        assets=[dg.AssetSpec("beers")],
        asset_checks=checks,
        jobs=[dg.define_asset_job("check", dg.AssetSelection.all_asset_checks())],
    )
    (found,) = job.resolve_job_def("check").execute_in_process(instance=instance).get_asset_check_evaluations()
    assert found.description == "Nothing is compared. This warehouse has no version on record."


def test_a_part_of_a_table_is_compared_as_a_partition(instance):
    def asset(casks) -> dg.AssetsDefinition:
        @dg.asset(key=part_key("casks", "a"))
        def part() -> pa.Table:
            return CASKS.table_of(pub=["a"] * len(casks), cask=casks)

        return part

    checked(asset(range(10)), instance)
    assert not checked(asset(range(5)), instance).passed
