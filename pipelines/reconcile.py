"""Dagster's records held against the warehouse, which is the truth.

Either store may be lost, restored from a backup, or be ahead of the other because a process was killed between a commit
and its record. What the warehouse has is put on record; what it does not have any more is reported.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from assets.table import CONTRACTS
from pipelines.chains import CHAINS, Chain
from pipelines.tables import newest_materialization, place_of, recorded_version
from taproom.errors import TaproomError
from taproom.warehouse import Warehouse


def reconcile(instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions) -> Iterator[str]:
    """Have Dagster know what the warehouse has; give a sentence for each thing that the two did not agree on."""
    keys = definitions.resolve_asset_graph().materializable_asset_keys
    for key in sorted(_records_of_no_asset(instance, keys)):
        instance.wipe_assets([key])
        yield f"{key.to_user_string()} is no asset, but had records: they were wiped"
    for chain in CHAINS:
        if chain.batches:
            yield from _reconcile_batches(instance, warehouse, chain)
    for key in sorted(keys):
        try:
            yield from _reconcile_commits(instance, warehouse, key)
        except TaproomError as error:  # a damaged table must not keep the others from being looked at
            yield f"{key.to_user_string()} could not be looked at: {error}"


def lost_batches(instance: dg.DagsterInstance, warehouse: Warehouse, chain: Chain) -> dict[str, Mapping[str, Any]]:
    """The batches that were read into this warehouse, which does not have them any more, with their settings."""
    known = set(instance.get_dynamic_partitions(chain.batches.partitions.name))
    settings = {}
    for batch in sorted(known - set(warehouse.partitions(chain.read))):
        key = dg.AssetKey(chain.read)
        record = newest_materialization(instance, key, [batch])
        if record and recorded_version(instance, warehouse, key, partitions=[batch]) is not None:
            told = record.asset_materialization.metadata
            settings[batch] = (told.get("settings") or told["config"]).value
    return settings


def lost_commits(instance: dg.DagsterInstance, warehouse: Warehouse, key: dg.AssetKey) -> list[dict[str, Any]]:
    """The commits of an asset (as `Warehouse.history` gives them) newer than any on record, newest first.

    Of those of one partition, only the newest: the others are nowhere read.
    """
    table, part = place_of(key)
    recorded, head = recorded_version(instance, warehouse, key), warehouse.head(table)
    first, last = (0 if recorded is None else recorded + 1), (-1 if head is None else head)
    found: dict[Any, dict[str, Any]] = {}
    for version in range(last, first - 1, -1):
        commit = warehouse.commit_of(table, version)
        if commit["run_id"] and part in (None, commit["partition"]):
            found.setdefault(commit["partition"] or version, commit)
    return list(found.values())


def _reconcile_batches(instance: dg.DagsterInstance, warehouse: Warehouse, chain: Chain) -> Iterator[str]:
    name = chain.batches.partitions.name
    unknown = set(warehouse.partitions(chain.read)) - set(instance.get_dynamic_partitions(name))
    if unknown:
        instance.add_dynamic_partitions(name, sorted(unknown))
        yield f"{len(unknown)} batches of {chain.name} are in the warehouse, but Dagster did not know them: it does now"
    if lost := lost_batches(instance, warehouse, chain):
        yield (
            f"{len(lost)} batches of {chain.name} were read into {warehouse.root}, which does not have them any more: "
            f"`make run` reads them again ({', '.join(sorted(lost)[:3])}{' ...' if len(lost) > 3 else ''})"
        )


def _reconcile_commits(instance: dg.DagsterInstance, warehouse: Warehouse, key: dg.AssetKey) -> Iterator[str]:
    table, _ = place_of(key)
    recorded, head = recorded_version(instance, warehouse, key), warehouse.head(table)
    if recorded is not None and (head is None or head < recorded):
        has = "has no such table" if head is None else f"has only version {head}"
        yield f"{key.to_user_string()}: version {recorded} is on record, the warehouse {has}; `make run` makes it again"
    lost = lost_commits(instance, warehouse, key)
    for commit in reversed(lost):
        instance.report_runless_asset_event(_materialization(warehouse, key, commit))
    if lost:
        versions = ", ".join(str(commit["version"]) for commit in reversed(lost))
        yield f"{key.to_user_string()}: version {versions} is in the warehouse, but was not on record: it is now"


def _records_of_no_asset(instance: dg.DagsterInstance, keys: set[dg.AssetKey]) -> set[dg.AssetKey]:
    """Keys of tables that have records, though only their partitions are assets."""
    return {key for table in CONTRACTS if (key := dg.AssetKey(table)) not in keys and instance.has_asset_key(key)}


def _materialization(warehouse: Warehouse, key: dg.AssetKey, commit: dict[str, Any]) -> dg.AssetMaterialization:
    table, part = place_of(key)
    return dg.AssetMaterialization(
        key,
        partition=None if part else commit["partition"],
        metadata={
            "dagster/uri": warehouse.uri(table),
            "dagster/row_count": commit["rows"],
            "version": commit["version"],
            "content_hash": commit["content_hash"],
            "inputs": dg.JsonMetadataValue(commit["inputs"]),
            "config": dg.JsonMetadataValue(commit["config"]),
            **({} if commit["settings"] is None else {"settings": dg.JsonMetadataValue(commit["settings"])}),
            "recovered_from_run": commit["run_id"],
        },
        tags={"dagster/data_version": commit["content_hash"], "dagster/code_version": commit["code_version"]},
    )
