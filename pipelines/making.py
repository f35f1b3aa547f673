"""What `make run` does: make every table that is not fresh, then print a summary and write the pages."""

import logging
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from assets.table import table_assets
from pipelines.dagster_internals import reuse_sqlite_engines
from pipelines.definitions import defs
from pipelines.forks import Forks
from pipelines.jobs import INGEST, MAKE
from pipelines.pages import print_pages
from pipelines.products import Products
from pipelines.reconcile import reconcile
from pipelines.run_display import Display
from pipelines.run_summary import summary
from pipelines.side_by_side import SideBySide
from pipelines.step_log import logged_to
from taproom.errors import InputError, TaproomError
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse
from taproom.words.counting import tokens


def make_all(config: Path | None, forks: Forks) -> dict[str, TaproomError]:
    """Make the tables, print the summary and write the pages; return the error of each chain or batch that failed.

    Args:
        config: a Dagster run configuration in YAML; None for the recorded settings.
        forks: as for `make`.

    Raises:
        TaproomError: the configuration cannot be used, or the instance or the warehouse cannot be read.
    """
    warehouse = Warehouse(default_root())
    ops = _read_config(config)
    reuse_sqlite_engines()
    with logged_to(logging.StreamHandler(sys.stdout)), dg.DagsterInstance.get() as instance:
        for line in reconcile(instance, warehouse, defs):
            print(line)
        failures = make(instance, Products(instance, warehouse, defs, ops), ops, forks)
        try:
            print("\n".join(summary(instance, warehouse)), flush=True)
            return failures | print_pages(instance)
        except TaproomError as error:
            return failures | {"make run": error}


def make(
    instance: dg.DagsterInstance, products: Products, ops: Mapping[str, Any], forks: Forks
) -> dict[str, TaproomError]:
    """Make the chains that are not fresh, each of several by one of the `forks`; return the errors as `make_all`."""
    chains = products.stale_chains()
    if len(chains) > 1:
        with closing(Display([chain.name for chain in chains], sys.stdout)) as display:
            return SideBySide(instance, products, chains, ops, display, forks).make()
    forks.end()
    if chains:
        return products.make(chains[0])
    print("Everything is fresh: no input, code, default or configuration has changed. Nothing was made.")
    return {}


def _read_config(path: Path | None) -> dict[str, Any]:
    """The `ops` of a run configuration."""
    if path is None:
        return {}
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise TaproomError(f"{path} cannot be read as a run configuration: {error}") from error
    if not isinstance(given, dict) or not isinstance(given.get("ops"), dict):
        raise TaproomError(f"{path} has no mapping `ops`; wanted: ops: <op>: config: ..., as in Dagster's launchpad")
    _check_config(path, given["ops"])
    return given["ops"]


def _check_config(path: Path, ops: dict[str, Any]) -> None:
    """Refuse a configuration that does not fit the assets, before anything is read or made."""
    graph = defs.resolve_asset_graph()
    known = {graph.get(key).assets_def.op.name for key in table_assets(defs)}
    if unknown := ops.keys() - known:
        raise TaproomError(f"{path} configures {sorted(unknown)}, which are not ops; wanted: some of {sorted(known)}")
    for op, given in ops.items():
        if pattern := ((given or {}).get("config") or {}).get("token_pattern"):
            try:
                tokens("", pattern)
            except InputError as error:
                raise InputError(f"{path}, `token_pattern` of {op}: {error}") from None
    for name in (job.name for jobs in (INGEST, MAKE) for job in jobs.values()):
        job = defs.resolve_job_def(name)
        of_job = {op: config for op, config in ops.items() if op in job.graph.node_dict}
        try:
            dg.validate_run_config(job, {"ops": of_job})
        except dg.DagsterInvalidConfigError as error:
            raise TaproomError(f"{path} is not a valid configuration of {name}: {error}") from error
