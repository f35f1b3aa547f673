"""What `make run` prints at its end, on one screen: the tables, some results of each chain, and where to see more."""

import json
import textwrap
from collections.abc import Iterator

import dagster as dg

from assets.table import table_and_part, table_assets
from pipelines.chains import CHAINS
from pipelines.definitions import defs
from pipelines.records import newest_materializations, recorded_value
from taproom.errors import DamagedFileError
from taproom.text.analogies import DECK
from taproom.text.corpus_topics import WEIGHTINGS
from taproom.warehouse.warehouse import Warehouse

WIDTH = 120
SECTIONS_SHOWN = ("capital-common-countries", "family", "gram6-nationality-adjective")


def summary(instance: dg.DagsterInstance, warehouse: Warehouse) -> Iterator[str]:
    """The lines of the summary."""
    made = set(warehouse.tables())
    yield "\nTables"
    for line in (*tables_by_chain(instance, warehouse), "", *results(warehouse)):
        yield textwrap.fill(line, WIDTH, subsequent_indent="    ")
    if not made:
        return
    first = ("item_map", "topics", "word_map", "well_shares", "predictions", *sorted(made))
    shown = next(table for table in first if table in made)
    yield f"\nFigure:  {warehouse.root}/_figures/{shown}.png (the folder has one for most tables)"
    yield f"Read:    .venv/bin/python -c \"import taproom; print(taproom.load('{shown}').to_pandas())\""
    yield "List:    .venv/bin/python -m taproom tables   (version, rows and more of each table)"
    yield "Browse:  make ui   (Dagster's UI on http://127.0.0.1:3000)"


def results(warehouse: Warehouse) -> Iterator[str]:
    """Some results of each chain whose tables are there."""
    made = set(warehouse.tables())
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


def tables_by_chain(instance: dg.DagsterInstance, warehouse: Warehouse) -> Iterator[str]:
    """The tables of each folder of `assets/`, how many rows they have and how long they took; and damaged tables."""
    graph = defs.resolve_asset_graph()
    tables: dict[str, set[str]] = {chain.name: set() for chain in CHAINS}
    for key in table_assets(defs):
        tables[graph.get(key).group_name].add(table_and_part(key)[0])
    seconds, damaged = seconds_by_chain(instance), []
    for chain, names in tables.items():
        made, rows = sorted(names & set(warehouse.tables())), 0
        for table in made:
            try:
                rows += sum(file.rows for file in warehouse.files(table))
            except DamagedFileError as error:
                damaged.append(f"{table} is damaged: {error}")
        if made:
            yield f"  {chain} ({len(made)}; {rows:,} rows; {seconds.get(chain, 0):.0f} s): {', '.join(made)}"
    yield from damaged


def seconds_by_chain(instance: dg.DagsterInstance) -> dict[str, float]:
    """How long the newest run of each step took, summed by the folder of `assets/` that the step is in.

    The seconds of a table count from the beginning of its step, so those of the last table are those of the step.
    """
    graph = defs.resolve_asset_graph()
    steps: dict[tuple[str, str], float] = {}
    for key, record in newest_materializations(instance, table_assets(defs)).items():
        node = graph.get(key)
        step = node.group_name, node.assets_def.op.name
        steps[step] = max(steps.get(step, 0.0), recorded_value(record, "seconds") or 0.0)
    chains: dict[str, float] = {}
    for (chain, _), seconds in steps.items():
        chains[chain] = chains.get(chain, 0.0) + seconds
    return chains


def champions(warehouse: Warehouse) -> Iterator[str]:
    """The setting that each product is made with."""
    yield "Champions (the setting that each product is made with, and whether a search has found it)"
    for row in warehouse.read("champions").to_pylist():
        values = json.loads(row["parameters"]).items()
        setting = ", ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values
        )
        yield f"  {row['study']:16} {setting} ({row['verdict']})"


def nearest_of_three(warehouse: Warehouse) -> Iterator[str]:
    """The nearest neighbours of the three items with the most reviews."""
    items = warehouse.read("items").to_pandas().set_index("item_id")
    neighbors = warehouse.read("neighbors").to_pandas().set_index("item_id")
    most = items.loc[neighbors.index].sort_values("reviews", ascending=False, kind="stable").index[:3]
    for item in most:
        nearest = ", ".join(items.item_name[neighbor] for neighbor in neighbors.neighbor_ids[item][:4])
        yield textwrap.shorten(f"Nearest to {items.item_name[item]}: {nearest}", WIDTH, placeholder=" ...")


def map_errors(warehouse: Warehouse) -> Iterator[str]:
    """The share of held-out triplets that the map violates."""
    errors = warehouse.read("map_errors").to_pandas()
    held_out = errors[errors.split == "held_out"]
    told = ", ".join(f"{row.dimension}-d {row.kind} {row.error:.3f}" for row in held_out.itertuples())
    yield f"Errors of the map (share of violated triplets; 0.5 is chance): {told}"


def topics_in_words(warehouse: Warehouse) -> Iterator[str]:
    """The topics with the largest shares, each with its top words."""
    topics = [row for row in warehouse.read("topics").to_pylist() if row["weighting"] == WEIGHTINGS[0]]
    yield f"{min(len(topics), 5)} of {len(topics)} topics (share of the documents, top words)"
    for row in topics[:5]:
        yield f"  {row['share']:4.0%}  {' '.join(row['top_words'][:8])}"


def analogies_of_the_deck(warehouse: Warehouse) -> Iterator[str]:
    """How many analogies are answered correctly, some of them, and the answer to the best known one."""
    rows = warehouse.read("analogies").to_pylist()
    right = [row for row in rows if row["rank"] == 1]
    yield f"Analogies: {len(right):,} of {len(rows):,} with known words are answered correctly"
    examples = {row["section"]: row for row in right if row["section"] in SECTIONS_SHOWN}
    for row in [*examples.values(), *(row for row in rows if row["section"] == DECK and row["a"] == "man")]:
        verdict = "correct" if row["rank"] == 1 else f"{row['expected']} has rank {row['rank']:,}"
        yield f"  {row['b']} - {row['a']} + {row['c']} = {row['answered']} ({verdict})"


def shares_of_wells(warehouse: Warehouse) -> Iterator[str]:
    """The share of each class in some unlabelled wells, with its interval."""
    shares = warehouse.read("well_shares").to_pandas()
    shares = shares[shares.known_share.isna() & shares.share.notna()]
    wells = list(shares.groupby(["plate", "well"], sort=True))
    if wells:
        yield f"Classes in {min(len(wells), 4)} of {len(wells)} unlabelled wells (share, and its interval over events)"
    for (plate, well), rows in wells[:4]:
        told = (f"{row['class']} {row.share:.2f} ({row.low:.2f}-{row.high:.2f})" for _, row in rows.iterrows())
        yield f"  {plate} {well:4} {', '.join(told)}"


def accuracies(warehouse: Warehouse) -> Iterator[str]:
    """The accuracy of each classifier on wells that it was not fitted to."""
    rows = warehouse.read("classifier_comparison").to_pylist()
    told = ", ".join(f"{row['method']} {row['accuracy']:.3f}" for row in rows)
    if rows:
        yield f"Accuracy on wells left out: {told}"


def accuracy_of_images(warehouse: Warehouse) -> Iterator[str]:
    """The accuracy of the classifier of images, and the classes that it confuses most."""
    rows = [row for row in warehouse.read("confusion").to_pylist() if row["images"]]
    total = sum(row["images"] for row in rows)
    if not total:
        return
    right = sum(row["images"] for row in rows if row["label"] == row["predicted"])
    errors = sorted((row for row in rows if row["label"] != row["predicted"]), key=lambda row: -row["share"])[:3]
    told = ", ".join(f"{row['share']:.0%} of {row['label']} as {row['predicted']}" for row in errors)
    yield f"Accuracy of the classifier of images: {right / total:.1%} of {total:,} test images; errors: {told}"
