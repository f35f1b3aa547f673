"""What the pages know of each table beside its rows."""

import dagster as dg

from assets.table import CONTRACTS
from pipelines.definitions import defs
from pipelines.table_descriptions import described_tables


def test_every_table_is_described_with_its_chain_and_inputs(instance, warehouse):
    tables = {table.name: table for table in described_tables(instance, warehouse, defs)}
    assert tables.keys() == CONTRACTS.keys()
    assert tables["item_map"].chain == "reviews"
    assert tables["item_map"].inputs == ("champions", "items", "neighbors", "tfidf", "vocabulary")
    assert tables["reviews"].inputs == ()
    assert all(table.description for table in tables.values())
    assert not any(table.needs_attention for table in tables.values())


def described(instance, warehouse, name: str):
    return next(table for table in described_tables(instance, warehouse, defs) if table.name == name)


def test_stale_tables_are_said_to_be_stale(themes, make, instance, warehouse):
    assert not any(table.is_stale for table in described_tables(instance, warehouse, defs))
    make("documents", documents={"source": "files", "path": str(themes), "unit": "line"})
    assert described(instance, warehouse, "terms").is_stale
    assert not described(instance, warehouse, "documents").is_stale


def test_a_check_is_as_it_was_when_it_was_last_run(themes, instance, warehouse):
    key = next(key for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key.path == ["documents"])
    for passed in (False, True, False):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=key.asset_key, check_name=key.name, passed=passed, description="so")
        )
        found = {check.name: check for check in described(instance, warehouse, "documents").checks}
        assert (found[key.name].passed, found[key.name].found) == (passed, "so")
        assert bool(described(instance, warehouse, "documents").failed_checks) is not passed
