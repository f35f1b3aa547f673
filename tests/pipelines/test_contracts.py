import subprocess
import sys

import pytest

from assets.table import CONTRACTS
from pipelines.contracts import CHANGES, FOLDER, RELEASED, ROOT, drifted, main, released_contracts, write


@pytest.fixture
def root(tmp_path):
    """A copy of the files that are generated, and of the released contracts."""
    for name in (FOLDER, "docs"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / RELEASED).write_bytes((ROOT / RELEASED).read_bytes())
    write(tmp_path)
    return tmp_path


def test_the_committed_files_are_what_the_code_says():
    assert drifted() == []
    assert {path.name for path in (ROOT / FOLDER).glob("*.odcs.yaml")} == {f"{table}.odcs.yaml" for table in CONTRACTS}


@pytest.mark.slow
def test_drift_is_reported_and_fails_the_check(root, capsys):
    assert drifted(root) == []
    changed = root / FOLDER / "items.odcs.yaml"
    changed.write_text(changed.read_text().replace("number of reviews", "number of reviewers"))
    (root / FOLDER / "neighbors.odcs.yaml").unlink()
    (root / FOLDER / "nothing.odcs.yaml").write_text("{}")
    (root / CHANGES).write_text("")
    names = [f"{FOLDER}/{table}.odcs.yaml" for table in ("items", "neighbors", "nothing")]
    assert drifted(root) == [*names, CHANGES]

    assert main(["--check"], root) == 1
    assert f"{names[0]} differs from the contracts. Run `make contracts`" in capsys.readouterr().out
    assert main([], root) == 0
    assert main(["--check"], root) == 0


@pytest.mark.slow
def test_a_version_that_is_too_low_fails_the_check_and_the_release(root, capsys):
    released = root / RELEASED
    released.write_text(released.read_text().replace("- distances has no nulls", "- distances has no equals"))
    before = released.read_text()
    for command in ("--check", "--release"):
        assert main([command], root) == 1
        version = CONTRACTS["neighbors"].version
        assert f"neighbors has version {version}, but since the release of 1.0.0" in capsys.readouterr().out
    assert released.read_text() == before


@pytest.mark.slow
def test_a_release_makes_the_contracts_of_now_the_released_ones(root):
    (root / RELEASED).unlink()
    assert released_contracts(root) == {}
    assert main(["--release"], root) == 0
    assert {table: each.version for table, each in released_contracts(root).items()} == {
        table: contract.version for table, contract in CONTRACTS.items()
    }
    assert main(["--check"], root) == 0


@pytest.mark.slow
def test_the_check_runs_as_a_command():
    check = subprocess.run(
        [sys.executable, "-m", "pipelines.contracts", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (check.returncode, check.stdout) == (0, "")


@pytest.mark.parametrize("table", sorted(CONTRACTS))
def test_every_column_is_described(table):
    contract = CONTRACTS[table]
    assert contract.grain
    assert all(column.description.strip() for column in contract.columns)
    assert contract.key
