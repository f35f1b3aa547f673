"""When a table is made by itself: as soon as its rows could differ, since an input's do.

Dagster's own `eager` looks at events: an input that was made again with the same rows counts as news, and one that
comes while the table is being made can be lost. Here the inputs that a table was made from are compared with those
that there are, so it does not matter when anything happened. The sensor `follow_changes` evaluates this.
"""

import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

_DATA_VERSION = "dagster/data_version"
_INPUT_DATA_VERSION = "dagster/input_data_version/{}"
_NEVER_MADE = "INITIAL"

# All that follows is made again with a rollup, so it comes once a minute at most; more seldom while many batches are
# being read, which it would hold up.
SECONDS_BETWEEN_ROLLUPS = 60
SECONDS_WHILE_READING = 180
# Runs that read many batches have this tag.
READS_BATCHES = {"taproom/reads_batches": "yes"}

# Tables that are read batch by batch have this tag.
BATCHED = {"taproom/batched": "yes"}
_BATCHED = dg.AssetSelection.tag("taproom/batched", "yes")

# A product is made with its defaults while there is no champion.
_CHAMPIONS = dg.AssetSelection.key_prefixes(["champions"])

_RECORDS: WeakKeyDictionary = WeakKeyDictionary()


class InputsDiffer(dg.AutomationCondition):
    """Whether the inputs are others than those that the table was made from, and than those it was last asked for.

    So what fails is not tried again before there is something new. Inputs are compared by their data versions; those
    that are read batch by batch, of which there may be thousands, by the version of their table, and only where the
    table is a rollup of them: what else is made from batches follows the rollup.
    """

    def __init__(self, of_batches: bool) -> None:
        """`of_batches`: whether the table rolls batches up."""
        self._of_batches = of_batches

    @property
    def name(self) -> str:
        """As the UI shows it."""
        return "a_batch_differs" if self._of_batches else "inputs_differ"

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        """True for the table if so."""
        known = json.loads(context.cursor or '{"seen": {}, "asked": {}}')
        requested = context.get_previous_requested_subset(context.key)
        asked = known["seen"] if requested is not None and not requested.is_empty else known["asked"]
        now, made_from = self._inputs_now(context), self._inputs_then(context)
        differ = bool(now) and now not in (made_from, asked) and not self._waits(context)
        view = context.asset_graph_view
        return dg.AutomationResult(
            context,
            true_subset=view.get_full_subset(key=context.key) if differ else context.get_empty_subset(),
            cursor=json.dumps({"seen": now, "asked": asked}),
        )

    def _inputs_now(self, context: dg.AutomationContext) -> dict[str, Any]:
        if self._of_batches:
            heads = {table: Warehouse(default_root()).head(table) for table in self._parents(context)}
            return {table: head for table, head in heads.items() if head is not None}
        records = {name: _newest(context, dg.AssetKey(name.split("/"))) for name in self._parents(context)}
        return {name: record.tags.get(_DATA_VERSION) for name, record in records.items() if record}

    def _inputs_then(self, context: dg.AutomationContext) -> Mapping[str, Any] | None:
        record = _newest(context, context.key)
        if record is None or Warehouse(default_root()).head(context.key.path[0]) is None:
            return None  # it was never made, or the warehouse was lost
        if self._of_batches:
            inputs = record.metadata["inputs"].value
            return {table: inputs[table] for table in self._parents(context) if table in inputs}
        versions = {name: record.tags.get(_INPUT_DATA_VERSION.format(name)) for name in self._parents(context)}
        return {name: version for name, version in versions.items() if version not in (None, _NEVER_MADE)}

    def _waits(self, context: dg.AutomationContext) -> bool:
        """Whether a rollup was made so recently that more batches are waited for."""
        event = _newest_event(context, context.key)
        if not self._of_batches or event is None:
            return False
        going_on = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
        reading = dg.RunsFilter(tags=READS_BATCHES, statuses=going_on)
        is_reading = context.asset_graph_view.instance.get_runs_count(reading) > 0
        age = context.evaluation_time.timestamp() - event.timestamp
        return age < (SECONDS_WHILE_READING if is_reading else SECONDS_BETWEEN_ROLLUPS)

    def _parents(self, context: dg.AutomationContext) -> list[str]:
        graph = context.asset_graph
        parents = graph.get(context.key).parent_keys
        return sorted(key.to_user_string() for key in parents if graph.get(key).is_partitioned == self._of_batches)


def _newest(context: dg.AutomationContext, key: dg.AssetKey) -> dg.AssetMaterialization | None:
    event = _newest_event(context, key)
    return event.asset_materialization if event else None


def _newest_event(context: dg.AutomationContext, key: dg.AssetKey) -> dg.EventLogEntry | None:
    """The newest record of an asset; those of all assets are fetched at once, once an evaluation."""
    view = context.asset_graph_view
    if view not in _RECORDS:
        keys = context.asset_graph.materializable_asset_keys
        _RECORDS[view] = view.instance.get_latest_materialization_events(sorted(keys))
    return _RECORDS[view].get(key)


WHEN_AN_INPUT_CHANGES = (
    (
        (
            InputsDiffer(of_batches=False)
            | dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
        )
        & ~dg.AutomationCondition.any_deps_missing().ignore(_CHAMPIONS)
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )
    .ignore(_BATCHED)
    .with_label("when an input changes")
)

# Of a rollup. A batch that failed to be read stays missing, and others are being read all the time: neither keeps the
# rest from being rolled up.
WHEN_A_BATCH_CHANGES = (InputsDiffer(of_batches=True) & ~dg.AutomationCondition.in_progress()).with_label(
    "when a batch changes"
)
