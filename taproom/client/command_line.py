"""The command `taproom`: tables and models of a warehouse for people and scripts.

Exit status: 0 if all is well, 1 for an error, which is printed in one line, or for damage that `verify` has found, 2
for wrong arguments. With `--json` the answer is JSON. Everything that takes time to import is imported by the command
that needs it.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

from taproom.errors import TaproomError

if TYPE_CHECKING:
    import pyarrow as pa

    from taproom.client.reader import WarehouseReader

Argument = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Command:
    """A subcommand: its arguments, as argparse takes them, and what gives its answer.

    An answer is a text, an Arrow table, or what JSON can hold. `Damage` is an answer with exit status 1.
    """

    name: str
    help: str
    example: str
    arguments: tuple[Argument, ...]
    run: Callable[[argparse.Namespace], Any]


@dataclass(frozen=True)
class Damage:
    """The problems that `verify` has found, by table."""

    problems: dict[str, list[str]]


def count(text: str) -> int:
    """A number of rows or words, for argparse."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


TABLE: Argument = ("table", {"metavar": "TABLE", "help": "name of a table"})
VERSION: Argument = ("--version", {"type": int, "metavar": "N", "help": "a version of it (default: the newest)"})
TEXT: Argument = ("text", {"metavar": "TEXT", "help": "the text"})


def _reads(answer: "Callable[[WarehouseReader, argparse.Namespace], Any]") -> Callable[[argparse.Namespace], Any]:
    """Decorate a command that reads the warehouse, or the snapshot of it, that its arguments name."""

    @wraps(answer)
    def run(given: argparse.Namespace) -> Any:
        from taproom.client.reader import open_reader

        return answer(open_reader(given.warehouse, given.snapshot, given.at), given)

    return run


@_reads
def _tables(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    tables = reader.tables()
    if not given.json:
        return repr(tables)
    return [
        {"table": name, "version": version, "grain": grain, "made": made.isoformat()}
        for name, version, grain, made in tables.rows
    ]


@_reads
def _show(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    about = reader.describe(given.table)
    return about.as_dict() if given.json else str(about)


@_reads
def _head(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    from taproom.warehouse.reading import first_rows
    from taproom.warehouse.storage import Storage

    # not `scan`: Arrow's datasets, for filters, take longer to import than the rows to read
    version = reader.version(given.table) if given.version is None else given.version
    return first_rows(Storage(reader.root), given.table, given.rows, version)


@_reads
def _sql(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    return reader.sql(given.query)


@_reads
def _history(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    commits = reader.history(given.table)
    return commits if given.json else str(commits)


@_reads
def _diff(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    difference = reader.diff(given.table, given.old, given.new)
    return difference.to_dict() if given.json else str(difference)


@_reads
def _export(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    exported = reader.export(given.folder, given.tables or None, format=given.format)
    if given.json:
        return [{"path": each.path, "rows": each.rows, "sha256": each.sha256} for each in exported]
    return "\n".join(f"{given.folder}/{each.path}: {each.rows:,} rows" for each in exported)


@_reads
def _verify(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    from taproom.warehouse.verification import verify

    reports = [verify(reader.root, table) for table in given.tables or reader.tables()]
    if problems := {report.table: list(report.problems) for report in reports if report.problems}:
        return Damage(problems)
    if given.json:
        return [asdict(report) for report in reports]
    return "\n".join(
        f"{report.table}: {report.versions} versions, {report.files} files, {report.size_bytes:,} bytes verified"
        for report in reports
    )


@_reads
def _place(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    placement = reader.map.place(given.text)
    if given.json:
        return asdict(placement)
    return "\n".join(f"{near.distance:.3f}  {near.item_name}" for near in placement.neighbors[:10])


@_reads
def _call(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    return reader.cells.call(given.file, given.plate)


@_reads
def _classify(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    return reader.images.classify(given.file)


@_reads
def _topics(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    mixture = reader.topics.of(given.text)
    if given.json:
        return asdict(mixture)
    return "\n".join(f"{topic.share:.0%}  {' '.join(topic.top_words[:8])}" for topic in mixture.topics)


@_reads
def _nearest(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    found = reader.words.nearest(given.word, given.k)
    return found if given.json else "\n".join(f"{cosine:.3f}  {word}" for word, cosine in found)


@_reads
def _snapshot(reader: "WarehouseReader", given: argparse.Namespace) -> Any:
    snapshot = reader.snapshot()
    if given.file:
        snapshot.save(given.file)
    return json.loads(snapshot.as_json()) if given.json else str(snapshot)


def _completion(given: argparse.Namespace) -> str:
    from taproom.client.completion import SCRIPTS, completions

    if not given.words:
        return SCRIPTS[given.shell]
    commands = {command.name: dict(command.arguments + COMMON) for command in COMMANDS}
    return "\n".join(completions(given.words, commands))


COMMANDS = (
    Command("tables", "list the tables", "taproom tables", (), _tables),
    Command("show", "describe a table: columns, key, rules, inputs", "taproom show item_map", (TABLE,), _show),
    Command(
        "head",
        "print the first rows of a table",
        "taproom head neighbors --rows 3",
        (TABLE, VERSION, ("--rows", {"type": count, "default": 10, "metavar": "N", "help": "how many (default: 10)"})),
        _head,
    ),
    Command(
        "sql",
        "query the tables, in DuckDB's SQL",
        "taproom sql 'select category, count(*) from items group by all'",
        (("query", {"metavar": "QUERY", "help": "one SELECT statement"}),),
        _sql,
    ),
    Command("history", "list the versions of a table", "taproom history item_map", (TABLE,), _history),
    Command(
        "diff",
        "compare two versions of a table",
        "taproom diff item_map 0 1",
        (
            TABLE,
            ("old", {"type": int, "metavar": "OLD", "help": "the version to compare with"}),
            (
                "new",
                {"type": int, "nargs": "?", "metavar": "NEW", "help": "the version to compare (default: the newest)"},
            ),
        ),
        _diff,
    ),
    Command(
        "export",
        "write tables to a folder, with a Data Package and Croissant metadata",
        "taproom export reviews_2026 items item_map --format csv",
        (
            ("folder", {"metavar": "FOLDER", "help": "the folder to make"}),
            ("tables", {"nargs": "*", "metavar": "TABLE", "help": "tables (default: all)"}),
            ("--format", {"choices": ("parquet", "csv"), "default": "parquet", "help": "default: parquet"}),
        ),
        _export,
    ),
    Command(
        "verify",
        "compare every byte of every kept version with its hash",
        "taproom verify items",
        (("tables", {"nargs": "*", "metavar": "TABLE", "help": "tables (default: all)"}),),
        _verify,
    ),
    Command("place", "find the items nearest to a text", "taproom place 'a bitter comedy'", (TEXT,), _place),
    Command(
        "call",
        "predict the classes of the events of an FCS file",
        "taproom call A01.fcs",
        (
            ("file", {"metavar": "FILE", "help": "an FCS file"}),
            ("--plate", {"metavar": "PLATE", "help": "the plate of plate_scales that it was measured on"}),
        ),
        _call,
    ),
    Command(
        "classify",
        "predict the class of an image",
        "taproom classify cat.png",
        (("file", {"metavar": "FILE", "help": "an image"}),),
        _classify,
    ),
    Command("topics", "find the topics of a text", "taproom topics 'the shuttle reached orbit'", (TEXT,), _topics),
    Command(
        "nearest",
        "find the words most similar to a word",
        "taproom nearest orbit -k 5",
        (
            ("word", {"metavar": "WORD", "help": "the word"}),
            ("-k", {"type": count, "default": 10, "metavar": "N", "help": "how many (default: 10)"}),
        ),
        _nearest,
    ),
    Command(
        "snapshot",
        "print the versions that belong together, and save them as a lock file",
        "taproom snapshot tables.lock.json",
        (("file", {"nargs": "?", "metavar": "FILE", "help": "the lock file"}),),
        _snapshot,
    ),
    Command(
        "completion",
        "print a script that completes commands, options and names of tables in a shell",
        "taproom completion bash",
        (
            ("shell", {"choices": ("bash", "zsh", "fish"), "metavar": "SHELL", "help": "bash, zsh or fish"}),
            ("words", {"nargs": argparse.REMAINDER, "metavar": "WORD", "help": "print what completes the last word"}),
        ),
        _completion,
    ),
)
COMMON: tuple[Argument, ...] = (
    ("--warehouse", {"metavar": "ROOT", "help": "a folder or a URL (default: $TAPROOM_WAREHOUSE)"}),
    ("--snapshot", {"metavar": "FILE", "help": "read the versions of this lock file"}),
    ("--at", {"metavar": "TIME", "help": "read the versions of this time, such as 2026-11-28"}),
    ("--json", {"action": "store_true", "help": "print JSON"}),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand, print its answer, and give the exit status."""
    given = _parser().parse_args(arguments)
    try:
        answer = given.command.run(given)
        _print(answer, given.json)
    except BrokenPipeError:  # as by `taproom history items | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TaproomError, OSError) as error:
        print(f"taproom: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if isinstance(answer, Damage) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="taproom", description="Read the tables of a warehouse, and use its models.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            epilog=f"example: {command.example}",
        )
        for name, options in command.arguments + COMMON:
            sub.add_argument(name, **options)
        sub.set_defaults(command=command)
    return parser


def _print(answer: Any, as_json: bool) -> None:
    if isinstance(answer, Damage):
        lines = [problem for problems in answer.problems.values() for problem in problems]
        print(json.dumps(answer.problems, indent=2) if as_json else "\n".join(lines))
    elif isinstance(answer, str):
        print(answer)
    else:
        is_table = hasattr(answer, "to_pylist")
        if is_table and not as_json:
            print(_as_text(answer))
        else:
            print(json.dumps(answer.to_pylist() if is_table else answer, indent=2, default=_plain))


def _as_text(rows: "pa.Table") -> str:
    """Rows as aligned columns; long values are cut."""
    cells = [rows.column_names, *([_cell(value) for value in row.values()] for row in rows.to_pylist())]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cell(value: Any) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def _plain(value: Any) -> Any:
    """What JSON can hold, for what it cannot: arrays as lists, bytes in base 64, times as ISO 8601."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, bytes):
        import base64

        return base64.b64encode(value).decode()
    for convert in ("tolist", "isoformat"):
        if hasattr(value, convert):
            return getattr(value, convert)()
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
