"""`make run`: make every product that is not fresh, then tell what there is and where to look.

    python -m pipelines.run [--config FILE]

FILE is a Dagster run configuration (YAML, as the launchpad takes it) for the assets, for instance another source of
reviews. Exits 1 when a product could not be made.
"""

import argparse
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from assets.reviews.reviews import BATCHES, ReviewsConfig, batch_of
from pipelines.definitions import defs
from pipelines.freshness import config_of, is_fresh
from pipelines.tables import newest_materialization, recorded_version
from taproom.errors import TaproomError
from taproom.warehouse import Warehouse, default_root

JOBS = ("ingest_reviews", "refresh_reviews")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, tell, and give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--config", type=Path, help="run configuration (YAML), as Dagster's launchpad takes it")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stdout)
    for talkative in ("dagster", "alembic", "matplotlib"):
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    warehouse = Warehouse(default_root())
    try:
        ops = _read_config(options.config)
        with dg.DagsterInstance.get() as instance:
            Products(instance, warehouse, ops).make()
            print("\n".join(summary(instance, warehouse)))
    except TaproomError as error:
        print(f"\nFailed: {error}", file=sys.stderr)
        return 1
    return 0


class Products:
    """The products of one warehouse, made as far as they are not fresh.

    `ops` is configuration by op, as under `ops` in a run configuration.
    """

    def __init__(self, instance: dg.DagsterInstance, warehouse: Warehouse, ops: dict[str, Any]) -> None:
        """Nothing is made yet."""
        self._instance = instance
        self._warehouse = warehouse
        self._ops = ops

    def make(self) -> None:
        """Ingest the configured batch of reviews, then refresh all that follows from any batch."""
        batch = batch_of(ReviewsConfig(**config_of(self._ops, "reviews")))
        if not self._instance.has_dynamic_partition(BATCHES.name, batch):
            self._instance.add_dynamic_partitions(BATCHES.name, [batch])
        ingested = self._run("ingest_reviews", batch)
        # Dagster stops looking at the batches one by one when they are many, so their rollup is told of a new one.
        refreshed = self._run("refresh_reviews", also={"items"} if ingested or self._batches_changed() else set())
        if not ingested and not refreshed:
            print("Everything is fresh: no input, code, default or configuration has changed. Nothing was made.")

    def _batches_changed(self) -> bool:
        """Whether a batch was counted since the batches were rolled up."""
        rolled_up = newest_materialization(self._instance, dg.AssetKey("review_batches"))
        if rolled_up is None:
            return True
        seen = rolled_up.asset_materialization.metadata["inputs"].value
        return seen.get("term_counts") != recorded_version(self._instance, self._warehouse, dg.AssetKey("term_counts"))

    def _run(self, job: str, batch: str | None = None, also: Iterable[str] = ()) -> bool:
        """Run the part of a job that is stale, or whose op is among `also`; give whether anything was."""
        definition = defs.resolve_job_def(job)
        graph = defs.resolve_asset_graph()
        stale: set[dg.AssetKey] = set()
        for key in graph.toposorted_asset_keys:
            if key not in definition.asset_layer.selected_asset_keys:
                continue
            node = graph.get(key)
            follows = bool(stale & node.parent_keys)
            if follows or node.assets_def.op.name in also or not self._is_fresh(key, batch):
                stale |= node.assets_def.keys
        if not stale:
            return False
        print(f"{job}{f' of {batch}' if batch else ''}: {', '.join(sorted(key.path[-1] for key in stale))}")
        ops = {graph.get(key).assets_def.op.name for key in stale}
        result = definition.execute_in_process(
            run_config={**QUIET, "ops": {name: config for name, config in self._ops.items() if name in ops}},
            instance=self._instance,
            partition_key=batch,
            asset_selection=sorted(stale),
            raise_on_error=False,
        )
        if not result.success:
            raise TaproomError(_reason(result))
        return True

    def _is_fresh(self, key: dg.AssetKey, batch: str | None) -> bool:
        return is_fresh(self._instance, self._warehouse, defs, key, self._ops, batch)


def summary(instance: dg.DagsterInstance, warehouse: Warehouse) -> Iterator[str]:
    """What there is now: tables, some neighbours, the map's errors and picture, and how to see more."""
    yield "\nTable               version       rows  seconds"
    for table in warehouse.tables():
        record = newest_materialization(instance, dg.AssetKey(table))
        told = record.asset_materialization.metadata if record else {}
        seconds = f"{told['seconds'].value:8.1f}" if "seconds" in told else "       -"
        yield f"{table:18} {warehouse.head(table):8d} {_rows(warehouse, table):10,d} {seconds}"
    yield from nearest_of_three(warehouse)
    yield from map_errors(warehouse)
    yield f"\nThe map:  {warehouse.root}/_figures/item_map.png"
    yield "Read it:  .venv/bin/python -c \"import taproom; print(taproom.load('item_map').to_pandas())\""
    yield "Look in:  make ui   (Dagster's UI on http://127.0.0.1:3000)"


def nearest_of_three(warehouse: Warehouse) -> Iterator[str]:
    """The five nearest neighbours of the three items with the most reviews."""
    items = warehouse.read("items").to_pandas().set_index("item_id")
    neighbors = warehouse.read("neighbors").to_pandas().set_index("item_id")
    most = items.loc[neighbors.index].sort_values("reviews", ascending=False, kind="stable").index[:3]
    for item in most:
        yield f"\nNearest to {items.item_name[item]}"
        row = neighbors.loc[item]
        for neighbor, distance in list(zip(row.neighbor_ids, row.distances, strict=True))[:5]:
            yield f"  {distance:.3f}  {items.item_name[neighbor]}"


def map_errors(warehouse: Warehouse) -> Iterator[str]:
    """The share of triplets that the map has the wrong way round."""
    errors = warehouse.read("map_errors").to_pandas()
    yield "\nErrors of the map (share of violated triplets; 0.5 is chance)"
    table = errors.pivot(index=["dimension", "split"], columns="kind", values="error")
    yield table.to_string(float_format=lambda error: f"{error:.3f}")


def _rows(warehouse: Warehouse, table: str) -> int:
    return sum(file.rows for file in warehouse.files(table))


def _read_config(path: Path | None) -> dict[str, Any]:
    """The `ops` of a run configuration."""
    if path is None:
        return {}
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise TaproomError(f"{path} cannot be read as a run configuration: {error}") from error
    if not isinstance(given, dict) or not isinstance(given.get("ops"), dict):
        raise TaproomError(
            f"{path} has no mapping `ops`; wanted: ops: <op>: config: ..., as Dagster's launchpad takes it"
        )
    _check_config(path, given["ops"])
    return given["ops"]


def _check_config(path: Path, ops: dict[str, Any]) -> None:
    """Refuse what no asset takes, before anything is made."""
    graph = defs.resolve_asset_graph()
    known = {graph.get(key).assets_def.op.name for key in graph.materializable_asset_keys}
    if unknown := ops.keys() - known:
        raise TaproomError(f"{path} configures {sorted(unknown)}, which nothing takes; there are {sorted(known)}")
    for name in JOBS:
        job = defs.resolve_job_def(name)
        of_job = {op: config for op, config in ops.items() if op in job.graph.node_dict}
        try:
            dg.validate_run_config(job, {"ops": of_job})
        except dg.DagsterInvalidConfigError as error:
            raise TaproomError(f"{path} is not a configuration of {name}: {error}") from error


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """The innermost message of each failed step."""
    reasons = []
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        while error.cause is not None:
            error = error.cause
        reasons.append(f"{event.step_key}: {error.message.strip()}")
    return "\n".join(reasons) or "the run failed; the UI (make ui) has its log"


if __name__ == "__main__":
    sys.exit(main())
