"""What the pages know of each table beside its rows: from its definition, and from Dagster's records."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg

from assets.table import CONTRACTS, table_and_part, table_assets
from pipelines.dagster_internals import fresh_for, newest_check_evaluations
from pipelines.failures import last_failures
from pipelines.freshness import fresh_assets
from pipelines.records import newest_materializations
from taproom.pages.tables import Check, TableDescription
from taproom.warehouse.warehouse import Warehouse


def described_tables(
    instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions
) -> list[TableDescription]:
    """Every table that assets make, with what Dagster's records say is wrong with it."""
    graph = definitions.resolve_asset_graph()
    by_table: dict[str, list[dg.AssetKey]] = {}
    keys = table_assets(definitions)
    for key in sorted(keys):
        by_table.setdefault(table_and_part(key)[0], []).append(key)
    made = set(warehouse.tables())
    stale = _stale_assets(instance, warehouse, definitions, [key for key in keys if table_and_part(key)[0] in made])
    failures = last_failures(instance, newest_materializations(instance, keys))
    newest = newest_check_evaluations(instance, graph.asset_check_keys)
    evaluations = {check: evaluation for check, (_, evaluation) in newest.items()}
    return [
        TableDescription(
            contract=CONTRACTS[table],
            chain=graph.get(parts[0]).group_name,
            description=graph.get(parts[0]).description or "",
            inputs=tuple(sorted({table_and_part(each)[0] for key in parts for each in graph.get(key).parent_keys})),
            checks=tuple(check for key in parts for check in _checks(evaluations, graph, key)),
            fresh_for=fresh_for(graph.get(parts[0]).freshness_policy),
            is_stale=not stale.isdisjoint(parts),
            failure=max(
                (failures[key] for key in parts if key in failures), key=lambda failure: failure.time, default=None
            ),
        )
        for table, parts in by_table.items()
    ]


def _stale_assets(
    instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions, keys: Iterable[dg.AssetKey]
) -> set[dg.AssetKey]:
    """The stale ones. Of tables of batches, each batch is fresh or not, and `make run` reads what is not."""
    graph = definitions.resolve_asset_graph()
    whole = {key for key in keys if not graph.get(key).is_partitioned}
    return whole - fresh_assets(instance, warehouse, definitions, whole, {})


def _checks(
    evaluations: Mapping[dg.AssetCheckKey, dg.AssetCheckEvaluation], graph: Any, key: dg.AssetKey
) -> Iterator[Check]:
    """The checks of an asset, with what they gave when they were last run."""
    _, part = table_and_part(key)
    for check in sorted(graph.get(key).check_keys):
        evaluation = evaluations.get(check)
        name = f"{part}: {check.name}" if part else check.name
        wanted = graph.get(check).description or ""
        if evaluation is None:
            yield Check(name, wanted, passed=None)
        else:
            yield Check(name, wanted, evaluation.passed, found=evaluation.description or "")
