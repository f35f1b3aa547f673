"""champions: the setting that each product is made with, and how products use it.

Grain: a study; each study's row is an asset of its own (`champions/<study>_champions`), so that a new champion
of one product does not affect the others. A study is called after its product. A product takes a parameter from its
run's configuration if that names it, else from its champion, else from its own defaults, which are the first champion.
Rows are made by `assets.tuning.study`.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import dagster as dg
import pyarrow as pa
from pydantic import ValidationError

from assets.table import part_key
from taproom.errors import InputError
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, OneOf
from taproom.warehouse.foreign_keys import ForeignKey

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger("taproom.assets")

Defaults = TypeVar("Defaults", bound="DataclassInstance")

CHAMPIONS = Contract(
    table="champions",
    grain="a study",
    columns=(
        Column("study", pa.string(), "the study, called after its product"),
        Column("parameters", pa.string(), "the champion's setting, as JSON", made_from=("challenges.parameters",)),
        Column("verdict", pa.string(), "first: values set by hand; crowned: found by a search; pinned or released: by "
               "a person", made_from=("challenges.verdict",)),
        Column("search", pa.string(), "the search that found it", nullable=True, made_from=("challenges.search",)),
        Column("trial", pa.int32(), "its trial in that search", nullable=True, made_from=("challenges.trial",)),
        Column("value", pa.float64(), "its mean score on the fresh data that it was crowned by", nullable=True,
               made_from=("challenges.value",)),
        Column("value_low", pa.float64(), "lower end of the score's 95 % interval", nullable=True,
               made_from=("challenges.value_low",)),
        Column("value_high", pa.float64(), "upper end of it", nullable=True, made_from=("challenges.value_high",)),
        Column("why", pa.string(), "why it is the champion", made_from=("challenges.why",)),
        Column("data", pa.string(), "the versions of the tables that it was judged on, as JSON",
               made_from=("challenges.data",)),
        Column("challenge", pa.int32(), "the row of challenges that made it champion",
               made_from=("challenges.number",)),
        Column("decided_at", pa.timestamp("us", "UTC"), "when", volatile=True, made_from=("challenges.decided_at",)),
    ),
    key=("study",),
    partition="study",
    invariants=(
        NotBlank("study"),
        NotBlank("parameters"),
        OneOf("verdict", ("first", "crowned", "pinned", "released")),
        Between("value"),
    ),
    may_be_empty=True,
    foreign_keys=(ForeignKey(("study", "challenge"), "challenges", ("study", "number")),),
    limits=("The champion is the best setting found so far on the data of then.",),
)  # fmt: skip


@dataclass(frozen=True)
class ResolvedParameters(Generic[Defaults]):
    """The `parameters` that a product is made with, and in words the `champion` that they come from."""

    parameters: Defaults
    champion: str


def champion_of(study: str) -> dg.AssetIn:
    """The input of a product that is its champion."""
    return dg.AssetIn(key=part_key(CHAMPIONS.table, study))


def resolve_parameters(
    defaults: Defaults, champions: pa.Table, config: type[dg.Config], chosen: Mapping[str, Any]
) -> ResolvedParameters[Defaults]:
    """`defaults` (a dataclass) with the champion's values, and over these whatever `chosen` sets (not None).

    `champions` is the row of the product's champion, or none before there is one. A champion that the product's
    `config` no longer takes (a parameter of another name, a value out of bounds) is not used: the first champion, the
    defaults, is used instead, and `champion` says so.
    """
    explicit = {name: value for name, value in chosen.items() if value is not None}
    rows = champions.to_pylist()
    if not rows:
        return ResolvedParameters(replace(defaults, **explicit), "first: values set by hand")
    (row,) = rows
    try:
        best = _checked(defaults, config, json.loads(row["parameters"]))
        champion = _with_overrides(_name(row), best.keys() & explicit.keys())
        return ResolvedParameters(replace(defaults, **(best | explicit)), champion)
    except (ValidationError, dg.DagsterError, InputError, TypeError) as error:
        unused = f"the champion ({_name(row)}) does not fit any more: {error}"
        log.warning("%s: %s; the values set by hand are used instead", row["study"], unused)
        return ResolvedParameters(replace(defaults, **explicit), f"first: values set by hand; {unused}")


def _checked(defaults: "DataclassInstance", config: type[dg.Config], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as the product's configuration takes them."""
    known = {field.name for field in fields(defaults)} & config.model_fields.keys()
    if unknown := values.keys() - known:
        raise InputError(f"it has {sorted(unknown)}, and the parameters are {sorted(known)}")
    taken = config(**values)
    return {name: getattr(taken, name) for name in values}


def _name(row: Mapping[str, Any]) -> str:
    found = f" by trial {row['trial']} of the search {row['search']}" if row["search"] else ""
    return f"{row['verdict']}{found}, challenge {row['challenge']}"


def _with_overrides(champion: str, overridden: Any) -> str:
    return f"{champion}; set by the run instead: {', '.join(sorted(overridden))}" if overridden else champion
