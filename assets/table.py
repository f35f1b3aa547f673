"""How a table asset is declared: one contract in, the arguments of `@dg.asset` or `dg.AssetOut` out.

Here is what every table has in common (schema and key in the UI, owner, kinds, code version). What a table is of
itself stands in the table's own file.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.code import code_version
from taproom.contracts import Contract

OWNER = "team:taproom"

# Tables are refreshed daily; a day's delay warns, two are a failure. Batches come when people send them.
FRESH_DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=26))
FRESH_MONTHLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=31))

# For rollups. A batch that failed to be read stays missing; it must not keep the others from being rolled up.
WHEN_A_BATCH_IS_READ = dg.AutomationCondition.eager().without(~dg.AutomationCondition.any_deps_missing())

# Every declared contract by its table's name: what the IO manager, the generated contracts and the docs go through.
CONTRACTS: dict[str, Contract] = {}


@dataclass
class Draft:
    """What an asset gives to be published: the rows (None once they are), and what there is to tell about them.

    `metadata` and `figure` (a PNG) may be functions, because a stream knows its numbers only when it has been read.
    """

    rows: pa.Table | pa.RecordBatchReader | None
    metadata: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = field(default_factory=dict)
    figure: bytes | Callable[[], bytes] | None = None

    def told(self) -> dict[str, Any]:
        """The metadata, once the rows have been published."""
        return dict(self.metadata() if callable(self.metadata) else self.metadata)

    def drawn(self) -> bytes | None:
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


def refreshed(contract: Contract, module: str, **more: Any) -> dict[str, Any]:
    """`declare` for a table that follows from all batches: it is made again, daily at least, when its inputs change."""
    usual = {"freshness_policy": FRESH_DAILY, "automation_condition": dg.AutomationCondition.eager()}
    return declare(contract, module, **(usual | more))


def refreshed_out(contract: Contract, description: str, **more: Any) -> dg.AssetOut:
    """The same as one output of a multi-asset; `more` has its `module`, and `config` if it takes any."""
    return dg.AssetOut(**refreshed(contract, description=description, **more))


def nothing(*contracts: Contract, because: str) -> Iterator[dg.Output]:
    """Outputs without rows, for a multi-asset that has nothing to make them of."""
    for contract in contracts:
        yield dg.Output(Draft(contract.schema.empty_table(), metadata={"empty_because": because}), contract.table)


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
