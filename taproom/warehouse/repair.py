"""The command that repairs tables whose files are damaged.

    python -m taproom.warehouse.repair TABLE ... [--warehouse ROOT] [--check]

Exit status: 0 where every table is sound now, 1 where one could not be repaired (or, with `--check`, is damaged), 2 for
wrong arguments.
"""

import argparse
import sys
from collections.abc import Sequence

from taproom.errors import TaproomError
from taproom.warehouse.log_repair import Checked, Repaired
from taproom.warehouse.warehouse import Warehouse, default_root


def main(arguments: Sequence[str] | None = None) -> int:
    """Repair (or check) each table, say what was done, and give the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m taproom.warehouse.repair",
        description="Restore the newest version of a table that verifies completely. Sound tables are left alone.",
    )
    parser.add_argument("tables", nargs="+", metavar="TABLE", help="name of a table")
    parser.add_argument("--warehouse", default=default_root(), metavar="ROOT", help="a folder or an object store's URL")
    parser.add_argument("--check", action="store_true", help="only look, and list what is wrong")
    given = parser.parse_args(arguments)
    is_sound = True
    for table in given.tables:
        try:
            warehouse = Warehouse(given.warehouse)
            done = warehouse.check(table) if given.check else warehouse.repair(table)
        except TaproomError as error:
            print(error, file=sys.stderr)
            is_sound = False
        else:
            print(describe(done))
            is_sound = is_sound and (not done.problems if isinstance(done, Checked) else done.restored is not None)
    return 0 if is_sound else 1


def describe(done: Checked | Repaired) -> str:
    """What a check or a repair found and did, in lines for people."""
    lines = [f"  {problem}" for problem in done.problems]
    if isinstance(done, Checked):
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
