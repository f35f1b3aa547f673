"""champions: the parameters that searches have found best, product by product.

Grain: a parameter of a product. The table is read, not made here: whatever fills it (a search, a person) writes rows by
this contract. A product takes a parameter from its run's configuration if that names it, else from here, else from
its own defaults; without this table, every product runs on its defaults.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.table import declare
from taproom.contracts import Between, Column, Contract, NotBlank
from taproom.errors import InputError

CONTRACT = Contract(
    table="champions",
    grain="a parameter of a product",
    columns=(
        Column("product", pa.string(), "the table whose parameter it is"),
        Column("parameter", pa.string(), "the parameter's name in the product's config"),
        Column("value", pa.float64(), "its best value found"),
    ),
    key=("product", "parameter"),
    invariants=(NotBlank("product"), NotBlank("parameter"), Between("value")),
    may_be_empty=True,
)

_DECLARED = declare(CONTRACT, __name__, description="The best parameters found, for the products that use them.")
champions = dg.AssetSpec(**{name: value for name, value in _DECLARED.items() if name != "code_version"})


def parameters(defaults: Any, table: pa.Table, product: str, chosen: Mapping[str, Any]) -> Any:
    """`defaults` (a dataclass) with the champions of `product`, and over these whatever `chosen` sets (not None).

    Raises `InputError` when the table names a parameter that the product does not have.
    """
    found = {row["parameter"]: row["value"] for row in table.to_pylist() if row["product"] == product}
    types = {field.name: type(getattr(defaults, field.name)) for field in fields(defaults)}
    if unknown := found.keys() - types.keys():
        raise InputError(
            f"champions has {sorted(unknown)} for {product}, whose parameters are {sorted(types)}. "
            "Remove or rename these rows."
        )
    best = {name: types[name](value) for name, value in found.items()}
    explicit = {name: value for name, value in chosen.items() if value is not None}
    return replace(defaults, **(best | explicit))
