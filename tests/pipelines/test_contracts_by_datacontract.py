"""The generated contracts, linted and run by datacontract-cli, a program of others."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.table import CONTRACTS
from pipelines.contracts import FOLDER, ROOT
from taproom.warehouse.export import export
from taproom.warehouse.warehouse import Warehouse
from tests.validators import pytestmark, run

__all__ = ["pytestmark"]

# Its arguments are what to check, as a JSON list of pairs of a contract's file and a folder, and the files to lint.
CHECK = """
import json, os, sys
from datacontract.data_contract import DataContract

linted = {file: DataContract(data_contract_file=file, inline_references=False).lint() for file in sys.argv[2:]}
invalid = {file: [check.reason for check in result.checks if check.result != "passed"]
           for file, result in linted.items()}
results = []
for file, folder in json.loads(sys.argv[1]):
    os.chdir(folder)
    contract = DataContract(data_contract_file=file, server="export", inline_references=False)
    results.append([[check.type, check.name, check.result, check.reason] for check in contract.test().checks])
print(json.dumps([invalid, results]))
"""
FILES = sorted((ROOT / FOLDER).glob("*.odcs.yaml"))
ROWS = {
    "items": {
        "item_id": ["ale", "bock"], "item_name": ["Ale", "Bock"], "category": ["beer", None],
        "spellings": [[], ["Bock", "bock"]], "reviews": [2, 1], "mean_overall": [4.5, None],
    },
    "neighbors": {
        "item_id": ["ale", "bock"], "neighbor_ids": [["bock"], ["ale"]], "distances": [[0.25], [0.25]],
    },
    "reviews": {
        "batch": ["b", "b"], "collection": ["beers", "beers"], "review_id": ["1", "2"], "item_id": ["ale", "bock"],
        "item_name": ["Ale", "Bock"], "category": [None, "beer"], "reviewer_id": [None, "me"],
        "time": [None, datetime(2026, 1, 2, tzinfo=UTC)], "overall": [None, 4.0],
        "scores": [[], [("aroma", 4.0)]], "attributes": [[], [("abv", "5")]], "text": ["good", "bad"],
    },
    "digits": {"digit_id": ["0"], "label": ["7"], "pixels": [bytes(784)]},
    "document_topics": {
        "weighting": ["tfidf", "tfidf"], "document_id": ["a", "b"], "label": ["x", None], "split": ["training", "test"],
        "topic": [0, None], "mixture": [[0.5, 0.5], None],
    },
}  # fmt: skip


# Values that break a rule: the table, the column, its values, and the rule.
BROKEN = [
    ("neighbors", "distances", [[0.25], [1.5]], "distances is finite, at least 0, at most 1"),
    ("neighbors", "distances", [[0.25, 0.5], [0.25]], "neighbor_ids and distances are equally long"),
    ("neighbors", "item_id", ["ale", "ale"], "duplicate_count = 0 for columns item_id"),
    ("digits", "pixels", [bytes(783)], "pixels has 784 bytes"),
    ("document_topics", "split", ["training", "held out"], "split is one of training, test"),
    ("document_topics", "mixture", [[0.5, 0.25], None], "mixture sums to 1"),
    ("items", "item_name", ["Ale", None], "item_name has no missing values"),
    ("reviews", "collection", ["beers", "wines"], "collection has one value in the whole table"),
]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder of an export of some tables."""
    warehouse, folder = Warehouse(tmp_path_factory.mktemp("tables")), tmp_path_factory.mktemp("exported")
    for table, columns in ROWS.items():
        contract = CONTRACTS[table]
        partition = columns[contract.partition][0] if contract.partition else None
        warehouse.publish(contract, contract.table_of(**columns), since=None, partition=partition)
    export(warehouse.storage, folder / "sound")
    return folder / "sound"


@pytest.fixture(scope="module")
def broken_exports(exported, tmp_path_factory):
    """A folder for each of `BROKEN`, with the table's file that has its values."""
    folders = []
    for table, column, values, _ in BROKEN:
        rows = pq.read_table(exported / f"{table}.parquet")
        place = rows.schema.get_field_index(column)
        folders.append(tmp_path_factory.mktemp("broken"))
        broken = rows.set_column(place, column, pa.array(values, rows.schema.field(column).type))
        pq.write_table(broken, folders[-1] / f"{table}.parquet")
    return folders


@pytest.fixture(scope="module")
def found(exported, broken_exports):
    """What is wrong with each contract, and the checks of exported files, then of those that are broken.

    One process makes them all: it takes longer to start than to check.
    """
    exports = [(table, exported) for table in ROWS] + list(
        zip((each[0] for each in BROKEN), broken_exports, strict=True)
    )
    pairs = [(str(ROOT / FOLDER / f"{table}.odcs.yaml"), str(folder)) for table, folder in exports]
    return run(CHECK, json.dumps(pairs), *FILES)


@pytest.fixture(scope="module")
def checks(found):
    """The checks of each exported file, by their result."""
    every = []
    for of_file in found[1]:
        results = {"passed": [], "warning": [], "failed": []}
        for kind, name, result, reason in of_file:
            results[result].append((kind, name, reason))
        every.append(results)
    return every


def test_every_contract_is_valid(found):
    invalid, _ = found
    assert len(invalid) == len(FILES) == len(CONTRACTS)
    assert {file: errors for file, errors in invalid.items() if errors} == {}


@pytest.mark.parametrize(("place", "table"), [*enumerate(ROWS)], ids=ROWS)
def test_exported_tables_keep_their_contracts(checks, place, table):
    results = checks[place]
    assert results["failed"] == []
    # It does not compare types of Parquet files, nor references to tables of other contracts.
    assert {kind for kind, *_ in results["warning"]} <= {"field_type", "field_relationships"}
    assert set(map(str, CONTRACTS[table].invariants)) <= {name for _, name, _ in results["passed"]}


@pytest.mark.parametrize(("place", "rule"), [(place, rule) for place, (*_, rule) in enumerate(BROKEN)])
def test_a_broken_file_fails_by_its_rule(checks, place, rule):
    assert any(rule in name for _, name, _ in checks[len(ROWS) + place]["failed"])
