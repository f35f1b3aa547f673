"""The command that repairs tables."""

from pathlib import Path

from taproom.warehouse.repair import main
from tests.taproom.warehouse.damage import TABLES, log_entry


def test_repair_of_an_undamaged_table_changes_nothing(damaged, capsys):
    def everything():
        return {path: path.read_bytes() for path in Path(damaged.root).rglob("*") if path.is_file()}

    before = everything()
    assert main(["whole", "parts", "--warehouse", damaged.root]) == 0
    assert capsys.readouterr().out == "".join(
        f"{table}: version 2 verifies; there is nothing to repair.\n" for table in TABLES
    )
    assert everything() == before


def test_the_command_checks_and_repairs_with_an_exit_status(damaged, capsys):
    log_entry(damaged, "whole", 1).write_bytes(b"")
    assert main(["whole", "--check", "--warehouse", damaged.root]) == 1
    assert "whole: version 2 is damaged; 1 versions can be read" in capsys.readouterr().out
    assert main(["whole", "nothing", "--warehouse", damaged.root]) == 1
    said = capsys.readouterr()
    assert "whole: repaired. Version 2 verifies; its rows are as they were." in said.out
    assert "Lost versions, which are refused from now on: 1." in said.out
    assert "has no table 'nothing'" in said.err
    assert main(["whole", "--check", "--warehouse", damaged.root]) == 0
