"""Two tables with three versions, and ways to damage their files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from taproom.errors import TaproomError
from taproom.warehouse.contracts import Column, Contract
from taproom.warehouse.publishing import Origin
from taproom.warehouse.warehouse import Warehouse

N = Column("n", pa.int64(), "a number")
PART = Column("part", pa.string(), "where it came in")
WHOLE = Contract("whole", "a number", (N,), ("n",))
PARTS = Contract("parts", "a number", (N, PART), ("n",), partition="part")
TABLES = ("whole", "parts")


def numbers(*values: int) -> pa.Table:
    return WHOLE.table_of(n=values)


def part(name: str, *values: int) -> pa.Table:
    return PARTS.table_of(n=values, part=[name] * len(values))


def three_commits(warehouse: Warehouse) -> None:
    """Two tables; the last commit of the partitioned one replaces a partition."""
    origin = Origin(run_id="r", inputs={"x": 1}, config={"k": 0.1})
    for number in range(3):
        since = number - 1 if number else None
        warehouse.publish(WHOLE, numbers(*range(10 * number, 10 * number + 2)), since=since, origin=origin)
        name = "aba"[number]
        warehouse.publish(PARTS, part(name, 10 * number), since=since, partition=name, origin=origin)


def log_entry(warehouse: Warehouse, table: str, version: int) -> Path:
    return Path(warehouse.uri(table), "_delta_log", f"{version:020d}.json")


def flips(content: bytes) -> Iterator[bytes]:
    """The content with each byte in turn damaged in one bit."""
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        yield bytes(flipped)


def cuts(content: bytes) -> Iterator[bytes]:
    """The content cut to several lengths, at and between its lines."""
    lines = content.splitlines(keepends=True)
    for length in {0, 1, len(content) // 2, len(content) - 1, *(sum(map(len, lines[:k])) for k in range(len(lines)))}:
        yield content[:length]


def assert_right_or_named(outcome: Callable[[], object], right: object) -> bool:
    """Whether the outcome is right; otherwise it must be an error by name, fit for people."""
    try:
        found = outcome()
    except TaproomError as error:
        message = str(error)
    else:
        assert found == right
        return True
    assert not any(word in message for word in ("acktrace", "<unknown>", "\x1b", "\n")), repr(message)
    return False
