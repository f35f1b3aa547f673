"""The IO manager: assets' tables are published in the warehouse and read back from it."""

import dataclasses
import logging
import sys
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.table import CONTRACTS, Draft, column_lineage, part_key, table_and_part
from pipelines.dagster_internals import assets_of_step, config_type, input_record_id, instance_and_run, set_data_version
from pipelines.peak_memory import peak_memory_bytes, reset_peak_memory
from pipelines.records import newest_materialization, recorded_value, recorded_version, version_in_record
from pipelines.run_watch import check_run_goes_on, watched
from pipelines.settings import StepConfig, config_with, requested_settings, settings_of
from pipelines.sqlite_records import do_not_wait_for_the_disk
from pipelines.step_log import log_begun
from pipelines.step_memory import wait_for_memory
from taproom.errors import ContractError, StorageError, TaproomError, UnknownTableError
from taproom.warehouse.conditional_writes import check_conditional_writes
from taproom.warehouse.difference import MAX_COMPARED_BYTES, MAX_COMPARED_ROWS, diff
from taproom.warehouse.publishing import Origin, Published
from taproom.warehouse.storage import default_root
from taproom.warehouse.table_version import TableVersion
from taproom.warehouse.warehouse import Warehouse

log = logging.getLogger("taproom.pipelines")

# On the web server (`pipelines.serving.web`).
FIGURE_ADDRESS = "/figures/{table}/{content_hash}.png"


class TableIOManager(dg.IOManager, dg.IAttachDifferentObjectToOpContext):
    """Publishes every asset's rows in the warehouse (`$TAPROOM_WAREHOUSE`, else `data/warehouse`).

    A run cannot configure the place: who may start a run may not choose where it writes.
    """

    def get_object_to_set_on_execution_context(self) -> "StepTables":
        """An object for one step, made when the step starts and before its inputs are loaded.

        Every executor does so, also one that runs all steps in one process (`test_dagster_behaviour.py`). So each step
        notes the tables' heads at its own start, which its writes are compared with.
        """
        return StepTables(Warehouse(default_root()))

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Never called: steps are given `StepTables`."""
        raise NotImplementedError

    def load_input(self, context: dg.InputContext) -> object:
        """Never called: steps are given `StepTables`."""
        raise NotImplementedError


@dg.io_manager(  # type: ignore[arg-type]  # a generator is allowed, as for any resource
    config_schema={}, description="Publishes tables in the warehouse; ends a process whose run is over."
)
def table_io_manager(context: dg.InitResourceContext) -> Iterator[TableIOManager]:
    """The IO manager of a run. While it is in use, the process is watched: it ends once the run is over."""
    do_not_wait_for_the_disk()
    with watched(context.instance, context.run):
        yield TableIOManager()


class Heads(dict[str, int | None]):
    """The newest version of each table when a step began; None for a table that did not exist.

    In a folder, those of all tables are noted at once. In an object store that would cost three requests for each
    table: there a table is noted when it is first asked for, and a step asks for those that it makes and reads before
    it reads (`StepTables.note`).
    """

    def __init__(self, warehouse: Warehouse) -> None:
        """Note the heads of all tables, or none yet."""
        super().__init__(warehouse.heads() if warehouse.storage.is_local else {})
        self._warehouse = warehouse

    def __missing__(self, table: str) -> int | None:
        """Note a table that is asked for first now."""
        self[table] = None if self._warehouse.storage.is_local else self._warehouse.head(table)
        return self[table]


class StepTables(dg.IOManager):
    """One step's view of the warehouse: the heads when it began, and the versions that it has read and published."""

    def __init__(self, warehouse: Warehouse) -> None:
        """Note the heads of tables."""
        self.warehouse = warehouse
        self.heads = Heads(warehouse)
        self.inputs: dict[str, int] = {}
        self.published: dict[str, int] = {}
        self.started = time.monotonic()
        self._measures_memory = reset_peak_memory()
        self._has_memory = False
        self._step_config: StepConfig | None = None

    def note(self, assets: dg.AssetsDefinition | None) -> None:
        """Note the heads of the tables that a step makes and reads, all at the same time (None: of an asset check).

        Raises:
            StorageError: what the step makes could not be written safely, which is better known before it computes.
        """
        if assets is None:
            return
        check_conditional_writes(self.warehouse.storage)
        for key in sorted({*assets.keys, *assets.dependency_keys}):
            _ = self.heads[table_and_part(key)[0]]

    def _wait_for_memory(self, instance: dg.DagsterInstance, assets: dg.AssetsDefinition | None) -> None:
        """Before anything is read, wait until there is memory for the step (None: an asset check, which takes little).

        The time of the step begins afterwards.
        """
        if assets is None or self._has_memory:
            return
        log_begun(assets.op.name)
        wait_for_memory(instance, assets.keys)
        self._has_memory, self.started = True, time.monotonic()

    def resolve_config(
        self, context: dg.AssetExecutionContext, kind: type[dg.Config], of_batch: Callable[[str], Any] | None
    ) -> dg.Config:
        """The configuration that the step's table is made with; its settings are committed with the table.

        The settings are the first of these that there are: what the run names for the op; those that the partition was
        last made with; `of_batch` of the partition's key, or without that those of the table.
        """
        self.note(context.assets_def)
        self._wait_for_memory(context.instance, context.assets_def)
        op = context.op_def.name
        partition = context.partition_key if context.has_partition_key else None
        key = next(iter(context.assets_def.keys_by_output_name.values()))
        recorded = self._recorded_settings(context.instance, key, kind, partition)
        settings = requested_settings(_ops(context.run), op)
        if settings is None:
            settings = recorded
        if settings is None and partition is not None:
            settings = of_batch(partition) if of_batch else self._recorded_settings(context.instance, key, kind)
        config = config_with(settings or {}, kind, op)
        self._step_config = StepConfig(settings or {}, config.model_dump(mode="json"), recorded)
        return config

    def _recorded_settings(
        self, instance: dg.DagsterInstance, key: dg.AssetKey, kind: type[dg.Config], partition: str | None = None
    ) -> dict[str, Any] | None:
        """The settings that a partition (None: the table) was last made with; None where it never was made."""
        table, part = table_and_part(key)
        head = self.heads[table]
        if partition is None and head is not None:
            return self._committed_settings(table, part, head, kind)
        record = newest_materialization(instance, key, [partition] if partition else None)
        recorded = version_in_record(record, self.warehouse, key)
        if record is None or recorded is None:
            return None
        if head is None or recorded > head:  # the warehouse has lost it, but Dagster's record has them
            return recorded_value(record, "settings")
        return self._committed_settings(table, partition, recorded, kind)

    def _committed_settings(
        self, table: str, partition: str | None, version: int, kind: type[dg.Config]
    ) -> dict[str, Any] | None:
        commit = self.warehouse.newest_commit_of(table, partition, version)
        return settings_of(commit, kind) if commit else None

    def load_input(self, context: dg.InputContext) -> pa.Table | pa.RecordBatchReader | TableVersion:
        """The table at the version that its materialization recorded, in the form that the asset's annotation names.

        That is the rows, a stream of them, or a description of the version, from which workers read the rows.

        A table of all batches is read at its head when the step began, whatever partitions Dagster knows: those that
        failed have no rows, and of two that were read at the same time, either may be recorded last.

        An input's metadata may name the `columns` to read, and a table `as_read_by`: then the input is read at the
        version that the newest version of that table was made from, or the version which the step has read of it.
        """
        self.note(assets_of_step(context))
        self._wait_for_memory(context.instance, assets_of_step(context))
        table, part = table_and_part(context.asset_key)
        wanted = context.definition_metadata or {}
        if context.has_asset_partitions and not context.has_partition_key:
            partitions, version = None, self._version_of_all_batches(context, table, wanted.get("as_read_by"))
        else:
            keys = context.asset_partition_keys if context.has_asset_partitions else None
            partitions = [part] if part else keys
            version = self._version_to_read(context, table, keys, partitions)
        if version is not None:
            self.inputs[table] = version
        described = TableVersion(
            self.warehouse.root,
            table,
            version,
            None if partitions is None else tuple(partitions),
            wanted.get("columns") and tuple(wanted["columns"]),
            CONTRACTS[table].schema if version is None else None,
        )
        form = context.dagster_type.typing_type
        if form is TableVersion:
            committed_at = None if version is None else self.warehouse.commit_of(table, version)["time"]
            return dataclasses.replace(described, committed_at=committed_at)
        return described.stream() if form is pa.RecordBatchReader else described.read()

    def _version_of_all_batches(self, context: dg.InputContext, table: str, reader: str | None) -> int | None:
        """The newest version; or the one that the newest version of `reader` on record was made from."""
        if (head := self.heads[table]) is None:
            self._check_may_be_missing(table)
            return None
        version = recorded_version(context.instance, self.warehouse, dg.AssetKey(reader)) if reader else None
        if reader is None or version is None:
            return head
        return self.warehouse.commit_of(reader, version)["inputs"].get(table, head)

    def _version_to_read(
        self, context: dg.InputContext, table: str, keys: Sequence[str] | None, partitions: Sequence[str] | None
    ) -> int | None:
        """The recorded version of an asset (of its partitions `keys`), else the newest one if it has the partitions.

        But of an input `as_read_by` a table that the step has read: the version which that was made from.
        """
        reader = (context.definition_metadata or {}).get("as_read_by")
        if reader in self.inputs:
            made_from = self.warehouse.commit_of(reader, self.inputs[reader])["inputs"]
            if table in made_from:
                return made_from[table]
        recorded = recorded_version(context.instance, self.warehouse, context.asset_key, input_record_id(context), keys)
        if recorded is not None:
            return recorded
        if (head := self.heads[table]) is not None and self._has_any(table, head, partitions):
            log.warning("%s has no materialization on record for this warehouse: its newest version is read", table)
            return head
        self._check_may_be_missing(table)
        return None

    def _check_may_be_missing(self, table: str) -> None:
        """Raise `UnknownTableError` unless the table may be empty."""
        if table not in CONTRACTS or not CONTRACTS[table].may_be_empty:
            raise UnknownTableError(f"{table} has not been made in {self.warehouse.root}; materialize it first")

    def _has_any(self, table: str, version: int, partitions: Sequence[str] | None) -> bool:
        """Whether a table version has at least one of the wanted partitions (or none is wanted)."""
        return not partitions or not set(partitions).isdisjoint(self.warehouse.partitions(table, version))

    def read_previous(self, table: str, made_from: str) -> pa.Table | None:
        """The rows of the version of `table` that the next one continues, recorded as an input; None if there is none.

        That is the newest version. But if the newest was made from the same version of the table `made_from` that this
        step has read, it is the version that the newest one continued: the same rows must give the same table again.
        """
        head = self.heads[table]
        if head is None:
            return None
        inputs = self.warehouse.commit_of(table, head)["inputs"]
        version = inputs.get(table) if inputs.get(made_from) == self.inputs[made_from] else head
        if version is None:
            return None
        self.inputs[table] = version
        return self.warehouse.read(table, version)

    def newest_rows(self, table: str, partition: str) -> pa.Table:
        """The newest rows of a partition, empty where there is none yet; a step that was killed goes on from them."""
        if (head := self.heads[table]) is None:
            return CONTRACTS[table].schema.empty_table()
        return self.warehouse.read(table, head, partitions=[partition])

    def commit_by_this_code(
        self, context: dg.AssetExecutionContext, table: str, partition: str
    ) -> Mapping[str, Any] | None:
        """The newest commit of a partition (as in `Warehouse.history`); None where other code made it."""
        head = self.heads[table]
        commit = None if head is None else self.warehouse.newest_commit_of(table, partition, head)
        code_version = context.assets_def.specs_by_key[dg.AssetKey(table)].code_version
        return commit if commit and commit["code_version"] == code_version else None

    def publish_checkpoint(self, context: dg.AssetExecutionContext, table: str, partition: str, rows: pa.Table) -> None:
        """Publish the rows that a step has so far, so that it can go on from them (`newest_rows`) if it is killed.

        Raises:
            WriteConflictError: another run has changed the partition since.
            RunEndedError: the step's own run has ended.
        """
        check_run_goes_on(context.instance, context.run.run_id)
        key = part_key(table, partition)
        config = self._requested_config(context.instance, context.run, context.op_def, key)
        code_version = context.assets_def.specs_by_key[key].code_version
        published = self.warehouse.publish(
            CONTRACTS[table],
            rows,
            since=self.heads[table],
            partition=partition,
            origin=self._origin(context.run.run_id, code_version, config),
        )
        self.heads[table] = published.version

    def stream(self, table: str, columns: list[str], as_read_by: str | None = None) -> pa.RecordBatchReader:
        """The newest version of `table`, recorded as an input; or the version that the newest `as_read_by` has read.

        For assets that read a table only if their configuration says so.

        Raises:
            UnknownTableError: there is no such table.
        """
        known = as_read_by or table
        if (head := self.heads[known]) is None:
            raise UnknownTableError(f"{known} has not been made in {self.warehouse.root}; materialize it first")
        self.inputs[table] = self.warehouse.commit_of(known, head)["inputs"][table] if as_read_by else head
        return self.warehouse.stream(table, self.inputs[table], columns=columns)

    def handle_output(self, context: dg.OutputContext, obj: Draft | pa.Table | pa.RecordBatchReader) -> None:
        """Publish the rows; their content hash becomes Dagster's data version, the rest becomes metadata."""
        draft = obj if isinstance(obj, Draft) else Draft(obj)
        table, part = table_and_part(context.asset_key)
        partition = part or (context.asset_partition_key if context.has_asset_partitions else None)
        instance, run = instance_and_run(context)
        config = self._step_config or self._requested_config(instance, run, context.op_def, context.asset_key)
        origin = self._origin(run.run_id, context.asset_spec.code_version, config)
        check_run_goes_on(instance, run.run_id)
        published = self.warehouse.publish(
            CONTRACTS[table],
            draft.rows,
            since=self.heads[table],
            partition=partition,
            origin=origin,
            always_commit=config.has_new_settings(),
            references=self._referenced_versions(table, assets_of_step(context)),
        )
        self.published[table] = published.version
        set_data_version(context, published.content_hash)
        seconds = time.monotonic() - self.started
        # Dagster's pages list metadata in this order: what people look for comes first.
        figure = self._figure(context.asset_key, published, draft.final_figure())
        metadata = {**self._row_changes(published, partition), **self._metadata(published, origin, seconds)}
        lineage = column_lineage(CONTRACTS[table], [dep.asset_key for dep in context.asset_spec.deps])
        if lineage.deps_by_column:
            metadata["dagster/column_lineage"] = lineage
        context.add_output_metadata({**figure, **draft.final_metadata(), **metadata})
        # If one process runs all steps, Dagster keeps their outputs to the end, and Arrow its peak of memory.
        draft.rows = draft.figure = None
        pa.default_memory_pool().release_unused()
        log.info(
            "  %-24s version %-4d %9d rows  %6.1f s%s",
            "/".join(context.asset_key.path), published.version, published.rows, seconds,
            "" if published.changed else "  (unchanged)",
        )  # fmt: skip

    def _referenced_versions(self, table: str, assets: dg.AssetsDefinition | None) -> dict[str, int]:
        """The versions that the foreign keys of a table refer to: published by this step, else behind its inputs.

        Raises:
            ContractError: the step publishes a table later that this one refers to.
        """
        wanted = {foreign_key.table for foreign_key in CONTRACTS[table].foreign_keys}
        made = {table_and_part(key)[0] for key in assets.keys} if assets else set()
        if later := wanted & made - self.published.keys():
            raise ContractError(
                f"{table} refers to {' and '.join(sorted(later))}, which this step has not published yet, so its "
                "references cannot be checked. In the asset, yield a table before the tables that refer to it"
            )
        known = self.inputs | self.published
        if not wanted <= known.keys():
            behind = (self.warehouse.commit_of(name, version)["inputs"] for name, version in self.inputs.items())
            known = dict(ChainMap(known, *behind))
        return {name: known[name] for name in wanted & known.keys()}

    def _requested_config(
        self, instance: dg.DagsterInstance, run: dg.DagsterRun, op: dg.OpDefinition, key: dg.AssetKey
    ) -> StepConfig:
        """The configuration of a step whose table keeps no settings: what its run names for the op."""
        kind = config_type(op)
        settings = requested_settings(_ops(run), op.name) or {}
        values = kind(**settings).model_dump(mode="json")
        previous = self._recorded_settings(instance, key, kind) if settings else {}
        return StepConfig(settings, values, previous)

    def _origin(self, run_id: str, code_version: str | None, config: StepConfig) -> Origin:
        return Origin(run_id, code_version or "", self.inputs, config.values, config.settings)

    def _metadata(self, published: Published, origin: Origin, seconds: float) -> Mapping[str, Any]:
        return {
            "dagster/uri": self.warehouse.uri(published.table),
            "dagster/row_count": published.rows,
            "version": published.version,
            "size_bytes": published.size_bytes,
            "seconds": seconds,
            **self._peak_memory(),
            **_cluster_usage(),
            "inputs": dg.JsonMetadataValue(origin.inputs),
            "content_hash": published.content_hash,
            "config": dg.JsonMetadataValue(origin.config),
            "settings": dg.JsonMetadataValue(origin.settings),
        }

    def _peak_memory(self) -> Mapping[str, int]:
        peak = peak_memory_bytes() if self._measures_memory else None
        return {} if peak is None else {"peak_memory_bytes": peak}

    def _row_changes(self, published: Published, partition: str | None) -> dict[str, int]:
        """Rows added, gone and changed against the version before, and that version if it had rows to compare with.

        Without the numbers of rows if finding them would take long or is not possible.
        """
        if not published.changed:
            return {"rows_added": 0, "rows_gone": 0, "rows_changed": 0}
        if published.since is None or not published.rows_before:
            return {"rows_added": published.rows, "rows_gone": 0, "rows_changed": 0}
        compared = {"previous_version": published.since}
        most_rows = max(published.rows, published.rows_before)
        if most_rows > MAX_COMPARED_ROWS or max(published.size_bytes, published.bytes_before) > MAX_COMPARED_BYTES:
            return compared
        try:
            found = diff(
                self.warehouse.storage,
                published.table,
                published.since,
                published.version,
                partitions=[partition] if partition else None,
                ignore=CONTRACTS[published.table].volatile,
                first=0,
            )
        except TaproomError as error:
            log.warning("%s", error)  # the table is committed, and must be recorded even without these numbers
            return compared
        rows = {"rows_added": found.rows_added, "rows_gone": found.rows_gone, "rows_changed": found.rows_changed}
        return {**rows, **compared}

    def _figure(self, key: dg.AssetKey, published: Published, png: bytes | None) -> Mapping[str, Any]:
        """A small figure with a link to the full one, both served by `make ui`, and the path of the file.

        The figure is not in the record itself: Dagster keeps all records, loads many for one page, and cuts long ones.
        """
        if png is None:
            return {}
        table, part = table_and_part(key)
        try:
            path = self.warehouse.put_figure(published, png, part)
        except StorageError as error:
            log.warning("%s", error)  # the table is committed, and must be recorded even without a figure
            return {}
        address = FIGURE_ADDRESS.format(table=published.table, content_hash=published.content_hash)
        picture = f"[![{f'{table}-{part}' if part else table}]({address}?small)]({address})"
        return {"figure": dg.MetadataValue.md(picture), "figure_path": dg.MetadataValue.path(path)}


def _cluster_usage() -> Mapping[str, Any]:
    """What the step has used of a Dask cluster since its last output; nothing where it used none."""
    if "taproom.cluster" not in sys.modules:
        return {}
    from taproom.cluster import taken_usages

    usages = [dataclasses.asdict(usage) for usage in taken_usages()]
    return {"cluster": dg.JsonMetadataValue(usages)} if usages else {}


def _ops(run: dg.DagsterRun) -> Mapping[str, Any]:
    """The part of a run's configuration that is for its ops."""
    ops = run.run_config.get("ops", {})
    assert isinstance(ops, Mapping)  # Dagster has validated it
    return ops
