"""`make doctor`: list what is wrong with an installation, and repair it where that is safe.

    python -m pipelines.doctor [--repair]

Compares Dagster's records with the warehouse and the running processes, and checks every byte of the newest version of
every table, the free disk space, which sensors are switched on, and whether the daemon that they need runs. Exit
status: 0 if nothing is wrong, 1 if something is (with --repair: if something is left), so that cron can notice it.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import dagster as dg

from pipelines.dagster_internals import silent_daemons
from pipelines.definitions import defs
from pipelines.disk_space import little_disk_space
from pipelines.reconcile import Finding, differences
from taproom.errors import TaproomError
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is wrong, and give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.doctor", description=__doc__.split("\n\n")[0])
    parser.add_argument("--repair", action="store_true", help="repair what is safe to repair")
    repair = parser.parse_args(arguments).repair
    warehouse = Warehouse(default_root())
    left = 0
    with dg.DagsterInstance.get() as instance:
        for finding in findings(instance, warehouse):
            done = _repaired(finding.repair) if repair and finding.repair else ""
            left += done != "repaired"
            print(f"- {finding.what}{f' ({done})' if done else ''}", flush=True)
            if finding.repair and not repair:
                print("  Can be repaired: make doctor REPAIR=yes")
    print(f"{left} problems are left." if left else "Nothing is wrong.")
    return 1 if left else 0


def findings(instance: dg.DagsterInstance, warehouse: Warehouse) -> Iterator[Finding]:
    """All that is wrong."""
    yield from _damage(warehouse)
    yield from differences(instance, warehouse, defs)
    yield from _little_free_space(instance, warehouse)
    yield from _silent_daemon(instance)
    yield from _half_switched_on(instance)


def _repaired(repair: Callable[[], object]) -> str:
    try:
        repair()
    except TaproomError as error:
        return f"not repaired: {error}"
    return "repaired"


def _damage(warehouse: Warehouse) -> Iterator[Finding]:
    """Tables whose newest version does not verify, every byte of it."""
    for table in warehouse.tables():
        try:
            problems = warehouse.check(table).problems
        except TaproomError as error:
            yield Finding(str(error))
            continue
        for number, problem in enumerate(problems):
            # One repair is for all problems of a table.
            yield Finding(problem, partial(warehouse.repair, table) if number == 0 else None)


def _little_free_space(instance: dg.DagsterInstance, warehouse: Warehouse) -> Iterator[Finding]:
    """A disk that the next run may fill up."""
    for name, left in little_disk_space(instance, warehouse):
        yield Finding(
            f"the disk of {name} has {left}. Run the job maintain_warehouse with a smaller keep_days, or free some "
            "space"
        )


def _silent_daemon(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """A daemon that does not run although schedules or sensors are switched on."""
    on = sorted(state.name for state in instance.all_instigator_state() if state.is_running)
    if on and (silent := silent_daemons(instance)):
        yield Finding(
            f"the daemon has not reported for five minutes ({', '.join(silent).lower()}), so what is switched on does "
            f"not run: {', '.join(on)}. Start it with `make ui`"
        )


def _half_switched_on(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """An inbox whose batches are read while the sensor that makes the tables after them is off."""
    on = {state.name for state in instance.all_instigator_state() if state.is_running}
    inboxes = sorted(
        sensor.name for sensor in defs.sensors or () if sensor.name.endswith("_inbox") and sensor.name in on
    )
    if inboxes and "follow_changes" not in on:
        yield Finding(
            f"{', '.join(inboxes)} is switched on, but not follow_changes: tables made from batches are not updated"
        )


if __name__ == "__main__":
    sys.exit(main())
