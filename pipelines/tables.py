"""The joint between Dagster and the warehouse: assets' tables are published through it and read back.

Dagster's parts that this leans on beyond its documented ways (data versions set by a step, the record an input was
resolved to, an object made anew for each step) are pinned by `tests/pipelines/test_dagster_behaviour.py`.
"""

import base64
import logging
import time
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.table import CONTRACTS, Draft
from taproom.errors import StorageError, UnknownTableError
from taproom.warehouse import Origin, Published, Warehouse, default_root

log = logging.getLogger("taproom.pipelines")


class TableIOManager(dg.ConfigurableIOManager, dg.IAttachDifferentObjectToOpContext):
    """Publishes every asset's rows in the warehouse at `root` (empty: `$TAPROOM_WAREHOUSE`, else `data/warehouse`)."""

    root: str = ""

    def get_object_to_set_on_execution_context(self) -> "StepTables":
        """An object for one step, made when the step starts and before its inputs are loaded.

        That is so in every executor, also where one process runs all steps: each step therefore knows the tables'
        heads as they were at its own start, which is what its writes are compared with.
        """
        return StepTables(Warehouse(self.root or default_root()))

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Never called: steps are given `StepTables`."""
        raise NotImplementedError

    def load_input(self, context: dg.InputContext) -> object:
        """Never called: steps are given `StepTables`."""
        raise NotImplementedError


class StepTables(dg.IOManager):
    """One step's view of the warehouse: the heads at its start, and the versions of what it has read."""

    def __init__(self, warehouse: Warehouse) -> None:
        """Note the heads of all tables."""
        self.warehouse = warehouse
        self.heads = warehouse.heads()
        self.inputs: dict[str, int] = {}
        self.started = time.monotonic()

    def load_input(self, context: dg.InputContext) -> pa.Table | pa.RecordBatchReader:
        """The table at the version that its materialization recorded; a reader where the asset asks for a stream.

        An input's metadata may name the `columns` to read.
        """
        table, part = place_of(context.asset_key)
        keys = context.asset_partition_keys if context.has_asset_partitions else None
        partitions = [part] if part else keys
        wants_stream = context.dagster_type.typing_type is pa.RecordBatchReader
        version = self._version_to_read(context, table, keys, partitions)
        if version is None:
            nothing = CONTRACTS[table].schema.empty_table()
            return nothing.to_reader() if wants_stream else nothing
        self.inputs[table] = version
        columns = (context.definition_metadata or {}).get("columns")
        read = self.warehouse.stream if wants_stream else self.warehouse.read
        return read(table, version, partitions=partitions, columns=columns)

    def _version_to_read(
        self, context: dg.InputContext, table: str, keys: list[str] | None, partitions: list[str] | None
    ) -> int | None:
        """The version that was recorded of an asset (of its partitions `keys`), else the newest that has the rows."""
        recorded = recorded_version(context.instance, self.warehouse, context.asset_key, self._record_id(context), keys)
        if recorded is not None:
            return recorded
        if table in self.heads and not self._lacks(table, partitions):
            log.warning("%s has no materialization on record for this warehouse: its newest version is read", table)
            return self.heads[table]
        if table in CONTRACTS and CONTRACTS[table].may_be_empty:
            return None
        raise UnknownTableError(f"{table} has not been made in {self.warehouse.root}; materialize it first")

    def _lacks(self, table: str, partitions: list[str] | None) -> bool:
        """Whether a table has none of the partitions that are wanted of it."""
        wanted = set(partitions or ())
        return bool(wanted) and wanted.isdisjoint(self.warehouse.partitions(table, self.heads[table]))

    def _record_id(self, context: dg.InputContext) -> int | None:
        """The materialization that Dagster itself took this input to be when the step began."""
        info = context.step_context.maybe_fetch_and_get_input_asset_version_info(context.asset_key)
        return info.storage_id if info else None

    def continued(self, table: str, because_of: str) -> pa.Table | None:
        """The version of `table` that its next one continues, recorded as an input; None where there is none.

        That is the newest. But if the newest was itself made from the rows of `because_of` that this step has read, it
        is the one that the newest continued: making a table again from the same rows must give the same table.
        """
        head = self.heads.get(table)
        if head is None:
            return None
        inputs = self.warehouse.commit_of(table, head)["inputs"]
        version = inputs.get(table) if inputs.get(because_of) == self.inputs[because_of] else head
        if version is None:
            return None
        self.inputs[table] = version
        return self.warehouse.read(table, version)

    def kept(self, table: str, partition: str) -> pa.Table:
        """The newest rows of a partition, none where there is none yet: what a step goes on from after a kill."""
        if table not in self.heads:
            return CONTRACTS[table].schema.empty_table()
        return self.warehouse.read(table, self.heads[table], partitions=[partition])

    def keep(self, context: dg.AssetExecutionContext, table: str, partition: str, rows: pa.Table) -> None:
        """Publish the rows that a step has so far, so that a kill costs only what comes after.

        Raises `WriteConflictError` when another run has changed the partition since.
        """
        origin = Origin(
            run_id=context.run.run_id,
            code_version=context.assets_def.specs_by_key[dg.AssetKey([table, partition])].code_version or "",
            inputs=self.inputs,
            config=context.op_execution_context.op_config or {},
        )
        published = self.warehouse.publish(
            CONTRACTS[table], rows, since=self.heads.get(table), partition=partition, origin=origin
        )
        self.heads[table] = published.version

    def stream(self, table: str, columns: list[str], as_read_by: str | None = None) -> pa.RecordBatchReader:
        """The newest version of `table`, recorded as an input; or the version that the newest `as_read_by` has read.

        For assets that read a table only if their configuration says so. Raises `UnknownTableError` where it is not.
        """
        of = as_read_by or table
        if of not in self.heads:
            raise UnknownTableError(f"{of} has not been made in {self.warehouse.root}; materialize it first")
        head = self.heads[of]
        self.inputs[table] = self.warehouse.commit_of(of, head)["inputs"][table] if as_read_by else head
        return self.warehouse.stream(table, self.inputs[table], columns=columns)

    def handle_output(self, context: dg.OutputContext, obj: Draft | pa.Table | pa.RecordBatchReader) -> None:
        """Publish the rows; tell Dagster their content hash as data version, and the rest as metadata."""
        draft = obj if isinstance(obj, Draft) else Draft(obj)
        table, part = place_of(context.asset_key)
        partition = part or (context.asset_partition_key if context.has_asset_partitions else None)
        origin = Origin(
            run_id=context.run_id,
            code_version=context.asset_spec.code_version or "",
            inputs=self.inputs,
            config=context.step_context.op_config or {},
        )
        published = self.warehouse.publish(
            CONTRACTS[table], draft.rows, since=self.heads.get(table), partition=partition, origin=origin
        )
        context.step_context.set_data_version(context.asset_key, dg.DataVersion(published.content_hash))
        seconds = time.monotonic() - self.started
        context.add_output_metadata(
            {**self._metadata(published, origin, seconds), **draft.told(), **self._figure(context, draft.drawn())}
        )
        # Dagster keeps the outputs of a run in one process to its end, and Arrow what its greediest step took.
        draft.rows = draft.figure = None
        pa.default_memory_pool().release_unused()
        log.info(
            "  %-24s version %-4d %9d rows  %6.1f s%s",
            "/".join(context.asset_key.path), published.version, published.rows, seconds,
            "" if published.changed else "  (unchanged)",
        )  # fmt: skip

    def _metadata(self, published: Published, origin: Origin, seconds: float) -> Mapping[str, Any]:
        return {
            "dagster/uri": self.warehouse.uri(published.table),
            "dagster/row_count": published.rows,
            "version": published.version,
            "content_hash": published.content_hash,
            "size_bytes": published.size_bytes,
            "seconds": seconds,
            "inputs": dg.JsonMetadataValue(origin.inputs),
            "config": dg.JsonMetadataValue(origin.config),
        }

    def _figure(self, context: dg.OutputContext, png: bytes | None) -> Mapping[str, Any]:
        if png is None:
            return {}
        name = "-".join(context.asset_key.path)
        picture = f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})"
        told: dict[str, Any] = {"figure": dg.MetadataValue.md(picture)}
        try:
            told["figure_path"] = dg.MetadataValue.path(self.warehouse.put_figure(f"{name}.png", png))
        except StorageError as error:
            log.warning("%s", error)  # the table is committed; a picture must not lose its record
        return told


def place_of(key: dg.AssetKey) -> tuple[str, str | None]:
    """The table of an asset; and the partition of it that the asset is, where its key names one.

    Slices of a table that depend on different tables are assets of their own; those of one kind, that differ in what
    was read, are Dagster's partitions of one asset.
    """
    table, *part = key.path
    return table, part[0] if part else None


def recorded_version(
    instance: dg.DagsterInstance,
    warehouse: Warehouse,
    key: dg.AssetKey,
    record_id: int | None = None,
    partitions: list[str] | None = None,
) -> int | None:
    """The table version that the newest materialization recorded (or the one with the id `record_id`).

    Of a single partition, it is that partition's newest. None where nothing was recorded for this warehouse: the
    instance may have run on another one, and a version there says nothing here.
    """
    record = newest_materialization(instance, key, partitions, record_id)
    if record is None:
        return None
    told = record.asset_materialization.metadata
    here = "version" in told and told["dagster/uri"].value == warehouse.uri(place_of(key)[0])
    return told["version"].value if here else None


def newest_materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: list[str] | None = None, record_id: int | None = None
) -> dg.EventLogRecord | None:
    """The newest record of an asset; of a single partition, where one is given; else the one with the id, if any."""
    which: dict[str, Any] = {"asset_key": key}
    if partitions is not None and len(partitions) == 1:
        which["asset_partitions"] = partitions
    elif record_id is not None:
        which["storage_ids"] = [record_id]
    return next(iter(instance.fetch_materializations(dg.AssetRecordsFilter(**which), limit=1).records), None)
