from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets.table import (
    CODE_URL_VARIABLE,
    CONTRACTS,
    OWNER,
    Draft,
    code_reference,
    column_lineage,
    column_schema,
    declare,
    part_key,
    several_tables,
    table_and_part,
)
from pipelines.definitions import defs
from taproom.warehouse.contracts import Between, Column, Contract

BEERS = Contract(
    "beers",
    "a beer",
    (Column("name", pa.string(), "its name"), Column("abv", pa.float64(), "its strength", "percent", nullable=True)),
    key=("name",),
    invariants=(Between("abv", 0, 100),),
)
MODULE = "assets.reviews.neighbors"


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    monkeypatch.setattr("assets.table.CONTRACTS", dict(CONTRACTS))


def test_a_declaration_has_what_all_tables_have_in_common():
    @dg.asset(**declare(BEERS, MODULE, description=" The beers. ", pool="numerics"))
    def beers() -> None: ...

    spec = beers.specs_by_key[dg.AssetKey("beers")]
    assert (spec.description, spec.group_name, list(spec.owners)) == ("The beers.", "reviews", [OWNER])
    assert spec.kinds == {"deltalake", "table"}
    assert spec.code_version
    assert spec.metadata["grain"] == "a beer"
    assert len(spec.metadata["dagster/code_references"].code_references) == 1
    assert beers.op.pool == "numerics"


def test_the_ui_links_the_file_of_a_table_or_its_page(monkeypatch):
    local = code_reference("assets.reviews.neighbors")
    assert Path(local.file_path).read_text(encoding="utf-8").startswith('"""neighbors: ')
    monkeypatch.setenv(CODE_URL_VARIABLE, "https://example.org/taproom/blob/main/")
    page = code_reference("assets.reviews.neighbors")
    assert page.url == "https://example.org/taproom/blob/main/assets/reviews/neighbors.py"


def test_a_contract_shows_as_a_column_schema():
    name, abv = column_schema(BEERS).columns
    assert (name.type, name.description, name.constraints.nullable, name.constraints.unique) == (
        "string", "its name", False, True,
    )  # fmt: skip
    assert (abv.type, abv.description, abv.constraints.nullable) == ("double", "its strength [percent]", True)
    assert column_schema(BEERS).constraints.other == BEERS.guarantees


def test_a_table_has_one_contract():
    declare(BEERS, MODULE, description="The beers.")
    declare(BEERS, MODULE, description="The beers, declared again by the same file.")
    other = Contract("beers", "another beer", BEERS.columns, key=("name",))
    with pytest.raises(ValueError, match="two contracts are named 'beers'"):
        declare(other, MODULE, description="Other beers.")


def test_metadata_and_figure_of_a_draft_are_values_or_functions():
    rows = BEERS.schema.empty_table()
    assert (Draft(rows).final_metadata(), Draft(rows).final_figure()) == ({}, None)
    plain = Draft(rows, metadata={"n": 1}, figure=b"png")
    assert (plain.final_metadata(), plain.final_figure()) == ({"n": 1}, b"png")
    asked = Draft(rows, metadata=lambda: {"n": 2}, figure=lambda: b"late")
    assert (asked.final_metadata(), asked.final_figure()) == ({"n": 2}, b"late")


def test_of_tables_made_in_one_step_the_first_depends_on_the_inputs_and_the_others_on_it():
    @several_tables(
        outs={name: dg.AssetOut() for name in ("first", "second", "third")},
        ins={"champions": dg.AssetIn(key=["champions", "beers"]), "events": dg.AssetIn(metadata={"columns": []})},
        deps=["seen"],
    )
    def beers(context: dg.AssetExecutionContext, config: dg.Config, champions: object, events: object, wells: object):
        """Make three tables."""

    first, second, third = (dg.AssetKey(name) for name in ("first", "second", "third"))
    inputs = {dg.AssetKey(each) for each in (["champions", "beers"], "events", "wells", "seen")}
    assert beers.asset_deps == {first: inputs, second: {first}, third: {first}}


def test_columns_are_made_from_columns_of_what_their_step_reads_or_makes():
    stated = set()
    for step in defs.resolve_asset_graph().assets_defs:
        known = {table_and_part(key)[0] for key in (*step.dependency_keys, *step.keys)}
        for table in {table_and_part(key)[0] for key in step.keys} & CONTRACTS.keys():
            for column in CONTRACTS[table].columns:
                for name in column.made_from:
                    source, source_column = name.split(".")
                    assert source in known, f"{table}.{column.name}"
                    assert source_column in CONTRACTS[source].schema.names, f"{table}.{column.name}"
                assert len(set(column.made_from)) == len(column.made_from), f"{table}.{column.name}"
                stated |= {table} if column.made_from else set()
    read = {"reviews", "rejected_reviews", "documents", "reference_texts", "events", "samples", "images", "digits"}
    rest = {"trials", "encoder", "map_methods", "topic_methods", "street_fight"}
    comparisons = {"classifier_comparison", "classifier_wells", "classifier_calibration"}
    assert CONTRACTS.keys() - stated == read | rest | comparisons


def test_lineage_names_the_asset_that_was_read():
    contract = Contract(
        "mixes",
        "a mix",
        (
            Column("name", pa.string(), "its name", made_from=("beers.name", "champions.why")),
            Column("seed", pa.int64(), "of the draw"),
        ),
        key=("name",),
    )
    lineage = column_lineage(contract, [dg.AssetKey("beers"), part_key("champions", "topics")])
    assert lineage.deps_by_column == {
        "name": [
            dg.TableColumnDep(dg.AssetKey("beers"), "name"),
            dg.TableColumnDep(part_key("champions", "topics"), "why"),
        ]
    }
