"""Removal of batches: of one that should not have been read, or that a corrected file replaces."""

from enum import Enum

import dagster as dg
from pydantic import Field

from assets.table import CONTRACTS
from pipelines.chains import CHAINS, Chain
from pipelines.reconcile import partitions_name
from taproom.errors import InputError
from taproom.sources.inbox import find_batch, inbox_folder, set_aside
from taproom.warehouse.publishing import Origin
from taproom.warehouse.storage import default_root
from taproom.warehouse.warehouse import Warehouse

BatchedChain = Enum(  # type: ignore[misc]  # mypy wants to read the members, which are the chains
    "BatchedChain", {chain.name: chain.name for chain in CHAINS if chain.batches}
)


class RemovalConfig(dg.Config):
    """Which batch to remove, and why."""

    chain: BatchedChain = Field(description="the chain that the batch was read by")
    batch: str = Field(min_length=1, description="the key of the batch, as in review_batches or samples")
    reason: str = Field(min_length=1, description="why it is removed; kept with the commits")
    by: str = Field(min_length=1, description="who removes it")


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Publish the tables of a chain without a batch, and make what depends on them again. Older versions "
    "keep it; its file, if it is in the inbox, is moved to the folder .removed there.",
)
def remove(context: dg.OpExecutionContext, config: RemovalConfig) -> None:
    """Remove the batch, then make the chain's products without it."""
    from pipelines.definitions import defs  # which has this op
    from pipelines.products import Products

    (chain,) = [chain for chain in CHAINS if chain.name == config.chain.value]
    warehouse = Warehouse(default_root())
    remove_batch_of(context.instance, warehouse, chain, config.batch, config.reason, config.by, context.run.run_id)
    context.log.info(f"{config.batch} was removed by {config.by}: {config.reason}")
    Products(context.instance, warehouse, defs, {}).follow(chain)


@dg.job(description="Remove a batch: publish tables without it, record who and why, and make what depends on them.")
def remove_batch() -> None:
    """One step, since a half-removed batch is no use."""
    remove()


def remove_batch_of(
    instance: dg.DagsterInstance, warehouse: Warehouse, chain: Chain, batch: str, reason: str, by: str, run_id: str
) -> None:
    """Publish a chain's tables without a batch, delete its partition, and move its file out of the inbox.

    Args:
        instance: the instance that has the partition.
        warehouse: has the chain's tables.
        chain: the chain that has read the batch.
        batch: the batch's key.
        reason: why it is removed.
        by: who removes it.
        run_id: the run that does so.

    Raises:
        InputError: the chain has no such batch, or no other.
    """
    batches = warehouse.partitions(chain.read)
    if batch not in batches:
        raise InputError(f"{chain.name} has no batch {batch!r}; it has {', '.join(batches) or 'none'}.")
    if len(batches) == 1:
        raise InputError(f"{batch!r} is the only batch of {chain.name}: read another before you remove it.")
    origin = Origin(run_id=run_id, config={"removed_batch": batch, "reason": reason, "by": by})
    for table in chain.ingested:
        head = warehouse.head(table)
        if head is not None and batch in warehouse.partitions(table, head):
            warehouse.remove(CONTRACTS[table], batch, since=head, origin=origin)
        metadata = {"reason": reason, "by": by, "removed_by_run": run_id}
        instance.report_runless_asset_event(dg.AssetObservation(table, partition=batch, metadata=metadata))
    assert chain.batches is not None  # others have no partitions, and were refused above
    instance.delete_dynamic_partition(partitions_name(chain), batch)
    if found := find_batch(inbox_folder(chain.name), batch, chain.batches.dropped):
        set_aside(chain.name, found[0])


def replaced_batches(batches: list[str], by: str, name: str) -> list[str]:
    """The batches with a name (or key), without the batch `by` that replaces them.

    A key is the file's name, a hyphen, and eight digits of its content's hash.

    >>> replaced_batches(["a-11111111", "a-22222222", "b-33333333"], by="a-22222222", name="a")
    ['a-11111111']
    """
    return [batch for batch in batches if batch != by and name in (batch, batch.rpartition("-")[0])]
