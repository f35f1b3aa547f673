import duckdb
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.table import CONTRACTS
from pipelines.definitions import defs
from pipelines.open_data_contract import open_data_contract


def document_of(table):
    return yaml.load(open_data_contract(CONTRACTS[table], defs), yaml.CSafeLoader)


@pytest.mark.parametrize("table", sorted(CONTRACTS))
def test_an_open_data_contract_says_what_the_contract_says(table):
    contract = CONTRACTS[table]
    document = document_of(table)
    assert (document["kind"], document["apiVersion"], document["name"]) == ("DataContract", "v3.1.0", table)
    assert document["version"] == contract.version
    assert document["description"].get("limitations", "") == " ".join(contract.limits)
    (schema,) = document["schema"]
    properties = schema["properties"]
    assert [entry["name"] for entry in properties] == contract.schema.names
    assert [entry["required"] for entry in properties] == [not field.nullable for field in contract.schema]
    keys = {entry["name"]: entry["primaryKeyPosition"] for entry in properties if entry.get("primaryKey")}
    assert sorted(keys, key=keys.get) == list(contract.key)
    assert [entry["name"] for entry in properties if entry.get("partitioned")] == [
        name for name in [contract.partition] if name
    ]
    rules = [rule["description"] for rule in schema["quality"]]
    assert sorted(rules) == sorted(set(contract.rules) - set(map(str, contract.foreign_keys)))
    assert {rule["description"]: rule["query"] for rule in schema["quality"] if "query" in rule}.items() >= (
        contract.queries.items()
    )


@pytest.mark.parametrize("table", sorted(table for table in CONTRACTS if CONTRACTS[table].foreign_keys))
def test_references_lead_to_a_property_of_another_contract(table):
    (schema,) = document_of(table)["schema"]
    properties = schema["properties"]
    places = [*properties, *(entry["items"] for entry in properties if "items" in entry), schema]
    found = [each for place in places for each in place.get("relationships", ())]
    assert len(found) == len(CONTRACTS[table].foreign_keys)
    for each in found:
        for target in each["to"] if isinstance(each["to"], list) else [each["to"]]:
            file, _, path = target.partition("#/schema/")
            name, _, column = path.partition("/properties/")
            assert file == f"{name}.odcs.yaml"
            assert column in CONTRACTS[name].schema.names


def test_foreign_keys_refer_to_unique_columns_of_the_same_type():
    indices = {("vocabulary", ("term_id",)), ("terms", ("term_id",))}  # of words, which are the key
    for contract in CONTRACTS.values():
        for foreign_key in contract.foreign_keys:
            other = CONTRACTS[foreign_key.table]
            is_index = (foreign_key.table, foreign_key.key) in indices
            assert is_index or set(foreign_key.key) == set(other.row_key)
            for column, referenced in zip(foreign_key.columns, foreign_key.key, strict=True):
                kind = contract.schema.field(column).type
                entry = kind.value_type if pa.types.is_list(kind) else kind
                assert entry == other.schema.field(referenced).type


def test_the_schedule_and_the_freshness_are_those_of_the_definitions():
    levels = {table: document_of(table)["slaProperties"] for table in ("neighbors", "reviews", "trials")}
    assert [(each["property"], each["value"]) for each in levels["neighbors"]] == [
        ("frequency", "0 5 * * *"),
        ("latency", 48),
    ]
    assert levels["reviews"][0]["description"] == "the sensor review_inbox, if it is switched on"
    assert [each["value"] for each in levels["trials"]][:2] == ["0 1 * * 1-6", "0 1 * * 0"]


NUMBERS = st.sampled_from([0, 1, 2, -1])
VALUES = {
    "string": st.sampled_from(["", " ", "training", "test", "a"]),
    "bool": st.booleans(),
    "int": NUMBERS,
    "double": NUMBERS.map(float) | st.sampled_from([0.5, float("nan"), float("inf")]),
    "float": NUMBERS.map(float) | st.sampled_from([0.5, float("nan"), float("inf")]),
    "binary": st.sampled_from([b"", b"abc", bytes(784)]),
}


def values_of(kind, nullable=True):
    """Values of a type, of which some break a rule, and nulls."""
    if pa.types.is_list(kind):
        values = st.lists(values_of(kind.value_type), max_size=3)
    else:
        values = next((values for name, values in VALUES.items() if str(kind).startswith(name)), st.none())
    return st.none() | values if nullable else values


@pytest.mark.slow
@pytest.mark.parametrize("table", sorted(CONTRACTS))
def test_the_query_of_each_rule_counts_the_rows_that_break_it(table):
    contract = CONTRACTS[table]
    rows_of = st.lists(
        st.tuples(*(values_of(field.type, field.nullable) for field in contract.schema)), min_size=1, max_size=6
    )

    @settings(max_examples=10, deadline=None)
    @given(rows_of)
    def check(rows):
        columns = zip(contract.schema, zip(*rows, strict=True), strict=True)
        batch = pa.record_batch({field.name: pa.array(values, field.type) for field, values in columns})
        connection.register(table, pa.Table.from_batches([batch]))
        for rule in contract.invariants:
            (count,) = connection.sql(contract.queries[str(rule)]).fetchall()
            assert count == (rule.broken_rows(batch).sum(),), rule

    with duckdb.connect(config={"threads": 1}) as connection:
        check()
