"""A class model as rows of the tables `class_mixtures` and `classes`, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
import pyarrow as pa

from taproom.assays.class_model import ClassModel, HeldOutRates
from taproom.assays.event_mixture import gaussian_columns, mixture_from
from taproom.errors import InputError


def model_rows(model: ClassModel, channels: Sequence[str], transforms: Sequence[str]) -> tuple[list[dict], list[dict]]:
    """The model as rows of two tables, a component of a class and a class, that `model_from_rows` rebuilds it from.

    Covariances are lists row by row. Each class has the names of all channels and how they were transformed.
    """
    component_rows = [
        {"class": name, "component": component, **row}
        for name, mixture in zip(model.classes, model.mixtures, strict=True)
        for component, row in enumerate(pa.table(gaussian_columns(mixture)).to_pylist())
    ]
    class_rows = [
        {
            "class": name,
            "prior": float(model.priors[place]),
            "wells": int(model.wells[place]),
            "events": int(model.events[place]),
            "components": model.mixtures[place].components,
            "channels": list(channels),
            "transforms": list(transforms),
            "anomalous_below": float(model.anomalous_below[place]),
            "ambiguous_below": model.ambiguous_below,
            "reached_accuracy": model.reached_accuracy,
            "held_out_events": model.held_out[place].events,
            "held_out_accuracy": model.held_out[place].accuracy,
            "held_out_sure_accuracy": model.held_out[place].sure_accuracy,
            "held_out_ambiguous_share": model.held_out[place].ambiguous_share,
            "held_out_anomalous_share": model.held_out[place].anomalous_share,
        }
        for place, name in enumerate(model.classes)
    ]
    return component_rows, class_rows


def model_from_rows(
    component_rows: Sequence[Mapping], class_rows: Sequence[Mapping]
) -> tuple[ClassModel, tuple[str, ...], tuple[str, ...]]:
    """The model of which `model_rows` made these rows, in any order, with its channels and transforms; the same bits.

    Raises:
        InputError: the rows do not fit together.
    """
    class_rows = sorted(class_rows, key=lambda row: row["class"])
    parts: dict[str, list[Mapping]] = {row["class"]: [] for row in class_rows}
    for row in sorted(component_rows, key=lambda row: row["component"]):
        parts.setdefault(row["class"], []).append(row)
    wanted = {row["class"]: row["components"] for row in class_rows}
    given = {name: len(part) for name, part in parts.items()}
    if not wanted or given != wanted:
        raise InputError(
            f"Components {given} were given for classes with {wanted}. Read both tables at versions of one making."
        )

    def column(name: str) -> np.ndarray:
        return np.array([row[name] for row in class_rows])

    model = ClassModel(
        classes=tuple(parts),
        priors=column("prior"),
        mixtures=tuple(mixture_from(pa.Table.from_pylist(part)) for part in parts.values()),
        anomalous_below=column("anomalous_below"),
        ambiguous_below=class_rows[0]["ambiguous_below"],
        reached_accuracy=class_rows[0]["reached_accuracy"],
        wells=column("wells"),
        events=column("events"),
        held_out=tuple(
            HeldOutRates(**{each.name: row[f"held_out_{each.name}"] for each in fields(HeldOutRates)})
            for row in class_rows
        ),
    )
    return model, tuple(class_rows[0]["channels"]), tuple(class_rows[0]["transforms"])
