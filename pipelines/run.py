"""`make run`: make every table that is not fresh, then print a summary.

    python -m pipelines.run [--config FILE]

FILE is a Dagster run configuration in YAML, in the form of Dagster's launchpad, for instance with another source of
reviews. The exit status is 1 if a table could not be made.

If several chains have something to make, they are made side by side, in processes of their own.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from assets.table import table_and_part, table_assets
from pipelines.dagster_internals import reuse_sqlite_engines
from pipelines.definitions import defs
from pipelines.jobs import INGEST, MAKE
from pipelines.pages import print_pages
from pipelines.products import Products
from pipelines.reconcile import reconcile
from pipelines.records import newest_materializations, recorded_value
from pipelines.run_display import Display
from pipelines.side_by_side import SideBySide
from pipelines.step_log import logged_to
from taproom.errors import DamagedFileError, InputError, TaproomError
from taproom.text.analogies import DECK
from taproom.text.corpus_topics import WEIGHTINGS
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import tokens


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the tables, print the summary and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.run", description=__doc__.split("\n\n")[0])
    parser.add_argument("--config", type=Path, help="Dagster run configuration (YAML)")
    options = parser.parse_args(arguments)
    warehouse = Warehouse(default_root())
    failures: dict[str, TaproomError] = {}
    try:
        ops = _read_config(options.config)
        reuse_sqlite_engines()
        with logged_to(logging.StreamHandler(sys.stdout)), dg.DagsterInstance.get() as instance:
            for line in reconcile(instance, warehouse, defs):
                print(line)
            failures |= make(instance, Products(instance, warehouse, defs, ops), ops)
            print("\n".join(summary(instance, warehouse)), flush=True)
            failures |= print_pages(instance)
    except TaproomError as error:
        failures["make run"] = error
    except KeyboardInterrupt:
        print("\nInterrupted. What was made is kept; `make run` makes the rest.", file=sys.stderr)
        return 130
    for chain, failure in failures.items():
        print(f"\nFailed: {chain}: {failure}", file=sys.stderr)
    return 1 if failures else 0


def make(instance: dg.DagsterInstance, products: Products, ops: Mapping[str, Any]) -> dict[str, TaproomError]:
    """Make the chains that are not fresh; return the error of each chain or batch that failed."""
    chains = products.stale_chains()
    if not chains:
        print("Everything is fresh: no input, code, default or configuration has changed. Nothing was made.")
        return {}
    if len(chains) == 1:  # here: another process would take seconds to start
        return products.make(chains[0])
    with closing(Display([chain.name for chain in chains], sys.stdout)) as display:
        return SideBySide(instance, products, chains, ops, display).make()


def summary(instance: dg.DagsterInstance, warehouse: Warehouse) -> Iterator[str]:
    """The lines of the summary: all tables, some results, and where to see more."""
    yield f"\n{'Table':24} version       rows  seconds"
    seconds = seconds_by_table(instance)
    for table in warehouse.tables():
        took = f"{seconds[table]:8.1f}" if table in seconds else "       -"
        try:
            yield f"{table:24}{warehouse.head(table):8d} {_rows(warehouse, table):10,d} {took}"
        except DamagedFileError as error:
            yield f"{table:24} damaged: {error}"
    made = set(warehouse.tables())
    if not made:
        return
    if "champions" in made:
        yield from champions(warehouse)
    if {"items", "neighbors", "map_errors"} <= made:
        yield from nearest_of_three(warehouse)
        yield from map_errors(warehouse)
    if "topics" in made:
        yield from topics_in_words(warehouse)
    if "analogies" in made:
        yield from analogies_of_the_deck(warehouse)
    if {"well_shares", "classifier_comparison"} <= made:
        yield from shares_of_wells(warehouse)
        yield from accuracies(warehouse)
    if {"classifier", "confusion"} <= made:
        yield from accuracy_of_images(warehouse)
    first = ("item_map", "topics", "word_map", "well_shares", "predictions", *sorted(made))
    shown = next(table for table in first if table in made)
    yield f"\nFigure:  {warehouse.root}/_figures/{shown}.png (the folder has one for each table)"
    yield f"Read:    .venv/bin/python -c \"import taproom; print(taproom.load('{shown}').to_pandas())\""
    yield "Browse:  make ui   (Dagster's UI on http://127.0.0.1:3000)"


def seconds_by_table(instance: dg.DagsterInstance) -> dict[str, float]:
    """Seconds of the newest materialization of each table, summed over its assets if it has several."""
    seconds: dict[str, float] = {}
    for key, record in newest_materializations(instance, table_assets(defs)).items():
        if (own := recorded_value(record, "seconds")) is not None:
            table, _ = table_and_part(key)
            seconds[table] = seconds.get(table, 0.0) + own
    return seconds


def champions(warehouse: Warehouse) -> Iterator[str]:
    """The setting that each product is made with, and the reason."""
    yield "\nChampions (the setting that each product is made with, and the reason)"
    for row in warehouse.read("champions").to_pylist():
        values = json.loads(row["parameters"]).items()
        setting = ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values
        )
        yield f"  {row['study']:16} {setting}\n  {'':16} {row['verdict']}: {row['why']}"


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
    """The share of triplets that the map violates."""
    errors = warehouse.read("map_errors").to_pandas()
    yield "\nErrors of the map (share of violated triplets; 0.5 is chance)"
    table = errors.pivot(index=["dimension", "split"], columns="kind", values="error")
    yield table.to_string(float_format=lambda error: f"{error:.3f}")


def topics_in_words(warehouse: Warehouse) -> Iterator[str]:
    """The topics with the largest shares, each with its top words."""
    topics = [row for row in warehouse.read("topics").to_pylist() if row["weighting"] == WEIGHTINGS[0]]
    yield f"\n{min(len(topics), 10)} of {len(topics)} topics (share of the documents, top words)"
    for row in topics[:10]:
        yield f"  {row['share']:4.0%}  {' '.join(row['top_words'][:8])}"


def analogies_of_the_deck(warehouse: Warehouse) -> Iterator[str]:
    """How many analogies are answered correctly, and the answers to those that the deck shows."""
    rows = warehouse.read("analogies").to_pylist()
    right = sum(row["rank"] == 1 for row in rows)
    yield f"\nAnalogies: {right:,} of {len(rows):,} with known words are answered correctly"
    # Every pair of countries is a question; those with France are enough here.
    for row in [row for row in rows if row["section"] == DECK and row["a"] in ("man", "france")]:
        verdict = "correct" if row["rank"] == 1 else f"{row['expected']} has rank {row['rank']:,}"
        yield f"  {row['b']} - {row['a']} + {row['c']} = {row['answered']} ({verdict})"


def shares_of_wells(warehouse: Warehouse) -> Iterator[str]:
    """The share of each class in the unlabelled wells, with its interval."""
    shares = warehouse.read("well_shares").to_pandas()
    shares = shares[shares.known_share.isna() & shares.share.notna()]
    if shares.empty:
        return
    yield "\nClasses in the unlabelled wells (share, and its interval over events)"
    shares["text"] = [f"{row.share:.2f} ({row.low:.2f}-{row.high:.2f})" for row in shares.itertuples()]
    yield shares.pivot(index=["plate", "well"], columns="class", values="text").to_string()


def accuracies(warehouse: Warehouse) -> Iterator[str]:
    """The accuracy of each classifier on wells that it was not fitted to."""
    rows = warehouse.read("classifier_comparison").to_pylist()
    if not rows:
        return
    yield "\nAccuracy on wells left out (standard error)"
    for row in rows:
        error = f" ({row['accuracy_error']:.3f})" if row["accuracy_error"] is not None else ""
        yield f"  {row['method']:24} {row['accuracy']:.3f}{error}"


def accuracy_of_images(warehouse: Warehouse) -> Iterator[str]:
    """The accuracy of the classifier of images, and the classes that it confuses most."""
    rows = [row for row in warehouse.read("confusion").to_pylist() if row["images"]]
    total = sum(row["images"] for row in rows)
    if not total:
        return
    right = sum(row["images"] for row in rows if row["label"] == row["predicted"])
    yield f"\nAccuracy of the classifier of images: {right / total:.1%} of {total:,} test images; most frequent errors"
    for row in sorted((row for row in rows if row["label"] != row["predicted"]), key=lambda row: -row["share"])[:4]:
        yield f"  {row['share']:4.0%} of {row['label']} classified as {row['predicted']}"


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
        raise TaproomError(f"{path} has no mapping `ops`; wanted: ops: <op>: config: ..., as in Dagster's launchpad")
    _check_config(path, given["ops"])
    return given["ops"]


def _check_config(path: Path, ops: dict[str, Any]) -> None:
    """Refuse a configuration that does not fit the assets, before anything is read or made."""
    graph = defs.resolve_asset_graph()
    known = {graph.get(key).assets_def.op.name for key in table_assets(defs)}
    if unknown := ops.keys() - known:
        raise TaproomError(f"{path} configures {sorted(unknown)}, which are not ops; wanted: some of {sorted(known)}")
    for op, given in ops.items():
        if pattern := ((given or {}).get("config") or {}).get("token_pattern"):
            try:
                tokens("", pattern)
            except InputError as error:
                raise InputError(f"{path}, `token_pattern` of {op}: {error}") from None
    for name in (job.name for jobs in (INGEST, MAKE) for job in jobs.values()):
        job = defs.resolve_job_def(name)
        of_job = {op: config for op, config in ops.items() if op in job.graph.node_dict}
        try:
            dg.validate_run_config(job, {"ops": of_job})
        except dg.DagsterInvalidConfigError as error:
            raise TaproomError(f"{path} is not a valid configuration of {name}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
