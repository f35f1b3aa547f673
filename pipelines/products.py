"""Products made as far as they are not fresh, in this process: what `make run` does, and what the inbox's runs do.

Each batch is read by a run of its own, with its own record and its own failure. A process of its own for each would
cost seconds, so many are read one after the other in one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from pipelines.chains import CHAINS, Batches, Chain
from pipelines.freshness import is_fresh, settings_on_record, stale_batches
from pipelines.reconcile import lost_batches
from pipelines.records import newest_materialization
from pipelines.removal import remove_batch_of, replaced_batches
from pipelines.settings import requested_settings
from taproom.errors import TaproomError
from taproom.progress import progress
from taproom.warehouse.warehouse import Warehouse

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Products:
    """The products of one warehouse, made as far as they are not fresh.

    Args:
        instance: whose runs make them.
        warehouse: where they are.
        definitions: of the jobs and assets.
        ops: settings by op, as under `ops` in a run configuration. If they are of some chains, these are made; else
            all are.
        tags: of every run.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        warehouse: Warehouse,
        definitions: dg.Definitions,
        ops: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is made yet."""
        self._instance = instance
        self._warehouse = warehouse
        self._definitions = definitions
        self._ops = dict(ops)
        self._tags = dict(tags or {})

    def make(self) -> dict[str, TaproomError]:
        """Of each chain, read the input, then tune and make all that follows from it.

        Gives what could not be made, and why. It keeps nothing else from being made.
        """
        configured = [chain for chain in CHAINS if self._ops.keys() & self._ops_of(chain)]
        made, failures = [], {}
        for chain in configured or CHAINS:
            try:
                made.append(self._make_chain(chain, failures))
            except TaproomError as error:
                failures[chain.name] = error
        if not any(made) and not failures:
            print("Everything is fresh: no input, code, default or configuration has changed. Nothing was made.")
        return failures

    def read(self, chain: Chain, reads: Mapping[str | None, Mapping[str, Any] | None]) -> dict[str | None, Any]:
        """Read each of the inputs that is not fresh; its settings are None where those on record hold.

        Gives whether it was read, or the `TaproomError` that kept it from being read, by the batch's key.
        """
        if chain.batches:
            self._instance.add_dynamic_partitions(chain.batches.partitions.name, list(reads))
        outcomes: dict[str | None, bool | TaproomError] = {}
        for batch in progress(reads, doing=f"ingest_{chain.name}", unit="batch"):
            settings = reads[batch]
            ops = self._ops if settings is None else self._ops | {chain.read: {"config": dict(settings)}}
            try:
                outcomes[batch] = self._run(f"ingest_{chain.name}", ops, batch)
                if settings and settings.get("replaces"):
                    self._remove_replaced(chain, batch, settings["replaces"])
            except TaproomError as error:
                outcomes[batch] = error
        return outcomes

    def follow(self, chain: Chain) -> bool:
        """Make what follows from a chain's batches, as far as they have changed; give whether anything was made."""
        return self._run(f"refresh_{chain.name}", self._ops, also=self._changed_rollup(chain))

    def _remove_replaced(self, chain: Chain, batch: str, name: str) -> None:
        """Take back the batches that one which was just read replaces."""
        for replaced in replaced_batches(self._warehouse.partitions(chain.read), batch, name):
            record = newest_materialization(self._instance, dg.AssetKey(chain.read), [batch])
            reason = f"replaced by {batch}"
            remove_batch_of(self._instance, self._warehouse, chain, replaced, reason, "its settings", record.run_id)

    def _make_chain(self, chain: Chain, failures: dict[str, TaproomError]) -> bool:
        """Make a chain; give whether anything had to be made. Batches that cannot be read are among the failures."""
        # By themselves, so that what follows is stale only if what was read has changed.
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
        also = self._changed_rollup(chain, was_read)
        ops = self._ops
        if not chain.batches and reads[None]:
            ops = ops | {chain.read: {"config": dict(reads[None])}}
        return self._run(f"make_{chain.name}", ops, also=also) or was_read

    def _reads(self, chain: Chain) -> Mapping[str | None, Mapping[str, Any] | None]:
        """What the chain's settings describe; without any, what is on record; without that, the embedded input."""
        asked = requested_settings(self._ops, chain.read)
        lost = lost_batches(self._instance, self._warehouse, chain) if chain.batches else {}
        if asked is not None:
            return {**lost, **chain.reads(asked)}
        if not chain.batches:
            return chain.reads(settings_on_record(self._warehouse, self._definitions, dg.AssetKey(chain.ingested[0])))
        return {**lost, **self._known_batches(chain)} or chain.reads({})

    def _known_batches(self, chain: Chain) -> Mapping[str, None]:
        """The batches in the warehouse that may have to be read again, as they were read before."""
        batches = self._warehouse.partitions(chain.read)
        if self._ops.keys() & self._ops_of_job(f"ingest_{chain.name}"):
            return dict.fromkeys(batches)
        keys = [dg.AssetKey(table) for table in chain.ingested]
        return dict.fromkeys(stale_batches(self._instance, self._warehouse, self._definitions, keys))

    def _changed_rollup(self, chain: Chain, was_read: bool = False) -> set[str]:
        """The op that rolls the batches up, if one was read since it did; none for a chain without batches.

        Dagster stops looking at the batches one by one when they are many, so their rollup is told of a new one.
        """
        changed = chain.batches is not None and (was_read or self._batches_changed(chain.batches))
        return {chain.batches.rollup} if changed else set()

    def _batches_changed(self, batches: Batches) -> bool:
        """Whether a batch was read since the batches were rolled up."""
        rolled_up = newest_materialization(self._instance, dg.AssetKey(batches.rolled_up))
        if rolled_up is None:
            return True
        seen = rolled_up.asset_materialization.metadata["inputs"].value
        return seen.get(batches.counted) != self._warehouse.head(batches.counted)

    def _run(self, job: str, ops: Mapping[str, Any], batch: str | None = None, also: Iterable[str] = ()) -> bool:
        """Run the part of a job that is stale, or whose op is among `also`; give whether anything was."""
        definition = self._definitions.resolve_job_def(job)
        graph = self._definitions.resolve_asset_graph()
        stale: set[dg.AssetKey] = set()
        for key in graph.toposorted_asset_keys:
            if key not in definition.asset_layer.selected_asset_keys:
                continue
            node = graph.get(key)
            follows = bool(stale & node.parent_keys)
            if follows or node.assets_def.op.name in also or not self._is_fresh(key, ops, batch):
                stale |= node.assets_def.keys
        if not stale:
            return False
        print(f"{job}{f' of {batch}' if batch else ''}: {', '.join(sorted('/'.join(key.path) for key in stale))}")
        names = {graph.get(key).assets_def.op.name for key in stale}
        result = definition.execute_in_process(
            run_config={**QUIET, "ops": {name: config for name, config in ops.items() if name in names}},
            instance=self._instance,
            partition_key=batch,
            asset_selection=sorted(stale),
            tags=self._tags,
            raise_on_error=False,
        )
        if not result.success:
            raise TaproomError(_reason(result))
        return True

    def _is_fresh(self, key: dg.AssetKey, ops: Mapping[str, Any], batch: str | None) -> bool:
        return is_fresh(self._instance, self._warehouse, self._definitions, key, ops, batch)

    def _ops_of(self, chain: Chain) -> set[str]:
        """Names of the ops that make a chain's tables."""
        return self._ops_of_job(f"ingest_{chain.name}") | self._ops_of_job(f"make_{chain.name}")

    def _ops_of_job(self, job: str) -> set[str]:
        return set(self._definitions.resolve_job_def(job).graph.node_dict)


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """The innermost message of each failed step."""
    reasons = []
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        # joblib puts a worker's traceback, as text, where the cause of an error belongs.
        while error.cause is not None and error.cause.cls_name != "_RemoteTraceback":
            error = error.cause
        reasons.append(f"{event.step_key}: {error.message.strip()}")
    return "\n".join(reasons) or "the run failed; the UI (make ui) has its log"
