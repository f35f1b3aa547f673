"""How a table asset is declared: its contract gives the arguments of `@dg.asset` or `dg.AssetOut`.

Here belongs what all tables have in common (schema and key in the UI, owner, kinds, code version). What is special to
a table is in the table's own file.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial, wraps
from inspect import isgeneratorfunction, signature
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.automation import BATCHED, WHEN_AN_INPUT_CHANGES
from assets.code import code_version
from taproom.warehouse.contracts import Contract

OWNER = "team:taproom"

# The address of this repo's files on a web site, such as https://example.org/taproom/blob/main.
CODE_URL_VARIABLE = "TAPROOM_CODE_URL"
_REPO = Path(__file__).resolve().parents[1]

# Tables are refreshed daily; after 26 hours there is a warning, after 48 a failure. Batches come when people send them.
FRESH_DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=48), warn_window=timedelta(hours=26))
FRESH_MONTHLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=31))

# Every declared contract by its table's name, for the IO manager and the generated contracts.
CONTRACTS: dict[str, Contract] = {}


@dataclass
class Draft:
    """What an asset gives to be published: rows (None once they are published), metadata and a figure (PNG).

    `metadata` and `figure` may be functions, because a stream knows its numbers only after it was read.

    >>> rows = pa.table({"beer_id": [1, 2]})
    >>> Draft(rows, metadata=lambda: {"beers": rows.num_rows}).final_metadata()
    {'beers': 2}
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

    Args:
        contract: the table's contract, which is added to `CONTRACTS`.
        module: the table's own file (`__name__`).
        description: the text in the UI.
        config: the class of the asset's configuration, whose defaults are part of the code version.
        **more: other arguments of the decorator, passed on unchanged.

    Raises:
        ValueError: another contract of the same name was declared.
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
        "metadata": {
            "dagster/column_schema": column_schema(contract),
            "dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[code_reference(module)]),
            "grain": contract.grain,
        },
        **more,
    }


def batched(contract: Contract, module: str, **more: Any) -> dict[str, Any]:
    """`declare` for a table of batches, one partition each, which are read when people send them."""
    return declare(contract, module, freshness_policy=FRESH_MONTHLY, tags=BATCHED, **more)


def refreshed(contract: Contract, module: str, **more: Any) -> dict[str, Any]:
    """`declare` for a table made from all batches: it is made again when its inputs change, and daily at least."""
    usual = {"freshness_policy": FRESH_DAILY, "automation_condition": WHEN_AN_INPUT_CHANGES}
    return declare(contract, module, **(usual | more))


def refreshed_out(contract: Contract, description: str, **more: Any) -> dg.AssetOut:
    """As `refreshed`, for one output of a multi-asset; `more` has its `module`, and `config` if it takes any."""
    return dg.AssetOut(**refreshed(contract, description=description, **more))


def several_tables(
    *,
    outs: Mapping[str, dg.AssetOut],
    ins: Mapping[str, dg.AssetIn] | None = None,
    deps: Sequence[str] = (),
    **more: Any,
) -> Callable[[Callable], dg.AssetsDefinition]:
    """Decorate a function that makes several tables in one step: `dg.multi_asset` with a readable graph.

    The first of `outs`, which has to be yielded first, depends on all inputs, and the others on the first. By default
    Dagster makes each depend on each input.
    """
    asset_ins = ins or {}

    def decorate(compute: Callable) -> dg.AssetsDefinition:
        read = signature(compute).parameters.keys() - {"context", "config"}
        inputs = {(asset_ins[each].key if each in asset_ins else None) or dg.AssetKey(each) for each in read}
        first, *others = outs
        dependencies = {first: inputs | {dg.AssetKey(each) for each in deps}}
        dependencies |= {other: {dg.AssetKey(first)} for other in others}
        return dg.multi_asset(outs=outs, ins=ins, deps=deps, internal_asset_deps=dependencies, **more)(compute)

    return decorate


def keeps_settings(
    compute: Callable | None = None, *, of_batch: Callable[[str], Mapping[str, Any] | None] | None = None
) -> Callable:
    """Decorate an asset's function so that its table keeps the settings it was last made with.

    Runs of schedules, automation conditions and backfills have no configuration. So if a run has none for an asset's
    op, the asset takes the settings that the warehouse has recorded; a run that has one, even an empty one, replaces
    them. `of_batch` finds the settings of a batch that was never read, by its key.
    """
    if compute is None:
        return partial(keeps_settings, of_batch=of_batch)

    def with_resolved_config(given: dict[str, Any]) -> dict[str, Any]:
        context = _step_context()
        if context is None:
            return given
        config = context.resources.io_manager.resolve_config(context, type(given["config"]), of_batch)
        return {**given, "config": config}

    @wraps(compute)
    def generate(*args: Any, **kwargs: Any) -> Iterator:
        yield from compute(*args, **with_resolved_config(kwargs))

    @wraps(compute)
    def call(*args: Any, **kwargs: Any) -> Any:
        return compute(*args, **with_resolved_config(kwargs))

    return generate if isgeneratorfunction(compute) else call


def _step_context() -> dg.AssetExecutionContext | None:
    """The context of the running step; None where the asset is called as a plain function."""
    try:
        return dg.AssetExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None


def part_key(table: str, part: str) -> dg.AssetKey:
    """The key of an asset that is one partition (`part`) of a table.

    Partitions of a table that depend on different tables are assets of their own. Partitions that differ only in what
    was read are Dagster's partitions of one asset. The UI's graph shows only the last part of a key, so that has both
    names.

    >>> part_key("champions", "topics").path
    ['champions', 'topics_champions']
    """
    return dg.AssetKey([table, f"{part}_{table}"])


def table_and_part(key: dg.AssetKey) -> tuple[str, str | None]:
    """The table of an asset, and the partition of the table if the asset is only that (`part_key`), else None.

    >>> table_and_part(part_key("champions", "topics"))
    ('champions', 'topics')
    >>> table_and_part(dg.AssetKey("topics"))
    ('topics', None)
    """
    table, *part = key.path
    return table, part[0].removesuffix(f"_{table}") if part else None


def table_assets(definitions: dg.Definitions) -> set[dg.AssetKey]:
    """The assets that make tables. An asset without a contract, such as `pages`, is none of them."""
    keys = definitions.resolve_asset_graph().materializable_asset_keys
    return {key for key in keys if table_and_part(key)[0] in CONTRACTS}


def column_lineage(contract: Contract, inputs: Iterable[dg.AssetKey]) -> dg.TableColumnLineage:
    """The columns that each column is made from, as Dagster takes them; `inputs` are the assets that were read.

    An input may be one partition of a table (`part_key`), so its key is not always the table's name.
    """
    keys = {table_and_part(key)[0]: key for key in inputs}

    def source(name: str) -> dg.TableColumnDep:
        table, column = name.split(".")
        return dg.TableColumnDep(keys.get(table, dg.AssetKey(table)), column)

    return dg.TableColumnLineage(
        {column.name: [source(name) for name in column.made_from] for column in contract.columns if column.made_from}
    )


def empty_outputs(*contracts: Contract, reason: str) -> Iterator[dg.Output]:
    """Outputs without rows, for a multi-asset that has nothing to make its tables from."""
    for contract in contracts:
        yield dg.Output(Draft(contract.schema.empty_table(), metadata={"empty_because": reason}), contract.table)


def code_reference(module: str) -> dg.LocalFileCodeReference | dg.UrlCodeReference:
    """Where the UI finds the code of a table: its file, or, with `$TAPROOM_CODE_URL`, the file's page.

    Dagster's own `with_source_code_references` finds the decorators of this module instead.
    """
    path = Path(*module.split(".")).with_suffix(".py")
    if url := os.environ.get(CODE_URL_VARIABLE):
        return dg.UrlCodeReference(url=f"{url.rstrip('/')}/{path.as_posix()}", label=path.name)
    return dg.LocalFileCodeReference(file_path=str(_REPO / path), line_number=1, label=path.name)


def column_schema(contract: Contract) -> dg.TableSchema:
    """The contract as a Dagster schema: columns with type, description, unit and constraints."""
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
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=contract.guarantees))
