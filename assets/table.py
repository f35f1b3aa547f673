"""How a table asset is declared: one contract in, the arguments of `@dg.asset` or `dg.AssetOut` out.

Here is what every table has in common (schema and key in the UI, owner, kinds, code version). What a table is of
itself stands in the table's own file.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial, wraps
from inspect import isgeneratorfunction, signature
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.automation import BATCHED, WHEN_AN_INPUT_CHANGES
from assets.code import code_version
from taproom.warehouse.contracts import Contract

OWNER = "team:taproom"

# Tables are refreshed daily; a day's delay warns, two are a failure. Batches come when people send them.
FRESH_DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=26))
FRESH_MONTHLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=31))

# Every declared contract by its table's name: what the IO manager, the generated contracts and the docs go through.
CONTRACTS: dict[str, Contract] = {}


@dataclass
class Draft:
    """What an asset gives to be published: the rows (None once they are), and what there is to tell about them.

    `metadata` and `figure` (a PNG) may be functions, because a stream knows its numbers only when it has been read.
    """

    rows: pa.Table | pa.RecordBatchReader | None
    metadata: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = field(default_factory=dict)
    figure: bytes | Callable[[], bytes | None] | None = None

    def final_metadata(self) -> dict[str, Any]:
        """The metadata, once the rows have been published."""
        return dict(self.metadata() if callable(self.metadata) else self.metadata)

    def final_figure(self) -> bytes | None:
        """The figure, once the rows have been published."""
        return self.figure() if callable(self.figure) else self.figure


def declare(
    contract: Contract, module: str, *, description: str, config: type[dg.Config] | None = None, **more: Any
) -> dict[str, Any]:
    """Arguments for `@dg.asset(**...)` or `dg.AssetOut(**...)` of the table that `contract` describes.

    `module` is the table's own file (`__name__`), `description` its docstring; `more` is passed on as it is. Raises
    `ValueError` when another module has declared a table of the same name.
    """
    if CONTRACTS.setdefault(contract.table, contract) is not contract:
        raise ValueError(f"two contracts are named {contract.table!r}; a table has one")
    _, chain, *_ = module.split(".")
    return {
        "key": contract.table,
        "description": description.strip(),
        "group_name": chain,
        "owners": [OWNER],
        "kinds": {"deltalake", "table"},
        "code_version": code_version(module, config),
        "metadata": {"dagster/column_schema": column_schema(contract), "grain": contract.grain},
        **more,
    }


def batched(contract: Contract, module: str, **more: Any) -> dict[str, Any]:
    """`declare` for a table that is read batch by batch, whenever people send one."""
    return declare(contract, module, freshness_policy=FRESH_MONTHLY, tags=BATCHED, **more)


def refreshed(contract: Contract, module: str, **more: Any) -> dict[str, Any]:
    """`declare` for a table that follows from all batches: it is made again, daily at least, when its inputs change."""
    usual = {"freshness_policy": FRESH_DAILY, "automation_condition": WHEN_AN_INPUT_CHANGES}
    return declare(contract, module, **(usual | more))


def refreshed_out(contract: Contract, description: str, **more: Any) -> dg.AssetOut:
    """The same as one output of a multi-asset; `more` has its `module`, and `config` if it takes any."""
    return dg.AssetOut(**refreshed(contract, description=description, **more))


def several_tables(
    *,
    outs: Mapping[str, dg.AssetOut],
    ins: Mapping[str, dg.AssetIn] | None = None,
    deps: Sequence[str] = (),
    **more: Any,
) -> Callable[[Callable], dg.AssetsDefinition]:
    """Decorate the function that makes several tables in one step: `dg.multi_asset` with a graph that can be read.

    The first of `outs`, which is to be yielded first, depends on all inputs, and the others on the first. Dagster would
    have each depend on each input.
    """
    places = ins or {}

    def decorate(compute: Callable) -> dg.AssetsDefinition:
        read = signature(compute).parameters.keys() - {"context", "config"}
        inputs = {(places[each].key if each in places else None) or dg.AssetKey(each) for each in read}
        first, *others = outs
        hung = {first: inputs | {dg.AssetKey(each) for each in deps}}
        hung |= {other: {dg.AssetKey(first)} for other in others}
        return dg.multi_asset(outs=outs, ins=ins, deps=deps, internal_asset_deps=hung, **more)(compute)

    return decorate


def keeps_settings(
    compute: Callable | None = None, *, of_batch: Callable[[str], Mapping[str, Any] | None] | None = None
) -> Callable:
    """Decorate an asset's function so that its table keeps the settings it was last made with.

    Nothing that runs by itself (a schedule, an automation condition, a backfill) has a configuration. So where a run
    names none for an asset's op, the asset takes the one that is on record in the warehouse; a run that names one,
    be it empty, changes what is on record. `of_batch` finds the settings of a batch that was never read, by its key.
    """
    if compute is None:
        return partial(keeps_settings, of_batch=of_batch)

    def settled(given: dict[str, Any]) -> dict[str, Any]:
        context = _step_context()
        if context is None:
            return given
        config = context.resources.io_manager.settle(context, type(given["config"]), of_batch)
        return {**given, "config": config}

    @wraps(compute)
    def generate(*args: Any, **kwargs: Any) -> Iterator:
        yield from compute(*args, **settled(kwargs))

    @wraps(compute)
    def give(*args: Any, **kwargs: Any) -> Any:
        return compute(*args, **settled(kwargs))

    return generate if isgeneratorfunction(compute) else give


def _step_context() -> dg.AssetExecutionContext | None:
    """The context of the step that runs; None where a person calls the asset as a function."""
    try:
        return dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None


def part_key(table: str, part: str) -> dg.AssetKey:
    """The key of an asset that is one partition of a table: the table first, and a last part that the graph can show.

    Slices of a table that depend on different tables are assets of their own; those of one kind, that differ in what
    was read, are Dagster's partitions of one asset.
    """
    return dg.AssetKey([table, f"{part}_{table}"])


def table_and_part(key: dg.AssetKey) -> tuple[str, str | None]:
    """The table of an asset, and the partition of it that the asset is, where it is one (`part_key`)."""
    table, *part = key.path
    return table, part[0].removesuffix(f"_{table}") if part else None


def empty_outputs(*contracts: Contract, reason: str) -> Iterator[dg.Output]:
    """Outputs without rows, for a multi-asset that has nothing to make them of."""
    for contract in contracts:
        yield dg.Output(Draft(contract.schema.empty_table(), metadata={"empty_because": reason}), contract.table)


def column_schema(contract: Contract) -> dg.TableSchema:
    """The contract as Dagster shows it: columns with type, description, unit and constraints."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.type),
            description=f"{column.description} [{column.unit}]" if column.unit else column.description,
            constraints=dg.TableColumnConstraints(
                nullable=column.nullable,
                unique=contract.key == (column.name,) and contract.partition is None,
            ),
        )
        for column in contract.columns
    ]
    keys = [f"unique key: {', '.join(contract.key)}"]
    rules = [str(invariant) for invariant in contract.invariants]
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=keys + rules))
