"""The generated contracts, linted and run by datacontract-cli, a program of others."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.table import CONTRACTS
from pipelines.contracts import FOLDER, ROOT
from taproom.warehouse.export import export
from tests.validators import pytestmark, run

__all__ = ["pytestmark"]

LINT = """
import json, sys
from datacontract.data_contract import DataContract

results = {file: DataContract(data_contract_file=file, inline_references=False).lint() for file in sys.argv[1:]}
print(json.dumps({file: [check.reason for check in result.checks if check.result != "passed"]
                  for file, result in results.items()}))
"""
TEST = """
import json, sys
from datacontract.data_contract import DataContract

contract = DataContract(data_contract_file=sys.argv[1], server="export", inline_references=False)
print(json.dumps([[check.type, check.name, check.result, check.reason] for check in contract.test().checks]))
"""
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


@pytest.fixture
def exported(warehouse, tmp_path):
    """The folder of an export of some tables."""
    for table, columns in ROWS.items():
        contract = CONTRACTS[table]
        partition = columns[contract.partition][0] if contract.partition else None
        warehouse.publish(contract, contract.table_of(**columns), since=None, partition=partition)
    export(warehouse.storage, tmp_path / "exported")
    return tmp_path / "exported"


def results_of(table, folder):
    """The checks of a table's contract on its exported file, by their result."""
    results = {"passed": [], "warning": [], "failed": []}
    for kind, name, result, reason in run(TEST, ROOT / FOLDER / f"{table}.odcs.yaml", folder=folder):
        results[result].append((kind, name, reason))
    return results


def test_every_contract_is_valid():
    files = sorted((ROOT / FOLDER).glob("*.odcs.yaml"))
    assert len(files) == len(CONTRACTS)
    assert {file: errors for file, errors in run(LINT, *files).items() if errors} == {}


@pytest.mark.parametrize("table", ROWS)
def test_exported_tables_keep_their_contracts(exported, table):
    results = results_of(table, exported)
    assert results["failed"] == []
    # It does not compare types of Parquet files, nor references to tables of other contracts.
    assert {kind for kind, *_ in results["warning"]} <= {"field_type", "field_relationships"}
    assert set(map(str, CONTRACTS[table].invariants)) <= {name for _, name, _ in results["passed"]}


@pytest.mark.parametrize(
    ("table", "column", "values", "broken"),
    [
        ("neighbors", "distances", [[0.25], [1.5]], "distances is finite, at least 0, at most 1"),
        ("neighbors", "distances", [[0.25, 0.5], [0.25]], "neighbor_ids and distances are equally long"),
        ("neighbors", "item_id", ["ale", "ale"], "duplicate_count = 0 for columns item_id"),
        ("digits", "pixels", [bytes(783)], "pixels has 784 bytes"),
        ("document_topics", "split", ["training", "held out"], "split is one of training, test"),
        ("document_topics", "mixture", [[0.5, 0.25], None], "mixture sums to 1"),
        ("items", "item_name", ["Ale", None], "item_name has no missing values"),
        ("reviews", "collection", ["beers", "wines"], "collection has one value in the whole table"),
    ],
)
def test_a_broken_file_fails_by_its_rule(exported, table, column, values, broken):
    path = exported / f"{table}.parquet"
    rows = pq.read_table(path)
    place = rows.schema.get_field_index(column)
    pq.write_table(rows.set_column(place, column, pa.array(values, rows.schema.field(column).type)), path)
    assert any(broken in name for _, name, _ in results_of(table, exported)["failed"])
