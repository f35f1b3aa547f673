import subprocess
import sys
from pathlib import Path

import pytest

from assets.table import CONTRACTS
from pipelines.contracts import FOLDER, drifted, main, write

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_contracts_are_what_the_code_says():
    assert drifted() == []
    assert {path.name for path in FOLDER.glob("*.yaml")} == {f"{table}.odcs.yaml" for table in CONTRACTS}


@pytest.mark.slow
def test_drift_is_told_and_fails_the_check(tmp_path, monkeypatch, capsys):
    write(tmp_path)
    assert drifted(tmp_path) == []
    changed = tmp_path / "items.odcs.yaml"
    changed.write_text(changed.read_text().replace("number of reviews", "number of reviewers"))
    (tmp_path / "neighbors.odcs.yaml").unlink()
    (tmp_path / "nothing.odcs.yaml").write_text("{}")
    assert drifted(tmp_path) == ["items.odcs.yaml", "neighbors.odcs.yaml", "nothing.odcs.yaml"]

    monkeypatch.setattr("pipelines.contracts.drifted", lambda: drifted(tmp_path))
    assert main(["--check"]) == 1
    assert "items.odcs.yaml differs from its contract. Run `make contracts`" in capsys.readouterr().out
    write(tmp_path)
    assert drifted(tmp_path) == []
    assert main(["--check"]) == 0


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
