"""What pages know of a table: its description, its newest version, its first rows, and what may be shown of them."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from taproom.errors import DamagedFileError
from taproom.warehouse.contracts import Contract
from taproom.warehouse.reading import first_rows
from taproom.warehouse.warehouse import Warehouse

FIRST_ROWS = 20
FIRST_VALUES = 5  # of a list or a map
LONGEST_CELL = 200  # characters
LONGEST_MESSAGE = 400
VERSIONS = 20

_ADDRESS_IN_TEXT = re.compile(
    r"""(?P<quote>['"`])(?=[A-Za-z][\w+.-]*://|~?/|[A-Za-z]:[\\/]|\\\\).*?(?P=quote)"""
    r"""|(?<![\w.…~/])([A-Za-z][\w+.-]*://|~?/|[A-Za-z]:[\\/]|\\\\)[^\s'"`,;()]+"""
)
_ADDRESS = re.compile(r"([A-Za-z][\w+.-]*://|~?/|[A-Za-z]:[\\/]|\\\\)")


@dataclass(frozen=True)
class Check:
    """A check of a table after it was made: what it wants, and whether it passed when last run (None: never run).

    `found` says what it found then, where it says so.
    """

    name: str
    description: str
    passed: bool | None
    found: str = ""


@dataclass(frozen=True)
class Failure:
    """A run that should have made a table and failed: in which step (None: outside of steps), why and when."""

    run_id: str
    time: datetime
    step: str | None
    reason: str


@dataclass(frozen=True)
class TableDescription:
    """What is known of a table beside its rows.

    Attributes:
        contract: the table's contract.
        chain: the chain that it belongs to.
        description: what it is, in a sentence or two.
        inputs: the tables that it is made from.
        checks: what is checked after it was made.
        fresh_for: after this time since it was made, Dagster says that it is overdue.
        is_stale: whether its inputs or its code have changed since it was made.
        failure: the newest run that failed to make it, if no later one has made it.
    """

    contract: Contract
    chain: str
    description: str
    inputs: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    fresh_for: timedelta | None = None
    is_stale: bool = False
    failure: Failure | None = None

    @property
    def name(self) -> str:
        """The table's name."""
        return self.contract.table

    @property
    def failed_checks(self) -> list[Check]:
        """The checks that did not pass when they were last run."""
        return [check for check in self.checks if check.passed is False]

    @property
    def needs_attention(self) -> bool:
        """Whether a check or a run failed, or the table is stale."""
        return bool(self.failed_checks or self.is_stale or self.failure)

    @property
    def rules(self) -> list[str]:
        """What each version of the table guarantees, as sentences."""
        return self.contract.guarantees


@dataclass(frozen=True)
class TableState:
    """The newest version of a table, as its page shows it.

    `commits` are the newest `VERSIONS` versions, newest first, as in `Warehouse.history`; `figure` is a PNG.
    """

    version: int
    rows: int
    size_bytes: int
    commits: list[dict[str, Any]]
    first_rows: list[list[str]]
    figure: bytes | None = field(repr=False)
    figure_partition: str | None = None


def state_of(warehouse: Warehouse, table: TableDescription) -> TableState | None:
    """The newest version of a table, read and verified as far as its page shows it; None where there is none.

    Raises:
        DamagedFileError: the log or the first data file is damaged.
    """
    version = warehouse.head(table.name)
    if version is None:
        return None
    files = warehouse.files(table.name, version)
    commits = [commit for commit in warehouse.history(table.name) if commit["version"] <= version]
    figure, partition = _newest_figure(warehouse, table.name, commits)
    return TableState(
        version=version,
        rows=sum(file.rows for file in files),
        size_bytes=sum(file.size_bytes for file in files),
        commits=commits[:VERSIONS],
        first_rows=list(_first_rows(warehouse, table.contract, version)),
        figure=figure,
        figure_partition=partition,
    )


def states_of(
    warehouse: Warehouse, tables: list[TableDescription]
) -> tuple[dict[str, TableState], dict[str, DamagedFileError]]:
    """The state of each table that was made, by its name; and the error of each one that is damaged."""
    states, damaged = {}, {}
    for table in tables:
        try:
            if state := state_of(warehouse, table):
                states[table.name] = state
        except DamagedFileError as error:
            damaged[table.name] = error
    return states, damaged


def cell(value: Any) -> str:
    """A value of a table as a short text.

    >>> cell(1234567), cell(0.123456), cell(None), cell([1.5, 2.0]), cell({"abv": 5}), cell(b"abc")
    ('1,234,567', '0.1235', 'null', '1.5, 2', 'abv: 5', '3 bytes')
    >>> cell(list(range(50)))
    '0, 1, 2, 3, 4, … (50 values)'
    >>> cell("/home/me/beers.csv"), cell("s3://key:secret@host/beers.csv?x=1")
    ('…/beers.csv', '…/beers.csv')
    """
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.4g}" if math.isfinite(value) else str(value)
        case bytes():
            return f"{len(value):,} bytes"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}"
        case str():
            return _shortened(without_address(value))
        case Mapping():
            return cell([*value.items()])
        case [tuple(), *_]:  # a map column
            return _joined([f"{key}: {cell(each)}" for key, each in value[:FIRST_VALUES]], of=len(value))
        case list():
            return _joined([cell(each) for each in value[:FIRST_VALUES]], of=len(value))
    return _shortened(str(value))


def size(size_bytes: int) -> str:
    """A number of bytes in the unit that people read.

    >>> size(1), size(25_600), size(25_626_000), size(3_100_000_000)
    ('1 KB', '26 KB', '25.6 MB', '3.1 GB')
    """
    if size_bytes < 10**6:
        return f"{math.ceil(size_bytes / 10**3)} KB"
    return f"{size_bytes / 10**6:.1f} MB" if size_bytes < 10**9 else f"{size_bytes / 10**9:.1f} GB"


def without_address(text: str) -> str:
    """The text; of an absolute path or a URL only the last part, since the rest belongs to a machine or is secret.

    >>> without_address("beers.csv"), without_address("C:\\\\beers\\\\ale.csv")
    ('beers.csv', '…/ale.csv')
    """
    if not _ADDRESS.match(text):
        return text
    path = text.partition("?")[0].partition("#")[0] if "://" in text else text
    return f"…/{PurePosixPath(path.replace(chr(92), '/')).name.rpartition('@')[2]}"


def first_line(message: str) -> str:
    """The first line of an error's message, cut where it is long, with addresses as in `without_address`.

    >>> first_line("/home/me/beers.csv has no column 'text'; it has 'ale/porter'.\\nTraceback")
    "…/beers.csv has no column 'text'; it has 'ale/porter'."
    """
    lines = message.strip().splitlines() or [""]
    return _shortened(_ADDRESS_IN_TEXT.sub(_shortened_address, lines[0]), LONGEST_MESSAGE)


def _shortened_address(found: re.Match[str]) -> str:
    quote = found["quote"] or ""
    text = found[0].strip(quote) if quote else found[0]
    end = text[len(text.rstrip(".:")) :]  # of the sentence
    return f"{quote}{without_address(text.removesuffix(end))}{end}{quote}"


def _newest_figure(warehouse: Warehouse, table: str, commits: list[dict[str, Any]]) -> tuple[bytes | None, str | None]:
    """The figure of the newest commit, and its partition."""
    newest = commits[0] if commits else None
    if newest is None or newest["content_hash"] is None:
        return None, None
    return warehouse.figure(table, newest["content_hash"]), newest["partition"]


def _first_rows(warehouse: Warehouse, contract: Contract, version: int) -> Iterator[list[str]]:
    names = contract.schema.names
    rows = first_rows(warehouse.storage, contract.table, FIRST_ROWS, version)
    for row in rows.select([name for name in names if name in rows.schema.names]).to_pylist():
        yield [cell(row.get(name)) for name in names]


def _shortened(text: str, longest: int = LONGEST_CELL) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _joined(parts: list[str], of: int) -> str:
    text = _shortened(", ".join(parts))
    return text if len(parts) == of else f"{text}, … ({of:,} values)"


def inputs_of(warehouse: Warehouse, table: str, version: int | None = None) -> Mapping[str, int]:
    """The versions of tables that a version of a table, by default the newest, was made from; none without the table.

    Raises:
        UnknownTableError: there is no such version.
    """
    version = warehouse.head(table) if version is None else version
    return warehouse.commit_of(table, version)["inputs"] if version is not None else {}
