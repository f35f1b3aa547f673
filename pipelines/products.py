"""Make the products that are not fresh, in this process, for `make run` and for the runs of the inbox.

Each batch is read in a run of its own, which has its own record and fails on its own. A process for each would take
seconds, so batches are read one after another in one process.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from pipelines.chains import CHAINS, Batches, Chain
from pipelines.failures import failed_steps
from pipelines.freshness import fresh_assets, settings_on_record, stale_batches
from pipelines.reconcile import lost_batches, partitions_name
from pipelines.records import newest_materialization, recorded_value
from pipelines.removal import remove_batch_of, replaced_batches
from pipelines.retries import asks_for_retry
from pipelines.settings import requested_settings
from pipelines.step_log import log_planned
from taproom.errors import StorageError, TaproomError
from taproom.progress import progress
from taproom.warehouse.warehouse import Warehouse

# The settings of each input by its batch's key, which is None in a chain without batches; None: the recorded settings.
Reads = Mapping[str | None, Mapping[str, Any] | None]

log = logging.getLogger("taproom.pipelines")

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Products:
    """The products of one warehouse.

    Args:
        instance: the Dagster instance of the runs.
        warehouse: the warehouse of the tables.
        definitions: the jobs and assets.
        ops: settings by op, as under `ops` in a run configuration. Only the chains that they configure are made; all
            chains if they configure none.
        tags: tags of every run.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        warehouse: Warehouse,
        definitions: dg.Definitions,
        ops: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the arguments; nothing is made yet."""
        self._instance = instance
        self._warehouse = warehouse
        self._definitions = definitions
        self._ops = dict(ops)
        self._tags = dict(tags or {})

    def stale_chains(self) -> list[Chain]:
        """The chains that have something to make; those that may have, as they read a table of one of these, too."""
        configured = [chain for chain in CHAINS if self._ops.keys() & self._ops_of(chain)]
        stale: list[Chain] = []
        for chain in configured or CHAINS:
            if any(self.reads_from(chain, other) for other in stale) or not self._is_fresh(chain):
                stale.append(chain)
        return stale

    def make(self, chain: Chain, wait: Callable[[], object] = lambda: None) -> dict[str, TaproomError]:
        """Read the input of a chain, call `wait`, then tune and make the chain's tables.

        Returns the error of the chain, or of each batch that could not be read; the others are made all the same.
        """
        failures: dict[str, TaproomError] = {}
        try:
            self._make_chain(chain, wait, failures)
        except TaproomError as error:
            failures[chain.name] = error
        return failures

    def reads_from(self, chain: Chain, other: Chain) -> set[str]:
        """The ops of another chain that make what a chain reads."""
        graph = self._definitions.resolve_asset_graph()
        layer = self._definitions.resolve_job_def(f"ingest_{chain.name}").asset_layer
        read = {parent for key in layer.selected_asset_keys for parent in graph.get(key).parent_keys}
        return {graph.get(key).assets_def.op.name for key in read} & self._ops_of(other)

    def read(self, chain: Chain, reads: Reads) -> dict[str | None, bool | TaproomError]:
        """Read each input that is not fresh. Settings of None mean those that it was last read with.

        Returns, by the batch's key, whether it was read, or the `TaproomError` that prevented it.
        """
        if chain.batches:
            self._instance.add_dynamic_partitions(
                partitions_name(chain), [batch for batch in reads if batch is not None]
            )
        outcomes: dict[str | None, bool | TaproomError] = {}
        for batch in progress(reads, doing=f"ingest_{chain.name}", unit="batch"):
            settings = reads[batch]
            try:
                outcomes[batch] = self._run(f"ingest_{chain.name}", self._ops_to_read(chain, settings), batch)
                if batch and settings and settings.get("replaces"):
                    self._remove_replaced(chain, batch, settings["replaces"])
            except TaproomError as error:
                outcomes[batch] = error
        return outcomes

    def follow(self, chain: Chain) -> bool:
        """Make the tables downstream of a chain's batches that are not fresh; return whether there were any."""
        return self._run(f"refresh_{chain.name}", self._ops, also=self._changed_rollup(chain))

    def _remove_replaced(self, chain: Chain, batch: str, name: str) -> None:
        """Remove the batches that a batch which was just read replaces."""
        for replaced in replaced_batches(self._warehouse.partitions(chain.read), batch, name):
            record = newest_materialization(self._instance, dg.AssetKey(chain.read), [batch])
            reason = f"replaced by {batch}"
            run_id = record.run_id if record else ""
            remove_batch_of(self._instance, self._warehouse, chain, replaced, reason, "its settings", run_id)

    def _is_fresh(self, chain: Chain) -> bool:
        """Whether nothing of a chain has to be read or made. False if that cannot be found out: making it says why."""
        read, make = f"ingest_{chain.name}", f"make_{chain.name}"
        try:
            reads = self._reads(chain)
            return not (
                any(self._stale(read, self._ops_to_read(chain, reads[batch]), batch) for batch in reads)
                or self._stale(make, self._ops_to_make(chain, reads), also=self._changed_rollup(chain))
            )
        except TaproomError:
            return False

    def _make_chain(self, chain: Chain, wait: Callable[[], object], failures: dict[str, TaproomError]) -> None:
        """As `make`. Adds batches that cannot be read to `failures`; any other error is raised."""
        # In runs of their own, so that downstream tables are stale only if the rows read have changed.
        reads = self._reads(chain)
        outcomes = self.read(chain, reads)
        errors = {batch: outcome for batch, outcome in outcomes.items() if isinstance(outcome, TaproomError)}
        if errors and None in errors:
            raise errors[None]
        if errors and not self._warehouse.partitions(chain.read):
            raise next(iter(errors.values()))
        failures |= {
            f"{chain.name}, {batch}" if len(reads) > 1 else chain.name: error for batch, error in errors.items()
        }
        was_read = any(outcome is True for outcome in outcomes.values())
        wait()
        job, also = f"make_{chain.name}", self._changed_rollup(chain, was_read)
        self._run(job, self._ops_to_make(chain, reads), also=also)

    def _ops_to_read(self, chain: Chain, settings: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """The settings by op with which an input is read."""
        return self._ops if settings is None else self._ops | {chain.read: {"config": dict(settings)}}

    def _ops_to_make(self, chain: Chain, reads: Reads) -> Mapping[str, Any]:
        """The settings by op with which a chain's tables are made after its input was read."""
        return self._ops if chain.batches else self._ops_to_read(chain, reads[None] or None)

    def _reads(self, chain: Chain) -> Reads:
        """The inputs in the chain's settings; else the recorded ones; else the embedded input."""
        asked = requested_settings(self._ops, chain.read)
        lost = lost_batches(self._instance, self._warehouse, chain) if chain.batches else {}
        if asked is not None:
            return {**lost, **chain.reads(asked)}
        if not chain.batches:
            return chain.reads(settings_on_record(self._warehouse, self._definitions, dg.AssetKey(chain.ingested[0])))
        known: dict[str | None, Mapping[str, Any] | None] = dict(lost.items())
        known |= dict.fromkeys(self._known_batches(chain))
        # The embedded input only where there is none: a warehouse holds one collection.
        return known if known or self._warehouse.partitions(chain.read) else chain.reads({})

    def _known_batches(self, chain: Chain) -> Sequence[str]:
        """The batches in the warehouse that may have to be read again, with their recorded settings."""
        batches = self._warehouse.partitions(chain.read)
        if self._ops.keys() & self._ops_of_job(f"ingest_{chain.name}"):
            return batches
        keys = [dg.AssetKey(table) for table in chain.ingested]
        return stale_batches(self._instance, self._warehouse, self._definitions, keys)

    def _changed_rollup(self, chain: Chain, was_read: bool = False) -> set[str]:
        """The op of the rollup if a batch was read after it; nothing for a chain without batches.

        Dagster does not compare many batches one by one (ADR 6), so the rollup is asked for explicitly.
        """
        batches = chain.batches
        return {batches.rollup} if batches and (was_read or self._batches_changed(batches)) else set()

    def _batches_changed(self, batches: Batches) -> bool:
        """Whether a batch was read after the last rollup."""
        rolled_up = newest_materialization(self._instance, dg.AssetKey(batches.rolled_up))
        if rolled_up is None:
            return True
        seen = recorded_value(rolled_up, "inputs")
        return seen.get(batches.counted) != self._warehouse.head(batches.counted)

    def _stale(
        self, job: str, ops: Mapping[str, Any], batch: str | None = None, also: Iterable[str] = ()
    ) -> list[dg.AssetKey]:
        """The assets of a job that are stale or whose op is in `also`, and what is made from them, in that order."""
        definition = self._definitions.resolve_job_def(job)
        graph = self._definitions.resolve_asset_graph()
        keys = [key for key in graph.toposorted_asset_keys if key in definition.asset_layer.selected_asset_keys]
        fresh = fresh_assets(self._instance, self._warehouse, self._definitions, keys, ops, batch)
        stale: set[dg.AssetKey] = set()
        for key in keys:
            node = graph.get(key)
            follows = bool(stale & node.parent_keys)
            if follows or node.assets_def.op.name in also or key not in fresh:
                stale |= node.assets_def.keys
        return [key for key in keys if key in stale]

    def _run(self, job: str, ops: Mapping[str, Any], batch: str | None = None, also: Iterable[str] = ()) -> bool:
        """Run the assets of a job that are stale or whose op is in `also`; return whether there were any."""
        stale = self._stale(job, ops, batch, also)
        if not stale:
            return False
        graph = self._definitions.resolve_asset_graph()
        names = list(dict.fromkeys(graph.get(key).assets_def.op.name for key in stale))
        log_planned(f"{job} of {batch}" if batch else job, ("/".join(key.path) for key in stale), names)
        result = self._definitions.resolve_job_def(job).execute_in_process(
            run_config={**QUIET, "ops": {name: config for name, config in ops.items() if name in names}},
            instance=self._instance,
            partition_key=batch,
            asset_selection=sorted(stale),
            tags=self._tags,
            raise_on_error=False,
        )
        if not result.success:
            kind = StorageError if asks_for_retry(self._instance, result.run_id) else TaproomError
            raise kind(failed_steps(result))
        for note in _notes(result):
            log.info(note)
        return True

    def _ops_of(self, chain: Chain) -> set[str]:
        """Names of the ops that make a chain's tables."""
        return self._ops_of_job(f"ingest_{chain.name}") | self._ops_of_job(f"make_{chain.name}")

    def _ops_of_job(self, job: str) -> set[str]:
        return set(self._definitions.resolve_job_def(job).graph.node_dict)


def _notes(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """What the tables that were made say of their input, a line each: what was rejected or left out."""
    for event in result.get_asset_materialization_events():
        metadata: dict[str, Any] = {name: entry.value for name, entry in event.materialization.metadata.items()}
        notes = list(metadata.get("notes", []))
        if metadata.get("files_left_out"):
            notes.append(f"{metadata['files_left_out']:,} files were left out: {'; '.join(metadata['left_out'][:3])}")
        for note in notes:
            yield f"  {'/'.join(event.materialization.asset_key.path)}: {note}"
