"""What the kinds of notices look at: Dagster's records and the warehouse, read once at an evaluation of a sensor."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property

import dagster as dg

from assets.table import table_assets
from pipelines.dagster_internals import newest_check_evaluations
from pipelines.records import newest_materializations
from taproom.warehouse.warehouse import Warehouse


class Records:
    """The records of one instance and one warehouse.

    Attributes:
        instance: the instance.
        warehouse: the warehouse.
        definitions: the assets that the records are of.
        time: when they are looked at, UTC.
    """

    def __init__(self, instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions) -> None:
        """Nothing is read yet."""
        self.instance, self.warehouse, self.definitions = instance, warehouse, definitions
        self.time = datetime.now(UTC)

    @cached_property
    def tables(self) -> set[dg.AssetKey]:
        """The assets that make tables."""
        return table_assets(self.definitions)

    @cached_property
    def heads(self) -> Mapping[str, int]:
        """The newest version of every table."""
        return self.warehouse.heads()

    @cached_property
    def newest(self) -> Mapping[dg.AssetKey, dg.EventLogRecord]:
        """The newest materialization of each of these assets that was ever made."""
        return newest_materializations(self.instance, self.tables)

    @cached_property
    def checks(self) -> Mapping[dg.AssetCheckKey, tuple[str, dg.AssetCheckEvaluation]]:
        """The newest evaluation of each of their checks, with its run; without checks that are just being run."""
        graph = self.definitions.resolve_asset_graph()
        checks = [check for key in self.tables for check in graph.get(key).check_keys]
        return newest_check_evaluations(self.instance, checks)
