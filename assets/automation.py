"""The conditions under which a table is made automatically: when the rows of one of its inputs have changed.

Dagster's own condition `eager` reacts to events: an input that was made again with the same rows counts as a change,
and an input that changes while the table is being made can be missed. The conditions here compare the inputs that a
table was made from with the current ones, whenever these were made. The sensor `follow_changes` evaluates them.
"""

import json
from collections.abc import Mapping
from typing import Any, cast
from weakref import WeakKeyDictionary

import dagster as dg

from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

_DATA_VERSION = "dagster/data_version"
_INPUT_DATA_VERSION = "dagster/input_data_version/{}"
_NEVER_MADE = "INITIAL"

# All tables that depend on a rollup are made again with it, so it is made once a minute at most; less often while many
# batches are being read, which it would slow down.
SECONDS_BETWEEN_ROLLUPS = 60
SECONDS_WHILE_READING = 180
# The pages take ten seconds to write, and people read them when something is done.
SECONDS_BETWEEN_PAGES = 300
# So many failed runs are looked at for one that was not to make the pages.
FAILED_RUNS = 10
# Runs that read many batches have this tag.
READS_BATCHES = {"taproom/reads_batches": "yes"}

# Tables that are read batch by batch have this tag.
BATCHED = {"taproom/batched": "yes"}
_BATCHED = dg.AssetSelection.tag("taproom/batched", "yes")

# Champions may be missing: a table is made with its defaults until there is one. Reference texts may be missing, too:
# they have no automation condition, and until somebody makes them, word vectors are trained on the documents alone.
_MAY_BE_MISSING = dg.AssetSelection.key_prefixes(["champions"], ["reference_texts"])

# The newest materialization of each asset, by evaluation.
_NEWEST: WeakKeyDictionary[Any, Mapping[dg.AssetKey, dg.EventLogEntry | None]] = WeakKeyDictionary()


class InputsDiffer(dg.AutomationCondition):
    """True if the inputs differ from those that the table was made from, and from those of the last request.

    The latter, so that a table that failed is not requested again until an input changes. Inputs are compared by their
    data versions. Inputs that are read batch by batch, of which there may be thousands, are compared by the version of
    their table, and only for a rollup; all other tables that take batches depend on a rollup too.

    Args:
        of_batches: whether the table is a rollup, whose batches are compared.
    """

    def __init__(self, of_batches: bool) -> None:
        """Compare the inputs that are batches, or the others."""
        self._of_batches = of_batches

    @property
    def name(self) -> str:
        """The condition's name in the UI."""
        return "a_batch_differs" if self._of_batches else "inputs_differ"

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        """Select the table if the condition is true."""
        cursor = json.loads(context.cursor or '{"seen": {}, "asked": {}}')
        previous = context.get_previous_requested_subset(context.key)
        requested = cursor["seen"] if previous is not None and not previous.is_empty else cursor["asked"]
        current, made_from = self._current_inputs(context), self._inputs_made_from(context)
        differ = bool(current) and current not in (made_from, requested) and not self._waits(context)
        view = context.asset_graph_view
        return dg.AutomationResult(
            context,
            true_subset=view.get_full_subset(key=context.key) if differ else context.get_empty_subset(),
            cursor=json.dumps({"seen": current, "asked": requested}),
        )

    def _current_inputs(self, context: dg.AutomationContext) -> dict[str, Any]:
        if self._of_batches:
            heads = {table: Warehouse(default_root()).head(table) for table in self._parents(context)}
            return {table: head for table, head in heads.items() if head is not None}
        newest = {name: _newest(context, dg.AssetKey(name.split("/"))) for name in self._parents(context)}
        return {name: _tags(made).get(_DATA_VERSION) for name, made in newest.items() if made}

    def _inputs_made_from(self, context: dg.AutomationContext) -> Mapping[str, Any] | None:
        made = _newest(context, context.key)
        if made is None or Warehouse(default_root()).head(context.key.path[0]) is None:
            return None  # it was never made, or the warehouse was lost
        if self._of_batches:
            inputs = cast(Mapping[str, int], made.metadata["inputs"].value)  # as the IO manager records them
            return {table: inputs[table] for table in self._parents(context) if table in inputs}
        versions = {name: _tags(made).get(_INPUT_DATA_VERSION.format(name)) for name in self._parents(context)}
        return {name: version for name, version in versions.items() if version not in (None, _NEVER_MADE)}

    def _waits(self, context: dg.AutomationContext) -> bool:
        """Whether a rollup was made so recently that it waits for more batches."""
        event = _newest_event(context, context.key)
        if not self._of_batches or event is None:
            return False
        running = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
        reading = dg.RunsFilter(tags=READS_BATCHES, statuses=running)
        is_reading = context.asset_graph_view.instance.get_runs_count(reading) > 0
        age = context.evaluation_time.timestamp() - event.timestamp
        return age < (SECONDS_WHILE_READING if is_reading else SECONDS_BETWEEN_ROLLUPS)

    def _parents(self, context: dg.AutomationContext) -> list[str]:
        graph = context.asset_graph
        parents = graph.get(context.key).parent_keys
        return sorted(key.to_user_string() for key in parents if graph.get(key).is_partitioned == self._of_batches)


class TablesDiffer(dg.AutomationCondition):
    """True if a table or the newest failed run is another than at the last request, some minutes ago at least.

    For the pages, which show all tables and the runs that failed. Tables are compared by their versions, so nothing
    is requested when the same rows were made again. Runs that failed to make the pages themselves do not count: they
    would be requested again and again.
    """

    @property
    def name(self) -> str:
        """The condition's name in the UI."""
        return "tables_differ"

    def evaluate(self, context: dg.AutomationContext) -> dg.AutomationResult:
        """Select the asset if the condition is true."""
        cursor = json.loads(context.cursor or '{"asked": null, "time": 0}')
        previous = context.get_previous_requested_subset(context.key)
        was_requested = previous is not None and not previous.is_empty
        now = context.evaluation_time.timestamp()
        asked, time = (cursor["seen"], cursor["now"]) if was_requested else (cursor["asked"], cursor["time"])
        current = {"versions": Warehouse(default_root()).heads(), "failed": self._newest_failed_run(context)}
        differs = bool(current["versions"]) and current != asked and now - time >= SECONDS_BETWEEN_PAGES
        view = context.asset_graph_view
        return dg.AutomationResult(
            context,
            true_subset=view.get_full_subset(key=context.key) if differs else context.get_empty_subset(),
            cursor=json.dumps({"seen": current, "now": now, "asked": asked, "time": time}),
        )

    def _newest_failed_run(self, context: dg.AutomationContext) -> str | None:
        failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
        runs = context.asset_graph_view.instance.get_runs(failed, limit=FAILED_RUNS)
        return next((run.run_id for run in runs if run.asset_selection != {context.key}), None)


def _newest(context: dg.AutomationContext, key: dg.AssetKey) -> dg.AssetMaterialization | None:
    """The newest materialization of an asset; None if it was never made."""
    event = _newest_event(context, key)
    return event.asset_materialization if event else None


def _tags(made: dg.AssetMaterialization) -> Mapping[str, str]:
    return made.tags or {}


def _newest_event(context: dg.AutomationContext, key: dg.AssetKey) -> dg.EventLogEntry | None:
    """The newest event of an asset. Those of all assets are fetched together, once an evaluation."""
    view = context.asset_graph_view
    if view not in _NEWEST:
        keys = context.asset_graph.materializable_asset_keys
        _NEWEST[view] = view.instance.get_latest_materialization_events(sorted(keys))
    return _NEWEST[view].get(key)


WHEN_AN_INPUT_CHANGES = (
    (
        (
            InputsDiffer(of_batches=False)
            | dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
        )
        & ~dg.AutomationCondition.any_deps_missing().ignore(_MAY_BE_MISSING)
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )
    .ignore(_BATCHED)
    .with_label("when an input changes")
)

# For a rollup. It does not wait for batches that are missing because they could not be read, nor for those that are
# being read.
WHEN_A_BATCH_CHANGES = (InputsDiffer(of_batches=True) & ~dg.AutomationCondition.in_progress()).with_label(
    "when a batch changes"
)

# For the pages: once what is being made is done.
WHEN_TABLES_HAVE_CHANGED = (
    (
        TablesDiffer()
        & ~dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested())
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )
    .ignore(_BATCHED)
    .with_label("when tables have changed")
)
