"""Settings: the parameters of a table that a person has set, in a run's configuration or in an earlier one.

They are committed with the table, so that a run without a configuration makes it with the same settings again
(`assets.table.keeps_settings`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import ValidationError

from taproom.errors import InputError


@dataclass(frozen=True)
class StepConfig:
    """What a step's tables are made with: `settings`, the values of all parameters, and the settings before this step.

    `previous_settings` is None where the table (the partition) was never made.
    """

    settings: Mapping[str, Any]
    values: Mapping[str, Any]
    previous_settings: Mapping[str, Any] | None

    def has_new_settings(self) -> bool:
        """Whether the settings differ from those before in a parameter that can change a row."""
        return settings_affecting_rows(self.settings) != settings_affecting_rows(self.previous_settings or {})


def requested_settings(ops: Mapping[str, Any], op: str) -> dict[str, Any] | None:
    """The settings of one op in a run configuration's `ops`; None where it has none.

    >>> requested_settings({"neighbors": {"config": {"k": 3}}}, "neighbors")
    {'k': 3}
    >>> requested_settings({}, "neighbors") is None
    True
    """
    return ops.get(op, {}).get("config")


def settings_affecting_rows(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that can change a row: all but the number of workers.

    >>> settings_affecting_rows({"k": 3, "workers": 8})
    {'k': 3}
    """
    return {name: value for name, value in settings.items() if name != "workers"}


def settings_of(commit: Mapping[str, Any], kind: type[dg.Config]) -> dict[str, Any]:
    """The settings that a commit (as `Warehouse.commit_of` gives it) was made with.

    Commits of older releases have none; there they are the values that are not the defaults of `kind`.
    """
    if commit["settings"] is not None:
        return commit["settings"]
    defaults = kind().model_dump(mode="json")
    return {name: value for name, value in commit["config"].items() if value != defaults.get(name, value)}


def config_with(settings: Mapping[str, Any], kind: type[dg.Config], op: str) -> dg.Config:
    """A configuration of `kind` with settings, which may be recorded ones that Dagster has not validated.

    Raises:
        InputError: `kind` has no such parameter, or refuses a value.
    """
    try:
        if unknown := settings.keys() - kind.model_fields.keys():
            raise InputError(f"there is no parameter {', '.join(sorted(unknown))}")
        return kind(**settings)
    except (ValidationError, dg.DagsterError, InputError) as error:
        raise InputError(
            f"{op}: the settings on record do not fit any more: {dict(settings)}. Wanted: what {kind.__name__} takes. "
            f"Run it with a configuration of its own (empty: the defaults). {error}"
        ) from error
