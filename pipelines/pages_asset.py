"""The asset `pages`: the pages of all tables, in the folder `_pages` of the warehouse, and the job that makes it.

It is here and not in `assets/`, because it depends on every asset there is and shows what Dagster's records say of
them. It has no rows, and so neither contract nor version; every asset that has a contract is a table.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import dagster as dg

from assets.automation import WHEN_TABLES_HAVE_CHANGED
from assets.table import OWNER
from pipelines.notices.links import pages_address
from pipelines.table_descriptions import described_tables
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    from taproom.pages.site import WrittenPages

MAKE_PAGES = dg.define_asset_job(
    "make_pages", selection=dg.AssetSelection.assets("pages"), description="Write the pages of all tables."
)


def pages_asset(tables: Iterable[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    """The asset `pages` of some tables."""

    @dg.asset(
        deps=sorted(key for table in tables for key in table.keys),
        description="The pages: home, maps, words, and the catalogue of all tables, with the checks that failed, the "
        "tables that are stale and the runs that failed. Open the file `address` in a browser, or run `make open`.",
        group_name="pages",
        owners=[OWNER],
        kinds={"html"},
        automation_condition=WHEN_TABLES_HAVE_CHANGED,
    )
    def pages(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from pipelines.definitions import defs  # which has this asset

        start = time.monotonic()
        warehouse = Warehouse(default_root())
        written = make_pages(context.instance, warehouse, defs)
        address = dg.MetadataValue.path if warehouse.storage.is_local else dg.MetadataValue.url
        return dg.MaterializeResult(
            metadata={
                "address": address(written.address),
                "pages": written.pages,
                "size_bytes": written.size_bytes,
                "seconds": time.monotonic() - start,
            }
        )

    return pages


def make_pages(instance: dg.DagsterInstance, warehouse: Warehouse, definitions: dg.Definitions) -> "WrittenPages":
    """Write the pages of all tables of `definitions`.

    Raises:
        SourceError: a library of the pages cannot be fetched.
        StorageError: the warehouse cannot be read or written.
    """
    # The code location loads a tenth faster without what makes the pages.
    from taproom.pages.site import write_pages

    return write_pages(warehouse, described_tables(instance, warehouse, definitions), pages_address())
