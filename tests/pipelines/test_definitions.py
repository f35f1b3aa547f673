import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from assets.table import CONTRACTS, table_and_part, table_assets
from pipelines.definitions import build_definitions, defs

ROOT = Path(__file__).resolve().parents[2]
OPERATION = ROOT / "docs" / "operation.md"
GRAPH = defs.resolve_asset_graph()
TABLES = {key.to_user_string(): key for key in table_assets(defs)}


def python(*arguments: str) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def test_every_asset_but_the_pages_has_a_contract_and_every_contract_an_asset():
    assert GRAPH.get_all_asset_keys() - set(TABLES.values()) == {dg.AssetKey("pages")}
    assert set(CONTRACTS) == {table_and_part(key)[0] for key in TABLES.values()}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_says_what_it_is_and_whose(name):
    node = GRAPH.get(TABLES[name])
    assert node.description
    assert node.owners
    assert node.group_name not in (None, "default")
    assert {"deltalake", "table"} <= node.kinds
    shown = node.metadata["dagster/column_schema"]
    assert [column.name for column in shown.columns] == CONTRACTS[table_and_part(TABLES[name])[0]].schema.names
    assert all(column.description for column in shown.columns)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_has_a_code_version_and_a_freshness_policy(name):
    node = GRAPH.get(TABLES[name])
    assert re.fullmatch("[0-9a-f]{16}", node.code_version)
    assert isinstance(node.freshness_policy, dg.FreshnessPolicy)


def test_every_table_has_a_check_of_its_own_and_that_of_all():
    checks = {name: {check.name for check in GRAPH.get(key).check_keys} for name, key in TABLES.items()}
    assert not [name for name, of_table in checks.items() if "usual_version" not in of_table or len(of_table) < 2]


def test_no_two_assets_have_one_title_in_the_graph():
    """Which is the last part of the key."""
    titles = [key.path[-1] for key in GRAPH.get_all_asset_keys()]
    assert len(set(titles)) == len(titles)


def test_the_definitions_hold_together():
    dg.Definitions.validate_loadable(defs)
    assert {"ingest_reviews", "refresh_reviews", "make_reviews", "tune", "maintain_warehouse"} <= {
        job.name for job in defs.resolve_all_job_defs()
    }


def test_another_resource_can_stand_in():
    stand_in = dg.InMemoryIOManager()
    assert build_definitions(io_manager=stand_in).resources["io_manager"] is stand_in


def test_every_configured_field_is_described():
    for assets in defs.get_repository_def().assets_defs_by_key.values():
        schema = assets.op.config_schema if assets.is_executable else None
        fields = getattr(schema.config_type, "fields", {}) if schema else {}
        assert all(field.description for field in fields.values()), assets.key


# What a step needs is imported where it is needed: each of these costs a tenth of a second and more, in every process.
HEAVY = {
    *("cv2", "dask", "distributed", "duckdb", "gensim", "joblib", "KDEpy", "matplotlib", "numba", "optuna", "pandas"),
    *("PIL", "pooch", "scipy.linalg", "scipy.optimize", "scipy.spatial", "scipy.stats", "sklearn", "sqlalchemy"),
}


@pytest.mark.slow
def test_loading_the_code_location_imports_no_heavy_library():
    loaded = set(python("-c", "import sys, pipelines.definitions; print(*sys.modules)").stdout.split())
    assert "pipelines.definitions" in loaded
    assert not loaded & HEAVY


@pytest.mark.slow
def test_taproom_imports_no_dagster():
    code = (
        "import importlib, pkgutil, sys, taproom\n"
        "names = [module.name for module in pkgutil.iter_modules(taproom.__path__, 'taproom.')]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(len(names), *(name for name in sys.modules if name.split('.')[0] in ('dagster', 'assets', 'pipelines')))"
    )
    count, *found = python("-c", code).stdout.split()
    assert int(count) > 10
    assert found == []


def test_the_guide_lists_the_blocking_checks():
    blocking = {check.name for check in GRAPH.asset_check_keys if GRAPH.get(check).blocking}
    (section,) = re.findall(r"## Checks\n(.*?)\n## ", OPERATION.read_text(encoding="utf-8"), re.DOTALL)
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == blocking
