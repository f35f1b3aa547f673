"""events, samples: the measured values of each cell, and a description of each file.

Grain: an event in a sample; a sample. A sample is a file and a partition, whose key is its plate and well (or the name
of the file) and a prefix of the hash of its content. A file that is damaged, malicious or unreadable has no events; its
row in `samples` has the reason, and other files are read all the same. Source: the deck's slide "Some Bio Assay data".
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa
from pydantic import Field

from assets.table import Draft, batched, keeps_settings
from taproom.errors import SourceError
from taproom.sources.allowed_folders import allowed_path
from taproom.sources.fetching import Source, member, read_sources
from taproom.sources.inbox import PLATE_MAP_FILE, Drop, file_key, file_sha256, find_batch, inbox_folder, of_file
from taproom.sources.packed import unpacked_suffix
from taproom.warehouse.contracts import Between, Column, Contract, NotBlank, SameLength
from taproom.warehouse.foreign_keys import ForeignKey

if TYPE_CHECKING:
    from taproom.sources.plates import Well
    from taproom.sources.samples import Sample

SAMPLES = dg.DynamicPartitionsDefinition(name="assay_samples")
EMBEDDED_PLATE_MAP = Path(__file__).resolve().parents[2] / "data" / "plates.csv"
FCS_SUFFIXES = (".fcs", ".lmd")
MAX_MISSING_SHARE = 0.05

_VALUES = pa.list_(pa.float64())
_NAMES = pa.list_(pa.string())

EVENTS = Contract(
    table="events",
    grain="an event in a sample: one cell measured by the instrument, or one row of a table",
    columns=(
        Column(
            "sample", pa.string(), "key of the sample: plate and well (or file), and a prefix of the content's hash"
        ),
        Column("event", pa.int64(), "number of the event in its sample, from 0"),
        Column("plate", pa.string(), "name of the plate"),
        Column("well", pa.string(), "name of the well on the plate"),
        Column(
            "label", pa.string(), "known class of the well (in a table: of the row); null if unknown", nullable=True
        ),
        Column("values", _VALUES, "compensated values, in the order of the sample's channels; null where missing"),
        Column("transformed", _VALUES, "the values after the sample's transforms; null where missing"),
    ),
    key=("sample", "event"),
    invariants=(
        NotBlank("plate"),
        NotBlank("well"),
        NotBlank("label"),
        SameLength("values", "transformed"),
        Between("values"),
        Between("transformed"),
    ),
    partition="sample",
    may_be_empty=True,
    foreign_keys=(ForeignKey(("sample",), "samples", ("sample",)),),
    limits=(
        "The label is the well's: a cell in a labelled well may be of another class.",
        "The channels of samples may differ; samples has the channels and transforms of each.",
    ),
)

SAMPLE_FILES = Contract(
    table="samples",
    grain="a sample: one file",
    columns=(
        Column("sample", pa.string(), "key of the sample"),
        Column("file", pa.string(), "name of the file"),
        Column("plate", pa.string(), "plate of the sample; null if a table has several", nullable=True),
        Column("well", pa.string(), "well of the sample; null if a table has several", nullable=True),
        Column("label", pa.string(), "known class of the sample; null if unknown or if a table has several",
               nullable=True),
        Column("instrument", pa.string(), "name of the instrument, from the file", nullable=True),
        Column("date", pa.string(), "date of the measurement, from the file", nullable=True),
        Column("channels", _NAMES, "names of the channels"),
        Column("transforms", _NAMES, "transform of each channel: linear, arcsinh(cofactor) or logicle(T, M, W, A)"),
        Column("compensated", pa.bool_(), "whether the file's spillover matrix was applied"),
        Column("compensation", pa.string(), "the keyword and the channels of the spillover matrix that was applied",
               nullable=True),
        Column("repairs", pa.list_(pa.string()), "where an FCS file departs from the standard, and what was made of "
               "that; null if the file was read by an earlier version of Taproom", nullable=True),
        Column("events", pa.int64(), "number of events"),
        Column("missing_values", pa.int64(), "number of missing values in the file"),
        Column("infinite_values", pa.int64(), "number of infinite values in the file, which count as missing"),
        Column("damage", pa.string(), "reason why the file was not read; null if it was", nullable=True),
        Column("detail", pa.string(), "details of the damage, or of what was left out", nullable=True),
        Column("content_sha256", pa.string(), "SHA-256 of the file"),
        Column("events_hash", pa.string(), "content hash of the sample's rows in events"),
    ),
    key=("sample",),
    invariants=(
        NotBlank("file"),
        SameLength("channels", "transforms"),
        Between("events", 0),
        Between("missing_values", 0),
        Between("infinite_values", 0),
    ),
    partition="sample",
    limits=(
        "A file that could not be read has a row, with the reason in damage, and no events.",
        "Instrument and date are what the file says; nothing checks them.",
    ),
)  # fmt: skip


class EventSource(Enum):
    """Where samples come from."""

    plates = "plates"
    fcs = "fcs"
    table = "table"


class EventsConfig(dg.Config):
    """The file of a sample, and how it is read."""

    source: EventSource = Field(
        EventSource.plates,
        description="where the sample comes from: plates (embedded); fcs, a file of the Flow Cytometry Standard; or "
        "table, a CSV, TSV or Parquet file of numbers",
    )
    path: str = Field(
        "",
        description=f"fcs, table: path of the file; `make run` also takes a folder of FCS files with a "
        f"{PLATE_MAP_FILE} (columns file, plate, well, label)",
    )
    plate: str = Field("", description="fcs, table: name of the plate; empty: the file's name without its extension")
    well: str = Field("", description="fcs, table: name of the well; empty: all")
    label: str = Field("", description="fcs, table: class of all events; empty: unknown")
    columns: dict[str, str] = Field(
        {}, description="table: the columns that have `plate`, `well` or `label`, if these differ between rows"
    )
    compensate: bool = Field(True, description="fcs: whether to apply the spillover matrix, if the file has one")
    data_set: int | None = Field(
        None,
        ge=1,
        description="fcs: which data set of a file with several, from 1; null: of copies of one recording the one "
        "with the most detail",
    )
    transform: str | None = Field(
        None,
        description="transform of the channels: linear, arcsinh(cofactor) or logicle(T, M, W, A); null: arcsinh(150) "
        "for fcs and plates, linear for a table",
    )
    linear: list[str] = Field(
        ["Time", "HDR-*", "*-W"], description="channels that are not transformed, as shell patterns"
    )
    replaces: str = Field("", description="name or key of a sample that is removed after this one was read")


def _embedded(source: Source) -> dict[str, tuple[str, "Well"]]:
    """The embedded samples: member of the archive and well, by key; known without a download."""
    from taproom.sources.plates import read_plate_map

    wells = read_plate_map(EMBEDDED_PLATE_MAP)
    by_file = {Path(name).name: name for name in source.members}
    return {_key(well, source.sha256): (by_file[file], well) for file, well in wells.items()}


def _key(well: "Well", content_sha256: str) -> str:
    return file_key(f"{well.plate}-{well.well}", content_sha256)


def batches_of(given: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The configuration of each sample that a configuration describes, by the sample's key.

    For a folder of FCS files these are the rows of its plate map. Raises `SourceError` if there is no such file.
    """
    from taproom.sources.plates import read_plate_map

    config = EventsConfig(**given)
    if config.source is EventSource.plates:
        return dict.fromkeys(_embedded(read_sources()["plates"]), given)
    path = allowed_path(config.path, "events")
    if path.is_dir():
        wells = read_plate_map(path / PLATE_MAP_FILE)
        files: list[Mapping[str, Any]] = [_file_config(path / file, well, given) for file, well in wells.items()]
    else:
        files = [given]
    return dict(_keyed(each) for each in files)


def _file_config(path: Path, well: "Well", given: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of one file of a plate."""
    return {**given, "path": str(path), "plate": well.plate, "well": well.well, "label": well.label or ""}


def _keyed(given: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    config = EventsConfig(**given)
    path = allowed_path(config.path, "events")
    if not path.is_file():
        raise SourceError(f"events: there is no file {config.path!r}. Wanted: `path`, a file of events.")
    return file_key(_name(config), file_sha256(path)), given


def _name(config: EventsConfig) -> str:
    """The name of a sample: plate and well, or its file's name."""
    return f"{config.plate}-{config.well}" if config.plate and config.well else Path(config.path).name


def dropped(path: Path, settings: Mapping[str, Any]) -> Drop:
    """How a file in the inbox is read: an FCS file as a well of the plate map beside it, any other file as a table."""
    from taproom.sources.plates import read_plate_map

    if unpacked_suffix(path) not in FCS_SUFFIXES:
        return Drop(path.name, of_file({"source": "table", "path": str(path), **settings}, path))
    plate_map = path.parent / PLATE_MAP_FILE
    try:
        well = read_plate_map(plate_map).get(path.name) if plate_map.is_file() else None
    except SourceError as error:  # the files of other folders must not wait for it
        return Drop(path.name, {}, waits_for=f"a valid plate map: {error}")
    if well is None:
        return Drop(path.name, {}, waits_for=f"its row (file, plate, well, label) in {plate_map}")
    given = of_file(_file_config(path, well, {"source": "fcs", **settings}), path)
    return Drop(_name(EventsConfig(**given)), given)


def _inbox_settings(sample: str) -> Mapping[str, Any] | None:
    """The configuration of a sample whose file is in the inbox; None if it is not there."""
    found = find_batch(inbox_folder("assays"), sample, dropped)
    return found and found[1].config


@dg.multi_asset(
    name="events",
    outs={
        "samples": dg.AssetOut(
            **batched(
                SAMPLE_FILES, __name__, config=EventsConfig,
                description="The files of events: plate, well, label, channels, transforms, or why one was not read.",
            )
        ),
        "events": dg.AssetOut(
            **batched(
                EVENTS, __name__, config=EventsConfig,
                description="The measured values of each cell (event), sample by sample, as measured and transformed.",
            )
        ),
    },
    partitions_def=SAMPLES,
    check_specs=[
        dg.AssetCheckSpec("file_was_read", asset="samples", description="The file could be read."),
        dg.AssetCheckSpec(
            "few_missing", asset="events", description=f"At most {MAX_MISSING_SHARE:.0%} of the values are missing."
        ),
    ],
    required_resource_keys={"io_manager"},
)  # fmt: skip
@keeps_settings(of_batch=_inbox_settings)
def events(context: dg.AssetExecutionContext, config: EventsConfig) -> Iterator:
    """Read one file into events, and describe it."""
    from taproom.assays import assay_figures as figures
    from taproom.sources.events import from_lists, widest_channels
    from taproom.warehouse.content_hash import content_hash

    key = context.partition_key
    rows, about = _relabelled(context, config) or _read(config, key)
    about["events_hash"] = content_hash(rows)
    metadata = {name: about[name] for name in ("events", "missing_values", "infinite_values")}
    transformed = from_lists(rows["transformed"], len(about["channels"]))
    shown = widest_channels(transformed, about["channels"], about["transforms"])
    names = [about["channels"][place] for place in shown]
    picture = figures.sample_events(transformed[:, shown], names, key) if len(shown) == 2 else None
    yield dg.Output(
        Draft(pa.Table.from_pylist([about], schema=SAMPLE_FILES.schema), metadata=metadata, figure=picture), "samples"
    )
    yield dg.Output(Draft(rows, metadata=metadata, figure=picture), "events")

    yield dg.AssetCheckResult(
        check_name="file_was_read",
        asset_key="samples",
        passed=about["damage"] is None,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "damage": about["damage"] or "none",
            "detail": about["detail"] or "",
            "repairs": "; ".join(about["repairs"]) or "none",
        },
    )
    share = (about["missing_values"] + about["infinite_values"]) / max(transformed.size, 1)
    yield dg.AssetCheckResult(
        check_name="few_missing",
        asset_key="events",
        passed=share <= MAX_MISSING_SHARE,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"missing_share": share},
    )


def _relabelled(context: dg.AssetExecutionContext, config: EventsConfig) -> tuple[pa.Table, dict[str, Any]] | None:
    """The sample's events and description from the warehouse with a new label; None if anything else has changed too.

    A plate map may be corrected when the files are no longer there.
    """
    tables, key = context.resources.io_manager, context.partition_key
    commit = tables.commit_by_this_code(context, "events", key)
    then = {**commit["config"], "label": config.label} if commit else {}
    if config.source is not EventSource.fcs or then != config.model_dump(mode="json"):
        return None
    rows, (about,) = tables.newest_rows("events", key), tables.newest_rows("samples", key).to_pylist()
    label = config.label or None
    labels = pa.array([label] * len(rows), pa.string())
    rows = rows.set_column(rows.schema.get_field_index("label"), EVENTS.schema.field("label"), labels)
    return rows, {**about, "label": label if len(rows) else None}


def _read(config: EventsConfig, key: str) -> tuple[pa.Table, dict[str, Any]]:
    """The events of a file, and its description."""
    import numpy as np

    from taproom.sources.events import as_lists, transform_all

    sample = _sample(config, key)
    count = len(sample.values)
    rows = EVENTS.table_of(
        sample=pa.repeat(key, count),
        event=np.arange(count),
        plate=pa.array(sample.plates, pa.string()),
        well=pa.array(sample.wells, pa.string()),
        label=pa.array(sample.labels, pa.string()),
        values=as_lists(np.where(np.isfinite(sample.values), sample.values, np.nan)),
        transformed=as_lists(transform_all(sample.values, sample.transforms)),
    )
    of_all = {"plate": sample.plates, "well": sample.wells, "label": sample.labels}
    as_it_is = ("file", "content_sha256", "instrument", "date", "compensation", "damage", "detail")
    return rows, {
        "sample": key,
        "events": count,
        "missing_values": int(np.isnan(sample.values).sum()),
        "infinite_values": int(np.isinf(sample.values).sum()),
        "channels": list(sample.channels),
        "compensated": sample.compensation is not None,
        "repairs": list(sample.repairs),
        "transforms": list(sample.transforms),
        **{name: getattr(sample, name) for name in as_it_is},
        **{name: values[0] if len(set(values)) == 1 else None for name, values in of_all.items()},
    }


def _sample(config: EventsConfig, key: str) -> "Sample":
    """Read the file of the sample, after a check that its content is that of the sample's key."""
    from taproom.sources.plates import Well
    from taproom.sources.samples import fcs_sample, table_sample

    if config.source is EventSource.plates:
        source = read_sources()["plates"]
        if key not in (embedded := _embedded(source)):
            raise SourceError(
                f"events: {key!r} is none of the embedded samples ({', '.join(embedded)}). "
                "For a file of your own set `source: fcs` (or table) and `path`."
            )
        name, well = embedded[key]
        return fcs_sample(member(source, name), well, config.transform, config.linear, config.compensate)
    ((found, _),) = [_keyed(config.model_dump())]
    if found != key:
        raise SourceError(f"events: {config.path} is the sample {found!r}, {key!r} was wanted. Has the file changed?")
    path = Path(config.path).expanduser()
    well = Well(config.plate or path.stem, config.well or "all", config.label or None)
    if config.source is EventSource.fcs:
        return fcs_sample(path, well, config.transform, config.linear, config.compensate, config.data_set)
    return table_sample(path, well, config.columns, config.transform, config.linear)
