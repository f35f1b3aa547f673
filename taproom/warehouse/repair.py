"""The command that repairs tables whose files are damaged.

    python -m taproom.warehouse.repair TABLE ... [--warehouse ROOT] [--check]

Exit status: 0 if every table is undamaged now, 1 if one could not be repaired (or, with `--check`, is damaged), 2 for
wrong arguments. What it does is in `log_repair`.
"""

import argparse
import sys
from collections.abc import Sequence

from taproom.errors import TaproomError
from taproom.warehouse.log_repair import CheckReport, RepairReport
from taproom.warehouse.warehouse import Warehouse


def main(arguments: Sequence[str] | None = None) -> int:
    """Repair (or check) each table, print what was done, and give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m taproom.warehouse.repair",
        description="Restore the newest version of a table that verifies completely. Undamaged tables are not changed.",
    )
    parser.add_argument("tables", nargs="+", metavar="TABLE", help="name of a table")
    parser.add_argument("--warehouse", metavar="ROOT", help="a folder or an object store's URL")
    parser.add_argument("--check", action="store_true", help="only list what is wrong")
    given = parser.parse_args(arguments)
    is_undamaged = True
    for table in given.tables:
        try:
            warehouse = Warehouse(given.warehouse)
            done = warehouse.check(table) if given.check else warehouse.repair(table)
        except TaproomError as error:
            print(error, file=sys.stderr)
            is_undamaged = False
        else:
            print(describe(done))
            is_undamaged = is_undamaged and (
                not done.problems if isinstance(done, CheckReport) else done.restored is not None
            )
    return 0 if is_undamaged else 1


def describe(done: CheckReport | RepairReport) -> str:
    """What a check or a repair found and did, as text of several lines."""
    lines = [f"  {problem}" for problem in done.problems]
    if isinstance(done, CheckReport):
        verdict = "is damaged" if done.problems else "verifies"
        found = f"{done.table}: version {done.version} {verdict}; {len(done.readable)} versions can be read"
        return "\n".join([found, *lines])
    if done.restored is None:
        lines.append(f"{done.table}: no version of it verifies. Materialize it again, then what is made from it.")
    elif done.restored != done.version:
        lines.append(f"{done.table}: version {done.version} has the rows of version {done.restored} now.")
    elif done.problems:
        lines.append(f"{done.table}: repaired. Version {done.version} verifies; its rows are as they were.")
    else:
        lines.append(f"{done.table}: version {done.version} verifies; there is nothing to repair.")
    if done.lost:
        lines.append(f"  Lost versions, which are refused from now on: {', '.join(map(str, done.lost))}.")
    if done.copy:
        lines.append(f"  The damaged log is kept as {done.copy}.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
