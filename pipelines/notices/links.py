"""Addresses that people find in notices: of runs and assets in the UI, of tables in the catalogue, of the runbook."""

import os

import dagster as dg

from pipelines.serving.environment import ADDRESS, PORT_VARIABLE

UI_VARIABLE = "TAPROOM_UI_URL"
PAGES_VARIABLE = "TAPROOM_PAGES_URL"
RUNBOOK_VARIABLE = "TAPROOM_RUNBOOK_URL"


def run_link(run_id: str) -> str:
    """The page of a run."""
    return f"{_ui()}/runs/{run_id}"


def asset_link(key: dg.AssetKey) -> str:
    """The page of an asset."""
    return f"{_ui()}/assets/{'/'.join(key.path)}"


def table_link(table: str) -> str:
    """The page of a table: in the catalogue, if it is known where the pages are; else in the UI."""
    pages = pages_address()
    return f"{pages}/tables/{table}.html" if pages else asset_link(dg.AssetKey(table))


def runbook_link(section: str) -> str:
    """A section of the runbook, by its anchor; a path in the repo if no address is set."""
    return f"{os.environ.get(RUNBOOK_VARIABLE) or 'docs/runbook.md'}#{section}"


def pages_address() -> str | None:
    """Where the pages are served, without a slash at the end; None where that is not known."""
    return os.environ.get(PAGES_VARIABLE, "").rstrip("/") or None


def _ui() -> str:
    return os.environ.get(UI_VARIABLE, "").rstrip("/") or f"http://{ADDRESS}:{os.environ.get(PORT_VARIABLE, 3000)}"
