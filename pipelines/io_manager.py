"""The joint between Dagster and the warehouse: assets' tables are published through it and read back.

Dagster's parts that this leans on beyond its documented ways (data versions set by a step, the record an input was
resolved to, an object made anew for each step) are pinned by `tests/pipelines/test_dagster_behaviour.py`.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import ValidationError

from assets.table import CONTRACTS, Draft, part_key, table_and_part
from pipelines.run_watch import check_run_goes_on, watched
from taproom.errors import InputError, StorageError, UnknownTableError
from taproom.warehouse.publishing import Origin, Published
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

log = logging.getLogger("taproom.pipelines")

# On the web server (`pipelines.serving.web`).
FIGURE_ADDRESS = "/figures/{table}/{content_hash}.png"


class TableIOManager(dg.IOManager, dg.IAttachDifferentObjectToOpContext):
    """Publishes every asset's rows in the warehouse (`$TAPROOM_WAREHOUSE`, else `data/warehouse`).

    Where that is cannot be configured by a run: whoever may start a run may not choose where it writes.
    """

    def get_object_to_set_on_execution_context(self) -> "StepTables":
        """An object for one step, made when the step starts and before its inputs are loaded.

        That is so in every executor, also where one process runs all steps: each step therefore knows the tables'
        heads as they were at its own start, which is what its writes are compared with.
        """
        return StepTables(Warehouse(default_root()))

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Never called: steps are given `StepTables`."""
        raise NotImplementedError

    def load_input(self, context: dg.InputContext) -> object:
        """Never called: steps are given `StepTables`."""
        raise NotImplementedError


@dg.io_manager(config_schema={}, description="Publishes tables in the warehouse; ends a process whose run is over.")
def table_io_manager(context: dg.InitResourceContext) -> Iterator[TableIOManager]:
    """The IO manager of a run, which is watched for as long as its steps have one."""
    with watched(context.instance, context.run):
        yield TableIOManager()


class StepTables(dg.IOManager):
    """One step's view of the warehouse: the heads at its start, and the versions of what it has read."""

    def __init__(self, warehouse: Warehouse) -> None:
        """Note the heads of all tables."""
        self.warehouse = warehouse
        self.heads = warehouse.heads()
        self.inputs: dict[str, int] = {}
        self.started = time.monotonic()
        self._settled: Settled | None = None

    def settle(
        self, context: dg.AssetExecutionContext, kind: type[dg.Config], of_batch: Callable[[str], Any] | None
    ) -> dg.Config:
        """The configuration that the step's table is made with; its settings are committed with the table.

        Settings are what the run names for the op. If it names nothing, they are those that the partition was last
        made with; else `of_batch` of the partition's key; else those of the table.
        """
        op = context.op_def.name
        partition = context.partition_key if context.has_partition_key else None
        key = next(iter(context.assets_def.keys_by_output_name.values()))
        recorded = self._settings_on_record(context.instance, key, kind, partition)
        settings = requested_settings(context.run.run_config.get("ops", {}), op)
        if settings is None:
            settings = recorded
        if settings is None and partition is not None:
            settings = of_batch(partition) if of_batch else self._settings_on_record(context.instance, key, kind)
        config = _configured(op, kind, settings or {})
        self._settled = Settled(settings or {}, config.model_dump(mode="json"), recorded)
        return config

    def _settings_on_record(
        self, instance: dg.DagsterInstance, key: dg.AssetKey, kind: type[dg.Config], partition: str | None = None
    ) -> dict[str, Any] | None:
        """What the partition was last made with; without one, what the table was. None where it never was."""
        table, part = table_and_part(key)
        head = self.heads.get(table)
        if partition is None and head is not None:
            return self._committed_settings(table, part, head, kind)
        record = newest_materialization(instance, key, [partition] if partition else None)
        recorded = version_of(record, self.warehouse, key)
        if recorded is None:
            return None
        if head is None or recorded > head:  # the warehouse has lost it: what Dagster has on record holds
            told = record.asset_materialization.metadata
            return dict(told["settings"].value) if "settings" in told else None
        return self._committed_settings(table, partition, recorded, kind)

    def _committed_settings(
        self, table: str, partition: str | None, version: int, kind: type[dg.Config]
    ) -> dict[str, Any] | None:
        commit = self.warehouse.newest_commit_of(table, partition, version)
        return settings_of(commit, kind) if commit else None

    def load_input(self, context: dg.InputContext) -> pa.Table | pa.RecordBatchReader:
        """The table at the version that its materialization recorded; a reader where the asset asks for a stream.

        A table of all batches is read as it was when the step began, whatever partitions Dagster knows: those that
        failed have no rows, and of two that were read at once, either may be on record last.

        An input's metadata may name the `columns` to read, and the table `as_read_by` which it is to be read: at the
        version that the newest of that was made from, which knows what the batches have in common.
        """
        table, part = table_and_part(context.asset_key)
        wanted = context.definition_metadata or {}
        wants_stream = context.dagster_type.typing_type is pa.RecordBatchReader
        if context.has_asset_partitions and not context.has_partition_key:
            partitions, version = None, self._version_of_all_batches(context, table, wanted.get("as_read_by"))
        else:
            keys = context.asset_partition_keys if context.has_asset_partitions else None
            partitions = [part] if part else keys
            version = self._version_to_read(context, table, keys, partitions)
        if version is None:
            nothing = CONTRACTS[table].schema.empty_table()
            return nothing.to_reader() if wants_stream else nothing
        self.inputs[table] = version
        read = self.warehouse.stream if wants_stream else self.warehouse.read
        return read(table, version, partitions=partitions, columns=wanted.get("columns"))

    def _version_of_all_batches(self, context: dg.InputContext, table: str, reader: str | None) -> int | None:
        """The newest version; or the one that the newest version of `reader` on record was made from."""
        if table not in self.heads:
            return self._nothing_or_refuse(table)
        version = recorded_version(context.instance, self.warehouse, dg.AssetKey(reader)) if reader else None
        if version is None:
            return self.heads[table]
        return self.warehouse.commit_of(reader, version)["inputs"].get(table, self.heads[table])

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
        return self._nothing_or_refuse(table)

    def _nothing_or_refuse(self, table: str) -> None:
        """None where a table that is not there counts as one without rows."""
        if table not in CONTRACTS or not CONTRACTS[table].may_be_empty:
            raise UnknownTableError(f"{table} has not been made in {self.warehouse.root}; materialize it first")

    def _lacks(self, table: str, partitions: list[str] | None) -> bool:
        """Whether a table has none of the partitions that are wanted of it."""
        wanted = set(partitions or ())
        return bool(wanted) and wanted.isdisjoint(self.warehouse.partitions(table, self.heads[table]))

    def _record_id(self, context: dg.InputContext) -> int | None:
        """The materialization that Dagster itself took this input to be when the step began."""
        info = context.step_context.maybe_fetch_and_get_input_asset_version_info(context.asset_key)
        return info.storage_id if info else None

    def read_previous(self, table: str, made_from: str) -> pa.Table | None:
        """The version of `table` that its next one continues, recorded as an input; None where there is none.

        That is the newest. But if the newest was itself made from the rows of `made_from` that this step has read, it
        is the one that the newest continued: making a table again from the same rows must give the same table.
        """
        head = self.heads.get(table)
        if head is None:
            return None
        inputs = self.warehouse.commit_of(table, head)["inputs"]
        version = inputs.get(table) if inputs.get(made_from) == self.inputs[made_from] else head
        if version is None:
            return None
        self.inputs[table] = version
        return self.warehouse.read(table, version)

    def newest_rows(self, table: str, partition: str) -> pa.Table:
        """The newest rows of a partition, none where there is none yet: what a step goes on from after a kill."""
        if table not in self.heads:
            return CONTRACTS[table].schema.empty_table()
        return self.warehouse.read(table, self.heads[table], partitions=[partition])

    def commit_by_this_code(
        self, context: dg.AssetExecutionContext, table: str, partition: str
    ) -> Mapping[str, Any] | None:
        """The commit of a partition's newest rows (as `Warehouse.history` has it); None where other code made them."""
        head = self.heads.get(table)
        commit = None if head is None else self.warehouse.newest_commit_of(table, partition, head)
        code_version = context.assets_def.specs_by_key[dg.AssetKey(table)].code_version
        return commit if commit and commit["code_version"] == code_version else None

    def publish_checkpoint(self, context: dg.AssetExecutionContext, table: str, partition: str, rows: pa.Table) -> None:
        """Publish the rows that a step has so far, so that a kill costs only what comes after.

        Raises `WriteConflictError` when another run has changed the partition since, and `RunEndedError` when the
        step's own run has ended.
        """
        check_run_goes_on(context.instance, context.run.run_id)
        key = part_key(table, partition)
        settled = self._as_asked(context.instance, context.run, context.assets_def, key)
        origin = Origin(
            run_id=context.run.run_id,
            code_version=context.assets_def.specs_by_key[key].code_version or "",
            inputs=self.inputs,
            config=settled.config,
            settings=settled.settings,
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
        table, part = table_and_part(context.asset_key)
        partition = part or (context.asset_partition_key if context.has_asset_partitions else None)
        step = context.step_context
        assets = step.job_def.asset_layer.get(context.asset_key).assets_def
        settled = self._settled or self._as_asked(step.instance, step.dagster_run, assets, context.asset_key)
        origin = Origin(
            run_id=context.run_id,
            code_version=context.asset_spec.code_version or "",
            inputs=self.inputs,
            config=settled.config,
            settings=settled.settings,
        )
        check_run_goes_on(step.instance, context.run_id)
        published = self.warehouse.publish(
            CONTRACTS[table],
            draft.rows,
            since=self.heads.get(table),
            partition=partition,
            origin=origin,
            always_commit=settings_affecting_rows(settled.settings) != settings_affecting_rows(settled.recorded or {}),
        )
        context.step_context.set_data_version(context.asset_key, dg.DataVersion(published.content_hash))
        seconds = time.monotonic() - self.started
        # Dagster's pages list metadata in this order: what people look for comes first.
        figure = self._figure(context.asset_key, published, draft.final_figure())
        context.add_output_metadata({**figure, **draft.final_metadata(), **self._metadata(published, origin, seconds)})
        # Dagster keeps the outputs of a run in one process to its end, and Arrow what its greediest step took.
        draft.rows = draft.figure = None
        pa.default_memory_pool().release_unused()
        log.info(
            "  %-24s version %-4d %9d rows  %6.1f s%s",
            "/".join(context.asset_key.path), published.version, published.rows, seconds,
            "" if published.changed else "  (unchanged)",
        )  # fmt: skip

    def _as_asked(
        self, instance: dg.DagsterInstance, run: dg.DagsterRun, assets: dg.AssetsDefinition, key: dg.AssetKey
    ) -> "Settled":
        """What a step is made with whose table keeps no settings: those that its run names."""
        kind = config_type(assets)
        settings = requested_settings(run.run_config.get("ops", {}), assets.op.name) or {}
        config = kind(**settings).model_dump(mode="json")
        recorded = self._settings_on_record(instance, key, kind) if settings else {}
        return Settled(settings, config, recorded)

    def _metadata(self, published: Published, origin: Origin, seconds: float) -> Mapping[str, Any]:
        return {
            "dagster/uri": self.warehouse.uri(published.table),
            "dagster/row_count": published.rows,
            "version": published.version,
            "size_bytes": published.size_bytes,
            "seconds": seconds,
            "inputs": dg.JsonMetadataValue(origin.inputs),
            "content_hash": published.content_hash,
            "config": dg.JsonMetadataValue(origin.config),
            "settings": dg.JsonMetadataValue(origin.settings),
        }

    def _figure(self, key: dg.AssetKey, published: Published, png: bytes | None) -> Mapping[str, Any]:
        """The figure, small and with a link to the whole one, both served by `make ui`; and the path of its file.

        It is not in the record itself: Dagster keeps all records, loads many of them for a page, and folds long ones.
        """
        if png is None:
            return {}
        table, part = table_and_part(key)
        try:
            path = self.warehouse.put_figure(published, png, part)
        except StorageError as error:
            log.warning("%s", error)  # the table is committed; a picture must not lose its record
            return {}
        address = FIGURE_ADDRESS.format(table=published.table, content_hash=published.content_hash)
        picture = f"[![{f'{table}-{part}' if part else table}]({address}?small)]({address})"
        return {"figure": dg.MetadataValue.md(picture), "figure_path": dg.MetadataValue.path(path)}


@dataclass(frozen=True)
class Settled:
    """What a step's tables are made with: the settings, all values, and the settings on record until now."""

    settings: Mapping[str, Any]
    config: Mapping[str, Any]
    recorded: Mapping[str, Any] | None


def requested_settings(ops: Mapping[str, Any], op: str) -> dict[str, Any] | None:
    """The settings that a run configuration's `ops` name for one op; None where they do not."""
    return ops.get(op, {}).get("config")


def config_type(assets: dg.AssetsDefinition) -> type[dg.Config]:
    """The configuration that an asset's op takes; one without parameters where it takes none."""
    compute = assets.op.compute_fn
    return compute.get_config_arg().annotation if compute.has_config_arg() else dg.Config


def settings_affecting_rows(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that can change a row: all but the number of workers."""
    return {name: value for name, value in settings.items() if name != "workers"}


def settings_of(commit: Mapping[str, Any], kind: type[dg.Config]) -> dict[str, Any]:
    """The settings that a commit (as `Warehouse.commit_of` gives it) was made with.

    Of a commit that is older than settings, the values that are not the defaults of `kind`.
    """
    if commit["settings"] is not None:
        return commit["settings"]
    defaults = kind().model_dump(mode="json")
    return {name: value for name, value in commit["config"].items() if value != defaults.get(name, value)}


def _configured(op: str, kind: type[dg.Config], settings: Mapping[str, Any]) -> dg.Config:
    """The configuration with these settings; Dagster has looked only at those that the run itself names."""
    try:
        if unknown := settings.keys() - kind.model_fields.keys():
            raise InputError(f"there is no parameter {', '.join(sorted(unknown))}")
        return kind(**settings)
    except (ValidationError, dg.DagsterError, InputError) as error:
        raise InputError(
            f"{op}: the settings on record do not fit any more: {dict(settings)}. Wanted: what {kind.__name__} takes. "
            f"Run it with a configuration of its own (empty: the defaults). {error}"
        ) from error


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
    return version_of(newest_materialization(instance, key, partitions, record_id), warehouse, key)


def version_of(record: dg.EventLogRecord | None, warehouse: Warehouse, key: dg.AssetKey) -> int | None:
    """The table version that a record tells of; None without one, or where it is of another warehouse."""
    if record is None:
        return None
    told = record.asset_materialization.metadata
    here = "version" in told and told["dagster/uri"].value == warehouse.uri(table_and_part(key)[0])
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


def newest_by_partition(instance: dg.DagsterInstance, key: dg.AssetKey) -> Sequence[dg.EventLogRecord]:
    """The newest record of each partition of an asset, in two queries; none where it has no partitions."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    ids = list(instance.event_log_storage.get_latest_storage_id_by_partition(key, kind).values())
    which = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids)
    return instance.fetch_materializations(which, limit=len(ids)).records if ids else []
